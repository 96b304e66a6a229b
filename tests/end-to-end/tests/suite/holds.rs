//! Who is held: from the next invocation on whatever is archived of them is put under a legal hold.

use std::collections::BTreeSet;

use archive::custody::HoldEntry;
use archive::faults::{Fault as StoreFault, FaultStore, Operation};
use archive::layout;
use archive::store::LegalHold;
use domain::{Deadline, UserId};
use end_to_end::{BATCH, World};
use graph_simulator::{Fault, Item, Rule, Switches};
use std::sync::Arc;

use super::{ago, hours, item, now, tenant};

/// What an operator's command puts before it holds what is there.
async fn mark(world: &World, hold: LegalHold, user: UserId) {
    let entry = HoldEntry { user_id: user, at: world.seconds(), reason: None };
    world.archive().await.put_hold(hold, entry).await.unwrap();
}

/// Keys of users' content.
fn content(world: &World, users: &[UserId]) -> BTreeSet<String> {
    let is_content = |key: &str| [layout::INTERACTIONS_PREFIX, "quarantine/"].iter().any(|at| key.starts_with(at));
    let own = |key: &str| users.iter().any(|user| key.contains(&format!("user_id={user}/")));
    world.store.objects().into_keys().filter(|key| is_content(key) && own(key)).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_archived_of_a_held_user_is_put_under_the_hold_and_of_nobody_else() {
    let mut tenant = tenant();
    let users: Vec<UserId> = (1..=3).map(|n| tenant.add_licensed(n)).collect();
    for user in &users {
        tenant.add_items(*user, 30, ago(hours(3)), hours(30));
        for day in 1..=3 {
            let created = now() + hours(24 * day - 6);
            assert!(tenant.add_item(*user, item(*user, 100 + day as usize, created).visible_from(created)));
        }
        // A page that cannot be read is kept as well, on the second day.
        let bad = item(*user, 200, now() + hours(24 - 7)).visible_from(now() + hours(24 - 7));
        let poisoned = Item::new(bad.text.replace("\"etag\"", "\"poison\":1,\"etag\""), bad.created);
        assert!(tenant.add_item(*user, poisoned.visible_from(bad.created)));
    }
    let rule = Rule::always(Fault::Garbage).containing("\"poison\":1");
    let world = World::with(tenant, Switches { rules: vec![rule], ..Switches::default() });
    world.daily().await;
    world.history().await;
    assert!(world.store.held().is_empty());

    mark(&world, LegalHold::On, users[0]).await;
    let before = content(&world, &users);
    world.pass(hours(24)).await;
    world.daily().await;
    let new: BTreeSet<String> = content(&world, &users[..1]).difference(&before).cloned().collect();
    let expected = |part: &str| new.iter().filter(|key| key.contains(part)).count();
    assert!(expected("/segment-") > 0 && expected("/page-") > 0, "{new:?}");
    assert_eq!(world.store.held(), new);
    assert!(content(&world, &users[1..]).difference(&before).count() > 0);

    world.simulator.change(|switches| switches.rules.clear());
    mark(&world, LegalHold::Off, users[0]).await;
    let before = content(&world, &users);
    world.pass(hours(24)).await;
    world.daily().await;
    assert!(content(&world, &users[..1]).difference(&before).count() > 0, "it is archived as ever");
    assert_eq!(world.store.held(), new, "and not held");
    mark(&world, LegalHold::On, users[0]).await;
    let before = content(&world, &users[..1]);
    world.pass(hours(24)).await;
    world.daily().await;
    let again: BTreeSet<String> = content(&world, &users[..1]).difference(&before).cloned().collect();
    assert!(!again.is_empty());
    assert_eq!(world.store.held(), new.union(&again).cloned().collect());

    let verdict = world.verify();
    let holds: Vec<_> = verdict.holds.iter().map(|hold| (hold.user_id.clone(), hold.held, hold.entries)).collect();
    assert_eq!(holds, [(users[0].to_string(), true, 3)]);
    world.expect_truth(users);
}

/// Whoever may not list who is held does not archive as if nobody were.
#[tokio::test(start_paused = true)]
async fn without_the_list_of_holds_nobody_is_read_and_the_batch_comes_again() {
    let (tenant, user) = super::one_user(10);
    let world = World::new(tenant);
    let at = world.seconds();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
    mark(&world, LegalHold::On, user).await;
    let faults = Arc::new(FaultStore::new(Arc::clone(&world.store) as _));
    let mut deps = world.worker(0);
    deps.stores.evidence = Arc::clone(&faults) as _;
    faults.fail_next(Operation::List, layout::HOLDS_PREFIX, StoreFault::Denied);
    let batch = world.queue.receive(BATCH).await;
    let ids: Vec<String> = batch.iter().map(|delivery| delivery.message_id.clone()).collect();
    let time = Deadline::at(world.now() + hours(1));
    assert_eq!(worker::handle(batch.clone(), time, &deps).await, ids);
    assert!(content(&world, &[user]).is_empty());
    assert_eq!(worker::handle(batch, time, &deps).await, Vec::<String>::new());
    assert_eq!(world.store.held(), content(&world, &[user]));
    world.expect_truth([user]);
}
