//! The items themselves, and how they differ from what is known of Graph.

#![allow(clippy::unwrap_used, reason = "what does not hold here is a fault of the test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use evidence::{ReadError, compare, contents};
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
