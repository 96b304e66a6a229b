//! Lowering a user's coverage, so that what was taken away is read again.
//!
//! Coverage is a claim that later runs build on. Where it is wrong, because Graph is known to have left things out or a state
//! bucket was restored from somewhere else, it is lowered here; nothing raises it but reading. What the checkpoint knows of
//! the logs stays, so that what is read again is not written again.

use archive::{Archive, ArchiveError, Checkpoint, RunProgress};
use domain::{Coverage, RunId, Timestamp, UserId, Window};

/// How often the checkpoint is read and put again when a worker stores one in between. Each round one of the two wins.
const MAX_ROUNDS: u32 = 16;

/// What is left of the coverage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lowering {
    /// The part between these times; without one of them up to where it reaches now.
    Part {
        /// Where the part begins.
        from: Option<Timestamp>,
        /// Where it ends.
        to: Option<Timestamp>,
    },
    /// Nothing: the next daily run begins anew.
    Drop,
}

/// What lowering does to a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lowered {
    /// The coverage before.
    pub before: Option<Coverage>,
    /// And after.
    pub after: Option<Coverage>,
    /// Runs that were in the course of reading the user, and begin with the user anew: what they read was built on the
    /// coverage before.
    pub restarted: Vec<RunId>,
}

impl Lowered {
    /// Whether nothing is to be done.
    pub fn is_nothing(&self) -> bool {
        self.before == self.after && self.restarted.is_empty()
    }
}

/// Why a coverage was not lowered.
#[derive(Debug, thiserror::Error)]
pub enum LowerError {
    /// There is none.
    #[error(
        "the state holds no checkpoint of this user, so nothing is claimed; if it has a bucket of its own, name it by STATE_BUCKET"
    )]
    NoCheckpoint,
    /// It claims nothing.
    #[error("the user's checkpoint claims no coverage, so there is nothing to lower")]
    NothingCovered,
    /// It would claim more than it does.
    #[error("coverage is {} … {}; it can be lowered to a part of that, and only reading raises it", covered.from(), covered.to())]
    NoPart {
        /// What is covered.
        covered: Coverage,
    },
    /// The part would be empty.
    #[error("the part does not begin before it ends; to leave nothing, drop the coverage")]
    Empty,
    /// Others keep storing the checkpoint.
    #[error("the checkpoint changes too often; wait until the open runs are closed and try again")]
    Contended,
    /// The archive cannot be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// What lowering would do.
pub async fn plan(archive: &Archive, user: UserId, lowering: Lowering) -> Result<Lowered, LowerError> {
    let mut handle = archive.checkpoint(user).await?;
    if !handle.is_stored() {
        return Err(LowerError::NoCheckpoint);
    }
    lower_in(&mut handle.checkpoint, lowering)
}

/// Lowers a user's coverage in the checkpoint.
pub async fn lower(archive: &Archive, user: UserId, lowering: Lowering) -> Result<Lowered, LowerError> {
    let mut first: Option<Lowered> = None;
    for _ in 0..MAX_ROUNDS {
        let mut handle = archive.checkpoint(user).await?;
        if !handle.is_stored() {
            return Err(LowerError::NoCheckpoint);
        }
        let lowered = match (lower_in(&mut handle.checkpoint, lowering), &first) {
            // A put whose answer was lost has done it.
            (Err(LowerError::NothingCovered), Some(_)) => Lowered { before: None, after: None, restarted: Vec::new() },
            (outcome, _) => outcome?,
        };
        let done = lowered.is_nothing() || archive.replace(&mut handle).await?;
        let Lowered { before, restarted, .. } = first.take().unwrap_or_else(|| lowered.clone());
        let all = Lowered { before, after: lowered.after, restarted };
        if done {
            return Ok(all);
        }
        first = Some(all);
    }
    Err(LowerError::Contended)
}

fn lower_in(checkpoint: &mut Checkpoint, lowering: Lowering) -> Result<Lowered, LowerError> {
    let before = checkpoint.coverage;
    let after = match (lowering, before) {
        (_, None) => return Err(LowerError::NothingCovered),
        (Lowering::Drop, _) => None,
        (Lowering::Part { from, to }, Some(covered)) => {
            let part = Window::new(from.unwrap_or(covered.from()), to.unwrap_or(covered.to()));
            let part = part.map_err(|_| LowerError::Empty)?;
            Some(covered.narrowed(part).ok_or(LowerError::NoPart { covered })?)
        }
    };
    checkpoint.coverage = after;
    let mut restarted = Vec::new();
    if before != after {
        for line in checkpoint.runs.iter_mut().filter(|line| line.ended.is_none() && line.window.is_some()) {
            restarted.push(line.run_id.clone());
            *line = anew(line);
        }
    }
    Ok(Lowered { before, after, restarted })
}

/// The line of a run that has read nothing yet. What it put and what was shown to it stays true.
fn anew(line: &RunProgress) -> RunProgress {
    RunProgress {
        shown: line.shown,
        segments: line.segments.clone(),
        quarantine: line.quarantine.clone(),
        ..RunProgress::new(line.run_id.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use archive::faults::{Fault, Operation};
    use archive::{KnownItems, KnownLog, Month, layout};
    use domain::Class;

    use super::*;
    use crate::testing::{OVERLAP, USER, World, time};

    const FROM: &str = "2026-11-01T00:00:00Z";
    const TO: &str = "2026-11-24T00:00:00Z";

    fn covered(from: &str, to: &str) -> Option<Coverage> {
        Some(Coverage::first(Window::new(time(from), time(to)).unwrap()))
    }

    fn part(from: Option<&str>, to: Option<&str>) -> Lowering {
        Lowering::Part { from: from.map(time), to: to.map(time) }
    }

    /// A checkpoint with everything in it: coverage, a log, a run that has ended and one that has not.
    fn filled() -> Checkpoint {
        let items = KnownItems::default();
        let mut checkpoint = Checkpoint {
            coverage: covered(FROM, TO),
            months: [("2026-11".parse::<Month>().unwrap(), KnownLog { next: 7, items })].into(),
            runs: Vec::new(),
        };
        let window = Window::new(time(FROM), time(TO)).unwrap();
        for (run, ended) in [("ended", Some(Class::Exported)), ("going-on", None)] {
            let line = checkpoint.run_mut(&run.parse().unwrap());
            (line.window, line.before, line.read) = (Some(window), covered(FROM, TO), Some(window));
            (line.shown, line.ended, line.piece_seconds) = (true, ended, Some(60));
        }
        checkpoint
    }

    async fn stored(world: &World) -> Archive {
        let archive = world.archive().await;
        let mut handle = archive.checkpoint(USER).await.unwrap();
        handle.checkpoint = filled();
        archive.save(&mut handle, OVERLAP).await.unwrap();
        archive
    }

    #[tokio::test(start_paused = true)]
    async fn coverage_is_lowered_to_what_is_asked_and_all_else_stays() {
        for (lowering, after) in [
            (part(None, Some("2026-11-20T00:00:00Z")), covered(FROM, "2026-11-20T00:00:00Z")),
            (part(Some("2026-11-10T00:00:00Z"), None), covered("2026-11-10T00:00:00Z", TO)),
            (Lowering::Drop, None),
        ] {
            let world = World::new();
            let archive = stored(&world).await;
            let planned = plan(&archive, USER, lowering).await.unwrap();
            assert_eq!(archive.checkpoint(USER).await.unwrap().checkpoint, filled(), "a plan changes nothing");
            let lowered = lower(&archive, USER, lowering).await.unwrap();
            assert_eq!(lowered, planned);
            assert_eq!((lowered.before, lowered.after), (covered(FROM, TO), after));
            assert_eq!(lowered.restarted, ["going-on".parse().unwrap()]);
            let read = archive.checkpoint(USER).await.unwrap().checkpoint;
            let expected = filled();
            assert_eq!((read.coverage, &read.months, &read.runs[0]), (after, &expected.months, &expected.runs[0]));
            let mut going_on = RunProgress::new("going-on".parse().unwrap());
            going_on.shown = true;
            assert_eq!(read.runs[1], going_on);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_widened_and_a_refusal_changes_nothing() {
        let world = World::new();
        let archive = world.archive().await;
        assert!(matches!(lower(&archive, USER, Lowering::Drop).await, Err(LowerError::NoCheckpoint)));
        let archive = stored(&world).await;
        for lowering in [
            part(None, Some("2026-11-24T00:00:01Z")),
            part(Some("2026-10-31T00:00:00Z"), None),
            part(Some("2026-10-31T00:00:00Z"), Some("2026-11-20T00:00:00Z")),
            part(Some("2026-11-25T00:00:00Z"), Some("2026-11-26T00:00:00Z")),
        ] {
            assert!(matches!(lower(&archive, USER, lowering).await, Err(LowerError::NoPart { .. })), "{lowering:?}");
        }
        for lowering in [part(Some(TO), None), part(None, Some(FROM)), part(Some(TO), Some(FROM))] {
            assert!(matches!(lower(&archive, USER, lowering).await, Err(LowerError::Empty)), "{lowering:?}");
        }
        assert_eq!(archive.checkpoint(USER).await.unwrap().checkpoint, filled());
        lower(&archive, USER, Lowering::Drop).await.unwrap();
        assert!(matches!(lower(&archive, USER, Lowering::Drop).await, Err(LowerError::NothingCovered)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_twice_is_done_once() {
        let world = World::new();
        let archive = stored(&world).await;
        let lowering = part(None, Some("2026-11-20T00:00:00Z"));
        assert!(!lower(&archive, USER, lowering).await.unwrap().is_nothing());
        let puts = world.state_faults.operations().puts;
        assert!(lower(&archive, USER, lowering).await.unwrap().is_nothing());
        assert_eq!(world.state_faults.operations().puts, puts);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_answer_does_not_make_it_fail() {
        for fault in [Fault::Lost, Fault::Unanswered, Fault::Late] {
            for lowering in [part(Some("2026-11-10T00:00:00Z"), None), Lowering::Drop] {
                let world = World::new();
                let archive = stored(&world).await;
                let planned = plan(&archive, USER, lowering).await.unwrap();
                world.state_faults.fail_next(Operation::Put, "state/", fault);
                assert_eq!(lower(&archive, USER, lowering).await.unwrap(), planned, "{fault:?}");
                world.state_faults.land().await;
                let read = archive.checkpoint(USER).await.unwrap().checkpoint;
                assert_eq!(read.coverage, planned.after, "{fault:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_worker_stores_in_between_is_kept_and_its_coverage_is_not() {
        let world = World::new();
        let archive = stored(&world).await;
        let key = layout::checkpoint(archive.tenant(), USER);
        // Read by the command, replaced by a worker, and then put by the command.
        let mut theirs = filled();
        theirs.coverage = covered(FROM, "2026-11-25T00:00:00Z");
        theirs.months.values_mut().for_each(|log| log.next = 9);
        let bytes = theirs.to_bytes(archive.id()).unwrap();
        let racing = world.archive_racing(key, bytes).await;
        let lowered = lower(&racing, USER, part(None, Some("2026-11-20T00:00:00Z"))).await.unwrap();
        assert_eq!(lowered.before, covered(FROM, TO));
        let read = Arc::new(archive.checkpoint(USER).await.unwrap().checkpoint);
        assert_eq!(read.coverage, covered(FROM, "2026-11-20T00:00:00Z"));
        assert!(read.months.values().all(|log| log.next == 9));
    }
}
