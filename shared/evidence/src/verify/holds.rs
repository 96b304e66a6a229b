//! Who is held: entries that take turns, an odd one holds and an even one releases.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{Check, first_gap};
use crate::decode;
use crate::finding::Code;
use crate::form::HoldEntry;
use crate::source::SourceError;

/// A user who is held or was, by the newest entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// The object id.
    pub user_id: String,
    /// Whether the user is held; if not, the hold was released.
    pub held: bool,
    /// Since when; nothing if the entry that says so is broken.
    pub since: Option<Timestamp>,
    /// What the entry says of why.
    pub reason: Option<String>,
    /// How many entries there are: holds and releases.
    pub entries: u64,
}

impl Check<'_> {
    /// Reads every entry. One that is missing may be the one that held, and one that says nothing valid proves nothing, but a
    /// worker goes by the newest number alone, and so does what is listed.
    pub(super) fn read_holds(&mut self) -> Result<(), SourceError> {
        for (user, entries) in &self.inventory.holds {
            let mut newest = None;
            for key in entries.values() {
                newest = None;
                let Some(bytes) = self.source.read(key)? else { continue };
                let verdict = &mut self.found.verdict;
                match decode::value::<HoldEntry>(&bytes) {
                    Ok(entry) if entry.user_id == *user => newest = Some(entry),
                    Ok(_) => verdict.add(Code::HoldInvalid, key, "names another user than the key"),
                    Err(error) => verdict.add(Code::HoldInvalid, key, error.to_string()),
                }
            }
            let Some((number, key)) = entries.last_key_value() else { continue };
            let verdict = &mut self.found.verdict;
            if let Some(missing) = first_gap(entries.keys()) {
                verdict.add(Code::HoldGap, key, format!("stands behind entry {missing}, which is missing"));
            }
            verdict.holds.push(Hold {
                user_id: user.clone(),
                held: number % 2 == 1,
                since: newest.as_ref().map(|entry| entry.at),
                reason: newest.and_then(|entry| entry.reason),
                entries: entries.len() as u64,
            });
        }
        Ok(())
    }

    /// Whether a user is held.
    pub(super) fn is_held(&self, user: &str) -> bool {
        let newest = self.inventory.holds.get(user).and_then(BTreeMap::last_key_value);
        newest.is_some_and(|(number, _)| number % 2 == 1)
    }
}
