//! When a closed run is complete, and when it is not.

use archive::custody::Tombstone;
use archive::records::{Asked, Counts, ReceiptLine, RunFile, SegmentRef};
use domain::{Class, RunId, Unavailability};

use crate::testing::{World, line, roster_line, run_file, run_id, user};

const REFUSED: Class = Class::Unavailable(Unavailability::Refused);
const NO_LICENCE: Class = Class::Unavailable(Unavailability::NoLicence);
const EXPORTED: Option<Class> = Some(Class::Exported);

async fn complete(run: RunFile, classes: &[Class]) -> bool {
    let users = 1..=u8::try_from(classes.len()).unwrap();
    let roster: Vec<_> = users.clone().map(|n| roster_line(n, None)).collect();
    let world = World::with(run, &roster).await;
    let lines: Vec<ReceiptLine> = users.zip(classes).map(|(n, class)| line(n, 1, Some(*class))).collect();
    world.receipt(1, &lines).await;
    world.closed().await.report.complete
}

#[tokio::test(start_paused = true)]
async fn a_whole_tenant_that_only_refuses_is_incomplete() {
    assert!(!complete(run_file(2), &[REFUSED, NO_LICENCE]).await);
    assert!(!complete(run_file(2), &[REFUSED, Class::Unavailable(Unavailability::Gone)]).await);
    assert!(complete(run_file(2), &[REFUSED, Class::Empty]).await, "somebody was read");
    assert!(complete(run_file(1), &[Class::Unavailable(Unavailability::NoHistory)]).await, "nobody was refused");
    let asked = Asked { users: Some(vec![user(1)]), ..Asked::default() };
    assert!(complete(RunFile { asked, ..run_file(1) }, &[REFUSED]).await, "not the whole tenant");
    let asked = Asked { groups: Some(Vec::new()), ..Asked::default() };
    assert!(complete(RunFile { asked, ..run_file(1) }, &[REFUSED]).await, "not the whole tenant either");
}

#[tokio::test(start_paused = true)]
async fn a_roster_that_run_json_does_not_agree_with_is_incomplete() {
    assert!(complete(run_file(1), &[Class::Empty]).await);
    assert!(!complete(RunFile { enumerated: 2, ..run_file(1) }, &[Class::Empty]).await);
    assert!(!complete(RunFile { planned: 2, ..run_file(1) }, &[Class::Empty]).await);
    let excluded = Counts::from([("exclude".to_owned(), 1)]);
    assert!(!complete(RunFile { excluded, ..run_file(1) }, &[Class::Empty]).await);
    let nobody = Counts::from([("exclude".to_owned(), 0)]);
    assert!(complete(RunFile { excluded: nobody, ..run_file(1) }, &[Class::Empty]).await);
}

async fn closes_complete(lines: &[ReceiptLine]) -> bool {
    let world = World::new(1).await;
    for (n, line) in (1..).zip(lines) {
        world.receipt(n, std::slice::from_ref(line)).await;
    }
    world.closed().await.report.complete
}

#[tokio::test(start_paused = true)]
async fn an_equation_that_does_not_hold_is_incomplete() {
    let held = |received, already_held| ReceiptLine { received, already_held, ..line(1, 1, EXPORTED) };
    assert!(closes_complete(&[held(3, 3)]).await);
    assert!(!closes_complete(&[held(3, 2)]).await, "received = new + already_held");
    assert!(!closes_complete(&[held(3, 2), held(2, 3)]).await, "in every line, not only in sum");
    let counted = |new, lines| ReceiptLine {
        received: new,
        new,
        segments: vec![crate::testing::segment(1, lines, false)],
        ..line(1, 1, EXPORTED)
    };
    assert!(closes_complete(&[counted(2, 2)]).await);
    assert!(!closes_complete(&[counted(2, 3)]).await, "lines = sum(new) + recovered");
    assert!(!closes_complete(&[counted(2, 1)]).await, "lines = sum(new) + recovered");
}

#[tokio::test(start_paused = true)]
async fn receipts_that_say_more_than_can_be_counted_close_the_run_incomplete() {
    let adopted = vec![crate::testing::segment(1, u64::MAX, true)];
    let most = ReceiptLine { received: u64::MAX, new: u64::MAX, segments: adopted, ..line(1, 1, EXPORTED) };
    assert!(!closes_complete(&[most.clone(), most]).await);
}

#[tokio::test(start_paused = true)]
async fn receipts_of_other_users_and_other_runs_prove_nothing() {
    assert!(!closes_complete(&[line(1, 1, EXPORTED), line(9, 2, EXPORTED)]).await);
    let world = World::new(1).await;
    let foreign = ReceiptLine { run_id: "other".parse().unwrap(), ..line(1, 1, EXPORTED) };
    world.archive.put_receipt(&run_id(), &foreign.attempt_id, 1, std::slice::from_ref(&foreign)).await.unwrap();
    assert!(!world.closed().await.report.complete);
}

fn adopted(segments: &[SegmentRef]) -> Vec<SegmentRef> {
    segments.iter().map(|segment| SegmentRef { adopted: true, ..segment.clone() }).collect()
}

const ITEMS: [&str; 3] = [
    r#"{"createdDateTime":"2026-11-01T00:00:00Z","id":"1"}"#,
    r#"{"createdDateTime":"2026-11-02T00:00:00Z","id":"2"}"#,
    r#"{"createdDateTime":"2026-10-02T00:00:00Z","id":"3"}"#,
];

#[tokio::test(start_paused = true)]
async fn what_a_killed_attempt_archived_is_recovered_and_the_attempt_counts_as_lost() {
    let world = World::new(3).await;
    // Attempt 1 archived items of users 1 and 2 and was killed before any receipt; attempt 2 met them, and archived one itself.
    let (one, two) = (world.segments(1, 1, &ITEMS).await, world.segments(2, 1, &ITEMS[..1]).await);
    let own = world.segments(3, 2, &ITEMS[..2]).await;
    assert_eq!((one.len(), two.len(), own.len()), (2, 1, 1));
    let met = |n, held, segments| ReceiptLine { received: held, already_held: held, segments, ..line(n, 2, EXPORTED) };
    let archived = ReceiptLine { received: 2, new: 2, segments: own.clone(), ..line(3, 2, EXPORTED) };
    world.receipt(1, &[met(1, 3, adopted(&one)), met(2, 1, adopted(&two)), archived]).await;
    let report = world.closed().await.report;
    assert_eq!((report.interactions.new, report.interactions.recovered), (2, 4));
    assert_eq!(report.attempts_lost, 1);
    assert!(report.complete);
    world.one_sound_entry().await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_left_a_receipt_is_not_lost() {
    let world = World::new(2).await;
    // Attempt 1 wrote a receipt of user 2, and was killed before the one of user 1.
    let segments = world.segments(1, 1, &ITEMS[..1]).await;
    world.receipt(1, &[line(2, 1, Some(Class::Empty))]).await;
    let met = ReceiptLine { received: 1, already_held: 1, segments: adopted(&segments), ..line(1, 2, EXPORTED) };
    world.receipt(1, &[met]).await;
    let report = world.closed().await.report;
    assert_eq!((report.interactions.recovered, report.attempts_lost, report.complete), (1, 0, true));
    world.one_sound_entry().await;
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_somebody_counts_is_not_recovered() {
    let world = World::new(1).await;
    let segments = world.segments(1, 1, &ITEMS[..2]).await;
    let again = ReceiptLine { segments: adopted(&segments), ..line(1, 2, EXPORTED) };
    world.receipt(1, &[again]).await;
    world.receipt(1, &[ReceiptLine { received: 2, new: 2, segments, ..line(1, 1, EXPORTED) }]).await;
    let report = world.closed().await.report;
    assert_eq!((report.interactions.new, report.interactions.recovered), (2, 0));
    assert_eq!((report.attempts_lost, report.complete), (0, true));
    world.one_sound_entry().await;
}

#[tokio::test(start_paused = true)]
async fn an_adopted_segment_that_is_not_what_the_line_says_is_incomplete() {
    for removed in [true, false] {
        let world = World::new(1).await;
        let segments = world.segments(1, 1, &ITEMS[..1]).await;
        match removed {
            true => world.store.remove(&segments[0].key),
            false => world.store.overwrite(&segments[0].key, "no zstd"),
        }
        let met = ReceiptLine { received: 1, already_held: 1, segments: adopted(&segments), ..line(1, 2, EXPORTED) };
        world.receipt(1, &[met]).await;
        assert!(!world.closed().await.report.complete);
    }
}

#[tokio::test(start_paused = true)]
async fn an_adopted_segment_of_an_erased_user_is_gone_or_what_the_line_says() {
    // The attempt is the same in all; a free number is that of another run's segment.
    let other: RunId = "20261123T030000Z".parse().unwrap();
    for (of, items, complete) in
        [(Some(run_id()), 1, true), (Some(run_id()), 2, false), (Some(other), 2, true), (None, 1, false)]
    {
        let world = World::new(1).await;
        let segments = world.segments(1, 1, &ITEMS[..1]).await;
        let met = ReceiptLine { received: 1, already_held: 1, segments: adopted(&segments), ..line(1, 2, EXPORTED) };
        world.receipt(1, &[met]).await;
        let tombstone = Tombstone { user_id: user(1), erased_at: world.clock.now(), reason: None };
        world.archive.put_tombstone(&tombstone).await.unwrap();
        match &of {
            None => world.store.overwrite(&segments[0].key, "no zstd"),
            Some(run) => {
                world.store.remove(&segments[0].key);
                let again = world.segments_of(run, 1, 1, &ITEMS[..items]).await;
                assert_eq!((again.len(), &again[0].key), (1, &segments[0].key));
            }
        }
        let report = world.closed().await.report;
        assert_eq!(report.complete, complete, "{items} items of {of:?}");
        // An attempt of another run is none that this one lost.
        assert_eq!(report.attempts_lost, u64::from(of == Some(run_id())));
    }
}

#[tokio::test(start_paused = true)]
async fn an_adopted_segment_of_an_erased_user_may_be_gone() {
    for (erased, complete) in [(1, true), (2, false)] {
        let world = World::new(2).await;
        let segments = world.segments(1, 1, &ITEMS[..1]).await;
        let met = ReceiptLine { received: 1, already_held: 1, segments: adopted(&segments), ..line(1, 2, EXPORTED) };
        world.receipt(1, &[met, line(2, 2, Some(Class::Empty))]).await;
        let tombstone = Tombstone { user_id: user(erased), erased_at: world.clock.now(), reason: None };
        world.archive.put_tombstone(&tombstone).await.unwrap();
        world.store.remove(&segments[0].key);
        let report = world.closed().await.report;
        assert_eq!((report.complete, report.interactions.recovered), (complete, 1), "user {erased} was erased");
        if complete {
            world.one_sound_entry().await;
        }
    }
}
