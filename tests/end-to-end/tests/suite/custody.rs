//! What operators do between runs and in the middle of one: coverage that is lowered, users who are erased.

use std::sync::Arc;

use custody::Vaults;
use custody::coverage::{Lowering, lower};
use custody::erase::{bury, content, erase};
use domain::{Timestamp, UserId, Window};
use end_to_end::World;
use evidence::{Expectation, verify};

use super::{ago, hours, item, now, one_user, tenant};

fn part(from: Option<Timestamp>, to: Option<Timestamp>) -> Lowering {
    Lowering::Part { from, to }
}

/// Erases a user; how many versions were deleted.
async fn erase_from(world: &World, user: UserId) -> u64 {
    let vaults = Vaults { evidence: Arc::clone(&world.store) as _, state: Arc::clone(&world.store) as _ };
    let archive = world.archive().await;
    let found = content(&archive, &vaults, user).await.unwrap();
    bury(&archive, user, None).await.unwrap();
    let erased = erase(&archive, &vaults, &found, false).await.unwrap();
    assert!(erased.kept.is_empty());
    erased.deleted
}

/// Keys of a user's content and state.
fn keys(world: &World, user: UserId) -> Vec<String> {
    let own = format!("user_id={user}");
    world.store.objects().into_keys().filter(|key| key.contains(&own) && !key.starts_with("erased/")).collect()
}

/// No promise of the archive is broken.
fn expect_intact(world: &World) -> evidence::Verdict {
    let verdict = verify(&world.source(), &Expectation::default()).unwrap();
    assert!(verdict.is_intact(), "{:#?}", verdict.findings);
    verdict
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_away_from_coverage_is_read_again_and_written_once() {
    let (mut tenant, user) = one_user(40);
    // Graph shows it when no overlap reaches its time any more.
    let late = item(user, 950, ago(hours(30))).visible_from(now() + hours(250));
    assert!(tenant.add_item(user, late));
    let world = World::new(tenant);
    for _ in 0..12 {
        world.daily().await;
        world.pass(hours(24)).await;
    }
    assert_eq!(world.held(user), 40, "nothing found it");

    let lowered = lower(&world.archive().await, user, part(None, Some(ago(hours(20))))).await.unwrap();
    let covered = lowered.after.unwrap();
    assert!(lowered.before.unwrap().to() > covered.to());
    let report = world.daily().await;
    assert_eq!((report.interactions.new, report.interactions.already_held), (1, 40));
    let line = world.line(&report.run_id, user).await;
    let end = world.archive().await.run(&report.run_id).await.unwrap().unwrap().to.unwrap();
    assert_eq!(line.windows, [Window::new(covered.to() - world.rules.overlap, end).unwrap()]);
    let begin = covered.from().min(covered.to() - world.rules.overlap);
    assert_eq!((line.covered_from, line.covered_to), (Some(begin), Some(end)), "what was read counts again");
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn history_that_is_taken_away_is_read_again_and_written_once() {
    let (tenant, user) = one_user(400);
    let world = World::new(tenant);
    world.daily().await;
    world.history().await;
    world.expect_truth([user]);
    let held = world.held(user);
    for lowering in [part(Some(ago(hours(10))), None), Lowering::Drop] {
        world.pass(hours(24)).await;
        lower(&world.archive().await, user, lowering).await.unwrap();
        let daily = world.daily().await;
        let begins = world.line(&daily.run_id, user).await.covered_from.unwrap();
        assert!(begins > world.rules.history_start, "{lowering:?}");
        world.pass(hours(6)).await;
        let history = world.history().await;
        assert_eq!((history.users.planned, history.interactions.new), (1, 0), "{lowering:?}");
        assert!(history.interactions.already_held > 0);
        let line = world.line(&history.run_id, user).await;
        assert_eq!(line.covered_from, Some(world.rules.history_start), "{lowering:?}");
        assert_eq!(world.held(user), held);
        world.expect_truth([user]);
    }
}

#[tokio::test(start_paused = true)]
async fn coverage_lowered_in_the_middle_of_a_run_is_not_put_back_by_what_the_run_had_read() {
    let (tenant, user) = one_user(400);
    let world = World::new(tenant);
    world.daily().await;
    world.pass(hours(24)).await;
    // A history run that has read a part of it, as its line in the checkpoint says.
    let archive = world.archive().await;
    let run: domain::RunId = "od-half".parse().unwrap();
    let mut handle = archive.checkpoint(user).await.unwrap();
    let before = handle.checkpoint.coverage;
    let line = handle.checkpoint.run_mut(&run);
    let window = Window::new(ago(hours(500)), ago(hours(70))).unwrap();
    (line.window, line.before, line.read) = (Some(window), before, Some(window.newest(hours(100))));
    archive.save(&mut handle, world.rules.overlap).await.unwrap();

    let lowering = part(None, Some(ago(hours(40))));
    let lowered = lower(&archive, user, lowering).await.unwrap();
    assert_eq!(lowered.restarted, std::slice::from_ref(&run));
    let payload =
        format!(r#"{{"runId":"{run}","users":["{user}"],"from":"{}","to":"{}"}}"#, ago(hours(500)), ago(hours(70)));
    let report = world.run(&payload).await;
    let line = world.line(&report.run_id, user).await;
    assert_eq!(line.windows, [window], "the run has read all of its window after the coverage was lowered");
    assert_eq!(
        line.covered_to,
        lowered.after.map(domain::Coverage::to),
        "and has not brought back what was taken away"
    );
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn an_erased_user_is_in_no_later_run_and_the_archive_is_intact() {
    let mut tenant = tenant();
    let users: Vec<UserId> = (1..=3).map(|n| tenant.add_licensed(n)).collect();
    for user in &users {
        tenant.add_items(*user, 30, ago(hours(3)), hours(50));
    }
    let world = World::new(tenant);
    world.daily().await;
    world.history().await;
    world.expect_truth(users.clone());
    let erased = keys(&world, users[0]);
    assert!(erased.len() > 2);
    assert_eq!(erase_from(&world, users[0]).await, erased.len() as u64);
    let verdict = expect_intact(&world);
    assert_eq!(verdict.erased.len(), 1);
    assert_eq!((verdict.erased[0].segments, verdict.erased[0].lines), (erased.len() as u64 - 1, 30));
    for _ in 0..2 {
        world.pass(hours(24)).await;
        assert_eq!(world.daily().await.users.excluded["erased"], 1);
    }
    assert_eq!(keys(&world, users[0]), Vec::<String>::new());
    expect_intact(&world);
    world.expect_truth([users[1], users[2]]);
}

#[tokio::test(start_paused = true)]
async fn an_erasure_in_the_middle_of_a_run_is_repeated_when_the_run_is_closed() {
    let (tenant, user) = one_user(30);
    let world = World::new(tenant);
    world.daily().await;
    world.pass(hours(24)).await;
    let fan_out::Answer::Planned { run_id, planned: 1, .. } =
        world.fan_out(&format!(r#"{{"scheduledTime":"{}"}}"#, world.seconds())).await.unwrap()
    else {
        panic!("the user is planned")
    };
    assert_eq!(custody::open_runs(&world.archive().await).await.unwrap(), std::slice::from_ref(&run_id));
    assert!(erase_from(&world, user).await > 0);
    // Its message was sent before, so the worker reads the user and archives what it is shown.
    world.finish(&run_id).await;
    assert!(!keys(&world, user).is_empty());
    expect_intact(&world);
    assert!(custody::open_runs(&world.archive().await).await.unwrap().is_empty());
    assert!(erase_from(&world, user).await > 0);
    assert_eq!(keys(&world, user), Vec::<String>::new());
    expect_intact(&world);
    world.pass(hours(24)).await;
    assert_eq!(world.daily().await.users.excluded["erased"], 1);
    assert_eq!(keys(&world, user), Vec::<String>::new());
}
