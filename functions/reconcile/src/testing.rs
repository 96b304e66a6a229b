//! Words of the tests of this crate.

use archive::records::{Counts, ReceiptLine, SegmentRef};
use domain::{AttemptId, Class, RunId, Timestamp, UserId, Window};
use jiff::SignedDuration;

pub(crate) fn run_id() -> RunId {
    "20261124T030000Z".parse().unwrap()
}

pub(crate) fn user(n: u8) -> UserId {
    UserId::from_bytes([n; 16])
}

pub(crate) fn attempt(n: u8) -> AttemptId {
    format!("{n:032x}").parse().unwrap()
}

pub(crate) fn at(hour: i64) -> Timestamp {
    "2026-11-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour)
}

pub(crate) fn window(from: i64, to: i64) -> Window {
    Window::new(at(from), at(to)).unwrap()
}

pub(crate) fn segment(n: u64, lines: u64, adopted: bool) -> SegmentRef {
    SegmentRef { key: format!("segment-{n:06}"), lines, sha256: format!("{n:064x}"), adopted }
}

/// A line that says nothing but how the user ended.
pub(crate) fn line(of: u8, by: u8, class: Option<Class>) -> ReceiptLine {
    ReceiptLine {
        user_id: user(of),
        run_id: run_id(),
        attempt_id: attempt(by),
        class,
        windows: Vec::new(),
        pages: 0,
        received: 0,
        new: 0,
        already_held: 0,
        segments: Vec::new(),
        quarantine: Vec::new(),
        covered_from: None,
        covered_to: None,
        requests: Counts::new(),
        retries: 0,
        request_ids: Vec::new(),
        lateness: Counts::new(),
    }
}
