//! What the program itself ends with when it cannot take its words.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::process::{Command, Output};

use evidence::audit::COULD_NOT_RUN;

/// Where nothing lies and nothing may be left.
fn said(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_copilot-archive")).args(arguments).current_dir(&folder).output().unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "{arguments:?}");
    output
}

#[test]
fn an_audit_that_is_mistyped_could_not_run() {
    for arguments in [
        &["audit"][..],
        &["audit", "--all", "--bag", "x"],
        &["audit", "--all", "--from", "nonsense"],
        &["audit", "--from", "nonsense"],
        &["audit", "--all", "--archive", "s3://Bad_Bucket"],
        &["--archive", ".", "audit", "--all"],
        &["transcript", "--user", "x"],
        // Nothing is wrong with the words here, and there is no archive.
        &["audit", "--all"],
    ] {
        let output = said(arguments);
        assert_eq!(output.status.code(), Some(i32::from(COULD_NOT_RUN)), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

const ID: &str = "5ac181d0-c896-435a-a745-ac948db1d59a";

#[test]
fn a_run_or_an_operator_s_command_that_is_mistyped_is_refused() {
    for arguments in [
        &["--seed", "x"][..],
        &["run", "--to", "2026-01-01"],
        &["--archive", "s3://Bad_Bucket"],
        &["erase"],
        &["coverage", "--user", ID],
        // Nothing is wrong with the words here, and there is no archive.
        &["coverage", "--user", ID, "--drop", "--yes"],
        &["erase", "--user", ID, "--yes"],
    ] {
        let output = said(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn an_archive_of_a_later_format_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive.json");
    let later = format!(r#"{{"format":{},"members":"of a later version"}}"#, archive::records::FORMAT + 1);
    std::fs::write(&file, &later).unwrap();
    for (arguments, code) in [
        (&["audit", "--all"][..], COULD_NOT_RUN),
        (&["transcript", "--user", "x", "--out", "x"], COULD_NOT_RUN),
        (&["run"], 2),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_copilot-archive"))
            .args(arguments)
            .arg("--archive")
            .arg(folder.path())
            .env_clear()
            .current_dir(&folder)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(i32::from(code)), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let named = format!("is of format {}, this program", archive::records::FORMAT + 1);
        assert!(said.contains(&named) && said.contains("a newer version"), "{said}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), later);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "{arguments:?}");
    }
}

#[test]
fn help_is_no_mistake() {
    for arguments in [&["--help"][..], &["--version"], &["audit", "--help"], &["help", "transcript"]] {
        let output = said(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
}
