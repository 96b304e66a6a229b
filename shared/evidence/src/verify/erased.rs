//! Erased users: each has a tombstone, which says why what receipts name of this user, and of nobody else, is gone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::{Check, owner};
use crate::decode;
use crate::finding::Code;
use crate::form::Tombstone;
use crate::source::SourceError;

/// An erased user. What the receipts say of the user stays, since the ledger fixes it by hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// The object id.
    pub user_id: String,
    /// When the tombstone was made.
    pub erased_at: Timestamp,
    /// What it says of why.
    pub reason: Option<String>,
    /// Segments that receipts name and that are gone.
    pub segments: u64,
    /// Their lines.
    pub lines: u64,
    /// Pages in quarantine that receipts name and that are gone.
    pub pages: u64,
    /// Segments and pages that are still there.
    pub left: u64,
}

/// What receipts name of erased users and is not there.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// Segments with their lines.
    pub(super) segments: BTreeMap<String, u64>,
    /// Pages in quarantine.
    pub(super) pages: BTreeSet<String>,
}

impl Gone {
    pub(super) fn add(&mut self, more: Self) {
        self.segments.extend(more.segments);
        self.pages.extend(more.pages);
    }
}

impl Check<'_> {
    /// Reads the tombstones. One that says nothing valid excuses nothing.
    pub(super) fn read_tombstones(&mut self) -> Result<(), SourceError> {
        for (user, key) in &self.inventory.tombstones {
            let Some(bytes) = self.source.read(key)? else { continue };
            let verdict = &mut self.found.verdict;
            match decode::value::<Tombstone>(&bytes) {
                Ok(tombstone) if tombstone.user_id == *user => {
                    self.tombstones.insert(user.clone(), tombstone);
                }
                Ok(_) => verdict.add(Code::TombstoneInvalid, key, "names another user than the key"),
                Err(error) => verdict.add(Code::TombstoneInvalid, key, error.to_string()),
            }
        }
        Ok(())
    }

    /// Whether this key is one of the content of this user, and the user is erased.
    pub(super) fn is_erased(&self, user: &str, key: &str) -> bool {
        self.tombstones.contains_key(user) && owner(key) == Some(user)
    }

    /// Counts what is gone, and what is left.
    pub(super) fn list_erased(&mut self) {
        let Gone { segments, pages } = &self.found.gone;
        let segments_of = |user: &str| self.inventory.segments.get(user).into_iter().flat_map(BTreeMap::values);
        let of_user = |(user, tombstone): (&'_ String, &'_ Tombstone)| Erased {
            user_id: user.clone(),
            erased_at: tombstone.erased_at,
            reason: tombstone.reason.clone(),
            segments: 0,
            lines: 0,
            pages: 0,
            left: segments_of(user).map(BTreeMap::len).sum::<usize>() as u64,
        };
        let mut erased: BTreeMap<&str, Erased> =
            self.tombstones.iter().map(|one| (one.0.as_str(), of_user(one))).collect();
        for (key, lines) in segments {
            if let Some(erased) = owner(key).and_then(|user| erased.get_mut(user)) {
                (erased.segments, erased.lines) = (erased.segments + 1, erased.lines.saturating_add(*lines));
            }
        }
        for key in pages {
            if let Some(erased) = owner(key).and_then(|user| erased.get_mut(user)) {
                erased.pages += 1;
            }
        }
        for key in self.inventory.quarantine.keys() {
            if let Some(erased) = owner(key).and_then(|user| erased.get_mut(user)) {
                erased.left += 1;
            }
        }
        self.found.verdict.erased = erased.into_values().collect();
    }
}
