//! What of a user's time was read, what was not, and why.

use jiff::Timestamp;
use serde::Serialize;

/// A window `(from, to]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
pub struct Window {
    /// The instant after which it begins.
    pub from: Timestamp,
    /// Its last instant.
    pub to: Timestamp,
}

/// Time that closed runs read to its end, without a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// From and to.
    pub window: Window,
    /// How many windows it was read in.
    pub windows: u64,
    /// The runs that read them, in the order of the ledger.
    pub runs: Vec<String>,
}

/// Why a run did not cover time that it should have covered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "why", content = "detail", rename_all = "kebab-case")]
pub enum Reason {
    /// No closed run should have covered it.
    NoRun,
    /// The user was not in the run's roster.
    NotInRoster,
    /// The roster has the user as excluded, with this reason.
    Excluded(String),
    /// The run planned the user and ended without a class.
    Missing,
    /// The run ended with this class, its reason in parentheses.
    Class(String),
}

/// Time within what was asked that was not read, or not by the run that should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// From and to.
    pub window: Window,
    /// Why: of the runs that should have covered it, each with its reason.
    pub reasons: Vec<(Reason, Vec<String>)>,
    /// Ids of failed requests that the receipts name, to show to Microsoft.
    pub request_ids: Vec<String>,
    /// The run that read it later; an open gap has none.
    pub healed_by: Option<String>,
}

/// A user's coverage within the range asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// What was asked.
    pub asked: Window,
    /// What was read to its end.
    pub intervals: Vec<Interval>,
    /// What was not, by time; healed gaps too.
    pub gaps: Vec<Gap>,
}

impl Coverage {
    /// The gaps that nothing has read.
    pub fn open(&self) -> impl Iterator<Item = &Gap> {
        self.gaps.iter().filter(|gap| gap.healed_by.is_none())
    }
}
