//! The quota: kept, shared, and lost in the middle of a run.

use end_to_end::World;
use graph_simulator::{Quota, QuotaStep, RequestKind, RetryAfter, Switches, Tenant};
use jiff::SignedDuration;

use super::{ago, hours, now, tenant};

fn many_users(count: u64) -> (Tenant, Vec<domain::UserId>) {
    let mut tenant = tenant();
    let users: Vec<_> = (1..=count).map(|number| tenant.add_licensed(number)).collect();
    for user in users.iter().step_by(3) {
        tenant.add_items(*user, 4, ago(hours(3)), hours(2));
    }
    (tenant, users)
}

fn realistic(quota: Quota, retry_after: RetryAfter) -> Switches {
    Switches { latency_ms: 600, latency_jitter_ms: 240, quota, retry_after, ..Switches::default() }
}

#[tokio::test(start_paused = true)]
async fn two_workers_share_the_quota_and_nothing_is_refused() {
    let (tenant, users) = many_users(1_000);
    let mut world = World::with(tenant, realistic(Quota::default(), RetryAfter::Seconds));
    world.share(2, |_| {});
    let report = world.daily().await;
    assert!(report.complete);
    assert_eq!((report.requests.sent, report.requests.throttled), (2_000, 0));
    world.expect_quota_kept();
    world.expect_truth(users);
}

/// A run in whose middle the quota falls to a tenth.
async fn cut_to_a_tenth(retry_after: RetryAfter) {
    const USERS: u64 = 1_500;
    let (tenant, users) = many_users(USERS);
    let cut = now() + SignedDuration::from_secs(60);
    let quota = Quota { steps: vec![QuotaStep { from: cut, per_second: 3.0 }], ..Quota::default() };
    let world = World::with(tenant, realistic(quota, retry_after.clone()));
    let report = world.daily().await;
    assert!(report.complete, "{report:#?}");
    world.expect_truth(users);
    let ledger = world.simulator.ledger();
    assert_eq!(ledger.requests_before_retry_after(), 0);
    let statuses = ledger.statuses(RequestKind::Interactions);
    let (sent, refused) = (statuses.values().sum::<usize>() as f64, statuses[&429] as f64);
    assert!(refused / sent <= 0.02, "{retry_after:?}: {refused} of {sent} refused");
    let last = ledger.interactions().last().unwrap().started;
    let before = ledger.interactions().filter(|record| record.started < cut).count() as f64;
    let floor = before / 24.9 + (sent - before) / 2.49;
    let took = last.duration_since(ledger.interactions().next().unwrap().started).as_secs_f64();
    assert!(took <= 1.5 * floor, "{retry_after:?}: {took} s for a floor of {floor} s");
}

#[tokio::test(start_paused = true)]
async fn a_quota_cut_to_a_tenth_in_mid_run_loses_nothing() {
    cut_to_a_tenth(RetryAfter::Seconds).await;
}

#[tokio::test(start_paused = true)]
async fn a_quota_cut_to_a_tenth_without_retry_after_loses_nothing() {
    cut_to_a_tenth(RetryAfter::Absent).await;
}

#[tokio::test(start_paused = true)]
async fn a_long_retry_after_hands_the_work_over_and_costs_no_hop() {
    let (tenant, users) = many_users(50);
    let rule = graph_simulator::Rule::always(graph_simulator::Fault::Throttle {
        retry_after: RetryAfter::Seconds,
        seconds: 3_600,
    })
    .first(1);
    let mut switches = realistic(Quota::default(), RetryAfter::Seconds);
    switches.rules.push(rule);
    let world = World::with(tenant, switches);
    let report = world.daily().await;
    assert!(report.complete, "{report:#?}");
    assert_eq!(world.simulator.ledger().requests_before_retry_after(), 0);
    assert!(world.queue.dead_letters().is_empty(), "healthy work never reaches the dead letters");
    world.expect_truth(users);
}
