//! Time that is up: in good order, and by force.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_fake::{Effect, Fault as AwsFault};
use graph_simulator::{Fault, RetryAfter, Rule, Switches};
use jiff::SignedDuration;
use lambda_harness::{Fate, Outcome, Setup, Stack, named};

use super::{GRACE, daily, hours, messages, more_each_time, tenant, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_meets_its_deadline_hands_over_what_is_left() {
    /// What a worker is given. All but a second of it is for work.
    const GIVEN: Duration = Duration::from_secs(4);
    /// How long a page takes, of which there are twenty: more than is given, together.
    const PAGE: Duration = Duration::from_millis(250);
    let mut tenant = tenant();
    let now = tenant.now;
    let heavy = user(&mut tenant, 1, 2_000, hours(1), SignedDuration::from_mins(2));
    let light: Vec<_> = (2..=4).map(|number| user(&mut tenant, number, 2, hours(1), hours(1))).collect();
    let stack = Stack::new(Setup::new(tenant)).await;
    let simulator = Arc::clone(&stack.simulator);
    stack.source.decide(move |messages| {
        let given = more_each_time(GIVEN, messages);
        if named(messages).contains(&heavy) {
            // Who has more time has more to do.
            let millis = (PAGE * (given.as_secs() / GIVEN.as_secs()) as u32).as_millis() as u64;
            simulator.change(|switches| switches.rules = vec![Rule::always(Fault::Slow { millis }).user(heavy)]);
        }
        Fate { timeout: Some(given), ..Fate::default() }
    });
    let report = stack.run(&daily(now)).await;
    assert_eq!(report["complete"], true, "{report:#}");
    stack.expect_truth(light.into_iter().chain([heavy]));
    let batches = stack.source.batches();
    let answered: Vec<_> =
        batches.iter().filter(|batch| matches!(batch.invoked.outcome, Outcome::Answered(_))).collect();
    assert!(answered.iter().filter(|batch| batch.holds(heavy)).count() >= 2, "twenty pages do not fit");
    let of_heavy =
        answered.iter().flat_map(|batch| &batch.messages).filter(|one| one.body.contains(&heavy.to_string()));
    let of_heavy: BTreeSet<_> = of_heavy.map(|message| &message.message_id).collect();
    assert!(of_heavy.len() >= 2, "it is handed over as a fresh message");
    // A machine that stands still for longer than the margin has a worker killed. Nobody else's messages come again.
    let killed = batches.iter().filter(|batch| batch.invoked.outcome == Outcome::TimedOut);
    let again: BTreeSet<_> =
        killed.flat_map(|batch| &batch.messages).map(|one| (&one.message_id, one.receive_count + 1)).collect();
    for message in batches.iter().flat_map(|batch| &batch.messages).filter(|message| message.receive_count > 1) {
        assert!(again.contains(&(&message.message_id, message.receive_count)), "{message:?}");
    }
    assert!(stack.dead().is_empty());
    stack.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_overruns_its_time_is_killed_and_its_batch_comes_again() {
    let mut tenant = tenant();
    let now = tenant.now;
    let users: Vec<_> = (1..=6).map(|number| user(&mut tenant, number, 5, hours(1), hours(1))).collect();
    let stack = Stack::new(Setup { timeout: Duration::from_secs(5), ..Setup::new(tenant) }).await;
    let run = stack.plan(&daily(now)).await;
    // As late as it gets: the receipt is written, and its answer never comes.
    stack.fake.plan(AwsFault::new(Effect::HangDone).action("PutObject").resource("/receipts/"));
    let report = stack.finish(&run).await;
    // The event source may ask while only some of the messages are visible again, and then delivers them in two batches.
    let outcomes: Vec<_> = stack.source.batches().into_iter().map(|batch| batch.invoked.outcome).collect();
    let [Outcome::TimedOut, again @ ..] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert!(!again.is_empty() && again.iter().all(|one| matches!(one, Outcome::Answered(_))), "{outcomes:?}");
    assert_eq!((&report["complete"], &report["users"]["exported"]), (&true.into(), &6.into()), "{report:#}");
    assert_eq!((&report["interactions"]["new"], &report["interactions"]["recovered"]), (&30.into(), &0.into()));
    assert_eq!(report["attempts_lost"], 0, "it left a receipt");
    let keys: BTreeSet<_> = stack.objects().into_keys().filter(|key| key.contains("/receipts/")).collect();
    assert_eq!(keys.len(), outcomes.len(), "{keys:?}");
    stack.expect_truth(users);
    stack.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_archived_is_found_and_counted_as_recovered() {
    let mut tenant = tenant();
    let now = tenant.now;
    let users: Vec<_> = (1..=6).map(|number| user(&mut tenant, number, 5, hours(1), hours(1))).collect();
    let stack = Stack::new(Setup::new(tenant)).await;
    let run = stack.plan(&daily(now)).await;
    // The first receipt does not get through, and the process is killed over it.
    stack.fake.plan(AwsFault::new(Effect::Hang).action("PutObject").resource("/receipts/"));
    let fake = stack.fake.clone();
    stack.source.decide(move |messages| match messages.iter().all(|message| message.receive_count == 1) {
        true => {
            let fake = fake.clone();
            let kill =
                async move { fake.until(|calls| calls.iter().any(|call| call.resource.contains("/receipts/"))).await };
            Fate { kill: Box::pin(kill), ..Fate::default() }
        }
        false => Fate::default(),
    });
    let report = stack.finish(&run).await;
    assert_eq!(stack.source.batches()[0].invoked.outcome, Outcome::Killed);
    assert_eq!((&report["complete"], &report["attempts_lost"]), (&true.into(), &1.into()), "{report:#}");
    assert_eq!((&report["interactions"]["new"], &report["interactions"]["recovered"]), (&0.into(), &30.into()));
    stack.expect_truth(users);
    stack.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_always_fails_stands_alone_among_the_dead_letters() {
    let mut tenant = tenant();
    let now = tenant.now;
    let users: Vec<_> = (1..=25).map(|number| user(&mut tenant, number, 3, hours(1), hours(1))).collect();
    let hopeless = users[13];
    let rule = Rule::always(Fault::Status(400)).user(hopeless);
    let stack = Stack::new(Setup { switches: Switches::with_rules([rule]), ..Setup::new(tenant) }).await;
    let report = stack.run(&daily(now)).await;
    assert_eq!((&report["complete"], &report["users"]["exported"]), (&false.into(), &24.into()), "{report:#}");
    assert_eq!((&report["users"]["failed"], &report["users"]["missing"]), (&1.into(), &0.into()), "{report:#}");
    assert_eq!(stack.dead(), [hopeless]);
    let received = stack.source.batches().into_iter().flat_map(|batch| batch.messages);
    let again: BTreeSet<_> = received.filter(|one| one.receive_count > 1).map(|one| one.body).collect();
    assert_eq!(again.len(), 1, "nobody else is read twice");

    // Whoever looks into it is led from the run to the request that Microsoft can find.
    let run = report["run_id"].as_str().unwrap();
    let worker = stack.worker.stop().await;
    let told: Vec<_> = messages(&worker, "user not read to the end").collect();
    assert!(!told.is_empty(), "{worker:#?}");
    let line = stack.line(run, hopeless);
    let requests = line["request_ids"].as_array().unwrap();
    for line in told {
        assert_eq!((&line["run_id"], &line["user_id"]), (&run.into(), &hopeless.to_string().into()), "{line:#}");
        assert!(requests.contains(&line["request_id"]), "{line:#}: {requests:?}");
    }
    let fan_out = stack.fan_out.stop().await;
    let sent: Vec<_> = messages(&fan_out, "every planned user's message is in the queue").collect();
    assert!(matches!(&sent[..], [line] if line["run_id"] == run), "{sent:#?}");

    stack.expect_truth(users.into_iter().filter(|user| *user != hopeless));
    stack.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_429s_holds_back_the_whole_worker() {
    /// What a refusal says to wait: longer than its answer may be on its way.
    const WAIT: u32 = 2 + GRACE.as_secs() as u32;
    let mut tenant = tenant();
    let now = tenant.now;
    // Four pages each: more than can be asked for before a refusal has arrived, however late it does.
    let every = SignedDuration::from_mins(2);
    let users: Vec<_> = (1..=20).map(|number| user(&mut tenant, number, 350, hours(1), every)).collect();
    let throttle = Fault::Throttle { retry_after: RetryAfter::Seconds, seconds: WAIT };
    let rule = Rule::always(throttle).user(users[4]).first(2);
    let setup = Setup {
        switches: Switches::with_rules([rule]),
        // With one worker every request is its own.
        workers: 1,
        requests_per_second: 24.0,
        ..Setup::new(tenant)
    };
    let stack = Stack::new(setup).await;
    let report = stack.run(&daily(now)).await;
    assert_eq!((&report["complete"], &report["users"]["exported"]), (&true.into(), &20.into()), "{report:#}");
    assert_eq!(report["requests"]["throttled"], 2, "{report:#}");
    assert_eq!(stack.source.batches().len(), 1, "it waits, and hands nothing over");
    let ledger = stack.simulator.ledger();
    assert_eq!(ledger.requests_before_retry_after_with_grace(GRACE), 0);
    let refused = ledger.interactions().find(|one| one.status == Some(429)).and_then(|one| one.delivered).unwrap();
    let after = ledger.interactions().filter(|one| one.started > refused).count();
    assert!(after > 10, "there was more to ask for: {after}");
    stack.expect_quota_kept();
    stack.expect_truth(users);
}
