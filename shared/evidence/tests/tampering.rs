//! What is changed in an archive is found, under its own name and no other.

#![allow(clippy::unwrap_used, reason = "what does not hold here is a fault of the test")]

mod support;

use std::collections::BTreeSet;

use evidence::{Code, Expectation, Memory, Verdict, verify};
use serde_json::json;
use support::*;

fn verdict(memory: &Memory) -> Verdict {
    verify(memory, &Expectation::default()).unwrap()
}

fn broken(verdict: &Verdict) -> BTreeSet<Code> {
    verdict.integrity().map(|finding| finding.code).collect()
}

/// Changes the sample by the edit, writes the ledger anew so that it pins the change too, and compares the codes found.
#[track_caller]
fn finds(codes: &[Code], edit: impl FnOnce(&mut Memory)) {
    let mut memory = sample();
    edit(&mut memory);
    seal(&mut memory, &[DAY_1.to_owned(), DAY_2.to_owned()]);
    assert_found(codes, &memory);
}

/// The same with the ledger left as it was.
#[track_caller]
fn finds_by_ledger(codes: &[Code], edit: impl FnOnce(&mut Memory)) {
    let mut memory = sample();
    edit(&mut memory);
    assert_found(codes, &memory);
}

#[track_caller]
fn assert_found(codes: &[Code], memory: &Memory) {
    let verdict = verdict(memory);
    assert_eq!(broken(&verdict), codes.iter().copied().collect(), "{:#?}", verdict.findings);
}

fn users_key(run: &str) -> String {
    format!("runs/{run}/users.jsonl.zst")
}

fn report_key(run: &str) -> String {
    format!("runs/{run}/report.json")
}

fn first_receipt() -> String {
    receipt_key(DAY_1, &attempt(1), 1)
}

/// Replaces a segment and keeps every receipt's hash of it right, so that only its content speaks.
fn rewrite_segment(memory: &mut Memory, key: &str, text: &str) {
    let bytes = zstd(text);
    let (before, after) = (sha256(&memory.objects[key]), sha256(&bytes));
    memory.objects.insert(key.to_owned(), bytes);
    let named: Vec<String> = memory.objects.keys().filter(|key| key.starts_with("runs/")).cloned().collect();
    for file in named.into_iter().filter(|key| key.contains("/receipts/") || key.contains("/users.")) {
        let text = unzstd(&memory.objects[&file]).replace(&before, &after);
        memory.objects.insert(file, zstd(&text));
    }
}

fn edit_segment(memory: &mut Memory, user: &str, n: u32, edit: impl FnOnce(String) -> String) {
    let key = segment_key(user, "2026-11", n);
    let text = edit(unzstd(&memory.objects[&key]));
    rewrite_segment(memory, &key, &text);
}

#[test]
fn an_archive_as_written_is_intact() {
    let verdict = verdict(&sample());
    assert_eq!(broken(&verdict), BTreeSet::new(), "{:#?}", verdict.findings);
    assert_eq!(verdict.notes().map(|note| note.code).collect::<Vec<_>>(), [Code::AttemptsLost]);
    let numbers = &verdict.numbers;
    assert_eq!((numbers.ledger_entries, numbers.closed_runs, numbers.run_files), (2, 2, 10));
    assert_eq!((numbers.users, numbers.segments, numbers.lines, numbers.receipt_new), (1, 3, 4, 3));
    assert_eq!(numbers.ledger_head.as_ref().unwrap().0, 2);
}

#[test]
fn the_marker() {
    finds(&[Code::ArchiveMissing], |memory| drop(memory.objects.remove("archive.json")));
    finds(&[Code::ArchiveInvalid], |memory| edit_json(memory, "archive.json", |file| file["tenant_id"] = json!("x")));
    finds(&[Code::ArchiveFormat], |memory| edit_json(memory, "archive.json", |file| file["format"] = json!(2)));
    finds(&[Code::UnknownKey], |memory| drop(memory.objects.insert("runs/x/notes.txt".to_owned(), Vec::new())));
    finds(&[Code::ForeignTenant], |memory| {
        let key = segment_key(ADELE, "2026-11", 1).replace(TENANT, OTHER_TENANT);
        memory.objects.insert(key, zstd("x\n"));
    });
}

#[test]
fn a_segment_removed_from_the_middle_or_the_end() {
    finds(&[Code::SegmentGap, Code::ReceiptSegmentMissing], |memory| {
        memory.objects.remove(&segment_key(ADELE, "2026-11", 1));
    });
    finds(&[Code::ReceiptSegmentMissing], |memory| drop(memory.objects.remove(&segment_key(ADELE, "2026-11", 2))));
}

#[test]
fn a_segment_damaged() {
    finds(&[Code::SegmentUndecodable, Code::ReceiptSegmentHash], |memory| {
        memory.objects.get_mut(&segment_key(ADELE, "2026-11", 1)).unwrap().truncate(20);
    });
    finds(&[Code::SegmentEmpty, Code::ReceiptSegmentLines], |memory| edit_segment(memory, ADELE, 1, |_| String::new()));
}

#[test]
fn a_segment_replaced() {
    finds(&[Code::ReceiptSegmentHash], |memory| {
        let key = segment_key(ADELE, "2026-11", 1);
        let text = unzstd(&memory.objects[&key]).replace(r#""id":"1""#, r#""id":"9""#);
        memory.objects.insert(key, zstd(&text));
    });
    finds(&[Code::ReceiptSegmentLines], |memory| {
        edit_segment(memory, ADELE, 1, |text| text.lines().next().unwrap().to_owned() + "\n");
    });
}

#[test]
fn a_line_that_is_no_record() {
    for line in ["{}", "", "{\"tenant_id\":", "[[[[", "\u{0}"] {
        finds(&[Code::LineInvalid], |memory| {
            edit_segment(memory, ADELE, 1, |text| format!("{}\n{line}\n", text.lines().next().unwrap()));
        });
    }
}

#[test]
fn a_line_of_somebody_else() {
    finds(&[Code::LineOwner], |memory| edit_segment(memory, ADELE, 1, |text| text.replacen(ADELE, BIANCA, 1)));
    finds(&[Code::LineOwner], |memory| edit_segment(memory, ADELE, 1, |text| text.replacen(TENANT, OTHER_TENANT, 1)));
    finds(&[Code::SegmentMixed], |memory| {
        edit_segment(memory, ADELE, 1, |text| {
            let (first, second) = text.split_once('\n').unwrap();
            format!("{first}\n{}", second.replace(&attempt(1), &attempt(7)))
        });
    });
    finds(&[Code::LineRun, Code::ReceiptSegmentOwner], |memory| {
        edit_segment(memory, ADELE, 1, |text| text.replace(DAY_1, "nobody"));
    });
    finds(&[Code::ReceiptSegmentOwner, Code::ReportNumbers], |memory| {
        edit_segment(memory, ADELE, 1, |text| text.replace(&attempt(1), &attempt(7)));
    });
}

#[test]
fn an_item_in_another_month_than_its_own() {
    finds(&[Code::LineMonth], |memory| {
        edit_segment(memory, ADELE, 2, |text| text.replace("2026-11-23T10", "2026-10-23T10"))
    });
}

#[test]
fn an_item_twice() {
    finds(&[Code::LineDuplicate], |memory| {
        let first = unzstd(&memory.objects[&segment_key(ADELE, "2026-11", 1)]);
        let item = first.lines().next().unwrap().split_once("\"interaction\":").unwrap().1.to_owned();
        edit_segment(memory, ADELE, 2, |text| {
            let (envelope, _) = text.split_once("\"interaction\":").unwrap();
            format!("{envelope}\"interaction\":{item}\n")
        });
    });
}

#[test]
fn a_file_of_a_run_missing_or_damaged() {
    finds(&[Code::RunFileMissing, Code::LedgerFiles], |memory| drop(memory.objects.remove(&report_key(DAY_1))));
    finds(&[Code::RunFileMissing, Code::LedgerFiles], |memory| {
        memory.objects.remove(&format!("runs/{DAY_1}/roster.jsonl.zst"));
    });
    finds_by_ledger(&[Code::RunFileInvalid, Code::LedgerFileHash], |memory| {
        memory.objects.insert(users_key(DAY_1), b"no zstd".to_vec());
    });
    finds(&[Code::RunFileInvalid], |memory| drop(memory.objects.insert(report_key(DAY_1), b"{".to_vec())));
    finds(&[Code::RunFileInvalid], |memory| {
        let deep = "[".repeat(100_000);
        memory.objects.insert(report_key(DAY_1), deep.into_bytes());
    });
    finds(&[Code::RunMismatch], |memory| {
        edit_json(memory, &format!("runs/{DAY_1}/run.json"), |run| run["run_id"] = json!(DAY_2));
    });
}

#[test]
fn a_roster_that_is_not_what_was_counted() {
    let roster = format!("runs/{DAY_1}/roster.jsonl.zst");
    let all = [Code::RosterCounts, Code::ReceiptUser, Code::UsersPlanned, Code::ReportUsers, Code::ReportComplete];
    finds(&all, |memory| edit_lines(memory, &roster, |lines| drop(lines.remove(1))));
    finds(&[Code::RosterLine, Code::RosterCounts], |memory| {
        edit_lines(memory, &roster, |lines| lines.push(lines[0].clone()));
    });
    finds(&[Code::RosterLine, Code::RosterCounts, Code::ReportUsers, Code::ReportComplete], |memory| {
        edit_lines(memory, &roster, |lines| lines[2]["excluded"] = json!(null));
    });
    finds(&[Code::RosterCounts], |memory| {
        edit_json(memory, &format!("runs/{DAY_1}/run.json"), |run| run["planned"] = json!(3));
    });
}

#[test]
fn a_receipt_line_changed() {
    let edit = |member: &'static str, value: serde_json::Value| {
        move |memory: &mut Memory| edit_lines(memory, &first_receipt(), |lines| lines[0][member] = value)
    };
    finds(&[Code::ReceiptOwner], edit("run_id", json!(DAY_2)));
    finds(&[Code::ReceiptOwner], edit("attempt_id", json!(attempt(9))));
    finds(&[Code::ReceiptUser, Code::ReceiptSegmentOwner, Code::UsersDiffer], edit("user_id", json!(CARLO)));
    finds(&[Code::ReceiptClass, Code::UsersDiffer], edit("class", json!("unfinished")));
    finds(&[Code::ReceiptClass, Code::UsersDiffer], edit("reason", json!("because")));
    finds(&[Code::ReceiptSum, Code::UsersDiffer], edit("received", json!(3)));
    finds(&[Code::ReceiptSum, Code::ReceiptNew, Code::UsersDiffer], edit("new", json!(u64::MAX)));
    finds(&[Code::ReceiptNew, Code::SegmentCountedTwice], |memory| {
        edit_lines(memory, &first_receipt(), |lines| {
            let segment = lines[0]["segments"][0].clone();
            lines[0]["segments"].as_array_mut().unwrap().push(segment);
        });
    });
    finds(&[Code::ReceiptWindow, Code::UsersDiffer], |memory| {
        edit_lines(memory, &first_receipt(), |lines| lines[0]["windows"][0]["to"] = json!("2026-11-23T01:00:01Z"));
    });
    finds(&[Code::ReceiptWindow, Code::UsersDiffer], |memory| {
        edit_lines(memory, &first_receipt(), |lines| lines[0]["windows"][0]["to"] = json!("2026-11-20T01:00:00Z"));
    });
    finds(&[Code::ReceiptSegmentMissing, Code::UsersDiffer], |memory| {
        edit_lines(memory, &first_receipt(), |lines| lines[0]["segments"][0]["key"] = json!("../../etc/passwd"));
    });
    finds(&[Code::QuarantineMissing, Code::UsersDiffer], |memory| {
        edit_lines(memory, &first_receipt(), |lines| lines[0]["quarantine"] = json!([{"key": "x", "sha256": "y"}]));
    });
}

#[test]
fn an_attempt_s_segment_counted_by_another() {
    let receipt = receipt_key(DAY_2, &attempt(3), 1);
    finds(&[Code::ReceiptSegmentOwner, Code::ReceiptNew, Code::UsersDiffer], |memory| {
        edit_lines(memory, &receipt, |lines| lines[0]["segments"][0]["adopted"] = json!(false));
    });
}

#[test]
fn a_receipt_removed() {
    finds(&[Code::UsersDiffer, Code::ReportNumbers], |memory| drop(memory.objects.remove(&first_receipt())));
    finds_by_ledger(&[Code::UsersDiffer, Code::ReportNumbers, Code::LedgerFileMissing], |memory| {
        memory.objects.remove(&first_receipt());
    });
}

#[test]
fn quarantined_pages() {
    let page = b"{\"value\":[";
    let key = |hash: &str| format!("quarantine/tenant_id={TENANT}/user_id={ADELE}/page-{hash}.zst");
    let stored = zstd(std::str::from_utf8(page).unwrap());
    finds(&[], |memory| drop(memory.objects.insert(key(&sha256(page)), stored.clone())));
    finds(&[Code::QuarantineHash], |memory| drop(memory.objects.insert(key(&sha256(b"x")), stored.clone())));
    finds(&[Code::QuarantineHash], |memory| drop(memory.objects.insert(key(&sha256(page)), page.to_vec())));
    finds(&[Code::QuarantineHash, Code::UsersDiffer], |memory| {
        memory.objects.insert(key(&sha256(page)), stored.clone());
        edit_lines(memory, &first_receipt(), |lines| {
            lines[1]["quarantine"] = json!([{"key": key(&sha256(page)), "sha256": sha256(page)}]);
        });
    });
}

#[test]
fn a_users_file_that_is_not_what_the_receipts_unite_to() {
    let users = users_key(DAY_1);
    finds(&[Code::UsersOrder], |memory| edit_lines(memory, &users, |lines| lines.reverse()));
    finds(&[Code::UsersPlanned, Code::ReportUsers, Code::ReportNumbers, Code::ReportComplete], |memory| {
        edit_lines(memory, &users, |lines| drop(lines.pop()));
    });
    for (member, value) in [
        ("windows", json!([{"from": "2026-01-01T00:00:00Z", "to": "2026-11-23T01:00:00Z"}])),
        ("covered_to", json!("2026-11-23T01:00:00Z")),
        ("pages", json!(9)),
        ("request_ids", json!(["made-up"])),
        ("run_id", json!(DAY_2)),
    ] {
        finds(&[Code::UsersDiffer], |memory| edit_lines(memory, &users, |lines| lines[0][member] = value.clone()));
    }
    finds(&[Code::UsersDiffer, Code::ReportUsers], |memory| {
        edit_lines(memory, &users, |lines| lines[0]["class"] = json!("deferred"));
    });
    finds(&[Code::UsersDiffer, Code::UsersClass], |memory| {
        edit_lines(memory, &users, |lines| lines[1]["windows"] = json!([]));
    });
    finds(&[Code::UsersDiffer, Code::ReportInteractions, Code::ReportComplete], |memory| {
        edit_lines(memory, &users, |lines| lines[0]["received"] = json!(5));
    });
}

#[test]
fn a_report_that_says_otherwise() {
    let edit =
        |edit: fn(&mut serde_json::Value)| move |memory: &mut Memory| edit_json(memory, &report_key(DAY_1), edit);
    finds(&[Code::ReportUsers], edit(|report| report["users"]["exported"] = json!(2)));
    finds(&[Code::ReportUsers], edit(|report| report["users"]["excluded"] = json!({"erased": 1})));
    finds(&[Code::ReportInteractions], edit(|report| report["interactions"]["new"] = json!(3)));
    finds(&[Code::ReportInteractions], edit(|report| report["interactions"]["recovered"] = json!(1)));
    finds(&[Code::ReportComplete], edit(|report| report["complete"] = json!(false)));
    finds(&[Code::ReportNumbers], edit(|report| report["requests"]["sent"] = json!(3)));
    finds(&[Code::ReportNumbers], edit(|report| report["attempts_lost"] = json!(1)));
    finds(&[Code::RunMismatch], edit(|report| report["kind"] = json!("history")));
}

#[test]
fn a_run_of_the_whole_tenant_that_was_refused_everywhere_is_not_complete() {
    let mut builder = Builder::new();
    let mut run = Run { roster: vec![roster_line(ADELE, "a", None)], ..Run::daily("2026-11-23") };
    let refused = line(DAY_1, &attempt(1), ADELE, "unavailable(refused)", ("", ""), (0, 0));
    run.receipts = vec![(attempt(1), vec![refused])];
    builder.close(&run);
    assert_found(&[Code::ReportComplete], &builder.memory);

    let mut builder = Builder::new();
    run.asked = json!({"users": [ADELE]});
    builder.close(&run);
    assert_found(&[], &builder.memory);
}

#[test]
fn the_history_that_remains() {
    let mut builder = Builder::new();
    let mut run = Run { roster: vec![roster_line(ADELE, "a", None)], ..Run::daily("2026-11-23") };
    let window = ("2026-11-20T01:00:00Z", "2026-11-23T01:00:00Z");
    let mut adele = line(DAY_1, &attempt(1), ADELE, "empty", window, (0, 0));
    adele["covered_from"] = json!(window.0);
    run.receipts = vec![(attempt(1), vec![adele])];
    builder.close(&run);
    assert_found(&[], &builder.memory);
    let expectation =
        Expectation { history_start: Some("2023-11-01T00:00:00Z".parse().unwrap()), ..Expectation::default() };
    let verdict = verify(&builder.memory, &expectation).unwrap();
    assert_eq!(broken(&verdict), [Code::ReportNumbers].into());
}

#[test]
fn the_ledger() {
    finds_by_ledger(&[Code::LedgerGap], |memory| drop(memory.objects.remove(&ledger_key(1))));
    finds_by_ledger(&[Code::LedgerLink], |memory| {
        edit_json(memory, &ledger_key(1), |entry| entry["closed_at"] = json!("2026-11-25T00:00:00Z"));
    });
    finds_by_ledger(&[Code::LedgerInvalid], |memory| edit_json(memory, &ledger_key(2), |entry| entry["n"] = json!(3)));
    finds_by_ledger(&[Code::LedgerInvalid], |memory| drop(memory.objects.insert(ledger_key(2), vec![0xff])));
    finds_by_ledger(&[Code::LedgerFileHash], |memory| {
        edit_json(memory, &report_key(DAY_1), |report| report["closed_at"] = json!("2026-11-25T00:00:00Z"));
    });
    finds_by_ledger(&[Code::LedgerFileSize], |memory| {
        edit_json(memory, &ledger_key(2), |entry| entry["files"][0]["bytes"] = json!(1));
    });
    finds_by_ledger(&[Code::LedgerFiles], |memory| {
        edit_json(memory, &ledger_key(2), |entry| entry["files"][1]["key"] = json!("archive.json"));
    });
    let twice = [DAY_1.to_owned(), DAY_2.to_owned(), DAY_1.to_owned()];
    let mut memory = sample();
    seal(&mut memory, &twice);
    assert_found(&[Code::LedgerRunTwice], &memory);
}

#[test]
fn a_whole_run_removed() {
    finds_by_ledger(&[Code::LedgerFileMissing, Code::LineRun], |memory| {
        memory.objects.retain(|key, _| !key.starts_with(&format!("runs/{DAY_2}/")));
    });
}

#[test]
fn the_tail_cut_off_is_found_by_the_head_noted_outside() {
    let mut memory = sample();
    let head = verdict(&memory).numbers.ledger_head.unwrap();
    let expectation = Expectation { ledger_head: Some(head), ..Expectation::default() };
    assert!(verify(&memory, &expectation).unwrap().is_intact());
    memory.objects.remove(&ledger_key(2));
    assert!(verdict(&memory).is_intact(), "a shorter chain holds by itself");
    assert_eq!(broken(&verify(&memory, &expectation).unwrap()), [Code::LedgerHead].into());
}

#[test]
fn what_breaks_no_promise_is_a_note() {
    let mut memory = sample();
    let mut builder = Builder::new();
    builder.segment(ADELE, "2026-11", 3, DAY_2, &attempt(8), &[item(8, "2026-11-23T12:00:00Z")]);
    memory.objects.extend(builder.memory.objects);
    let late = line(DAY_2, &attempt(9), BIANCA, "empty", ("2026-11-20T01:00:00Z", "2026-11-24T01:00:00Z"), (0, 0));
    memory.objects.insert(receipt_key(DAY_2, &attempt(9), 1), json_lines(&[late]));
    let open = Run { roster: vec![roster_line(ADELE, "a", None)], ..Run::daily("2026-11-25") };
    let mut builder = Builder::new();
    builder.open(&open);
    memory.objects.extend(builder.memory.objects);
    let verdict = verdict(&memory);
    assert!(verdict.is_intact(), "{:#?}", verdict.findings);
    let notes: BTreeSet<Code> = verdict.notes().map(|note| note.code).collect();
    assert_eq!(notes, [Code::Orphan, Code::LateReceipt, Code::RunOpen, Code::AttemptsLost].into());
    assert_eq!((verdict.numbers.orphans, verdict.numbers.late_receipts, verdict.numbers.attempts_lost), (1, 1, 2));
}

#[test]
fn a_receipt_that_comes_between_the_users_file_and_the_ledger_entry_breaks_nothing() {
    let mut memory = sample();
    memory.objects.remove(&ledger_key(2));
    let later = line(DAY_2, &attempt(9), BIANCA, "exported", ("2026-11-20T01:00:00Z", "2026-11-24T01:00:00Z"), (0, 2));
    memory.objects.insert(receipt_key(DAY_2, &attempt(9), 1), json_lines(&[later]));
    let verdict = verdict(&memory);
    assert!(verdict.is_intact(), "{:#?}", verdict.findings);
    assert_eq!(verdict.count(Code::RunOpen), 1);
}

#[test]
fn only_the_segments_of_the_users_asked_for_are_read() {
    let mut memory = sample();
    memory.objects.insert(segment_key(ADELE, "2026-11", 1), b"damaged".to_vec());
    let expectation = Expectation { users: Some([BIANCA.to_owned()].into()), ..Expectation::default() };
    let verdict = verify(&memory, &expectation).unwrap();
    assert!(verdict.is_intact(), "{:#?}", verdict.findings);
    assert_eq!((verdict.numbers.segments, verdict.numbers.segments_unread), (0, 3));
}

#[test]
fn no_truncation_of_any_object_panics_or_passes() {
    let memory = sample();
    for (key, bytes) in &memory.objects {
        if key == "README.txt" {
            continue;
        }
        for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            let mut cut = memory.clone();
            cut.objects.insert(key.clone(), bytes[..length].to_vec());
            assert!(!verdict(&cut).is_intact(), "{key} cut to {length}");
        }
    }
}

#[test]
fn a_byte_changed_anywhere_is_found() {
    let memory = sample();
    let expectation = Expectation { ledger_head: verdict(&memory).numbers.ledger_head, ..Expectation::default() };
    for (key, bytes) in memory.objects.iter().filter(|(key, _)| key.contains('/')) {
        // A step that shares no factor with the lengths of names and hashes meets every part of an object.
        for at in (0..bytes.len()).step_by(7) {
            let mut changed = memory.clone();
            changed.objects.get_mut(key).unwrap()[at] ^= 0x10;
            assert!(!verify(&changed, &expectation).unwrap().is_intact(), "{key} byte {at}");
        }
    }
}

#[test]
fn coverage_that_no_window_proves_is_noted() {
    let mut builder = Builder::new();
    let mut run = Run { roster: vec![roster_line(ADELE, "a", None)], ..Run::daily("2026-11-23") };
    let mut adele = line(DAY_1, &attempt(1), ADELE, "empty", ("2026-11-20T01:00:00Z", "2026-11-23T01:00:00Z"), (0, 0));
    adele["covered_from"] = json!("2026-11-20T01:00:00Z");
    adele["covered_to"] = json!("2026-11-23T01:00:00Z");
    run.receipts = vec![(attempt(1), vec![adele.clone()])];
    builder.close(&run);
    assert_eq!(verdict(&builder.memory).count(Code::CoverageUnproven), 0);

    let mut builder = Builder::new();
    adele["covered_from"] = json!("2026-11-19T01:00:00Z");
    run.receipts = vec![(attempt(1), vec![adele])];
    builder.close(&run);
    let verdict = verdict(&builder.memory);
    assert_eq!((verdict.is_intact(), verdict.count(Code::CoverageUnproven)), (true, 1));
    assert!(verdict.findings[0].sentence.contains("from 2026-11-19T01:00:00Z to 2026-11-20T01:00:00Z"));
}
