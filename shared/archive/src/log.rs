//! The log: appends a user's items, each text once.
//!
//! One log per user and month of the item, in numbered segments. Segment `n` holds only items that no segment before it
//! holds, so whoever knows the items of the segments before `n` may try to put `n`; of all who try, the store lets exactly
//! one succeed, and the others take what it put as seen, and go on with `n + 1`. A put without a certain answer is made again,
//! with the same bytes at the same number, until the answer is certain: whenever it lands, what lies before it cannot have
//! changed.

mod segment;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use domain::{AttemptId, RunId, Timestamp, UserId};
use jiff::SignedDuration;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::archive::PutOnce;
use crate::checkpoint::{Checkpoint, CheckpointHandle, KnownItems, KnownLog};
use crate::error::{ArchiveError, Integrity};
use crate::store::LegalHold;
use crate::{Archive, Month, RunSegment, jsonl, layout, month};
use segment::Segment;

/// The largest item: far above what a mail item can hold, far below what a reader with little memory can take as one line.
pub const MAX_ITEM_BYTES: usize = 64 << 20;

/// Lines are compressed when this many bytes of them wait in all logs of a writer together: enough that a larger frame would
/// gain nothing, little enough for many users at once.
const FRAME_BYTES: usize = 256 << 10;

/// Between two pages at most this much of a log waits uncompressed: the day of a usual user, who is given one frame. Of many
/// users at once, one is being appended to; what the others hold is mostly compressed.
const HELD_BYTES: usize = 64 << 10;

/// A segment is put when it has this size: one request carries several pages, a reader takes it in one bite, and all users
/// in flight together hold a few megabytes.
const SEGMENT_BYTES: usize = 256 << 10;

/// A segment is also put when it decodes to this size, so that text that compresses well makes no giant for its readers.
const SEGMENT_DECODED_BYTES: usize = 16 << 20;

/// Upper bounds of the lateness classes, in hours.
const LATENESS_HOURS: [i64; 8] = [1, 2, 4, 8, 24, 48, 72, 168];

/// The identity of an item: the first 128 bits of the SHA-256 of its text as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemHash(pub [u8; 16]);

impl ItemHash {
    /// The identity of an item's text as stored.
    pub fn of(stored: &str) -> Self {
        let digest = Sha256::digest(stored.as_bytes());
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        Self(first)
    }
}

/// What became of the items appended. Only of those whose fate is certain, so that `received` is always `new` +
/// `already_held`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogCounts {
    /// Items appended.
    pub received: u64,
    /// Items this writer archived.
    pub new: u64,
    /// Items that were archived before, or appended before.
    pub already_held: u64,
    /// New items by how many hours after their creation they were fetched, of those that name a time.
    pub lateness: BTreeMap<String, u64>,
}

/// Appends items to the logs of one user, for one attempt at one run.
///
/// After an error, or if one of its futures is dropped before it is done, every later call is an error too: nothing can be put
/// beyond what is not certain to be there.
#[derive(Debug)]
pub struct LogWriter {
    archive: Archive,
    user: UserId,
    run: RunId,
    attempt: AttemptId,
    remembered: BTreeMap<Month, KnownLog>,
    logs: BTreeMap<Month, Log>,
    counts: LogCounts,
    segments: Vec<RunSegment>,
    met_of_others: Vec<(RunId, RunSegment)>,
    retention: Option<SignedDuration>,
    hold: LegalHold,
    interrupted: bool,
}

thread_local! {
    /// The room that lines were last compressed from: one log at a time is appended to, so one is enough for all.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One log, and what waits to be put to it.
#[derive(Debug)]
struct Log {
    known: KnownLog,
    /// Whether what is known was held against a listing, where it has to be before anything is put.
    is_current: bool,
    waiting: Waiting,
}

/// Items that are in no segment yet: the segment under construction.
#[derive(Debug, Default)]
struct Waiting {
    items: Vec<Item>,
    hashes: HashSet<ItemHash>,
    /// How often an item was appended again while it waited.
    repeats: u64,
    /// Lines not compressed yet.
    lines: Vec<u8>,
    /// The frames before them.
    frames: Vec<u8>,
    /// What all of it decodes to.
    decoded: usize,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    hash: ItemHash,
    lateness: Option<&'static str>,
}

/// A record's members before the item.
#[derive(Serialize)]
struct Origin<'a> {
    tenant_id: domain::TenantId,
    user_id: UserId,
    run_id: &'a RunId,
    attempt_id: &'a AttemptId,
    fetched_at: Timestamp,
}

impl Archive {
    /// A writer of a user's logs that knows of them what the checkpoint knows.
    pub fn log_writer(&self, user: UserId, run: &RunId, attempt: &AttemptId, handle: &CheckpointHandle) -> LogWriter {
        LogWriter {
            archive: self.clone(),
            user,
            run: run.clone(),
            attempt: attempt.clone(),
            remembered: handle.checkpoint.months.clone(),
            logs: BTreeMap::new(),
            counts: LogCounts::default(),
            segments: Vec::new(),
            met_of_others: Vec::new(),
            retention: None,
            hold: LegalHold::Off,
            interrupted: false,
        }
    }
}

impl LogWriter {
    /// The same writer of logs whose segments expire once they are so old: then a log need not begin with segment 1.
    #[must_use]
    pub fn expiring(self, retention: Option<SignedDuration>) -> Self {
        Self { retention, ..self }
    }

    /// The same writer, whose segments are put under this hold.
    #[must_use]
    pub fn under(self, hold: LegalHold) -> Self {
        Self { hold, ..self }
    }

    /// Appends the items of a page, each the JSON of one element as received. They are certain to be in the archive only
    /// after [`flush`](Self::flush).
    pub async fn append<'a>(
        &mut self,
        items: impl Iterator<Item = &'a str> + Send,
        fetched_at: Timestamp,
    ) -> Result<(), ArchiveError> {
        self.begin()?;
        let origin = Origin {
            tenant_id: self.archive.tenant(),
            user_id: self.user,
            run_id: &self.run,
            attempt_id: &self.attempt,
            fetched_at,
        };
        let origin = serde_json::to_string(&origin).map_err(|error| ArchiveError::Encode(error.into()))?;
        for item in items {
            self.append_one(item, fetched_at, origin.trim_end_matches('}')).await?;
        }
        self.logs.values_mut().try_for_each(|log| log.waiting.rest())?;
        self.interrupted = false;
        Ok(())
    }

    /// Puts what waits. When this is `Ok`, everything appended is in the archive.
    pub async fn flush(&mut self) -> Result<(), ArchiveError> {
        self.begin()?;
        let waiting: Vec<Month> =
            self.logs.iter().filter(|(_, log)| !log.waiting.items.is_empty()).map(|(month, _)| *month).collect();
        for month in waiting {
            self.put(month).await?;
        }
        self.interrupted = false;
        Ok(())
    }

    /// What became of the items appended; call it after [`flush`](Self::flush).
    pub const fn counts(&self) -> &LogCounts {
        &self.counts
    }

    /// The segments of this run that this writer put, and those of other attempts that it met.
    pub fn segments(&self) -> &[RunSegment] {
        &self.segments
    }

    /// Writes what is now known of the logs back into a checkpoint, as far as checkpoints keep it.
    ///
    /// A segment of another run is noted in that run's line: once its items are known here, no writer of that run meets it
    /// any more, and its receipts would not name it.
    pub fn update(&self, checkpoint: &mut Checkpoint, now: Timestamp) {
        for (run, segment) in &self.met_of_others {
            checkpoint.note_segment(run, segment);
        }
        for (month, log) in &self.logs {
            checkpoint.learn(*month, log.known.clone());
        }
        checkpoint.prune(now);
    }

    /// Only a call that comes to its good end clears the mark: an error, or a future dropped half-way, leaves it.
    fn begin(&mut self) -> Result<(), ArchiveError> {
        if std::mem::replace(&mut self.interrupted, true) { Err(ArchiveError::Poisoned) } else { Ok(()) }
    }

    async fn append_one(&mut self, item: &str, fetched_at: Timestamp, origin: &str) -> Result<(), ArchiveError> {
        if item.len() > MAX_ITEM_BYTES {
            return Err(ArchiveError::TooLarge { bytes: item.len() });
        }
        let text = stored_text(item);
        let created = month::created(&text).map_err(|_| ArchiveError::NotJson)?;
        let month = created.as_deref().map_or(Month::UNKNOWN, Month::of_created);
        let hash = ItemHash::of(&text);
        self.know(month, &hash).await?;
        let Some(log) = self.logs.get_mut(&month) else { return Ok(()) };
        if log.known.items.contains(&hash) {
            self.counts.received += 1;
            self.counts.already_held += 1;
            return Ok(());
        }
        if !log.waiting.hashes.insert(hash) {
            log.waiting.repeats += 1;
            return Ok(());
        }
        let lateness = created.as_deref().and_then(|created| lateness(created, fetched_at));
        log.waiting.push(&[origin, ",\"interaction\":", &text, "}"], Item { hash, lateness });
        let uncompressed: usize = self.logs.values().map(|log| log.waiting.lines.len()).sum();
        if uncompressed >= FRAME_BYTES {
            self.logs.values_mut().try_for_each(|log| log.waiting.compress())?;
        }
        if self.logs.get(&month).is_some_and(|log| log.waiting.is_full()) {
            self.put(month).await?;
        }
        Ok(())
    }

    /// Knows of a log what must be known before this item is appended: what the checkpoint knew, or what lies there.
    ///
    /// The next number of an old checkpoint is taken, and who tries it learns; but where segments expire it may be free again,
    /// below others that are kept. There the first new item costs a listing.
    async fn know(&mut self, month: Month, item: &ItemHash) -> Result<(), ArchiveError> {
        if let Some(known) = self.remembered.remove(&month) {
            let is_current = self.retention.is_none();
            self.logs.insert(month, Log { known, is_current, waiting: Waiting::default() });
        }
        let known = match self.logs.get(&month) {
            Some(log) if log.is_current || log.known.items.contains(item) => return Ok(()),
            Some(log) => log.known.clone(),
            None => KnownLog { next: 1, items: KnownItems::default() },
        };
        let known = self.read_on(month, known).await?;
        self.logs.insert(month, Log { known, is_current: true, waiting: Waiting::default() });
        Ok(())
    }

    /// Reads the segments of a log that are not known. Of a log that expired as a whole none are left: who knew nothing of it
    /// begins with segment 1 again. Where the last one known is gone, that may have happened since, and all are read.
    async fn read_on(&mut self, month: Month, known: KnownLog) -> Result<KnownLog, ArchiveError> {
        let prefix = layout::segment_prefix(self.archive.tenant(), &month, self.user);
        let numbers = self.archive.numbers(&prefix, layout::segment_number).await?;
        let kept_since = self.retention.and_then(|kept| self.archive.clock().now().checked_sub(kept).ok());
        let KnownLog { next: known_next, mut items } = known;
        let first = if numbers.contains(&(known_next - 1)) { known_next } else { 1 };
        let (mut next, mut before_is_kept) = (first, kept_since.is_none());
        for n in numbers.into_iter().filter(|n| *n >= first) {
            // What expires was put before what stays, so behind a segment that is kept none is missing.
            if n != next && before_is_kept {
                return Err(ArchiveError::Integrity(Integrity::Gap { prefix, number: next }));
            }
            let key = layout::segment(self.archive.tenant(), &month, self.user, n);
            let bytes = self.archive.get_known(&key).await?;
            let segment = self.meet(&key, &bytes)?;
            before_is_kept |= kept_since.is_some_and(|since| segment.fetched_at >= since);
            segment.items.into_iter().for_each(|item| items.insert(item));
            next = n + 1;
        }
        // Only behind a segment that is kept must the next one follow at once.
        Ok(KnownLog { next: if before_is_kept { next } else { next.max(known_next) }, items })
    }

    /// Reads a segment that somebody put, and remembers it if it is another attempt's. This attempt's own segments are
    /// counted where they were put, if they were.
    fn meet(&mut self, key: &str, bytes: &Bytes) -> Result<Segment, ArchiveError> {
        let segment = Segment::read(bytes).map_err(|_| ArchiveError::undecodable(key))?;
        if segment.attempt != self.attempt {
            let met = RunSegment {
                key: key.to_owned(),
                lines: segment.lines,
                sha256: jsonl::sha256_hex(bytes),
                attempt_id: segment.attempt.clone(),
            };
            if segment.run == self.run {
                self.remember(met);
            } else {
                self.met_of_others.push((segment.run.clone(), met));
            }
        }
        Ok(segment)
    }

    fn remember(&mut self, segment: RunSegment) {
        if self.segments.iter().all(|known| known.key != segment.key) {
            self.segments.push(segment);
        }
    }

    /// Puts what waits for a log, at whatever number is free.
    async fn put(&mut self, month: Month) -> Result<(), ArchiveError> {
        while let Some((n, bytes)) = self.ready(month)? {
            let key = layout::segment(self.archive.tenant(), &month, self.user, n);
            match self.archive.put_once_under(&key, bytes.clone(), self.hold).await? {
                PutOnce::Created | PutOnce::Own => {
                    let lines = self.settle_put(month);
                    let sha256 = jsonl::sha256_hex(&bytes);
                    self.remember(RunSegment { key, lines, sha256, attempt_id: self.attempt.clone() });
                }
                PutOnce::Other(object) => {
                    let theirs = self.meet(&key, &object.bytes)?;
                    self.settle_met(month, &theirs.items, &bytes)?;
                }
            }
        }
        Ok(())
    }

    /// The number and the bytes of the segment to put next; `None` if nothing waits.
    fn ready(&mut self, month: Month) -> Result<Option<(u64, Bytes)>, ArchiveError> {
        let Some(log) = self.logs.get_mut(&month) else { return Ok(None) };
        if log.waiting.items.is_empty() {
            self.counts.received += log.waiting.repeats;
            self.counts.already_held += log.waiting.repeats;
            log.waiting = Waiting::default();
            return Ok(None);
        }
        log.waiting.compress()?;
        Ok(Some((log.known.next, std::mem::take(&mut log.waiting.frames).into())))
    }

    /// Everything that waited is in the archive; the number of lines put.
    fn settle_put(&mut self, month: Month) -> u64 {
        let Some(log) = self.logs.get_mut(&month) else { return 0 };
        let mut put = 0;
        for Item { hash, lateness } in std::mem::take(&mut log.waiting.items) {
            log.known.items.insert(hash);
            put += 1;
            if let Some(class) = lateness {
                *self.counts.lateness.entry(class.to_owned()).or_default() += 1;
            }
        }
        log.known.next += 1;
        self.counts.new += put;
        self.counts.received += put;
        put
    }

    /// Somebody else's segment has the number: what it holds is seen, what is left waits for the next number.
    fn settle_met(&mut self, month: Month, theirs: &HashSet<ItemHash>, ours: &[u8]) -> Result<(), ArchiveError> {
        let Some(log) = self.logs.get_mut(&month) else { return Ok(()) };
        let waited = std::mem::take(&mut log.waiting);
        log.waiting.repeats = waited.repeats;
        let mut items = waited.items.into_iter();
        // Lines were written in the order of the items.
        jsonl::each_line(ours, segment::MAX_LINE, |line| {
            let Some(item) = items.next() else { return Err(jsonl::Undecodable) };
            if theirs.contains(&item.hash) {
                self.counts.received += 1;
                self.counts.already_held += 1;
                Ok(())
            } else {
                log.waiting.push(&[line], item);
                Ok(())
            }
        })
        .map_err(|_| ArchiveError::Encode(std::io::ErrorKind::InvalidData.into()))?;
        theirs.iter().for_each(|item| log.known.items.insert(*item));
        log.known.next += 1;
        Ok(())
    }
}

impl Waiting {
    fn push(&mut self, line: &[&str], item: Item) {
        if self.lines.capacity() == 0 {
            self.lines = SPARE.take();
        }
        let begin = self.lines.len();
        line.iter().for_each(|part| self.lines.extend_from_slice(part.as_bytes()));
        self.lines.push(b'\n');
        self.decoded += self.lines.len() - begin;
        self.hashes.insert(item.hash);
        self.items.push(item);
    }

    fn compress(&mut self) -> Result<(), ArchiveError> {
        if !self.lines.is_empty() {
            jsonl::append_frame(&self.lines, &mut self.frames).map_err(ArchiveError::Encode)?;
            self.lines.clear();
            self.lines.shrink_to(2 * FRAME_BYTES);
            SPARE.set(std::mem::take(&mut self.lines));
        }
        Ok(())
    }

    /// Makes what waits small, until the next page comes.
    fn rest(&mut self) -> Result<(), ArchiveError> {
        if self.lines.len() >= HELD_BYTES {
            return self.compress();
        }
        self.lines.shrink_to(HELD_BYTES);
        Ok(())
    }

    const fn is_full(&self) -> bool {
        self.frames.len() >= SEGMENT_BYTES || self.decoded >= SEGMENT_DECODED_BYTES
    }
}

/// An item's text as stored: without newline characters, which JSON allows only between its tokens, and without white space
/// around it.
fn stored_text(item: &str) -> std::borrow::Cow<'_, str> {
    let item = item.trim_matches([' ', '\t', '\n', '\r']);
    let newline = memchr::memchr2(b'\n', b'\r', item.as_bytes());
    if newline.is_some() { item.replace(['\n', '\r'], "").into() } else { item.into() }
}

fn lateness(created: &str, fetched_at: Timestamp) -> Option<&'static str> {
    const CLASSES: [&str; 8] = ["<=1", "<=2", "<=4", "<=8", "<=24", "<=48", "<=72", "<=168"];
    let late = fetched_at.duration_since(created.parse().ok()?);
    let class = LATENESS_HOURS.iter().position(|hours| late <= SignedDuration::from_hours(*hours));
    Some(class.map_or(">168", |class| CLASSES[class]))
}
