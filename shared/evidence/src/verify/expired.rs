//! Expired by policy: what runs that began before what is kept have put, and is gone.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;

use super::Check;
use super::erased::Gone;

/// What has expired by policy. It is no fault; what is left of such a run is checked as ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expired {
    /// How many days what is archived is kept, as the asker says.
    pub days: u32,
    /// What was put before may be gone.
    pub before: Timestamp,
    /// Runs of which anything is gone.
    pub runs: u64,
    /// Their files that are gone.
    pub run_files: u64,
    /// Segments that their receipts name and that are gone.
    pub segments: u64,
    /// The lines of these segments that users files still call new, of the users read.
    pub lines: u64,
    /// Pages in quarantine that their receipts name and that are gone.
    pub pages: u64,
}

/// What is found to have expired, run by run.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) runs: u64,
    pub(super) run_files: u64,
    /// Of the users read, with the lines that users files call new.
    pub(super) gone: Gone,
    /// Runs of which receipts are gone, so that nothing says which segments they named.
    pub(super) without_receipts: HashSet<String>,
}

impl Past {
    /// A segment that a receipt names and that is gone.
    pub(super) fn lose(&mut self, key: &str, lines: u64, of_a_user_read: bool) {
        self.gone.segments.insert(key.to_owned(), if of_a_user_read { lines } else { 0 });
    }

    pub(super) fn is_whole(&self) -> bool {
        self.run_files == 0 && self.gone.segments.is_empty() && self.gone.pages.is_empty()
    }

    pub(super) fn add(&mut self, more: Self) {
        self.runs += more.runs;
        self.run_files += more.run_files;
        self.gone.add(more.gone);
        self.without_receipts.extend(more.without_receipts);
    }
}

impl Check<'_> {
    pub(super) fn list_expired(&mut self) {
        let Some(retention) = self.expectation.retention else { return };
        let Past { runs, run_files, gone, .. } = &self.found.past;
        self.found.verdict.expired = Some(Expired {
            days: retention.days,
            before: retention.kept_since(),
            runs: *runs,
            run_files: *run_files,
            segments: gone.segments.len() as u64,
            lines: gone.segments.values().fold(0, |sum, lines| sum.saturating_add(*lines)),
            pages: gone.pages.len() as u64,
        });
    }
}
