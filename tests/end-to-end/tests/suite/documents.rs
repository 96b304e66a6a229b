//! The documents name tests that exist.

use std::collections::BTreeSet;
use std::path::Path;

/// The text of every file with this extension.
fn files(folder: &Path, extension: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|of_file| of_file == extension) {
            found.push(std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// The cells of every table row of a document, its heads and rules aside.
fn rows(document: &str) -> Vec<Vec<&str>> {
    let rows = document.lines().filter(|line| line.starts_with('|') && line.ends_with('|'));
    let cells = rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>());
    cells.filter(|cells| cells.len() > 1 && !["test", "tests"].contains(&cells[cells.len() - 1])).collect()
}

/// The names in backticks in the last column of every table row of a document.
fn tests_named(document: &str) -> BTreeSet<&str> {
    let last_columns = rows(document).into_iter().filter_map(|mut cells| cells.pop());
    last_columns.flat_map(|column| column.split('`').skip(1).step_by(2)).collect()
}

/// Those of the names in backticks in these tables that are neither a test of Rust or Python nor a file of the project.
fn missing<'a>(root: &Path, named: &BTreeSet<&'a str>) -> Vec<&'a str> {
    let (mut rust, mut python) = (Vec::new(), Vec::new());
    for folder in ["shared", "functions", "tests"] {
        files(&root.join(folder), "rs", &mut rust);
        files(&root.join(folder), "py", &mut python);
    }
    let exists = |name: &str| {
        let in_rust = rust.iter().any(|source| source.contains(&format!("fn {name}(")));
        let in_python = python.iter().any(|source| source.contains(&format!("def {name}(")));
        in_rust || in_python || (name.contains('/') && root.join(name).is_file())
    };
    named.iter().copied().filter(|name| !exists(name)).collect()
}

fn document(root: &Path, name: &str) -> String {
    std::fs::read_to_string(root.join("docs").join(name)).unwrap()
}

#[test]
fn every_promise_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = document(&root, "SEMANTICS.md");
    let named = tests_named(&document);
    assert!(named.len() > 30, "the tables were not understood: {named:?}");
    assert_eq!(missing(&root, &named), Vec::<&str>::new(), "named and not there");
}

#[test]
fn every_fault_of_the_matrix_names_tests_that_exist_or_says_why_there_is_none() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = document(&root, "FAULTS.md");
    let named = tests_named(&document);
    assert_eq!(missing(&root, &named), Vec::<&str>::new(), "named and not there");
    let rows = rows(&document);
    let numbers: Vec<usize> = rows.iter().filter_map(|cells| cells[0].parse().ok()).collect();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>(), "one row a fault, in order");
    assert_eq!(numbers.len(), 48, "the matrix has as many rows as it always had");
    for cells in rows.iter().filter(|cells| cells[0].parse::<usize>().is_ok()) {
        let [number, _, _, tests] = cells[..] else { panic!("a row has four cells: {cells:?}") };
        let explained = document.contains(&format!("* **{number}**"));
        assert!(tests.contains('`') || explained, "row {number} names no test and is not explained");
    }
}

#[test]
fn operations_says_what_each_type_of_error_asks_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = document(&root, "OPERATIONS.md");
    let named: BTreeSet<&str> =
        rows(&document).iter().flat_map(|cells| cells[0].split('`').skip(1).step_by(2)).collect();
    let mut types = BTreeSet::new();
    for function in ["fan-out", "reconcile"] {
        let source = std::fs::read_to_string(root.join("functions").join(function).join("src/error.rs")).unwrap();
        let body = source.split_once("fn error_type(").unwrap().1.split_once("\n    }\n").unwrap().0;
        types.extend(body.split('"').skip(1).step_by(2).map(str::to_owned));
    }
    assert!(types.len() > 12, "the sources were not understood: {types:?}");
    assert_eq!(types.iter().filter(|of| !named.contains(of.as_str())).collect::<Vec<_>>(), Vec::<&String>::new());
}
