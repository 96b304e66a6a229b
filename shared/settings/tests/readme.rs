//! The README's table of variables is the one of this crate.

use settings::VARIABLES;

const README: &str = include_str!("../../../README.md");

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
fn the_readme_lists_every_variable_with_its_default_and_meaning() {
    let table = table();
    assert!(README.contains(&table), "replace the README's table of variables by this one:\n{table}");
}
