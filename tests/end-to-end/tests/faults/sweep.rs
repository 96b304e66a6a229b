//! Killed at every call to the outside, before it and after it: whatever was killed, the archive ends as if nothing had been.
//! Or frozen there, while others do its work, to go on two days later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archive::records::Report;
use domain::{Kind, RunId, TenantId, Timestamp, UserId};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use graph_simulator::{Folder, Item, Switches, Tenant, plain};
use jiff::SignedDuration;
use queue::Options;
use queue::source::{self, Again, Answer};
use settings::Rules;
use tracing::subscriber::DefaultGuard;

use crate::bed::{Bed, Made, Sandbox};
use crate::canaries::{self, Log};
use crate::process::{Blow, Calls, End, Fate, Process, Rates, live};

/// What the worker is given: too little for the busiest user's window, so that it is handed over.
const GIVEN: Duration = Duration::from_secs(12);

/// Fan-out and reconcile have all the time they need.
const ENOUGH: Duration = Duration::from_secs(900);

fn now() -> Timestamp {
    "2026-11-02T03:00:00Z".parse().unwrap()
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// The text of a user's so-manieth item.
fn text(user: UserId, n: usize, created: Timestamp) -> String {
    plain(user, n, created).replace("\"Item", &format!("\"{}", canaries::PROMPT))
}

/// Three users: one with many pages across two months and a history that takes several pieces, one with a late item, one
/// with an item that is edited.
fn tenant() -> (Tenant, Vec<UserId>) {
    let mut tenant = Tenant::new(TenantId::from_bytes([7; 16]), now());
    let users: Vec<UserId> = (1..=3).map(|number| tenant.add_licensed(number)).collect();
    canaries::name(&mut tenant, &users);
    let item = |user, n, created| Item::new(text(user, n, created), created);
    let mut add = |user, count: usize, newest, every: SignedDuration| {
        for n in 0..count {
            let folder = if n % 2 == 0 { Folder::TeamsMessagesData } else { Folder::TeamChat };
            tenant.add_item(user, item(user, n, newest - every * n as i32).in_folder(folder));
        }
    };
    // 2 November back to 30 October in one page, and on to September.
    add(users[0], 36, now() - hours(3), hours(21));
    add(users[1], 6, now() - hours(3), hours(9));
    add(users[2], 3, now() - hours(5), hours(5));
    tenant.add_item(users[1], item(users[1], 100, now() - hours(30)).visible_from(now() + hours(10)));
    let edited =
        item(users[2], 100, now() - hours(20)).edited(now() + hours(16), text(users[2], 101, now() - hours(20)));
    tenant.add_item(users[2], edited);
    for (n, user) in users.iter().enumerate() {
        tenant.add_item(*user, item(*user, 200, now() + hours(8 + n as i64)));
    }
    (tenant, users)
}

/// One run of the scenario.
struct Sweep {
    bed: Arc<Bed>,
    users: Vec<UserId>,
    calls: Arc<Calls>,
    fate: Option<Fate>,
    workers: usize,
    log: Log,
    _logged: DefaultGuard,
    /// What stands still until everything is over.
    zombies: Mutex<Vec<(Arc<Process>, BoxFuture<'static, ()>)>>,
}

impl Sweep {
    fn new(workers: usize, fate: Option<Fate>) -> Self {
        let (tenant, users) = tenant();
        let made = Made {
            seed: 1,
            tenant,
            switches: Switches { latency_ms: 900, ..Switches::default() },
            queue: Options { visibility: Duration::from_secs(120), max_receive_count: 5, ..Options::default() },
            store_fails: 0,
            store_millis: 20,
            page_size: 3,
            rates: Rates::default(),
            rules: Rules { history_start: now() - hours(34 * 24), ..Rules::default() },
        };
        let log = Log::default();
        let _logged = tracing::subscriber::set_default(log.subscriber());
        let (calls, zombies) = (Arc::default(), Mutex::default());
        Self { bed: Bed::new(made), users, calls, fate, workers, log, _logged, zombies }
    }

    /// A process whose calls are counted with everybody's.
    fn sandbox(&self, what: &str) -> Sandbox {
        let sandbox = self.bed.sandbox(what, 12.0, Arc::clone(&self.calls));
        sandbox.process.doom(self.fate);
        sandbox
    }

    fn stands<T: 'static>(&self, process: &Arc<Process>, invocation: BoxFuture<'static, T>) {
        self.zombies.lock().unwrap().push((Arc::clone(process), invocation.map(drop).boxed()));
    }

    /// Fan-out, invoked again if it was killed, as an asynchronous invocation is.
    async fn fan_out(&self, payload: &str) {
        loop {
            let sandbox = self.sandbox("fan-out");
            let invocation = self.bed.fan_out(&sandbox, payload.to_owned(), "request".to_owned(), ENOUGH);
            match live(&sandbox.process, invocation, ENOUGH, &*self.bed.clock).await {
                End::Answered(answer) => return drop(answer.unwrap()),
                End::Killed => {}
                End::Frozen(invocation) => self.stands(&sandbox.process, invocation),
            }
            self.bed.clock.sleep(Duration::from_secs(60)).await;
        }
    }

    async fn work(&self, n: usize) {
        let mut sandbox = self.sandbox("worker");
        loop {
            let batch = self.bed.queue.receive(if self.workers == 1 { 10 } else { 2 }).await;
            if batch.is_empty() {
                match self.bed.queue.next_visible_at() {
                    Some(time) => self.bed.clock.sleep_until(time).await,
                    None => return,
                }
                continue;
            }
            let invocation = self.bed.work(&sandbox, batch.clone(), GIVEN);
            match live(&sandbox.process, invocation, GIVEN, &*self.bed.clock).await {
                End::Answered(failed) => {
                    self.bed.judge.ended(sandbox.process.id, &batch, &failed);
                    let queue = &self.bed.queue;
                    source::settle(queue, queue, &batch, Answer::Failed(failed), Again::WhenVisible).await.unwrap();
                }
                End::Killed => sandbox = self.sandbox(&format!("worker in place {n}")),
                End::Frozen(invocation) => {
                    self.stands(&sandbox.process, invocation);
                    sandbox = self.sandbox(&format!("worker in place {n}"));
                }
            }
        }
    }

    /// The workers and reconcile in turn until the run is closed.
    async fn close(&self, run: &RunId) -> Report {
        for _ in 0..8 {
            join_all((0..self.workers).map(|n| self.work(n))).await;
            let sandbox = self.sandbox("reconcile");
            let invocation = self.bed.reconcile(&sandbox, format!(r#"{{"runId":"{run}"}}"#), ENOUGH);
            match live(&sandbox.process, invocation, ENOUGH, &*self.bed.clock).await {
                End::Answered(answer) => drop(answer.unwrap()),
                End::Killed => {}
                End::Frozen(invocation) => self.stands(&sandbox.process, invocation),
            }
            let archive = self.bed.archive().await.unwrap();
            if archive.closed(run).await.unwrap().is_some() {
                return archive.report(run).await.unwrap().unwrap();
            }
        }
        panic!("{run} does not close");
    }

    async fn run(&self, at: Timestamp, kind: Kind) -> Report {
        let history = if kind == Kind::History { r#","history":true"# } else { "" };
        self.fan_out(&format!(r#"{{"scheduledTime":"{at}"{history}}}"#)).await;
        self.close(&RunId::scheduled(at, kind)).await
    }

    /// Two days: a daily run, a history run, and a daily run that finds what is late, new and edited.
    async fn two_days(&self) -> Vec<Report> {
        let mut reports = vec![self.run(now(), Kind::Daily).await];
        self.bed.clock.sleep_until(now() + hours(6)).await;
        reports.push(self.run(now() + hours(6), Kind::History).await);
        self.bed.clock.sleep_until(now() + hours(24)).await;
        reports.push(self.run(now() + hours(24), Kind::Daily).await);
        let zombies = std::mem::take(&mut *self.zombies.lock().unwrap());
        for (process, invocation) in zombies {
            process.thaw();
            invocation.await;
        }
        reports
    }

    /// How often this happened.
    fn happened(&self, what: &str) -> u64 {
        self.bed.judge.happened().get(what).copied().unwrap_or_default()
    }

    /// How many windows of the busiest user's history were read to their end: newest first, each ends elsewhere.
    fn pieces_of_history(&self) -> usize {
        let covered = now() - Rules::default().overlap;
        let windows = self.bed.judge.windows(self.users[0]).into_iter();
        windows.map(|(_, before)| before).filter(|before| *before < covered).collect::<BTreeSet<_>>().len()
    }

    /// Everything that must be true, whatever was killed.
    async fn judge(&self, reports: &[Report], what: &str) -> evidence::Verdict {
        let verdict = self.bed.verify();
        let tenant = self.bed.simulator.tenant();
        let texts = |user: &UserId| tenant.truth(*user).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        let truth: BTreeMap<_, _> = self.users.iter().map(|user| (user.to_string(), texts(user))).collect();
        let differences = evidence::compare(&self.bed.source(), &tenant.id.to_string(), &truth).unwrap();
        canaries::search(&self.bed, &self.log);
        self.bed.verify_quota();
        let broken = self.bed.judge.verdict();
        let told = || format!("{what}: {broken:#?}\n{}", self.bed.judge.trace().join("\n"));
        assert!(broken.is_empty(), "{}", told());
        assert!(differences.is_empty(), "missing {:?}, {}", differences.missing.keys(), told());
        for report in reports {
            assert!(report.complete, "{report:#?} {}", told());
            let items = report.interactions;
            assert_eq!(items.received, items.new + items.already_held, "{what}");
        }
        assert_eq!(verdict.numbers.ledger_entries, reports.len() as u64, "one entry a run, {what}");
        assert_eq!(self.bed.open_runs().await, [], "{what}");
        assert!(self.bed.queue.dead_letters().is_empty(), "{what}: healthy work among the dead letters");
        verdict
    }
}

fn simulated<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

/// Strikes at every call. Returns how many calls there are without it.
fn sweep(workers: usize, blow: Blow) -> u64 {
    let (calls, ended, users) = simulated(async {
        let sweep = Sweep::new(workers, None);
        let reports = sweep.two_days().await;
        sweep.judge(&reports, "without a kill").await;
        let trace = sweep.bed.judge.trace().join("\n");
        let handed_over = trace.contains("\"hops\":1");
        assert!(handed_over, "nothing is handed over: {trace}");
        assert!(sweep.happened("a page over two months") > 0, "{trace}");
        assert!(sweep.pieces_of_history() > 1, "{trace}");
        assert!(!sweep.log.text().is_empty(), "nothing is logged, so nothing is searched");
        let counts: Vec<_> = reports.iter().map(|report| report.interactions.new).collect();
        let tenant = sweep.bed.simulator.tenant();
        let texts: usize = sweep.users.iter().map(|user| tenant.truth(*user).len()).sum();
        assert_eq!(counts.iter().sum::<u64>(), texts as u64, "{counts:?}: every text, the late and the edited one too");
        assert!(counts.iter().all(|new| *new > 0), "{counts:?}");
        (sweep.calls.made(), sweep.calls.ended(), sweep.users.len() as u64)
    });
    // Only what is under way when a worker's time is up has no end that it could be killed at: a request of each user, once.
    assert!(ended.len() as u64 + users >= calls, "{} of {calls}", ended.len());
    let points = (1..=calls).flat_map(|call| [(call, false), (call, true)]);
    for (call, after) in points {
        simulated(async {
            let sweep = Sweep::new(workers, Some(Fate { call, after, blow }));
            let reports = sweep.two_days().await;
            let when = if after { "after" } else { "before" };
            sweep.judge(&reports, &format!("{blow:?} {when} call {call}")).await;
            let struck = sweep.happened(if blow == Blow::Kill { "a kill" } else { "a zombie" });
            assert_eq!(struck, u64::from(!after || ended.contains(&call)), "{blow:?} {when} call {call} of {calls}");
        });
    }
    calls
}

#[test]
fn a_kill_at_any_call_of_one_worker_changes_nothing_in_the_end() {
    let calls = sweep(1, Blow::Kill);
    eprintln!("one worker: R = {calls}, {} kill points", 2 * calls + 1);
    assert!(calls >= 60, "{calls}");
}

#[test]
fn a_kill_at_any_call_of_two_workers_changes_nothing_in_the_end() {
    let calls = sweep(2, Blow::Kill);
    eprintln!("two workers: R = {calls}, {} kill points", 2 * calls + 1);
    assert!(calls >= 60, "{calls}");
}

#[test]
fn a_process_that_stands_still_at_any_call_and_goes_on_two_runs_later_changes_nothing() {
    let calls = sweep(1, Blow::Freeze);
    eprintln!("one worker: R = {calls}, {} points to stand still at", 2 * calls);
    assert!(calls >= 60, "{calls}");
}
