//! The outside of a process: a store and a Graph that answer when, and how, the scheduler says.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use archive::sha256_hex;
use archive::store::{ETag, LegalHold, Object, PutIfMatch, PutNew, Store, StoreError, StoreErrorKind};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{Clock, Timestamp, Window};

use crate::items::{ITEMS, Item};

/// What a process asks of the outside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Get(String),
    List(String),
    PutNew(String, Bytes),
    Replace(String, Bytes, String),
    /// A page of Graph.
    Page(Window),
}

impl Call {
    pub(crate) const fn is_put(&self) -> bool {
        matches!(self, Self::PutNew(..) | Self::Replace(..))
    }
}

/// What it is told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Object(Option<Bytes>),
    Keys(Vec<String>),
    /// A put took effect.
    Done,
    /// 412.
    Refused,
    /// 409, 5xx, or none at all.
    Unknown,
    Items(Vec<Item>),
}

/// A mistake in how answers are taken, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// A 412 of a segment counts as done, and nobody reads what is there.
    RefusedIsDone,
    /// A put of a segment without an answer counts as done.
    UnknownIsDone,
    /// A segment is put without its condition.
    Overwrites,
    /// The checkpoint is stored before what was read is archived.
    CheckpointFirst,
    /// The items are promised before what was read is archived.
    PromisedFirst,
}

/// What all processes share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outside {
    /// The objects of both stores.
    pub(crate) objects: BTreeMap<String, Bytes>,
    /// Whether the late item shows by now.
    pub(crate) late_item_shows: bool,
    /// Everything that was certainly archived, as its reader believes.
    pub(crate) promised: Vec<Item>,
}

impl Outside {
    /// What the call comes to now.
    pub(crate) fn apply(&mut self, call: &Call, planted: Option<Planted>) -> Answer {
        match call {
            Call::Get(key) => Answer::Object(self.objects.get(key).cloned()),
            Call::List(prefix) => {
                Answer::Keys(self.objects.keys().filter(|key| key.starts_with(prefix)).cloned().collect())
            }
            Call::PutNew(key, bytes) => {
                let overwrites = planted == Some(Planted::Overwrites) && key.contains("/segment-");
                if self.objects.contains_key(key) && !overwrites {
                    return Answer::Refused;
                }
                self.objects.insert(key.clone(), bytes.clone());
                Answer::Done
            }
            Call::Replace(key, bytes, etag) => {
                if self.objects.get(key).is_none_or(|stored| sha256_hex(stored) != *etag) {
                    return Answer::Refused;
                }
                self.objects.insert(key.clone(), bytes.clone());
                Answer::Done
            }
            Call::Page(window) => {
                let shown = |item: &&Item| (self.late_item_shows || !item.late) && window.holds(item.created());
                Answer::Items(ITEMS.iter().filter(shown).copied().collect())
            }
        }
    }
}

/// The line between a process and the scheduler: at most one call waits on it.
#[derive(Debug, Default)]
struct Line {
    call: Option<Call>,
    answer: Option<Answer>,
}

/// A process's end of the line, and the scheduler's. As a store, it is both stores of the archive.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    line: Arc<Mutex<Line>>,
    planted: Option<Planted>,
    /// `archive.json`, which is there before all and never changes: asking for it is no step.
    archive_file: Bytes,
}

impl Wire {
    pub(crate) fn new(archive_file: Bytes, planted: Option<Planted>) -> Self {
        Self { line: Arc::default(), planted, archive_file }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap()
    }

    /// The call that waits.
    pub(crate) fn waiting(&self) -> Option<Call> {
        self.lock().call.clone()
    }

    /// Answers it.
    pub(crate) fn answer(&self, answer: Answer) {
        let mut line = self.lock();
        line.call = None;
        line.answer = Some(answer);
    }

    pub(crate) async fn call(&self, call: Call) -> Answer {
        self.lock().call = Some(call);
        poll_fn(|_| self.lock().answer.take().map_or(Poll::Pending, Poll::Ready)).await
    }

    pub(crate) const fn planted(&self) -> Option<Planted> {
        self.planted
    }

    fn mistaken(&self, key: &str, answer: Answer) -> Answer {
        let segment = key.contains("/segment-");
        match (self.planted, answer) {
            (Some(Planted::RefusedIsDone), Answer::Refused) if segment => Answer::Done,
            (Some(Planted::UnknownIsDone), Answer::Unknown) if segment => Answer::Done,
            (_, answer) => answer,
        }
    }
}

fn unknown(operation: &'static str, key: &str) -> StoreError {
    StoreError { kind: StoreErrorKind::Unknown, operation, key: key.to_owned(), source: None }
}

fn etag(bytes: &[u8]) -> ETag {
    // As in S3, equal content has an equal tag.
    ETag(sha256_hex(bytes))
}

#[async_trait]
impl Store for Wire {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let bytes = if key == "archive.json" {
            Some(self.archive_file.clone())
        } else {
            match self.call(Call::Get(key.to_owned())).await {
                Answer::Object(bytes) => bytes,
                _ => return Err(unknown("get", key)),
            }
        };
        Ok(bytes.map(|bytes| Object { etag: etag(&bytes), bytes }))
    }

    async fn put_new_under(&self, key: &str, bytes: Bytes, _: LegalHold) -> Result<PutNew, StoreError> {
        let tag = etag(&bytes);
        let answer = self.call(Call::PutNew(key.to_owned(), bytes)).await;
        match self.mistaken(key, answer) {
            Answer::Done => Ok(PutNew::Created(tag)),
            Answer::Refused => Ok(PutNew::Exists),
            _ => Err(unknown("put", key)),
        }
    }

    async fn put_if_match(&self, key: &str, bytes: Bytes, expected: &ETag) -> Result<PutIfMatch, StoreError> {
        let tag = etag(&bytes);
        match self.call(Call::Replace(key.to_owned(), bytes, expected.0.clone())).await {
            Answer::Done => Ok(PutIfMatch::Replaced(tag)),
            Answer::Refused => Ok(PutIfMatch::Changed),
            _ => Err(unknown("put", key)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        match self.call(Call::List(prefix.to_owned())).await {
            Answer::Keys(keys) => Ok(keys),
            _ => Err(unknown("list", prefix)),
        }
    }
}

/// A clock that stands still, and on which every wait is over at once: how long a process waits is how often the scheduler
/// lets others go first.
#[derive(Debug)]
pub(crate) struct NoClock(pub(crate) Timestamp);

#[async_trait]
impl Clock for NoClock {
    fn now(&self) -> Timestamp {
        self.0
    }

    async fn sleep(&self, _: Duration) {}
}
