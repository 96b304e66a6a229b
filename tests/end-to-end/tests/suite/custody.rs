//! What operators do between runs and in the middle of one: coverage that is lowered, users who are erased.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use archive::faults::{Fault as StoreFault, FaultStore, Operation};
use archive::records::SegmentRef;
use custody::Vaults;
use custody::coverage::{Lowering, lower};
use custody::erase::{bury, content, erase};
use domain::{Class, Deadline, Kind, RunId, Timestamp, Unavailability, UserId, Window};
use end_to_end::{BATCH, World};
use evidence::audit::{Request, Whom};
use evidence::{Expectation, audit, verify};
use graph_simulator::{Fault, Record, RequestKind, Rule};
use jiff::SignedDuration;

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

/// A daily run that is planned and of which nobody has been read yet.
async fn planned(world: &World) -> RunId {
    match world.fan_out(&format!(r#"{{"scheduledTime":"{}"}}"#, world.seconds())).await.unwrap() {
        fan_out::Answer::Planned { run_id, .. } => run_id,
        other => panic!("not a run: {other:?}"),
    }
}

/// Requests for the interactions of a user.
fn asked_of(world: &World, user: UserId) -> usize {
    let ledger = world.simulator.ledger();
    let of_user = |record: &&Record| record.kind == RequestKind::Interactions && record.user == Some(user);
    ledger.records().iter().filter(of_user).count()
}

const GONE: Option<Class> = Some(Class::Unavailable(Unavailability::Gone));

#[tokio::test(start_paused = true)]
async fn a_message_of_an_erased_user_brings_nothing_back_and_the_run_closes_complete() {
    let mut tenant = tenant();
    let users: Vec<UserId> = (1..=3).map(|n| tenant.add_licensed(n)).collect();
    for user in &users {
        tenant.add_items(*user, 30, ago(hours(3)), hours(1));
    }
    let world = World::new(tenant);
    world.daily().await;
    world.pass(hours(24)).await;
    let run = planned(&world).await;
    assert!(erase_from(&world, users[0]).await > 0);
    let asked = asked_of(&world, users[0]);
    let report = world.finish(&run).await;
    assert!(report.complete, "{report:#?}");
    assert_eq!((report.users.unavailable.get("gone"), report.users.exported), (Some(&1), 2));
    let line = world.line(&run, users[0]).await;
    assert_eq!((line.class, line.received, line.windows.len(), line.covered_to), (GONE, 0, 0, None));
    assert_eq!(asked_of(&world, users[0]), asked, "Graph is not asked");
    assert_eq!(keys(&world, users[0]), Vec::<String>::new());
    expect_intact(&world);
    world.expect_truth([users[1], users[2]]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_of_an_erased_user_is_done_with_when_it_is_redriven() {
    let (tenant, user) = one_user(30);
    let world = World::new(tenant);
    world.daily().await;
    world.pass(hours(24)).await;
    world.simulator.change(|switches| switches.rules.push(Rule::always(Fault::Status(500)).user(user)));
    let at = world.seconds();
    assert!(!world.daily().await.complete);
    assert_eq!(world.queue.dead_letters().len(), 1);
    world.simulator.change(|switches| switches.rules.clear());
    assert!(erase_from(&world, user).await > 0);
    let asked = asked_of(&world, user);
    assert_eq!(world.queue.redrive(), 1);
    world.drain().await;
    assert!(world.queue.dead_letters().is_empty(), "it does not come back for ever");
    assert_eq!(asked_of(&world, user), asked);
    assert_eq!(keys(&world, user), Vec::<String>::new());
    let receipts = world.archive().await.receipts(&RunId::scheduled(at, Kind::Daily)).await.unwrap();
    assert!(receipts.iter().flat_map(|(_, lines)| lines).any(|line| line.class == GONE), "a late receipt says so");
    expect_intact(&world);
}

#[tokio::test(start_paused = true)]
async fn who_is_erased_half_read_keeps_what_the_receipts_say_and_the_run_closes_complete() {
    let (tenant, user) = one_user(2_000);
    let mut world = World::new(tenant);
    world.daily().await;
    world.given = Duration::from_secs(20);
    let history = world.fan_out(&format!(r#"{{"scheduledTime":"{}","history":true}}"#, world.seconds())).await.unwrap();
    let fan_out::Answer::Planned { run_id: run, .. } = history else { panic!("the user is planned") };
    world.invoke(0, world.queue.receive(BATCH).await).await;
    let handed_over = world.archive().await.receipts(&run).await.unwrap();
    let line = &handed_over[0].1[0];
    assert!(line.class.is_none() && line.new > 0 && !line.windows.is_empty(), "{line:?}");
    assert!(erase_from(&world, user).await > 0);
    let report = world.finish(&run).await;
    assert!(report.complete, "{report:#?}");
    let united = world.line(&run, user).await;
    let named = |segments: &[SegmentRef]| segments.iter().map(|segment| segment.key.clone()).collect::<BTreeSet<_>>();
    assert_eq!((united.class, united.new, named(&united.segments)), (GONE, line.new, named(&line.segments)));
    assert_eq!(keys(&world, user), Vec::<String>::new());
    expect_intact(&world);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_has_the_user_in_hand_may_write_and_erasing_again_after_it_is_enough() {
    let (tenant, user) = one_user(30);
    let world = World::new(tenant);
    let run = planned(&world).await;
    assert_eq!(custody::open_runs(&world.archive().await).await.unwrap(), std::slice::from_ref(&run));
    // The invocation lists the tombstones at once; the first answer of Graph takes longer than this.
    let batch = world.queue.receive(BATCH).await;
    let erasing = async {
        world.pass(SignedDuration::from_millis(100)).await;
        erase_from(&world, user).await
    };
    let ((), deleted) = futures_util::future::join(world.invoke(0, batch), erasing).await;
    assert_eq!((deleted, keys(&world, user).is_empty()), (0, false), "it was in hand, and nothing of it was there yet");
    expect_intact(&world);
    assert!(erase_from(&world, user).await > 0);
    world.finish(&run).await;
    world.pass(hours(24)).await;
    assert_eq!(world.daily().await.users.excluded["erased"], 1);
    assert_eq!(keys(&world, user), Vec::<String>::new());
    expect_intact(&world);
}

#[tokio::test(start_paused = true)]
async fn of_whom_was_erased_before_anything_was_read_the_audit_does_not_say_that_graph_said_so() {
    let (tenant, user) = one_user(30);
    let world = World::new(tenant);
    let run = planned(&world).await;
    assert_eq!(erase_from(&world, user).await, 0);
    assert!(world.finish(&run).await.complete);
    let summary = |objects| {
        let request = Request {
            whom: Whom::All,
            from: None,
            to: None,
            explain: false,
            ledger_head: None,
            history_start: world.rules.history_start,
            retention_days: None,
            read_at: world.now(),
            location: "./archive".to_owned(),
            program: "copilot-archive".to_owned(),
        };
        let summary = audit(&evidence::Memory { objects }, &request).unwrap().summary;
        (summary.with_open_gap, summary.unavailable)
    };
    let mut objects = world.source().objects;
    assert_eq!(summary(objects.clone()), (1, 0));
    objects.retain(|key, _| !key.starts_with("erased/"));
    assert_eq!(summary(objects), (1, 1), "without the tombstone it would be Graph");
}

/// Not to know who was erased is no leave to read everybody.
#[tokio::test(start_paused = true)]
async fn without_the_list_of_tombstones_nobody_is_read_and_the_batch_comes_again() {
    let mut tenant = tenant();
    let users: Vec<UserId> = (1..=3).map(|n| tenant.add_licensed(n)).collect();
    for user in &users {
        tenant.add_items(*user, 5, ago(hours(3)), hours(1));
    }
    let mut world = World::new(tenant);
    let run = planned(&world).await;
    let evidence = FaultStore::new(Arc::clone(&world.store) as _);
    evidence.fail_next(Operation::List, "erased/", StoreFault::Denied);
    world.stores.evidence = Arc::new(evidence);
    let before = world.store.objects();
    let batch = world.queue.receive(BATCH).await;
    assert_eq!(batch.len(), users.len());
    let deadline = Deadline::before(world.now() + world.given, world.now());
    let failed = worker::handle(batch.clone(), deadline, &world.worker(0)).await;
    assert_eq!(failed, batch.iter().map(|delivery| delivery.message_id.clone()).collect::<Vec<_>>());
    assert_eq!(world.store.objects(), before);
    assert!(users.iter().all(|user| asked_of(&world, *user) == 0));
    // The messages come again when they are visible, and the list is there.
    assert!(world.finish(&run).await.complete);
    world.expect_truth(users);
}
