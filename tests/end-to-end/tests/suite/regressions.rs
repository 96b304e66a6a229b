//! Mistakes that were found and mended, each by the scenario that showed it.

use std::sync::Arc;
use std::time::Duration;

use archive::faults::{self, FaultStore, Operation};
use domain::{Kind, RunId, Timestamp, UserId};
use end_to_end::{BATCH, World};
use graph_simulator::{Fault, Item, RequestKind, RetryAfter, Rule, Switches, Tenant};
use jiff::SignedDuration;

use super::{ago, hours, item, one_user, tenant};

/// Adds an item that breaks every page it is on while the rule holds.
fn poison(tenant: &mut Tenant, user: UserId, created: Timestamp) -> Rule {
    let marked = item(user, 5_000, created).text.replace("\"etag\"", "\"poison\":1,\"etag\"");
    assert!(tenant.add_item(user, Item::new(marked, created)));
    Rule::always(Fault::Garbage).containing("\"poison\":1")
}

/// A failure was forgotten when the message came again after the history run's time was over.
#[tokio::test(start_paused = true)]
async fn a_bad_page_in_history_stays_a_failure_when_the_time_is_over() {
    for bad in [ago(hours(24 * 100) + SignedDuration::from_mins(7)), ago(hours(74))] {
        let (mut tenant, user) = one_user(0);
        tenant.add_items(user, 300, ago(hours(3)), hours(24));
        let rule = poison(&mut tenant, user, bad);
        let world = World::new(tenant);
        world.daily().await;
        world.simulator.change(|switches| switches.rules.push(rule));
        world.pass(hours(1)).await;
        let report = world.history().await;
        assert_eq!((report.users.failed, report.complete), (1, false), "{report:#?}");
        world.verify();
    }
}

/// A process that was not told of the wait asked before it was over.
#[tokio::test(start_paused = true)]
async fn a_new_process_keeps_the_wait_that_another_was_told() {
    let mut tenant = tenant();
    for number in 1..=5 {
        let user = tenant.add_licensed(number);
        tenant.add_items(user, 4, ago(hours(3)), hours(1));
    }
    let rule = Rule::always(Fault::Throttle { retry_after: RetryAfter::Seconds, seconds: 3_600 }).first(1);
    let mut world = World::with(tenant, Switches { rules: vec![rule], ..Switches::default() });
    let at = world.seconds();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
    world.invoke(0, world.queue.receive(BATCH).await).await;
    world.share(1, |_| {});
    let report = world.finish(&RunId::scheduled(at, Kind::Daily)).await;
    assert!(report.complete);
    world.expect_quota_kept();
}

/// A user who is throttled for ever was handed over for ever.
#[tokio::test(start_paused = true)]
async fn a_user_who_is_throttled_for_ever_ends_in_the_dead_letters() {
    let (tenant, user) = one_user(4);
    let rule = Rule::always(Fault::Throttle { retry_after: RetryAfter::Seconds, seconds: 3_600 });
    let world = World::with(tenant, Switches { rules: vec![rule], ..Switches::default() });
    let at = world.seconds();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
    world.drain().await;
    assert!(world.now() > at + hours(23), "waiting is no lack of progress before the run's deadline");
    let dead = world.queue.dead_letters();
    assert!(dead.len() == 1 && dead[0].body.contains(&user.to_string()));
    let report = world.finish(&RunId::scheduled(at, Kind::Daily)).await;
    assert_eq!((report.users.failed, report.complete), (1, false));
}

/// A segment of an attempt that was killed before its checkpoint was met by another run, and then by none of its own.
#[tokio::test(start_paused = true)]
async fn a_segment_that_another_run_met_first_is_still_named_by_its_own() {
    let (tenant, user) = one_user(50);
    let mut world = World::new(tenant);
    let at = world.seconds();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
    let clean = world.stores.clone();
    let state = FaultStore::new(Arc::clone(&world.store) as _);
    for _ in 0..50 {
        state.fail_next(Operation::Put, "state/", faults::Fault::Lost);
    }
    world.stores.state = Arc::new(state);
    let batch = world.queue.receive(BATCH).await;
    let killed = tokio::time::timeout(Duration::from_secs(8), world.invoke(0, batch)).await;
    assert!(killed.is_err());
    world.stores = clean;
    let other = world.run(&format!(r#"{{"users":["{user}"]}}"#)).await;
    assert_eq!((other.interactions.new, other.interactions.already_held), (0, 50));
    let report = world.finish(&RunId::scheduled(at, Kind::Daily)).await;
    assert_eq!((report.interactions.recovered, report.attempts_lost, report.complete), (50, 1, true));
    let orphans = world.verify().count(evidence::Code::Orphan);
    assert_eq!(orphans, 0);
    world.expect_truth([user]);
}

/// While no token could be had, every user's window was halved down to single seconds and given up.
#[tokio::test(start_paused = true)]
async fn an_outage_of_the_token_endpoint_is_no_fault_of_any_piece() {
    let (tenant, user) = one_user(10);
    let world = World::new(tenant);
    let at = world.seconds();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
    world.pass(hours(2)).await;
    world.simulator.change(|switches| {
        switches.rules.push(Rule::always(Fault::Status(500)).kind(RequestKind::Token));
    });
    world.invoke(0, world.queue.receive(BATCH).await).await;
    let receipts = world.archive().await.receipts(&RunId::scheduled(at, Kind::Daily)).await.unwrap();
    let reasons: Vec<_> =
        receipts.iter().flat_map(|(_, lines)| lines).filter_map(|line| Some(line.class?.to_string())).collect();
    assert_eq!(reasons, ["failed(server-error)"]);
    world.simulator.change(|switches| switches.rules.clear());
    assert!(world.finish(&RunId::scheduled(at, Kind::Daily)).await.complete);
    world.expect_truth([user]);
}
