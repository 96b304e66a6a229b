//! A person who is held between two runs, by the real binaries.

use std::collections::BTreeSet;

use aws_fake::{Effect, Fault};
use domain::UserId;
use graph_simulator::{Item, Tenant, plain};
use jiff::SignedDuration;
use lambda_harness::{Setup, Stack};

use super::{daily, hours, tenant, user};

/// Three users, each with an item that shows on each of three days.
fn three(tenant: &mut Tenant) -> [UserId; 3] {
    let now = tenant.now;
    [1, 2, 3].map(|number| {
        let user = user(tenant, number, 3, hours(60), hours(1));
        for day in 0..3 {
            let created = now - hours(48 - 24 * day) - hours(6);
            assert!(tenant.add_item(user, Item::new(plain(user, 100, created), created)));
        }
        user
    })
}

/// The segments of these users.
fn content(stack: &Stack, users: &[UserId]) -> BTreeSet<String> {
    let own = |key: &str| users.iter().any(|user| key.contains(&format!("/user_id={user}/segment-")));
    stack.objects().into_keys().filter(|key| own(key)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_person_s_segments_are_put_under_the_hold_by_the_worker_and_nobody_else_s() {
    let mut tenant = tenant();
    let (now, users) = (tenant.now, three(&mut tenant));
    let [held, others @ ..] = users;
    let stack = Stack::new(Setup::new(tenant)).await;
    let day = |ago: i64| daily(now - SignedDuration::from_hours(24 * ago));
    stack.run(&day(2)).await;
    assert!(stack.held().is_empty());

    // Held: what the next run puts is, whatever becomes of the answer to a put.
    stack.mark(held, 1);
    let before = content(&stack, &users);
    let lost = Fault::new(Effect::LoseAnswer).action("PutObject").resource(&format!("user_id={held}/segment-"));
    stack.fake.plan(lost);
    let report = stack.run(&day(1)).await;
    assert_eq!((&report["complete"], stack.fake.faults_left()), (&true.into(), 0), "{report:#}");
    let of_held: BTreeSet<String> = content(&stack, &[held]).difference(&before).cloned().collect();
    assert!(!of_held.is_empty());
    assert_eq!(stack.held(), of_held);
    assert!(content(&stack, &others).difference(&before).count() > 0);

    // Released: what is put from then on is not held, and what was stays.
    stack.mark(held, 2);
    let before = content(&stack, &[held]);
    stack.run(&day(0)).await;
    assert!(content(&stack, &[held]).difference(&before).count() > 0);
    assert_eq!(stack.held(), of_held);
    stack.expect_truth(users);
}
