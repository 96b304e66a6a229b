//! What the store itself says of an archive, where it can be asked: that nothing was replaced or deleted, and until when
//! nothing can be.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;

use super::{Check, Inventory, owner};
use crate::finding::Code;
use crate::keeping::{Keeping, Lock, Versioning};
use crate::layout::{self, ARCHIVE, Key};
use crate::retention::{self, Retention};
use crate::source::SourceError;

/// How many objects' locks are asked for at once: some seconds' worth of requests, and little memory.
const LOCKS_AT_ONCE: usize = 4_096;

/// What a store that keeps versions and locks says. What is absent may not be seen by this reader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// `never`, `suspended` or `enabled`.
    pub versioning: Option<&'static str>,
    /// What the listing of versions came to.
    pub versions: Option<Versions>,
    /// The locks of the objects that were hashed again.
    pub locks: Option<Locks>,
}

/// What lies in the bucket under the keys of everything that is put once: outside `state/`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// Keys.
    pub keys: u64,
    /// Of them those with more than one version.
    pub with_more: u64,
    /// Of them those with a delete marker.
    pub deleted: u64,
}

/// The locks of the objects that were hashed again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Locks {
    /// Objects asked for.
    pub objects: u64,
    /// Those under a retention, by its mode.
    pub retained: BTreeMap<String, u64>,
    /// The earliest end of a retention.
    pub earliest: Option<Timestamp>,
    /// Those under a legal hold.
    pub legal_holds: u64,
    /// Those under neither.
    pub without: u64,
    /// Segments and pages of users who are held, under no legal hold.
    pub held_without: u64,
}

impl Locks {
    fn add(&mut self, lock: Lock, is_of_held: bool) {
        self.objects += 1;
        self.held_without += u64::from(is_of_held && !lock.legal_hold);
        self.legal_holds += u64::from(lock.legal_hold);
        self.without += u64::from(lock.retention.is_none() && !lock.legal_hold);
        if let Some((mode, until)) = lock.retention {
            *self.retained.entry(mode).or_insert(0) += 1;
            self.earliest = Some(self.earliest.map_or(until, |earliest| earliest.min(until)));
        }
    }
}

impl Check<'_> {
    /// Asks the store, if it can be asked.
    pub(super) fn ask_store(&mut self) -> Result<(), SourceError> {
        let Some(keeping) = self.source.keeping() else { return Ok(()) };
        let versioning = keeping.versioning()?;
        let mut kept = Kept {
            versioning: versioning.map(|versioning| match versioning {
                Versioning::Never => "never",
                Versioning::Suspended => "suspended",
                Versioning::Enabled => "enabled",
            }),
            ..Kept::default()
        };
        // Where none were ever kept, a listing of them would look as if nothing had been replaced.
        if versioning != Some(Versioning::Never) {
            kept.versions = self.check_versions(keeping)?;
        }
        let mut locks = Locks::default();
        let keys: Vec<String> = self.inventory.hashed(|user| self.expectation.wants(user)).collect();
        for keys in keys.chunks(LOCKS_AT_ONCE) {
            let Some(answer) = keeping.locks(keys)? else {
                self.found.verdict.kept = Some(kept);
                return Ok(());
            };
            for (key, lock) in keys.iter().zip(answer) {
                locks.add(lock, owner(key).is_some_and(|user| self.is_held(user)));
            }
        }
        kept.locks = Some(locks);
        self.found.verdict.kept = Some(kept);
        Ok(())
    }
}

/// What was put under a key: when, and whether it is a delete marker.
type Put = (Option<Timestamp>, bool);

impl Check<'_> {
    /// Everything outside `state/` is put once, so each key has one version and no delete marker, but for what expiry does.
    fn check_versions(&mut self, keeping: &dyn Keeping) -> Result<Option<Versions>, SourceError> {
        let mut puts: BTreeMap<String, Vec<Put>> = BTreeMap::new();
        let listed = keeping.versions(&mut |version| {
            if !version.key.starts_with("state/") {
                puts.entry(version.key).or_default().push((version.put_at, version.is_delete_marker));
            }
        })?;
        if listed.is_none() {
            return Ok(None);
        }
        let there: HashSet<String> = match self.expectation.retention {
            Some(_) => self.inventory.hashed(|_| true).collect(),
            None => HashSet::new(),
        };
        let mut found = Versions::default();
        for (key, mut puts) in puts {
            let markers = puts.iter().filter(|(_, is_delete_marker)| *is_delete_marker).count();
            let versions = puts.len() - markers;
            let (put_over, deleted) = self.not_put_once(&key, there.contains(&key), &mut puts);
            found.keys += 1;
            found.with_more += u64::from(put_over);
            found.deleted += u64::from(deleted);
            let verdict = &mut self.found.verdict;
            if put_over {
                let sentence = format!("has {versions} versions: somebody put another over what is put once");
                verdict.add(Code::SecondVersion, &key, sentence);
            }
            if deleted {
                let sentence = format!("has {markers} delete markers over {versions} versions: somebody deleted it");
                verdict.add(Code::DeleteMarker, &key, sentence);
            }
        }
        Ok(Some(found))
    }

    /// Whether a version was put over another, and whether somebody deleted one: in the order of time, since what expired
    /// may have made room.
    fn not_put_once(&self, key: &str, is_there: bool, puts: &mut [Put]) -> (bool, bool) {
        puts.sort_unstable();
        let (mut put_over, mut deleted) = (false, false);
        let mut below: Option<Option<Timestamp>> = None;
        for (at, is_delete_marker) in puts.iter() {
            if !is_delete_marker {
                put_over |= below.replace(*at).is_some();
            } else if self.is_of_expiry(key, is_there, *at, below) {
                below = None;
            } else {
                deleted = true;
            }
        }
        (put_over, deleted)
    }

    /// Whether expiry may have put this marker: what lies below it was as old as it had to be, or is gone itself, as it is
    /// after a day. Whether what it hides had to be there for another reason is said by what names it. What lies there now
    /// was put later, as happens to a segment's number and to a page, but to no file of a run.
    fn is_of_expiry(&self, key: &str, is_there: bool, at: Option<Timestamp>, below: Option<Option<Timestamp>>) -> bool {
        let Some(retention) = self.expectation.retention.filter(|_| Retention::covers(key)) else { return false };
        let Some(at) = at else { return false };
        let was_old = |put: Option<Timestamp>| put.is_some_and(|put| at.duration_since(put) >= retention.length());
        let put_again = match layout::parse(key) {
            _ if !is_there => true,
            // A segment that was not read is not judged.
            Some(Key::Segment { .. }) => {
                self.facts.get(key).is_none_or(|fact| retention::may_be_put_after(at, fact.fetched_at))
            }
            Some(Key::Quarantine { .. }) => true,
            _ => false,
        };
        put_again && below.is_none_or(was_old)
    }
}

impl Inventory {
    /// The objects that a verification reads: all but the help texts, the state, and the segments of others.
    fn hashed(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
        let segments = self.segments.iter().filter(move |(user, _)| wanted(user));
        let segments = segments.flat_map(|(_, months)| months.values().flat_map(BTreeMap::values)).cloned();
        let files = self.runs.iter().flat_map(|(run, keys)| keys.files.iter().map(|file| file.key(run)));
        let receipts = self.runs.values().flat_map(|keys| &keys.receipts).cloned();
        let others = self.ledger.values().chain(self.quarantine.keys()).cloned();
        [ARCHIVE.to_owned()].into_iter().chain(others).chain(files).chain(receipts).chain(segments)
    }
}
