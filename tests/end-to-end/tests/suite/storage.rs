//! What is done when the store refuses, says nothing, or has lost something.

use std::sync::Arc;

use archive::faults::{Fault, FaultStore, Operation};
use domain::{Kind, RunId};
use end_to_end::{BATCH, World};
use jiff::SignedDuration;

use super::{ago, hours, item, now, one_user, tenant};

/// A checkpoint that may not be read is not one that is absent: what it covers must not be forgotten.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_may_not_be_read_narrows_no_coverage() {
    let (tenant, user) = one_user(20);
    let mut world = World::new(tenant);
    let first = world.daily().await;
    let covered_from = world.line(&first.run_id, user).await.covered_from;
    world.pass(hours(24)).await;
    let state = FaultStore::new(Arc::clone(&world.store) as _);
    state.fail_next(Operation::Get, "state/", Fault::Denied);
    world.stores.state = Arc::new(state);
    let second = world.daily().await;
    assert!(second.complete, "the message comes again: {second:#?}");
    assert_eq!(world.line(&second.run_id, user).await.covered_from, covered_from);
    world.expect_truth([user]);
}

/// Nothing is put into a gap: who holds the archive has to learn that a segment is gone.
#[tokio::test(start_paused = true)]
async fn a_log_that_has_lost_a_segment_is_not_gone_on_with() {
    let (mut tenant, user) = one_user(3);
    for day in 0..2 {
        assert!(tenant.add_item(user, item(user, 100 + day, now() + hours(20 + 24 * day as i64))));
    }
    let world = World::new(tenant);
    world.daily().await;
    world.pass(hours(24)).await;
    world.daily().await;
    let segments = |world: &World| -> Vec<String> {
        world.store.objects().into_keys().filter(|key| key.starts_with("interactions/")).collect()
    };
    let before = segments(&world);
    assert_eq!(before.len(), 2, "{before:?}");
    world.store.remove(&before[0]);
    let checkpoints: Vec<String> = world.store.objects().into_keys().filter(|key| key.starts_with("state/")).collect();
    checkpoints.iter().for_each(|key| world.store.remove(key));
    world.pass(hours(24)).await;
    let report = world.daily().await;
    assert_eq!(world.line(&report.run_id, user).await.class.unwrap().reason(), Some("storage"));
    assert_eq!(segments(&world), before[1..]);
}

/// An outage that outlasts all attempts at a put, once with nothing done and once with everything done without a word.
#[tokio::test(start_paused = true)]
async fn a_segment_whose_put_is_never_answered_is_neither_lost_nor_counted_before_it_is_certain() {
    for fault in [Fault::Lost, Fault::Unanswered, Fault::Late] {
        let (tenant, user) = one_user(40);
        let mut world = World::new(tenant);
        let at = world.seconds();
        world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
        let evidence = Arc::new(FaultStore::new(Arc::clone(&world.store) as _));
        for _ in 0..8 {
            evidence.fail_next(Operation::Put, "interactions/", fault);
        }
        world.stores.evidence = Arc::<FaultStore>::clone(&evidence);
        world.invoke(0, world.queue.receive(BATCH).await).await;
        evidence.land().await;
        let report = world.finish(&RunId::scheduled(at, Kind::Daily)).await;
        assert!(report.complete, "{fault:?}: {report:#?}");
        let items = report.interactions;
        assert_eq!(items.new + items.recovered, 40, "{fault:?}: {items:?}");
        world.expect_truth([user]);
    }
}

/// A put that is done without a word is the writer's own when it is put again, and counts as its own.
#[tokio::test(start_paused = true)]
async fn what_was_put_without_a_word_counts_as_new() {
    let (tenant, user) = one_user(40);
    let mut world = World::new(tenant);
    let evidence = FaultStore::new(Arc::clone(&world.store) as _);
    evidence.fail_next(Operation::Put, "interactions/", Fault::Unanswered);
    world.stores.evidence = Arc::new(evidence);
    let report = world.daily().await;
    let items = report.interactions;
    assert_eq!((items.new, items.already_held, items.recovered, report.complete), (40, 0, 0, true));
    world.expect_truth([user]);
}

/// Whoever is killed has acknowledged nothing: each user is in the queue until a receipt names what they came to.
#[tokio::test(start_paused = true)]
async fn a_user_stays_in_the_queue_until_a_receipt_names_them() {
    const USERS: u64 = 3;
    for cut in (0..24).map(|step| std::time::Duration::from_millis(375 * step)) {
        let mut tenant = tenant();
        for number in 1..=USERS {
            let user = tenant.add_licensed(number);
            tenant.add_items(user, 120, ago(hours(3)), SignedDuration::from_secs(400));
        }
        let world = World::new(tenant);
        let at = world.seconds();
        world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
        let batch = world.queue.receive(BATCH).await;
        drop(tokio::time::timeout(cut, world.invoke(0, batch)).await);
        let receipts = world.archive().await.receipts(&RunId::scheduled(at, Kind::Daily)).await.unwrap();
        let ended = receipts.iter().flat_map(|(_, lines)| lines).filter(|line| line.class.is_some()).count() as u64;
        let depth = queue::Queue::depth(&world.queue).await.unwrap();
        let queued = depth.visible + depth.in_flight + depth.delayed;
        assert!(ended + queued >= USERS, "killed after {cut:?}: {ended} ended, {queued} in the queue");
    }
}
