//! Each kind of tampering and loss by the exit code and the sentence that a person sees.
//!
//! That a kind is found under its own code and no other is for `tampering.rs` to show, and in `versions.rs` are the two kinds that
//! only a store with versions knows, `a_second_version` and `a_delete_marker`; `functions/local/tests/s3.rs` shows them at a bucket.

#![allow(clippy::unwrap_used, reason = "what does not hold here is a fault of the test")]

mod support;

use evidence::audit::{Request, Whom};
use evidence::{AuditReport, Expectation, Memory, audit, verify};
use serde_json::json;
use support::*;

/// Where the sample's last window ends.
const END: &str = "2026-11-24T01:00:00Z";
const TWO_DAYS_LATER: &str = "2026-11-26T01:00:00Z";

/// How far whoever changes the archive goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ledger {
    /// The ledger stays, and its head was noted outside.
    Left,
    /// It is written anew over what lies there now, and nobody noted a head: the change has to speak for itself.
    Anew,
}
use Ledger::{Anew, Left};

fn audited(memory: &Memory, ledger_head: Option<(u64, String)>, to: &str) -> AuditReport {
    let request = Request {
        whom: Whom::Named(vec![ADELE.to_owned()]),
        from: Some("2026-11-20T01:00:00Z".parse().unwrap()),
        to: Some(to.parse().unwrap()),
        explain: false,
        ledger_head,
        history_start: "2023-11-01T00:00:00Z".parse().unwrap(),
        retention_days: None,
        read_at: "2026-11-24T10:02:00Z".parse().unwrap(),
        location: String::new(),
        program: String::new(),
    };
    audit(memory, &request).unwrap()
}

/// Changes the sample, audits Adele, and looks for the exit code and for the sentence, which an untouched archive does not
/// say. A promise that is broken stands in a line of its own.
#[track_caller]
fn says(exit: u8, sentence: &str, ledger: Ledger, to: &str, edit: impl FnOnce(&mut Memory)) {
    let mut memory = sample();
    let untouched = audited(&memory, None, END);
    assert_eq!(untouched.answer.exit_code(), 0);
    assert!(!untouched.text().contains(sentence), "{sentence:?} is said of every archive");
    let mut head = verify(&memory, &Expectation::default()).unwrap().numbers.ledger_head;
    edit(&mut memory);
    if ledger == Anew {
        seal(&mut memory, &[DAY_1.to_owned(), DAY_2.to_owned()]);
        head = None;
    }
    let report = audited(&memory, head, to);
    let page = report.text();
    assert_eq!(report.answer.exit_code(), exit, "{page}");
    assert!(page.contains(&format!("exit {exit}\n")), "{page}");
    let is_marked = |line: &str| exit != 2 || line.trim_start().starts_with("! ");
    assert!(page.lines().any(|line| line.contains(sentence) && is_marked(line)), "no {sentence:?} in\n{page}");
}

fn segment(number: u32) -> String {
    segment_key(ADELE, "2026-11", number)
}

fn of_day_1(name: &str) -> String {
    format!("runs/{DAY_1}/{name}")
}

fn receipt() -> String {
    receipt_key(DAY_1, &attempt(1), 1)
}

/// Changes the text of a segment, and its hash wherever a receipt or a users file names it.
fn rewrite(memory: &mut Memory, number: u32, edit: impl FnOnce(&str) -> String) {
    let stored = &memory.objects[&segment(number)];
    let (before, bytes) = (sha256(stored), zstd(&edit(&unzstd(stored))));
    let after = sha256(&bytes);
    memory.objects.insert(segment(number), bytes);
    for (_, file) in memory.objects.iter_mut().filter(|(key, _)| key.starts_with("runs/") && key.ends_with(".zst")) {
        *file = zstd(&unzstd(file).replace(&before, &after));
    }
}

/// The first line of a text and nothing else.
fn first_line(text: &str) -> String {
    format!("{}\n", text.lines().next().unwrap())
}

#[test]
fn an_archive_that_nobody_touched_breaks_no_promise() {
    for ledger in [Left, Anew] {
        let mut memory = sample();
        let mut head = verify(&memory, &Expectation::default()).unwrap().numbers.ledger_head;
        if ledger == Anew {
            seal(&mut memory, &[DAY_1.to_owned(), DAY_2.to_owned()]);
            head = None;
        }
        let report = audited(&memory, head, END);
        assert_eq!(report.answer.exit_code(), 0, "{ledger:?}");
        assert!(report.text().contains("0 promises found broken"), "{ledger:?}");
    }
}

macro_rules! broken_promises {
    ($($kind:ident, $ledger:expr, $sentence:expr, $edit:expr;)+) => {
        $(#[test] fn $kind() { says(2, $sentence, $ledger, END, $edit); })+
    };
}

// Segments and their lines.
broken_promises! {
    a_byte_of_a_segment, Left, "names a segment whose bytes are others",
        |memory| memory.objects.get_mut(&segment(1)).unwrap()[20] ^= 1;

    a_segment_cut_short, Left, "names a segment whose bytes are others", |memory| {
        let bytes = memory.objects.get_mut(&segment(1)).unwrap();
        bytes.truncate(bytes.len() / 2);
    };

    a_line_removed, Anew, "names a segment that has another number of lines",
        |memory| rewrite(memory, 1, first_line);

    a_line_that_is_no_record, Anew, "line 3 is no record",
        |memory| rewrite(memory, 1, |text| format!("{text}{{}}\n"));

    a_line_twice, Anew, "line 3 holds an item that the user's archive holds already",
        |memory| rewrite(memory, 1, |text| format!("{text}{}", first_line(text)));

    a_line_swapped_to_another_user, Anew, "line 1 names another tenant or user than the key",
        |memory| rewrite(memory, 1, |text| text.replacen(ADELE, BIANCA, 1));

    an_item_in_the_wrong_month, Anew, "line 1 holds an item of 2026-10",
        |memory| rewrite(memory, 2, |text| text.replace("2026-11-23T10", "2026-10-23T10"));

    a_segment_removed_from_the_middle, Left, "the log has no segment 1, and later ones",
        |memory| drop(memory.objects.remove(&segment(1)));

    the_last_segment_removed, Left, "names a segment that is not there",
        |memory| drop(memory.objects.remove(&segment(2)));
}

// The files of a run.
broken_promises! {
    a_receipt_removed, Left, "and is not there",
        |memory| drop(memory.objects.remove(&receipt()));

    a_receipt_changed, Anew, "does not add up: received is not new + already_held",
        |memory| edit_lines(memory, &receipt(), |lines| lines[0]["received"] = json!(3));

    a_window_widened, Anew, "has a window that is empty, inverted or ends after the run's",
        |memory| edit_lines(memory, &receipt(), |lines| lines[0]["windows"][0]["to"] = json!("2026-11-23T01:00:01Z"));

    a_line_of_users_changed, Anew, "line 1 differs from what its receipts unite to in pages",
        |memory| edit_lines(memory, &of_day_1("users.jsonl.zst"), |lines| lines[0]["pages"] = json!(9));

    a_line_of_users_removed, Anew, "1 planned users have no line, 0 lines are of users not planned",
        |memory| edit_lines(memory, &of_day_1("users.jsonl.zst"), |lines| drop(lines.pop()));

    a_line_of_the_roster_removed, Anew, "the roster has 2 users",
        |memory| edit_lines(memory, &of_day_1("roster.jsonl.zst"), |lines| drop(lines.remove(1)));

    a_report_changed, Anew, "says complete: false, and it is true",
        |memory| edit_json(memory, &of_day_1("report.json"), |report| report["complete"] = json!(false));

    a_report_removed, Left, "is not there, though files put after it are",
        |memory| drop(memory.objects.remove(&of_day_1("report.json")));

    a_run_under_another_name, Anew, "names another format, run or tenant",
        |memory| edit_json(memory, &of_day_1("run.json"), |run| run["run_id"] = json!(DAY_2));

    a_quarantined_page_removed, Anew, "names a quarantined page that is not there", |memory| {
        let page = json!([{"key": "x", "sha256": "y"}]);
        edit_lines(memory, &receipt(), |lines| lines[0]["quarantine"] = page);
    };
}

// The ledger, and the archive as a whole.
broken_promises! {
    a_ledger_entry_changed, Left, "does not name the hash of the entry before it", |memory| {
        let other = json!("2026-11-25T00:00:00Z");
        edit_json(memory, &ledger_key(1), |entry| entry["closed_at"] = other);
    };

    a_ledger_entry_removed, Left, "the ledger has no entry 1, and later ones",
        |memory| drop(memory.objects.remove(&ledger_key(1)));

    the_ledger_s_end_cut_off, Left, "entry 2 is not there with the hash that was noted outside",
        |memory| drop(memory.objects.remove(&ledger_key(2)));

    a_ledger_entry_forged, Left, "names a run that an entry before it closed", |memory| {
        let head = sha256(&memory.objects[&ledger_key(2)]);
        let forged = memory.objects[&ledger_key(1)].clone();
        memory.objects.insert(ledger_key(3), forged);
        edit_json(memory, &ledger_key(3), |entry| {
            entry["n"] = json!(3);
            entry["previous"] = json!(head);
        });
    };

    archive_json_removed, Left, "there is no archive.json, so nothing says whose this is",
        |memory| drop(memory.objects.remove("archive.json"));

    archive_json_of_another_tenant, Left, "belongs to another tenant than the archive",
        |memory| edit_json(memory, "archive.json", |archive| archive["tenant_id"] = json!(OTHER_TENANT));

    a_foreign_object, Left, "is no key of the format",
        |memory| drop(memory.objects.insert("runs/x/notes.txt".to_owned(), Vec::new()));
}

#[test]
fn days_without_a_run() {
    says(1, "GAP 1   no run; OPEN", Left, TWO_DAYS_LATER, |_| ());
}

#[test]
fn a_window_read_by_half() {
    says(1, &format!("GAP 1   failed(given-up) in 1 runs ({DAY_2})"), Anew, END, |memory| {
        for file in [receipt_key(DAY_2, &attempt(3), 1), format!("runs/{DAY_2}/users.jsonl.zst")] {
            edit_lines(memory, &file, |lines| {
                lines[0]["class"] = json!("failed");
                lines[0]["reason"] = json!("given-up");
                lines[0]["windows"] = json!([{"from": "2026-11-20T01:00:00Z", "to": "2026-11-23T12:00:00Z"}]);
            });
        }
        edit_json(memory, &format!("runs/{DAY_2}/report.json"), |report| {
            report["complete"] = json!(false);
            report["users"]["exported"] = json!(0);
            report["users"]["failed"] = json!(1);
        });
    });
}
