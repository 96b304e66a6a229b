//! Puts whose answer never comes, and that land later or never.

use std::collections::BTreeSet;

use aws_fake::{Call, Effect, Fault, Landing};
use lambda_harness::{Fate, Outcome, Setup, Stack};

use super::{daily, hours, tenant, user};

/// A part of the name of each kind of object that a run puts.
const PUTS: [&str; 9] = [
    "archive/archive.json",
    "/roster.jsonl.zst",
    "/run.json",
    "/segment-",
    "state/tenant_id=",
    "/receipts/",
    "/users.jsonl.zst",
    "/report.json",
    "/entry-",
];

async fn stack() -> (Stack, Vec<domain::UserId>, domain::Timestamp) {
    let mut tenant = tenant();
    let now = tenant.now;
    let users = (1..=4).map(|number| user(&mut tenant, number, 5, hours(1), hours(1))).collect();
    (Stack::new(Setup { workers: 1, ..Setup::new(tenant) }).await, users, now)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_without_an_answer_is_made_again_and_may_land_at_any_time_or_never() {
    for landing in [Landing::BeforeCall(1), Landing::BeforeCall(3), Landing::OnDemand, Landing::Never] {
        let (stack, users, now) = stack().await;
        for part in PUTS {
            stack.fake.plan(Fault::new(Effect::Late(landing)).action("PutObject").resource(part));
        }
        let report = stack.run(&daily(now)).await;
        assert_eq!(stack.fake.faults_left(), 0, "{landing:?}: every kind of put was struck");
        assert_eq!((&report["complete"], &report["interactions"]["new"]), (&true.into(), &20.into()), "{report:#}");
        assert_eq!(report["interactions"]["already_held"], 0, "none took its own put for another's: {report:#}");
        let objects = stack.objects();
        assert_eq!(stack.fake.land_late_puts(), 0, "{landing:?}: what was put again is what lies there");
        assert_eq!(stack.objects(), objects);
        for key in objects.keys().filter(|key| !key.starts_with("state/")) {
            assert_eq!(stack.fake.versions("archive", key).len(), 1, "{landing:?}: {key}");
        }
        stack.expect_truth(users);
        stack.expect_silence().await;
    }
}

/// Whether a segment was put that had been put before.
fn put_again(calls: &[Call]) -> bool {
    let mut puts = calls.iter().filter(|one| one.action == "PutObject" && one.resource.contains("/segment-"));
    let mut seen = BTreeSet::new();
    puts.any(|put| !seen.insert(&put.resource))
}

/// When the put of a killed worker lands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lands {
    BeforeItsMessageComesAgain,
    AfterTheRun,
    Never,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_of_a_killed_worker_may_land_before_the_next_attempt_or_after_it() {
    for lands in [Lands::BeforeItsMessageComesAgain, Lands::AfterTheRun, Lands::Never] {
        let (stack, users, now) = stack().await;
        let run = stack.plan(&daily(now)).await;
        // All segments of the first worker are on their way when it is killed: it puts some of them for the second time.
        let late = Effect::Late(Landing::OnDemand);
        stack.fake.plan(Fault::new(late).action("PutObject").resource("/segment-").times(usize::MAX));
        let fake = stack.fake.clone();
        stack.source.decide(move |_| {
            let fake = fake.clone();
            let kill = async move { fake.until(put_again).await };
            Fate { kill: Box::pin(kill), ..Fate::default() }
        });
        stack.source.step().await;
        assert_eq!(stack.source.batches()[0].invoked.outcome, Outcome::Killed);
        stack.fake.clear_faults();
        stack.source.decide(|_| Fate::default());
        let landed = if lands == Lands::BeforeItsMessageComesAgain { stack.fake.land_late_puts() } else { 0 };
        let report = stack.finish(&run).await;
        assert_eq!(report["complete"], true, "{lands:?}: {report:#}");
        let items = |name: &str| report["interactions"][name].as_u64().unwrap();
        assert_eq!(items("new") + items("recovered"), 20, "{lands:?}: {report:#}");
        assert_eq!(items("recovered") > 0, landed > 0, "{lands:?}: {landed} landed, {report:#}");
        assert_eq!(landed > 0, lands == Lands::BeforeItsMessageComesAgain);
        let objects = stack.objects();
        if lands == Lands::AfterTheRun {
            assert_eq!(stack.fake.land_late_puts(), 0, "their numbers are taken");
        }
        assert_eq!(stack.objects(), objects, "{lands:?}");
        stack.expect_truth(users);
        stack.expect_silence().await;
    }
}
