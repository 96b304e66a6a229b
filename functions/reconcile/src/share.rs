//! What the receipts of a run say about one user, made one line.
//!
//! Every operation here gives the same result in whatever order the receipt lines come, so the users file is a function of
//! the set of receipts alone and two reconciles that read the same receipts put the same bytes.

use archive::records::{Counts, QuarantineRef, ReceiptLine, SegmentRef, UserLine};
use domain::{Class, Coverage, RunId, UserId, Window};
use jiff::SignedDuration;

/// A user's part of a run, as far as the receipts read so far tell it.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    line: UserLine,
    /// The coverage that each line shows. Kept apart, since joining them depends on their order.
    coverages: Vec<Coverage>,
}

impl Share {
    /// The part of a user of whom no receipt was read yet.
    pub(crate) fn none(run: &RunId, user: UserId) -> Self {
        let line = UserLine {
            user_id: user,
            run_id: run.clone(),
            class: None,
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
        };
        Self { line, coverages: Vec::new() }
    }

    /// Takes a further line of this user. Answers whether the line keeps its equation and agrees with those before it about
    /// the segments that both name.
    pub(crate) fn take(&mut self, line: ReceiptLine) -> bool {
        let own = &mut self.line;
        own.class = best(own.class, line.class);
        own.pages = own.pages.saturating_add(line.pages);
        own.received = own.received.saturating_add(line.received);
        own.new = own.new.saturating_add(line.new);
        own.already_held = own.already_held.saturating_add(line.already_held);
        own.retries = own.retries.saturating_add(line.retries);
        add(&mut own.requests, line.requests);
        add(&mut own.lateness, line.lateness);
        unite(&mut own.request_ids, line.request_ids);
        unite::<QuarantineRef>(&mut own.quarantine, line.quarantine);
        for window in line.windows {
            join(&mut own.windows, window);
        }
        let mut agrees = line.new.checked_add(line.already_held) == Some(line.received);
        for segment in line.segments {
            agrees &= name(&mut own.segments, segment);
        }
        if let (Some(from), Some(to)) = (line.covered_from, line.covered_to)
            && let Ok(window) = Window::new(from, to)
        {
            self.coverages.push(Coverage::first(window));
        }
        agrees
    }

    /// The best class so far.
    pub(crate) fn class(&self) -> Option<Class> {
        self.line.class
    }

    /// The user's line of the users file.
    ///
    /// Its coverage is what all lines show together by the rule by which checkpoints are merged: intervals that overlap by
    /// `overlap` are joined, else the one that ends later stays. That is the least `covered_from` and the greatest
    /// `covered_to` wherever one attempt went on from the other, and claims no gap where a checkpoint was lost between.
    ///
    /// A user who was shown anything is not empty, though the attempt that read to the end was shown nothing: an item may go
    /// away between two attempts, and a checkpoint that remembered it may be lost.
    pub(crate) fn into_line(mut self, overlap: SignedDuration) -> UserLine {
        let own = &mut self.line;
        if own.class == Some(Class::Empty) && (own.received > 0 || !own.segments.is_empty()) {
            own.class = Some(Class::Exported);
        }
        let mut coverages = self.coverages;
        // Of those that end together the widest last, so that it takes in the others.
        coverages.sort_by(|a, b| a.to().cmp(&b.to()).then(b.from().cmp(&a.from())));
        let covered = coverages.into_iter().reduce(|early, late| early.merged(late, overlap));
        UserLine { covered_from: covered.map(Coverage::from), covered_to: covered.map(Coverage::to), ..self.line }
    }
}

/// The better of two classes; any is better than none.
fn best(a: Option<Class>, b: Option<Class>) -> Option<Class> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Adds numbers by name.
pub(crate) fn add(sum: &mut Counts, more: Counts) {
    if sum.is_empty() {
        // The usual case, a user with one line: no second map.
        *sum = more;
        return;
    }
    for (name, n) in more {
        let held = sum.entry(name).or_default();
        *held = held.saturating_add(n);
    }
}

/// Adds to a sorted set.
fn unite<T: Ord>(set: &mut Vec<T>, more: Vec<T>) {
    if more.is_empty() {
        return;
    }
    set.extend(more);
    set.sort();
    set.dedup();
}

/// Adds a window to sorted windows that neither touch nor overlap.
fn join(windows: &mut Vec<Window>, mut window: Window) {
    windows.retain(|other| match other.joined(window) {
        Some(joined) => {
            window = joined;
            false
        }
        None => true,
    });
    let place = windows.partition_point(|other| other.from() < window.from());
    windows.insert(place, window);
}

/// Adds a segment to those sorted by key; it counts as adopted only if every line names it so. Answers whether what is
/// said about it agrees.
fn name(segments: &mut Vec<SegmentRef>, segment: SegmentRef) -> bool {
    match segments.binary_search_by(|other| other.key.cmp(&segment.key)) {
        Ok(place) => {
            let held = &mut segments[place];
            let agrees = (held.lines, &held.sha256) == (segment.lines, &segment.sha256);
            // Who counts a segment has put it and knows best.
            if !segment.adopted && held.adopted {
                *held = segment;
            }
            agrees
        }
        Err(place) => {
            segments.insert(place, segment);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, line, segment, user, window};
    use domain::Failure;
    use proptest::prelude::*;

    const OVERLAP: SignedDuration = SignedDuration::from_hours(72);

    fn united(lines: impl IntoIterator<Item = ReceiptLine>) -> UserLine {
        let mut share = Share::none(&crate::testing::run_id(), user(1));
        for line in lines {
            assert!(share.take(line));
        }
        share.into_line(OVERLAP)
    }

    #[test]
    fn the_best_class_counts_and_none_is_worse_than_any() {
        let class = |classes: &[Option<Class>]| united(classes.iter().map(|&class| line(1, 1, class))).class;
        assert_eq!(class(&[None, None]), None);
        assert_eq!(class(&[Some(Class::Failed(Failure::BadPage)), None]), Some(Class::Failed(Failure::BadPage)));
        assert_eq!(class(&[None, Some(Class::Empty), Some(Class::Failed(Failure::BadPage))]), Some(Class::Empty));
        assert_eq!(class(&[Some(Class::Empty), Some(Class::Exported)]), Some(Class::Exported));
    }

    #[test]
    fn who_was_shown_anything_is_not_empty() {
        let shown = ReceiptLine { received: 1, already_held: 1, ..line(1, 1, None) };
        let adopted = ReceiptLine { segments: vec![segment(1, 5, true)], ..line(1, 1, None) };
        for before in [shown, adopted] {
            let class = |last| united([before.clone(), line(1, 2, last)]).class;
            assert_eq!(class(Some(Class::Empty)), Some(Class::Exported));
            assert_eq!(class(Some(Class::Deferred)), Some(Class::Deferred));
            assert_eq!(class(None), None);
        }
    }

    #[test]
    fn a_segment_is_adopted_only_if_every_line_says_so() {
        let a = ReceiptLine { segments: vec![segment(1, 5, true), segment(2, 3, true)], ..line(1, 1, None) };
        let b = ReceiptLine {
            segments: vec![segment(1, 5, false)],
            received: 5,
            new: 5,
            ..line(1, 2, Some(Class::Exported))
        };
        let expected = vec![segment(1, 5, false), segment(2, 3, true)];
        assert_eq!(united([a.clone(), b.clone()]).segments, expected);
        assert_eq!(united([b, a]).segments, expected);
    }

    #[test]
    fn lines_that_contradict_themselves_or_each_other_are_told() {
        let mut share = Share::none(&crate::testing::run_id(), user(1));
        assert!(!share.take(ReceiptLine { received: 2, new: 1, ..line(1, 1, None) }));
        assert!(share.take(ReceiptLine { segments: vec![segment(1, 5, true)], ..line(1, 1, None) }));
        assert!(!share.take(ReceiptLine { segments: vec![segment(1, 6, true)], ..line(1, 1, None) }));
    }

    #[test]
    fn windows_that_touch_become_one_and_gaps_stay() {
        let windows = |windows: &[Window]| ReceiptLine { windows: windows.to_vec(), ..line(1, 1, None) };
        let lines = [windows(&[window(4, 6)]), windows(&[window(0, 2), window(8, 9)]), windows(&[window(2, 3)])];
        assert_eq!(united(lines).windows, vec![window(0, 3), window(4, 6), window(8, 9)]);
    }

    #[test]
    fn coverage_is_the_widest_that_all_lines_prove_together() {
        let covered = |intervals: &[(i64, i64)]| {
            let lines = intervals.iter().map(|&(from, to)| ReceiptLine {
                covered_from: Some(at(from)),
                covered_to: Some(at(to)),
                ..line(1, 1, None)
            });
            let line = united(lines);
            line.covered_from.zip(line.covered_to)
        };
        assert_eq!(covered(&[]), None);
        assert_eq!(covered(&[(0, 100), (0, 172)]), Some((at(0), at(172))));
        assert_eq!(covered(&[(100, 172), (0, 172)]), Some((at(0), at(172))));
        assert_eq!(covered(&[(0, 172), (150, 172)]), Some((at(0), at(172))));
        assert_eq!(covered(&[(0, 100), (150, 200)]), Some((at(150), at(200))));
    }

    fn lines() -> impl Strategy<Value = Vec<ReceiptLine>> {
        let class = prop_oneof![
            Just(None),
            Just(Some(Class::Exported)),
            Just(Some(Class::Empty)),
            Just(Some(Class::Failed(Failure::ServerError)))
        ];
        let segments = proptest::collection::vec((1_u64..5, any::<bool>()), 0..4);
        let one = (class, 0_i64..200, 1_i64..120, 0_u64..9, segments).prop_map(|(class, from, length, held, named)| {
            let segments: Vec<SegmentRef> = named.into_iter().map(|(n, adopted)| segment(n, n, adopted)).collect();
            ReceiptLine {
                windows: vec![window(from, from + length)],
                received: held,
                already_held: held,
                covered_from: Some(at(from)),
                covered_to: Some(at(from + length)),
                requests: Counts::from([("200".to_owned(), held)]),
                request_ids: vec![format!("{held}")],
                segments,
                ..line(1, 1, class)
            }
        });
        proptest::collection::vec(one, 0..6)
    }

    proptest! {
        #[test]
        fn the_order_of_the_lines_does_not_matter(lines in lines(), seed in any::<u64>()) {
            let mut shuffled = lines.clone();
            let random = domain::SeededRandom::new(seed);
            for i in (1..shuffled.len()).rev() {
                shuffled.swap(i, domain::Random::below(&random, i as u64 + 1) as usize);
            }
            prop_assert_eq!(united(lines), united(shuffled));
        }

        #[test]
        fn an_hour_is_in_a_window_if_and_only_if_some_line_read_it(lines in lines()) {
            let united = united(lines.clone());
            for hour in 0..330 {
                let read = lines.iter().any(|line| line.windows.iter().any(|window| window.holds(at(hour))));
                prop_assert_eq!(united.windows.iter().any(|window| window.holds(at(hour))), read);
            }
            prop_assert!(united.windows.windows(2).all(|pair| pair[0].to() < pair[1].from()));
        }

        #[test]
        fn sums_are_sums_and_each_segment_stands_once(lines in lines()) {
            let united = united(lines.clone());
            prop_assert_eq!(united.received, lines.iter().map(|line| line.received).sum::<u64>());
            prop_assert_eq!(united.requests.get("200").copied().unwrap_or(0), united.received);
            prop_assert!(united.segments.windows(2).all(|pair| pair[0].key < pair[1].key));
            for named in lines.iter().flat_map(|line| &line.segments) {
                let counted = lines.iter().flat_map(|line| &line.segments).any(|s| s.key == named.key && !s.adopted);
                let held = united.segments.iter().find(|held| held.key == named.key).unwrap();
                prop_assert_eq!(held.adopted, !counted);
            }
        }
    }
}
