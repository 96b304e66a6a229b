//! Writes what `tests/browser` opens into a folder: the transcripts of the injection corpus, a folder for each attack, and
//! below `control` the same pages with the attacks as they came and without the policy.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's tool stops at what it did not expect")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::PathBuf;

use handover::write_transcripts;
use serde_json::Value;
use support::corpus::{CORPUS, items};
use support::{ADELE, archive_of, audit_named};

/// As pages escape; what they name instead of showing it stays named.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

fn main() {
    let root = PathBuf::from(std::env::args_os().nth(1).unwrap());
    for (number, attack) in CORPUS.iter().enumerate() {
        let texts: Vec<String> = items(attack).iter().map(Value::to_string).collect();
        let memory = archive_of(attack, &texts);
        let report = audit_named(&memory, &[ADELE], attack);
        let inert = root.join(format!("inert/{number:02}"));
        write_transcripts(&memory, &report, &inert).unwrap();
        let control = root.join(format!("control/{number:02}"));
        fs::create_dir_all(&control).unwrap();
        fs::write(control.join("attack.txt"), attack).unwrap();
        for entry in fs::read_dir(inert.join("transcripts")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "html") {
                let page = fs::read_to_string(&path).unwrap().replace(&escaped(attack), attack);
                let policy = page.find("<meta http-equiv=\"Content-Security-Policy\"").unwrap();
                let end = policy + page[policy..].find('\n').unwrap();
                let page = format!("{}{}", &page[..policy], &page[end..]);
                fs::write(control.join(path.file_name().unwrap()), page).unwrap();
            }
        }
    }
}
