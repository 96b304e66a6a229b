//! Days in which everything goes wrong that a seed can think of, and what must be true all the while and in the end.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archive::faults::{Fault, Operation};
use archive::records::Report;
use domain::{Env, Kind, ProcessEnv, RunId, SeededRandom, Timestamp, UserId};
use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use queue::source::{self, Again, Answer};
use tokio::task::JoinHandle;

use crate::bed::{Bed, Sandbox};
use crate::canaries::{self, Log};
use crate::happened::{self, Happened};
use crate::process::{Blow, End, Fate, Process, Rates, live};
use crate::scenario::{Dice, HISTORY, Scenario, start};
use crate::watched::Watched;

/// Runs of the ordinary tests: a few hundred take half a minute.
const ORDINARY: u64 = 240;

/// What fan-out and reconcile are given.
const ENOUGH: Duration = Duration::from_secs(900);

/// Until everything that a scenario holds has become visible, was edited or has gone.
const SETTLED: SignedDuration = SignedDuration::from_hours(60 + 72 + 8);

struct Run {
    bed: Arc<Bed>,
    dice: Dice,
    users: Vec<UserId>,
    days: i64,
    workers: u64,
    doomed: u64,
    tampers: bool,
    hides: bool,
    over: Watched<bool>,
    zombies: Mutex<Vec<JoinHandle<()>>>,
}

impl Run {
    fn new(seed: u64) -> Arc<Self> {
        let dice = Dice(SeededRandom::new(seed.wrapping_mul(0x9e37_79b9).wrapping_add(5)));
        let Scenario { made, users, days, workers, doomed, tampers, hides } = Scenario::new(seed, &dice);
        let (over, zombies) = (Watched::new(false), Mutex::default());
        Arc::new(Self { bed: Bed::new(made), dice, users, days, workers, doomed, tampers, hides, over, zombies })
    }

    fn sandbox(&self, what: &str) -> Sandbox {
        let share = if what == "worker" { 24.0 / self.workers as f64 } else { 24.0 };
        self.bed.sandbox(what, share, Arc::default())
    }

    /// Waits, but not longer than things fail. Answers whether they still do.
    async fn wait(&self, time: Duration) -> bool {
        tokio::select! {
            biased;
            _ = self.over.until(|over| over) => false,
            () = self.bed.clock.sleep(time) => true,
        }
    }

    /// What happens to an invocation that makes up to about `calls` calls.
    fn doom(&self, process: &Process, calls: u64) {
        let blow = if self.dice.percent(60) { Blow::Kill } else { Blow::Freeze };
        let fate = Fate { call: process.calls() + self.dice.between(1, calls), after: self.dice.percent(50), blow };
        process.doom((!self.over.get() && self.dice.percent(self.doomed)).then_some(fate));
    }

    /// Leaves an invocation standing where it stands, to go on some time later, when nobody waits for its answer.
    fn freeze<T: Send + 'static>(
        self: &Arc<Self>,
        process: &Arc<Process>,
        invocation: BoxFuture<'static, T>,
        ended: impl FnOnce(&Self, T) + Send + 'static,
    ) {
        let (run, process) = (Arc::clone(self), Arc::clone(process));
        let zombie = tokio::spawn(async move {
            let longest = run.dice.of(&[300, 7_200, 50 * 3_600]);
            run.wait(run.dice.seconds(1, longest)).await;
            process.thaw();
            let answer = invocation.await;
            ended(&run, answer);
        });
        self.zombies.lock().unwrap().push(zombie);
    }

    /// Fan-out, invoked up to three times, as an asynchronous invocation is.
    async fn fan_out(self: Arc<Self>, payload: String) {
        let request_id = format!("request-{}", self.dice.between(0, u64::from(u32::MAX)));
        for _ in 0..3 {
            let sandbox = self.sandbox("fan-out");
            self.doom(&sandbox.process, 12);
            self.bed.judge.note(|| format!("{} is invoked with {payload}", sandbox.process.name));
            let given = Duration::from_secs(self.dice.of(&[20, 900, 900]));
            let invocation = self.bed.fan_out(&sandbox, payload.clone(), request_id.clone(), given);
            match live(&sandbox.process, invocation, given, &*self.bed.clock).await {
                End::Answered(Ok(_)) => return,
                End::Answered(Err(error)) => self.fan_out_failed(&error),
                End::Killed => {}
                End::Frozen(invocation) => {
                    self.freeze(&sandbox.process, invocation, |run, answer| {
                        if let Err(error) = answer {
                            run.fan_out_failed(&error);
                        }
                    });
                }
            }
            if !self.wait(self.dice.seconds(30, 150)).await {
                return;
            }
        }
    }

    fn fan_out_failed(&self, error: &fan_out::FanOutError) {
        self.bed.keep_error(error);
        if matches!(error, fan_out::FanOutError::InvalidPayload(_)) {
            self.bed.judge.broken(format!("a payload was refused: {error}"));
        }
    }

    /// What is asked for, when.
    async fn schedule(self: Arc<Self>) {
        let mut asked = Vec::new();
        for day in 0..self.days {
            let at = start() + SignedDuration::from_hours(24 * day);
            self.bed.clock.sleep_until(at).await;
            let dice = &self.dice;
            let mut plan = vec![(Duration::ZERO, format!(r#"{{"scheduledTime":"{at}"}}"#))];
            if dice.percent(40) {
                self.bed.judge.count("a plan sent twice", 1);
                plan.push((dice.seconds(0, 5), plan[0].1.clone()));
            }
            if dice.percent(40) {
                self.bed.judge.count("a look-back beside a schedule", 1);
                let hours = dice.of(&[24, 80, 192]);
                plan.push((dice.seconds(0, 5), format!(r#"{{"scheduledTime":"{at}","lookbackHours":{hours}}}"#)));
            }
            if dice.percent(70) {
                let after = dice.seconds(0, 6 * 3_600);
                plan.push((after, format!(r#"{{"scheduledTime":"{at}","history":true}}"#)));
            }
            if dice.percent(50) {
                let user = dice.of(&self.users);
                let from = at - SignedDuration::from_hours(dice.between(3, 200) as i64);
                let payload = match dice.between(0, 4) {
                    0 => "{}".to_owned(),
                    1 => format!(r#"{{"users":["{user}"]}}"#),
                    2 => format!(r#"{{"runId":"case-{day}","users":["{user}"],"from":"{from}"}}"#),
                    3 => {
                        let to = from + SignedDuration::from_mins(dice.between(10, 180) as i64);
                        format!(r#"{{"runId":"case-{day}","from":"{from}","to":"{to}"}}"#)
                    }
                    _ => format!(r#"{{"runId":"case-{day}","users":["{user}"],"history":true}}"#),
                };
                plan.push((dice.seconds(0, 20 * 3_600), payload.clone()));
                if dice.percent(40) {
                    plan.push((dice.seconds(0, 20 * 3_600), payload));
                }
            }
            for (after, payload) in plan {
                let run = Arc::clone(&self);
                asked.push(tokio::spawn(async move {
                    if run.wait(after).await {
                        run.fan_out(payload).await;
                    }
                }));
            }
        }
        self.bed.clock.sleep_until(start() + SignedDuration::from_hours(24 * self.days)).await;
        self.over.set(true);
        for task in asked {
            task.await.unwrap();
        }
    }

    async fn worker(self: Arc<Self>) {
        let mut sandbox = self.sandbox("worker");
        loop {
            let batch = self.bed.queue.receive(self.dice.of(&[1, 2, 6])).await;
            if batch.is_empty() {
                if !self.wait(self.dice.seconds(60, 900)).await {
                    return;
                }
                continue;
            }
            let given = Duration::from_secs(self.dice.of(&[15, 120, 900]));
            self.doom(&sandbox.process, 60);
            self.bed.judge.note(|| {
                let ids: Vec<&str> = batch.iter().map(|one| one.message_id.as_str()).collect();
                format!("{} is given {given:?} for {}", sandbox.process.name, ids.join(", "))
            });
            let invocation = self.bed.work(&sandbox, batch.clone(), given);
            self.bed.judge.taken_up(&batch);
            match live(&sandbox.process, invocation, given, &*self.bed.clock).await {
                End::Answered(failed) => {
                    self.bed.judge.put_down(&batch);
                    self.bed.judge.ended(sandbox.process.id, &batch, &failed);
                    self.bed.judge.note(|| format!("{} is done, failed {failed:?}", sandbox.process.name));
                    let answer = if self.dice.percent(5) { Answer::Lost } else { Answer::Failed(failed) };
                    let again = self.dice.of(&[Again::WhenVisible, Again::After(Duration::from_secs(5))]);
                    source::settle(&self.bed.queue, &self.bed.queue, &batch, answer, again).await.unwrap();
                }
                End::Killed => {
                    self.bed.judge.put_down(&batch);
                    sandbox = self.sandbox("worker");
                }
                End::Frozen(invocation) => {
                    let id = sandbox.process.id;
                    self.freeze(&sandbox.process, invocation, move |run, failed| {
                        run.bed.judge.put_down(&batch);
                        run.bed.judge.ended(id, &batch, &failed);
                    });
                    sandbox = self.sandbox("worker");
                }
            }
        }
    }

    async fn reconciler(self: Arc<Self>) {
        while self.wait(self.dice.seconds(1_200, 7_200)).await {
            self.reconcile().await;
        }
    }

    async fn reconcile(self: &Arc<Self>) {
        let sandbox = self.sandbox("reconcile");
        self.doom(&sandbox.process, 40);
        self.bed.judge.note(|| format!("{} is invoked", sandbox.process.name));
        let given = Duration::from_secs(if self.over.get() { 900 } else { self.dice.of(&[30, 75, 900, 900]) });
        let invocation = self.bed.reconcile(&sandbox, "{}".to_owned(), given);
        let judge = |run: &Self, answer: Result<reconcile::Answer, reconcile::ReconcileError>| match answer {
            Ok(answer) => run.bed.judge.note(|| serde_json::to_string(&answer).unwrap()),
            Err(error) => run.bed.keep_error(&error),
        };
        match live(&sandbox.process, invocation, given, &*self.bed.clock).await {
            End::Answered(answer) => judge(self, answer),
            End::Killed => {}
            End::Frozen(invocation) => self.freeze(&sandbox.process, invocation, judge),
        }
    }

    /// What others do to the archive's working state and to the queue.
    async fn others(self: Arc<Self>) {
        while self.wait(self.dice.seconds(600, 6 * 3_600)).await {
            match self.dice.between(0, 5) {
                0 => self.bed.judge.count("a dead letter driven back", self.bed.queue.redrive() as u64),
                1 => self.bed.store.land().await,
                2 => {
                    let operation = self.dice.of(&[Operation::Get, Operation::Put, Operation::List]);
                    let part = self.dice.of(&["interactions/", "state/", "receipts/", "runs/", "ledger/", ""]);
                    let fault = self.dice.of(&[Fault::Denied, Fault::Refused]);
                    self.bed.judge.note(|| format!("the store answers {fault:?} to the next {operation:?} of {part}"));
                    self.bed.store.fail_next(operation, part, fault);
                }
                // A quiet point as good as any: whatever is under way, what lies there keeps its promises.
                3 => _ = self.bed.verify(),
                _ if self.tampers => self.tamper(),
                _ => {}
            }
        }
    }

    fn tamper(&self) {
        let objects = self.bed.memory.objects();
        let keys: Vec<&String> = objects.keys().filter(|key| key.starts_with("state/")).collect();
        if keys.is_empty() {
            return;
        }
        let key = self.dice.of(&keys);
        let what = self.dice.between(0, 3);
        self.bed.judge.note(|| format!("somebody tampers with {key}: {what}"));
        self.bed.judge.count(happened::TAMPERED[what as usize], 1);
        match what {
            0 => self.bed.memory.remove(key),
            1 => self.bed.memory.overwrite(key, self.dice.of(&self.bed.judge.versions(key))),
            2 => {
                let own = self.bed.source().objects.remove("archive.json").unwrap();
                let own: serde_json::Value = serde_json::from_slice(&own).unwrap();
                let foreign = "99999999-9999-4999-8999-999999999999";
                let text = String::from_utf8(objects[key].to_vec()).unwrap();
                self.bed.memory.overwrite(key, text.replace(own["archive_id"].as_str().unwrap(), foreign));
            }
            _ => self.bed.memory.overwrite(key, &b"{\"format\":1,"[..]),
        }
    }

    /// The whole run: days of faults, and an end without any.
    async fn through(self: &Arc<Self>) {
        let mut tasks = vec![
            tokio::spawn(Arc::clone(self).schedule()),
            tokio::spawn(Arc::clone(self).reconciler()),
            tokio::spawn(Arc::clone(self).others()),
        ];
        tasks.extend((0..self.workers).map(|_| tokio::spawn(Arc::clone(self).worker())));
        for task in tasks {
            task.await.unwrap();
        }
        let zombies = std::mem::take(&mut *self.zombies.lock().unwrap());
        for zombie in zombies {
            zombie.await.unwrap();
        }
        self.bed.verify();
        self.bed.judge.note(|| "nothing fails any more".to_owned());
        self.bed.store.fail_by_chance(0);
        self.bed.store.land().await;
        *self.bed.outside.rates.lock().unwrap() = Rates::default();
        self.bed.simulator.change(|switches| switches.rules.clear());
        self.close().await;
        self.bed.verify();
        let settled = start() + SignedDuration::from_hours(24 * self.days) + SETTLED;
        self.bed.clock.sleep_until(settled).await;
        self.last().await;
        self.bed.verify();
    }

    /// Works and reconciles until every run is closed.
    async fn close(self: &Arc<Self>) {
        for _ in 0..40 {
            self.drain().await;
            self.reconcile().await;
            if self.bed.open_runs().await.is_empty() {
                return;
            }
            self.bed.clock.sleep(Duration::from_secs(3_600)).await;
        }
        self.bed.judge.broken(format!("these runs do not close: {:?}", self.bed.open_runs().await));
    }

    async fn drain(&self) {
        let sandbox = self.sandbox("worker");
        loop {
            let batch = self.bed.queue.receive(10).await;
            if batch.is_empty() {
                match self.bed.queue.next_visible_at() {
                    Some(time) => self.bed.clock.sleep_until(time).await,
                    None => return,
                }
                continue;
            }
            let failed = self.bed.work(&sandbox, batch.clone(), ENOUGH).await;
            self.bed.judge.ended(sandbox.process.id, &batch, &failed);
            let queue = &self.bed.queue;
            source::settle(queue, queue, &batch, Answer::Failed(failed), Again::WhenVisible).await.unwrap();
        }
    }

    /// A daily run and as many history runs as it takes, without faults: then everything is there.
    async fn last(self: &Arc<Self>) {
        let at = Timestamp::from_second(self.bed.now().as_second()).unwrap();
        let report = self.scheduled(at, Kind::Daily).await;
        let read = report.users.exported + report.users.empty;
        if !report.complete || read != self.users.len() as u64 {
            self.bed.judge.broken(format!("the last daily run is not complete: {report:?}"));
        }
        let mut remaining = report.history_remaining;
        for hour in 1..=6 {
            if remaining > 0 {
                let at = at + SignedDuration::from_hours(hour);
                self.bed.clock.sleep_until(at).await;
                remaining = self.scheduled(at, Kind::History).await.history_remaining;
            }
        }
        if remaining > 0 {
            self.bed.judge.broken(format!("history does not end: {remaining} users remain"));
        }
        let tenant = self.bed.simulator.tenant();
        let (from, to) = (start() - HISTORY, at - SignedDuration::from_hours(2));
        if self.hides {
            let payload = format!(r#"{{"runId":"everything","from":"{from}","to":"{to}"}}"#);
            self.healthy(payload, &"everything".parse().unwrap()).await;
        }
        self.bed.judge.expect_everything(tenant, &self.users, from, to);
    }

    async fn scheduled(self: &Arc<Self>, at: Timestamp, kind: Kind) -> Report {
        let history = if kind == Kind::History { r#","history":true"# } else { "" };
        self.healthy(format!(r#"{{"scheduledTime":"{at}"{history}}}"#), &RunId::scheduled(at, kind)).await
    }

    async fn healthy(self: &Arc<Self>, payload: String, id: &RunId) -> Report {
        let sandbox = self.sandbox("fan-out");
        // What the store was told to refuse may still be refused.
        for _ in 0..20 {
            match self.bed.fan_out(&sandbox, payload.clone(), "request".to_owned(), ENOUGH).await {
                Ok(_) => break,
                Err(error) => self.fan_out_failed(&error),
            }
            self.bed.clock.sleep(Duration::from_secs(60)).await;
        }
        self.close().await;
        let archive = self.bed.archive().await.unwrap();
        archive.report(id).await.unwrap().unwrap()
    }
}

/// What a seed came to.
struct Outcome {
    /// Broken promises.
    broken: Vec<String>,
    /// What happened, in words.
    trace: Vec<String>,
    /// And in numbers.
    happened: Happened,
}

fn run(seed: u64) -> Outcome {
    let log = Log::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tracing::subscriber::with_default(log.subscriber(), || {
        runtime.block_on(async {
            let run = Run::new(seed);
            run.through().await;
            canaries::search(&run.bed, &log);
            run.bed.verify_quota();
            let judge = &run.bed.judge;
            Outcome { broken: judge.verdict(), trace: judge.trace(), happened: happened::of(&run.bed) }
        })
    })
}

/// Names the seed if its run panics.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {} panicked; SEED={} shows its trace", self.0, self.0);
        }
    }
}

#[test]
fn seeded_runs_keep_every_promise_at_every_step() {
    let number = |name: &str| {
        ProcessEnv.var(name).map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is no number")))
    };
    if let Some(seed) = number("SEED") {
        let Outcome { broken, trace, .. } = run(seed);
        eprintln!("{}", trace.join("\n"));
        assert!(broken.is_empty(), "seed {seed}: {broken:#?}");
        return;
    }
    let (first, seeds) = (number("FIRST_SEED").unwrap_or(0), number("SEEDS").unwrap_or(ORDINARY));
    assert!(seeds > 0, "no run proves nothing");
    let (next, bad, sum) = (AtomicU64::new(first), AtomicUsize::new(0), Mutex::new(Happened::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |threads| threads.get()) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= first + seeds || bad.load(Relaxed) >= 10 {
                        return;
                    }
                    let named = Named(seed);
                    let Outcome { broken, happened, .. } = run(seed);
                    drop(named);
                    happened::add(&mut sum.lock().unwrap(), happened);
                    if (seed + 1 - first).is_multiple_of(1_000) {
                        eprintln!("{} of {seeds} runs", seed + 1 - first);
                    }
                    if !broken.is_empty() {
                        bad.fetch_add(1, Relaxed);
                        eprintln!("seed {seed}: {broken:#?}");
                    }
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap();
    println!("{seeds} runs from seed {first}");
    sum.iter().for_each(|(what, times)| println!("{times:>10}  {what}"));
    assert_eq!(bad.into_inner(), 0, "seeds broke promises; SEED=<n> shows the trace of one");
    if first == 0 && seeds >= ORDINARY {
        assert_eq!(happened::missing(&sum), Vec::<&str>::new(), "what the runs are there for does not occur in them");
    }
}

#[test]
fn a_seed_reproduces_its_run() {
    for seed in 1..=20 {
        let (first, second) = (run(seed).trace, run(seed).trace);
        let differs = first.iter().zip(&second).position(|(one, other)| one != other);
        assert_eq!(differs, None, "{:?}", differs.map(|at| (&first[at], &second[at])));
        assert_eq!(first.len(), second.len());
        assert!(first.len() > 20, "{first:#?}");
    }
}
