//! What the archive holds of one person within a range.

use std::collections::HashMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::archive::ReadError;
use crate::contents::for_each_item;
use crate::coverage::{ReadBefore, Window};
use crate::record::members;
use crate::source::Source;

/// Counts of a person's items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Items {
    /// Texts created within the range: prompts, answers and others.
    pub texts: u64,
    /// Of them those that are prompts.
    pub prompts: u64,
    /// Of them those that are answers.
    pub answers: u64,
    /// Session and id pairs with more than one text: items that Graph showed again and otherwise.
    pub in_several_texts: u64,
    /// Texts that name no creation time that can be read, counted apart.
    pub undated: u64,
    /// Texts created outside the range.
    pub outside: u64,
    /// Items that an earlier run, though it had read their instant to its end, was not shown: they were found by reading
    /// it again. Further texts of an item are none.
    pub late: u64,
    /// The most hours between the creation of such an item and its reading.
    pub latest_hours: Option<i64>,
}

/// Reads a person's segments. What is damaged is left out: the verdict names it.
pub(super) fn count<'a>(
    source: &dyn Source,
    keys: impl Iterator<Item = &'a String>,
    asked: Window,
    before: &ReadBefore,
) -> Result<Items, ReadError> {
    let mut items = Items::default();
    let mut texts: HashMap<[u8; 16], u64> = HashMap::new();
    for key in keys {
        let read = for_each_item(source, key, |_, _, record| {
            let [created, kind, session, id] =
                members(record.text(), ["createdDateTime", "interactionType", "sessionId", "id"]);
            let created = created.and_then(|time| std::str::from_utf8(&time).ok()?.parse::<jiff::Timestamp>().ok());
            let Some(created) = created else {
                items.undated += 1;
                return;
            };
            if created <= asked.from || created > asked.to {
                items.outside += 1;
                return;
            }
            items.texts += 1;
            match kind.as_deref() {
                Some(b"userPrompt") => items.prompts += 1,
                Some(b"aiResponse") => items.answers += 1,
                _ => {}
            }
            let mut is_further = false;
            if let (Some(session), Some(id)) = (session, id) {
                let count = texts.entry(key_of(&session, &id)).or_insert(0);
                is_further = *count > 0;
                *count += 1;
            }
            if !is_further && before.holds(record.run_id(), created) {
                items.late += 1;
                let hours = record.fetched_at.duration_since(created).as_hours();
                items.latest_hours = items.latest_hours.max(Some(hours));
            }
        });
        if let Err(ReadError::Source(error)) = read {
            return Err(error.into());
        }
    }
    items.in_several_texts = texts.values().filter(|count| **count > 1).count() as u64;
    Ok(items)
}

fn key_of(session: &[u8], id: &[u8]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update((session.len() as u64).to_be_bytes());
    hash.update(session);
    hash.update(id);
    let mut key = [0; 16];
    key.copy_from_slice(&hash.finalize()[..16]);
    key
}
