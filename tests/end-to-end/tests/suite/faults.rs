//! What goes wrong on the way: interrupted work, lost messages, bad pages, users that always fail.

use std::sync::Arc;
use std::time::Duration;

use archive::faults::{FaultStore, Operation};
use domain::{Class, Kind, Message, RunId, Timestamp, UserId};
use end_to_end::{BATCH, FIFTEEN_MINUTES, World};
use graph_simulator::{Fault, Item, RequestKind, Rule, Switches, User, UserState, numbered};
use jiff::SignedDuration;
use queue::{Delivery, Outgoing, Queue};

use super::{ago, hours, item, now, one_user, tenant};

fn daily_run(at: Timestamp) -> RunId {
    RunId::scheduled(at, Kind::Daily)
}

fn slow(millis: u64) -> Switches {
    Switches { latency_ms: millis, ..Switches::default() }
}

#[tokio::test(start_paused = true)]
async fn a_user_whose_window_needs_three_invocations_is_covered() {
    let mut tenant = tenant();
    let user = tenant.add_licensed(1);
    tenant.add_items(user, 7_000, ago(hours(3)), SignedDuration::from_secs(30));
    let mut world = World::with(tenant, slow(1_000));
    world.given = Duration::from_secs(40);
    let at = world.seconds();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
    let mut invocations = 0;
    loop {
        let batch = world.queue.receive(BATCH).await;
        if batch.is_empty() {
            break;
        }
        world.invoke(0, batch).await;
        invocations += 1;
        assert!(invocations < 40);
    }
    assert!(invocations >= 3, "{invocations}");
    let report = world.finish(&daily_run(at)).await;
    assert!(report.complete, "{report:#?}");
    let line = world.line(&report.run_id, user).await;
    assert_eq!((line.covered_from, line.covered_to), (Some(ago(hours(74))), Some(ago(hours(2)))));
    world.expect_truth([user]);
    assert!(world.queue.dead_letters().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_that_is_lost_leaves_its_user_missing_who_is_then_sent_again() {
    let mut tenant = tenant();
    let user = tenant.add_licensed(1);
    tenant.add_items(user, 7_000, ago(hours(3)), SignedDuration::from_secs(30));
    let mut world = World::with(tenant, slow(1_000));
    world.given = Duration::from_secs(40);
    let at = world.seconds();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
    world.invoke(0, world.queue.receive(BATCH).await).await;
    let handed_over = world.queue.receive(BATCH).await;
    assert_eq!(handed_over.len(), 1);
    world.queue.delete(vec![handed_over[0].receipt_handle.clone()]).await.unwrap();

    let open = world.reconcile(&format!(r#"{{"runId":"{}"}}"#, daily_run(at))).await;
    assert_eq!(open["state"], "open", "{open}");
    assert_eq!(world.queue.depth().await.unwrap().visible, 1, "sent again");
    let report = world.finish(&daily_run(at)).await;
    assert!(report.complete, "{report:#?}");
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn a_permanently_bad_page_fails_its_second_and_nothing_newer() {
    let mut tenant = tenant();
    let user = tenant.add_licensed(1);
    tenant.add_items(user, 300, ago(hours(3)), SignedDuration::from_secs(600));
    let bad = item(user, 5_000, ago(hours(30) + SignedDuration::from_secs(300)));
    let marked = bad.text.replace("\"etag\"", "\"poison\":1,\"etag\"");
    assert!(tenant.add_item(user, Item::new(marked, bad.created)));
    let everything = tenant.truth(user).len();
    let rule = Rule::always(Fault::Garbage).containing("\"poison\":1");
    let world = World::with(tenant, Switches { rules: vec![rule], ..Switches::default() });
    let at = world.seconds();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
    let report = world.finish(&daily_run(at)).await;
    assert_eq!((report.complete, report.users.failed), (false, 1));
    assert!(report.quarantined_pages > 0);
    let line = world.line(&report.run_id, user).await;
    assert_eq!(line.class.unwrap().reason(), Some("bad-page"));
    let covered_to = line.covered_to.unwrap();
    assert!(covered_to < bad.created && covered_to > bad.created - SignedDuration::from_secs(5), "{covered_to}");
    assert_eq!(world.held(user), everything - 1, "what is newer is archived");
    world.verify();

    // Graph is mended: the next run reads what was missing, and coverage closes.
    world.simulator.change(|switches| switches.rules.clear());
    world.pass(hours(24)).await;
    let healed = world.daily().await;
    assert!(healed.complete);
    assert_eq!(world.line(&healed.run_id, user).await.covered_to, Some(world.seconds() - hours(2)));
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn a_user_that_always_fails_stands_alone_in_the_dead_letters_and_others_are_done() {
    let mut tenant = tenant();
    let users: Vec<_> = (1..=40).map(|number| tenant.add_licensed(number)).collect();
    for user in &users {
        tenant.add_items(*user, 5, ago(hours(3)), hours(1));
    }
    let rule = Rule::always(Fault::Status(500)).user(users[13]);
    let world = World::with(tenant, Switches { rules: vec![rule], ..Switches::default() });
    let at = world.seconds();
    let report = world.daily().await;
    assert_eq!((report.users.exported, report.users.failed, report.users.missing), (39, 1, 0));
    assert!(!report.complete);
    let dead = world.queue.dead_letters();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].body.contains(&users[13].to_string()));
    world.expect_truth(users.iter().copied().filter(|user| *user != users[13]));

    // A week later somebody mends it and redrives the dead letter: its window is still the right one.
    world.simulator.change(|switches| switches.rules.clear());
    world.pass(hours(7 * 24)).await;
    assert_eq!(world.queue.redrive(), 1);
    world.drain().await;
    world.expect_truth(users.iter().copied());
    let late = world.archive().await.receipts(&daily_run(at)).await.unwrap();
    assert!(late.iter().flat_map(|(_, lines)| lines).any(|line| line.user_id == users[13] && line.new == 5));
    assert_eq!(world.archive().await.ledger().await.unwrap().len(), 1, "the run stays closed");
}

/// Hand-overs in a row after which a user without a finished piece has failed, as the contract of the queue has it.
const HAND_OVERS: u32 = 16;

#[tokio::test(start_paused = true)]
async fn a_user_handed_over_sixteen_times_without_progress_fails() {
    // One whose first page never comes in time, and one whom nobody has the time to begin with.
    let (slow, prompt) = (Fault::Slow { millis: 50_000 }, Fault::Slow { millis: 0 });
    for (fault, given, asked) in [(slow, Duration::from_secs(10), true), (prompt, Duration::from_secs(1), false)] {
        let (tenant, user) = one_user(3);
        let rules = vec![Rule::always(fault).user(user)];
        let mut world = World::with(tenant, Switches { rules, ..Switches::default() });
        world.given = given;
        let at = world.seconds();
        world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
        let mut last = String::new();
        for hops in 0..HAND_OVERS {
            let batch = world.queue.receive(BATCH).await;
            let [only] = &batch[..] else { panic!("{batch:?}") };
            assert_eq!((Message::from_body(&only.body).unwrap().hops, only.receive_count), (hops, 1), "{given:?}");
            last.clone_from(&only.body);
            world.invoke(0, batch).await;
        }
        assert!(world.queue.receive(BATCH).await.is_empty(), "it went back, and was not handed over again");

        let report = world.finish(&daily_run(at)).await;
        assert_eq!((report.complete, report.users.failed), (false, 1), "{report:#?}");
        let line = world.line(&report.run_id, user).await;
        assert_eq!(line.class.unwrap().reason(), Some("no-progress"));
        assert_eq!((line.covered_to, world.held(user)), (None, 0), "nothing was read, so nothing is covered");
        assert_eq!(world.simulator.ledger().interactions().next().is_some(), asked);
        let dead: Vec<String> = world.queue.dead_letters().into_iter().map(|letter| letter.body).collect();
        assert_eq!(dead, [last]);

        // Redriven when Graph is itself again and there is time, it is read.
        world.simulator.change(|switches| switches.rules.clear());
        world.given = FIFTEEN_MINUTES;
        assert_eq!(world.queue.redrive(), 1);
        world.drain().await;
        world.expect_truth([user]);
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_cannot_be_read_go_to_the_dead_letters_alone() {
    let (tenant, user) = one_user(10);
    let world = World::new(tenant);
    let at = world.seconds();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
    let version_2 = format!(r#"{{"v":2,"run_id":"x","user_id":"{user}"}}"#);
    let unknown_run = format!(
        r#"{{"v":1,"run_id":"nowhere","user_id":"{user}","from":null,"to":"2026-11-24T00:00:00Z","not_after":null,"hops":0}}"#
    );
    let bodies = ["not json", &version_2, &unknown_run];
    let messages = bodies.iter().map(|body| queue::Outgoing { body: (*body).to_owned(), delay: Duration::ZERO });
    world.queue.send(messages.collect()).await.unwrap();
    let report = world.finish(&daily_run(at)).await;
    assert!(report.complete);
    let mut dead: Vec<String> = world.queue.dead_letters().into_iter().map(|letter| letter.body).collect();
    dead.sort();
    let mut expected = bodies.map(str::to_owned);
    expected.sort();
    assert_eq!(dead, expected);
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn what_graph_says_of_a_user_is_the_users_class() {
    let mut tenant = tenant();
    let read = tenant.add_licensed(1);
    tenant.add_items(read, 3, ago(hours(3)), hours(1));
    tenant.add_licensed(2);
    let licence = tenant.licence();
    for (number, state) in [(3, UserState::NoHistory), (4, UserState::LicenceNotSeen), (5, UserState::Refused)] {
        let mut user = User::new(numbered(number));
        user.licences.push(licence.clone());
        user.state = state;
        tenant.add_user(user);
    }
    let world = World::new(tenant);
    let report = world.daily().await;
    assert_eq!((report.users.exported, report.users.empty, report.complete), (1, 1, true));
    let unavailable: Vec<_> = report.users.unavailable.iter().map(|(reason, n)| (reason.as_str(), *n)).collect();
    assert_eq!(unavailable.iter().map(|(_, n)| n).sum::<u64>(), 3, "{unavailable:?}");
    assert!(unavailable.contains(&("no-licence", 1)) && unavailable.contains(&("refused", 1)), "{unavailable:?}");
    world.verify();
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_refuses_everybody_is_no_tenant_without_licences() {
    let mut tenant = tenant();
    let users: Vec<_> = (1..=60).map(|number| tenant.add_licensed(number)).collect();
    for user in &users {
        tenant.add_items(*user, 2, ago(hours(3)), hours(1));
    }
    let mut switches = Switches::default();
    switches.refuse_everybody();
    let world = World::with(tenant, switches);
    let report = world.daily().await;
    assert_eq!((report.complete, report.users.failed), (false, 60), "{report:#?}");
    let line = world.line(&report.run_id, users[0]).await;
    assert_eq!(line.class.unwrap().reason(), Some("tenant-refused"));
    assert_eq!(line.covered_to, None);
}

#[tokio::test(start_paused = true)]
async fn a_licence_lost_between_two_pages_is_unavailable_and_what_was_shown_is_kept() {
    let (mut tenant, user) = one_user(0);
    tenant.add_items(user, 250, ago(hours(3)), SignedDuration::from_secs(60));
    let mut switches = Switches::default();
    switches.lose_licence_after(user, 1);
    let world = World::with(tenant, switches);
    let report = world.daily().await;
    assert_eq!(report.users.unavailable.get("no-licence"), Some(&1));
    let line = world.line(&report.run_id, user).await;
    assert_eq!((line.covered_to, line.windows.len(), line.new), (None, 0, 100));
    world.verify();
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_refuses_the_date_filter_is_read_without_it() {
    let (tenant, user) = one_user(950);
    let mut world = World::with(tenant, Switches { date_filter: false, ..Switches::default() });
    world.share(1, |config| config.date_filter = false);
    let report = world.daily().await;
    assert!(report.complete, "{report:#?}");
    let line = world.line(&report.run_id, user).await;
    assert_eq!((line.received, line.windows.len()), (950, 1));
    world.expect_truth([user]);
    world.pass(hours(24)).await;
    assert_eq!(world.daily().await.interactions.new, 0);
}

#[tokio::test(start_paused = true)]
async fn transient_faults_lose_nothing_and_fail_nobody() {
    let faults = [
        Fault::Reset,
        Fault::ResetWithinBody,
        Fault::Truncate,
        Fault::BadGateway,
        Fault::Status(503),
        Fault::InvalidS2s,
        Fault::TokenExpired,
        Fault::Garbage,
    ];
    for fault in faults {
        let mut tenant = tenant();
        let users: Vec<_> = (1..=6).map(|number| tenant.add_licensed(number)).collect();
        for user in &users {
            tenant.add_items(*user, 130, ago(hours(3)), SignedDuration::from_secs(300));
        }
        let rule = Rule::always(fault.clone()).every(4);
        let world = World::with(tenant, Switches { rules: vec![rule], ..Switches::default() });
        let report = world.daily().await;
        assert!(report.complete, "{fault:?}: {report:#?}");
        world.expect_truth(users);
    }
}

#[tokio::test(start_paused = true)]
async fn links_that_lead_nowhere_good_fail_the_user_and_are_not_followed() {
    let faults = [
        (Fault::ForeignLink("evil.example".to_owned()), "foreign-link"),
        (Fault::LinkToSelf, "link-loop"),
        (Fault::LinkToFirst, "link-loop"),
    ];
    for (fault, reason) in faults {
        let (tenant, user) = one_user(30);
        let world = World::with(tenant, Switches { rules: vec![Rule::always(fault.clone())], ..Switches::default() });
        let report = world.daily().await;
        assert_eq!((report.users.failed, report.complete), (1, false), "{fault:?}");
        let class = world.line(&report.run_id, user).await.class.unwrap();
        let failure = class.reason().unwrap();
        assert!(failure == reason || failure == "given-up", "{fault:?}: {failure}");
        assert_eq!(world.line(&report.run_id, user).await.covered_to, None);
    }
}

#[tokio::test(start_paused = true)]
async fn pages_without_end_are_a_failure() {
    let (tenant, user) = one_user(30);
    let rules = vec![Rule::always(Fault::EndlessLinks).user(user)];
    let world = World::with(tenant, Switches { rules, quota: unlimited(), ..Switches::default() });
    let report = world.daily().await;
    assert_eq!((report.users.failed, report.complete), (1, false));
    assert!(world.simulator.ledger().statuses(RequestKind::Interactions).values().sum::<usize>() < 60_000);
}

fn unlimited() -> graph_simulator::Quota {
    graph_simulator::Quota { enforced: false, ..graph_simulator::Quota::default() }
}

#[tokio::test(start_paused = true)]
async fn two_workers_on_one_user_archive_each_item_once() {
    let (tenant, user) = one_user(400);
    let mut world = World::new(tenant);
    world.share(2, |_| {});
    let at = world.seconds();
    let payload = format!(r#"{{"scheduledTime":"{at}"}}"#);
    world.fan_out(&payload).await.unwrap();
    let first = world.queue.receive(BATCH).await;
    world.fan_out(&payload).await.unwrap();
    let second = world.queue.receive(BATCH).await;
    assert_eq!((first.len(), second.len()), (1, 1));
    tokio::join!(world.invoke(0, first), world.invoke(1, second));
    let report = world.finish(&daily_run(at)).await;
    assert_eq!((report.complete, report.interactions.new), (true, 72));
    let history = {
        world.pass(hours(1)).await;
        world.history().await
    };
    assert!(history.complete);
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_is_killed_anywhere_is_repeated_and_nothing_is_lost_or_twice() {
    // The handler's future is dropped after ever more time: whatever it had done by then is all that happened.
    for cut in (0..60).map(|step| Duration::from_millis(150 * step)) {
        let mut tenant = tenant();
        let users: Vec<_> = (1..=3).map(|number| tenant.add_licensed(number)).collect();
        for user in &users {
            tenant.add_items(*user, 330, ago(hours(3)), SignedDuration::from_secs(400));
        }
        let world = World::new(tenant);
        let at = now();
        world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
        let batch = world.queue.receive(BATCH).await;
        let killed = tokio::time::timeout(cut, world.invoke(0, batch)).await;
        world.verify();
        let report = world.finish(&daily_run(at)).await;
        assert!(report.complete, "killed after {cut:?} ({killed:?}): {report:#?}");
        world.expect_truth(users);
    }
}

/// Two users in a run, of whom one's messages vanish, and the body of one of them. Reconcile sends them again until it gives up.
async fn one_vanishes(store: &FaultStore, world: &World, lost: UserId) -> String {
    let at = world.seconds();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
    let mut body = None;
    // What closes the run is stopped between the users file and the report.
    store.fail_next(Operation::Put, "/report.json", archive::faults::Fault::Denied);
    for _ in 0..8 {
        let (vanish, reach): (Vec<Delivery>, _) =
            world.queue.receive(BATCH).await.into_iter().partition(|one| one.body.contains(&lost.to_string()));
        world.queue.delete(vanish.iter().map(|one| one.receipt_handle.clone()).collect()).await.unwrap();
        world.invoke(0, reach).await;
        body = vanish.into_iter().next().map(|one| one.body).or(body);
        if world.try_reconcile(&format!(r#"{{"runId":"{}"}}"#, daily_run(at))).await.is_err() {
            return body.unwrap();
        }
    }
    panic!("reconcile does not give up")
}

async fn world_of_two() -> (Arc<FaultStore>, World, [UserId; 2]) {
    let mut tenant = tenant();
    let users = [1, 2].map(|number| tenant.add_licensed(number));
    for user in users {
        tenant.add_items(user, 5, ago(hours(3)), hours(1));
    }
    let mut world = World::new(tenant);
    let store = Arc::new(FaultStore::new(Arc::clone(&world.store) as _));
    world.stores.evidence = Arc::clone(&store) as _;
    (store, world, users)
}

#[tokio::test(start_paused = true)]
async fn a_user_whose_messages_vanish_is_missing_and_the_run_is_not_complete() {
    let (store, world, [read, lost]) = world_of_two().await;
    one_vanishes(&store, &world, lost).await;
    let run = daily_run(world.simulator.tenant().now);
    let report = world.finish(&run).await;
    assert_eq!((report.complete, report.users.exported, report.users.missing), (false, 1, 1), "{report:#?}");
    assert_eq!(world.line(&run, lost).await.class, None);
    world.expect_truth([read]);
    // Who was missed is read by the next run.
    world.pass(hours(24)).await;
    assert!(world.daily().await.complete);
    world.expect_truth([read, lost]);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_comes_after_the_users_file_is_late_and_in_no_number() {
    let (store, world, users) = world_of_two().await;
    let body = one_vanishes(&store, &world, users[1]).await;
    // Now it comes after all: its user is read, before the report and the ledger entry of the run are there.
    world.queue.send(vec![Outgoing { body, delay: Duration::ZERO }]).await.unwrap();
    let run = daily_run(world.simulator.tenant().now);
    let report = world.finish(&run).await;
    world.expect_truth(users);
    let receipts = world.archive().await.receipts(&run).await.unwrap();
    let class = |user| receipts.iter().flat_map(|(_, lines)| lines).find(|line| line.user_id == user).unwrap().class;
    assert_eq!(users.map(class), [Some(Class::Exported); 2], "each has a receipt");
    assert_eq!((report.complete, report.users.exported, report.users.missing), (false, 1, 1), "{report:#?}");
    assert_eq!((report.interactions.new, world.held(users[0])), (5, 5));
    assert_eq!(world.verify().numbers.late_receipts, 1);
}
