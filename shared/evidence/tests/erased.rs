//! Erased users: a tombstone says why what is missing of its user is missing, and of nobody else.

#![allow(clippy::unwrap_used, reason = "what does not hold here is a fault of the test")]

mod support;

use std::collections::BTreeSet;

use evidence::audit::{Request, Whom};
use evidence::{Answer, Code, Erased, Expectation, Memory, Verdict, audit, verify};
use serde_json::json;
use support::*;

const ERASED_AT: &str = "2026-11-25T08:00:00Z";

fn tombstone_key(user: &str) -> String {
    format!("erased/tenant_id={TENANT}/user_id={user}.json")
}

fn tombstone(user: &str) -> Vec<u8> {
    json!({"user_id": user, "erased_at": ERASED_AT, "reason": "request 17"}).to_string().into_bytes()
}

/// The keys and lines of a user's segments in the sample.
fn segments(user: &str) -> Vec<(String, u64)> {
    let own = |key: &&String| key.starts_with("interactions/") && key.contains(user);
    let lines = |bytes: &[u8]| unzstd(bytes).lines().count() as u64;
    sample().objects.iter().filter(|(key, _)| own(key)).map(|(key, bytes)| (key.clone(), lines(bytes))).collect()
}

/// The sample after this user's erasure, up to what these keys hold.
fn erased(user: &str, kept: &[&str]) -> Memory {
    let mut memory = sample();
    for (key, _) in segments(user).iter().filter(|(key, _)| !kept.contains(&key.as_str())) {
        memory.objects.remove(key).unwrap();
    }
    memory.objects.insert(tombstone_key(user), tombstone(user));
    memory
}

fn verdict(memory: &Memory) -> Verdict {
    verify(memory, &Expectation::default()).unwrap()
}

fn broken(memory: &Memory) -> BTreeSet<Code> {
    verdict(memory).integrity().map(|finding| finding.code).collect()
}

fn page(memory: &Memory, whom: Whom) -> (Answer, String) {
    let request = Request {
        whom,
        from: Some("2026-11-20T01:00:00Z".parse().unwrap()),
        to: None,
        explain: false,
        ledger_head: None,
        history_start: "2023-11-01T00:00:00Z".parse().unwrap(),
        retention_days: None,
        read_at: "2026-11-26T10:02:00Z".parse().unwrap(),
        location: "./archive".to_owned(),
        program: "copilot-archive 0.1.0".to_owned(),
    };
    let report = audit(memory, &request).unwrap();
    (report.answer, report.text())
}

#[test]
fn what_is_missing_of_an_erased_user_is_counted_and_no_fault() {
    let memory = erased(ADELE, &[]);
    let gone = segments(ADELE);
    let found = verdict(&memory);
    assert!(found.is_intact(), "{:#?}", found.findings);
    let expected = Erased {
        user_id: ADELE.to_owned(),
        erased_at: ERASED_AT.parse().unwrap(),
        reason: Some("request 17".to_owned()),
        segments: gone.len() as u64,
        lines: gone.iter().map(|(_, lines)| lines).sum(),
        pages: 0,
        left: 0,
    };
    assert!(expected.segments > 1 && expected.lines > expected.segments);
    assert_eq!(found.erased, [expected]);
}

#[test]
fn without_the_tombstone_it_is_one() {
    let mut memory = erased(ADELE, &[]);
    memory.objects.remove(&tombstone_key(ADELE));
    assert_eq!(broken(&memory), [Code::ReceiptSegmentMissing].into());
    assert!(verdict(&memory).erased.is_empty());
}

#[test]
fn what_a_lock_kept_of_an_erased_user_may_have_gaps() {
    let own = segments(ADELE);
    let kept: Vec<&str> = own.iter().map(|(key, _)| key.as_str()).filter(|key| key.ends_with("2.jsonl.zst")).collect();
    assert_eq!(kept.len(), 1);
    let memory = erased(ADELE, &kept);
    let found = verdict(&memory);
    assert!(found.is_intact(), "{:#?}", found.findings);
    assert_eq!((found.erased[0].segments, found.erased[0].left), (own.len() as u64 - 1, 1));
    let mut without = memory;
    without.objects.remove(&tombstone_key(ADELE));
    assert_eq!(broken(&without), [Code::ReceiptSegmentMissing, Code::SegmentGap].into());
    // What is left is held against its hash as ever.
    let mut changed = erased(ADELE, &kept);
    let text = unzstd(&changed.objects[kept[0]]).replace("2026-11-23T10", "2026-11-23T11");
    changed.objects.insert(kept[0].to_owned(), zstd(&text));
    assert_eq!(broken(&changed), [Code::ReceiptSegmentHash].into());
}

#[test]
fn what_a_run_put_where_something_was_erased_is_its_own() {
    let mut memory = erased(ADELE, &[]);
    let key = segment_key(ADELE, "2026-11", 1);
    let first = unzstd(&sample().objects[&key]);
    // By another run than the receipt that names the key: what that named is gone.
    let by_another = first.replace(DAY_1, DAY_2).replace(&attempt(1), &attempt(3));
    assert_ne!(first, by_another);
    memory.objects.insert(key.clone(), zstd(&by_another));
    let found = verdict(&memory);
    assert!(found.is_intact(), "{:#?}", found.findings);
    assert_eq!((found.erased[0].segments, found.erased[0].left), (segments(ADELE).len() as u64, 1));
    // By the run and attempt of the receipt: that was changed.
    memory.objects.insert(key, zstd(&first.replace("T10:00:00Z", "T10:00:01Z")));
    assert_eq!(broken(&memory), [Code::ReceiptSegmentHash].into());
}

#[test]
fn a_tombstone_excuses_nobody_else() {
    let mut memory = erased(ADELE, &[]);
    memory.objects.remove(&tombstone_key(ADELE));
    memory.objects.insert(tombstone_key(BIANCA), tombstone(BIANCA));
    assert_eq!(broken(&memory), [Code::ReceiptSegmentMissing].into());
    // Nor does one excuse a receipt of the erased user that names what is another's.
    let mut memory = sample();
    memory.objects.insert(tombstone_key(ADELE), tombstone(ADELE));
    let receipt = receipt_key(DAY_1, &attempt(1), 1);
    let of_another = segment_key(BIANCA, "2026-11", 9);
    edit_lines(&mut memory, &receipt, |lines| lines[0]["segments"][0]["key"] = json!(of_another));
    edit_lines(&mut memory, &format!("runs/{DAY_1}/users.jsonl.zst"), |lines| {
        lines[0]["segments"][0]["key"] = json!(of_another);
    });
    seal(&mut memory, &[DAY_1.to_owned(), DAY_2.to_owned()]);
    assert!(broken(&memory).contains(&Code::ReceiptSegmentMissing), "{:?}", broken(&memory));
}

#[test]
fn a_tombstone_that_says_nothing_valid_excuses_nothing() {
    let of_another = tombstone(BIANCA);
    for content in [&b""[..], b"{}", br#"{"user_id":null,"erased_at":null}"#, &of_another] {
        let mut memory = erased(ADELE, &[]);
        memory.objects.insert(tombstone_key(ADELE), content.to_vec());
        assert_eq!(broken(&memory), [Code::TombstoneInvalid, Code::ReceiptSegmentMissing].into());
    }
}

#[test]
fn a_page_of_an_erased_user_may_be_gone_as_well() {
    let mut memory = sample();
    let key = format!("quarantine/tenant_id={TENANT}/user_id={ADELE}/page-{}.zst", sha256(b"page"));
    let named = json!([{"key": key, "sha256": sha256(b"stored")}]);
    edit_lines(&mut memory, &receipt_key(DAY_1, &attempt(1), 1), |lines| lines[0]["quarantine"] = named.clone());
    edit_lines(&mut memory, &format!("runs/{DAY_1}/users.jsonl.zst"), |lines| lines[0]["quarantine"] = named.clone());
    edit_json(&mut memory, &format!("runs/{DAY_1}/report.json"), |report| report["quarantined_pages"] = json!(1));
    seal(&mut memory, &[DAY_1.to_owned(), DAY_2.to_owned()]);
    assert_eq!(broken(&memory), [Code::QuarantineMissing].into());
    memory.objects.insert(tombstone_key(ADELE), tombstone(ADELE));
    let found = verdict(&memory);
    assert!(found.is_intact(), "{:#?}", found.findings);
    assert_eq!((found.erased[0].pages, found.erased[0].segments), (1, 0));
    assert_eq!(found.erased[0].left, segments(ADELE).len() as u64);
}

#[test]
fn every_audit_names_every_tombstone() {
    let memory = erased(ADELE, &[]);
    let gone = segments(ADELE);
    let lines: u64 = gone.iter().map(|(_, lines)| lines).sum();
    let sentence = format!(
        "on {ERASED_AT}: {} segments with {lines} lines and 0 pages that receipts name are gone, 0 are left; reason given: request 17",
        gone.len()
    );
    let (answer, of_her) = page(&memory, Whom::Named(vec![ADELE.to_owned()]));
    assert_eq!(answer, Answer::NoOpenGap, "{of_her}");
    assert!(of_her.contains(&format!("erased      {sentence}")), "{of_her}");
    assert!(of_her.contains(&format!("0 lines + {lines} erased = ")), "{of_her}");
    for whom in [Whom::All, Whom::Named(vec![BIANCA.to_owned()])] {
        let (answer, page) = page(&memory, whom);
        assert_eq!(answer, Answer::NoOpenGap);
        assert!(page.contains("1 users erased, each with a tombstone"), "{page}");
        assert!(page.contains(&format!("- {ADELE}, {sentence}")), "{page}");
        assert!(!page.contains("erased      on"), "{page}");
    }
    let (_, none) = page(&sample(), Whom::All);
    assert!(!none.contains("erased"), "{none}");
}
