//! Runs that cannot be closed at once.

use std::sync::Arc;
use std::time::Duration;

use archive::layout;
use archive::memory::MemoryStore;
use archive::records::{ReceiptLine, RunFile};
use domain::{Chain, Class, Deadline, Failure, Kind, Message, RunId};
use jiff::SignedDuration;
use queue::{Depth, Outgoing, Queue, QueueError};

use crate::testing::{World, line, roster_line, run_file, run_id, stores, user};
use crate::{Answer, ReconcileError, handle, resend_missing};

const FAILED: Class = Class::Failed(Failure::ServerError);

/// A world of three users of whom the third left no receipt.
async fn one_missing() -> World {
    let world = World::new(3).await;
    world.receipt(1, &[line(1, 1, Some(Class::Exported)), line(2, 1, Some(Class::Empty))]).await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_run_waits_while_its_messages_are_in_the_queue() {
    let world = one_missing().await;
    let before = world.clock.now();
    world.send("any").await;
    assert_eq!(world.waiting().await, 1);
    world.queue.receive(1).await;
    assert_eq!(world.waiting().await, 1, "in flight");
    assert_eq!(world.clock.now(), before, "one reading was enough");
    assert_eq!(world.ledger().await, []);
}

#[tokio::test(start_paused = true)]
async fn an_open_run_answers_what_it_waits_for() {
    let world = one_missing().await;
    world.send("any").await;
    let answer = serde_json::to_string(&world.reconcile().await.unwrap()).unwrap();
    assert_eq!(answer, r#"{"run_id":"20261124T030000Z","state":"open","waiting":1}"#);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_was_quiet_only_once_is_not_quiet() {
    let world = one_missing().await;
    let sends = async {
        world.clock.sleep(Duration::from_secs(30)).await;
        world.send("any").await;
    };
    let (waiting, ()) = tokio::join!(world.waiting(), sends);
    assert_eq!(waiting, 1);
    assert_eq!(world.queue.receive(10).await.len(), 1, "nothing was sent by reconcile");
}

#[tokio::test(start_paused = true)]
async fn without_time_for_two_readings_a_run_stays_open() {
    let world = one_missing().await;
    let before = world.clock.now();
    let deadline = Deadline::at(before + SignedDuration::from_secs(60));
    let answer = handle(br#"{"runId":"20261124T030000Z"}"#, deadline, &world.deps).await.unwrap();
    assert!(matches!(answer, Answer::Open(open) if open.waiting == 1));
    assert_eq!(world.clock.now(), before);
    assert_eq!(world.drain().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_user_without_a_class_is_sent_three_times_then_the_run_closes_incomplete() {
    let world = one_missing().await;
    let expected =
        Message { run_id: run_id(), user_id: user(3), from: None, to: run_file(3).to, not_after: None, hops: 0 };
    for round in 1..=3 {
        assert_eq!(world.waiting().await, 1, "{round}");
        assert_eq!(world.drain().await, std::slice::from_ref(&expected), "{round}");
    }
    let closed = world.closed().await;
    assert_eq!(world.drain().await, []);
    assert!(!closed.report.complete);
    assert_eq!(closed.report.users.missing, 1);
}

#[tokio::test(start_paused = true)]
async fn a_user_who_is_read_after_being_sent_again_completes_the_run() {
    let world = one_missing().await;
    assert_eq!(world.waiting().await, 1);
    world.drain().await;
    world.receipt(1, &[line(3, 2, Some(Class::Exported))]).await;
    assert!(world.closed().await.report.complete);
}

#[tokio::test(start_paused = true)]
async fn a_user_who_was_only_handed_over_has_no_class() {
    let world = World::new(1).await;
    world.receipt(1, &[line(1, 1, None)]).await;
    assert_eq!(world.waiting().await, 1);
    assert_eq!(world.drain().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_history_run_sends_its_times_along() {
    let mut run = run_file(1);
    (run.kind, run.to, run.not_after) = (Kind::History, None, Some("2026-11-24T09:00:00Z".parse().unwrap()));
    let not_after = run.not_after;
    let world = World::with(run, &[roster_line(1, None)]).await;
    assert_eq!(world.waiting().await, 1);
    let sent = world.drain().await;
    assert_eq!((sent[0].from, sent[0].to, sent[0].not_after), (None, None, not_after));
}

#[tokio::test(start_paused = true)]
async fn a_receipt_written_while_the_queue_was_watched_counts() {
    let world = one_missing().await;
    let writes = async {
        world.clock.sleep(Duration::from_secs(30)).await;
        world.receipt(1, &[line(3, 2, Some(Class::Exported))]).await;
    };
    let (closed, ()) = tokio::join!(world.closed(), writes);
    assert!(closed.report.complete);
    assert_eq!(world.drain().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_user_who_failed_is_waited_for_and_not_sent_again() {
    let world = World::new(2).await;
    world.receipt(1, &[line(1, 1, Some(Class::Exported)), line(2, 1, Some(FAILED))]).await;
    world.send("any").await;
    assert_eq!(world.waiting().await, 1, "a message of the user may still be there");
    let delivered = world.queue.receive(1).await;
    world.queue.delete(vec![delivered[0].receipt_handle.clone()]).await.unwrap();
    let closed = world.closed().await;
    assert_eq!(world.drain().await, []);
    assert_eq!((closed.report.users.failed, closed.report.complete), (1, false));
}

#[tokio::test(start_paused = true)]
async fn beside_one_without_a_class_a_user_who_failed_is_not_sent_again() {
    let world = World::new(2).await;
    world.receipt(1, &[line(1, 1, Some(FAILED))]).await;
    assert_eq!(world.waiting().await, 2);
    let sent = world.drain().await;
    assert_eq!(sent.iter().map(|message| message.user_id).collect::<Vec<_>>(), [user(2)]);
}

#[tokio::test(start_paused = true)]
async fn at_its_deadline_a_run_closes_incomplete_whatever_is_in_the_queue() {
    let world = one_missing().await;
    world.send("any").await;
    world.clock.sleep_until(run_file(3).deadline - SignedDuration::from_secs(1)).await;
    assert_eq!(world.waiting().await, 1);
    world.clock.sleep_until(run_file(3).deadline).await;
    let closed = world.closed().await;
    assert_eq!((closed.report.users.missing, closed.report.complete), (1, false));
}

#[tokio::test(start_paused = true)]
async fn a_lost_or_foreign_state_costs_only_more_rounds() {
    let world = one_missing().await;
    let key = layout::run_state(world.archive.tenant(), &run_id());
    for spoil in [
        "",
        "{",
        r#"{"format":1,"archive_id":"00000000-0000-0000-0000-000000000000","run_id":"20261124T030000Z","rounds":3}"#,
    ] {
        assert_eq!(world.waiting().await, 1);
        assert_eq!(world.drain().await.len(), 1);
        match spoil {
            "" => world.store.remove(&key),
            text => world.store.overwrite(&key, text.as_bytes().to_vec()),
        }
    }
    for _ in 0..3 {
        assert_eq!(world.waiting().await, 1);
        assert_eq!(world.drain().await.len(), 1);
    }
    assert!(!world.closed().await.report.complete);
}

/// A queue that takes ten minutes to say how deep it is.
#[derive(Debug)]
struct Slow(World);

#[async_trait::async_trait]
impl Queue for Slow {
    async fn send(&self, messages: Vec<Outgoing>) -> Result<(), QueueError> {
        self.0.queue.send(messages).await
    }

    async fn delete(&self, receipt_handles: Vec<String>) -> Result<(), QueueError> {
        self.0.queue.delete(receipt_handles).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.0.clock.sleep(Duration::from_secs(600)).await;
        self.0.queue.depth().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_round_that_time_cut_short_is_not_counted() {
    let world = one_missing().await;
    let mut slow = world.clone();
    slow.deps.queue = Arc::new(Slow(world.clone()));
    assert_eq!(slow.waiting().await, 1);
    assert_eq!(world.drain().await, []);
    for _ in 0..3 {
        assert_eq!(world.waiting().await, 1);
        assert_eq!(world.drain().await.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_local_program_sends_again_without_counting() {
    let world = one_missing().await;
    for _ in 0..5 {
        assert_eq!(resend_missing(&run_id(), &world.deps).await.unwrap(), 1);
        assert_eq!(world.drain().await[0].user_id, user(3));
    }
    for _ in 0..3 {
        assert_eq!(world.waiting().await, 1);
        world.drain().await;
    }
    world.closed().await;
    assert_eq!(resend_missing(&run_id(), &world.deps).await.unwrap(), 0);
    assert_eq!(world.drain().await, []);
}

#[tokio::test(start_paused = true)]
async fn all_open_runs_share_the_two_readings() {
    let world = one_missing().await;
    for id in ["b", "c", "d"] {
        let run = RunFile { run_id: id.parse().unwrap(), ..run_file(1) };
        world.plan(run, &[roster_line(1, None)]).await;
    }
    let closes = ReceiptLine { run_id: "c".parse().unwrap(), ..line(1, 9, Some(Class::Exported)) };
    world.receipt(1, &[closes]).await;
    // A roster alone: fan-out was stopped before run.json.
    world.archive.put_roster(&"e".parse().unwrap(), &[roster_line(1, None)]).await.unwrap();

    let before = world.clock.now();
    let never = Deadline::never();
    let answer = serde_json::to_value(handle(b"{}", never, &world.deps).await.unwrap()).unwrap();
    assert_eq!(world.clock.now(), before + SignedDuration::from_secs(60));
    let runs: Vec<(&str, Option<&str>)> = answer["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| (run["run_id"].as_str().unwrap(), run["state"].as_str()))
        .collect();
    assert_eq!(runs, [("20261124T030000Z", Some("open")), ("b", Some("open")), ("c", None), ("d", Some("open"))]);
    let sent: Vec<RunId> = world.drain().await.into_iter().map(|message| message.run_id).collect();
    assert_eq!(sent.len(), 3);

    let answer = serde_json::to_value(handle(b"{}", never, &world.deps).await.unwrap()).unwrap();
    assert_eq!(answer["runs"].as_array().unwrap().len(), 3, "the closed run is not asked about again");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_does_not_keep_others_open() {
    let world = World::new(1).await;
    let run = RunFile { run_id: "z".parse().unwrap(), ..run_file(1) };
    world.plan(run, &[roster_line(1, None)]).await;
    world.store.remove(&layout::roster(&run_id()));
    let closes = ReceiptLine { run_id: "z".parse().unwrap(), ..line(1, 9, Some(Class::Exported)) };
    world.receipt(1, &[closes]).await;
    let error = handle(b"{}", Deadline::never(), &world.deps).await.unwrap_err();
    assert!(matches!(error, ReconcileError::Gone { file: "roster.jsonl.zst", .. }), "{error}");
    assert_eq!(world.ledger().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_told() {
    let world = World::new(1).await;
    let deadline = Deadline::never();
    let error = handle(br#"{"runId":"other"}"#, deadline, &world.deps).await.unwrap_err();
    assert_eq!(error.error_type(), "UnknownRun");
    let error = handle(br#"{"run":"other"}"#, deadline, &world.deps).await.unwrap_err();
    assert_eq!(error.error_type(), "InvalidPayload");
    assert!(error.to_string().contains("run is no field"), "{error}");

    let mut deps = world.deps.clone();
    deps.stores = stores(&Arc::new(MemoryStore::new()));
    assert_eq!(handle(b"{}", deadline, &deps).await.unwrap(), Answer::All { runs: Vec::new() });
    assert!(matches!(handle(br#"{"runId":"x"}"#, deadline, &deps).await, Err(ReconcileError::UnknownRun(_))));
}

/// Closes so many runs of one day each, a day apart, after the world's own; the archive then keeps twenty days.
async fn many_days(world: &mut World, days: u8) -> Vec<RunId> {
    let mut runs = vec![run_id()];
    world.receipt(1, &[line(1, 1, Some(Class::Exported))]).await;
    world.closed().await;
    for day in 2..=days {
        world.clock.sleep(Duration::from_secs(24 * 3600)).await;
        let run: RunId = format!("day-{day}").parse().unwrap();
        let started_at = world.clock.now();
        let deadline = started_at + SignedDuration::from_hours(23);
        let file = RunFile { run_id: run.clone(), started_at, deadline, ..run_file(1) };
        world.plan(file, &[roster_line(1, None)]).await;
        world.receipt(1, &[ReceiptLine { run_id: run.clone(), ..line(1, day, Some(Class::Empty)) }]).await;
        handle(format!(r#"{{"runId":"{run}"}}"#).as_bytes(), Deadline::never(), &world.deps).await.unwrap();
        runs.push(run);
    }
    world.deps.rules.retention = Some(SignedDuration::from_hours(20 * 24));
    runs
}

async fn all_open(world: &World) -> usize {
    let answer = handle(b"{}", Deadline::never(), &world.deps).await.unwrap();
    let Answer::All { runs } = answer else { panic!("{answer:?}") };
    runs.len()
}

#[tokio::test(start_paused = true)]
async fn runs_whose_files_have_expired_are_over_and_cost_a_few_reads() {
    let mut world = World::new(1).await;
    let runs = many_days(&mut world, 40).await;
    for run in &runs[..18] {
        for key in world.archive.list(&format!("runs/{run}/")).await.unwrap() {
            world.store.remove(&key);
        }
    }
    let counted = archive::faults::FaultStore::new(stores(&world.store).evidence);
    let counted = Arc::new(counted);
    world.deps.stores = stores(&counted);
    assert_eq!(all_open(&world).await, 0);
    // archive.json, and the ledger halved until the first run is found that has its files.
    assert!(counted.operations().gets <= 1 + u64::from(runs.len().ilog2()) + 1, "{:?}", counted.operations());

    // Objects expire in any order: whichever file is left of an old run, it is no open one.
    let (old, young) = (&runs[18], &runs[19]);
    let files = world.archive.list(&format!("runs/{old}/")).await.unwrap();
    for left in &files {
        let stored: Vec<_> = world.store.objects().into_iter().filter(|(key, _)| files.contains(key)).collect();
        files.iter().filter(|key| *key != left).for_each(|key| world.store.remove(key));
        assert_eq!(all_open(&world).await, 0, "{left}");
        stored.into_iter().for_each(|(key, bytes)| world.store.overwrite(&key, bytes));
    }
    world.store.remove(&layout::report(old));
    let asked = |run: &RunId| format!(r#"{{"runId":"{run}"}}"#);
    let error = handle(asked(old).as_bytes(), Deadline::never(), &world.deps).await.unwrap_err();
    assert!(matches!(error, ReconcileError::Expired(_)), "{error}");
    // Of a run that is kept a missing report is damage, as ever.
    world.store.remove(&layout::report(young));
    let error = handle(asked(young).as_bytes(), Deadline::never(), &world.deps).await.unwrap_err();
    assert!(matches!(error, ReconcileError::Gone { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_run_stopped_before_its_entry_is_found_beside_expired_ones() {
    let mut world = World::new(1).await;
    let runs = many_days(&mut world, 30).await;
    for run in &runs[..9] {
        for key in world.archive.list(&format!("runs/{run}/")).await.unwrap() {
            world.store.remove(&key);
        }
    }
    // As a reconcile leaves it that was killed between the report and the entry.
    let entry = layout::ledger_entry(world.archive.tenant(), 30);
    world.store.remove(&entry);
    assert_eq!(all_open(&world).await, 1);
    assert_eq!(world.archive.closed(&runs[29]).await.unwrap().map(|head| head.n), Some(30));
    // One that is older than what is kept is never closed any more.
    world.store.remove(&entry);
    world.clock.sleep(Duration::from_secs(21 * 24 * 3600)).await;
    assert_eq!(all_open(&world).await, 0);
    assert_eq!(world.archive.closed(&runs[29]).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_be_read_stops_no_other_where_runs_expire() {
    let mut world = World::new(1).await;
    world.deps.rules.retention = Some(SignedDuration::from_hours(20 * 24));
    let unreadable: RunId = "a-first".parse().unwrap();
    world.plan(RunFile { run_id: unreadable.clone(), ..run_file(1) }, &[roster_line(1, None)]).await;
    world.receipt(1, &[line(1, 1, Some(Class::Exported))]).await;
    for (n, bytes) in ["{", r#"{"format":2}"#].into_iter().enumerate() {
        let key = layout::run_file(&unreadable);
        world.store.overwrite(&key, bytes);
        let error = handle(b"{}", Deadline::never(), &world.deps).await.unwrap_err();
        assert!(format!("{:?}", Chain(&error)).contains("a-first"), "{error:?}");
        assert_eq!(
            world.ledger().await.iter().map(|entry| entry.run_id.clone()).collect::<Vec<_>>(),
            [run_id()],
            "{n}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_expired_reports_as_runs_without_an_entry_hide_none() {
    let mut world = World::new(1).await;
    let runs = many_days(&mut world, 30).await;
    for run in &runs[..1] {
        for key in world.archive.list(&format!("runs/{run}/")).await.unwrap() {
            world.store.remove(&key);
        }
    }
    world.store.remove(&layout::ledger_entry(world.archive.tenant(), 30));
    assert_eq!(all_open(&world).await, 1);
    assert_eq!(world.ledger().await[29].run_id, runs[29]);
}
