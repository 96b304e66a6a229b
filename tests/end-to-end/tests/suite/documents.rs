//! The documents name tests that exist.

use std::collections::BTreeSet;
use std::path::Path;

fn rust_files(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// The names in backticks in the last column of every table row of a document.
fn tests_named(document: &str) -> BTreeSet<&str> {
    let rows = document.lines().filter(|line| line.starts_with('|') && line.ends_with('|'));
    let last_columns = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
    last_columns.flat_map(|column| column.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_promise_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sources = Vec::new();
    for folder in ["shared", "functions", "tests"] {
        rust_files(&root.join(folder), &mut sources);
    }
    let document = std::fs::read_to_string(root.join("docs/SEMANTICS.md")).unwrap();
    let named = tests_named(&document);
    assert!(named.len() > 30, "the tables were not understood: {named:?}");
    let exists = |name: &str| sources.iter().any(|source| source.contains(&format!("fn {name}(")));
    let missing: Vec<_> = named.into_iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "named and not there: {missing:?}");
}
