//! Runs from open to closed: which are open, what each needs next, and whether the queue is empty.

use std::collections::BTreeSet;

use archive::records::RunFile;
use archive::{Archive, ArchiveError, layout};
use domain::{Chain, Deadline, RunId, UserId};
use jiff::SignedDuration;
use queue::QueueError;

use crate::close::close;
use crate::numbers::Roster;
use crate::rounds::{MAX_ROUNDS, Rounds, send};
use crate::tally::{Tally, read_roster};
use crate::{Answer, Closed, Deps, Open, ReconcileError, RunState};

/// The runs that may be open, in the order of their ids.
///
/// A run without a report is. A closed run has a report and one ledger entry, so if there are as many entries as reports every
/// run with a report is closed, and the usual invocation reads nothing but two listings. Where the reports of the oldest runs
/// have expired, as many entries less are expected, and a few entries are read to find how many. Else somebody was stopped
/// between report and entry, and the ledger is read, newest entry first, for the runs that it does not name.
pub(crate) async fn open(archive: &Archive, deps: &Deps) -> Result<Vec<RunId>, ArchiveError> {
    let (mut open, mut reported, mut begun) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut goes_on = BTreeSet::new();
    for key in archive.list(layout::RUNS_PREFIX).await? {
        let Some((run, file)) = key.strip_prefix(layout::RUNS_PREFIX).and_then(|rest| rest.split_once('/')) else {
            continue;
        };
        let Ok(run) = run.parse::<RunId>() else { continue };
        match file {
            "run.json" => _ = open.insert(run),
            "report.json" => _ = reported.insert(run),
            "roster.jsonl.zst" => _ = begun.insert(run),
            _ => _ = goes_on.insert(run),
        }
    }
    for run in begun.iter().filter(|run| [&open, &reported, &goes_on].iter().all(|runs| !runs.contains(run))) {
        // Fan-out was stopped between the two. Without run.json nobody knows what was asked; fan-out will go on from the roster.
        tracing::info!(run_id = %run, "a roster without a run.json: invoke fan-out again to start the run");
    }
    let highest = archive.ledger_highest().await?;
    let gone = expired(archive, highest, &reported, deps.rules.retention).await?;
    if u64::try_from(reported.len()) != Ok(highest - gone) {
        let mut n = highest;
        let mut unnamed = reported.clone();
        while n > 0 && !unnamed.is_empty() {
            unnamed.remove(&archive.ledger_entry(n).await?.1.run_id);
            n -= 1;
        }
        // A run whose run.json has expired is over.
        unnamed.retain(|run| open.contains(run) || deps.rules.retention.is_none());
        reported = &reported - &unnamed;
        open.append(&mut unnamed);
    }
    let mut runs: Vec<RunId> = open.difference(&reported).cloned().collect();
    if deps.rules.retention.is_some() {
        let mut kept = Vec::new();
        for run in runs {
            // Files expire in any order: one that is left of an old run makes no open run of it. Of one that cannot be read
            // that is said where it is reconciled, and the others go on.
            match archive.run(&run).await {
                Ok(file) if file.as_ref().is_none_or(|file| is_over(file, deps)) => {}
                Ok(_) | Err(_) => kept.push(run),
            }
        }
        runs = kept;
    }
    Ok(runs)
}

/// Whether a run began before what is kept: its files expire, closed or not.
fn is_over(file: &RunFile, deps: &Deps) -> bool {
    file.started_at < deps.rules.kept_since(deps.clock.now())
}

/// How many of the oldest entries name runs whose reports are gone. Entries are in the order in which reports were put, and
/// so is what expires: the first entry whose run has its report is found by halving.
async fn expired(
    archive: &Archive,
    highest: u64,
    reported: &BTreeSet<RunId>,
    retention: Option<SignedDuration>,
) -> Result<u64, ArchiveError> {
    // Where reports expire, as many may have as there are runs whose entry is missing.
    if retention.is_none() && u64::try_from(reported.len()).is_ok_and(|reports| reports >= highest) {
        return Ok(0);
    }
    let (mut gone, mut there) = (0, highest + 1);
    while there - gone > 1 {
        let n = gone + (there - gone) / 2;
        if reported.contains(&archive.ledger_entry(n).await?.1.run_id) { there = n } else { gone = n }
    }
    Ok(gone)
}

/// Reconciles these runs. The answers are in their order.
pub(crate) async fn reconcile(
    archive: &Archive,
    runs: Vec<RunId>,
    deadline: Deadline,
    deps: &Deps,
) -> Result<Vec<Answer>, ReconcileError> {
    let mut answers = Vec::new();
    for run in &runs {
        answers.push(step(archive, run, None, deps).await);
    }
    let waits = |answer: &Result<Answer, ReconcileError>| matches!(answer, Ok(Answer::Open(_)));
    if answers.iter().any(waits) && quiet(deadline, deps).await? {
        for (run, answer) in runs.iter().zip(&mut answers).filter(|(_, answer)| waits(answer)) {
            *answer = step(archive, run, Some(deadline), deps).await;
        }
    }
    let (mut done, mut first) = (Vec::new(), None);
    for (run, answer) in runs.iter().zip(answers) {
        match answer {
            Ok(answer) => {
                if let Answer::Open(open) = &answer {
                    tracing::info!(run_id = %run, waiting = open.waiting, "run open");
                }
                done.push(answer);
            }
            Err(error) if first.is_none() => first = Some(error),
            // The first is for the caller to report, and only one can be.
            Err(error) => {
                tracing::error!(run_id = %run, error = %Chain(&error), "run not reconciled");
            }
        }
    }
    first.map_or(Ok(done), Err)
}

/// Whether nothing was visible, in flight or delayed on two readings of the queue. One alone proves little, since a queue's
/// numbers are approximate and a worker may be between receiving and sending on.
async fn quiet(deadline: Deadline, deps: &Deps) -> Result<bool, QueueError> {
    let pause = SignedDuration::try_from(deps.rules.quiet).unwrap_or(SignedDuration::MAX);
    let second = deps.clock.now().checked_add(pause);
    if second.is_ok_and(|second| deadline.passed(second)) || !deps.queue.depth().await?.is_quiet() {
        return Ok(false);
    }
    deps.clock.sleep(deps.rules.quiet).await;
    Ok(deps.queue.depth().await?.is_quiet())
}

/// Takes a run as far as it can go. The queue was found quiet if there is a time until which users may be sent again; the
/// receipts are read after that, since a worker deletes a message only when its receipt is written.
async fn step(
    archive: &Archive,
    run: &RunId,
    quiet_until: Option<Deadline>,
    deps: &Deps,
) -> Result<Answer, ReconcileError> {
    let state = look(archive, run, deps).await?;
    let (file, roster, tally) = match state {
        State::Closed(closed) => return Ok(Answer::Closed(closed)),
        State::Open { file, roster, tally } => (file, roster, tally),
        State::Closing { file, roster, tally } => return finish(archive, &file, &roster, tally, deps).await,
    };
    let waiting = tally.waiting();
    if waiting == 0 || deps.clock.now() >= file.deadline {
        return finish(archive, &file, &roster, tally, deps).await;
    }
    if let Some(until) = quiet_until {
        let missing: Vec<UserId> = tally.missing().collect();
        let rounds = Rounds::read(archive, run).await?;
        // Who failed was judged, and the judgement stands.
        if missing.is_empty() || rounds.count >= MAX_ROUNDS {
            return finish(archive, &file, &roster, tally, deps).await;
        }
        drop(tally);
        let sent = send(&file, &missing, &*deps.queue, &*deps.clock, until).await?;
        tracing::info!(run_id = %run, round = rounds.count + 1, users = sent, "users without a class sent again");
        // Stopped by the time, the rest would never be sent in this round: the next invocation begins it anew.
        if sent == missing.len() {
            rounds.count_one(archive, run).await?;
        }
    }
    Ok(Answer::Open(Open { run_id: run.clone(), state: RunState::Open, waiting }))
}

async fn finish(
    archive: &Archive,
    file: &RunFile,
    roster: &Roster,
    tally: Tally,
    deps: &Deps,
) -> Result<Answer, ReconcileError> {
    Ok(Answer::Closed(Box::new(close(archive, file, roster, tally, deps).await?)))
}

/// Sends users of an open run again, without counting a round.
pub(crate) async fn resend(archive: &Archive, run: &RunId, deps: &Deps) -> Result<u64, ReconcileError> {
    let State::Open { file, tally, .. } = look(archive, run, deps).await? else { return Ok(0) };
    let missing: Vec<UserId> = tally.missing().collect();
    let sent = send(&file, &missing, &*deps.queue, &*deps.clock, Deadline::never()).await?;
    Ok(u64::try_from(sent).unwrap_or(u64::MAX))
}

/// What lies in the archive of a run.
enum State {
    /// A ledger entry names it.
    Closed(Box<Closed>),
    /// It has a users file: what it closes with is decided.
    Closing { file: Box<RunFile>, roster: Roster, tally: Tally },
    /// It goes on.
    Open { file: Box<RunFile>, roster: Roster, tally: Tally },
}

async fn look(archive: &Archive, run: &RunId, deps: &Deps) -> Result<State, ReconcileError> {
    let file = archive.run(run).await?.ok_or_else(|| ReconcileError::UnknownRun(run.clone()))?;
    let over = is_over(&file, deps);
    let gone = |file| {
        if over { ReconcileError::Expired(run.clone()) } else { ReconcileError::Gone { run: run.clone(), file } }
    };
    if let Some(ledger) = archive.closed(run).await? {
        let report = archive.report(run).await?.ok_or_else(|| gone("report.json"))?;
        return Ok(State::Closed(Box::new(Closed { report, ledger })));
    }
    if over {
        return Err(ReconcileError::Expired(run.clone()));
    }
    let roster = read_roster(archive, run).await?.ok_or_else(|| gone("roster.jsonl.zst"))?;
    let closing = !archive.list(&layout::users(run)).await?.is_empty();
    let tally = Tally::read(archive, run, &roster.planned).await?;
    let file = Box::new(file);
    Ok(if closing { State::Closing { file, roster, tally } } else { State::Open { file, roster, tally } })
}
