//! The documented table of variables is the one of this crate.

use settings::VARIABLES;

const DOCUMENTED: &str = include_str!("../../../docs/CONFIGURATION.md");

fn table() -> String {
    let rows = VARIABLES.iter().map(|variable| {
        let default = match (variable.default, variable.local_default) {
            (None, _) => "none".to_owned(),
            (Some(""), _) => "empty".to_owned(),
            (Some(default), None) => format!("`{default}`"),
            (Some(default), Some(local)) => format!("`{default}`, local program `{local}`"),
        };
        format!("| `{}` | {default} | {} |\n", variable.name, variable.meaning)
    });
    rows.collect()
}

#[test]
fn the_documentation_lists_every_variable_with_its_default_and_meaning() {
    let table = table();
    assert!(DOCUMENTED.contains(&table), "replace the table in docs/CONFIGURATION.md by this one:\n{table}");
}
