//! What a run closes with.

use std::borrow::Cow;

use archive::layout;
use archive::records::{Counts, Exclusion, ReceiptLine, RunFile};
use domain::{Class, Kind, Unavailability};
use serde_json::json;

use crate::testing::{World, at, attempt, line, roster_line, run_file, run_id, window};

#[tokio::test(start_paused = true)]
async fn a_run_of_whom_everybody_is_read_closes_at_once() {
    let world = World::new(3).await;
    let before = world.clock.now();
    world.send("of another run").await;
    let exported = ReceiptLine {
        received: 2,
        already_held: 2,
        windows: vec![window(0, 72)],
        requests: Counts::from([("200".to_owned(), 2), ("429".to_owned(), 1)]),
        retries: 1,
        ..line(1, 1, Some(Class::Exported))
    };
    world.receipt(1, &[exported, line(2, 1, Some(Class::Empty))]).await;
    world.receipt(1, &[line(3, 2, Some(Class::Unavailable(Unavailability::NoHistory)))]).await;
    let closed = world.closed().await;
    assert_eq!(world.clock.now(), before);
    let answer = serde_json::to_value(world.reconcile().await.unwrap()).unwrap();
    assert_eq!(
        answer,
        json!({
            "run_id": "20261124T030000Z",
            "kind": "daily",
            "complete": true,
            "users": {
                "enumerated": 3, "excluded": {}, "planned": 3, "exported": 1, "empty": 1,
                "unavailable": {"no-history": 1}, "deferred": 0, "failed": 0, "missing": 0
            },
            "interactions": {"received": 2, "new": 0, "already_held": 2, "recovered": 0},
            "quarantined_pages": 0,
            "requests": {"sent": 3, "throttled": 1, "retried": 1},
            "attempts_lost": 0,
            "history_remaining": 0,
            "lateness": {},
            "started_at": "2026-11-24T03:00:00Z",
            "closed_at": "2026-11-24T04:00:00Z",
            "ledger": {"n": 1, "sha256": closed.ledger.sha256},
        })
    );
    let ledger = world.archive.ledger().await.unwrap();
    assert_eq!(ledger[0].0, closed.ledger);
    assert_eq!(ledger[0].1.previous, None);
    assert_eq!(ledger[0].1.producer, crate::testing::producer());
    assert_eq!(world.one_sound_entry().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_users_file_has_a_line_for_every_planned_user_in_order() {
    let roster = [
        roster_line(4, None),
        roster_line(2, Some(Exclusion::PlanDisabled)),
        roster_line(1, None),
        roster_line(3, None),
    ];
    let excluded = Counts::from([("plan-disabled".to_owned(), 1)]);
    let world = World::with(RunFile { enumerated: 4, excluded: excluded.clone(), ..run_file(3) }, &roster).await;
    world.receipt(1, &[line(4, 1, Some(Class::Empty)), line(3, 1, Some(Class::Empty))]).await;
    world.clock.sleep_until(run_file(3).deadline).await;
    let closed = world.closed().await;
    let users = world.archive.users(&run_id()).await.unwrap().unwrap();
    let classes: Vec<_> = users.iter().map(|line| (line.user_id.as_bytes()[0], line.class)).collect();
    assert_eq!(classes, [(1, None), (3, Some(Class::Empty)), (4, Some(Class::Empty))]);
    assert_eq!((closed.report.users.enumerated, closed.report.users.excluded), (4, excluded));
    assert_eq!(closed.report.users.missing, 1);
}

#[tokio::test(start_paused = true)]
async fn reasons_of_later_versions_are_counted_and_united_without_being_understood() {
    let on_leave = Exclusion::try_from(Cow::from("on-leave")).unwrap();
    let excluded = Counts::from([("on-leave".to_owned(), 1)]);
    let run_file = RunFile { enumerated: 3, excluded: excluded.clone(), ..run_file(2) };
    let world =
        World::with(run_file, &[roster_line(1, None), roster_line(2, None), roster_line(3, Some(on_leave))]).await;
    let failed = |reason| Class::from_names("failed", Some(reason)).ok();
    world.receipt(1, &[line(1, 1, failed("tape-full")), line(2, 1, failed("tape-full"))]).await;
    world.receipt(2, &[line(1, 2, failed("tape-cut")), line(2, 2, failed("storage"))]).await;
    world.clock.sleep_until("2026-11-25T02:00:00Z".parse().unwrap()).await;
    let closed = world.closed().await;
    assert_eq!((closed.report.users.excluded, closed.report.users.failed), (excluded, 2));
    let users = world.archive.users(&run_id()).await.unwrap().unwrap();
    // Reasons that are not known stand after the others, in the order of their bytes.
    assert_eq!(users.iter().map(|line| line.class).collect::<Vec<_>>(), [failed("tape-cut"), failed("storage")]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_plans_nobody_closes_complete() {
    let world = World::new(0).await;
    let closed = world.closed().await;
    assert!(closed.report.complete);
    assert_eq!(world.one_sound_entry().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn deferred_users_do_not_keep_a_history_run_open() {
    let run = RunFile { kind: Kind::History, to: None, ..run_file(2) };
    let world = World::with(run, &[roster_line(1, None), roster_line(2, None)]).await;
    let reaches =
        |n, hour, class| ReceiptLine { covered_from: Some(hour), covered_to: Some(at(100)), ..line(n, 1, Some(class)) };
    let start = world.deps.rules.history_start;
    world.receipt(1, &[reaches(1, start, Class::Exported), reaches(2, at(0), Class::Deferred)]).await;
    let report = world.closed().await.report;
    assert!(report.complete);
    assert_eq!((report.users.deferred, report.history_remaining), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_closed_run_answers_the_same_and_nothing_is_written_again() {
    let world = World::new(1).await;
    world.receipt(1, &[line(1, 1, Some(Class::Exported))]).await;
    let closed = world.closed().await;
    let keys = archive::store::Store::list(&*world.store, "").await.unwrap();
    // A receipt that arrives after the close is late: it changes no answer.
    world.receipt(2, &[ReceiptLine { received: 9, already_held: 9, ..line(1, 2, Some(Class::Exported)) }]).await;
    assert_eq!(world.closed().await, closed);
    let after = archive::store::Store::list(&*world.store, "").await.unwrap();
    assert_eq!(after.len(), keys.len() + 1);
    assert_eq!(world.one_sound_entry().await, [layout::receipt(&run_id(), &attempt(1), 1)]);
}

#[tokio::test(start_paused = true)]
async fn the_second_run_links_to_the_first() {
    let world = World::new(1).await;
    world.receipt(1, &[line(1, 1, Some(Class::Exported))]).await;
    let first = world.closed().await.ledger;
    let next = RunFile { run_id: "next".parse().unwrap(), ..run_file(1) };
    world.plan(next.clone(), &[roster_line(1, None)]).await;
    world.receipt(1, &[ReceiptLine { run_id: next.run_id, ..line(1, 2, Some(Class::Empty)) }]).await;
    let all = crate::handle(b"{}", domain::Deadline::never(), &world.deps).await.unwrap();
    assert!(matches!(all, crate::Answer::All { runs } if runs.len() == 1));
    let ledger = world.ledger().await;
    assert_eq!(ledger[1].previous, Some(first.sha256));
}

mod logged {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_closing_line_names_the_ledgers_head() {
        for (read, level) in [(true, "INFO"), (false, "WARN")] {
            let lines = Lines::default();
            let writer = lines.clone();
            let logger = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
            let _guard = tracing::subscriber::set_default(logger);
            let world = World::new(1).await;
            if read {
                world.receipt(1, &[line(1, 1, Some(Class::Exported))]).await;
            }
            world.clock.sleep_until(run_file(1).deadline).await;
            let closed = world.closed().await;
            let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            let logged: serde_json::Value =
                text.lines().map(|line| serde_json::from_str(line).unwrap()).find(is_closing).unwrap();
            assert_eq!(logged["level"], level);
            let fields = &logged["fields"];
            assert_eq!(fields["run_id"], "20261124T030000Z");
            assert_eq!(fields["complete"], read);
            assert_eq!(fields["ledger_n"], 1);
            assert_eq!(fields["ledger_sha256"], closed.ledger.sha256);
            assert_eq!(fields["missing"], u64::from(!read));
        }
    }

    fn is_closing(line: &serde_json::Value) -> bool {
        line["fields"]["message"] == "run closed"
    }
}
