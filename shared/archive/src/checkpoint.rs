//! The checkpoint: a cache of what a user's logs hold, and a lower bound of the user's coverage.

use std::collections::btree_map::Entry;
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
use crate::{Archive, Month, RunProgress, RunSegment, layout};

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

    /// Adds the items of another: without a copy if the larger one holds the smaller.
    fn unite(&mut self, mut other: Self) {
        if self.len() < other.len() {
            std::mem::swap(self, &mut other);
        }
        if !other.0.is_subset(&self.0) {
            Arc::make_mut(&mut self.0).extend(other.0.iter());
        }
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

    /// Notes a segment in the line of the run that put it, unless that has ended. A run without a line gets one only while
    /// no other has to make room: a log that is read as a whole names every run that ever put something there.
    pub(crate) fn note_segment(&mut self, run: &RunId, segment: &RunSegment) {
        if self.run(run).is_none() && self.runs.len() >= MAX_RUNS / 2 {
            return;
        }
        let line = self.run_mut(run);
        if line.ended.is_none() && line.segments.iter().all(|known| known.key != segment.key) {
            line.segments.push(segment.clone());
        }
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

    /// Takes in what is known of a log, with what was known. Of two, the one that knows more segments knows the items of the
    /// other as well, but where a log has expired and begun anew.
    pub(crate) fn learn(&mut self, month: Month, log: KnownLog) {
        match self.months.entry(month) {
            Entry::Vacant(entry) => _ = entry.insert(log),
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                known.next = known.next.max(log.next);
                known.items.unite(log.items);
            }
        }
    }

    /// Forgets the logs that a checkpoint does not keep.
    pub(crate) fn prune(&mut self, now: Timestamp) {
        let current = Month::at(now);
        self.months.retain(|month, _| *month == current || *month == current.previous() || *month == Month::UNKNOWN);
    }

    /// The object that stores it.
    pub fn to_bytes(&self, archive_id: ArchiveId) -> Result<Bytes, ArchiveError> {
        let log = |log: &KnownLog| WireLog { next: log.next, items: log.items.to_text() };
        crate::archive::json(&Wire {
            format: FORMAT,
            archive_id,
            coverage: self.coverage,
            months: self.months.iter().map(|(month, known)| (*month, log(known))).collect(),
            runs: self.runs.clone(),
        })
    }

    /// The checkpoint that an object stores; `None` for what is foreign or does not parse.
    pub fn from_bytes(bytes: &[u8], archive_id: ArchiveId) -> Option<Self> {
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

    /// Stores a checkpoint if nobody stored one since it was read; false if somebody did. Nothing is merged, so that what was
    /// taken away on purpose does not come back.
    pub async fn replace(&self, handle: &mut CheckpointHandle) -> Result<bool, ArchiveError> {
        let key = layout::checkpoint(self.tenant(), handle.user);
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
        if stored.is_none() {
            return Ok(false);
        }
        (handle.etag, handle.usable) = (stored, true);
        Ok(true)
    }

    /// Stores a checkpoint. If another writer stored one meanwhile, what both know is stored, and stands in the handle.
    pub async fn save(&self, handle: &mut CheckpointHandle, overlap: SignedDuration) -> Result<(), ArchiveError> {
        let key = layout::checkpoint(self.tenant(), handle.user);
        handle.checkpoint.prune(self.clock().now());
        for _ in 0..MAX_ROUNDS {
            if self.replace(handle).await? {
                return Ok(());
            }
            let found: Option<Object> = self.certain(|| self.state().get(&key)).await?;
            handle.etag = found.as_ref().map(|object| object.etag.clone());
            // It may be our own, of a put whose answer was lost: merging it changes nothing.
            if let Some(theirs) = found.and_then(|object| Checkpoint::from_bytes(&object.bytes, self.id())) {
                handle.checkpoint.merge(theirs, overlap);
                handle.checkpoint.prune(self.clock().now());
            }
        }
        let kind = StoreErrorKind::Unknown;
        Err(ArchiveError::Unknown(StoreError { kind, operation: "put", key, source: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Fault, Operation};
    use crate::store::Store as _;
    use crate::testing::{USER, World, time};
    use domain::Window;

    const OVERLAP: SignedDuration = SignedDuration::from_hours(72);

    fn covered(from: &str, to: &str) -> Option<Coverage> {
        Some(Coverage::first(Window::new(time(from), time(to)).unwrap()))
    }

    fn log(next: u64, items: &[u8]) -> KnownLog {
        let mut known = KnownLog { next, items: KnownItems::default() };
        items.iter().for_each(|item| known.items.insert(ItemHash([*item; 16])));
        known
    }

    fn month(text: &str) -> Month {
        text.parse().unwrap()
    }

    fn filled() -> Checkpoint {
        let mut checkpoint = Checkpoint {
            coverage: covered("2026-11-01T00:00:00Z", "2026-11-24T00:00:00Z"),
            months: [(month("2026-11"), log(3, &[2, 1])), (Month::UNKNOWN, log(1, &[]))].into(),
            runs: Vec::new(),
        };
        checkpoint.run_mut(&"r".parse().unwrap()).shown = true;
        checkpoint
    }

    #[tokio::test(start_paused = true)]
    async fn a_checkpoint_reads_as_it_was_stored() {
        let world = World::new();
        let archive = world.archive().await;
        let mut handle = archive.checkpoint(USER).await.unwrap();
        assert!(!handle.is_stored());
        handle.checkpoint = filled();
        archive.save(&mut handle, OVERLAP).await.unwrap();
        let read = archive.checkpoint(USER).await.unwrap();
        assert!(read.is_stored());
        assert_eq!(read.checkpoint, filled());
        archive.save(&mut handle, OVERLAP).await.unwrap();

        let key = layout::checkpoint(archive.tenant(), USER);
        let text = world.state.get(&key).await.unwrap().unwrap().bytes;
        let expected = format!(
            concat!(
                r#"{{"format":1,"archive_id":"{}","coverage":{{"from":"2026-11-01T00:00:00Z","to":"2026-11-24T00:00:00Z"}},"#,
                r#""months":{{"unknown":{{"next":1,"items":""}},"2026-11":{{"next":3,"items":"{}"}}}},"#,
                r#""runs":[{{"run_id":"r","window":null,"before":null,"read":null,"other_windows":[],"shown":true,"#,
                r#""failed":null,"not_before":null,"class":null,"reason":null,"piece_seconds":null,"segments":[],"quarantine":[]}}]}}"#
            ),
            archive.id(),
            BASE64.encode([[1; 16], [2; 16]].concat())
        );
        assert_eq!(text, format!("{expected}\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_foreign_or_broken_counts_as_absent_and_is_replaced() {
        let world = World::new();
        let archive = world.archive().await;
        let key = layout::checkpoint(archive.tenant(), USER);
        let good = String::from_utf8(filled().to_bytes(archive.id()).unwrap().to_vec()).unwrap();
        let foreign = ArchiveId::from_bytes([9; 16]).to_string();
        let broken = [
            String::new(),
            good.replace(&archive.id().to_string(), &foreign),
            good.replace("\"format\":1", "\"format\":2"),
            good.replace("\"next\":3", "\"next\":0"),
            good.replace("AQEBAQEB", "AQEB"),
            good[..good.len() - 2].to_owned(),
        ];
        for content in broken {
            assert_ne!(content, good);
            world.state.overwrite(&key, content);
            let mut handle = archive.checkpoint(USER).await.unwrap();
            assert!(!handle.is_stored());
            assert_eq!(handle.checkpoint, Checkpoint::default());
            handle.checkpoint = filled();
            archive.save(&mut handle, OVERLAP).await.unwrap();
            assert_eq!(archive.checkpoint(USER).await.unwrap().checkpoint, filled());
        }
        world.state_faults.fail_next(Operation::Get, "state/", Fault::Denied);
        assert!(matches!(archive.checkpoint(USER).await, Err(ArchiveError::Store(_))), "a 403 is never absence");
    }

    #[tokio::test(start_paused = true)]
    async fn two_writers_store_what_both_know() {
        let world = World::new();
        let archive = world.archive().await;
        let (mut a, mut b) = (archive.checkpoint(USER).await.unwrap(), archive.checkpoint(USER).await.unwrap());
        a.checkpoint = filled();
        archive.save(&mut a, OVERLAP).await.unwrap();
        b.checkpoint.coverage = covered("2026-11-20T00:00:00Z", "2026-11-25T00:00:00Z");
        b.checkpoint.months = [(month("2026-11"), log(2, &[1])), (month("2026-10"), log(5, &[7]))].into();
        b.checkpoint.run_mut(&"s".parse().unwrap());
        archive.save(&mut b, OVERLAP).await.unwrap();

        let both = archive.checkpoint(USER).await.unwrap().checkpoint;
        assert_eq!(both, b.checkpoint);
        assert_eq!(both.coverage, covered("2026-11-01T00:00:00Z", "2026-11-25T00:00:00Z"));
        assert_eq!(both.months[&month("2026-11")], log(3, &[1, 2]), "the larger next counts, and the items of both");
        assert_eq!(both.months[&month("2026-10")], log(5, &[7]));
        let runs: Vec<&str> = both.runs.iter().map(|line| line.run_id.as_str()).collect();
        assert_eq!(runs, ["r", "s"], "newest last");

        // Whose version is old merges too, whoever comes first.
        a.checkpoint.run_mut(&"t".parse().unwrap());
        archive.save(&mut a, OVERLAP).await.unwrap();
        assert_eq!(a.checkpoint.runs.len(), 3);
        assert_eq!(a.checkpoint.coverage, both.coverage);
    }

    #[test]
    fn of_a_log_that_has_begun_anew_nobody_s_items_are_forgotten() {
        let logs = [log(10, &[1, 2]), log(2, &[3])];
        for (first, second) in [(0, 1), (1, 0)] {
            let mut known = Checkpoint::default();
            known.learn(month("2026-11"), logs[first].clone());
            known.learn(month("2026-11"), logs[second].clone());
            assert_eq!(known.months[&month("2026-11")], log(10, &[1, 2, 3]));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_changed_meanwhile_is_not_replaced_unread() {
        let world = World::new();
        let archive = world.archive().await;
        let (mut a, mut b) = (archive.checkpoint(USER).await.unwrap(), archive.checkpoint(USER).await.unwrap());
        a.checkpoint = filled();
        assert!(archive.replace(&mut a).await.unwrap());
        b.checkpoint.run_mut(&"s".parse().unwrap());
        assert!(!archive.replace(&mut b).await.unwrap());
        assert_eq!(archive.checkpoint(USER).await.unwrap().checkpoint, filled());
        a.checkpoint.coverage = None;
        assert!(archive.replace(&mut a).await.unwrap() && a.is_stored());
        assert_eq!(archive.checkpoint(USER).await.unwrap().checkpoint, a.checkpoint);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_is_no_other_writer() {
        for fault in [Fault::Lost, Fault::Unanswered, Fault::Late] {
            let world = World::new();
            let archive = world.archive().await;
            let mut handle = archive.checkpoint(USER).await.unwrap();
            handle.checkpoint = filled();
            for _ in 0..2 {
                world.state_faults.fail_next(Operation::Put, "state/", fault);
                archive.save(&mut handle, OVERLAP).await.unwrap();
                world.state_faults.land().await;
                assert_eq!(archive.checkpoint(USER).await.unwrap().checkpoint, filled(), "{fault:?}");
                handle.checkpoint = filled();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_logs_of_two_months_and_of_none_are_kept_and_only_eight_runs() {
        let world = World::new();
        let archive = world.archive().await;
        let mut handle = archive.checkpoint(USER).await.unwrap();
        for text in ["2026-12", "2026-11", "2026-10", "2026-09", "unknown"] {
            handle.checkpoint.learn(month(text), log(1, &[]));
        }
        for n in 0..12 {
            let run: RunId = format!("r{n}").parse().unwrap();
            handle.checkpoint.run_mut(&run).piece_seconds = Some(n);
        }
        archive.save(&mut handle, OVERLAP).await.unwrap();
        let read = archive.checkpoint(USER).await.unwrap().checkpoint;
        assert_eq!(read.months.keys().map(Month::to_string).collect::<Vec<_>>(), ["unknown", "2026-10", "2026-11"]);
        assert_eq!(
            read.runs.iter().map(|line| line.piece_seconds).collect::<Vec<_>>(),
            (4..12).map(Some).collect::<Vec<_>>()
        );
    }
}
