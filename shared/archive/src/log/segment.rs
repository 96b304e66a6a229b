//! Reading a segment back.

use std::borrow::Cow;
use std::collections::HashSet;

use domain::{AttemptId, RunId, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ItemHash, MAX_ITEM_BYTES};
use crate::jsonl::{self, Undecodable};

/// The longest line: an item, and the members before it.
pub(super) const MAX_LINE: usize = MAX_ITEM_BYTES + 1024;

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Segment {
    /// The run of its records. One writer puts a segment, so its records are of one run and one attempt.
    pub(super) run: RunId,
    /// The attempt of its records.
    pub(super) attempt: AttemptId,
    /// When its last page was fetched: it was put after that.
    pub(super) fetched_at: Timestamp,
    /// How many records it holds.
    pub(super) lines: u64,
    /// Its items.
    pub(super) items: HashSet<ItemHash>,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    run_id: Cow<'a, str>,
    #[serde(borrow)]
    attempt_id: Cow<'a, str>,
    fetched_at: Timestamp,
    #[serde(borrow)]
    interaction: &'a RawValue,
}

impl Segment {
    /// Reads a segment; an empty one counts as damaged, since none is ever put.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Undecodable> {
        let mut items = HashSet::new();
        let (mut origin, mut fetched_at) = (None, Timestamp::MIN);
        let lines = jsonl::each_line(bytes, MAX_LINE, |line| {
            let record: Record<'_> = serde_json::from_str(line).map_err(|_| Undecodable)?;
            items.insert(ItemHash::of(record.interaction.get()));
            fetched_at = fetched_at.max(record.fetched_at);
            if origin.is_none() {
                let run = record.run_id.parse().map_err(|_| Undecodable)?;
                let attempt = record.attempt_id.parse().map_err(|_| Undecodable)?;
                origin = Some((run, attempt));
            }
            Ok(())
        })?;
        let (run, attempt) = origin.ok_or(Undecodable)?;
        Ok(Self { run, attempt, fetched_at, lines, items })
    }
}
