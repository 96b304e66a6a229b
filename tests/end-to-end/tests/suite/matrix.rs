//! Faults of docs/FAULTS.md that no other test is about.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use archive::faults::FaultStore;
use domain::{Deadline, Kind, RunId, Timestamp, UserId};
use end_to_end::{BATCH, World};
use graph_simulator::{Fault, Rule, Switches, Tenant, User, UserState, numbered};
use jiff::SignedDuration;
use queue::{Delivery, Outgoing, Queue};

use super::{ago, hours, item, one_user, tenant};

#[tokio::test(start_paused = true)]
async fn a_message_delivered_once_more_asks_nothing_and_puts_a_receipt_alone() {
    let mut tenant = tenant();
    let users: Vec<_> = (1..=5).map(|number| tenant.add_licensed(number)).collect();
    for user in &users[1..] {
        tenant.add_items(*user, 130, ago(hours(3)), SignedDuration::from_mins(20));
    }
    let mut world = World::new(tenant);
    let at = world.seconds();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
    let batch = world.queue.receive(BATCH).await;
    world.invoke(0, batch.clone()).await;
    let (asked, before) = (world.simulator.ledger().interactions().count(), world.store.objects());
    let counting = Arc::new(FaultStore::new(Arc::clone(&world.store) as _));
    world.stores.evidence = Arc::clone(&counting) as _;
    world.stores.state = Arc::clone(&counting) as _;
    for _ in 0..2 {
        let deadline = Deadline::before(world.now() + world.given, world.now());
        assert_eq!(worker::handle(batch.clone(), deadline, &world.worker(0)).await, Vec::<String>::new());
    }
    assert_eq!(world.simulator.ledger().interactions().count(), asked, "Graph is not asked again");
    assert_eq!(counting.operations().puts, 2, "one receipt each time");
    let after = world.store.objects();
    assert!(after.keys().filter(|key| !before.contains_key(*key)).all(|key| key.contains("/receipts/")));
    assert!(before.iter().all(|(key, bytes)| after[key] == *bytes), "nothing that was there is another");
    let report = world.finish(&RunId::scheduled(at, Kind::Daily)).await;
    assert_eq!((report.complete, report.users.exported, report.users.empty), (true, 4, 1));
    assert_eq!(report.interactions.new, 4 * 130, "counted once");
    world.expect_truth(users);
}

/// A user with a good two pages of items of the last two days, and perhaps a change.
async fn paged(change: impl FnOnce(&mut Tenant, UserId)) -> (World, UserId) {
    let mut tenant = tenant();
    let user = tenant.add_licensed(1);
    tenant.add_items(user, 420, ago(hours(3)), SignedDuration::from_mins(5));
    change(&mut tenant, user);
    (World::with(tenant, Switches { latency_ms: 1_000, ..Switches::default() }), user)
}

/// When the first page of the undisturbed run was handed out: simulated time makes it the same in every other.
async fn after_the_first_page() -> Timestamp {
    let (world, _) = paged(|_, _| {}).await;
    world.daily().await;
    let ledger = world.simulator.ledger();
    assert!(ledger.interactions().count() >= 3, "several pages");
    ledger.interactions().next().unwrap().delivered.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_inserted_while_a_user_is_paged_repeats_an_item_and_is_found_the_next_day() {
    let at = after_the_first_page().await;
    let (world, user) = paged(|tenant, user| {
        let late = item(user, 900, ago(hours(4)) + SignedDuration::from_secs(7)).visible_from(at);
        assert!(tenant.add_item(user, late));
    })
    .await;
    let first = world.daily().await;
    assert_eq!((first.complete, first.interactions.new), (true, 420), "{first:#?}");
    assert_eq!(first.interactions.already_held, 1, "what moved to the next page was shown twice, and is there once");
    world.pass(hours(24)).await;
    assert_eq!(world.daily().await.interactions.new, 1);
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_while_a_user_is_paged_hides_an_item_that_is_found_the_next_day() {
    let at = after_the_first_page().await;
    let (world, user) = paged(|tenant, user| {
        let gone = item(user, 900, ago(hours(4)) + SignedDuration::from_secs(7)).removed_at(at);
        assert!(tenant.add_item(user, gone));
    })
    .await;
    let everything = world.simulator.tenant().truth(user).len();
    let first = world.daily().await;
    assert!(first.complete, "{first:#?}");
    assert_eq!(world.held(user), everything - 1, "one that stays moved to the page that was read already");
    world.pass(hours(24)).await;
    assert_eq!(world.daily().await.interactions.new, 1);
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_server_errors_keeps_the_budget_fails_nobody_and_leaves_nobody_empty() {
    /// How long everything fails.
    const STORM: Duration = Duration::from_secs(600);
    /// What a worker may ask of Graph in that time.
    const BUDGET: usize = 24 * STORM.as_secs() as usize;
    let mut tenant = tenant();
    let users: Vec<_> = (1..=60).map(|number| tenant.add_licensed(number)).collect();
    for user in &users {
        tenant.add_items(*user, 5, ago(hours(3)), hours(1));
    }
    let world = World::new(tenant);
    let at = world.seconds();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
    let begun = world.now();
    let storm = Rule::always(Fault::Status(503)).between(begun, begun + STORM);
    world.simulator.change(|switches| switches.rules.push(storm));
    let report = world.finish(&RunId::scheduled(at, Kind::Daily)).await;
    assert_eq!((report.complete, report.users.exported, report.users.empty), (true, 60, 0), "{report:#?}");
    assert!(world.queue.dead_letters().is_empty());
    let ledger = world.simulator.ledger();
    let failed = ledger.interactions().filter(|one| one.status == Some(503)).count();
    println!("{failed} requests of {} users failed in a storm of {STORM:?}", users.len());
    // Every failure is waited out longer than the last, so that a storm takes far less than the budget.
    assert!(failed >= users.len() && failed < BUDGET / 2, "{failed} of {BUDGET}");
    world.expect_quota_kept();
    world.expect_truth(users);
}

/// What a message can come to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Comes {
    Exported,
    Empty,
    Unavailable,
    HandedOver,
    Failed,
    NoMessage,
    LaterVersion,
    ForeignRun,
}

const OUTCOMES: [Comes; 8] = [
    Comes::Exported,
    Comes::Empty,
    Comes::Unavailable,
    Comes::HandedOver,
    Comes::Failed,
    Comes::NoMessage,
    Comes::LaterVersion,
    Comes::ForeignRun,
];

#[tokio::test(start_paused = true)]
async fn exactly_what_failed_is_given_back_whatever_it_shares_a_batch_with() {
    for (n, first) in OUTCOMES.into_iter().enumerate() {
        for (m, second) in OUTCOMES.into_iter().enumerate() {
            let mut tenant = tenant();
            let (mut bodies, mut rules) = (Vec::new(), Vec::new());
            let mut users = Vec::new();
            for (number, comes) in [(n as u64 + 1, first), (m as u64 + 101, second)] {
                let mut user = User::new(numbered(number));
                user.licences.push(tenant.licence());
                if comes == Comes::Unavailable {
                    user.state = UserState::NoHistory;
                }
                let user = tenant.add_user(user);
                if comes != Comes::Empty {
                    tenant.add_items(user, 3, ago(hours(3)), hours(1));
                }
                match comes {
                    Comes::Failed => rules.push(Rule::always(Fault::Status(400)).user(user)),
                    Comes::HandedOver => rules.push(Rule::always(Fault::Slow { millis: 500_000 }).user(user)),
                    _ => {}
                }
                users.push((user, comes));
            }
            let mut world = World::with(tenant, Switches::with_rules(rules));
            world.given = Duration::from_secs(60);
            let at = world.seconds();
            world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
            let planned = world.queue.receive(BATCH).await;
            for (user, comes) in &users {
                let own = planned.iter().find(|one| one.body.contains(&user.to_string())).unwrap();
                bodies.push(match comes {
                    Comes::NoMessage => "no message".to_owned(),
                    Comes::LaterVersion => own.body.replace("\"v\":1", "\"v\":2"),
                    Comes::ForeignRun => own.body.replace("T030000Z", "T040000Z"),
                    _ => own.body.clone(),
                });
            }
            let message = |body: &String| Outgoing { body: body.clone(), delay: Duration::ZERO };
            world.queue.delete(planned.into_iter().map(|one| one.receipt_handle).collect()).await.unwrap();
            world.queue.send(bodies.iter().map(message).collect()).await.unwrap();
            let batch: Vec<Delivery> = world.queue.receive(BATCH).await;
            let fails = |one: &Delivery| {
                let place = bodies.iter().position(|body| *body == one.body).unwrap();
                !matches!(users[place].1, Comes::Exported | Comes::Empty | Comes::Unavailable | Comes::HandedOver)
            };
            let expected: BTreeSet<String> =
                batch.iter().filter(|one| fails(one)).map(|one| one.message_id.clone()).collect();
            let deadline = Deadline::before(world.now() + world.given, world.now());
            let failed = worker::handle(batch, deadline, &world.worker(0)).await;
            assert_eq!(failed.len(), expected.len(), "{first:?} {second:?}: named once");
            assert_eq!(failed.into_iter().collect::<BTreeSet<_>>(), expected, "{first:?} {second:?}");
            let handed_over = users.iter().filter(|(_, comes)| *comes == Comes::HandedOver).count();
            assert_eq!(world.queue.receive(BATCH).await.len(), handed_over, "{first:?} {second:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn clocks_that_are_minutes_apart_lose_nothing_and_claim_nothing_that_has_not_settled() {
    for minutes in [-4, 4, 10] {
        let (mut tenant, user) = one_user(60);
        for n in 0..4 {
            let created = super::now() + hours(5 + 12 * n);
            assert!(tenant.add_item(user, item(user, 900 + n as usize, created).visible_from(created + hours(1))));
        }
        let skew = SignedDuration::from_mins(minutes);
        let world = World::skewed(tenant, Switches::default(), skew);
        for _ in 0..3 {
            let report = world.daily().await;
            assert!(report.complete, "{report:#?}");
            let covered_to = world.line(&report.run_id, user).await.covered_to.unwrap();
            let earlier = world.now().min(world.now() + skew);
            assert!(covered_to <= earlier - hours(2), "{minutes}: {covered_to}");
            world.pass(hours(24)).await;
        }
        world.expect_truth([user]);
    }
    // Graph is further behind than a schedule may be ahead: refused in words, before anything is written.
    let (tenant, _) = one_user(3);
    let world = World::skewed(tenant, Switches::default(), SignedDuration::from_mins(-10));
    let refused = world.fan_out(&format!(r#"{{"scheduledTime":"{}"}}"#, world.seconds())).await.unwrap_err();
    assert!(refused.to_string().contains("ahead of the clock"), "{refused}");
    assert!(world.store.objects().is_empty());
}
