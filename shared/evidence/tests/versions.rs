//! In a store that keeps versions, what was replaced or deleted is found, and told from what has expired.

#![allow(clippy::unwrap_used, reason = "what does not hold here is a fault of the test")]

mod support;

use std::collections::BTreeSet;

use evidence::{
    Code, Expectation, Keeping, Lock, Memory, Retention, Source, SourceError, Verdict, Version, Versioning, verify,
};
use support::*;

const DAYS: u32 = 17;
/// So many days after which the first run of the sample is past, and the second is not.
const READ_AT: &str = "2026-12-11T00:00:00Z";

fn broken(verdict: &Verdict) -> BTreeSet<Code> {
    verdict.integrity().map(|finding| finding.code).collect()
}

fn version(key: &str, is_delete_marker: bool, put_at: &str) -> Version {
    Version { key: key.to_owned(), is_delete_marker, put_at: put_at.parse().ok() }
}

fn retention() -> Option<Retention> {
    Some(Retention { days: DAYS, read_at: READ_AT.parse().unwrap() })
}

/// The sample in a store that keeps versions, with what it has beside one version of each object.
struct Versioned {
    memory: Memory,
    more: Vec<Version>,
    /// The key of which `more` lists everything.
    whole: String,
    denied: bool,
}

impl Source for Versioned {
    fn list(&self, prefix: &str) -> Result<Vec<String>, SourceError> {
        self.memory.list(prefix)
    }

    fn read(&self, key: &str) -> Result<Option<Vec<u8>>, SourceError> {
        self.memory.read(key)
    }

    fn keeping(&self) -> Option<&dyn Keeping> {
        Some(self)
    }
}

impl Keeping for Versioned {
    fn versioning(&self) -> Result<Option<Versioning>, SourceError> {
        Ok((!self.denied).then_some(Versioning::Enabled))
    }

    fn versions(&self, each: &mut dyn FnMut(Version)) -> Result<Option<()>, SourceError> {
        if self.denied {
            return Ok(None);
        }
        let current = self.memory.objects.keys().filter(|key| **key != self.whole);
        let current = current.map(|key| version(key, false, READ_AT));
        current.chain(self.more.clone()).for_each(each);
        Ok(Some(()))
    }

    fn locks(&self, keys: &[String]) -> Result<Option<Vec<Lock>>, SourceError> {
        Ok((!self.denied).then(|| vec![Lock::default(); keys.len()]))
    }
}

fn versioned(more: &[(&str, bool)]) -> Versioned {
    let more = more.iter().map(|(key, marker)| version(key, *marker, ""));
    Versioned { memory: sample(), more: more.collect(), whole: String::new(), denied: false }
}

#[test]
fn a_second_version() {
    let segment = segment_key(ADELE, "2026-11", 1);
    let state = format!("state/tenant_id={TENANT}/user_id={ADELE}.json");
    let intact = verify(&versioned(&[(&state, false), (&state, false)]), &Expectation::default()).unwrap();
    assert!(intact.is_intact(), "the state is a cache: {:#?}", intact.findings);
    let kept = intact.kept.unwrap();
    assert_eq!(kept.versions.unwrap().keys as usize, sample().objects.len());
    assert_eq!(kept.locks.unwrap().without as usize, sample().objects.len() - 1, "all but README.txt");
    let found = verify(&versioned(&[(&segment, false)]), &Expectation::default()).unwrap();
    assert_eq!(broken(&found), [Code::SecondVersion].into());
    let sentence = found.integrity().next().unwrap().to_string();
    assert!(sentence.starts_with(&format!("second-version {segment}: has 2 versions")), "{sentence}");
}

#[test]
fn a_delete_marker() {
    let gone = segment_key(ADELE, "2026-11", 9);
    let found = verify(&versioned(&[(&gone, false), (&gone, true)]), &Expectation::default()).unwrap();
    assert_eq!(broken(&found), [Code::DeleteMarker].into());
    let sentence = found.integrity().next().unwrap().to_string();
    assert!(sentence.starts_with(&format!("delete-marker {gone}: has 1 delete markers")), "{sentence}");
}

#[test]
fn the_delete_marker_of_an_expired_object_is_judged_by_who_names_it() {
    let found = |key: &str, there: bool, retention: Option<Retention>| {
        let mut store = versioned(&[]);
        store.more.push(version(key, true, "2026-12-10T12:00:00Z"));
        if !there {
            store.memory.objects.remove(key);
            // The version below stays for a day.
            store.more.push(version(key, false, "2026-11-23T05:00:00Z"));
        }
        broken(&verify(&store, &Expectation { retention, ..Expectation::default() }).unwrap())
    };
    for old in
        [segment_key(ADELE, "2026-11", 1), receipt_key(DAY_1, &attempt(1), 1), format!("runs/{DAY_1}/users.jsonl.zst")]
    {
        assert_eq!(found(&old, false, retention()), [].into(), "{old}");
        assert!(found(&old, false, None).contains(&Code::DeleteMarker), "{old}: nothing expires");
        assert_eq!(found(&old, true, retention()), [Code::DeleteMarker].into(), "{old}: it was put back");
    }
    for young in [segment_key(ADELE, "2026-11", 2), format!("runs/{DAY_2}/users.jsonl.zst")] {
        assert!(!found(&young, false, retention()).is_empty(), "{young}");
    }
    for never in ["archive.json", &ledger_key(9)] {
        assert!(found(never, false, retention()).contains(&Code::DeleteMarker), "{never}");
    }
}

#[test]
fn what_may_not_be_seen_of_a_store_breaks_nothing() {
    let store = Versioned { denied: true, ..versioned(&[("archive.json", true)]) };
    let verdict = verify(&store, &Expectation::default()).unwrap();
    assert!(verdict.is_intact());
    assert_eq!(verdict.kept, Some(evidence::Kept::default()));
}

/// What is found of a key under which nothing but this was ever put: "gone" stands for a delete marker, and the rest for versions.
fn found_of(key: &str, is_there: bool, puts: &[(&str, &str)]) -> BTreeSet<Code> {
    let mut store = Versioned { whole: key.to_owned(), ..versioned(&[]) };
    store.more = puts.iter().map(|(what, at)| version(key, *what == "gone", at)).collect();
    // S3 lists the newest first.
    store.more.reverse();
    if !is_there {
        store.memory.objects.remove(key);
    }
    broken(&verify(&store, &Expectation { retention: retention(), ..Expectation::default() }).unwrap())
}

#[test]
fn a_delete_marker_that_is_too_early_is_not_of_expiry_whoever_names_what_it_hides() {
    let nobodys = [segment_key(ADELE, "2026-11", 9), receipt_key("case-1", &attempt(9), 1)];
    let marker = [Code::DeleteMarker].into();
    for key in &nobodys {
        let found = |puts: &[(&str, &str)]| found_of(key, false, puts);
        assert_eq!(found(&[("put", "2026-11-23T05:00:01Z"), ("gone", "2026-12-10T05:00:00Z")]), marker, "{key}");
        assert_eq!(found(&[("put", "2026-11-23T05:00:00Z"), ("gone", "2026-12-10T05:00:00Z")]), [].into(), "{key}");
        assert_eq!(found(&[("gone", "2026-12-10T05:00:00Z")]), [].into(), "{key}: the version went first");
        // A marker over what has expired hides nothing, and one long after another does not excuse it.
        let put = ("put", "2026-11-01T05:00:00Z");
        let (early, expiry, later) =
            (("gone", "2026-11-02T00:00:00Z"), ("gone", "2026-11-19T00:00:00Z"), ("gone", "2026-11-20T00:00:00Z"));
        assert_eq!(found(&[put, expiry, later]), [].into(), "{key}");
        assert_eq!(found(&[put, early, expiry]), marker, "{key}");
        // What has no time is excused by none.
        assert_eq!(found(&[("put", ""), ("gone", "2026-12-10T05:00:00Z")]), marker, "{key}");
        assert_eq!(found(&[("put", "2026-11-23T05:00:00Z"), ("gone", "")]), marker, "{key}");
    }
    for never in ["README.txt", "duckdb-1.sql"] {
        let puts = [("put", "2026-11-01T05:00:00Z"), ("gone", "2026-12-10T05:00:00Z")];
        assert_eq!(found_of(never, false, &puts), marker, "{never}");
    }
}

#[test]
fn a_number_that_is_taken_again_beside_what_expired_is_no_second_version() {
    // Fetched at five on the second day.
    let segment = segment_key(ADELE, "2026-11", 2);
    let (old, new) = (("put", "2026-11-07T05:00:00Z"), ("put", "2026-11-24T05:01:00Z"));
    let expiry = ("gone", "2026-11-24T05:00:30Z");
    assert_eq!(found_of(&segment, true, &[old, expiry, new]), [].into(), "fetched just before");
    assert_eq!(found_of(&segment, true, &[expiry, new]), [].into());
    assert_eq!(found_of(&segment, true, &[old, new]), [Code::SecondVersion].into());
    let both: BTreeSet<Code> = [Code::SecondVersion, Code::DeleteMarker].into();
    // Too early, and long after what lies there was fetched: somebody put back what had been there.
    assert_eq!(found_of(&segment, true, &[("put", "2026-11-07T05:00:31Z"), expiry, new]), both);
    assert_eq!(
        found_of(&segment, true, &[old, ("gone", "2026-11-25T05:00:01Z"), ("put", "2026-11-26T00:00:00Z")]),
        both
    );
    // No file of a run is put again.
    assert_eq!(found_of(&format!("runs/{DAY_2}/users.jsonl.zst"), true, &[old, expiry, new]), both);
}
