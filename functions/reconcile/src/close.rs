//! Closing a run: users file, report, ledger entry, each put once and in this order.
//!
//! Whoever finds one of them there goes on from it. So a reconcile that is killed between two is finished by the next, and of
//! two at once both end with the same ledger entry.

use std::collections::BTreeSet;

use archive::records::{FileRef, Report, RunFile, UserLine};
use archive::{Archive, ArchiveError, LedgerHead, layout};
use domain::{AttemptId, Kind, Metric, RunId};
use jiff::SignedDuration;
use serde::Deserialize;

use crate::numbers::{Facts, Roster, report};
use crate::tally::{Receipt, Tally, receipts_of};
use crate::{Closed, Deps, ReconcileError};

/// How many segments of attempts that left no receipt are read to learn which attempts these were. Each may be a megabyte and
/// takes some 20 ms, so this many take less than a minute; `attempts_lost` of a run with more counts those of the first ones.
const MAX_SEGMENTS_READ: usize = 2_000;

/// Closes a run with what the tally holds.
pub(crate) async fn close(
    archive: &Archive,
    run: &RunFile,
    roster: &Roster,
    tally: Tally,
    deps: &Deps,
) -> Result<Closed, ReconcileError> {
    let overlap = SignedDuration::from_hours(run.overlap_hours.into());
    let (united, receipts) = tally.into_lines(overlap);
    let stored = archive.put_users(&run.run_id, &united).await?;
    let users = stored.value;
    // The entry names the receipts that the users file there adds up to; later ones are late.
    let (receipts, explained) = if stored.created || users == united {
        (receipts, true)
    } else {
        match receipts_of(archive, &run.run_id, &users, &united, receipts.clone(), overlap).await? {
            Some(receipts) => (receipts, true),
            None => {
                // Nothing can be replaced, so waiting would not help: the run closes, and is not proved.
                tracing::error!(run_id = %run.run_id, "no receipts add up to the users file; audit the archive");
                (receipts, false)
            }
        }
    };
    let report = match archive.report(&run.run_id).await? {
        Some(report) => report,
        None => {
            let lost = lost(archive, &run.run_id, &users, &receipts).await?;
            let facts = Facts {
                run,
                roster,
                users: &users,
                sound: explained && lost.sound && receipts.iter().all(|receipt| receipt.sound),
                attempts_lost: lost.attempts,
                history_start: deps.rules.history_begins(run.started_at),
                closed_at: deps.clock.now(),
            };
            archive.put_report(&report(facts)).await?.value
        }
    };
    let mut files = vec![
        archive.file_ref(&layout::run_file(&run.run_id)).await?,
        archive.file_ref(&layout::roster(&run.run_id)).await?,
    ];
    files.extend(receipts.into_iter().map(|receipt| receipt.file));
    files.push(archive.file_ref(&layout::users(&run.run_id)).await?);
    files.push(archive.file_ref(&layout::report(&run.run_id)).await?);
    let ledger = archive.append_ledger(&run.run_id, files, deps.producer.clone()).await?;
    log(&report, &ledger);
    Ok(Closed { report, ledger })
}

/// What the segments say that no attempt counted.
#[derive(Debug, PartialEq, Eq)]
struct Lost {
    /// Attempts that such a segment names and no receipt does.
    attempts: u64,
    /// Whether each segment read is what the lines that adopted it say, save those of erased users that are gone.
    sound: bool,
}

/// Reads the segments that are only ever named as adopted. Only those can be of an attempt without a receipt: every other
/// segment is counted by the line of the attempt that put it.
async fn lost(archive: &Archive, run: &RunId, users: &[UserLine], receipts: &[Receipt]) -> Result<Lost, ArchiveError> {
    #[derive(Deserialize)]
    struct Record {
        run_id: RunId,
        attempt_id: AttemptId,
    }
    let mut adopted = Vec::new();
    for user in users {
        adopted.extend(user.segments.iter().filter(|segment| segment.adopted).map(|segment| (user.user_id, segment)));
    }
    let erased = if adopted.is_empty() { BTreeSet::new() } else { archive.erased().await? };
    let reported: BTreeSet<&AttemptId> = receipts.iter().filter_map(|receipt| receipt.attempt.as_ref()).collect();
    let (mut attempts, mut sound) = (BTreeSet::new(), true);
    for (user, segment) in adopted.iter().take(MAX_SEGMENTS_READ) {
        let mut first = None;
        let file = archive.read_lines(&segment.key, |record: Record| _ = first.get_or_insert(record)).await;
        let named = |file: FileRef| (file.sha256 == segment.sha256) && file.lines == Some(segment.lines);
        let of_other_run = first.as_ref().is_some_and(|record| record.run_id != *run);
        let as_it_should = match file {
            // Of an erased user it may be gone, and the tombstone says why; a worker of another run that had the user in hand may
            // have put its own at the number that was free.
            Ok(None) => erased.contains(user),
            Ok(Some(file)) => named(file) || (of_other_run && erased.contains(user)),
            // A damaged segment must not keep the run open for ever: it closes, and is not proved.
            Err(ArchiveError::Integrity(_)) => false,
            Err(error) => return Err(error),
        };
        if !as_it_should {
            tracing::error!(key = segment.key, "a segment that receipts name is not what they say; audit the archive");
            sound = false;
        }
        let of_run = first.filter(|record| record.run_id == *run).map(|record| record.attempt_id);
        attempts.extend(of_run.filter(|attempt| !reported.contains(attempt)));
    }
    if adopted.len() > MAX_SEGMENTS_READ {
        tracing::warn!(read = MAX_SEGMENTS_READ, "more attempts may be lost than were counted");
    }
    Ok(Lost { attempts: u64::try_from(attempts.len()).unwrap_or(u64::MAX), sound })
}

/// The closing line. It makes the ledger's head known outside the archive, and is what alarms and dashboard count.
fn log(report: &Report, ledger: &LedgerHead) {
    // Both were added up without wrapping, of receipts that may say anything.
    let archived = report.interactions.new.saturating_add(report.interactions.recovered);
    macro_rules! closed {
        ($level:ident) => {
            tracing::$level!(
                run_id = %report.run_id,
                kind = %report.kind,
                complete = report.complete,
                ledger_n = ledger.n,
                ledger_sha256 = ledger.sha256,
                enumerated = report.users.enumerated,
                planned = report.users.planned,
                exported = report.users.exported,
                empty = report.users.empty,
                unavailable = report.users.unavailable.values().sum::<u64>(),
                deferred = report.users.deferred,
                failed = report.users.failed,
                missing = report.users.missing,
                received = report.interactions.received,
                new = report.interactions.new,
                already_held = report.interactions.already_held,
                recovered = report.interactions.recovered,
                attempts_lost = report.attempts_lost,
                { Metric::DailyRunsClosed.name() } = Metric::once(report.kind == Kind::Daily),
                { Metric::RunsIncomplete.name() } = Metric::once(!report.complete),
                { Metric::UsersFailed.name() } = report.users.failed,
                { Metric::UsersMissing.name() } = report.users.missing,
                { Metric::InteractionsArchived.name() } = archived,
                "run closed"
            )
        };
    }
    if report.complete {
        closed!(info);
    } else {
        closed!(warn);
    }
}
