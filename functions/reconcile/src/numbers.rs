//! The numbers of a closed run, and whether they prove it complete.

use archive::records::{
    Counts, Report, ReportInteractions, ReportRequests, ReportUsers, RosterLine, RunFile, UserLine,
};
use domain::{Class, Timestamp, UserId};

use crate::share::add;

/// Whom a roster names. The names themselves are dropped: 16 bytes stay of each planned user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    /// How many it names.
    pub(crate) enumerated: u64,
    /// How many are not planned, by reason.
    pub(crate) excluded: Counts,
    /// Who is, sorted.
    pub(crate) planned: Vec<UserId>,
}

impl Roster {
    /// Takes one line.
    pub(crate) fn take(&mut self, line: &RosterLine) {
        self.enumerated += 1;
        if line.planned {
            self.planned.push(line.user_id);
        } else if let Some(reason) = line.excluded {
            *self.excluded.entry(reason.as_str().to_owned()).or_default() += 1;
        }
    }

    /// Sorts, once every line is taken. A user named twice stays twice, so that the equations show it.
    pub(crate) fn sorted(mut self) -> Self {
        self.planned.sort_unstable();
        self
    }
}

/// What the numbers of a run are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// What was asked for.
    pub(crate) run: &'a RunFile,
    /// Whom it enumerated.
    pub(crate) roster: &'a Roster,
    /// How each planned user ended.
    pub(crate) users: &'a [UserLine],
    /// Whether each receipt line keeps its equation, names a planned user and agrees with the others, and the users file
    /// is what they make together.
    pub(crate) sound: bool,
    /// Attempts that a segment names and no receipt does.
    pub(crate) attempts_lost: u64,
    /// How far back history is to be read.
    pub(crate) history_start: Timestamp,
    /// When the run closes.
    pub(crate) closed_at: Timestamp,
}

/// The report of these facts.
pub(crate) fn report(facts: Facts<'_>) -> Report {
    let Facts { run, roster, users, sound, attempts_lost, history_start, closed_at } = facts;
    let mut report = Report {
        run_id: run.run_id.clone(),
        kind: run.kind,
        complete: false,
        users: ReportUsers {
            enumerated: roster.enumerated,
            excluded: roster.excluded.clone(),
            planned: count(roster.planned.len()),
            ..ReportUsers::default()
        },
        interactions: ReportInteractions::default(),
        quarantined_pages: 0,
        requests: ReportRequests::default(),
        attempts_lost,
        history_remaining: 0,
        lateness: Counts::new(),
        started_at: run.started_at,
        closed_at,
    };
    let mut refused = 0;
    let mut lines_named = 0;
    for user in users {
        let by_class = &mut report.users;
        match user.class {
            Some(Class::Exported) => by_class.exported += 1,
            Some(Class::Empty) => by_class.empty += 1,
            Some(Class::Unavailable(reason)) => {
                *by_class.unavailable.entry(reason.as_str().to_owned()).or_default() += 1;
                refused += u64::from(reason.is_refusal());
            }
            Some(Class::Deferred) => by_class.deferred += 1,
            Some(Class::Failed(_)) => by_class.failed += 1,
            None => by_class.missing += 1,
        }
        let items = &mut report.interactions;
        items.received = items.received.saturating_add(user.received);
        items.new = items.new.saturating_add(user.new);
        items.already_held = items.already_held.saturating_add(user.already_held);
        for segment in &user.segments {
            lines_named = u64::saturating_add(lines_named, segment.lines);
            if segment.adopted {
                items.recovered = items.recovered.saturating_add(segment.lines);
            }
        }
        let requests = &mut report.requests;
        requests.sent = requests.sent.saturating_add(sum(&user.requests));
        requests.throttled = requests.throttled.saturating_add(user.requests.get("429").copied().unwrap_or_default());
        requests.retried = requests.retried.saturating_add(user.retries);
        report.quarantined_pages += count(user.quarantine.len());
        report.history_remaining += u64::from(user.covered_from.is_some_and(|from| from > history_start));
        add(&mut report.lateness, user.lateness.clone());
    }
    report.complete = sound
        && everybody_counts(run, roster, users, &report.users)
        && everything_counts(&report.interactions, lines_named)
        && report.users.failed == 0
        && report.users.missing == 0
        // Who asks for some users expects what Graph says of them. A whole tenant that refuses and shows nothing of
        // anybody is a tenant without consent.
        && (run.asked.users.is_some() || refused == 0 || report.users.exported + report.users.empty > 0);
    report
}

/// `enumerated = excluded + planned` and `planned = exported + empty + unavailable + deferred + failed + missing`, where
/// the roster, run.json and the users file say the same.
fn everybody_counts(run: &RunFile, roster: &Roster, users: &[UserLine], report: &ReportUsers) -> bool {
    let by_class =
        report.exported + report.empty + sum(&report.unavailable) + report.deferred + report.failed + report.missing;
    report.enumerated == sum(&report.excluded) + report.planned
        && report.planned == by_class
        && (run.enumerated, run.planned) == (report.enumerated, report.planned)
        && named(&run.excluded).eq(named(&report.excluded))
        && roster.planned.windows(2).all(|pair| pair[0] < pair[1])
        && roster.planned.iter().eq(users.iter().map(|user| &user.user_id))
}

/// `received = new + already_held` and `lines = sum(new) + recovered`.
fn everything_counts(items: &ReportInteractions, lines_named: u64) -> bool {
    items.new.checked_add(items.already_held) == Some(items.received)
        && items.new.checked_add(items.recovered) == Some(lines_named)
}

/// The numbers that are not 0: a reason that nobody has may stand there or not.
fn named(counts: &Counts) -> impl Iterator<Item = (&String, &u64)> {
    counts.iter().filter(|(_, n)| **n > 0)
}

fn sum(counts: &Counts) -> u64 {
    counts.values().fold(0, |sum, n| sum.saturating_add(*n))
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
