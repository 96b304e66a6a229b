//! Windows of time, and the one interval that a user's coverage is.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Why two times are no window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the window does not begin before it ends")]
pub struct WindowError;

/// A window `(from, to]`: it begins after `from` and holds `to`. It cannot be empty or inverted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Window {
    from: Timestamp,
    to: Timestamp,
}

impl Window {
    /// The window from just after `from` up to `to`.
    pub fn new(from: Timestamp, to: Timestamp) -> Result<Self, WindowError> {
        if from < to { Ok(Self { from, to }) } else { Err(WindowError) }
    }

    /// The instant after which it begins.
    pub const fn from(self) -> Timestamp {
        self.from
    }

    /// Its last instant.
    pub const fn to(self) -> Timestamp {
        self.to
    }

    /// How long it is.
    pub fn length(self) -> SignedDuration {
        self.to.duration_since(self.from)
    }

    /// Whether the instant lies in it.
    pub fn holds(self, time: Timestamp) -> bool {
        self.from < time && time <= self.to
    }

    /// The oldest part of it, at most this long.
    pub fn oldest(self, length: SignedDuration) -> Self {
        let to = self.from.checked_add(length).map_or(self.to, |to| to.min(self.to));
        Self { from: self.from, to: if to > self.from { to } else { self.to } }
    }

    /// The newest part of it, at most this long.
    pub fn newest(self, length: SignedDuration) -> Self {
        let from = self.to.checked_sub(length).map_or(self.from, |from| from.max(self.from));
        Self { from: if from < self.to { from } else { self.from }, to: self.to }
    }

    /// The window that holds both, if they touch or overlap.
    pub fn joined(self, other: Self) -> Option<Self> {
        (self.from <= other.to && other.from <= self.to)
            .then(|| Self { from: self.from.min(other.from), to: self.to.max(other.to) })
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            from: Timestamp,
            to: Timestamp,
        }
        let Wire { from, to } = Wire::deserialize(deserializer)?;
        Self::new(from, to).map_err(serde::de::Error::custom)
    }
}

/// A user's coverage: the one interval of which everything that Graph showed is in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Coverage(Window);

impl Coverage {
    /// The coverage that a first daily window sets.
    pub const fn first(window: Window) -> Self {
        Self(window)
    }

    /// The instant after which it begins.
    pub const fn from(self) -> Timestamp {
        self.0.from
    }

    /// Its last instant.
    pub const fn to(self) -> Timestamp {
        self.0.to
    }

    /// What coverage is after the pieces `read` of one run, where `self` stood before its first piece.
    ///
    /// Upwards only for a window that re-reads the whole overlap, since a window that merely touches would skip it and
    /// lose a late item; downwards only for a window that reaches up to what is covered.
    pub fn widened(self, read: Window, overlap: SignedDuration) -> Self {
        let overlap_starts = self.0.to.checked_sub(overlap).unwrap_or(Timestamp::MIN);
        let to = if read.from <= overlap_starts { self.0.to.max(read.to) } else { self.0.to };
        let from = if read.to >= self.0.from { self.0.from.min(read.from) } else { self.0.from };
        Self(Window { from, to })
    }

    /// The part of it that this window is; `None` for a window that reaches beyond it, since nothing but reading widens.
    pub fn narrowed(self, part: Window) -> Option<Self> {
        (self.0.from <= part.from && part.to <= self.0.to).then_some(Self(part))
    }

    /// What two writers that knew different coverage of one user know together: intervals that overlap by `overlap` are
    /// joined, else the one that ends later stays.
    pub fn merged(self, other: Self, overlap: SignedDuration) -> Self {
        if self.0.to == other.0.to {
            // One holds the other.
            return if self.0.from <= other.0.from { self } else { other };
        }
        let (early, late) = if self.0.to < other.0.to { (self.0, other.0) } else { (other.0, self.0) };
        let overlap_starts = early.to.checked_sub(overlap).unwrap_or(Timestamp::MIN);
        if late.from <= overlap_starts {
            Self(Window { from: early.from.min(late.from), to: late.to })
        } else {
            Self(late)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1_000 + hour)
    }

    fn window(from: i64, to: i64) -> Window {
        Window::new(at(from), at(to)).unwrap()
    }

    const OVERLAP: SignedDuration = SignedDuration::from_hours(72);

    #[test]
    fn a_window_cannot_be_empty_or_inverted() {
        assert_eq!(Window::new(at(1), at(1)), Err(WindowError));
        assert_eq!(Window::new(at(2), at(1)), Err(WindowError));
        assert!(
            serde_json::from_str::<Window>(r#"{"from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}"#).is_err()
        );
    }

    #[test]
    fn parts_of_a_window_stay_in_it_and_are_never_empty() {
        let whole = window(0, 10);
        assert_eq!(whole.oldest(SignedDuration::from_hours(3)), window(0, 3));
        assert_eq!(whole.newest(SignedDuration::from_hours(3)), window(7, 10));
        assert_eq!(whole.oldest(SignedDuration::from_hours(30)), whole);
        assert_eq!(whole.newest(SignedDuration::ZERO), whole);
        assert_eq!(whole.oldest(SignedDuration::MAX), whole);
    }

    #[test]
    fn a_daily_window_widens_upwards() {
        let coverage = Coverage::first(window(0, 72));
        assert_eq!(coverage.widened(window(0, 96), OVERLAP), Coverage(window(0, 96)));
    }

    #[test]
    fn a_window_that_merely_touches_claims_nothing() {
        let coverage = Coverage::first(window(0, 100));
        assert_eq!(coverage.widened(window(100, 200), OVERLAP), coverage);
        assert_eq!(coverage.widened(window(29, 200), OVERLAP), coverage);
        assert_eq!(coverage.widened(window(28, 200), OVERLAP), Coverage(window(0, 200)));
    }

    #[test]
    fn a_look_back_after_an_outage_does_not_claim_the_gap() {
        let coverage = Coverage::first(window(0, 100));
        assert_eq!(coverage.widened(window(196, 220), OVERLAP), coverage);
    }

    #[test]
    fn history_widens_downwards_only_when_it_reaches_what_is_covered() {
        let coverage = Coverage::first(window(100, 200));
        assert_eq!(coverage.widened(window(50, 100), OVERLAP), Coverage(window(50, 200)));
        assert_eq!(coverage.widened(window(50, 99), OVERLAP), coverage);
    }

    #[test]
    fn coverage_is_narrowed_to_a_part_of_it_and_to_nothing_else() {
        let coverage = Coverage::first(window(50, 100));
        for part in [window(50, 100), window(50, 60), window(90, 100), window(60, 61)] {
            assert_eq!(coverage.narrowed(part), Some(Coverage(part)));
        }
        for other in [window(49, 100), window(50, 101), window(0, 50), window(100, 150)] {
            assert_eq!(coverage.narrowed(other), None);
        }
    }

    #[test]
    fn merging_joins_what_overlaps_and_keeps_the_later_of_what_does_not() {
        let (a, b) = (Coverage(window(0, 100)), Coverage(window(28, 124)));
        assert_eq!(a.merged(b, OVERLAP), Coverage(window(0, 124)));
        assert_eq!(b.merged(a, OVERLAP), Coverage(window(0, 124)));
        let short = Coverage(window(90, 100));
        assert_eq!(short.merged(a, OVERLAP), a);
        assert_eq!(a.merged(short, OVERLAP), a);
        let far = Coverage(window(99, 300));
        assert_eq!(a.merged(far, OVERLAP), far);
        assert_eq!(far.merged(a, OVERLAP), far);
    }

    #[test]
    fn windows_join_only_without_a_gap() {
        assert_eq!(window(0, 2).joined(window(2, 3)), Some(window(0, 3)));
        assert_eq!(window(0, 2).joined(window(3, 4)), None);
    }
}
