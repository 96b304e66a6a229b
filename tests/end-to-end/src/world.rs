//! A tenant, its archive and the functions between them, on simulated time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use archive::memory::MemoryStore;
use archive::records::{Producer, Report, UserLine};
use archive::{Archive, Stores};
use domain::{Clock, Deadline, Random, RunId, ScaledClock, SeededRandom, Timestamp, UserId};
use graph::{ClientSecret, GraphClient, GraphConfig, Transport};
use graph_simulator::{Simulator, Switches, Tenant};
use jiff::SignedDuration;
use queue::source::{self, Again, Answer};
use queue::{Delivery, InProcessQueue, Options, Queue};
use secrecy::SecretString;
use settings::Rules;

use crate::transport::InProcess;

/// What a Lambda function may take.
pub const FIFTEEN_MINUTES: Duration = Duration::from_secs(900);

/// Messages that one invocation is given.
pub const BATCH: usize = 200;

/// One tenant and one archive.
#[derive(Debug)]
pub struct World {
    /// Simulated time.
    pub clock: Arc<ScaledClock>,
    /// Graph.
    pub simulator: Arc<Simulator>,
    /// The archive's store, both for evidence and for state.
    pub store: Arc<MemoryStore>,
    /// What the functions are given as stores; tests may put faults before [`World::store`].
    pub stores: Stores,
    /// The queue.
    pub queue: InProcessQueue,
    /// The rules.
    pub rules: Rules,
    /// The time an invocation of the worker is given.
    pub given: Duration,
    /// How many workers share the budget.
    pub workers: usize,
    /// What leads to Graph. Takes effect when the budget is shared again.
    pub transport: Arc<dyn Transport>,
    random: Arc<dyn Random>,
    graph: Vec<GraphClient>,
}

impl World {
    /// The world at the tenant's `now`.
    pub fn new(tenant: Tenant) -> Self {
        Self::with(tenant, Switches { latency_ms: 600, latency_jitter_ms: 200, ..Switches::default() })
    }

    /// The same with other switches.
    pub fn with(tenant: Tenant, switches: Switches) -> Self {
        Self::skewed(tenant, switches, SignedDuration::ZERO)
    }

    /// The same, and Graph's clock is this much ahead of the program's.
    pub fn skewed(tenant: Tenant, switches: Switches, ahead: SignedDuration) -> Self {
        let clock = Arc::new(ScaledClock::new(tenant.now, 1.0));
        let graphs = Arc::new(ScaledClock::new(tenant.now + ahead, 1.0));
        let simulator = Arc::new(Simulator::new(Arc::new(tenant), switches, graphs));
        let store = Arc::new(MemoryStore::default());
        let stores = Stores { evidence: Arc::clone(&store) as _, state: Arc::clone(&store) as _ };
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(7));
        let options = Options { visibility: Duration::from_secs(5_400), max_receive_count: 5, ..Options::default() };
        let queue = InProcessQueue::new(options, Arc::clone(&clock) as _, Arc::clone(&random));
        let mut world = Self {
            clock,
            transport: Arc::new(InProcess(Arc::clone(&simulator))),
            simulator,
            store,
            stores,
            queue,
            rules: Rules::default(),
            given: FIFTEEN_MINUTES,
            workers: 1,
            random,
            graph: Vec::new(),
        };
        world.share(1, |_| {});
        world
    }

    /// Gives the budget to so many workers, with this change to each one's configuration.
    pub fn share(&mut self, workers: usize, change: impl Fn(&mut GraphConfig)) {
        self.workers = workers;
        self.graph = (0..workers).map(|_| self.client(workers, &change)).collect();
    }

    /// Takes other chances from now on, the ids of attempts among them.
    pub fn reseed(&mut self, seed: u64) {
        self.random = Arc::new(SeededRandom::new(seed));
        self.share(self.workers, |_| {});
    }

    fn client(&self, workers: usize, change: &impl Fn(&mut GraphConfig)) -> GraphClient {
        let tenant = self.simulator.tenant();
        let mut config = GraphConfig::new(tenant.id, tenant.application.client_id.to_string());
        config.requests_per_second = 24.0 / workers as f64;
        change(&mut config);
        let auth = ClientSecret(SecretString::from(tenant.application.secret.clone()));
        let transport = Arc::clone(&self.transport);
        GraphClient::new(config, Arc::new(auth), transport, self.clock(), Arc::clone(&self.random)).unwrap()
    }

    /// The clock, as the functions take it.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as _
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets time pass.
    pub async fn pass(&self, time: SignedDuration) {
        self.clock.sleep(Duration::try_from(time).unwrap()).await;
    }

    /// Invokes fan-out.
    pub async fn fan_out(&self, payload: &str) -> Result<fan_out::Answer, fan_out::FanOutError> {
        let deps = fan_out::Deps {
            graph: self.graph[0].clone(),
            stores: self.stores.clone(),
            tenant: self.simulator.tenant().id,
            queue: self.queue(),
            clock: self.clock(),
            random: Arc::clone(&self.random),
            rules: self.rules.clone(),
            producer: producer(),
            requests_per_second: 24.0,
        };
        let request_id = format!("{:016x}", self.random.u64());
        let deadline = Deadline::before(self.now() + FIFTEEN_MINUTES, self.now());
        let invocation = fan_out::Invocation { request_id: &request_id, deadline };
        Box::pin(fan_out::handle(payload.as_bytes(), invocation, &deps)).await
    }

    /// What worker number `n` works with.
    pub fn worker(&self, n: usize) -> worker::Deps {
        worker::Deps {
            graph: self.graph[n].clone(),
            stores: self.stores.clone(),
            tenant: self.simulator.tenant().id,
            queue: self.queue(),
            clock: self.clock(),
            random: Arc::clone(&self.random),
            rules: self.rules.clone(),
            progress: Arc::new(worker::Quiet),
        }
    }

    fn queue(&self) -> Arc<dyn Queue> {
        Arc::new(self.queue.clone())
    }

    /// One invocation of worker `n` with these messages; the event source's part done.
    pub async fn invoke(&self, n: usize, batch: Vec<Delivery>) {
        let deadline = Deadline::before(self.now() + self.given, self.now());
        let failed = worker::handle(batch.clone(), deadline, &self.worker(n)).await;
        source::settle(&self.queue, &self.queue, &batch, Answer::Failed(failed), Again::WhenVisible).await.unwrap();
    }

    /// Lets the workers work until nothing is left in the queue; with dead letters as the only exception.
    pub async fn drain(&self) {
        loop {
            let mut batches = Vec::new();
            for n in 0..self.workers {
                batches.push((n, self.queue.receive(BATCH).await));
            }
            if batches.iter().all(|(_, batch)| batch.is_empty()) {
                match self.queue.next_visible_at() {
                    Some(time) => self.clock.sleep_until(time).await,
                    None => return,
                }
                continue;
            }
            let working = batches.into_iter().filter(|(_, batch)| !batch.is_empty());
            futures_util::future::join_all(working.map(|(n, batch)| self.invoke(n, batch))).await;
        }
    }

    /// Invokes reconcile; its answer as JSON.
    pub async fn reconcile(&self, payload: &str) -> serde_json::Value {
        let answer = self.try_reconcile(payload).await.unwrap();
        serde_json::to_value(answer).unwrap()
    }

    /// Invokes reconcile.
    pub async fn try_reconcile(&self, payload: &str) -> Result<reconcile::Answer, reconcile::ReconcileError> {
        let deadline = Deadline::before(self.now() + FIFTEEN_MINUTES, self.now());
        reconcile::handle(payload.as_bytes(), deadline, &self.reconciler()).await
    }

    /// What reconcile works with.
    pub fn reconciler(&self) -> reconcile::Deps {
        reconcile::Deps {
            stores: self.stores.clone(),
            tenant: self.simulator.tenant().id,
            queue: self.queue(),
            clock: self.clock(),
            random: Arc::clone(&self.random),
            rules: self.rules.clone(),
            producer: producer(),
        }
    }

    /// A whole run: fan-out, the workers, and reconcile until the run is closed. Returns its report.
    pub async fn run(&self, payload: &str) -> Report {
        let run = match self.fan_out(payload).await.unwrap() {
            fan_out::Answer::Planned { run_id, .. } => run_id,
            other => panic!("not a run: {other:?}"),
        };
        self.finish(&run).await
    }

    /// The workers and reconcile, in turn, until the run is closed. Whatever the test is about, the quota was kept.
    pub async fn finish(&self, run: &RunId) -> Report {
        for _ in 0..8 {
            self.drain().await;
            self.reconcile(&format!(r#"{{"runId":"{run}"}}"#)).await;
            if self.archive().await.closed(run).await.unwrap().is_some() {
                self.expect_quota_kept();
                return self.archive().await.report(run).await.unwrap().expect("a closed run has a report");
            }
        }
        panic!("the run {run} does not close");
    }

    /// A daily run scheduled for now.
    pub async fn daily(&self) -> Report {
        self.run(&format!(r#"{{"scheduledTime":"{}"}}"#, self.seconds())).await
    }

    /// A history run scheduled for now.
    pub async fn history(&self) -> Report {
        self.run(&format!(r#"{{"scheduledTime":"{}","history":true}}"#, self.seconds())).await
    }

    /// Now in whole seconds, as a schedule names it.
    pub fn seconds(&self) -> Timestamp {
        Timestamp::from_second(self.now().as_second()).unwrap()
    }

    /// The archive, read with the program's own eyes.
    pub async fn archive(&self) -> Archive {
        let stores = Stores { evidence: Arc::clone(&self.store) as _, state: Arc::clone(&self.store) as _ };
        Archive::open(stores, self.simulator.tenant().id, self.clock(), Arc::clone(&self.random))
            .await
            .unwrap()
            .unwrap()
    }

    /// A user's line in the users file of a closed run.
    pub async fn line(&self, run: &RunId, user: UserId) -> UserLine {
        let lines = self.archive().await.users(run).await.unwrap().expect("a closed run has a users file");
        lines.into_iter().find(|line| line.user_id == user).expect("the user was planned")
    }

    /// The archive as an independent reader sees it.
    pub fn source(&self) -> evidence::Memory {
        evidence::Memory {
            objects: self.store.objects().into_iter().map(|(key, bytes)| (key, bytes.to_vec())).collect(),
        }
    }

    /// Holds the archive against its promises, and the requests against the quota.
    pub fn verify(&self) -> evidence::Verdict {
        self.expect_quota_kept();
        let verdict = evidence::verify(&self.source(), &evidence::Expectation::default()).expect("readable");
        let faults: Vec<_> = verdict.integrity().collect();
        assert!(faults.is_empty(), "{faults:#?}");
        verdict
    }

    /// Everything these users were ever shown is archived, once, byte for byte, and nothing else.
    pub fn expect_truth(&self, users: impl IntoIterator<Item = UserId>) {
        self.verify();
        let tenant = self.simulator.tenant();
        let truth: BTreeMap<String, BTreeSet<String>> = users
            .into_iter()
            .map(|user| (user.to_string(), tenant.truth(user).into_iter().map(stored).collect()))
            .filter(|(_, texts): &(_, BTreeSet<String>)| !texts.is_empty())
            .collect();
        let differences = evidence::compare(&self.source(), &tenant.id.to_string(), &truth).expect("readable");
        assert!(differences.is_empty(), "{}", describe(&differences));
    }

    /// How many items of a user are archived.
    pub fn held(&self, user: UserId) -> usize {
        let contents = evidence::contents(&self.source(), &self.simulator.tenant().id.to_string()).expect("readable");
        contents.get(&user.to_string()).map_or(0, Vec::len)
    }

    /// The quota was kept: by the simulator's own ledger, whatever the client believes.
    pub fn expect_quota_kept(&self) {
        let ledger = self.simulator.ledger();
        assert!(ledger.max_per_second() <= 30, "{} in one second", ledger.max_per_second());
        assert!(ledger.max_per_minute() <= 24 * 60 + 54, "{} in one minute", ledger.max_per_minute());
        assert_eq!(ledger.requests_before_retry_after(), 0, "requests before Retry-After");
    }
}

/// An item's text as the archive stores it.
fn stored(text: &str) -> String {
    text.trim().replace(['\r', '\n'], "")
}

fn describe(differences: &evidence::Differences) -> String {
    let count = |side: &BTreeMap<String, BTreeSet<String>>| {
        side.iter().map(|(user, texts)| format!("{user}: {}", texts.len())).collect::<Vec<_>>()
    };
    format!(
        "missing {:?}, extra {:?}, twice {:?}",
        count(&differences.missing),
        count(&differences.extra),
        differences.duplicate.keys()
    )
}

fn producer() -> Producer {
    Producer { name: "end-to-end".to_owned(), version: "0".to_owned(), commit: "test".to_owned() }
}
