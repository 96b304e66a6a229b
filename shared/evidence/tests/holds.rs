//! Who is held: holds and releases in turn, checked like everything that is put once, and told to whoever reads an audit.

#![allow(clippy::unwrap_used, reason = "what does not hold here is a fault of the test")]

mod support;

use std::collections::BTreeSet;

use evidence::audit::{Request, Whom};
use evidence::{Answer, Code, Expectation, Hold, Memory, Verdict, audit, verify};
use serde_json::json;
use support::*;

fn key(user: &str, number: u64) -> String {
    format!("holds/tenant_id={TENANT}/user_id={user}/entry-{number:06}.json")
}

fn at(number: u64) -> String {
    format!("2026-11-25T08:00:{number:02}Z")
}

fn entry(user: &str, number: u64) -> Vec<u8> {
    json!({"user_id": user, "at": at(number), "reason": format!("case {number}")}).to_string().into_bytes()
}

/// The sample with these entries of a user.
fn held(user: &str, numbers: &[u64]) -> Memory {
    let mut memory = sample();
    memory.objects.extend(numbers.iter().map(|number| (key(user, *number), entry(user, *number))));
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
fn holds_and_releases_take_turns_and_the_newest_says_who_is_held() {
    for count in 1..=4 {
        let memory = held(ADELE, &(1..=count).collect::<Vec<_>>());
        let found = verdict(&memory);
        assert!(found.is_intact(), "{:#?}", found.findings);
        let expected = Hold {
            user_id: ADELE.to_owned(),
            held: count % 2 == 1,
            since: Some(at(count).parse().unwrap()),
            reason: Some(format!("case {count}")),
            entries: count,
        };
        assert_eq!(found.holds, [expected]);
    }
    assert!(verdict(&sample()).holds.is_empty());
}

#[test]
fn a_missing_or_a_broken_entry_is_damage_and_the_newest_number_counts_as_ever() {
    let found = verdict(&held(ADELE, &[1, 3]));
    assert_eq!(found.integrity().map(|finding| finding.code).collect::<Vec<_>>(), [Code::HoldGap]);
    assert!(found.holds[0].held);
    let of_another = entry(BIANCA, 3);
    for content in [&b""[..], b"{}", br#"{"user_id":null,"at":null}"#, &of_another] {
        for (number, since) in [(1, Some(at(3).parse().unwrap())), (3, None)] {
            let mut memory = held(ADELE, &[1, 2, 3]);
            memory.objects.insert(key(ADELE, number), content.to_vec());
            assert_eq!(broken(&memory), [Code::HoldInvalid].into());
            let hold = &verdict(&memory).holds[0];
            assert_eq!((hold.held, hold.since), (true, since));
        }
    }
}

#[test]
fn a_hold_excuses_nothing_that_is_missing() {
    let mut memory = held(ADELE, &[1]);
    memory.objects.remove(&segment_key(ADELE, "2026-11", 1)).unwrap();
    assert!(broken(&memory).contains(&Code::ReceiptSegmentMissing));
}

#[test]
fn an_audit_says_who_is_held_and_since_when() {
    let memory = held(ADELE, &[1]);
    let sentence = format!("held since {}; reason given: case 1", at(1));
    let (answer, of_user) = page(&memory, Whom::Named(vec![ADELE.to_owned()]));
    assert_eq!(answer, page(&sample(), Whom::Named(vec![ADELE.to_owned()])).0, "a hold is no gap and no fault");
    assert!(of_user.contains(&format!("hold        {sentence}\n")), "{of_user}");
    let (_, of_other) = page(&memory, Whom::Named(vec![BIANCA.to_owned()]));
    assert!(!of_other.contains("hold  "), "{of_other}");
    let (_, of_all) = page(&memory, Whom::All);
    assert!(
        of_all.contains("1 users held by entry; ") && of_all.contains(&format!("- {ADELE}, {sentence}\n")),
        "{of_all}"
    );

    let released = held(ADELE, &[1, 2]);
    let (_, of_user) = page(&released, Whom::Named(vec![ADELE.to_owned()]));
    assert!(of_user.contains(&format!("not held any more since {}; reason given: case 2", at(2))), "{of_user}");
    assert!(!page(&released, Whom::All).1.contains(" users held by entry"));
}
