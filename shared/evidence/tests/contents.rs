//! The items themselves, and how they differ from what is known of Graph.

#![allow(clippy::unwrap_used, reason = "what does not hold here is a fault of the test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use evidence::{ReadError, compare, contents, ledger, lines, records, segments};
use support::*;

fn truth() -> BTreeMap<String, BTreeSet<String>> {
    let adele = [
        item(1, "2026-11-22T10:00:00Z"),
        item(2, "2026-11-22T11:00:00Z"),
        item(3, "2026-11-23T10:00:00Z"),
        r#"{"id":null}"#.to_owned(),
    ];
    [(ADELE.to_owned(), adele.into()), (BIANCA.to_owned(), BTreeSet::new())].into()
}

#[test]
fn every_item_of_every_month_is_there_as_it_came() {
    let held = contents(&sample(), TENANT).unwrap();
    assert_eq!(held.keys().collect::<Vec<_>>(), [ADELE]);
    assert_eq!(held[ADELE].iter().cloned().collect::<BTreeSet<_>>(), truth()[ADELE]);
    assert!(compare(&sample(), TENANT, &truth()).unwrap().is_empty());
    assert!(contents(&sample(), OTHER_TENANT).unwrap().is_empty());
}

#[test]
fn what_is_missing_more_or_twice_is_told_apart() {
    let mut builder = Builder::new();
    builder.memory = sample();
    let (again, more) = (item(1, "2026-11-22T10:00:00Z"), item(4, "2026-11-22T10:00:00Z"));
    builder.segment(ADELE, "2026-11", 3, DAY_2, &attempt(4), &[again.clone(), more.clone()]);
    let mut truth = truth();
    let gone = item(5, "2026-11-22T10:00:00Z");
    truth.get_mut(BIANCA).unwrap().insert(gone.clone());
    let differences = compare(&builder.memory, TENANT, &truth).unwrap();
    assert_eq!(differences.missing, [(BIANCA.to_owned(), [gone].into())].into());
    assert_eq!(differences.extra, [(ADELE.to_owned(), [more].into())].into());
    assert_eq!(differences.duplicate, [(ADELE.to_owned(), [(again, 2)].into())].into());
}

#[test]
fn a_damaged_segment_is_an_error_and_no_fewer_items() {
    let mut memory = sample();
    let key = segment_key(ADELE, "2026-11", 2);
    memory.objects.get_mut(&key).unwrap().truncate(10);
    assert!(matches!(contents(&memory, TENANT), Err(ReadError::Damaged { key: damaged }) if damaged == key));
    memory.objects.insert(key, zstd("{}\n"));
    assert!(contents(&memory, TENANT).is_err());
}

#[test]
fn stored_lines_are_given_with_their_place_and_the_ledger_in_its_order() {
    let memory = sample();
    let keys = segments(&memory, TENANT, ADELE).unwrap();
    let expected = [("2026-11", 1), ("2026-11", 2), ("unknown", 1)].map(|(month, n)| segment_key(ADELE, month, n));
    assert_eq!(keys, expected);
    assert!(segments(&memory, TENANT, BIANCA).unwrap().is_empty());
    let mut given = Vec::new();
    records(&memory, &keys[0], |stored| {
        assert_eq!((stored.run_id, stored.fetched_at.to_string().as_str()), (DAY_1, "2026-11-23T05:00:00Z"));
        given.push((stored.line, stored.item.to_owned(), stored.bytes.to_vec()));
    })
    .unwrap();
    let mut raw = Vec::new();
    lines(&memory, &keys[0], |number, bytes| raw.push((number, bytes.to_vec()))).unwrap();
    let items = [item(1, "2026-11-22T10:00:00Z"), item(2, "2026-11-22T11:00:00Z")];
    let bytes = items.iter().map(|item| record(ADELE, DAY_1, &attempt(1), item).into_bytes());
    let expected: Vec<_> = (1..).zip(items.clone()).zip(bytes).map(|((n, item), bytes)| (n, item, bytes)).collect();
    assert_eq!(given, expected);
    assert_eq!(raw, expected.into_iter().map(|(n, _, bytes)| (n, bytes)).collect::<Vec<_>>());
    let entries = ledger(&memory, TENANT).unwrap();
    let entries: Vec<_> = entries.into_iter().map(|entry| (entry.key, entry.run_id)).collect();
    assert_eq!(entries, [(ledger_key(1), DAY_1.to_owned()), (ledger_key(2), DAY_2.to_owned())]);
}

#[test]
fn a_ledger_whose_run_is_no_run_id_is_damaged() {
    let mut memory = sample();
    edit_json(&mut memory, &ledger_key(2), |entry| entry["run_id"] = "../../etc".into());
    assert!(matches!(ledger(&memory, TENANT), Err(ReadError::Damaged { key }) if key == ledger_key(2)));
    assert!(matches!(lines(&memory, "runs/none", |_, _| {}), Err(ReadError::Damaged { .. })));
}
