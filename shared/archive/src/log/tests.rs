//! Tests of the log.

use super::*;
use crate::error::Integrity;
use crate::faults::{Fault, Operation, Operations};
use crate::store::Store as _;
use crate::testing::{TENANT, USER, World, attempt, time};

mod model;

const FETCHED: &str = "2026-11-25T02:00:00Z";

fn run(text: &str) -> RunId {
    text.parse().unwrap()
}

fn item(n: usize) -> String {
    format!(r#"{{"id":"{n}","createdDateTime":"2026-11-24T10:00:00Z"}}"#)
}

fn key(n: u64) -> String {
    layout::segment(TENANT, &"2026-11".parse().unwrap(), USER, n)
}

/// A writer that knows nothing.
fn writer(archive: &Archive, attempt_number: u64) -> LogWriter {
    archive.log_writer(USER, &run("r"), &attempt(attempt_number), &CheckpointHandle::absent(USER))
}

async fn append(writer: &mut LogWriter, items: &[String]) -> Result<(), ArchiveError> {
    writer.append(items.iter().map(String::as_str), time(FETCHED)).await?;
    writer.flush().await
}

async fn lines(world: &World, key: &str) -> Vec<String> {
    let object = world.evidence.get(key).await.unwrap().unwrap();
    let mut lines = Vec::new();
    jsonl::each_line(&object.bytes, segment::MAX_LINE, |line| {
        lines.push(line.to_owned());
        Ok(())
    })
    .unwrap();
    lines
}

async fn segments(world: &World) -> Vec<String> {
    world.evidence.list(layout::INTERACTIONS_PREFIX).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn records_hold_the_item_as_received() {
    let world = World::new();
    let archive = world.archive().await;
    let mut writer = writer(&archive, 1);
    let items = [
        " {\r\n \"b\" : 1e400, \"a\":\"\\ud800\\/\",\n\"a\":null,\"createdDateTime\":\"2026-11-24T10:00:00.1234567Z\"}\n".to_owned(),
        "[1,2]".to_owned(),
    ];
    append(&mut writer, &items).await.unwrap();
    let (t, u) = ("aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb");
    let before = format!(
        r#"{{"tenant_id":"{t}","user_id":"{u}","run_id":"r","attempt_id":"00000000000000000000000000000001","fetched_at":"2026-11-25T02:00:00Z","interaction":"#
    );
    assert_eq!(
        lines(&world, &key(1)).await,
        [format!(
            r#"{before}{{ "b" : 1e400, "a":"\ud800\/","a":null,"createdDateTime":"2026-11-24T10:00:00.1234567Z"}}}}"#
        )]
    );
    assert_eq!(lines(&world, &layout::segment(TENANT, &Month::UNKNOWN, USER, 1)).await, [format!("{before}[1,2]}}")]);
    let stored = world.evidence.get(&key(1)).await.unwrap().unwrap().bytes;
    let put = writer.segments().iter().find(|segment| segment.key == key(1)).unwrap();
    assert_eq!(*put, RunSegment { key: key(1), lines: 1, sha256: jsonl::sha256_hex(&stored), attempt_id: attempt(1) });
}

#[tokio::test(start_paused = true)]
async fn a_text_shown_again_is_held_and_a_text_changed_is_new() {
    let world = World::new();
    let archive = world.archive().await;
    let mut writer = writer(&archive, 1);
    append(&mut writer, &[item(1), item(2), item(1)]).await.unwrap();
    append(&mut writer, &[item(2), item(3).replace("\"id\"", " \"id\""), item(3)]).await.unwrap();
    let counts = writer.counts();
    assert_eq!((counts.received, counts.new, counts.already_held), (6, 4, 2));
    assert_eq!(lines(&world, &key(2)).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_user_with_nothing_new_costs_no_request_at_the_log() {
    let world = World::new();
    let archive = world.archive().await;
    let mut first = writer(&archive, 1);
    append(&mut first, &[item(1), "7".to_owned()]).await.unwrap();
    let mut handle = archive.checkpoint(USER).await.unwrap();
    first.update(&mut handle.checkpoint, archive.clock().now());
    archive.save(&mut handle, jiff::SignedDuration::from_hours(72)).await.unwrap();

    let handle = archive.checkpoint(USER).await.unwrap();
    // Where segments expire, something new costs a look at which are kept.
    for (n, retention, lists) in [(2, None, 0), (3, Some(KEPT), 1)] {
        let before = world.evidence_faults.operations();
        let mut writer = archive.log_writer(USER, &run("s"), &attempt(n), &handle).expiring(retention);
        append(&mut writer, &[item(1), "7".to_owned()]).await.unwrap();
        assert_eq!(world.evidence_faults.operations(), before);
        append(&mut writer, &[item(2)]).await.unwrap();
        let after = world.evidence_faults.operations();
        assert_eq!(after, Operations { puts: before.puts + 1, lists: before.lists + lists, ..before });
        world.evidence.remove(&key(2));
    }
    put_one(&archive, 2, &mut archive.checkpoint(USER).await.unwrap()).await;
    assert_eq!(segments(&world).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_recognised() {
    for fault in [Fault::Lost, Fault::Unanswered, Fault::Late] {
        let world = World::new();
        let archive = world.archive().await;
        let mut writer = writer(&archive, 1);
        world.evidence_faults.fail_next(Operation::Put, "segment-000001", fault);
        world.evidence_faults.fail_next(Operation::Put, "segment-000001", fault);
        append(&mut writer, &[item(1)]).await.unwrap();
        world.evidence_faults.land().await;
        assert_eq!(segments(&world).await, [key(1)], "{fault:?}");
        assert_eq!((writer.counts().new, writer.counts().received, writer.segments().len()), (1, 1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_got_no_answer_goes_no_further_and_its_put_may_land_at_any_time() {
    let world = World::new();
    let archive = world.archive().await;
    let mut lost = writer(&archive, 1);
    for _ in 0..100 {
        world.evidence_faults.fail_next(Operation::Put, "segment-000001", Fault::Late);
    }
    assert!(matches!(append(&mut lost, &[item(1), item(2)]).await, Err(ArchiveError::Unknown(_))));
    assert!(matches!(append(&mut lost, &[item(3)]).await, Err(ArchiveError::Poisoned)));
    assert!(matches!(lost.flush().await, Err(ArchiveError::Poisoned)));
    assert_eq!(*lost.counts(), LogCounts::default(), "what is not certain is not counted");

    let mut other = writer(&archive, 2);
    append(&mut other, &[]).await.unwrap();
    world.evidence_faults.land().await;
    append(&mut other, &[item(2), item(3)]).await.unwrap();
    assert_eq!(lines(&world, &key(1)).await.len(), 2);
    assert_eq!(lines(&world, &key(2)).await.len(), 1);
    assert_eq!((other.counts().new, other.counts().already_held), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn who_loses_a_number_takes_the_winner_s_items_as_seen() {
    let world = World::new();
    let archive = world.archive().await;
    let (mut a, mut b, mut c) = (writer(&archive, 1), writer(&archive, 2), writer(&archive, 3));
    for writer in [&mut a, &mut b, &mut c] {
        let items = [item(1), item(2)];
        writer.append(items.iter().map(String::as_str), time(FETCHED)).await.unwrap();
    }
    append(&mut a, &[item(2), item(5)]).await.unwrap();
    append(&mut b, &[item(3), item(3)]).await.unwrap();
    append(&mut c, &[]).await.unwrap();
    assert_eq!(segments(&world).await, [key(1), key(2)]);
    assert_eq!(lines(&world, &key(2)).await, lines(&world, &key(2)).await);
    assert!(lines(&world, &key(2)).await[0].ends_with(&format!("{}}}", item(3))));
    let counts = |writer: &LogWriter| (writer.counts().received, writer.counts().new, writer.counts().already_held);
    assert_eq!((counts(&a), counts(&b), counts(&c)), ((4, 3, 1), (4, 1, 3), (2, 0, 2)));
    // `c` met the first segment only: nothing was left to put at the second number.
    let named = |writer: &LogWriter| writer.segments().iter().map(|s| s.attempt_id.clone()).collect::<Vec<_>>();
    assert_eq!((named(&b), named(&c)), (vec![attempt(1), attempt(2)], vec![attempt(1)]));
}

#[tokio::test(start_paused = true)]
async fn only_segments_of_other_attempts_at_this_run_are_remembered_as_met() {
    let world = World::new();
    let archive = world.archive().await;
    append(&mut writer(&archive, 1), &[item(1)]).await.unwrap();
    let absent = CheckpointHandle::absent(USER);
    for (run_id, number, met) in [("r", 2, 1), ("r", 1, 0), ("other", 2, 0)] {
        let mut writer = archive.log_writer(USER, &run(run_id), &attempt(number), &absent);
        append(&mut writer, &[item(1)]).await.unwrap();
        assert_eq!(writer.segments().len(), met, "{run_id} {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_or_a_broken_segment_stops_the_writer() {
    let world = World::new();
    let archive = world.archive().await;
    for n in 1..=3 {
        append(&mut writer(&archive, 1), &[item(n)]).await.unwrap();
    }
    let second = world.evidence.get(&key(2)).await.unwrap().unwrap().bytes;
    let refused = |outcome: Result<(), ArchiveError>| match outcome {
        Err(ArchiveError::Integrity(integrity)) => integrity,
        other => panic!("{other:?}"),
    };
    world.evidence.remove(&key(2));
    let gap = refused(append(&mut writer(&archive, 1), &[item(9)]).await);
    assert!(matches!(gap, Integrity::Gap { number: 2, .. }), "{gap}");
    let foreign = jsonl::frame(b"{\"interaction\":1}\n").unwrap();
    for broken in [second.slice(..second.len() - 1), Bytes::new(), "no zstd".into(), foreign.into()] {
        world.evidence.overwrite(&key(2), broken);
        let broken = refused(append(&mut writer(&archive, 1), &[item(9)]).await);
        assert_eq!(broken, Integrity::Undecodable { key: key(2) });
    }
    world.evidence.overwrite(&key(2), second);
    append(&mut writer(&archive, 1), &[item(9)]).await.unwrap();
    assert_eq!(segments(&world).await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_future_leaves_a_writer_that_refuses() {
    let world = World::new();
    let archive = world.archive().await;
    let mut writer = writer(&archive, 1);
    let items = [item(1)];
    writer.append(items.iter().map(String::as_str), time(FETCHED)).await.unwrap();
    for _ in 0..3 {
        world.evidence_faults.fail_next(Operation::Put, "segment", Fault::Lost);
    }
    let stopped = tokio::time::timeout(std::time::Duration::from_millis(10), writer.flush()).await;
    assert!(stopped.is_err());
    assert!(matches!(writer.flush().await, Err(ArchiveError::Poisoned)));
}

#[tokio::test(start_paused = true)]
async fn items_no_reader_could_take_are_refused() {
    let world = World::new();
    let archive = world.archive().await;
    for text in ["", "{", "{}{}", "{\"a\":\"\u{1}\"}"] {
        assert!(matches!(append(&mut writer(&archive, 1), &[text.to_owned()]).await, Err(ArchiveError::NotJson)));
    }
    let large = format!("\"{}\"", "x".repeat(MAX_ITEM_BYTES));
    assert!(matches!(append(&mut writer(&archive, 1), &[large]).await, Err(ArchiveError::TooLarge { .. })));
    assert!(segments(&world).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn segments_are_cut_by_size_as_stored_and_as_decoded() {
    let world = World::new();
    let archive = world.archive().await;
    // Hexadecimal noise compresses to a little over half: a segment is full after about two megabytes of it.
    let noise = |n: u64| {
        let random = domain::SeededRandom::new(n);
        let text: String = (0..4096).map(|_| format!("{:016x}", domain::Random::u64(&random))).collect();
        format!(r#"{{"id":"{n}","createdDateTime":"2026-11-24T10:00:00Z","x":"{text}"}}"#)
    };
    let items: Vec<String> = (0..80).map(noise).collect();
    let mut first = writer(&archive, 1);
    first.append(items.iter().map(String::as_str), time(FETCHED)).await.unwrap();
    let sizes = |world: &World| {
        let evidence = std::sync::Arc::clone(&world.evidence);
        async move {
            let mut sizes = Vec::new();
            for key in evidence.list(layout::INTERACTIONS_PREFIX).await.unwrap() {
                sizes.push(evidence.get(&key).await.unwrap().unwrap().bytes.len());
            }
            sizes
        }
    };
    let before_flush = sizes(&world).await;
    assert!(before_flush.len() >= 2);
    assert!(before_flush.iter().all(|size| (SEGMENT_BYTES..SEGMENT_BYTES + 2 * FRAME_BYTES).contains(size)));
    first.flush().await.unwrap();
    assert_eq!(first.counts().new, 80);
    // A writer that knows nothing of it puts nothing of it again, whole or in parts.
    let mut second = writer(&archive, 2);
    append(&mut second, &items).await.unwrap();
    assert_eq!((second.counts().new, second.counts().already_held), (0, 80));

    let blank = |n: usize| format!(r#"{{"id":"{n}","x":"{}"}}"#, " ".repeat(1 << 20));
    let blanks: Vec<String> = (0..20).map(blank).collect();
    let mut third = writer(&archive, 3);
    append(&mut third, &blanks).await.unwrap();
    assert_eq!(third.segments().iter().map(|segment| segment.lines).collect::<Vec<_>>(), [16, 4]);
}

#[tokio::test(start_paused = true)]
async fn lateness_counts_new_items_that_name_a_time() {
    let world = World::new();
    let archive = world.archive().await;
    let mut writer = writer(&archive, 1);
    let created = [
        "2026-11-25T03:00:00Z",
        "2026-11-25T01:00:00Z",
        "2026-11-25T00:59:59.9Z",
        "2026-11-22T02:00:00Z",
        "2026-11-18T02:00:00Z",
        "2026-11-18T01:59:59Z",
        "2026-11-99T00:00:00Z",
    ];
    let items: Vec<String> = created.iter().map(|at| format!(r#"{{"createdDateTime":"{at}"}}"#)).collect();
    append(&mut writer, &items).await.unwrap();
    append(&mut writer, &items).await.unwrap();
    let lateness: Vec<_> = writer.counts().lateness.iter().map(|(class, n)| (class.as_str(), *n)).collect();
    assert_eq!(lateness, [("<=1", 2), ("<=168", 1), ("<=2", 1), ("<=72", 1), (">168", 1)]);
}

#[tokio::test(start_paused = true)]
async fn many_months_at_once_wait_in_no_more_memory_than_one() {
    let world = World::new();
    let archive = world.archive().await;
    let mut writer = writer(&archive, 1);
    let items: Vec<String> = (0..400)
        .map(|n| {
            let (year, month) = (2023 + n % 3, 1 + n % 12);
            format!(r#"{{"id":"{n}","createdDateTime":"{year}-{month:02}-01T00:00:00Z","x":"{}"}}"#, "y".repeat(8000))
        })
        .collect();
    for item in &items {
        writer.append(std::iter::once(item.as_str()), time(FETCHED)).await.unwrap();
        let uncompressed: usize = writer.logs.values().map(|log| log.waiting.lines.len()).sum();
        assert!(uncompressed < FRAME_BYTES);
    }
    writer.flush().await.unwrap();
    assert_eq!(segments(&world).await.len(), 12);
    let mut again = archive.log_writer(USER, &run("r"), &attempt(2), &CheckpointHandle::absent(USER));
    append(&mut again, &items).await.unwrap();
    assert_eq!((again.counts().new, again.counts().already_held), (0, 400));
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_no_gap_and_what_is_kept_has_none() {
    const KEPT: SignedDuration = SignedDuration::from_hours(20 * 24);
    let world = World::new();
    let archive = world.archive().await;
    // Segments 1 to 4, the last of them 30 days after the first: of 20 days the third and the fourth are kept.
    for n in 1..=4 {
        let fetched_at = archive.clock().now();
        let mut writer = writer(&archive, n);
        writer.append([item(n as usize).as_str()].into_iter(), fetched_at).await.unwrap();
        writer.flush().await.unwrap();
        if n < 4 {
            archive.clock().sleep(std::time::Duration::from_secs(10 * 24 * 3600 + 1)).await;
        }
    }
    let stored: Vec<_> = world.evidence.objects().into_iter().filter(|(key, _)| key.contains("segment-")).collect();
    let held = [item(1), item(2), item(3), item(4)];
    for (gone, retention, next) in [
        (&[][..], Some(KEPT), Ok(5)),
        (&[1], Some(KEPT), Ok(5)),
        (&[1, 2], Some(KEPT), Ok(5)),
        // Objects expire in any order.
        (&[2], Some(KEPT), Ok(5)),
        (&[1, 2, 3, 4], Some(KEPT), Ok(1)),
        (&[1], None, Err(1)),
        (&[4], Some(KEPT), Ok(4)),
        // What was put after a segment that is kept cannot have expired.
        (&[3], Some(KEPT + SignedDuration::from_hours(24)), Err(3)),
        (&[1, 3], Some(KEPT + SignedDuration::from_hours(24)), Err(3)),
        (&[2], Some(KEPT * 2), Err(2)),
    ] {
        for (key, bytes) in &stored {
            world.evidence.overwrite(key, bytes.clone());
        }
        gone.iter().for_each(|n| world.evidence.remove(&key(*n)));
        let mut writer = writer(&archive, 9).expiring(retention);
        let appended = append(&mut writer, &[&held[..], &[item(9)]].concat()).await;
        match next {
            Ok(next) => {
                appended.unwrap();
                // Items that are there are not written again, and items that expired are new.
                assert_eq!(lines(&world, &key(next)).await.len(), gone.len() + 1, "{gone:?}");
                assert_eq!(writer.counts().already_held, 4 - gone.len() as u64, "{gone:?}");
                world.evidence.remove(&key(next));
            }
            Err(missing) => {
                let Err(ArchiveError::Integrity(Integrity::Gap { number, .. })) = appended else { panic!("{gone:?}") };
                assert_eq!(number, missing, "{gone:?}");
            }
        }
    }
}

/// A bucket that keeps everything for twenty days.
const KEPT: SignedDuration = SignedDuration::from_hours(20 * 24);

async fn ten_days(archive: &Archive) {
    archive.clock().sleep(std::time::Duration::from_secs(10 * 24 * 3600 + 1)).await;
}

/// Puts a segment of one item, now, by who knows what the handle knows; and notes it there.
async fn put_one(archive: &Archive, n: usize, handle: &mut CheckpointHandle) {
    let attempt = attempt(n as u64);
    let mut writer = archive.log_writer(USER, &run("r"), &attempt, handle).expiring(Some(KEPT));
    writer.append([item(n).as_str()].into_iter(), archive.clock().now()).await.unwrap();
    writer.flush().await.unwrap();
    writer.update(&mut handle.checkpoint, time(FETCHED));
}

#[tokio::test(start_paused = true)]
async fn a_stale_checkpoint_of_a_log_that_expires_meets_what_is_kept() {
    let world = World::new();
    let archive = world.archive().await;
    let mut handle = CheckpointHandle::absent(USER);
    let mut stale = handle.clone();
    for n in 1..=6 {
        put_one(&archive, n, &mut handle).await;
        if n == 2 {
            stale = handle.clone();
        }
        if n < 6 {
            ten_days(&archive).await;
        }
    }
    // The number that the stale one holds for free has expired, and so it is.
    (1..=4).for_each(|n| world.evidence.remove(&key(n)));
    let mut writer = archive.log_writer(USER, &run("s"), &attempt(9), &stale).expiring(Some(KEPT));
    append(&mut writer, &[item(2), item(5), item(6), item(9)]).await.unwrap();
    assert_eq!(segments(&world).await, [key(5), key(6), key(7)]);
    assert_eq!(lines(&world, &key(7)).await.len(), 1);
    assert_eq!((writer.counts().already_held, writer.counts().new), (3, 1));
    // Behind a segment that is kept a missing one is damage, whoever comes.
    world.evidence.remove(&key(6));
    let mut writer = archive.log_writer(USER, &run("s"), &attempt(10), &stale).expiring(Some(KEPT));
    let refused = append(&mut writer, &[item(10)]).await;
    assert!(matches!(refused, Err(ArchiveError::Integrity(Integrity::Gap { number: 6, .. }))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_of_a_log_that_has_begun_anew_since_meets_what_is_there() {
    let world = World::new();
    let archive = world.archive().await;
    let mut old = CheckpointHandle::absent(USER);
    for n in 1..=4 {
        put_one(&archive, n, &mut old).await;
    }
    ten_days(&archive).await;
    ten_days(&archive).await;
    (1..=4).for_each(|n| world.evidence.remove(&key(n)));
    // As long as nothing is there, its number is as good as any.
    let mut alone = old.clone();
    put_one(&archive, 5, &mut alone).await;
    assert_eq!(segments(&world).await, [key(5)]);
    world.evidence.remove(&key(5));

    let mut anew = CheckpointHandle::absent(USER);
    put_one(&archive, 6, &mut anew).await;
    assert_eq!(segments(&world).await, [key(1)]);
    let mut writer = archive.log_writer(USER, &run("s"), &attempt(9), &old).expiring(Some(KEPT));
    append(&mut writer, &[item(6), item(9)]).await.unwrap();
    assert_eq!(segments(&world).await, [key(1), key(2)]);
    assert_eq!((writer.counts().already_held, writer.counts().new), (1, 1));
    writer.update(&mut old.checkpoint, time(FETCHED));
    // Who comes with what it stored finds everything known.
    let mut again = archive.log_writer(USER, &run("t"), &attempt(10), &old).expiring(Some(KEPT));
    append(&mut again, &[item(6), item(9), item(4)]).await.unwrap();
    assert_eq!((again.counts().already_held, segments(&world).await.len()), (3, 2));
}

/// A hold is no part of the protocol: whatever goes wrong, the same segments are put, and all of them are held.
#[tokio::test(start_paused = true)]
async fn under_a_hold_the_same_segments_are_put_and_every_one_is_held() {
    let items: Vec<String> = (0..4).map(item).collect();
    let mut outcomes = Vec::new();
    for hold in [LegalHold::Off, LegalHold::On] {
        let world = World::new();
        let archive = world.archive().await;
        append(&mut writer(&archive, 1), &items[..1]).await.unwrap();
        // It knows nothing of a race for number 2, whose answers it loses too.
        let mut late = writer(&archive, 2).under(hold);
        late.append(items.iter().map(String::as_str), time(FETCHED)).await.unwrap();
        append(&mut writer(&archive, 3), &items[..2]).await.unwrap();
        for fault in [Fault::Lost, Fault::Late, Fault::Unanswered] {
            world.evidence_faults.fail_next(Operation::Put, "segment-000003", fault);
        }
        late.flush().await.unwrap();
        world.evidence_faults.land().await;
        append(&mut late, &[item(5)]).await.unwrap();
        let held = if hold == LegalHold::On { [key(3), key(4)].into() } else { std::collections::BTreeSet::new() };
        assert_eq!(world.evidence.held(), held);
        let segments = world.evidence.objects().into_iter().filter(|(key, _)| key.contains("segment"));
        outcomes.push((segments.collect::<Vec<_>>(), late.counts().clone()));
    }
    assert_eq!(outcomes[0].0.len(), 4);
    assert_eq!(outcomes[0], outcomes[1]);
}
