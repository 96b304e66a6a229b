//! Coverage: what is claimed, what is read again, and what is never claimed.

use archive::Checkpoint;
use bytes::Bytes;
use domain::{Kind, RunId};
use end_to_end::World;
use graph_simulator::RequestKind;
use jiff::SignedDuration;

use super::{ago, hours, item, now, one_user};

#[tokio::test(start_paused = true)]
async fn an_item_that_shows_two_days_late_is_found_once() {
    let (mut tenant, user) = one_user(20);
    let late = item(user, 900, now() + hours(1)).visible_from(now() + hours(49));
    assert!(tenant.add_item(user, late));
    let world = World::new(tenant);
    world.daily().await;
    let mut found = 0;
    for _ in 0..4 {
        world.pass(hours(24)).await;
        found += world.daily().await.interactions.new;
    }
    assert_eq!(found, 1);
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn an_edited_item_is_a_further_text() {
    let (mut tenant, user) = one_user(0);
    let created = ago(hours(10));
    let first = item(user, 1, created);
    let second = first.text.replace("\"etag\"", "\"edited\":true,\"etag\"");
    assert_ne!(*first.text, *second);
    assert!(tenant.add_item(user, first.edited(now() + hours(3), second)));
    let world = World::new(tenant);
    assert_eq!(world.daily().await.interactions.new, 1);
    world.pass(hours(24)).await;
    let report = world.daily().await;
    assert_eq!((report.interactions.new, report.interactions.already_held), (1, 0));
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn a_range_that_touches_coverage_does_not_skip_the_overlap() {
    let (mut tenant, user) = one_user(20);
    // Created within what is covered, 60 hours before it shows.
    let late = item(user, 901, ago(hours(4))).visible_from(now() + hours(56));
    assert!(tenant.add_item(user, late));
    let world = World::new(tenant);
    let daily = world.daily().await;
    let covered_to = world.line(&daily.run_id, user).await.covered_to.unwrap();
    world.pass(hours(52)).await;
    let to = world.now() - hours(2);
    let range = world.run(&format!(r#"{{"users":["{user}"],"from":"{covered_to}","to":"{to}"}}"#)).await;
    let line = world.line(&range.run_id, user).await;
    assert_eq!(line.covered_to, Some(covered_to), "a range that merely touches claims nothing");
    world.pass(hours(8)).await;
    world.daily().await;
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn a_look_back_after_an_outage_does_not_claim_the_gap() {
    let (mut tenant, user) = one_user(5);
    let in_the_gap = item(user, 902, now() + hours(30));
    assert!(tenant.add_item(user, in_the_gap));
    let world = World::new(tenant);
    let first = world.daily().await;
    let covered_to = world.line(&first.run_id, user).await.covered_to;
    world.pass(hours(120)).await;
    let at = world.seconds();
    let lookback = world.run(&format!(r#"{{"scheduledTime":"{at}","lookbackHours":24}}"#)).await;
    assert_eq!((lookback.kind, lookback.complete), (Kind::Lookback, true));
    assert_eq!(world.line(&lookback.run_id, user).await.covered_to, covered_to);
    assert_eq!(world.held(user), 5);
    world.pass(hours(1)).await;
    world.daily().await;
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn a_weekly_look_back_within_coverage_finds_what_the_overlap_missed() {
    let (mut tenant, user) = one_user(5);
    let very_late = item(user, 903, ago(hours(5))).visible_from(now() + hours(15 * 24));
    assert!(tenant.add_item(user, very_late));
    let world = World::new(tenant);
    for _ in 0..16 {
        world.daily().await;
        world.pass(hours(24)).await;
    }
    assert_eq!(world.held(user), 5);
    let lookback = world.run(&format!(r#"{{"scheduledTime":"{}","lookbackHours":480}}"#, world.seconds())).await;
    assert_eq!(lookback.interactions.new, 1);
    world.expect_truth([user]);
}

/// Five days with a checkpoint spoilt before the fourth, as `spoil` says; what the fourth and fifth run added and cost, and
/// the checkpoint that they left.
async fn with_spoilt_checkpoint(spoil: impl AsyncFn(&World, &str)) -> (u64, u64, Bytes) {
    let (mut tenant, user) = one_user(40);
    for day in 0..5_usize {
        for n in 0..3 {
            let created = now() + hours(24 * day as i64) - hours(20) + SignedDuration::from_mins(n as i64);
            assert!(tenant.add_item(user, item(user, 1_000 + 10 * day + n, created)));
        }
    }
    let world = World::new(tenant);
    let key = format!("state/tenant_id={}/user_id={user}.json", world.simulator.tenant().id);
    let (mut new, mut sent) = (0, 0);
    for day in 0..5 {
        if day == 3 {
            spoil(&world, &key).await;
        }
        let report = world.daily().await;
        assert!(report.complete);
        if day >= 3 {
            new += report.interactions.new;
            sent += report.requests.sent;
        }
        world.pass(hours(24)).await;
    }
    world.expect_truth([user]);
    assert_eq!(world.simulator.ledger().statuses(RequestKind::Interactions).keys().copied().collect::<Vec<_>>(), [200]);
    let left = world.store.objects()[&key].clone();
    (new, sent, left)
}

#[tokio::test(start_paused = true)]
async fn a_lost_a_stale_and_a_foreign_checkpoint_cost_requests_only() {
    let undisturbed = with_spoilt_checkpoint(async |_, _| {}).await;
    assert_eq!(undisturbed.0, 6, "three items a day");
    let lost = with_spoilt_checkpoint(async |world, key| world.store.remove(key)).await;
    // Of an archive that is two days ahead: it covers more, and holds items and segments that this one lacks.
    let foreign = with_spoilt_checkpoint(async |world, key| {
        let id = world.archive().await.id();
        let ahead = String::from_utf8(undisturbed.2.to_vec()).unwrap();
        let text = ahead.replace(&id.to_string(), "00000000-0000-4000-8000-000000000001");
        assert_ne!(text, ahead, "an id of its own");
        let known = |bytes: &[u8]| Checkpoint::from_bytes(bytes, id).unwrap();
        let (stored, ahead) = (known(&world.store.objects()[key]), known(ahead.as_bytes()));
        assert!(ahead.coverage.unwrap().to() > stored.coverage.unwrap().to());
        assert!(ahead.months.iter().any(|(month, log)| log.next > stored.months[month].next));
        world.store.overwrite(key, text);
    })
    .await;
    let broken = with_spoilt_checkpoint(async |world, key| world.store.overwrite(key, Bytes::from_static(b"{"))).await;
    for (name, (new, sent, _)) in [("lost", lost), ("foreign", foreign), ("broken", broken)] {
        assert_eq!(new, undisturbed.0, "{name}");
        assert!(sent <= undisturbed.1 + 4, "{name}: {sent} requests, undisturbed {}", undisturbed.1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_checkpoint_costs_requests_only() {
    let first = std::sync::Mutex::new(None);
    let (tenant, user) = one_user(40);
    let world = World::new(tenant);
    let key = format!("state/tenant_id={}/user_id={user}.json", world.simulator.tenant().id);
    for day in 0..4 {
        world.daily().await;
        let stored = world.store.objects()[&key].clone();
        match day {
            0 => *first.lock().unwrap() = Some(stored),
            2 => world.store.overwrite(&key, first.lock().unwrap().clone().unwrap()),
            _ => {}
        }
        world.pass(hours(24)).await;
    }
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn a_user_with_nothing_new_costs_one_read_and_no_put() {
    let (tenant, _) = one_user(3);
    let world = World::new(tenant);
    world.daily().await;
    let before: Vec<String> = world.store.objects().into_keys().collect();
    let checkpoints = |world: &World| {
        world
            .store
            .objects()
            .into_iter()
            .filter(|(key, _)| key.starts_with("state/tenant_id") && key.contains("user_id"))
            .collect::<Vec<_>>()
    };
    let checkpoint = checkpoints(&world);
    world.pass(hours(24)).await;
    let report = world.daily().await;
    assert_eq!(checkpoints(&world), checkpoint);
    let run = &report.run_id;
    let after: Vec<String> = world.store.objects().into_keys().filter(|key| !before.contains(key)).collect();
    assert!(
        after.iter().all(|key| key.starts_with(&format!("runs/{run}/")) || key.starts_with("ledger/")),
        "{after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_never_falls_more_than_a_week_behind() {
    let (tenant, user) = one_user(3);
    let world = World::new(tenant);
    let mut widest = SignedDuration::ZERO;
    for _ in 0..20 {
        let report = world.daily().await;
        assert!(report.complete);
        let run = RunId::scheduled(report.started_at, Kind::Daily);
        let windows = world.line(&run, user).await.windows;
        assert_eq!(windows.len(), 1);
        widest = widest.max(windows[0].length());
        world.pass(hours(24)).await;
    }
    assert!(widest <= hours(72 + 8 * 24), "{widest:?}");
    assert!(widest >= hours(72 + 6 * 24), "otherwise every run puts a checkpoint: {widest:?}");
}
