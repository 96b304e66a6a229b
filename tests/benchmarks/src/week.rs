//! A simulated week of daily runs: 5,000 users of medium usage, two workers, the simulator's quota, the clock simulated.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use archive::Stores;
use archive::store::{ETag, LegalHold, Object, PutIfMatch, PutNew, Store, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{Clock, Deadline, TenantId, Timestamp};
use end_to_end::{FIFTEEN_MINUTES, World};
use graph_simulator::{Folder, Item, Switches, Tenant, plain};
use jiff::SignedDuration;
use queue::{Depth, Outgoing, Queue, QueueError};

/// Licensed users.
pub(crate) const USERS: u64 = 5_000;

/// Medium usage: three users of five are active on a working day, and hold twenty interactions then.
const ACTIVE_OF_FIVE: u64 = 3;
const INTERACTIONS: usize = 20;

/// Messages that an invocation of the worker is given: the template's batch size.
const BATCH: usize = 500;

/// How long an answer of S3 or SQS takes: its usual latency for small objects.
const AWS_LATENCY: Duration = Duration::from_millis(30);

/// Keys on a page of a listing.
const LIST_PAGE: usize = 1_000;

/// Messages in a call of SQS.
const QUEUE_CALL: u64 = 10;

/// How often reconcile looks: the template's schedule.
const LOOKS_A_DAY: u64 = 96;

/// What a day cost, as counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Day {
    /// Calls of the stores, by operation and kind of object.
    pub(crate) store: BTreeMap<(&'static str, String), u64>,
    /// Calls of the queue for messages: sent, received, deleted.
    pub(crate) queue: u64,
    /// Invocations.
    pub(crate) invocations: u64,
    /// Seconds of worker invocations.
    pub(crate) worker_seconds: f64,
    /// Seconds of fan-out and reconcile.
    pub(crate) planning_seconds: f64,
    /// Items archived.
    pub(crate) items: u64,
    /// Interaction requests.
    pub(crate) requests: usize,
    /// From the first request to the last answer, in seconds.
    pub(crate) makespan: f64,
    /// Requests that the quota refused.
    pub(crate) refused: u64,
    /// Messages handled in batches.
    pub(crate) batches: u64,
}

/// Counts calls, and takes the time that S3 takes.
#[derive(Debug)]
struct Metered {
    inner: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    counts: Mutex<BTreeMap<(&'static str, String), u64>>,
}

impl Metered {
    async fn count(&self, operation: &'static str, key: &str, calls: usize) {
        let kind = key.split('/').find(|part| !part.is_empty()).unwrap_or("").to_owned();
        *self.lock().entry((operation, kind)).or_default() += calls as u64;
        self.clock.sleep(AWS_LATENCY * calls as u32).await;
    }

    fn take(&self) -> BTreeMap<(&'static str, String), u64> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(&'static str, String), u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Metered {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.count("get", key, 1).await;
        self.inner.get(key).await
    }

    async fn put_new_under(&self, key: &str, bytes: Bytes, hold: LegalHold) -> Result<PutNew, StoreError> {
        self.count("put", key, 1).await;
        self.inner.put_new_under(key, bytes, hold).await
    }

    async fn put_if_match(&self, key: &str, bytes: Bytes, etag: &ETag) -> Result<PutIfMatch, StoreError> {
        self.count("put", key, 1).await;
        self.inner.put_if_match(key, bytes, etag).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let keys = self.inner.list(prefix).await?;
        self.count("list", prefix, keys.len().div_ceil(LIST_PAGE).max(1)).await;
        Ok(keys)
    }
}

/// Counts the calls that reconcile makes.
#[derive(Debug)]
struct Counted {
    inner: Arc<dyn Queue>,
    calls: Mutex<u64>,
}

impl Counted {
    fn add(&self, calls: u64) {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner) += calls;
    }
}

#[async_trait]
impl Queue for Counted {
    async fn send(&self, messages: Vec<Outgoing>) -> Result<(), QueueError> {
        self.add((messages.len() as u64).div_ceil(QUEUE_CALL));
        self.inner.send(messages).await
    }

    async fn delete(&self, receipt_handles: Vec<String>) -> Result<(), QueueError> {
        self.add((receipt_handles.len() as u64).div_ceil(QUEUE_CALL));
        self.inner.delete(receipt_handles).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.add(1);
        self.inner.depth().await
    }
}

/// Runs eight days. The first one, on which everything is new, is left out of what is returned: it is the week after it.
pub(crate) fn simulate() -> Vec<Day> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        // A Monday.
        let now: Timestamp = "2026-11-23T03:00:00Z".parse().expect("a time");
        let switches = Switches { latency_ms: 600, latency_jitter_ms: 240, ..Switches::default() };
        let mut world = World::with(tenant(now), switches);
        world.share(2, |_| {});
        let meter =
            Arc::new(Metered { inner: Arc::clone(&world.store) as _, clock: world.clock(), counts: Mutex::default() });
        world.stores = Stores { evidence: Arc::clone(&meter) as _, state: Arc::clone(&meter) as _ };
        let mut days = Vec::new();
        for day in 0..8 {
            world.clock.sleep_until(now + SignedDuration::from_hours(24 * day)).await;
            days.push(run(&world, &meter).await);
        }
        world.verify();
        days.split_off(1)
    })
}

/// A tenant whose items end after the last day.
fn tenant(now: Timestamp) -> Tenant {
    let mut tenant = Tenant::new(TenantId::from_bytes([7; 16]), now);
    let author = graph_simulator::numbered(1);
    // The same texts for everybody: each user has a log of its own.
    let days: Vec<Vec<Item>> = (-4_i64..8)
        .filter(|day| (day - 5).rem_euclid(7) > 1)
        .map(|day| {
            let morning = now + SignedDuration::from_hours(24 * day + 6);
            let item = |n: usize| {
                let created = morning + SignedDuration::from_mins(25 * n as i64);
                let folder = if n.is_multiple_of(2) { Folder::TeamsMessagesData } else { Folder::TeamChat };
                Item::new(plain(author, n, created), created).in_folder(folder)
            };
            (0..INTERACTIONS).map(item).collect()
        })
        .collect();
    for number in 1..=USERS {
        let user = tenant.add_licensed(number);
        for (day, items) in days.iter().enumerate() {
            if (number + day as u64) % 5 < ACTIVE_OF_FIVE {
                items.iter().for_each(|item| _ = tenant.add_item(user, item.clone()));
            }
        }
    }
    tenant
}

async fn run(world: &World, meter: &Metered) -> Day {
    meter.take();
    let mut day = Day::default();
    let before = world.simulator.ledger().records().len();
    let begun = world.now();
    world.fan_out(&format!(r#"{{"scheduledTime":"{}"}}"#, world.seconds())).await.expect("planned");
    // Sending takes a call for ten messages, eight calls at a time.
    let sends = USERS.div_ceil(QUEUE_CALL);
    world.clock.sleep(AWS_LATENCY * u32::try_from(sends.div_ceil(8)).expect("few")).await;
    day.planning_seconds += since(world, begun);
    let totals = futures_util::future::join_all((0..2).map(|worker| work(world, worker))).await;
    for (messages, batches, seconds) in totals {
        day.worker_seconds += seconds;
        day.batches += batches;
        // Each was sent, received and deleted, ten a call.
        day.queue += 3 * messages.div_ceil(QUEUE_CALL);
    }
    let counted = Arc::new(Counted { inner: Arc::new(world.queue.clone()), calls: Mutex::default() });
    for _ in 0..LOOKS_A_DAY {
        let begun = world.now();
        let deps = reconcile::Deps { queue: Arc::clone(&counted) as _, ..world.reconciler() };
        reconcile::handle(b"{}", Deadline::before(begun + FIFTEEN_MINUTES, begun), &deps).await.expect("reconciled");
        day.planning_seconds += since(world, begun);
    }
    day.queue += *counted.calls.lock().unwrap_or_else(PoisonError::into_inner);
    day.invocations = 1 + LOOKS_A_DAY + day.batches;
    day.store = meter.take();

    let archive = world.archive().await;
    let run = archive.runs().await.expect("runs").pop().expect("a run");
    let report = archive.report(&run).await.expect("read").expect("a closed run has a report");
    assert!(report.complete, "{report:?}");
    (day.items, day.refused) = (report.interactions.new, report.requests.throttled);
    let ledger = world.simulator.ledger();
    let asked =
        ledger.records()[before..].iter().filter(|record| record.kind == graph_simulator::RequestKind::Interactions);
    let (first, last) =
        (asked.clone().map(|record| record.started).min(), asked.clone().filter_map(|record| record.delivered).max());
    day.makespan = last.expect("answered").duration_since(first.expect("asked")).as_secs_f64();
    day.requests = asked.count();
    day
}

/// One worker's event source: full batches, one after the other, until nothing is left.
async fn work(world: &World, worker: usize) -> (u64, u64, f64) {
    let (mut messages, mut batches, mut seconds) = (0, 0, 0.0);
    loop {
        let batch = world.queue.receive(BATCH).await;
        if batch.is_empty() {
            return (messages, batches, seconds);
        }
        messages += batch.len() as u64;
        batches += 1;
        let begun = world.now();
        world.invoke(worker, batch).await;
        seconds += since(world, begun);
    }
}

fn since(world: &World, begun: Timestamp) -> f64 {
    world.now().duration_since(begun).as_secs_f64()
}
