//! All three functions, with AWS and Graph on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws::Clients;
use aws_fake::AwsFake;
use domain::{Clock, Env, OsRandom, ProcessEnv, SystemClock, Timestamp, UserId};
use graph_simulator::{Simulator, Switches, Tenant};
use queue::Options;
use serde_json::Value;
use tokio::net::TcpListener;
use wiring::IN_FLIGHT;

use crate::event_source::{Batch, EventSource};
use crate::function::Function;
use crate::gate::{Door, Gate};
use crate::watch::Watch;

/// The bucket of the archive.
const ARCHIVE: &str = "archive";
/// The bucket of the checkpoints.
const STATE: &str = "state";
/// The queue.
const QUEUE: &str = "work";
/// The name of the client secret in Secrets Manager.
const SECRET: &str = "graph/client-secret";

/// Where the functions' metrics are, as the template names it for a stack of this name.
const NAMESPACE: &str = "CopilotArchive/the-stack";

/// What Graph's documented quota leaves between what is asked and what is allowed: 24 of 30 a second.
const HEADROOM: f64 = 30.0 / 24.0;

/// How much later than its slot a request may be sent without the next slot moving too.
const SLACK: Duration = Duration::from_millis(5);

/// The windows in which requests are counted.
const WINDOWS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10), Duration::from_secs(60)];

/// How often a run is looked at before the test fails: three rounds, and what comes before and after them.
const LOOKS: usize = 8;

/// The folder with the functions' binaries, as `tests/functions` prints it.
pub fn functions() -> PathBuf {
    let folder = ProcessEnv.var("FUNCTIONS_DIR").map(PathBuf::from);
    folder.filter(|folder| folder.join("worker").is_file()).unwrap_or_else(|| {
        panic!("FUNCTIONS_DIR names no folder with the functions' binaries: run `FUNCTIONS_DIR=$(tests/functions) cargo test -p lambda-harness`")
    })
}

/// What a stack is made of.
#[derive(Debug)]
pub struct Setup {
    /// The tenant. Its `now` has to be the machine's, since processes run on real time.
    pub tenant: Tenant,
    /// How Graph behaves. Its quota is set by `requests_per_second`, and wide enough for what a machine that stood still
    /// sends at once: a test that wants a refusal says so by a rule.
    pub switches: Switches,
    /// The budget. Far above a real tenant's, so that runs take seconds; the quota is scaled along with it.
    pub requests_per_second: f64,
    /// How many workers run at once.
    pub workers: usize,
    /// Messages of a batch.
    pub batch: usize,
    /// How long an invocation may take: far longer than any takes, unless a test is about time that is up.
    pub timeout: Duration,
    /// How the queue behaves.
    pub queue: Options,
    /// Variables of the functions, in place of those that are set anyway.
    pub variables: BTreeMap<String, String>,
    /// What all calls of the functions go through, if anything.
    pub gate: Option<Gate>,
    /// Graph's clock: the machine's, unless a test lets time pass there.
    pub graph_clock: Arc<dyn Clock>,
}

impl Setup {
    /// A setup with this tenant.
    pub fn new(tenant: Tenant) -> Self {
        Self {
            tenant,
            switches: Switches::default(),
            requests_per_second: 240.0,
            workers: 2,
            batch: 20,
            timeout: Duration::from_secs(300),
            queue: Options::default(),
            variables: BTreeMap::new(),
            gate: None,
            graph_clock: Arc::new(SystemClock),
        }
    }

    /// The same with this variable.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// The deployed system, as far as a machine can be one.
#[derive(Debug)]
pub struct Stack {
    /// S3, SQS, Secrets Manager and STS.
    pub fake: AwsFake,
    /// Graph and Entra.
    pub simulator: Arc<Simulator>,
    /// The function that plans runs.
    pub fan_out: Function,
    /// The function that reads users.
    pub worker: Arc<Function>,
    /// The function that closes runs.
    pub reconcile: Function,
    /// What feeds the workers.
    pub source: EventSource,
    /// The budget, of all workers together.
    requests_per_second: f64,
    /// How many workers run at once.
    workers: usize,
    queue_url: String,
    _servers: (aws_fake::Server, graph_simulator::Server, Vec<Door>),
}

impl Stack {
    /// A stack in which nothing has happened yet.
    pub async fn new(setup: Setup) -> Self {
        let Setup { tenant, mut switches, requests_per_second, workers, batch, timeout, variables, .. } = setup;
        let Setup { queue, gate, graph_clock, .. } = setup;
        let folder = functions();
        let fake = AwsFake::new(Arc::new(SystemClock), Arc::new(OsRandom));
        for bucket in [ARCHIVE, STATE] {
            fake.create_bucket(bucket);
        }
        // As the template makes it.
        fake.set_object_lock(ARCHIVE);
        fake.create_queue(QUEUE, queue);
        fake.set_secret(SECRET, &tenant.application.secret);
        let aws = aws_fake::Server::start(fake.clone(), 0).await.expect("a port is free");
        switches.quota.per_second = requests_per_second * HEADROOM + (workers * IN_FLIGHT) as f64;
        let simulator = Arc::new(Simulator::new(Arc::new(tenant), switches, graph_clock));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let graph = graph_simulator::serve(Arc::clone(&simulator), listener).expect("it listens");

        let tenant = simulator.tenant();
        let (endpoint, queue) = (aws.endpoint(), aws.queue_url(QUEUE));
        let mut doors = Vec::new();
        if let Some(gate) = gate {
            for upstream in [aws.address(), graph.address()] {
                doors.push(gate.before(upstream).await.expect("a port is free"));
            }
        }
        let called = |n: usize, otherwise: String| doors.get(n).map_or(otherwise, Door::origin);
        let (aws_called, origin) = (called(0, endpoint.clone()), called(1, graph.origin()));
        let mut all: BTreeMap<String, String> = [
            ("GRAPH_TENANT_ID", tenant.id.to_string()),
            ("GRAPH_CLIENT_ID", tenant.application.client_id.to_string()),
            ("GRAPH_CREDENTIAL", "client-secret".to_owned()),
            ("GRAPH_SECRET_ID", SECRET.to_owned()),
            ("GRAPH_BASE_URL", origin.clone()),
            ("GRAPH_LOGIN_URL", origin),
            ("GRAPH_REQUESTS_PER_SECOND", requests_per_second.to_string()),
            ("WORKER_CONCURRENCY", workers.to_string()),
            ("WORK_QUEUE_URL", queue.clone()),
            ("ARCHIVE_BUCKET", ARCHIVE.to_owned()),
            ("STATE_BUCKET", STATE.to_owned()),
            ("SETTLE_MINUTES", "0".to_owned()),
            ("QUIET_SECONDS", "1".to_owned()),
            ("METRIC_NAMESPACE", NAMESPACE.to_owned()),
            ("AWS_ENDPOINT_URL", aws_called),
            ("AWS_SECRET_ACCESS_KEY", Watch::AWS_KEY.to_owned()),
            ("AWS_SESSION_TOKEN", Watch::AWS_TOKEN.to_owned()),
            ("AWS_LAMBDA_LOG_LEVEL", "TRACE".to_owned()),
            ("RUST_LOG", "trace".to_owned()),
            ("RUST_BACKTRACE", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        all.extend(variables);
        // An empty value stands for a variable that is not there.
        all.retain(|_, value| !value.is_empty());
        let function = |name: &str| Function::new(name, folder.join(name), all.clone(), timeout);
        let worker = Arc::new(function("worker"));
        let clients = Clients::emulated(&endpoint, "event-source", Arc::new(SystemClock), Arc::new(OsRandom)).await;
        let source = (clients.queue(&queue), clients.receiver(&queue, format!("{queue}-dlq")));
        Self {
            source: EventSource::new(source, Arc::clone(&worker), batch, workers),
            fan_out: function("fan-out"),
            reconcile: function("reconcile"),
            worker,
            fake,
            simulator,
            requests_per_second,
            workers,
            queue_url: queue,
            _servers: (aws, graph, doors),
        }
    }

    /// The queue's URL, as the functions know it. No other stack has the same.
    pub fn queue_url(&self) -> &str {
        &self.queue_url
    }

    /// Puts a new client secret in place of the one that Graph knew until now, whose tokens are revoked.
    pub fn rotate_secret(&self, secret: &str) {
        self.simulator.change(|switches| {
            switches.secret = Some(secret.to_owned());
            switches.tokens_revoked_before = Some(SystemClock.now());
        });
        self.set_secret(secret);
    }

    /// Puts this into Secrets Manager in place of the client secret.
    pub fn set_secret(&self, secret: &str) {
        self.fake.set_secret(SECRET, secret);
    }

    /// Plans a run; its id.
    pub async fn plan(&self, payload: &str) -> String {
        let answer = self.fan_out.answer(payload).await.unwrap_or_else(|error| panic!("not planned: {error:?}"));
        answer["runId"].as_str().expect("a run has an id").to_owned()
    }

    /// Lets the workers work until the queue is empty, and reconcile look, until the run is closed: its report.
    pub async fn finish(&self, run: &str) -> Value {
        for _ in 0..LOOKS {
            self.source.drain().await;
            let answer = self.reconcile.answer(&format!(r#"{{"runId":"{run}"}}"#)).await;
            let answer = answer.unwrap_or_else(|error| panic!("not reconciled: {error:?}"));
            if !answer["ledger"].is_null() {
                return answer;
            }
        }
        panic!("the run {run} does not close");
    }

    /// A whole run: its report.
    pub async fn run(&self, payload: &str) -> Value {
        let run = self.plan(payload).await;
        self.finish(&run).await
    }

    /// Every object of both buckets.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let buckets = [ARCHIVE, STATE].map(|bucket| self.fake.objects(bucket));
        buckets.into_iter().flatten().map(|(key, version)| (key, version.bytes.to_vec())).collect()
    }

    /// Removes the checkpoint of a user, who must have one.
    pub fn lose_checkpoint(&self, user: UserId) {
        let key = format!("state/tenant_id={}/user_id={user}.json", self.simulator.tenant().id);
        assert!(self.fake.objects(STATE).contains_key(&key), "there is no checkpoint to lose");
        self.fake.remove_object(STATE, &key);
    }

    /// Puts the next entry of a user's holds, an odd one holds and an even one releases, as an operator's command does before
    /// it holds what is there.
    pub fn mark(&self, user: UserId, number: u64) {
        let tenant = self.simulator.tenant().id;
        let key = format!("holds/tenant_id={tenant}/user_id={user}/entry-{number:06}.json");
        let at = SystemClock.now();
        self.fake.overwrite_object(
            ARCHIVE,
            &key,
            format!("{{\"user_id\":\"{user}\",\"at\":\"{at}\",\"reason\":null}}\n"),
        );
    }

    /// The objects of the archive that are under a legal hold.
    pub fn held(&self) -> BTreeSet<String> {
        let keys = self.fake.objects(ARCHIVE).into_keys();
        keys.filter(|key| self.fake.lock_of(ARCHIVE, key).is_some_and(|lock| lock.legal_hold)).collect()
    }

    /// A user's line in the users file of a closed run.
    pub fn line(&self, run: &str, user: UserId) -> Value {
        let objects = self.objects();
        let bytes = &objects[&format!("runs/{run}/users.jsonl.zst")];
        let lines = zstd::decode_all(&bytes[..]).expect("it unpacks");
        let mut lines = lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        lines.find(|line: &Value| line["user_id"] == user.to_string()).expect("the user was planned")
    }

    /// Waits until Graph was asked for this user after `since`.
    pub async fn asked(simulator: Arc<Simulator>, user: UserId, since: Timestamp) {
        const GRAIN: Duration = Duration::from_millis(3);
        while !simulator.ledger().interactions().any(|one| one.user == Some(user) && one.started >= since) {
            SystemClock.sleep(GRAIN).await;
        }
    }

    /// Holds the archive against its promises.
    pub fn verify(&self) -> evidence::Verdict {
        let source = evidence::Memory { objects: self.objects() };
        let verdict = evidence::verify(&source, &evidence::Expectation::default()).expect("readable");
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
        let source = evidence::Memory { objects: self.objects() };
        let differences = evidence::compare(&source, &tenant.id.to_string(), &truth).expect("readable");
        let count = |side: &BTreeMap<String, BTreeSet<String>>| {
            side.iter().map(|(user, texts)| format!("{user}: {}", texts.len())).collect::<Vec<_>>()
        };
        assert!(
            differences.is_empty(),
            "missing {:?}, extra {:?}, twice {:?}",
            count(&differences.missing),
            count(&differences.extra),
            differences.duplicate.keys()
        );
    }

    /// The budget was kept, by Graph's own record: in no window came more than it gives, but for the first request of each
    /// process, and what was under way when something stood still and so arrived with what was sent after it.
    pub fn expect_quota_kept(&self) {
        let ledger = self.simulator.ledger();
        let starts = self.source.batches().iter().filter(|batch| batch.invoked.started_in.is_some()).count();
        let besides = starts + self.workers * IN_FLIGHT;
        for window in WINDOWS {
            let came = ledger.max_within(window.try_into().expect("windows are short"));
            let budget = self.requests_per_second * (window + SLACK).as_secs_f64();
            assert!(came as f64 <= budget + besides as f64, "{came} in {window:?}, of {budget} and {besides}");
        }
    }

    /// How many requests a worker began after it was told to wait and before that was over. Other workers were told nothing,
    /// so a request counts only if its user was in that worker's batch alone; nor does one that begins within `grace` of the
    /// answer, which is on its way for a while.
    pub fn requests_before_retry_after(&self, grace: Duration) -> usize {
        let (ledger, batches) = (self.simulator.ledger(), self.source.batches());
        let reading = |user: Option<UserId>, at: Timestamp| -> Option<usize> {
            let reads = |one: &Batch| one.begun <= at && at <= one.ended && user.is_some_and(|user| one.holds(user));
            let mut places = batches.iter().enumerate().filter(|(_, one)| reads(one)).map(|(place, _)| place);
            places.next().filter(|_| places.next().is_none())
        };
        let refused = ledger.interactions().filter_map(|one| Some((one.user, one.retry_after?, one.delivered?)));
        let told = refused.filter_map(|(user, wait, at)| Some((reading(user, at)?, at + grace, at + wait)));
        told.map(|(worker, from, until)| {
            let during = ledger.interactions().filter(|one| from <= one.started && one.started < until);
            during.filter(|one| reading(one.user, one.started) == Some(worker)).count()
        })
        .sum()
    }

    /// Ends all processes and searches everything that left them for what must not.
    pub async fn expect_silence(&self) {
        let mut watch = Watch::new(self.simulator.tenant());
        assert!(watch.knows(&self.simulator.token()), "tokens have another form than the one that is searched for");
        for function in [&self.fan_out, &*self.worker, &self.reconcile] {
            let lines = function.stop().await;
            assert!(function.environments() == 0 || !lines.is_empty(), "nothing was written, so nothing was searched");
            lines.iter().for_each(|line| watch.search(&line.environment, &line.text));
            function.said().iter().for_each(|said| watch.search("an answer", said));
        }
        let messages = self.source.batches().into_iter().flat_map(|batch| batch.messages).map(|message| message.body);
        messages.chain(self.fake.dead_letters(QUEUE)).for_each(|body| watch.search("a message", &body));
        self.fake.calls().iter().for_each(|call| watch.search("a call", &call.resource));
        self.objects().iter().for_each(|(key, bytes)| watch.search_object(key, bytes));
        watch.expect_nothing();
    }

    /// The users that the dead letters name, one a letter.
    pub fn dead(&self) -> Vec<UserId> {
        let letters = self.fake.dead_letters(QUEUE);
        letters.iter().map(|body| domain::Message::from_body(body).expect("a message of ours").user_id).collect()
    }

    /// Moves the dead letters back.
    pub async fn redrive(&self) -> usize {
        self.fake.redrive(QUEUE).await
    }

    /// Sends a body that fan-out would not.
    pub async fn send(&self, body: &str) {
        self.source.send(body).await;
    }

    /// The bodies of the dead letters.
    pub fn dead_letters(&self) -> Vec<String> {
        self.fake.dead_letters(QUEUE)
    }
}

/// An item's text as the archive stores it.
fn stored(text: &str) -> String {
    text.trim().replace(['\r', '\n'], "")
}
