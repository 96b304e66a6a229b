//! Everything at once: what goes wrong in a year, in one run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use aws_fake::{Effect, Fault as AwsFault};
use domain::{Clock, SystemClock, UserId};
use graph_simulator::{Fault, RetryAfter, Rule};
use jiff::SignedDuration;
use lambda_harness::{Batch, Fate, Outcome, Setup, Stack, named};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use super::{GRACE, NEVER, daily, given_up_after, hours, more_each_time, tenant, user};

/// What a worker is given while it holds a page that does not come.
const GIVEN: Duration = Duration::from_secs(4);

/// What a refusal says to wait: longer than its answer may be on its way.
const WAIT: u32 = 2 + GRACE.as_secs() as u32;

fn overlap(a: &Batch, b: &Batch) -> bool {
    a.invoked.environment != b.invoked.environment && a.begun < b.ended && b.begun < a.ended
}

/// Waits for the other, if there is one.
async fn meet(other: Option<Arc<Barrier>>) {
    if let Some(other) = other {
        other.wait().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_wrong_in_one_run_and_nothing_is_lost_or_twice() {
    let mut tenant = tenant();
    let now = tenant.now;
    let mut all: Vec<UserId> = (1..=40).map(|number| user(&mut tenant, number, 6, hours(1), hours(9))).collect();
    let (throttled, killer) = (all[4], all[29]);
    let heavy = user(&mut tenant, 50, 2_000, hours(1), SignedDuration::from_mins(2));
    let [hopeless, other, forgotten] = [51, 52, 53].map(|number| user(&mut tenant, number, 6, hours(1), hours(9)));
    all.extend([heavy, hopeless, other, forgotten]);
    let setup = Setup { requests_per_second: 96.0, queue: given_up_after(6), ..Setup::new(tenant) };
    let stack = Stack::new(setup).await;

    // Yesterday's run meets no fault, and leaves everybody with coverage and a checkpoint.
    let yesterday = stack.run(&daily(now - hours(24))).await;
    assert_eq!((&yesterday["complete"], &yesterday["users"]["exported"]), (&true.into(), &44.into()), "{yesterday:#}");
    let batches_before = stack.source.batches().len();

    // Today a checkpoint is gone, and Graph has its day.
    stack.lose_checkpoint(forgotten);
    stack.fake.clear_calls();
    let today = stack.plan(&daily(now)).await;
    let throttle = Fault::Throttle { retry_after: RetryAfter::Seconds, seconds: WAIT };
    stack.simulator.change(|switches| {
        switches.rules = vec![
            // This page does not come until the user was handed over.
            Rule::always(Fault::Slow { millis: NEVER }).user(heavy).page(2),
            // So that the kill comes before the answer.
            Rule::always(Fault::Slow { millis: NEVER }).user(killer),
            Rule::always(Fault::Status(400)).user(hopeless),
            Rule::always(throttle).user(throttled).first(2),
        ];
    });
    // Two at first, and neither is over before the other has come as far: no receipt gets through before its writer is killed.
    stack.fake.plan(AwsFault::new(Effect::Hang).action("PutObject").resource("/receipts/").times(usize::MAX));
    let (fake, simulator, both) = (stack.fake.clone(), Arc::clone(&stack.simulator), Arc::new(Barrier::new(2)));
    let (begun, handed_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    stack.source.decide(move |messages| {
        let users = named(messages);
        let of_heavy: Vec<_> = messages.iter().filter(|one| one.body.contains(&heavy.to_string())).collect();
        if of_heavy.iter().any(|one| !one.body.contains("\"hops\":0")) && !handed_over.swap(true, Relaxed) {
            simulator.change(|switches| switches.rules.retain(|rule| rule.when.user != Some(heavy)));
        }
        let both = (begun.fetch_add(1, Relaxed) < 2).then(|| Arc::clone(&both));
        // Not one of those two, which could hand over before the other has come as far.
        let waits = both.is_none() && !of_heavy.is_empty() && !handed_over.load(Relaxed);
        let timeout = waits.then(|| more_each_time(GIVEN, of_heavy));
        if users.contains(&killer) {
            let asked = Stack::asked(Arc::clone(&simulator), killer, SystemClock.now());
            return Fate {
                timeout,
                kill: Box::pin(async {
                    asked.await;
                    meet(both).await
                }),
            };
        }
        if both.is_none() {
            return Fate { timeout, ..Fate::default() };
        }
        // In the middle of the batch: some users are archived, and there is no receipt.
        let archived: Vec<_> = users.iter().filter(|user| ![heavy, hopeless].contains(user)).collect();
        let (fake, user) = (fake.clone(), format!("user_id={}/segment", archived[archived.len() / 2]));
        let kill = async move {
            fake.until(|calls| calls.iter().any(|one| one.action == "PutObject" && one.resource.contains(&user))).await;
            meet(both).await;
        };
        Fate { timeout, kill: Box::pin(kill) }
    });
    // One of these is killed in the middle of its batch, the other by the user that kills.
    tokio::join!(stack.source.step(), stack.source.step());
    stack.fake.clear_faults();
    // Now the plan is sent once more, and a look-back runs beside it.
    assert_eq!(stack.plan(&daily(now)).await, today);
    let lookback = stack.plan(&format!(r#"{{"scheduledTime":"{now}","lookbackHours":48}}"#)).await;
    let reports = [stack.finish(&today).await, stack.finish(&lookback).await];

    let batches = stack.source.batches().split_off(batches_before);
    let with = |user: UserId| batches.iter().filter(move |batch| batch.holds(user));
    assert!(batches.iter().any(|a| batches.iter().any(|b| overlap(a, b))), "two workers at once");
    assert!(batches.iter().any(|one| one.invoked.outcome == Outcome::Killed && !one.holds(killer)));
    assert!(with(killer).filter(|one| one.invoked.outcome == Outcome::Killed).count() > 6, "it kills every time");
    let of_heavy = with(heavy).flat_map(|batch| &batch.messages).filter(|one| one.body.contains(&heavy.to_string()));
    let of_heavy: BTreeSet<&String> = of_heavy.map(|one| &one.message_id).collect();
    assert!(of_heavy.len() > 3, "it was handed over besides the three that were planned");
    let dead: BTreeSet<UserId> = stack.dead().into_iter().collect();
    assert!(dead.contains(&hopeless) && dead.contains(&killer), "{dead:?}");

    for report in &reports {
        let users = &report["users"];
        let numbers = ["planned", "exported", "empty", "deferred", "failed", "missing"].map(|name| &users[name]);
        assert_eq!(numbers.map(Value::as_u64), [44, 42, 0, 0, 1, 1].map(Some), "{report:#}");
        assert_eq!(report["complete"], false);
        let run = report["run_id"].as_str().unwrap();
        let class = |user| [stack.line(run, user)["class"].clone(), stack.line(run, user)["reason"].clone()];
        assert_eq!(class(hopeless), [json!("failed"), json!("bad-request")]);
        assert_eq!(class(killer), [Value::Null, Value::Null]);
        for user in all.iter().filter(|user| ![hopeless, killer].contains(user)) {
            assert_eq!(class(*user), [json!("exported"), Value::Null], "{user}");
        }
    }
    let daily = &reports[0];
    assert!(daily["attempts_lost"].as_u64() >= Some(1), "{daily:#}");
    assert!(daily["interactions"]["recovered"].as_u64() >= Some(1), "{daily:#}");
    // Unless whoever read it was killed before that was in a receipt.
    let told = with(forgotten).all(|batch| matches!(batch.invoked.outcome, Outcome::Answered(_)));
    let held = stack.line(&today, forgotten)["already_held"].as_u64();
    assert!(held > Some(0) || !told, "read again, and not written again: {held:?}");
    stack.expect_quota_kept();
    let refused = stack.simulator.ledger().interactions().filter(|one| one.status == Some(429)).count();
    assert!(refused >= 1, "{refused}");
    assert_eq!(stack.requests_before_retry_after(GRACE), 0);
    stack.verify();

    // Graph is mended and the dead letters are sent again: their windows are still the right ones.
    stack.simulator.change(|switches| switches.rules.clear());
    stack.source.decide(|_| Fate::default());
    assert!(stack.redrive().await >= 2);
    stack.source.drain().await;
    stack.expect_truth(all);
    stack.expect_silence().await;
}
