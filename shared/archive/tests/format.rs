//! What docs/FORMAT.md says of months is what the writer does.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use archive::Month;

const FORMAT: &str = include_str!("../../../docs/FORMAT.md");

/// The rows of the table of items and their months.
fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    let table = FORMAT.split_once("| item | month |\n|---|---|\n").unwrap().1;
    table.lines().take_while(|line| line.starts_with('|')).map(|row| {
        let (item, month) = row.strip_prefix("| `").unwrap().strip_suffix("` |").unwrap().split_once("` | `").unwrap();
        (item, month)
    })
}

#[test]
fn the_documented_months_are_those_of_the_writer() {
    assert!(rows().count() > 20);
    for (item, month) in rows() {
        assert_eq!(Month::of(item).to_string(), month, "{item}");
    }
}
