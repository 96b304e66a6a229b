//! The archives in tests/archives are kept for ever: whatever reads archives of format 1 later must find in each what was found
//! when it was made. How they were made stands beside them.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use evidence::audit::{Request, Whom};
use evidence::{Folder, Source, audit};
use serde_json::Value;

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/archives")
}

/// What was found when the archive of this name was made.
fn recorded(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(kept().join(format!("{name}.json"))).unwrap()).unwrap()
}

/// What is found today, asked in the same way.
fn found(name: &str, recorded: &Value) -> Value {
    let head = recorded["head"].as_object().unwrap();
    let request = Request {
        whom: Whom::All,
        from: None,
        to: None,
        explain: true,
        ledger_head: Some((head["n"].as_u64().unwrap(), head["sha256"].as_str().unwrap().to_owned())),
        history_start: recorded["history_start"].as_str().unwrap().parse().unwrap(),
        retention_days: None,
        read_at: "2026-12-01T00:00:00Z".parse().unwrap(),
        location: String::new(),
        program: String::new(),
    };
    serde_json::to_value(audit(&Folder::new(kept().join(name)), &request).unwrap()).unwrap()
}

/// Where today's report says something else. A later version may say more: members that were not there are passed over.
fn differences(found: &Value, recorded: &Value, at: &str, list: &mut Vec<String>) {
    match (found, recorded) {
        (Value::Object(found), Value::Object(recorded)) => {
            for (name, value) in recorded {
                differences(found.get(name).unwrap_or(&Value::Null), value, &format!("{at}.{name}"), list);
            }
        }
        (Value::Array(found), Value::Array(recorded)) if found.len() == recorded.len() => {
            for (index, (found, recorded)) in found.iter().zip(recorded).enumerate() {
                differences(found, recorded, &format!("{at}[{index}]"), list);
            }
        }
        (found, recorded) if found == recorded => {}
        (found, recorded) => list.push(format!("{at}: {found} and not {recorded}")),
    }
}

#[test]
fn an_archive_of_an_older_version_says_what_it_said() {
    for name in ["v1", "v1-late"] {
        let recorded = recorded(name);
        let mut list = Vec::new();
        differences(&found(name, &recorded), &recorded["report"], name, &mut list);
        assert_eq!(list, Vec::<String>::new());
    }
}

/// The lines of all files of a run with this name.
fn lines(source: &Folder, name: &str) -> Vec<Value> {
    let keys = source.list("runs/").unwrap().into_iter().filter(|key| key.ends_with(name));
    let texts = keys.map(|key| zstd::decode_all(&*source.read(&key).unwrap().unwrap()).unwrap());
    let parse = |text: Vec<u8>| {
        String::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    texts.flat_map::<Vec<Value>, _>(parse).collect()
}

#[test]
fn the_archive_of_late_things_holds_what_it_is_kept_for() {
    let source = Folder::new(kept().join("v1-late"));
    let report = &recorded("v1-late")["report"];
    assert!(report["integrity"]["numbers"]["late_receipts"].as_u64().unwrap() > 0);
    let leavers = lines(&source, "/roster.jsonl.zst").into_iter().filter(|line| line["why"] == "leaver");
    let leavers: BTreeSet<String> = leavers.map(|line| line["user_id"].as_str().unwrap().to_owned()).collect();
    assert!(!leavers.is_empty());
    let gap = report["users"]
        .as_array()
        .unwrap()
        .iter()
        .find(|user| leavers.contains(user["person"]["user_id"].as_str().unwrap()));
    assert!(gap.unwrap()["coverage"]["gaps"].to_string().contains("unavailable(no-licence)"));
    let found_late = lines(&source, "/users.jsonl.zst").into_iter();
    let found_late = found_late.filter(|line| line["run_id"].as_str().unwrap().ends_with("Z-lookback"));
    assert!(found_late.map(|line| line["new"].as_u64().unwrap()).sum::<u64>() > 0);
}

#[test]
fn the_kept_archive_holds_what_it_is_kept_for() {
    let source = Folder::new(kept().join("v1"));
    let keys = source.list("").unwrap();
    let months: BTreeSet<&str> =
        keys.iter().filter_map(|key| key.split("created_month=").nth(1)?.split('/').next()).collect();
    assert!(months.len() > 3 && months.contains("unknown"), "{months:?}");
    assert!(keys.iter().any(|key| key.starts_with("quarantine/")));
    assert!(keys.iter().any(|key| key.ends_with("segment-000002.jsonl.zst")), "a log of several segments");
    let mut classes = BTreeSet::new();
    let mut kinds = BTreeSet::new();
    for key in &keys {
        let bytes = source.read(key).unwrap().unwrap();
        if key.ends_with("/users.jsonl.zst") {
            for line in zstd::decode_all(&*bytes).unwrap().split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
            {
                let line: Value = serde_json::from_slice(line).unwrap();
                classes.insert(line["class"].as_str().unwrap_or("missing").to_owned());
            }
        } else if key.ends_with("/run.json") {
            let run: Value = serde_json::from_slice(&bytes).unwrap();
            kinds.insert(run["kind"].as_str().unwrap().to_owned());
        }
    }
    for class in ["exported", "empty", "unavailable", "failed"] {
        assert!(classes.contains(class), "{class} {classes:?}");
    }
    for kind in ["daily", "history", "on-demand"] {
        assert!(kinds.contains(kind), "{kind} {kinds:?}");
    }
}
