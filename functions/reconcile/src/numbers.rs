//! The numbers of a closed run, and whether they prove it complete.

use archive::records::{
    Asked, Counts, Report, ReportInteractions, ReportRequests, ReportUsers, RosterLine, RunFile, UserLine, Why,
};
use domain::{Class, Timestamp, UserId};

use crate::share::add;

/// Whom a roster names. The names themselves are dropped: 16 bytes stay of each planned user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    /// How many it names.
    pub(crate) enumerated: u64,
    /// How many of them lost the licence lately.
    pub(crate) leavers: u64,
    /// How many are not planned, by reason.
    pub(crate) excluded: Counts,
    /// Who is, sorted.
    pub(crate) planned: Vec<UserId>,
}

impl Roster {
    /// Takes one line.
    pub(crate) fn take(&mut self, line: &RosterLine) {
        self.enumerated += 1;
        self.leavers += u64::from(line.why == Why::Leaver);
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
            leavers: roster.leavers,
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
        // Who asks for some users or groups expects what Graph says of them. A whole tenant that refuses and shows nothing
        // of anybody is a tenant without consent.
        && (!is_whole_tenant(&run.asked) || refused == 0 || report.users.exported + report.users.empty > 0);
    report
}

/// Whether everybody was asked for.
const fn is_whole_tenant(asked: &Asked) -> bool {
    asked.users.is_none() && asked.groups.is_none()
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

#[cfg(test)]
mod tests {
    use archive::records::{QuarantineRef, RunFile};
    use domain::{Failure, Unavailability};
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;
    use crate::share::Share;
    use crate::testing::{at, line, roster_line, run_file, run_id, segment, user};
    use archive::records::ReceiptLine;

    fn user_line(line: ReceiptLine) -> UserLine {
        let mut share = Share::none(&run_id(), line.user_id);
        share.take(line);
        share.into_line(SignedDuration::from_hours(72))
    }

    fn roster(planned: u8) -> Roster {
        let mut roster = Roster::default();
        for n in 1..=planned {
            roster.take(&roster_line(n, None));
        }
        roster.sorted()
    }

    fn facts<'a>(run: &'a RunFile, roster: &'a Roster, users: &'a [UserLine]) -> Facts<'a> {
        Facts { run, roster, users, sound: true, attempts_lost: 0, history_start: at(0), closed_at: at(600) }
    }

    #[test]
    fn each_number_is_the_sum_over_the_users() {
        let busy = |n| ReceiptLine {
            received: 7,
            new: 4,
            already_held: 3,
            segments: vec![segment(1, 4, false), segment(2, 5, true)],
            quarantine: vec![QuarantineRef { key: format!("page-{n}"), sha256: String::new() }],
            covered_from: Some(at(i64::from(n) - 1)),
            covered_to: Some(at(100)),
            requests: Counts::from([("200".to_owned(), 5), ("429".to_owned(), 2), ("503".to_owned(), 1)]),
            retries: 3,
            lateness: Counts::from([("<=1".to_owned(), 1), ("<=24".to_owned(), 3)]),
            ..line(n, 1, Some(Class::Exported))
        };
        let users = [user_line(busy(1)), user_line(busy(2)), user_line(line(3, 1, Some(Class::Empty)))];
        let (run, roster) = (run_file(3), roster(3));
        let report = report(Facts { attempts_lost: 1, ..facts(&run, &roster, &users) });
        let items = ReportInteractions { received: 14, new: 8, already_held: 6, recovered: 10 };
        assert_eq!(report.interactions, items);
        assert_eq!(report.requests, ReportRequests { sent: 16, throttled: 4, retried: 6 });
        assert_eq!(report.lateness, Counts::from([("<=1".to_owned(), 2), ("<=24".to_owned(), 6)]));
        assert_eq!((report.quarantined_pages, report.attempts_lost), (2, 1));
        // Of the two who are covered, one is covered to the start; who is not covered at all is no history's business yet.
        assert_eq!(report.history_remaining, 1);
        assert_eq!((report.started_at, report.closed_at), (run.started_at, at(600)));
        assert!(report.complete);
    }

    #[test]
    fn what_does_not_hold_outside_the_users_file_is_incomplete() {
        let (run, two) = (run_file(2), roster(2));
        let users = [user_line(line(1, 1, Some(Class::Empty))), user_line(line(2, 1, Some(Class::Empty)))];
        assert!(report(facts(&run, &two, &users)).complete);
        assert!(!report(Facts { sound: false, ..facts(&run, &two, &users) }).complete);
        let mut twice = Roster { enumerated: 2, planned: vec![user(1), user(1)], ..Roster::default() };
        assert!(!report(facts(&run, &twice, &users)).complete, "the users file is of others");
        twice.planned = vec![user(1)];
        assert!(!report(facts(&run, &twice, &users)).complete, "enumerated = excluded + planned");
    }

    fn class() -> impl Strategy<Value = Option<Class>> {
        use Unavailability::{Gone, NoHistory, NoLicence, Refused};
        prop_oneof![
            Just(None),
            Just(Some(Class::Exported)),
            Just(Some(Class::Empty)),
            Just(Some(Class::Deferred)),
            Just(Some(Class::Failed(Failure::ServerError))),
            proptest::sample::select(vec![NoLicence, NoHistory, Refused, Gone])
                .prop_map(|reason| Some(Class::Unavailable(reason))),
        ]
    }

    proptest! {
        #[test]
        fn everybody_is_in_one_class_and_complete_is_what_it_is_defined_as(
            classes in proptest::collection::vec(class(), 0..6),
            whole_tenant in any::<bool>(),
        ) {
            let planned = classes.len() as u8;
            let asked = Asked { users: (!whole_tenant).then(Vec::new), ..Asked::default() };
            let (run, roster) = (RunFile { asked, ..run_file(planned) }, roster(planned));
            let users: Vec<UserLine> =
                (1..).zip(&classes).map(|(n, class)| user_line(line(n, 1, *class))).collect();
            let report = report(facts(&run, &roster, &users));
            let of = &report.users;
            let sum = of.exported + of.empty + of.unavailable.values().sum::<u64>() + of.deferred + of.failed + of.missing;
            prop_assert_eq!(sum, u64::from(planned));

            let some = |test: fn(Class) -> bool| classes.iter().flatten().any(|class| test(*class));
            let refused = some(|class| matches!(class, Class::Unavailable(reason) if reason.is_refusal()));
            let expected = classes.iter().all(Option::is_some)
                && !some(Class::is_failed)
                && (!whole_tenant || !refused || some(Class::is_read));
            prop_assert_eq!(report.complete, expected);
        }
    }
}
