//! What the tests of this crate are written in: receipt lines made by hand, and a small world around `handle`.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archive::memory::MemoryStore;
use archive::records::{
    Asked, Counts, Exclusion, LedgerEntry, Producer, ReceiptLine, RosterLine, RunFile, SegmentRef, Why,
};
use archive::store::{ETag, LegalHold, Object, PutIfMatch, PutNew, Store, StoreError, StoreErrorKind};
use archive::{Archive, Stores, layout};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    AttemptId, Class, Clock, Deadline, Kind, Message, Random, RunId, ScaledClock, SeededRandom, TenantId, Timestamp,
    UserId, Window,
};
use jiff::SignedDuration;
use queue::{InProcessQueue, Options, Queue};

use crate::{Answer, Closed, Deps, ReconcileError};

pub(crate) fn run_id() -> RunId {
    "20261124T030000Z".parse().unwrap()
}

pub(crate) fn user(n: u8) -> UserId {
    UserId::from_bytes([n; 16])
}

pub(crate) fn attempt(n: u8) -> AttemptId {
    format!("{n:032x}").parse().unwrap()
}

/// Hours after the beginning of the month.
pub(crate) fn at(hour: i64) -> Timestamp {
    "2026-11-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour)
}

pub(crate) fn window(from: i64, to: i64) -> Window {
    Window::new(at(from), at(to)).unwrap()
}

pub(crate) fn segment(n: u64, lines: u64, adopted: bool) -> SegmentRef {
    SegmentRef { key: format!("segment-{n:06}"), lines, sha256: format!("{n:064x}"), adopted }
}

/// A line that says little but how the user ended.
pub(crate) fn line(of: u8, by: u8, class: Option<Class>) -> ReceiptLine {
    ReceiptLine {
        user_id: user(of),
        run_id: run_id(),
        attempt_id: attempt(by),
        class,
        windows: if class.is_some_and(Class::is_read) { vec![window(0, 72)] } else { Vec::new() },
        pages: 0,
        received: 0,
        new: 0,
        already_held: 0,
        segments: Vec::new(),
        quarantine: Vec::new(),
        covered_from: None,
        covered_to: None,
        requests: Counts::new(),
        retries: 0,
        request_ids: Vec::new(),
        lateness: Counts::new(),
    }
}

pub(crate) fn roster_line(of: u8, excluded: Option<Exclusion>) -> RosterLine {
    RosterLine {
        user_id: user(of),
        upn: None,
        display_name: None,
        mail: None,
        account_enabled: None,
        user_type: None,
        licences: Vec::new(),
        why: Why::Licensed,
        planned: excluded.is_none(),
        excluded,
    }
}

/// A daily run that plans so many users, begun at 03:00 with a deadline 23 hours later.
pub(crate) fn run_file(planned: u8) -> RunFile {
    RunFile {
        format: 1,
        run_id: run_id(),
        tenant_id: tenant(),
        kind: Kind::Daily,
        asked: Asked::default(),
        from: None,
        to: Some("2026-11-24T01:00:00Z".parse().unwrap()),
        not_after: None,
        deadline: "2026-11-25T02:00:00Z".parse().unwrap(),
        overlap_hours: 72,
        enumerated: u64::from(planned),
        excluded: Counts::new(),
        planned: u64::from(planned),
        started_at: "2026-11-24T03:00:00Z".parse().unwrap(),
        producer: producer(),
    }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::from_bytes([0xaa; 16])
}

pub(crate) fn producer() -> Producer {
    Producer { name: "reconcile".to_owned(), version: "0.1.0".to_owned(), commit: "0".to_owned() }
}

/// An archive in one store.
pub(crate) fn stores<S: Store + 'static>(store: &Arc<S>) -> Stores {
    let store: Arc<dyn Store> = Arc::<S>::clone(store);
    Stores { evidence: Arc::clone(&store), state: store }
}

type Hook = Box<dyn FnOnce() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A store in which other things happen while one waits for it.
pub(crate) struct Busy {
    pub(crate) inner: Arc<MemoryStore>,
    /// Runs before the first put of a key that ends so.
    before: Mutex<Option<(&'static str, Hook)>>,
    /// Puts of keys that end so fail, as if the process had been killed before them.
    killed_at: Option<&'static str>,
    /// Makes every call give way to other tasks a random number of times.
    dice: Option<SeededRandom>,
}

impl fmt::Debug for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Busy")
    }
}

impl Busy {
    async fn give_way(&self) {
        for _ in 0..self.dice.as_ref().map_or(0, |dice| dice.below(8)) {
            tokio::task::yield_now().await;
        }
    }

    async fn put(&self, key: &str) -> Result<(), StoreError> {
        self.give_way().await;
        if self.killed_at.is_some_and(|suffix| key.ends_with(suffix)) {
            let kind = StoreErrorKind::Denied;
            return Err(StoreError { kind, operation: "put", key: key.to_owned(), source: None });
        }
        let hook = self.before.lock().unwrap().take_if(|(suffix, _)| key.ends_with(*suffix));
        if let Some((_, hook)) = hook {
            hook().await;
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Busy {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.give_way().await;
        self.inner.get(key).await
    }

    async fn put_new_under(&self, key: &str, bytes: Bytes, hold: LegalHold) -> Result<PutNew, StoreError> {
        self.put(key).await?;
        self.inner.put_new_under(key, bytes, hold).await
    }

    async fn put_if_match(&self, key: &str, bytes: Bytes, etag: &ETag) -> Result<PutIfMatch, StoreError> {
        self.put(key).await?;
        self.inner.put_if_match(key, bytes, etag).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.give_way().await;
        self.inner.list(prefix).await
    }
}

/// An archive with one run, a queue, and a clock that begins an hour after the run.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) queue: InProcessQueue,
    pub(crate) deps: Deps,
    pub(crate) archive: Archive,
}

impl World {
    /// With users 1 to `planned`.
    pub(crate) async fn new(planned: u8) -> Self {
        let roster: Vec<RosterLine> = (1..=planned).map(|n| roster_line(n, None)).collect();
        Self::with(run_file(planned), &roster).await
    }

    /// With this run.
    pub(crate) async fn with(run: RunFile, roster: &[RosterLine]) -> Self {
        let store = Arc::new(MemoryStore::new());
        let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new("2026-11-24T04:00:00Z".parse().unwrap(), 1.0));
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(1));
        let queue = InProcessQueue::new(Options::default(), Arc::clone(&clock), Arc::clone(&random));
        let stores = stores(&store);
        let archive = Archive::open_or_create(stores.clone(), tenant(), Arc::clone(&clock), Arc::clone(&random));
        let archive = archive.await.unwrap();
        let deps = Deps {
            stores,
            tenant: tenant(),
            queue: Arc::new(queue.clone()),
            clock: Arc::clone(&clock),
            random,
            rules: settings::Rules::default(),
            producer: producer(),
        };
        let world = Self { store, clock, queue, deps, archive };
        world.plan(run, roster).await;
        world
    }

    /// Adds a run.
    pub(crate) async fn plan(&self, run: RunFile, roster: &[RosterLine]) {
        self.archive.put_roster(&run.run_id, roster).await.unwrap();
        self.archive.put_run(&run).await.unwrap();
    }

    /// The same world, whose store is busy.
    pub(crate) fn busy(&self, before: Option<(&'static str, Hook)>, killed_at: Option<&'static str>) -> Self {
        self.over(Busy { inner: Arc::clone(&self.store), before: Mutex::new(before), killed_at, dice: None })
    }

    /// The same world, whose store gives way at random.
    pub(crate) fn slow(&self, seed: u64, killed_at: Option<&'static str>) -> Self {
        let dice = Some(SeededRandom::new(seed));
        self.over(Busy { inner: Arc::clone(&self.store), before: Mutex::new(None), killed_at, dice })
    }

    fn over(&self, store: Busy) -> Self {
        let store = Arc::new(store);
        let mut world = self.clone();
        world.deps.stores = stores(&store);
        world
    }

    /// Puts a receipt of these lines, which must be of one attempt.
    pub(crate) async fn receipt(&self, n: u64, lines: &[ReceiptLine]) {
        self.archive.put_receipt(&lines[0].run_id, &lines[0].attempt_id, n, lines).await.unwrap();
    }

    /// Appends items to a user's log as an attempt does, and answers the segments it put.
    pub(crate) async fn segments(&self, of: u8, by: u8, items: &[&str]) -> Vec<SegmentRef> {
        self.segments_of(&run_id(), of, by, items).await
    }

    /// The same in another run.
    pub(crate) async fn segments_of(&self, run: &RunId, of: u8, by: u8, items: &[&str]) -> Vec<SegmentRef> {
        let handle = self.archive.checkpoint(user(of)).await.unwrap();
        let mut writer = self.archive.log_writer(user(of), run, &attempt(by), &handle);
        writer.append(items.iter().copied(), self.clock.now()).await.unwrap();
        writer.flush().await.unwrap();
        let own = writer.segments().iter().filter(|segment| segment.attempt_id == attempt(by));
        own.map(|segment| SegmentRef {
            key: segment.key.clone(),
            lines: segment.lines,
            sha256: segment.sha256.clone(),
            adopted: false,
        })
        .collect()
    }

    /// Reconciles the run with the fifteen minutes that a function has.
    pub(crate) async fn reconcile(&self) -> Result<Answer, ReconcileError> {
        let deadline = Deadline::at(self.clock.now() + SignedDuration::from_mins(15));
        crate::handle(br#"{"runId":"20261124T030000Z"}"#, deadline, &self.deps).await
    }

    /// The same, of a run that must close.
    pub(crate) async fn closed(&self) -> Closed {
        match self.reconcile().await.unwrap() {
            Answer::Closed(closed) => *closed,
            other => panic!("not closed: {other:?}"),
        }
    }

    /// The same, of a run that must stay open: how many users it waits for.
    pub(crate) async fn waiting(&self) -> u64 {
        match self.reconcile().await.unwrap() {
            Answer::Open(open) => open.waiting,
            other => panic!("not open: {other:?}"),
        }
    }

    /// Sends a message of a user.
    pub(crate) async fn send(&self, body: &str) {
        let outgoing = queue::Outgoing { body: body.to_owned(), delay: Duration::ZERO };
        self.queue.send(vec![outgoing]).await.unwrap();
    }

    /// Takes every message from the queue.
    pub(crate) async fn drain(&self) -> Vec<Message> {
        let deliveries = self.queue.receive(1_000).await;
        self.queue.delete(deliveries.iter().map(|delivery| delivery.receipt_handle.clone()).collect()).await.unwrap();
        let mut messages: Vec<Message> =
            deliveries.iter().map(|delivery| Message::from_body(&delivery.body).unwrap()).collect();
        messages.sort_by_key(|message| message.user_id);
        messages
    }

    /// The ledger's entries.
    pub(crate) async fn ledger(&self) -> Vec<LedgerEntry> {
        self.archive.ledger().await.unwrap().into_iter().map(|(_, entry)| entry).collect()
    }

    /// Checks that the archive keeps every promise that the independent reader knows, among them that the users file is what
    /// the receipts of the run's one ledger entry unite to. Answers the keys of these receipts.
    pub(crate) async fn one_sound_entry(&self) -> Vec<String> {
        let mut copy = evidence::Memory::default();
        for key in self.store.list("").await.unwrap() {
            let object = self.store.get(&key).await.unwrap().unwrap();
            copy.objects.insert(key, object.bytes.to_vec());
        }
        let history_start = Some(self.deps.rules.history_start);
        let expectation = evidence::Expectation { history_start, ..evidence::Expectation::default() };
        let verdict = evidence::verify(&copy, &expectation).unwrap();
        assert_eq!(verdict.integrity().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
        let ledger = self.ledger().await;
        let own: Vec<&LedgerEntry> = ledger.iter().filter(|entry| entry.run_id == run_id()).collect();
        assert_eq!(own.len(), 1);
        let prefix = layout::receipts_prefix(&run_id());
        let keys = own[0].files.iter().map(|file| file.key.clone());
        let (receipts, others): (Vec<String>, Vec<String>) = keys.partition(|key| key.starts_with(&prefix));
        assert_eq!(others, [layout::run_file, layout::roster, layout::users, layout::report].map(|key| key(&run_id())));
        receipts
    }
}
