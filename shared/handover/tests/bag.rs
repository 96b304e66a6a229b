//! The bag: what lies in it, and that its own instructions verify it with ordinary tools.

#![allow(clippy::unwrap_used, reason = "what does not hold here is a fault of the test")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use evidence::audit::Request;
use evidence::{Answer, AuditReport, Memory, audit};
use handover::{HandoverError, Summary, write_bag};
use support::*;

struct Bag {
    place: tempfile::TempDir,
    summary: Summary,
}

impl Bag {
    fn of(memory: &Memory) -> Self {
        Self::with(memory, &audit_of(memory, &["Adele Vance"]))
    }

    fn with(memory: &Memory, report: &AuditReport) -> Self {
        let place = tempfile::tempdir().unwrap();
        let summary = write_bag(memory, report, Some("Records Office\nforged: x"), &place.path().join("bag")).unwrap();
        Self { place, summary }
    }

    fn root(&self) -> std::path::PathBuf {
        self.place.path().join("bag")
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    fn files(&self) -> BTreeSet<String> {
        fn walk(root: &Path, folder: &Path, files: &mut BTreeSet<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(root, &path, files);
                } else {
                    files.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        let mut files = BTreeSet::new();
        walk(&self.root(), &self.root(), &mut files);
        files
    }

    /// What the indented lines of the instructions print, each run by itself as a person would.
    fn verify(&self) -> Vec<String> {
        for tool in ["bash", "sha256sum", "zstd", "jq"] {
            let found = Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success());
            assert!(
                found,
                "this test runs the instructions of a bag and needs {tool}: install bash, coreutils, zstd and jq"
            );
        }
        let page = self.read("data/HOW-TO-VERIFY.txt");
        let lines = page.lines().filter_map(|line| line.strip_prefix("    ")).filter(|line| !line.starts_with(' '));
        lines.map(|line| self.shell(line)).collect()
    }

    fn shell(&self, line: &str) -> String {
        let output =
            Command::new("bash").args(["-c", line]).current_dir(self.root()).env_remove("LC_ALL").output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The numbers of the checks that say "good".
    fn good(&self) -> Vec<u32> {
        let said = self.verify();
        (1..=8).filter(|n| said.iter().any(|said| said.starts_with(&format!("{n} good: ")))).collect()
    }
}

#[test]
fn a_bag_has_the_records_their_proof_and_what_people_read() {
    let bag = Bag::of(&archive(&sample()));
    let files = bag.files();
    let expected = [
        "bag-info.txt",
        "bagit.txt",
        "data/HOW-TO-VERIFY.txt",
        "data/audit.json",
        "data/audit.txt",
        "data/ledger/entry-000001.json",
        "data/ledger/entry-000002.json",
        "data/loadfile.csv",
        "data/loadfile.dat",
        "data/records.jsonl",
        "data/runs/20261123T030000Z/report.json",
        "data/runs/20261123T030000Z/users-of-custodian.jsonl",
        "data/runs/20261124T030000Z/report.json",
        "data/runs/20261124T030000Z/users-of-custodian.jsonl",
        "data/segments/2026-11-segment-000001.jsonl.zst",
        "data/segments/2026-11-segment-000002.jsonl.zst",
        "data/segments/unknown-segment-000001.jsonl.zst",
        "data/transcripts/00-cover.html",
        "data/transcripts/00-cover.txt",
        "data/transcripts/2026-11-05-5ac181d0-000001.html",
        "data/transcripts/2026-11-05-5ac181d0-000001.txt",
        "data/transcripts/2026-11-05-5ac181d0-000002.html",
        "data/transcripts/2026-11-05-5ac181d0-000002.txt",
        "data/transcripts/2026-11-06-5ac181d0-000003.html",
        "data/transcripts/2026-11-06-5ac181d0-000003.txt",
        "data/transcripts/undated-5ac181d0-000004.html",
        "data/transcripts/undated-5ac181d0-000004.txt",
        "manifest-sha256.txt",
        "tagmanifest-sha256.txt",
    ];
    assert_eq!(files.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    let payload = files.iter().filter(|path| path.starts_with("data/")).count();
    assert_eq!(bag.summary.files as usize, payload);
    assert_eq!((bag.summary.records, bag.summary.undated, bag.summary.documents), (10, 1, 4));
    assert_eq!((bag.summary.messages, bag.summary.earlier_texts, bag.summary.unparsed), (9, 1, 1));
    assert_eq!(bag.read("data/records.jsonl").lines().count(), 10);

    let info = bag.read("bag-info.txt");
    assert!(info.contains(&format!("Payload-Oxum: {}.{payload}\n", bag.summary.bytes)), "{info}");
    assert!(info.contains("Audit-Verdict: no open gap\n") && info.contains("Bagging-Date: 2026-11-24\n"));
    assert!(info.contains("Contact-Name: Records Office forged: x\n"), "a value makes no line of its own");
    let head = sha256(bag.read("data/ledger/entry-000002.json").as_bytes());
    assert!(info.contains(&format!("Ledger-Head: 2:{head}\n")));
    assert!(!files.iter().any(|path| bag.root().join(path).extension().is_none()));
}

#[test]
fn nothing_of_another_person_is_in_it() {
    let bag = Bag::of(&archive(&sample()));
    for path in bag.files().iter().filter(|path| !path.ends_with(".zst")) {
        let text = bag.read(path);
        assert!(!text.contains("secret of Bianca") && !text.contains("bianca@"), "{path}");
        // The ledger and the reports name no person at all.
        assert!(!text.contains(BIANCA), "{path}");
    }
}

#[test]
fn the_instructions_verify_the_bag_with_ordinary_tools() {
    let bag = Bag::of(&archive(&sample()));
    let said = bag.verify();
    assert_eq!(bag.good(), [1, 2, 3, 4, 5, 6, 7, 8], "{said:#?}");
    let head = sha256(bag.read("data/ledger/entry-000002.json").as_bytes());
    assert_eq!(said[1], format!("2 good: the ledger is a chain, its head is 2:{head}"));
    // The ninth line shows how a record is hashed by hand: what it prints stands in the instructions.
    let hash = said[8].split_whitespace().next().unwrap();
    assert_eq!((said.len(), hash.len()), (9, 64));
    assert!(bag.read("data/HOW-TO-VERIFY.txt").contains(&format!("prints {hash}\n")));
}

#[test]
fn a_bag_without_records_verifies_too() {
    let bag = Bag::of(&archive(&[prompt("2026-11-01T10:00:00Z", "s", "1", "before the range")]));
    assert_eq!((bag.summary.records, bag.summary.documents), (0, 0));
    assert_eq!(bag.good(), [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// Makes the manifests anew, as somebody would who wants a change not to be seen.
#[test]
fn what_has_expired_is_left_out_of_a_bag_that_verifies() {
    let mut memory = archive(&sample());
    let (first, second) = ("20261123T030000Z", "20261124T030000Z");
    let old = |key: &str| key.contains(first) || (key.contains("segment-000001") && key.contains("2026-11"));
    memory.objects.retain(|key, _| !old(key));
    // Midnight between the two runs.
    let read_at = "2026-12-11T00:00:00Z".parse().unwrap();
    let request = Request { retention_days: Some(17), read_at, ..request(&["Adele Vance"], "./archive") };
    let report = audit(&memory, &request).unwrap();
    assert_ne!(report.answer, Answer::IntegrityFailure, "{}", report.text());
    let bag = Bag::with(&memory, &report);
    assert_eq!(bag.good(), Bag::of(&archive(&sample())).good());
    let reports = bag.files().into_iter().filter(|path| path.ends_with("report.json")).collect::<Vec<_>>();
    assert_eq!(reports, [format!("data/runs/{second}/report.json")]);
    assert_eq!(bag.files().iter().filter(|path| path.contains("/ledger/")).count(), 2, "the ledger stays");
    assert!(bag.read("data/audit.txt").contains("expired by policy"));
}

fn reseal(bag: &Bag) {
    bag.shell("find data -type f -exec sha256sum {} + > manifest-sha256.txt; sha256sum bagit.txt bag-info.txt manifest-sha256.txt > tagmanifest-sha256.txt");
}

#[test]
fn each_change_is_found_by_its_check() {
    let memory = archive(&sample());
    let changes: [(&str, &[u32]); 9] = [
        ("sed -i s/Thanks/Thonks/ data/transcripts/*-000001.html", &[1]),
        ("echo > data/new", &[1]),
        ("rm data/loadfile.csv", &[1]),
        ("sed -i 's/\"n\":1/\"n\":7/' data/ledger/entry-000001.json", &[2]),
        ("rm data/ledger/entry-000001.json", &[2]),
        ("sed -i 's/\"complete\":true/\"complete\":false/' data/runs/20261123T030000Z/report.json", &[3]),
        (
            "zstd -dcq data/segments/2026-11-segment-000002.jsonl.zst | sed s/Thanks/Thonks/ | zstd -qo x && mv x data/segments/2026-11-segment-000002.jsonl.zst",
            &[4, 5],
        ),
        ("sed -i s/Thanks/Thonks/ data/records.jsonl", &[5]),
        ("head -n 1 data/records.jsonl >> data/records.jsonl", &[5, 7, 8]),
    ];
    for (change, found) in changes {
        let bag = Bag::of(&memory);
        bag.shell(change);
        if found != [1] {
            reseal(&bag);
        }
        let expected: Vec<u32> = (1..=8).filter(|n| !found.contains(n)).collect();
        assert_eq!(bag.good(), expected, "{change}");
    }
    let bag = Bag::of(&memory);
    bag.shell(&format!("sed -i s/{ADELE}/{BIANCA}/ data/records.jsonl"));
    reseal(&bag);
    assert_eq!(bag.good(), [1, 2, 3, 4, 7, 8]);
}

#[test]
fn a_bag_is_of_one_person_and_in_a_folder_of_its_own() {
    let memory = archive(&sample());
    let place = tempfile::tempdir().unwrap();
    let both = audit_of(&memory, &[ADELE, BIANCA]);
    let refused = write_bag(&memory, &both, None, &place.path().join("bag"));
    assert!(matches!(refused, Err(HandoverError::Persons(2))));
    fs::write(place.path().join("mine"), "x").unwrap();
    let refused = write_bag(&memory, &audit_of(&memory, &[ADELE]), None, place.path());
    assert!(matches!(refused, Err(HandoverError::NotEmpty)));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn a_damaged_segment_makes_no_bag() {
    let mut memory = archive(&sample());
    let report = audit_of(&memory, &[ADELE]);
    let key =
        memory.objects.keys().find(|key| key.contains("created_month=2026-11") && key.contains(ADELE)).unwrap().clone();
    memory.objects.get_mut(&key).unwrap().truncate(40);
    let place = tempfile::tempdir().unwrap();
    let refused = write_bag(&memory, &report, None, &place.path().join("bag"));
    assert!(matches!(refused, Err(HandoverError::Archive(_))));
    assert!(!place.path().join("bag/manifest-sha256.txt").exists());
}
