//! What the receipts of one user in one run come to together.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::coverage::Window;
use crate::form::{Counts, Line};

/// Receipt lines of one user made one: the best class, sums of the counts, windows and segments united.
#[derive(Debug, Default)]
pub(crate) struct United<'a> {
    rank: Option<u8>,
    classes: BTreeSet<(Option<&'a str>, Option<&'a str>)>,
    windows: Vec<Window>,
    sums: [u64; 5],
    segments: BTreeMap<&'a str, (u64, &'a str, bool)>,
    quarantine: BTreeMap<&'a str, &'a str>,
    covered_from: BTreeSet<Option<Timestamp>>,
    covered_to: BTreeSet<Option<Timestamp>>,
    requests: Counts,
    request_ids: BTreeSet<&'a str>,
    lateness: Counts,
}

const SUMS: [&str; 5] = ["pages", "received", "new", "already_held", "retries"];

/// Where `received` stands among them.
const RECEIVED: usize = 1;

fn sums(line: &Line<'_>) -> [u64; 5] {
    [line.pages, line.received, line.new, line.already_held, line.retries]
}

impl<'a> United<'a> {
    /// The members in which a line of the users file is not what these lines of receipts come to.
    pub(crate) fn differences(receipts: &'a [Line<'a>], line: &Line<'_>) -> Vec<&'static str> {
        match receipts {
            [one] if is_plainly(one, line) => Vec::new(),
            receipts => Self::of(receipts).differs(line),
        }
    }

    pub(crate) fn of(lines: impl IntoIterator<Item = &'a Line<'a>>) -> Self {
        let mut united = Self::default();
        for line in lines {
            united.add(line);
        }
        united.windows = joined(&united.windows);
        // Whoever was shown anything is not empty, though the attempt that read to the end was shown nothing.
        let shown = united.sums[RECEIVED] > 0 || !united.segments.is_empty();
        if shown && united.classes.iter().any(|(class, _)| *class == Some("empty")) {
            united.classes = [(Some("exported"), None)].into();
        }
        united
    }

    fn add(&mut self, line: &'a Line<'a>) {
        // What is no class was found already, at the receipt; here it counts like none.
        if let Ok(Some(rank)) = line.rank()
            && self.rank.is_none_or(|best| rank <= best)
        {
            if self.rank != Some(rank) {
                self.classes.clear();
                self.rank = Some(rank);
            }
            self.classes.insert(class_of(line));
        }
        self.windows.extend(&line.windows);
        for (sum, count) in self.sums.iter_mut().zip(sums(line)) {
            *sum = sum.saturating_add(count);
        }
        for segment in &line.segments {
            let known = self.segments.entry(&segment.key).or_insert((segment.lines, &segment.sha256, segment.adopted));
            known.2 &= segment.adopted;
        }
        self.quarantine.extend(line.quarantine.iter().map(|page| (&*page.key, &*page.sha256)));
        self.covered_from.insert(line.covered_from);
        self.covered_to.insert(line.covered_to);
        add_counts(&mut self.requests, &line.requests);
        self.request_ids.extend(line.request_ids.iter().map(|id| &**id));
        add_counts(&mut self.lateness, &line.lateness);
    }

    /// The members in which a line of the users file is not this. Of reasons of equal rank any will do, of the ends of
    /// coverage any that a receipt names, and ids of failed requests may be left out.
    pub(crate) fn differs(&self, line: &Line<'_>) -> Vec<&'static str> {
        let mut members = Vec::new();
        let mut check = |same: bool, member| {
            if !same {
                members.push(member);
            }
        };
        let class = class_of(line);
        check(if self.rank.is_none() { class == (None, None) } else { self.classes.contains(&class) }, "class");
        check(joined(&line.windows) == self.windows, "windows");
        for ((sum, count), member) in self.sums.iter().zip(sums(line)).zip(SUMS) {
            check(*sum == count, member);
        }
        let segments: BTreeMap<_, _> = line
            .segments
            .iter()
            .map(|segment| (&*segment.key, (segment.lines, &*segment.sha256, segment.adopted)))
            .collect();
        check(segments.len() == line.segments.len() && segments == self.segments, "segments");
        let pages: BTreeMap<_, _> = line.quarantine.iter().map(|page| (&*page.key, &*page.sha256)).collect();
        check(pages.len() == line.quarantine.len() && pages == self.quarantine, "quarantine");
        let known = |set: &BTreeSet<Option<Timestamp>>, end| set.contains(&end) || (set.is_empty() && end.is_none());
        check(known(&self.covered_from, line.covered_from), "covered_from");
        check(known(&self.covered_to, line.covered_to), "covered_to");
        check(without_zeros(&line.requests) == without_zeros(&self.requests), "requests");
        check(line.request_ids.iter().all(|id| self.request_ids.contains(&**id)), "request_ids");
        check(without_zeros(&line.lateness) == without_zeros(&self.lateness), "lateness");
        members
    }
}

/// Whether a user's one receipt says what the users file does, and nothing in it needs uniting: what holds of nearly all.
fn is_plainly(one: &Line<'_>, line: &Line<'_>) -> bool {
    let empty = one.class.as_deref() == Some("empty");
    let needs_uniting = one.windows.len() > 1
        || one.segments.len() > 1
        || one.quarantine.len() > 1
        || (empty && (one.received > 0 || !one.segments.is_empty()))
        || one.rank().is_err();
    !needs_uniting
        && class_of(one) == class_of(line)
        && (one.covered_from, one.covered_to) == (line.covered_from, line.covered_to)
        && one.windows == line.windows
        && one.windows.iter().all(|window| window.from < window.to)
        && sums(one) == sums(line)
        && one.segments == line.segments
        && one.quarantine == line.quarantine
        && one.requests == line.requests
        && one.request_ids == line.request_ids
        && one.lateness == line.lateness
}

fn class_of<'a>(line: &'a Line<'_>) -> (Option<&'a str>, Option<&'a str>) {
    (line.class.as_deref(), line.reason.as_deref())
}

pub(crate) fn add_counts<N: Borrow<str> + Ord>(sums: &mut Counts, counts: &BTreeMap<N, u64>) {
    for (name, count) in counts {
        match sums.get_mut(name.borrow()) {
            Some(sum) => *sum = sum.saturating_add(*count),
            None => _ = sums.insert(name.borrow().to_owned(), *count),
        }
    }
}

pub(crate) fn without_zeros<N: Borrow<str> + Ord>(counts: &BTreeMap<N, u64>) -> Counts {
    let more = counts.iter().filter(|(_, count)| **count > 0);
    more.map(|(name, count)| (name.borrow().to_owned(), *count)).collect()
}

pub(crate) fn total<N>(counts: &BTreeMap<N, u64>) -> u64 {
    counts.values().fold(0, |sum, count| sum.saturating_add(*count))
}

/// The windows, sorted and joined where they touch or overlap; those that are empty or inverted hold nothing.
pub(crate) fn joined(windows: &[Window]) -> Vec<Window> {
    let mut sorted: Vec<Window> = windows.iter().copied().filter(|window| window.from < window.to).collect();
    sorted.sort_unstable();
    let mut joined: Vec<Window> = Vec::with_capacity(sorted.len());
    for window in sorted {
        match joined.last_mut() {
            Some(last) if window.from <= last.to => last.to = last.to.max(window.to),
            _ => joined.push(window),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> Line<'static> {
        let mut value: serde_json::Map<String, serde_json::Value> = serde_json::from_str(
            r#"{"user_id":"u","run_id":"r","class":null,"reason":null,"pages":0,"received":0,"new":0,"already_held":0}"#,
        )
        .unwrap();
        value.extend(serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json).unwrap());
        serde_json::from_str(serde_json::to_string(&value).unwrap().leak()).unwrap()
    }

    #[test]
    fn the_best_class_sums_and_unions() {
        let first = line(
            r#"{"class":"failed","reason":"server-error","received":2,"new":2,"requests":{"200":1,"503":2},
                "windows":[{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"}],
                "segments":[{"key":"k","lines":2,"sha256":"s","adopted":false}]}"#,
        );
        let second = line(
            r#"{"class":"exported","received":3,"already_held":3,"requests":{"200":4},
                "windows":[{"from":"2026-01-02T00:00:00Z","to":"2026-01-03T00:00:00Z"}],
                "segments":[{"key":"k","lines":2,"sha256":"s","adopted":true}]}"#,
        );
        let united = United::of([&first, &second]);
        let right = line(
            r#"{"class":"exported","received":5,"new":2,"already_held":3,"requests":{"200":5,"503":2,"429":0},
                "windows":[{"from":"2026-01-01T00:00:00Z","to":"2026-01-03T00:00:00Z"}],
                "segments":[{"key":"k","lines":2,"sha256":"s","adopted":false}]}"#,
        );
        assert_eq!(united.differs(&right), [""; 0]);
        assert_eq!(united.differs(&first), ["class", "windows", "received", "already_held", "requests"],);
        assert_eq!(United::differences(&[first, second], &right), [""; 0]);
    }

    /// What is compared plainly comes to what uniting would have said.
    #[test]
    fn one_receipt_is_compared_as_if_united() {
        let lines = [
            line("{}"),
            line(r#"{"class":"unfinished"}"#),
            line(r#"{"class":"empty"}"#),
            line(r#"{"class":"empty","received":2,"already_held":2}"#),
            line(r#"{"class":"exported","received":2,"already_held":2}"#),
            line(r#"{"class":"failed","reason":"storage","request_ids":["a"],"requests":{"503":2}}"#),
            line(r#"{"class":"exported","windows":[{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"}]}"#),
            line(r#"{"class":"exported","windows":[{"from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}]}"#),
            line(r#"{"class":"exported","segments":[{"key":"k","lines":2,"sha256":"s","adopted":true}]}"#),
            line(r#"{"class":"exported","segments":[{"key":"k","lines":2,"sha256":"s","adopted":false}]}"#),
            line(r#"{"class":"exported","covered_to":"2026-01-02T00:00:00Z","lateness":{"<=1":1}}"#),
        ];
        // And of one line with another member each.
        let members = [
            r#""retries":1"#,
            r#""requests":{"200":1}"#,
            r#""request_ids":["b"]"#,
            r#""lateness":{"<=1":1}"#,
            r#""covered_from":"2026-01-01T00:00:00Z""#,
            r#""covered_to":"2026-01-02T00:00:00Z""#,
            r#""quarantine":[{"key":"q","sha256":"s"}]"#,
        ];
        let changed =
            members.map(|member| line(&format!(r#"{{"class":"exported","received":2,"already_held":2,{member}}}"#)));
        let lines = [&lines[..], &changed].concat();
        for one in &lines {
            for other in &lines {
                let united = United::of([one]).differs(other);
                assert_eq!(United::differences(std::slice::from_ref(one), other), united, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_user_without_receipts_has_no_class() {
        let united = United::of([]);
        assert_eq!(united.differs(&line("{}")), [""; 0]);
        assert_eq!(
            united.differs(&line(r#"{"class":"empty","covered_to":"2026-01-03T00:00:00Z"}"#)),
            ["class", "covered_to"]
        );
    }

    #[test]
    fn windows_join_only_without_a_gap() {
        let window = |from: i64, to: i64| Window {
            from: Timestamp::from_second(from).unwrap(),
            to: Timestamp::from_second(to).unwrap(),
        };
        assert_eq!(joined(&[window(5, 9), window(1, 3), window(3, 4), window(8, 7)]), [window(1, 4), window(5, 9)]);
    }
}
