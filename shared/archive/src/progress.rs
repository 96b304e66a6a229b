//! How far a user is in a run: what a further attempt goes on from.

use domain::{AttemptId, Class, Coverage, Failure, RunId, Timestamp, Window};
use serde::{Deserialize, Serialize};

use crate::records::{QuarantineRef, class_names};

/// A segment that a run put into a user's logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSegment {
    /// Its key.
    pub key: String,
    /// How many records it holds.
    pub lines: u64,
    /// The hash of the stored object.
    pub sha256: String,
    /// The attempt that put it.
    pub attempt_id: AttemptId,
}

/// A user's line of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProgress {
    /// The run.
    pub run_id: RunId,
    /// The user's window, fixed by the first attempt.
    pub window: Option<Window>,
    /// The coverage that stood before the run's first piece.
    pub before: Option<Coverage>,
    /// The pieces read in order, as one.
    pub read: Option<Window>,
    /// What was read beyond a failed piece.
    pub other_windows: Vec<Window>,
    /// Whether any page showed an item, be it one of a piece that was not read to its end.
    pub shown: bool,
    /// Why the piece at the end of `read` failed, until one is read there.
    #[serde(default, with = "failure_name")]
    pub failed: Option<Failure>,
    /// Graph asked not to be asked for this user before this time.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// How the user's part of the run ended, once it has; written as `class` and `reason`.
    #[serde(flatten, with = "class_names")]
    pub ended: Option<Class>,
    /// The length of the piece to try next.
    pub piece_seconds: Option<u64>,
    /// The run's segments in the user's logs.
    pub segments: Vec<RunSegment>,
    /// Pages that did not parse.
    pub quarantine: Vec<QuarantineRef>,
}

impl RunProgress {
    /// The line of a run in which nothing has happened yet.
    pub const fn new(run_id: RunId) -> Self {
        Self {
            run_id,
            window: None,
            before: None,
            read: None,
            other_windows: Vec::new(),
            shown: false,
            failed: None,
            not_before: None,
            ended: None,
            piece_seconds: None,
            segments: Vec::new(),
            quarantine: Vec::new(),
        }
    }

    /// Takes in what another writer of the same run stored: both together know what either knew.
    pub fn merge(&mut self, stored: Self) {
        // The window and what stood before it were fixed together, by whoever stored them first.
        if stored.window.is_some() {
            (self.window, self.before) = (stored.window, stored.before);
        }
        let length = |read: Option<Window>| read.map(Window::length);
        let (ours, theirs) = (length(self.read), length(stored.read));
        if theirs > ours {
            // Whoever read further knows whether the piece there failed, and how long the next one may be.
            let lost = std::mem::replace(&mut self.read, stored.read);
            (self.failed, self.piece_seconds) = (stored.failed, stored.piece_seconds);
            self.keep_beyond(lost);
        } else {
            if theirs == ours {
                self.failed = stored.failed.or(self.failed);
                self.piece_seconds = self.piece_seconds.min(stored.piece_seconds).or(self.piece_seconds);
            }
            self.keep_beyond(stored.read);
        }
        for window in stored.other_windows {
            self.keep_beyond(Some(window));
        }
        self.shown |= stored.shown;
        self.not_before = self.not_before.max(stored.not_before);
        self.ended = [self.ended, stored.ended].into_iter().flatten().min();
        for segment in stored.segments {
            if self.segments.iter().all(|known| known.key != segment.key) {
                self.segments.push(segment);
            }
        }
        self.segments.sort_by(|a, b| a.key.cmp(&b.key));
        self.quarantine.extend(stored.quarantine);
        self.quarantine.sort();
        self.quarantine.dedup();
    }

    /// Keeps a window that was read among the others, unless it lies in what was read in order.
    fn keep_beyond(&mut self, window: Option<Window>) {
        let Some(window) = window else { return };
        let holds = |outer: &Window| outer.from() <= window.from() && window.to() <= outer.to();
        if !self.read.iter().chain(&self.other_windows).any(holds) {
            self.other_windows.push(window);
            self.other_windows.sort_by_key(|window| (window.from(), window.to()));
        }
    }
}

/// A failure as the name it has in receipts.
mod failure_name {
    use std::borrow::Cow;

    use domain::{Class, Failure};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(failure: &Option<Failure>, serializer: S) -> Result<S::Ok, S::Error> {
        failure.and_then(|failure| Class::Failed(failure).reason().map(str::to_owned)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Failure>, D::Error> {
        match Option::<Cow<'de, str>>::deserialize(deserializer)? {
            None => Ok(None),
            Some(name) => match Class::from_names("failed", Some(&name)) {
                Ok(Class::Failed(failure)) => Ok(Some(failure)),
                _ => Err(D::Error::custom("is no reason of this format")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{attempt, time};
    use domain::Unavailability;

    fn window(from: i64, to: i64) -> Option<Window> {
        let at = |hour| time("2026-11-01T00:00:00Z") + jiff::SignedDuration::from_hours(hour);
        Some(Window::new(at(from), at(to)).unwrap())
    }

    fn line(read: Option<Window>) -> RunProgress {
        RunProgress { read, ..RunProgress::new("r".parse().unwrap()) }
    }

    fn segment(key: &str, number: u64) -> RunSegment {
        RunSegment { key: key.to_owned(), lines: 1, sha256: String::new(), attempt_id: attempt(number) }
    }

    #[test]
    fn a_line_reads_as_it_was_written() {
        let mut progress = line(window(0, 5));
        progress.ended = Some(Class::Unavailable(Unavailability::Gone));
        progress.before = window(1, 2).map(Coverage::first);
        progress.segments.push(segment("k", 1));
        let text = serde_json::to_string(&progress).unwrap();
        assert!(text.contains(r#""class":"unavailable","reason":"gone""#), "{text}");
        assert_eq!(serde_json::from_str::<RunProgress>(&text).unwrap(), progress);
        assert!(serde_json::from_str::<RunProgress>(&text.replace("gone", "new-reason")).is_err());
    }

    #[test]
    fn a_failure_is_known_until_somebody_reads_further() {
        let failed = RunProgress { failed: Some(Failure::BadPage), ..line(window(0, 5)) };
        for (mut one, other) in [(failed.clone(), line(window(0, 5))), (line(window(0, 5)), failed.clone())] {
            one.merge(other);
            assert_eq!(one.failed, Some(Failure::BadPage));
        }
        for (mut one, other) in [(failed.clone(), line(window(0, 6))), (line(window(0, 6)), failed.clone())] {
            one.merge(other);
            assert_eq!(one.failed, None);
        }
    }

    #[test]
    fn who_read_further_knows_where_to_go_on() {
        let ours = RunProgress { piece_seconds: Some(1), ..line(window(0, 5)) };
        let theirs = RunProgress { piece_seconds: Some(9), shown: true, ..line(window(0, 8)) };
        for (mut one, other) in [(ours.clone(), theirs.clone()), (theirs, ours)] {
            one.merge(other);
            assert_eq!((one.read, one.piece_seconds, one.shown), (window(0, 8), Some(9), true));
            assert!(one.other_windows.is_empty());
        }
    }

    #[test]
    fn as_far_as_each_other_they_keep_the_shorter_piece() {
        let ours = RunProgress { piece_seconds: Some(4), ..line(window(0, 5)) };
        let theirs = RunProgress { piece_seconds: Some(2), ..line(window(0, 5)) };
        for (mut one, other) in [(ours.clone(), theirs.clone()), (theirs, ours)] {
            one.merge(other);
            assert_eq!(one.piece_seconds, Some(2));
        }
    }

    #[test]
    fn nothing_that_was_read_or_put_is_forgotten() {
        let mut ours = RunProgress {
            other_windows: vec![window(20, 22).unwrap()],
            segments: vec![segment("b", 1)],
            ..line(window(0, 5))
        };
        let theirs = RunProgress {
            other_windows: vec![window(1, 2).unwrap(), window(20, 21).unwrap(), window(10, 12).unwrap()],
            segments: vec![segment("a", 2), segment("b", 1)],
            ended: Some(Class::Exported),
            quarantine: vec![QuarantineRef { key: "q".to_owned(), sha256: String::new() }],
            ..line(None)
        };
        ours.merge(theirs);
        assert_eq!(ours.other_windows, [window(10, 12).unwrap(), window(20, 22).unwrap()]);
        assert_eq!(ours.segments, [segment("a", 2), segment("b", 1)]);
        assert_eq!((ours.ended, ours.quarantine.len()), (Some(Class::Exported), 1));
    }

    #[test]
    fn the_window_that_was_stored_first_stays() {
        let before = window(0, 1).map(Coverage::first);
        let mut ours = RunProgress { window: window(0, 9), before: window(0, 2).map(Coverage::first), ..line(None) };
        ours.merge(line(None));
        assert_eq!(ours.window, window(0, 9));
        ours.merge(RunProgress { window: window(1, 9), before, ..line(None) });
        assert_eq!((ours.window, ours.before), (window(1, 9), before));
    }
}
