//! The checkpoint: a cache of what a user's logs hold, and a lower bound of the user's coverage.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use domain::{ArchiveId, Coverage, RunId, Timestamp, UserId};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::error::ArchiveError;
use crate::log::ItemHash;
use crate::records::FORMAT;
use crate::store::{ETag, Object, PutIfMatch, PutNew, StoreError, StoreErrorKind};
use crate::{Archive, Month, RunProgress, layout};

/// How many runs a checkpoint remembers a user's line of: two days of all four kinds.
const MAX_RUNS: usize = 8;

/// How often a checkpoint is merged and put again when others write it too. Only attempts at one user compete, and each
/// round one of them wins.
const MAX_ROUNDS: u32 = 16;

/// The hashes of items. A clone costs nothing until one of the two is changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownItems(Arc<HashSet<ItemHash>>);

impl KnownItems {
    /// Whether the item is among them.
    pub fn contains(&self, item: &ItemHash) -> bool {
        self.0.contains(item)
    }

    /// Adds an item.
    pub fn insert(&mut self, item: ItemHash) {
        Arc::make_mut(&mut self.0).insert(item);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn to_text(&self) -> String {
        let mut hashes: Vec<_> = self.0.iter().copied().collect();
        hashes.sort_unstable();
        BASE64.encode(hashes.into_iter().flat_map(|hash| hash.0).collect::<Vec<u8>>())
    }

    fn from_text(text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text).ok()?;
        let (hashes, rest) = bytes.as_chunks::<16>();
        rest.is_empty().then(|| Self(Arc::new(hashes.iter().copied().map(ItemHash).collect())))
    }
}

/// What is known of one log: exactly the items of the segments before `next`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLog {
    /// The number of the next segment.
    pub next: u64,
    /// The items of all segments before it.
    pub items: KnownItems,
}

/// What a user's last reading knew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The user's coverage, or less.
    pub coverage: Option<Coverage>,
    /// The logs of the current month, the previous one and `unknown`, as far as they were needed.
    pub months: BTreeMap<Month, KnownLog>,
    /// The user's lines of the last runs, newest last.
    pub runs: Vec<RunProgress>,
}

/// A checkpoint and the version of it that is stored.
#[derive(Debug, Clone)]
pub struct CheckpointHandle {
    /// What is known.
    pub checkpoint: Checkpoint,
    user: UserId,
    etag: Option<ETag>,
    usable: bool,
}

impl CheckpointHandle {
    /// The checkpoint of a user who has none.
    pub fn absent(user: UserId) -> Self {
        Self { checkpoint: Checkpoint::default(), user, etag: None, usable: false }
    }

    /// Whose it is.
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// Whether a checkpoint of this archive is stored that could be read.
    pub const fn is_stored(&self) -> bool {
        self.usable
    }
}

#[derive(Serialize, Deserialize)]
struct Wire {
    format: u64,
    archive_id: ArchiveId,
    coverage: Option<Coverage>,
    months: BTreeMap<Month, WireLog>,
    runs: Vec<RunProgress>,
}

#[derive(Serialize, Deserialize)]
struct WireLog {
    next: u64,
    items: String,
}

impl Checkpoint {
    /// The user's line of a run.
    pub fn run(&self, run: &RunId) -> Option<&RunProgress> {
        self.runs.iter().find(|line| line.run_id == *run)
    }

    /// The user's line of a run; a new one, as the newest, if there is none.
    pub fn run_mut(&mut self, run: &RunId) -> &mut RunProgress {
        let position = self.runs.iter().position(|line| line.run_id == *run).unwrap_or_else(|| {
            if self.runs.len() >= MAX_RUNS {
                self.runs.drain(..=self.runs.len() - MAX_RUNS);
            }
            self.runs.push(RunProgress::new(run.clone()));
            self.runs.len() - 1
        });
        &mut self.runs[position]
    }

    /// Takes in a checkpoint that another writer stored.
    fn merge(&mut self, stored: Self, overlap: SignedDuration) {
        self.coverage = match (self.coverage, stored.coverage) {
            (Some(ours), Some(theirs)) => Some(ours.merged(theirs, overlap)),
            (ours, theirs) => ours.or(theirs),
        };
        for (month, theirs) in stored.months {
            self.learn(month, theirs);
        }
        let ours = std::mem::replace(&mut self.runs, stored.runs);
        for line in ours {
            match self.runs.iter_mut().find(|theirs| theirs.run_id == line.run_id) {
                Some(theirs) => {
                    let stored = std::mem::replace(theirs, line);
                    theirs.merge(stored);
                }
                None => self.runs.push(line),
            }
        }
        let excess = self.runs.len().saturating_sub(MAX_RUNS);
        self.runs.drain(..excess);
    }

    /// Takes in what is known of a log if it is more than was known: of two, the one that knows more segments.
    pub(crate) fn learn(&mut self, month: Month, log: KnownLog) {
        if self.months.get(&month).is_none_or(|known| known.next < log.next) {
            self.months.insert(month, log);
        }
    }

    /// Forgets the logs that a checkpoint does not keep.
    pub(crate) fn prune(&mut self, now: Timestamp) {
        let current = Month::at(now);
        self.months.retain(|month, _| *month == current || *month == current.previous() || *month == Month::UNKNOWN);
    }

    fn to_bytes(&self, archive_id: ArchiveId) -> Result<Bytes, ArchiveError> {
        let log = |log: &KnownLog| WireLog { next: log.next, items: log.items.to_text() };
        crate::archive::json(&Wire {
            format: FORMAT,
            archive_id,
            coverage: self.coverage,
            months: self.months.iter().map(|(month, known)| (*month, log(known))).collect(),
            runs: self.runs.clone(),
        })
    }

    /// `None` for what is foreign or does not parse.
    pub(crate) fn from_bytes(bytes: &[u8], archive_id: ArchiveId) -> Option<Self> {
        let wire: Wire = serde_json::from_slice(bytes).ok()?;
        if wire.format != FORMAT || wire.archive_id != archive_id {
            return None;
        }
        let mut months = BTreeMap::new();
        for (month, WireLog { next, items }) in wire.months {
            if next == 0 {
                return None;
            }
            months.insert(month, KnownLog { next, items: KnownItems::from_text(&items)? });
        }
        Some(Self { coverage: wire.coverage, months, runs: wire.runs })
    }
}

impl Archive {
    /// A user's checkpoint. One that is absent, foreign or does not parse is an empty one; a 403 is an error.
    pub async fn checkpoint(&self, user: UserId) -> Result<CheckpointHandle, ArchiveError> {
        let key = layout::checkpoint(self.tenant(), user);
        let object = self.certain(|| self.state().get(&key)).await?;
        let etag = object.as_ref().map(|object| object.etag.clone());
        let read = object.and_then(|object| Checkpoint::from_bytes(&object.bytes, self.id()));
        let usable = read.is_some();
        Ok(CheckpointHandle { checkpoint: read.unwrap_or_default(), user, etag, usable })
    }

    /// Stores a checkpoint. If another writer stored one meanwhile, what both know is stored, and stands in the handle.
    pub async fn save(&self, handle: &mut CheckpointHandle, overlap: SignedDuration) -> Result<(), ArchiveError> {
        let key = layout::checkpoint(self.tenant(), handle.user);
        handle.checkpoint.prune(self.clock().now());
        for _ in 0..MAX_ROUNDS {
            let bytes = handle.checkpoint.to_bytes(self.id())?;
            let stored = match &handle.etag {
                None => match self.certain(|| self.state().put_new(&key, bytes.clone())).await? {
                    PutNew::Created(etag) => Some(etag),
                    PutNew::Exists => None,
                },
                Some(etag) => match self.certain(|| self.state().put_if_match(&key, bytes.clone(), etag)).await? {
                    PutIfMatch::Replaced(etag) => Some(etag),
                    PutIfMatch::Changed => None,
                },
            };
            if stored.is_some() {
                (handle.etag, handle.usable) = (stored, true);
                return Ok(());
            }
            let found: Option<Object> = self.certain(|| self.state().get(&key)).await?;
            handle.etag = found.as_ref().map(|object| object.etag.clone());
            if let Some(object) = found {
                if object.bytes == bytes {
                    // Our own put, whose answer was lost.
                    handle.usable = true;
                    return Ok(());
                }
                if let Some(theirs) = Checkpoint::from_bytes(&object.bytes, self.id()) {
                    handle.checkpoint.merge(theirs, overlap);
                    handle.checkpoint.prune(self.clock().now());
                }
            }
        }
        let kind = StoreErrorKind::Unknown;
        Err(ArchiveError::Unknown(StoreError { kind, operation: "put", key, source: None }))
    }
}
