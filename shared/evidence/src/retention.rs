//! Retention: what was archived expires by policy, and its absence then is no fault.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::form::{LedgerEntry, Run};

/// A run takes no longer: what it has fetched it has put by then, and then it is closed.
const RUN: SignedDuration = SignedDuration::from_hours(24);

/// How long what is archived is kept, and when that is asked. An archive does not say it: whoever reads it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Days after which an object may be gone, counted from when it was put.
    pub days: u32,
    /// The time of reading.
    pub read_at: Timestamp,
}

impl Retention {
    /// What was put before may be gone.
    pub fn kept_since(self) -> Timestamp {
        self.read_at.checked_sub(self.length()).unwrap_or(Timestamp::MIN)
    }

    /// How long an object is kept at the least.
    pub(crate) fn length(self) -> SignedDuration {
        SignedDuration::from_hours(i64::from(self.days) * 24)
    }

    /// Whether objects of this key expire at all.
    pub(crate) fn covers(key: &str) -> bool {
        ["interactions/", "quarantine/", "runs/"].iter().any(|prefix| key.starts_with(prefix))
    }

    /// Whether a run is past: it began before what is kept, so whatever it put may have expired, in any order. When it began
    /// its `run.json` or its report says; once both are gone, its ledger entry says when it was closed, or its id when it was scheduled.
    pub(crate) fn is_past(self, began: Option<Timestamp>, entry: Option<&LedgerEntry>) -> bool {
        let known = began.or(entry.map(|entry| entry.closed_at));
        known.is_some_and(|time| time < self.kept_since())
    }
}

/// Whether what was fetched at one time can have been put after another.
pub(crate) fn may_be_put_after(time: Timestamp, fetched_at: Timestamp) -> bool {
    fetched_at.duration_since(time) >= -RUN
}

/// When a run began, by whichever of its files is left.
pub(crate) fn began(run: Option<&Run>, report: Option<Timestamp>) -> Option<Timestamp> {
    run.map(|run| run.started_at).or(report)
}

/// When a run was scheduled, if its id is of that form. It began then or later.
pub(crate) fn scheduled(run: &str) -> Option<Timestamp> {
    let stamp = run.get(..16).filter(|_| matches!(run.get(16..), Some("" | "-history" | "-lookback")))?;
    TimeZone::UTC.to_timestamp(DateTime::strptime("%Y%m%dT%H%M%SZ", stamp).ok()?).ok()
}
