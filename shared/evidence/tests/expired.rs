//! What has expired by policy is told from damage, and from a gap.

#![allow(clippy::unwrap_used, reason = "what does not hold here is a fault of the test")]

mod support;

use std::collections::BTreeSet;

use evidence::audit::{Request, Whom};
use evidence::{Answer, AuditReport, Code, Expectation, Memory, Retention, Verdict, Window, audit, verify};
use jiff::Timestamp;
use serde_json::json;
use support::*;

const DAYS: u32 = 17;
/// So many days before it lies midnight between the two runs of the sample.
const READ_AT: &str = "2026-12-11T00:00:00Z";
const KEPT_SINCE: &str = "2026-11-24T00:00:00Z";
const NO_GAP: &str = "2026-11-20T01:00:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn verdict_at(memory: &Memory, read_at: &str) -> Verdict {
    let retention = Some(Retention { days: DAYS, read_at: time(read_at) });
    verify(memory, &Expectation { retention, ..Expectation::default() }).unwrap()
}

fn verdict(memory: &Memory) -> Verdict {
    verdict_at(memory, READ_AT)
}

fn broken(verdict: &Verdict) -> BTreeSet<Code> {
    verdict.integrity().map(|finding| finding.code).collect()
}

fn request(days: Option<u32>, from: &str, whom: Whom) -> Request {
    Request {
        whom,
        from: Some(time(from)),
        to: None,
        explain: true,
        ledger_head: None,
        history_start: time("2023-11-01T00:00:00Z"),
        retention_days: days,
        read_at: time(READ_AT),
        location: "./archive".to_owned(),
        program: "copilot-archive 0.1.0".to_owned(),
    }
}

fn audited(memory: &Memory, days: Option<u32>, from: &str, whom: Whom) -> AuditReport {
    audit(memory, &request(days, from, whom)).unwrap()
}

fn answer(memory: &Memory, days: Option<u32>) -> Answer {
    audited(memory, days, NO_GAP, Whom::All).answer
}

/// What a run has put: its files, and its segments.
fn put_by(run: &str, segments: &[String]) -> Vec<String> {
    let files = sample().objects.into_keys().filter(|key| key.starts_with(&format!("runs/{run}/")));
    files.chain(segments.iter().cloned()).collect()
}

fn old() -> Vec<String> {
    put_by(DAY_1, &[segment_key(ADELE, "2026-11", 1)])
}

fn without<'a>(keys: impl IntoIterator<Item = &'a String>) -> Memory {
    let mut memory = sample();
    keys.into_iter().for_each(|key| assert!(memory.objects.remove(key).is_some(), "{key}"));
    memory
}

#[test]
fn whatever_of_an_old_run_is_gone_is_expired_and_never_damage() {
    let old = old();
    assert_eq!(answer(&sample(), Some(DAYS)), Answer::NoOpenGap);
    for subset in 1_u32..1 << old.len() {
        let gone: Vec<&String> =
            old.iter().enumerate().filter(|(bit, _)| subset >> bit & 1 == 1).map(|(_, key)| key).collect();
        let memory = without(gone.iter().copied());
        let found = verdict(&memory);
        assert!(found.is_intact(), "{gone:#?}: {:#?}", found.findings);
        assert_eq!(found.notes().count(), verdict(&sample()).notes().count(), "{gone:#?}: {:#?}", found.findings);
        let expired = found.expired.unwrap();
        let files = gone.iter().filter(|key| key.starts_with("runs/")).count();
        let receipt = old.iter().find(|key| key.contains("/receipts/")).unwrap();
        // Without its receipts nobody knows which segments a run had.
        let segments = gone.len() - files - usize::from(files < gone.len() && gone.contains(&receipt));
        assert_eq!((expired.run_files, expired.segments), (files as u64, segments as u64), "{gone:#?}");
        let counted = |key: &&String| ["/roster", "/users", "/report"].iter().any(|file| key.contains(file));
        assert_eq!(expired.lines, if gone.iter().any(counted) { 0 } else { 2 * expired.segments });
        assert_eq!(expired.runs, u64::from(files + segments > 0));
        let report = audited(&memory, Some(DAYS), NO_GAP, Whom::All);
        assert_eq!((report.answer, report.answer.exit_code()), (Answer::NoOpenGap, 0), "{gone:#?}");
        let person = audited(&memory, Some(DAYS), NO_GAP, Whom::Named(vec![ADELE.to_owned()]));
        assert_eq!(person.answer, Answer::NoOpenGap, "{gone:#?}");
        // Who is not told that anything expires finds what is missing, as ever.
        assert_eq!(answer(&memory, None).exit_code(), 2, "{gone:#?}");
        assert_eq!(answer(&memory, Some(0)).exit_code(), 2, "{gone:#?}");
    }
}

#[test]
fn the_page_names_what_has_expired() {
    let gone = [format!("runs/{DAY_1}/run.json"), segment_key(ADELE, "2026-11", 1)];
    let memory = without(&gone);
    let page = audited(&memory, Some(DAYS), NO_GAP, Whom::All).text();
    let names = |sentence: &str| assert!(page.contains(sentence), "{sentence}\n{page}");
    names(
        "expired     2026-11-20T01:00:00Z … 2026-11-24T00:00:00Z    expired by policy: nothing need be kept longer than 17 days",
    );
    names("expired by policy: 1 files of 1 runs that began before 2026-11-24T00:00:00Z, 1 segments and 0 pages");
    names("2 lines + 2 expired = 3 new by receipts + 1 of attempts that left none or of runs not closed, or expired");
    names("0 promises found broken");
    names("verdict     NO OPEN GAP    exit 0");
    let json = serde_json::to_value(audited(&memory, Some(DAYS), NO_GAP, Whom::All)).unwrap();
    assert_eq!(json["integrity"]["expired"]["run_files"], json!(1));
    assert_eq!(json["expired"], json!({"from": NO_GAP, "to": KEPT_SINCE}));
    let told_nothing = audited(&sample(), None, NO_GAP, Whom::All).text();
    assert!(!told_nothing.contains("expired"), "{told_nothing}");
}

#[test]
fn what_is_missing_of_a_run_that_is_kept_is_damage() {
    let segments = [segment_key(ADELE, "2026-11", 2), segment_key(ADELE, "unknown", 1)];
    for key in put_by(DAY_2, &segments) {
        // Be the old run there or not.
        for gone in [vec![key.clone()], [old(), vec![key.clone()]].concat()] {
            let memory = without(&gone);
            assert!(!verdict(&memory).is_intact(), "{key}");
            let report = audited(&memory, Some(DAYS), NO_GAP, Whom::All);
            assert_eq!(report.answer.exit_code(), 2, "{key}");
            assert!(report.text().contains("INTEGRITY FAILURE"), "{key}");
        }
    }
    for key in ["archive.json".to_owned(), ledger_key(1)] {
        assert_eq!(answer(&without([&key]), Some(DAYS)).exit_code(), 2, "{key}: it never expires");
    }
    // A day later nothing of it need be kept.
    assert!(verdict_at(&without(&segments), "2026-12-12T03:00:06Z").is_intact());
}

#[test]
fn what_is_left_of_an_old_run_is_checked_as_ever() {
    for key in old() {
        let mut memory = sample();
        *memory.objects.get_mut(&key).unwrap().last_mut().unwrap() ^= 1;
        assert_eq!(answer(&memory, Some(DAYS)).exit_code(), 2, "{key}");
    }
}

#[test]
fn behind_a_segment_that_is_kept_none_is_missing() {
    let mut builder = Builder::new();
    for n in 3..=4 {
        builder.segment(ADELE, "2026-11", n, DAY_2, &attempt(8), &[item(n + 5, "2026-11-23T12:00:00Z")]);
    }
    let mut memory = without(&[segment_key(ADELE, "2026-11", 1)]);
    memory.objects.extend(builder.memory.objects.into_iter().filter(|(key, _)| key.contains("segment-")));
    assert!(verdict(&memory).is_intact());
    memory.objects.remove(&segment_key(ADELE, "2026-11", 3));
    // No receipt names the third, so only its number tells; of an old one it does not.
    assert_eq!(broken(&verdict(&memory)), [Code::SegmentGap].into());
    assert!(verdict_at(&memory, "2026-12-12T06:00:00Z").is_intact());
}

#[test]
fn of_a_month_that_began_within_what_is_kept_no_number_is_missing() {
    let mut builder = Builder::new();
    for (month, n) in [("2026-11", 1), ("2026-11", 2), ("2027-11", 1), ("2027-11", 2)] {
        builder.segment(BIANCA, month, n, DAY_2, &attempt(8), &[item(n, &format!("{month}-23T12:00:00Z"))]);
    }
    let with = |gone: &str, days: u32, users: &[&str]| {
        let mut memory = sample();
        memory.objects.extend(builder.memory.objects.clone().into_iter().filter(|(key, _)| key.contains("segment-")));
        assert!(memory.objects.remove(gone).is_some());
        let users = Some(users.iter().map(|user| (*user).to_owned()).collect());
        let retention = Some(Retention { days, read_at: time(READ_AT) });
        broken(&verify(&memory, &Expectation { retention, users, ..Expectation::default() }).unwrap())
    };
    // Forty days before the audit the month begins. Nothing names the first segment, and its log need not be read.
    let first = segment_key(BIANCA, "2026-11", 1);
    for users in [&[BIANCA][..], &[ADELE]] {
        assert_eq!(with(&first, 40, users), [Code::SegmentGap].into());
        assert_eq!(with(&first, 39, users), [].into(), "it may have been put on the first day");
        assert_eq!(with(&segment_key(BIANCA, "2027-11", 1), 40, users), [].into(), "who knows when it was put");
    }
}

#[test]
fn a_number_that_is_taken_again_is_the_later_runs() {
    let mut builder = Builder::new();
    let roster = vec![roster_line(ADELE, "adele@contoso.example", None)];
    let from = "2026-11-04T01:00:00Z";
    // So many days lie between them that what the first has put is gone when the second reads.
    for (n, date) in [(1, "2026-11-07"), (2, "2026-11-24")] {
        let mut day = Run { roster: roster.clone(), ..Run::daily(date) };
        let to = day.to.clone().unwrap();
        let segment = builder.segment(ADELE, "2026-11", 1, &day.id, &attempt(n), &[item(n, "2026-11-05T10:00:00Z")]);
        let mut adele = line(&day.id, &attempt(n), ADELE, "exported", (from, &to), (1, 0));
        adele["segments"] = json!([segment]);
        day.receipts = vec![(attempt(n), vec![adele])];
        builder.close(&day);
    }
    let found = verdict(&builder.memory);
    assert!(found.is_intact(), "{:#?}", found.findings);
    assert_eq!(found.expired.unwrap().segments, 1);
    assert!(!verify(&builder.memory, &Expectation::default()).unwrap().is_intact());
    // It is checked with its own run.
    *builder.memory.objects.get_mut(&segment_key(ADELE, "2026-11", 1)).unwrap().last_mut().unwrap() ^= 1;
    assert!(!verdict(&builder.memory).is_intact());
}

#[test]
fn of_a_run_that_nobody_closed_the_receipts_may_be_left_alone() {
    for id in ["20261122T030000Z", "20261122T030000Z-history", "20261122T030000Z-lookback"] {
        let window = ("2026-11-20T01:00:00Z", "2026-11-22T01:00:00Z");
        let receipts = vec![(attempt(5), vec![line(id, &attempt(5), BIANCA, "empty", window, (0, 0))])];
        let roster = vec![roster_line(BIANCA, "b", None)];
        let mut builder = Builder::new();
        builder.open(&Run { id: id.to_owned(), roster, receipts, ..Run::daily("2026-11-22") });
        let mut memory = sample();
        memory.objects.extend(builder.memory.objects.into_iter().filter(|(key, _)| key.contains("/receipts/")));
        let found = verdict(&memory);
        assert!(found.is_intact(), "{id}: {:#?}", found.findings);
        assert_eq!((found.count(Code::RunOpen), found.expired.unwrap().run_files), (1, 2), "{id}");
        // Of one that is kept they are missing.
        assert_eq!(broken(&verdict_at(&memory, "2026-12-09T02:59:59Z")), [Code::RunFileMissing].into(), "{id}");
        assert_eq!(broken(&verify(&memory, &Expectation::default()).unwrap()), [Code::RunFileMissing].into());
    }
}

/// A segment that somebody puts into an archive, of a run that is no matter.
fn planted(memory: &mut Memory, user: &str, run: &str) {
    let mut builder = Builder::new();
    builder.segment(user, "2026-11", 1, run, &attempt(7), &[item(7, "2026-11-01T01:00:00Z")]);
    let key = segment_key(user, "2026-11", 1);
    memory.objects.insert(key.clone(), builder.memory.objects.remove(&key).unwrap());
}

#[test]
fn an_old_segment_that_was_replaced_is_damage_whatever_run_it_names() {
    for run in ["20261101T030000Z", "case-1", DAY_1, DAY_2] {
        let mut memory = sample();
        planted(&mut memory, ADELE, run);
        let found = broken(&verdict(&memory));
        assert!(found.contains(&Code::ReceiptSegmentHash), "{run}: {found:?}");
        assert_eq!(answer(&memory, Some(DAYS)).exit_code(), 2, "{run}");
    }
}

#[test]
fn an_old_segment_that_nothing_names_is_an_orphan_unless_its_receipt_has_expired() {
    let run_1 = put_by(DAY_1, &[]);
    let receipt = run_1.iter().find(|key| key.contains("/receipts/")).unwrap();
    for (run, gone, orphans) in [
        (DAY_1, vec![], 1),
        (DAY_1, vec![receipt], 0),
        (DAY_1, run_1.iter().collect(), 0),
        // No run of this id is left, or ever was.
        ("20261101T030000Z", vec![], 1),
    ] {
        let mut memory = without(gone.iter().copied());
        planted(&mut memory, BIANCA, run);
        let found = verdict(&memory);
        assert_eq!(
            (found.is_intact(), found.numbers.orphans),
            (true, orphans),
            "{run} {gone:?}: {:#?}",
            found.findings
        );
    }
    // A run that is open may still name it.
    let mut memory = sample();
    let mut builder = Builder::new();
    builder.open(&Run { roster: vec![roster_line(BIANCA, "b", None)], ..Run::daily("2026-11-22") });
    memory.objects.extend(builder.memory.objects.into_iter().filter(|(key, _)| key.starts_with("runs/")));
    planted(&mut memory, BIANCA, "20261122T030000Z");
    assert_eq!(verdict(&memory).numbers.orphans, 0);
}

#[test]
fn a_page_in_quarantine_expires_too() {
    let mut builder = Builder::new();
    let page = zstd("no page");
    let key = format!("quarantine/tenant_id={TENANT}/user_id={ADELE}/page-{}.zst", sha256(b"no page"));
    let mut day = Run { roster: vec![roster_line(ADELE, "a", None)], ..Run::daily("2026-11-23") };
    let mut adele = line(DAY_1, &attempt(1), ADELE, "failed(bad-page)", ("", ""), (0, 0));
    adele["quarantine"] = json!([{"key": key, "sha256": sha256(&page)}]);
    day.receipts = vec![(attempt(1), vec![adele])];
    builder.close(&day);
    let found = verdict(&builder.memory);
    assert!(found.is_intact(), "{:#?}", found.findings);
    assert_eq!(found.expired.unwrap().pages, 1);
    assert_eq!(broken(&verdict_at(&builder.memory, "2026-12-01T00:00:00Z")), [Code::QuarantineMissing].into());
}

#[test]
fn time_before_what_is_kept_is_expired_and_no_gap() {
    let person = || Whom::Named(vec![BIANCA.to_owned()]);
    let long_ago = "2025-01-01T00:00:00Z";
    let before = Window { from: time(long_ago), to: time(KEPT_SINCE) };
    for memory in [sample(), without(&old())] {
        for whom in [Whom::All, person()] {
            let report = audited(&memory, Some(DAYS), long_ago, whom.clone());
            assert_eq!((report.answer, report.expired), (Answer::NoOpenGap, Some(before)), "{whom:?}");
            assert_eq!(audited(&sample(), None, long_ago, whom).answer, Answer::OpenGap);
        }
        let page = audited(&memory, Some(DAYS), long_ago, person()).text();
        let sentence = "coverage    2025-01-01T00:00:00Z … 2026-11-24T00:00:00Z    expired by policy: ";
        assert!(page.contains(sentence), "{page}");
        assert!(page.contains("gaps        0 open, 0 read by a later run"), "{page}");
    }
    // What is kept may have gaps.
    let mut gap = without(&old());
    edit_lines(&mut gap, &format!("runs/{DAY_2}/users.jsonl.zst"), |lines| lines[1]["windows"] = json!([]));
    edit_lines(&mut gap, &receipt_key(DAY_2, &attempt(3), 1), |lines| lines[1]["windows"] = json!([]));
    let open = audited(&gap, Some(DAYS), long_ago, person()).users[0].coverage.open().next().unwrap().window;
    assert_eq!(open, Window { from: time(KEPT_SINCE), to: time("2026-11-24T01:00:00Z") });
}

#[test]
fn an_archive_of_which_only_the_ledger_is_left_is_intact_and_proves_nothing() {
    let mut memory = sample();
    memory.objects.retain(|key, _| !key.starts_with("runs/") && !key.starts_with("interactions/"));
    assert_eq!(answer(&memory, Some(DAYS)).exit_code(), 2, "one run is kept");
    let later = "2026-12-12T06:00:01Z";
    let found = verdict_at(&memory, later);
    assert!(found.is_intact(), "{:#?}", found.findings);
    assert_eq!(found.expired.unwrap().runs, found.numbers.closed_runs);
    let report = audit(&memory, &Request { read_at: time(later), ..request(Some(DAYS), NO_GAP, Whom::All) }).unwrap();
    assert_eq!((report.answer, report.expired), (Answer::NoOpenGap, Some(report.asked)));
    assert_eq!(report.summary.users, 0);
}
