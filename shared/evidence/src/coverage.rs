//! What of a user's time was read, what was not, and why.
//!
//! Coverage is the union of the windows in the users files of closed runs: each was read to its last page, whatever became
//! of the rest of its run. What of the range asked for is left is an open gap. What a run should have covered and did not,
//! and a later run did, is a healed one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::archive::{self, Archive, Closed, ReadError};
use crate::decode;
use crate::form::{Counts, Line, RosterLine};
use crate::layout::RunFile;
use crate::parallel::in_order;
use crate::source::Source;
use crate::unite::{add_counts, joined};

/// A window `(from, to]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The instant after which it begins.
    pub from: Timestamp,
    /// Its last instant.
    pub to: Timestamp,
}

impl Window {
    fn within(self, other: Self) -> Option<Self> {
        let common = Self { from: self.from.max(other.from), to: self.to.min(other.to) };
        (common.from < common.to).then_some(common)
    }

    /// What of it lies in none of these windows, which are sorted and joined.
    pub(crate) fn without(self, others: &[Self]) -> Vec<Self> {
        let (mut rest, mut from) = (Vec::new(), self.from);
        for other in others.iter().filter_map(|other| other.within(self)) {
            rest.push(Self { from, to: other.from });
            from = other.to;
        }
        rest.push(Self { from, to: self.to });
        rest.retain(|window| window.from < window.to);
        rest
    }
}

/// Where a window stands written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// The run.
    pub run: String,
    /// The window as read.
    pub window: Window,
    /// The users file.
    pub key: String,
    /// The line in it, from 1.
    pub line: u64,
    /// The receipts' lines that it is made of, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<Place>,
}

/// A line of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The object.
    pub key: String,
    /// The line, from 1.
    pub line: u64,
}

/// Time that closed runs read to its end, without a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// From and to.
    pub window: Window,
    /// How many times its least read instant was read.
    pub least_reads: u64,
    /// The windows it was read in, in the order of the ledger.
    pub proofs: Vec<Proof>,
}

impl Interval {
    /// The runs that read it, in the order of the ledger.
    pub fn runs(&self) -> Vec<&str> {
        let mut runs: Vec<&str> = self.proofs.iter().map(|proof| proof.run.as_str()).collect();
        runs.dedup();
        runs
    }
}

/// Why a run did not cover time that it should have covered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRun => f.write_str("no run"),
            Self::NotInRoster => f.write_str("not in roster"),
            Self::Excluded(reason) => write!(f, "excluded({reason})"),
            Self::Missing => f.write_str("missing"),
            Self::Class(class) => f.write_str(class),
        }
    }
}

impl Reason {
    /// Whether it is Graph's own answer that there is nothing it would show.
    fn is_unavailable(&self) -> bool {
        matches!(self, Self::Class(class) if class.starts_with("unavailable("))
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Time within what was asked that was not read, or not by the run that should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// From and to.
    pub window: Window,
    /// Why, each with the runs that should have covered it.
    pub reasons: BTreeMap<Reason, BTreeSet<String>>,
    /// Ids of failed requests that the users files name, to show to Microsoft.
    pub request_ids: BTreeSet<String>,
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

/// The user's coverage within a range, from the closed runs.
pub fn coverage(source: &dyn Source, user: &str, asked: Window) -> Result<Coverage, ReadError> {
    let archive = archive::open(source, None)?;
    let users = HashSet::from([user.to_owned()]);
    let history = histories(source, &archive, &users)?.remove(user).unwrap_or_default();
    Ok(cover(asked, &history.outcomes))
}

/// What the closed runs did for one user. Of everybody there are users times runs outcomes, so each is small.
#[derive(Debug, Default)]
pub(crate) struct History<'a> {
    /// In the order of the ledger.
    pub(crate) outcomes: Vec<Outcome<'a>>,
    pub(crate) shown: Shown,
}

/// What one closed run did for one user.
#[derive(Debug)]
pub(crate) struct Outcome<'a> {
    run: &'a str,
    /// What it should have covered.
    intended: Option<Window>,
    /// Why it did not read that to its end, if so.
    fault: Option<Reason>,
    /// What it read to its end, joined, by this line of the run's users file.
    read: Vec<Window>,
    line: u64,
    request_ids: Vec<String>,
}

/// What Graph showed of a user, by the users files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Texts shown: new and held already.
    pub received: u64,
    /// Those that were archived.
    pub new: u64,
    /// Those that had been archived before: what re-reading showed again.
    pub already_held: u64,
    /// New texts that name a time, by the hours from it until they were read.
    pub lateness: Counts,
}

impl Shown {
    fn add(&mut self, more: &Self) {
        self.received = self.received.saturating_add(more.received);
        self.new = self.new.saturating_add(more.new);
        self.already_held = self.already_held.saturating_add(more.already_held);
        add_counts(&mut self.lateness, &more.lateness);
    }
}

/// What had been read to its end before each run, joined; what no closed run is comes after all of them.
#[derive(Debug, Default)]
pub(crate) struct ReadBefore {
    runs: HashMap<String, Vec<Window>>,
    all: Vec<Window>,
}

impl ReadBefore {
    pub(crate) fn of(outcomes: &[Outcome<'_>]) -> Self {
        let mut before = Self::default();
        for outcome in outcomes {
            before.runs.insert(outcome.run.to_owned(), before.all.clone());
            before.all.extend(&outcome.read);
            before.all = joined(&before.all);
        }
        before
    }

    /// Whether an earlier run than this had read the instant.
    pub(crate) fn holds(&self, run: &str, time: Timestamp) -> bool {
        let windows = self.runs.get(run).unwrap_or(&self.all);
        windows.iter().any(|window| window.from < time && time <= window.to)
    }
}

impl Outcome<'_> {
    /// Whether the run planned the user.
    pub(crate) fn is_planned(&self) -> bool {
        !matches!(self.fault, Some(Reason::NotInRoster | Reason::Excluded(_)))
    }

    /// Where the run's part ends: what it owed, or what it read.
    pub(crate) fn ends(&self) -> Option<Timestamp> {
        let read = self.read.iter().map(|window| window.to);
        read.chain(self.intended.map(|owed| owed.to)).max()
    }

    fn proof(&self, window: Window) -> Proof {
        let key = RunFile::Users.key(self.run);
        Proof { run: self.run.to_owned(), window, key, line: self.line, receipts: Vec::new() }
    }
}

/// What every closed run did for each of these users, in the order of the ledger. Each file is read once, however many
/// users are asked for; memory grows with users times runs, so whoever asks for all asks in batches.
pub(crate) fn histories<'a>(
    source: &dyn Source,
    archive: &'a Archive,
    users: &HashSet<String>,
) -> Result<BTreeMap<String, History<'a>>, ReadError> {
    let mut histories: BTreeMap<String, History<'_>> =
        users.iter().map(|user| (user.clone(), History::default())).collect();
    let read = |closed: &Closed| {
        let run = closed.run.run_id.as_str();
        let mut roster: HashMap<String, Option<String>> = HashMap::new();
        archive::for_each_line_of(source, &RunFile::Roster.key(run), users, |_, line| {
            let RosterLine { user_id, excluded, .. } = decode::value(line)?;
            roster.insert(user_id.to_string(), excluded.map(|reason| reason.to_string()));
            Ok(())
        })?;
        let mut told: HashMap<String, Told> = HashMap::new();
        archive::for_each_line_of(source, &RunFile::Users.key(run), users, |number, line| {
            let line: Line<'_> = decode::value(line)?;
            told.insert(line.user_id.to_string(), Told::of(number, &line));
            Ok(())
        })?;
        Ok::<_, ReadError>((roster, told))
    };
    in_order(&archive.closed, read, |closed, (mut roster, mut told)| {
        for (user, history) in &mut histories {
            history.add(closed, roster.remove(user), told.remove(user).unwrap_or_default());
        }
    })?;
    Ok(histories)
}

/// What a line of a users file says of its user's time.
#[derive(Debug, Default)]
struct Told {
    /// Its number; 0 if there is none.
    line: u64,
    is_read: bool,
    class: Option<String>,
    read: Vec<Window>,
    request_ids: Vec<String>,
    shown: Shown,
}

impl Told {
    fn of(number: u64, line: &Line<'_>) -> Self {
        let lateness = line.lateness.iter().map(|(hours, count)| (hours.to_string(), *count)).collect();
        Self {
            line: number,
            is_read: line.is_read(),
            class: line.class_text(),
            read: joined(&line.windows),
            request_ids: line.request_ids.iter().map(|id| id.to_string()).collect(),
            shown: Shown { received: line.received, new: line.new, already_held: line.already_held, lateness },
        }
    }
}

impl<'a> History<'a> {
    /// `roster`: none if the user is not on it, else the reason of an exclusion.
    fn add(&mut self, closed: &'a Closed, roster: Option<Option<String>>, told: Told) {
        let planned = matches!(roster, Some(None));
        let fault = match roster {
            None => Some(Reason::NotInRoster),
            Some(Some(reason)) => Some(Reason::Excluded(reason)),
            Some(None) if told.is_read => None,
            Some(None) => Some(told.class.map_or(Reason::Missing, Reason::Class)),
        };
        let intended = match closed.intended {
            // History should cover what lies before everything that was read.
            None if planned => {
                let first = self.outcomes.iter().flat_map(|outcome| &outcome.read).map(|window| window.from).min();
                first.map(|to| Window { from: Timestamp::MIN, to })
            }
            // A run of some users owes nothing to the others.
            intended => intended.filter(|_| planned || closed.is_whole_tenant()),
        };
        self.shown.add(&told.shown);
        let (run, read, line) = (closed.run.run_id.as_str(), told.read, told.line);
        self.outcomes.push(Outcome { run, intended, fault, read, line, request_ids: told.request_ids });
    }
}

/// Intervals and gaps of a range.
pub(crate) fn cover(asked: Window, outcomes: &[Outcome<'_>]) -> Coverage {
    let read: Vec<(&Outcome<'_>, Window, Window)> = outcomes
        .iter()
        .flat_map(|outcome| outcome.read.iter().map(move |window| (outcome, *window)))
        .filter_map(|(outcome, window)| Some((outcome, window, window.within(asked)?)))
        .collect();
    let clipped: Vec<Window> = read.iter().map(|(_, _, clipped)| *clipped).collect();
    let covered = joined(&clipped);
    let intervals = covered.iter().map(|interval| Interval {
        window: *interval,
        least_reads: least_reads(*interval, &clipped),
        proofs: read
            .iter()
            .filter(|(_, window, _)| window.within(*interval).is_some())
            .map(|(outcome, window, _)| outcome.proof(*window))
            .collect(),
    });
    let mut gaps: Vec<Gap> =
        asked.without(&covered).into_iter().flat_map(|window| open_gaps(window, outcomes)).collect();
    gaps.extend(healed_gaps(asked, outcomes));
    gaps.sort_by_key(|gap| gap.window);
    Coverage { asked, intervals: intervals.collect(), gaps }
}

/// Whether every open gap is there because Graph said that there is nothing it would show. Whom every run so far was told so
/// of has no coverage that history could go back from, so what no run was to read is there for the same reason.
pub(crate) fn graph_said_so(coverage: &Coverage, outcomes: &[Outcome<'_>]) -> bool {
    let unavailable = |outcome: &Outcome<'_>| outcome.fault.as_ref().is_some_and(Reason::is_unavailable);
    let always = outcomes.iter().filter(|outcome| outcome.is_planned()).all(unavailable);
    let explained = |reason: &Reason| reason.is_unavailable() || (always && *reason == Reason::NoRun);
    coverage.open().all(|gap| gap.reasons.keys().all(explained))
}

/// How many of the windows hold the instant of the interval that the fewest hold.
fn least_reads(interval: Window, windows: &[Window]) -> u64 {
    let mut changes: Vec<(Timestamp, bool)> = Vec::new();
    for window in windows.iter().filter_map(|window| window.within(interval)) {
        changes.extend([(window.from, true), (window.to, false)]);
    }
    // At one instant the windows that begin come first: the interval has no gap, and its last end is not looked at.
    changes.sort_unstable_by_key(|(at, begins)| (*at, !begins));
    let (mut depth, mut least) = (0_u64, u64::MAX);
    for (place, (at, begins)) in changes.iter().enumerate() {
        depth = if *begins { depth + 1 } else { depth.saturating_sub(1) };
        if changes.get(place + 1).is_some_and(|(next, _)| next > at) {
            least = least.min(depth);
        }
    }
    if least == u64::MAX { 0 } else { least }
}

impl Gap {
    fn new(window: Window, healed_by: Option<&str>) -> Self {
        Self { window, reasons: BTreeMap::new(), request_ids: BTreeSet::new(), healed_by: healed_by.map(str::to_owned) }
    }

    fn blame(&mut self, outcome: &Outcome<'_>) {
        if let Some(fault) = &outcome.fault {
            self.reasons.entry(fault.clone()).or_default().insert(outcome.run.to_owned());
            self.request_ids.extend(outcome.request_ids.iter().cloned());
        }
    }

    fn take(&mut self, next: Self) {
        self.window.to = self.window.to.max(next.window.to);
        for (reason, runs) in next.reasons {
            self.reasons.entry(reason).or_default().extend(runs);
        }
        self.request_ids.extend(next.request_ids);
    }
}

/// A gap, cut where what the runs owed begins or ends, and put together again where the reasons are the same.
fn open_gaps(gap: Window, outcomes: &[Outcome<'_>]) -> Vec<Gap> {
    let at_fault: Vec<(&Outcome<'_>, Window)> = outcomes
        .iter()
        .filter(|outcome| outcome.fault.is_some())
        .filter_map(|outcome| Some((outcome, outcome.intended?.within(gap)?)))
        .collect();
    let mut cuts: Vec<Timestamp> = vec![gap.from, gap.to];
    cuts.extend(at_fault.iter().flat_map(|(_, owed)| [owed.from, owed.to]));
    cuts.sort_unstable();
    cuts.dedup();
    let mut gaps: Vec<Gap> = Vec::new();
    for pair in cuts.windows(2) {
        let &[from, to] = pair else { continue };
        let piece = Window { from, to };
        let mut next = Gap::new(piece, None);
        for (outcome, owed) in &at_fault {
            if owed.within(piece).is_some() {
                next.blame(outcome);
            }
        }
        if next.reasons.is_empty() {
            next.reasons.insert(Reason::NoRun, BTreeSet::new());
        }
        match gaps.last_mut() {
            Some(last) if last.reasons.keys().eq(next.reasons.keys()) => last.take(next),
            _ => gaps.push(next),
        }
    }
    gaps
}

/// What a run owed, nothing had read by then, and a later run read.
fn healed_gaps(asked: Window, outcomes: &[Outcome<'_>]) -> Vec<Gap> {
    let mut healed: Vec<Gap> = Vec::new();
    let mut read: Vec<Window> = Vec::new();
    for (place, outcome) in outcomes.iter().enumerate() {
        read.extend(&outcome.read);
        read = joined(&read);
        let owed = outcome.intended.and_then(|window| window.within(asked)).filter(|_| outcome.fault.is_some());
        let mut rest = owed.map(|owed| owed.without(&read)).unwrap_or_default();
        for later in &outcomes[place + 1..] {
            if rest.is_empty() {
                break;
            }
            let reads = &later.read;
            for part in rest.iter().flat_map(|part| reads.iter().filter_map(|read| read.within(*part))) {
                let mut gap = Gap::new(part, Some(later.run));
                gap.blame(outcome);
                healed.push(gap);
            }
            rest = rest.iter().flat_map(|part| part.without(reads)).collect();
        }
    }
    healed.sort_by_key(|gap| gap.window);
    let mut merged: Vec<Gap> = Vec::new();
    for gap in healed {
        match merged.last_mut() {
            Some(last) if last.healed_by == gap.healed_by && gap.window.from <= last.window.to => last.take(gap),
            _ => merged.push(gap),
        }
    }
    merged
}
