//! Everything that is kept, once through its property.

use std::path::Path;

/// Inputs that are in each folder at least: one that each decoder accepts, and one that it does not.
const LEAST: usize = 2;

#[test]
fn every_input_that_was_kept_keeps_its_property() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, property) in fuzzing::PROPERTIES {
        let mut inputs: Vec<_> =
            std::fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        inputs.sort();
        assert!(inputs.len() >= LEAST, "{name}: {inputs:?}");
        for input in inputs {
            // A panic names the input by what was printed last.
            println!("{}", input.display());
            property(&std::fs::read(&input).unwrap());
        }
    }
}

#[test]
fn deep_nesting_and_countless_members_keep_the_properties() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let members = "\"a\":1,".repeat(100_000);
    for text in [
        format!(r#"{{"value":[{deep}],"x":{deep}}}"#),
        format!(r#"{{{members}"value":[]}}"#),
        format!(r#"{{"v":{deep}}}"#),
        format!(r#"{{"users":{deep}}}"#),
        deep,
    ] {
        fuzzing::PROPERTIES.iter().for_each(|(_, property)| property(text.as_bytes()));
    }
}
