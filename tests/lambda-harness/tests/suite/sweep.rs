//! Killed at every call to the outside, before it took effect and after: whichever process it was and whatever it was about to
//! do, the archive ends as if nothing had been.
//!
//! `tests/sweep` kills at every point; the ordinary tests do so at every n-th.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::{Clock, Env, ProcessEnv, SystemClock, Timestamp, UserId};
use graph_simulator::{Fault, Item, Rule, Switches, Tenant, plain};
use jiff::SignedDuration;
use lambda_harness::{CANARY, Fate, Function, Gate, Hold, Outcome, Setup, Stack};
use serde_json::Value;

use super::{NEVER, daily, given_up_after, hours, more_each_time, tenant, user};

/// Of the points the ordinary tests take every n-th: no divisor of what repeats among the calls.
const STRIDE: u64 = 11;

/// How many calls the scenario takes at least: fewer are no trial.
const FEWEST: u64 = 60;

/// Points under way at once: most of their time they wait for a process to start or for the deadline of a worker.
const AT_ONCE: usize = 4;

/// What a worker is given. All but a second of it is for work, which is enough for all but the page that never comes.
const GIVEN: Duration = Duration::from_secs(2);

/// What says in a message that somebody was handed over.
const HANDED_OVER: &str = "\"hops\":1";

/// What fan-out and reconcile are given, and a worker once somebody was handed over.
const ENOUGH: Duration = Duration::from_secs(300);

/// How often a function is invoked again before the test fails.
const INVOCATIONS: usize = 8;

/// The machine's clock, and so many seconds more.
#[derive(Debug, Default)]
struct Ahead(AtomicI64);

#[async_trait]
impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_secs(self.0.load(Relaxed))
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

/// Three users: one with several pages over some months, one whose newest item shows late, one with nothing.
struct Sweep {
    stack: Stack,
    gate: Gate,
    graph_clock: Arc<Ahead>,
    now: Timestamp,
    users: Vec<UserId>,
}

fn late(tenant: &Tenant, user: UserId) -> Item {
    let created = tenant.now - hours(2);
    let text = plain(user, 900, created).replace("\"Item", &format!("\"{CANARY}"));
    Item::new(text, created).visible_from(tenant.now + hours(1))
}

/// The bounds that a question names; none of a further page.
fn window(target: &str) -> Option<(String, String)> {
    let bound = |name: &str| Some(target.split_once(name)?.1.split(['%', '&']).next()?.to_owned());
    if target.contains("skiptoken") { None } else { Some((bound("%20gt%20")?, bound("%20lt%20")?)) }
}

impl Sweep {
    async fn new(hold: Option<Hold>) -> Self {
        let mut tenant = tenant();
        let now = tenant.now;
        // 150 days in two folders: the newest page of each reaches over three months.
        let heavy = user(&mut tenant, 1, 250, hours(3), SignedDuration::from_hours(14));
        let light = user(&mut tenant, 2, 3, hours(3), hours(5));
        let late = late(&tenant, light);
        assert!(tenant.add_item(light, late));
        let idle = user(&mut tenant, 3, 0, hours(1), hours(1));
        let gate = Gate::new(hold);
        let graph_clock = Arc::new(Ahead::default());
        // A page does not come until the worker has handed the user over.
        let slow = Rule::always(Fault::Slow { millis: NEVER }).user(heavy).page(2);
        let setup = Setup {
            switches: Switches::with_rules([slow]),
            workers: 1,
            timeout: ENOUGH,
            queue: given_up_after(10),
            gate: Some(gate.clone()),
            graph_clock: Arc::<Ahead>::clone(&graph_clock),
            ..Setup::new(tenant)
        };
        // The overlap is 60 days, so that a daily window holds more than a page and more than a month.
        let start = now - hours(24 * 200);
        let setup = setup.with("OVERLAP_HOURS", "1440").with("HISTORY_START", &start.to_string());
        let stack = Stack::new(setup).await;
        let (held, simulator) = (gate.clone(), Arc::clone(&stack.simulator));
        stack.source.decide(move |messages| {
            let handed_over = messages.iter().any(|message| message.body.contains(HANDED_OVER));
            if handed_over {
                simulator.change(|switches| switches.rules.clear());
            }
            let timeout = if handed_over { ENOUGH } else { more_each_time(GIVEN, messages).min(ENOUGH) };
            let held = held.clone();
            Fate { timeout: Some(timeout), kill: Box::pin(async move { held.holds().await }) }
        });
        Self { stack, gate, graph_clock, now, users: vec![heavy, light, idle] }
    }

    /// Invokes a function, and again if it was killed, as an asynchronous invocation and a schedule are.
    async fn invoke(&self, function: &Function, event: &str) -> Value {
        for _ in 0..INVOCATIONS {
            match function.invoke_within(event, ENOUGH, self.gate.holds()).await.outcome {
                Outcome::Answered(body) => return serde_json::from_slice(&body).unwrap(),
                Outcome::Killed => {}
                outcome => panic!("{outcome:?} of {event}"),
            }
        }
        panic!("killed every time: {event}")
    }

    async fn run(&self, payload: &str) -> Value {
        let run = self.invoke(&self.stack.fan_out, payload).await["runId"].as_str().unwrap().to_owned();
        for _ in 0..INVOCATIONS {
            self.stack.source.drain().await;
            let answer = self.invoke(&self.stack.reconcile, &format!(r#"{{"runId":"{run}"}}"#)).await;
            if !answer["ledger"].is_null() {
                return answer;
            }
        }
        panic!("{run} does not close")
    }

    /// A daily run, the history, and a daily run by which the late item shows.
    async fn runs(&self) -> [Value; 3] {
        let first = self.run(&daily(self.now - hours(1))).await;
        let history = self.run(&format!(r#"{{"scheduledTime":"{}","history":true}}"#, self.now - hours(1))).await;
        self.graph_clock.0.store(hours(2).as_secs(), Relaxed);
        [first, history, self.run(&daily(self.now)).await]
    }

    /// Everything that must be true, whatever was killed.
    async fn judge(&self, reports: &[Value; 3], what: &str) {
        let told = || format!("{what}\n{}", self.gate.trace().join("\n"));
        for report in reports {
            let lines = || self.users.iter().map(|user| self.stack.line(report["run_id"].as_str().unwrap(), *user));
            let lines = || lines().map(|line| line.to_string()).collect::<Vec<_>>().join("\n");
            assert_eq!(report["complete"], true, "{report:#} {} {}", lines(), told());
            let items = |name: &str| report["interactions"][name].as_u64().unwrap();
            assert_eq!(items("received"), items("new") + items("already_held"), "{}", told());
            let run = report["run_id"].as_str().unwrap();
            let class = |user: usize| self.stack.line(run, self.users[user])["class"].clone();
            assert_eq!([class(0), class(2)], ["exported", "empty"], "{}", told());
        }
        assert_eq!(reports[1]["history_remaining"], 0, "{:#} {}", reports[1], told());
        // Besides the archive's own promises and equations, in which the reports and users files are held against receipts
        // and segments, that of the tenant.
        self.stack.expect_truth(self.users.iter().copied());
        let verdict = self.stack.verify();
        assert_eq!(verdict.numbers.ledger_entries, reports.len() as u64, "one entry a run: {}", told());
        assert!(self.stack.dead_letters().is_empty(), "healthy work among the dead letters: {}", told());
        self.stack.expect_silence().await;
    }

    /// Whether the busy user's first window was read in pieces: then one of them ends where it does and begins later.
    fn several_pieces(&self) -> bool {
        let ledger = self.stack.simulator.ledger();
        let questions = ledger.interactions().filter(|one| one.user == Some(self.users[0]));
        let mut windows = questions.filter_map(|one| window(&one.target));
        let (from, to) = windows.next().unwrap();
        windows.any(|(after, before)| before == to && after > from)
    }

    /// Of each page that anything was archived of, of how many months that is.
    fn months_of_pages(&self) -> impl Iterator<Item = usize> {
        let mut pages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (key, bytes) in self.stack.objects().into_iter().filter(|(key, _)| key.starts_with("interactions/")) {
            for line in
                zstd::decode_all(&bytes[..]).unwrap().split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
            {
                let line: Value = serde_json::from_slice(line).unwrap();
                let page = format!("{} {} {}", line["user_id"], line["attempt_id"], line["fetched_at"]);
                pages.entry(page).or_default().insert(key.split('/').nth(2).unwrap().to_owned());
            }
        }
        pages.into_values().map(|months| months.len())
    }

    /// How many messages said that they hand a user over.
    fn handed_over(&self) -> usize {
        let messages = self.stack.source.batches().into_iter().flat_map(|batch| batch.messages);
        messages.filter(|message| message.body.contains(HANDED_OVER)).count()
    }
}

/// Names the point if what it leads to is not as it should be.
struct Named(Hold);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was {:?}", self.0);
        }
    }
}

/// Whether there was a kill at a point.
enum Kill {
    Struck,
    /// There were only so many calls.
    TooLate(u64),
    /// Nobody waited for the call's answer, so there was nobody to kill after it: the page that does not come, or a worker whose
    /// time was over.
    Unanswered,
}

/// What a kill at this point leads to.
async fn point(hold: Hold) -> Kill {
    let named = Named(hold);
    let sweep = Sweep::new(Some(hold)).await;
    let reports = sweep.runs().await;
    sweep.judge(&reports, &format!("{hold:?}")).await;
    let calls = sweep.gate.calls();
    let kill = match sweep.gate.has_held() {
        true => Kill::Struck,
        false if calls < hold.call => Kill::TooLate(calls),
        false => Kill::Unanswered,
    };
    let unanswered = hold.after && sweep.gate.went_unanswered(hold.call);
    assert!(!matches!(kill, Kill::Unanswered) || unanswered, "{hold:?}: {}", sweep.gate.trace().join("\n"));
    drop(named);
    kill
}

/// A run without a kill, and its reports. One in which a worker did not answer in its time, as on a machine that stands still,
/// takes more calls than others, and another is made.
async fn undisturbed() -> (Sweep, [Value; 3]) {
    for _ in 0..INVOCATIONS {
        let sweep = Sweep::new(None).await;
        let reports = sweep.runs().await;
        sweep.judge(&reports, "without a kill").await;
        if sweep.stack.source.batches().iter().all(|batch| matches!(batch.invoked.outcome, Outcome::Answered(_))) {
            return (sweep, reports);
        }
    }
    panic!("no worker answers in its time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_process_killed_at_any_call_changes_nothing_in_the_end() {
    let begun = SystemClock.now();
    let (undisturbed, reports) = undisturbed().await;
    let new = |report: &Value| report["interactions"]["new"].as_u64().unwrap();
    assert!(reports.iter().all(|report| new(report) > 0), "each run has something to do: {reports:#?}");
    assert!(undisturbed.handed_over() > 0, "somebody is handed over");
    assert!(undisturbed.several_pieces(), "a window is read in several pieces");
    assert!(undisturbed.months_of_pages().any(|months| months > 1), "a page reaches over two months");
    let calls = undisturbed.gate.calls();
    assert!(calls >= FEWEST, "{calls}");

    let stride = if ProcessEnv.var("SWEEP").as_deref() == Some("all") { 1 } else { STRIDE };
    let holds: Vec<Hold> = (1..=calls).flat_map(|call| [false, true].map(|after| Hold { call, after })).collect();
    let holds: Arc<[Hold]> = holds.into_iter().step_by(stride as usize).collect();
    let (next, unanswered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let missed = Arc::new(Mutex::new(Vec::new()));
    let mut sweeping = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (holds, next, missed) = (Arc::clone(&holds), Arc::clone(&next), Arc::clone(&missed));
        let unanswered = Arc::clone(&unanswered);
        sweeping.spawn(async move {
            while let Some(hold) = holds.get(next.fetch_add(1, Relaxed)) {
                match point(*hold).await {
                    Kill::Struck => {}
                    Kill::TooLate(calls) => missed.lock().unwrap().push((hold.call, calls)),
                    Kill::Unanswered => {
                        unanswered.fetch_add(1, Relaxed);
                    }
                }
            }
        });
    }
    while let Some(ended) = sweeping.join_next().await {
        ended.unwrap();
    }
    // How many calls a run takes varies a little with where its time is up, so that the last points may come too late: each of
    // them beyond what its run took, and up to the fewest that any run took every kill struck.
    let missed = missed.lock().unwrap();
    let fewest = missed.iter().map(|(_, calls)| *calls).min().unwrap_or(calls);
    assert!(fewest >= FEWEST && fewest * 20 >= calls * 19, "{missed:?} of {calls}");
    let unanswered = unanswered.load(Relaxed);
    let struck = holds.len() - missed.len() - unanswered;
    // One call of each run, the place of which varies a little.
    assert!(unanswered * 10 <= holds.len(), "{unanswered} of {}", holds.len());
    let seconds = SystemClock.now().duration_since(begun).as_secs();
    println!(
        "R = {calls}: {} of 2R + 1 = {} kill points taken, {struck} processes killed, {} came too late, {unanswered} were of a call \
         without an answer, {seconds} s",
        holds.len() + 1,
        2 * calls + 1,
        missed.len(),
    );
}
