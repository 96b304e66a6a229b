//! docs/FORMAT.md and the archive in docs/example, held against the reader.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::collections::BTreeSet;
use std::path::Path;

use evidence::{Code, Expectation, Folder, Memory, Source, verify};
use sha2::{Digest, Sha256};

const FORMAT: &str = include_str!("../../../docs/FORMAT.md");
const GUID: &str = "5ac181d0-c896-435a-a745-ac948db1d59a";

fn example() -> Folder {
    Folder::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/example"))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The lines of the fenced blocks of this language.
fn shown(language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    let blocks = FORMAT.split(&begin).skip(1);
    blocks.flat_map(|block| block.split_once("\n```").unwrap().0.lines()).collect()
}

#[test]
fn the_example_is_whole_and_its_head_is_the_one_documented() {
    let head = (2, "9db34163cced962e7c42446d2e9b8aa6c4b1453748996a6b15b3f6346c0efeb8".to_owned());
    assert!(FORMAT.contains(&format!("{}  entry-000002.json", head.1)));
    let history_start = Some("2023-11-01T00:00:00Z".parse().unwrap());
    let verdict =
        verify(&example(), &Expectation { ledger_head: Some(head), history_start, ..Expectation::default() }).unwrap();
    assert_eq!(verdict.findings, []);
    assert_eq!((verdict.numbers.closed_runs, verdict.numbers.segments, verdict.numbers.lines), (2, 3, 4));
}

#[test]
fn what_the_document_shows_lies_in_the_example() {
    let source = example();
    let (mut lines, mut hashes) = (BTreeSet::new(), BTreeSet::new());
    for key in source.list("").unwrap() {
        let bytes = source.read(&key).unwrap().unwrap();
        hashes.insert(sha256(&bytes));
        let text = if key.ends_with(".zst") { zstd::decode_all(&*bytes).unwrap() } else { bytes };
        lines.extend(String::from_utf8(text).unwrap().lines().map(str::to_owned));
    }
    let shown = [shown("json"), shown("jsonl")].concat();
    assert_eq!(shown.len(), 4);
    for line in shown {
        assert!(lines.contains(line), "{line}");
    }
    let words = FORMAT.split(|c: char| !c.is_ascii_alphanumeric());
    let documented: BTreeSet<&str> =
        words.filter(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit())).collect();
    assert_eq!(documented.len(), 2);
    for hash in documented {
        assert!(hashes.contains(hash), "{hash}");
    }
}

#[test]
fn the_hash_of_an_item_is_the_one_documented() {
    let (item, hash) = FORMAT
        .split_once("$ printf '%s' '")
        .and_then(|(_, rest)| rest.split_once("' | sha256sum | cut -c1-32\n"))
        .map(|(item, rest)| (item, rest.lines().next().unwrap()))
        .unwrap();
    assert_eq!(sha256(item.as_bytes())[..32], *hash);
}

#[test]
fn the_documented_months_are_those_of_the_reader() {
    let table = FORMAT.split_once("| item | month |\n|---|---|\n").unwrap().1;
    let rows: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 20);
    for row in rows {
        let (item, month) = row.strip_prefix("| `").unwrap().strip_suffix("` |").unwrap().split_once("` | `").unwrap();
        assert_eq!(misplaced(item, month), 0, "{row}");
        assert_eq!(misplaced(item, "2001-01"), 1, "{row}");
    }
}

/// How many items a reader finds in the wrong month if this one lies in the log of `month`.
fn misplaced(item: &str, month: &str) -> u64 {
    let line = format!(
        r#"{{"tenant_id":"{GUID}","user_id":"{GUID}","run_id":"r","attempt_id":"{}","fetched_at":"2026-11-24T03:00:00Z","interaction":{item}}}"#,
        "0".repeat(32)
    );
    let archive =
        format!(r#"{{"format":1,"archive_id":"{GUID}","tenant_id":"{GUID}","created_at":"2026-11-24T03:00:00Z"}}"#);
    let key = format!("interactions/tenant_id={GUID}/created_month={month}/user_id={GUID}/segment-000001.jsonl.zst");
    let segment = zstd::encode_all(format!("{line}\n").as_bytes(), 1).unwrap();
    let source = Memory { objects: [("archive.json".to_owned(), archive.into_bytes()), (key, segment)].into() };
    let verdict = verify(&source, &Expectation::default()).unwrap();
    assert_eq!(verdict.count(Code::LineInvalid), 0, "{item}");
    verdict.count(Code::LineMonth)
}
