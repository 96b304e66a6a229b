//! A tenant, an archive and a queue for many processes, each of which may end badly.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archive::faults::FaultStore;
use archive::memory::MemoryStore;
use archive::records::Producer;
use archive::store::Store;
use archive::{Archive, Stores};
use domain::{Clock, Deadline, Random, RunId, ScaledClock, SeededRandom, Timestamp};
use end_to_end::InProcess;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use graph::{ClientSecret, GraphClient, GraphConfig};
use graph_simulator::{Simulator, Switches, Tenant};
use queue::{Delivery, InProcessQueue, Options};
use secrecy::SecretString;
use settings::Rules;

use crate::judge::{Judge, Watched};
use crate::process::{Calls, Outside, Process, ProcessQueue, ProcessStore, ProcessTransport, Rates};
use crate::quota::Quota;

/// What a bed is made of.
pub(crate) struct Made {
    /// Decides everything that is left to chance.
    pub(crate) seed: u64,
    /// The tenant.
    pub(crate) tenant: Tenant,
    /// How Graph behaves.
    pub(crate) switches: Switches,
    /// How the queue behaves.
    pub(crate) queue: Options,
    /// Of a thousand calls of the store so many get no answer.
    pub(crate) store_fails: u64,
    /// The longest a call of the store takes, one way.
    pub(crate) store_millis: u64,
    /// The page size that Graph has.
    pub(crate) page_size: usize,
    /// How the rest misbehaves.
    pub(crate) rates: Rates,
    /// The rules of archiving.
    pub(crate) rules: Rules,
}

/// The world that all processes share.
#[derive(Debug)]
pub(crate) struct Bed {
    /// Simulated time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Chance.
    pub(crate) random: Arc<dyn Random>,
    /// Graph.
    pub(crate) simulator: Arc<Simulator>,
    /// What lies in the store.
    pub(crate) memory: Arc<MemoryStore>,
    /// The store, with its faults.
    pub(crate) store: Arc<FaultStore>,
    /// The queue.
    pub(crate) queue: InProcessQueue,
    /// Who watches.
    pub(crate) judge: Arc<Judge>,
    /// The rest of the outside.
    pub(crate) outside: Arc<Outside>,
    rules: Rules,
    processes: AtomicU64,
    /// What handlers answered when they failed, in every form.
    pub(crate) errors: Mutex<Vec<String>>,
}

/// A process with what it works with. Its Graph client, token and pace live as long as it does.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// The process.
    pub(crate) process: Arc<Process>,
    graph: GraphClient,
    stores: Stores,
    queue: Arc<ProcessQueue>,
}

impl Bed {
    /// A bed at the tenant's `now`.
    pub(crate) fn new(made: Made) -> Arc<Self> {
        let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(made.tenant.now, 1.0));
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(made.seed));
        let judge = Arc::new(Judge::new(&made.tenant, Arc::clone(&clock)));
        let memory = Arc::new(MemoryStore::new());
        let watched: Arc<dyn Store> = Arc::new(Watched { memory: Arc::clone(&memory), judge: Arc::clone(&judge) });
        let queue = InProcessQueue::new(made.queue, Arc::clone(&clock), Arc::clone(&random));
        let outside = Outside {
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            rates: Mutex::new(made.rates),
            store_millis: made.store_millis,
            page_size: made.page_size,
            judge: Arc::clone(&judge),
            quota: Quota::default(),
            users: made.tenant.users().len(),
        };
        Arc::new(Self {
            simulator: Arc::new(Simulator::new(Arc::new(made.tenant), made.switches, Arc::clone(&clock))),
            store: Arc::new(FaultStore::by_chance(watched, Arc::clone(&random), made.store_fails)),
            clock,
            random,
            memory,
            queue,
            judge,
            outside: Arc::new(outside),
            rules: made.rules,
            processes: AtomicU64::new(0),
            errors: Mutex::default(),
        })
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new process, with this share of the budget.
    pub(crate) fn sandbox(&self, what: &str, share: f64, calls: Arc<Calls>) -> Sandbox {
        let id = self.processes.fetch_add(1, Relaxed) + 1;
        let process = Arc::new(Process::new(id, format!("{what} {id}"), calls, Arc::clone(&self.judge)));
        let store: Arc<dyn Store> = Arc::new(ProcessStore {
            process: Arc::clone(&process),
            store: Arc::<FaultStore>::clone(&self.store),
            outside: Arc::clone(&self.outside),
        });
        let queue = Arc::new(ProcessQueue {
            process: Arc::clone(&process),
            queue: self.queue.clone(),
            outside: Arc::clone(&self.outside),
        });
        let transport = ProcessTransport {
            process: Arc::clone(&process),
            graph: InProcess(Arc::clone(&self.simulator)),
            share,
            outside: Arc::clone(&self.outside),
        };
        let tenant = self.simulator.tenant();
        let mut config = GraphConfig::new(tenant.id, tenant.application.client_id.to_string());
        config.requests_per_second = share;
        let auth = ClientSecret(SecretString::from(tenant.application.secret.clone()));
        let (clock, random) = (Arc::clone(&self.clock), Arc::clone(&self.random));
        let graph = GraphClient::new(config, Arc::new(auth), Arc::new(transport), clock, random).unwrap();
        Sandbox { process, graph, stores: Stores { evidence: Arc::clone(&store), state: store }, queue }
    }

    fn deadline(&self, given: Duration) -> Deadline {
        let now = self.now();
        Deadline::before(now + given, now)
    }

    /// An invocation of fan-out; not begun before it is polled.
    pub(crate) fn fan_out(
        &self,
        sandbox: &Sandbox,
        payload: String,
        request_id: String,
        given: Duration,
    ) -> BoxFuture<'static, Result<fan_out::Answer, fan_out::FanOutError>> {
        let deps = fan_out::Deps {
            graph: sandbox.graph.clone(),
            stores: sandbox.stores.clone(),
            tenant: self.simulator.tenant().id,
            queue: Arc::<ProcessQueue>::clone(&sandbox.queue),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            rules: self.rules.clone(),
            producer: producer(),
            requests_per_second: 24.0,
        };
        self.judge.begins(sandbox.process.id);
        let deadline = self.deadline(given);
        async move {
            let invocation = fan_out::Invocation { request_id: &request_id, deadline };
            Box::pin(fan_out::handle(payload.as_bytes(), invocation, &deps)).await
        }
        .boxed()
    }

    /// An invocation of a worker.
    pub(crate) fn work(
        &self,
        sandbox: &Sandbox,
        batch: Vec<Delivery>,
        given: Duration,
    ) -> BoxFuture<'static, Vec<String>> {
        let deps = worker::Deps {
            graph: sandbox.graph.clone(),
            stores: sandbox.stores.clone(),
            tenant: self.simulator.tenant().id,
            queue: Arc::<ProcessQueue>::clone(&sandbox.queue),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            rules: self.rules.clone(),
            progress: Arc::new(worker::Quiet),
        };
        self.judge.begins(sandbox.process.id);
        let deadline = self.deadline(given);
        async move { Box::pin(worker::handle(batch, deadline, &deps)).await }.boxed()
    }

    /// An invocation of reconcile.
    pub(crate) fn reconcile(
        &self,
        sandbox: &Sandbox,
        payload: String,
        given: Duration,
    ) -> BoxFuture<'static, Result<reconcile::Answer, reconcile::ReconcileError>> {
        let deps = reconcile::Deps {
            stores: sandbox.stores.clone(),
            tenant: self.simulator.tenant().id,
            queue: Arc::<ProcessQueue>::clone(&sandbox.queue),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            rules: self.rules.clone(),
            producer: producer(),
        };
        self.judge.begins(sandbox.process.id);
        let deadline = self.deadline(given);
        async move { Box::pin(reconcile::handle(payload.as_bytes(), deadline, &deps)).await }.boxed()
    }

    /// Keeps an error as everything a program might print of it.
    pub(crate) fn keep_error(&self, error: &dyn std::error::Error) {
        let mut text = format!("{error} {error:?}");
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(&format!("\n{cause} {cause:?}"));
            source = cause.source();
        }
        self.judge.note(|| format!("  error: {text}"));
        self.errors.lock().unwrap().push(text);
    }

    /// The archive, read with the program's own eyes and without faults.
    pub(crate) async fn archive(&self) -> Option<Archive> {
        let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(&self.memory);
        let stores = Stores { evidence: Arc::clone(&store), state: store };
        let tenant = self.simulator.tenant().id;
        Archive::open(stores, tenant, Arc::clone(&self.clock), Arc::clone(&self.random)).await.unwrap()
    }

    /// The runs that no ledger entry names.
    pub(crate) async fn open_runs(&self) -> Vec<RunId> {
        let Some(archive) = self.archive().await else { return Vec::new() };
        let mut open = archive.runs().await.unwrap();
        let closed: Vec<RunId> = archive.ledger().await.unwrap().into_iter().map(|(_, entry)| entry.run_id).collect();
        open.retain(|run| !closed.contains(run));
        open
    }

    /// The archive as a reader of its own code sees it.
    pub(crate) fn source(&self) -> evidence::Memory {
        let objects = self.memory.objects().into_iter();
        evidence::Memory { objects: objects.map(|(key, bytes)| (key, bytes.to_vec())).collect() }
    }

    /// Holds the archive against its promises. Before the first run there is none to hold.
    pub(crate) fn verify(&self) -> evidence::Verdict {
        let source = self.source();
        if source.objects.is_empty() {
            return evidence::Verdict::default();
        }
        let expectation = evidence::Expectation { history_start: Some(self.rules.history_start), ..Default::default() };
        let verdict = evidence::verify(&source, &expectation).unwrap();
        verdict.integrity().for_each(|finding| self.judge.broken(format!("finding: {finding}")));
        verdict
    }

    /// Holds the requests against the budget.
    pub(crate) fn verify_quota(&self) {
        self.outside.quota.broken().into_iter().for_each(|broken| self.judge.broken(broken));
    }
}

fn producer() -> Producer {
    Producer { name: "faults".to_owned(), version: "0".to_owned(), commit: "test".to_owned() }
}
