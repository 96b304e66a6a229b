//! The window of a user in a run, fixed by the first attempt.

use archive::RunProgress;
use archive::records::RunFile;
use domain::{Class, Coverage, Failure, Kind, Message, Timestamp, Window};
use settings::Rules;

/// The window of a user that no attempt of this run has fixed; or the class of one that has none. It does not begin before
/// what is kept: what has expired is not archived again.
pub(crate) fn of(message: &Message, run: &RunFile, coverage: Option<Coverage>, rules: &Rules) -> Result<Window, Class> {
    let inverted = Class::Failed(Failure::InvertedWindow);
    match (run.kind, message.from, message.to) {
        (_, Some(from), Some(to)) => Window::new(from, to).map_err(|_| inverted),
        (Kind::History, _, _) => match coverage {
            // Planned by its users files, but the checkpoint is lost: the next daily run sets a new one, and history goes on.
            None => Err(Class::Deferred),
            // Another history run has been here since this one was planned: nothing is left to be read.
            Some(coverage) => {
                Window::new(rules.history_begins(run.started_at), coverage.from()).map_err(|_| Class::Deferred)
            }
        },
        (_, None, Some(to)) => {
            let covered = coverage.map_or(to, |coverage| coverage.to().min(to));
            let from = covered.checked_sub(rules.overlap).unwrap_or(Timestamp::MIN);
            Window::new(from.max(rules.kept_since(run.started_at)), to).map_err(|_| inverted)
        }
        (_, _, None) => Err(inverted),
    }
}

/// Whether a daily window begins where what is kept begins, and so does not reach the overlap of what is covered: as after an
/// outage that was as long. No later window ever will, so coverage begins anew with it; what it leaves behind has expired.
pub(crate) fn is_cut_off(coverage: Option<Coverage>, whole: Window, run: &RunFile, rules: &Rules) -> bool {
    let overlap_starts = coverage.and_then(|coverage| coverage.to().checked_sub(rules.overlap).ok());
    whole.from() == rules.kept_since(run.started_at) && overlap_starts.is_some_and(|starts| whole.from() > starts)
}

/// Whether a line can be of a run whose windows begin no earlier than this. One that cannot is of a run of the same id that
/// expired before it was closed: what it read has expired with it.
pub(crate) fn is_kept(line: &RunProgress, kept_since: Timestamp) -> bool {
    line.window.is_none_or(|window| window.to() > kept_since)
}

/// The length to begin with where an earlier history run was cut off: asking for the whole range again would spend this
/// run's time as it spent that one's. Its window began no later, since what is kept begins later from run to run.
pub(crate) fn length_of_earlier_runs(runs: &[RunProgress], whole: Window) -> Option<u64> {
    let same_range = |run: &&RunProgress| run.window.is_some_and(|window| window.from() <= whole.from());
    runs.iter().rev().find(same_range).and_then(|run| run.piece_seconds)
}
