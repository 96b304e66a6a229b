//! Reconciles that are killed, and reconciles at once.

use std::time::Duration;

use archive::layout;
use archive::records::{ReceiptLine, SegmentRef};
use domain::{Class, Deadline, Failure, Random, SeededRandom};

use crate::testing::{World, attempt, line, run_file, run_id};
use crate::{Answer, ReconcileError, handle};

const USERS: &str = "users.jsonl.zst";
const REPORT: &str = "report.json";
const LEDGER: &str = "entry-000001.json";
const EXPORTED: Option<Class> = Some(Class::Exported);

/// A world whose three users are all read.
async fn done() -> World {
    let world = World::new(3).await;
    world.receipt(1, &[line(1, 1, EXPORTED), line(2, 1, Some(Class::Empty))]).await;
    world.receipt(1, &[line(3, 2, EXPORTED)]).await;
    world
}

/// A receipt that arrives late: a further attempt that read users 2 and 3 once more.
async fn late(world: &World) {
    let again = |n| ReceiptLine { received: 4, already_held: 4, pages: 1, ..line(n, 7, EXPORTED) };
    world.receipt(1, &[again(2), again(3)]).await;
}

fn on_time() -> Vec<String> {
    vec![layout::receipt(&run_id(), &attempt(1), 1), layout::receipt(&run_id(), &attempt(2), 1)]
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_was_killed_is_finished_by_the_next() {
    for killed_at in [USERS, REPORT, LEDGER] {
        let world = done().await;
        let error = world.busy(None, Some(killed_at)).reconcile().await.unwrap_err();
        assert!(matches!(error, ReconcileError::Archive(_)));
        assert_eq!(world.ledger().await, []);
        // The one that names no run finds it too, whatever lies there already.
        let all = handle(b"{}", Deadline::never(), &world.deps).await.unwrap();
        assert!(matches!(all, Answer::All { runs } if matches!(&runs[..], [Answer::Closed(_)])), "{killed_at}");
        assert!(world.closed().await.report.complete, "{killed_at}");
        assert_eq!(world.one_sound_entry().await, on_time(), "{killed_at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_arrives_after_the_users_file_is_late() {
    for killed_at in [REPORT, LEDGER] {
        let world = done().await;
        world.busy(None, Some(killed_at)).reconcile().await.unwrap_err();
        late(&world).await;
        let closed = world.closed().await;
        assert_eq!(world.one_sound_entry().await, on_time(), "{killed_at}");
        assert_eq!((closed.report.interactions.received, closed.report.complete), (0, true), "{killed_at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_arrives_before_the_users_file_counts() {
    let world = done().await;
    world.busy(None, Some(USERS)).reconcile().await.unwrap_err();
    late(&world).await;
    assert_eq!(world.closed().await.report.interactions.received, 8);
    assert_eq!(world.one_sound_entry().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_close_was_begun_is_not_sent_again() {
    let world = World::new(2).await;
    world.receipt(1, &[line(1, 1, EXPORTED)]).await;
    world.clock.sleep_until(run_file(2).deadline).await;
    world.busy(None, Some(REPORT)).reconcile().await.unwrap_err();
    assert_eq!(crate::resend_missing(&run_id(), &world.deps).await.unwrap(), 0);
    world.receipt(1, &[line(2, 2, EXPORTED)]).await;
    let closed = world.closed().await;
    assert_eq!((closed.report.users.missing, closed.report.complete), (1, false));
    assert_eq!(world.one_sound_entry().await, [layout::receipt(&run_id(), &attempt(1), 1)]);
}

#[tokio::test(start_paused = true)]
async fn of_two_reconciles_at_once_one_makes_the_entry_and_both_answer_it() {
    for overtaken_at in [USERS, REPORT, LEDGER] {
        for receipt_between in [false, true] {
            let world = done().await;
            let other = world.clone();
            let overtakes = Box::new(move || {
                Box::pin(async move {
                    if receipt_between {
                        late(&other).await;
                    }
                    other.clock.sleep(Duration::from_secs(5)).await;
                    assert!(other.closed().await.report.complete);
                }) as std::pin::Pin<Box<dyn Future<Output = ()> + Send>>
            });
            let overtaken = world.busy(Some((overtaken_at, overtakes)), None).closed().await;
            assert_eq!(overtaken, world.closed().await, "{overtaken_at}");
            // Who puts the users file decides which receipts count.
            let late_counts = receipt_between && overtaken_at == USERS;
            assert_eq!(world.one_sound_entry().await.len(), if late_counts { 3 } else { 2 }, "{overtaken_at}");
            assert_eq!(overtaken.report.interactions.received, if late_counts { 8 } else { 0 }, "{overtaken_at}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_users_file_that_no_receipts_explain_closes_incomplete() {
    let world = done().await;
    world.busy(None, Some(REPORT)).reconcile().await.unwrap_err();
    world.store.remove(&on_time()[0]);
    let closed = world.closed().await;
    assert!(!closed.report.complete);
    assert_eq!(world.ledger().await.len(), 1);
}

async fn give_way(times: u64) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn in_whatever_order_things_happen_there_is_one_sound_entry() {
    for seed in 0..100 {
        let dice = SeededRandom::new(seed);
        let world = World::new(4).await;
        let segments = world.segments(1, 1, &[r#"{"createdDateTime":"2026-11-01T00:00:00Z"}"#]).await;
        let new = ReceiptLine { received: 1, new: 1, segments: segments.clone(), ..line(1, 1, EXPORTED) };
        world.receipt(1, &[new, line(2, 1, Some(Class::Failed(Failure::ServerError)))]).await;
        world.receipt(1, &[line(3, 2, EXPORTED), line(4, 2, Some(Class::Empty))]).await;
        world.clock.sleep_until(run_file(4).deadline).await;

        let adopted: Vec<SegmentRef> =
            segments.into_iter().map(|segment| SegmentRef { adopted: true, ..segment }).collect();
        let redelivered = ReceiptLine { segments: adopted.clone(), ..line(1, 3, EXPORTED) };
        let reread = ReceiptLine { received: 1, already_held: 1, segments: adopted, ..line(1, 4, EXPORTED) };
        let receipts = [
            vec![redelivered],
            vec![reread, line(2, 4, EXPORTED)],
            vec![ReceiptLine { received: 2, already_held: 2, ..line(3, 5, EXPORTED) }, line(4, 5, Some(Class::Empty))],
        ];
        let mut tasks = tokio::task::JoinSet::new();
        // Three reconciles, begun at some time, of which the first two may be killed somewhere.
        for n in 0..3 {
            let killed_at = [None, Some(REPORT), Some(LEDGER)][dice.below(if n < 2 { 3 } else { 1 }) as usize];
            let (slow, begins) = (world.slow(seed * 3 + n, killed_at), dice.below(100));
            tasks.spawn(async move {
                give_way(begins).await;
                _ = slow.reconcile().await;
            });
        }
        let (arrives, pause) = (world.clone(), dice.below(60));
        tasks.spawn(async move {
            for lines in receipts {
                give_way(pause).await;
                arrives.receipt(1, &lines).await;
            }
        });
        tasks.join_all().await;
        world.one_sound_entry().await;
    }
}
