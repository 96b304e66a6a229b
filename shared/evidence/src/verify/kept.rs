//! What the store itself says of an archive, where it can be asked: that nothing was replaced or deleted, and until when
//! nothing can be.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;

use super::{Check, Inventory};
use crate::finding::{Code, Verdict};
use crate::keeping::{Keeping, Lock, Versioning};
use crate::layout::ARCHIVE;
use crate::retention::Retention;
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
}

impl Locks {
    fn add(&mut self, lock: Lock) {
        self.objects += 1;
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
            let there: HashSet<String> = match self.expectation.retention {
                Some(_) => self.inventory.hashed(|_| true).collect(),
                None => HashSet::new(),
            };
            let expires = self.expectation.retention.is_some();
            let may_have_expired = |key: &str| expires && Retention::covers(key) && !there.contains(key);
            kept.versions = versions(keeping, may_have_expired, &mut self.found.verdict)?;
        }
        let mut locks = Locks::default();
        let keys: Vec<String> = self.inventory.hashed(|user| self.expectation.wants(user)).collect();
        for keys in keys.chunks(LOCKS_AT_ONCE) {
            let Some(answer) = keeping.locks(keys)? else {
                self.found.verdict.kept = Some(kept);
                return Ok(());
            };
            answer.into_iter().for_each(|lock| locks.add(lock));
        }
        kept.locks = Some(locks);
        self.found.verdict.kept = Some(kept);
        Ok(())
    }
}

/// Everything outside `state/` is put once, so each key has one version and no delete marker. Expiry puts one, too: where an
/// object may have expired that is not there, whatever names it says whether it had to be.
fn versions(
    keeping: &dyn Keeping,
    may_have_expired: impl Fn(&str) -> bool,
    verdict: &mut Verdict,
) -> Result<Option<Versions>, SourceError> {
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let listed = keeping.versions(&mut |version| {
        if !version.key.starts_with("state/") {
            let (versions, markers) = counts.entry(version.key).or_default();
            *(if version.is_delete_marker { markers } else { versions }) += 1;
        }
    })?;
    if listed.is_none() {
        return Ok(None);
    }
    let mut found = Versions::default();
    for (key, (versions, markers)) in counts {
        found.keys += 1;
        if versions > 1 {
            found.with_more += 1;
            let sentence = format!("has {versions} versions: somebody put another over what is put once");
            verdict.add(Code::SecondVersion, &key, sentence);
        }
        if markers > 0 && !may_have_expired(&key) {
            found.deleted += 1;
            let sentence = format!("has {markers} delete markers over {versions} versions: somebody deleted it");
            verdict.add(Code::DeleteMarker, &key, sentence);
        }
    }
    Ok(Some(found))
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
