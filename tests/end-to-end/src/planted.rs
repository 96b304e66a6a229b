//! A history that is planted: on which days nothing runs, and how Graph answers of each user on each day. What was read and
//! what is a gap follows from the plan by the rules of the windows, hour by hour, and is held against what others find in the
//! store.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Clock, Kind, Random, RunId, SeededRandom, TenantId, Timestamp, UserId};
use evidence::coverage::Reason;
use graph_simulator::{Fault, Rule, Tenant, UserState};
use jiff::SignedDuration;

use crate::World;

const DAYS: i64 = 16;
const USERS: u64 = 36;

/// Days on which nothing runs, and days on which Graph answers nobody.
const NO_RUN: [i64; 3] = [4, 5, 11];
const GRAPH_IS_DOWN: [i64; 2] = [7, 8];

/// Hours of every daily window that were read before, and of the settling at its end.
const OVERLAP: i64 = 72;
const SETTLE: i64 = 2;

/// How many days who is away is still asked for.
const LEAVER_DAYS: i64 = 2;

/// Ranges that somebody asks for after the days, in hours since the beginning. Daily runs leave no time unread between two reads,
/// because each goes on where coverage ends; nothing joins these to each other or to that.
const RANGES: [(i64, i64); 2] = [(-960, -900), (-800, -720)];

/// What Graph answers of a user on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day {
    /// All there is.
    Read,
    /// The directory does not show the user.
    Away,
    /// That the licence is gone.
    NoLicence,
    /// Nothing, without a reason.
    Refused,
    /// That there is no mailbox.
    NoHistory,
    /// With an answer that fails the window at once, so that the runs of a day that nobody is read on end before the next.
    Failing,
}

impl Day {
    fn reason(self) -> Option<Reason> {
        let class = |text: &str| Some(Reason::Class(text.to_owned()));
        match self {
            Self::Read => None,
            Self::Away => Some(Reason::NotInRoster),
            Self::NoLicence => class("unavailable(no-licence)"),
            Self::Refused => class("unavailable(refused)"),
            Self::NoHistory => class("unavailable(no-history)"),
            Self::Failing => class("failed(bad-request)"),
        }
    }

    fn fault(self) -> Option<Fault> {
        match self {
            Self::NoLicence => Some(Fault::LicenceLost),
            Self::Refused => Some(Fault::Refused),
            Self::Failing => Some(Fault::Status(400)),
            Self::Read | Self::Away | Self::NoHistory => None,
        }
    }
}

/// A user's days: one bad stretch, or several, or none, at seeded days.
fn plan(user: u64, random: &SeededRandom) -> Vec<Day> {
    let mut days = vec![Day::Read; DAYS as usize];
    let mut put = |what: Day, from: u64, length: u64| {
        (from..from + length).filter(|day| *day < DAYS as u64).for_each(|day| days[day as usize] = what);
    };
    let at = |below: u64| random.u64() % below;
    let end = DAYS as u64;
    match user % 9 {
        // Nothing, or a licence that is taken away for good.
        0 if user.is_multiple_of(2) => {}
        0 => put(Day::NoLicence, 10 + at(4), end),
        // A licence taken away and given back, in the directory too, and once more.
        1 => {
            put(Day::NoLicence, 1 + at(4), 1 + at(4));
            put(Day::Away, 9 + at(3), 1 + at(4));
        }
        2 => put(Day::Failing, at(10), 1 + at(6)),
        3 => {
            put(Day::Failing, 1 + at(3), 1 + at(2));
            put(Day::NoLicence, 6 + at(3), 1 + at(2));
            put(Day::Failing, 12, 1 + at(4));
        }
        4 => put(Day::Refused, at(14), 1 + at(end)),
        // Who joins, and who leaves.
        5 => put(Day::Away, 0, 1 + at(12)),
        6 => put(Day::Away, 3 + at(12), end),
        // Who is away longer than a window reaches back, and fails when back.
        7 => {
            put(Day::Away, 1 + at(3), 3 + at(5));
            put(Day::Failing, 9 + at(4), 1 + at(3));
        }
        _ => put(Day::NoHistory, 0, end),
    }
    days
}

/// What the plan says of a day, the tenant's own troubles first. Whom the directory does not show has none of them: for some
/// days after a run that found the user, Graph is still asked and says that the licence is gone.
fn outcome(days: &[Day], day: i64) -> Day {
    let found = |before: i64| !NO_RUN.contains(&before) && days[before as usize] != Day::Away;
    match days[day as usize] {
        Day::Away if ((day - LEAVER_DAYS).max(0)..day).any(found) => Day::NoLicence,
        Day::Away => Day::Away,
        _ if GRAPH_IS_DOWN.contains(&day) => Day::Failing,
        planned => planned,
    }
}

fn scheduled(day: i64) -> Timestamp {
    begin() + hours(24 * day)
}

fn run_id(day: i64) -> String {
    RunId::scheduled(scheduled(day), Kind::Daily).to_string()
}

/// When the world begins: at the schedule of day 0.
pub fn begin() -> Timestamp {
    "2026-11-24T03:00:00Z".parse().unwrap()
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// The hours since the beginning that hold everything the runs owe or read, and a day before and after.
pub fn asked() -> (i64, i64) {
    (-SETTLE - OVERLAP - 24, 24 * DAYS)
}

/// A plan that was carried out.
#[expect(missing_debug_implementations, reason = "a world has none")]
pub struct Planted {
    /// What lies in the store then.
    pub world: World,
    /// What was planned of each user.
    pub plans: BTreeMap<UserId, Vec<Day>>,
    /// The ranges that each user was asked for in besides, of those who were in any.
    pub ranges: BTreeMap<UserId, Vec<(i64, i64)>>,
}

impl Planted {
    /// Makes the tenant and lets the days pass, on a paused clock.
    pub async fn carried_out() -> Self {
        let random = SeededRandom::new(11);
        let mut tenant = Tenant::new(TenantId::from_bytes([7; 16]), begin());
        let mut plans: BTreeMap<UserId, Vec<Day>> = BTreeMap::new();
        for number in 0..USERS {
            let user = tenant.add_licensed(number);
            let days = plan(number, &random);
            if days.contains(&Day::NoHistory) {
                tenant.user_mut(user).unwrap().state = UserState::NoHistory;
            }
            // Some are idle, so that both of the classes that are read occur.
            if number % 4 > 0 {
                tenant.add_items(user, 12, begin() + hours(24 * DAYS), hours(31));
            }
            plans.insert(user, days);
        }
        let mut world = World::new(tenant);
        // Half a day more, so that it does not matter how long after its schedule a run begins.
        world.rules.leavers = hours(24 * LEAVER_DAYS + 12);
        for day in 0..DAYS {
            world.clock.sleep_until(scheduled(day)).await;
            assert_eq!(world.seconds(), scheduled(day), "the run of the day before has ended");
            world.simulator.change(|switches| {
                switches.deleted =
                    plans.iter().filter(|(_, days)| days[day as usize] == Day::Away).map(|(user, _)| *user).collect();
                let faults = plans.iter().filter_map(|(user, days)| Some((*user, outcome(days, day).fault()?)));
                switches.rules = faults.map(|(user, fault)| Rule::always(fault).user(user)).collect();
            });
            if !NO_RUN.contains(&day) {
                let report = world.daily().await;
                assert_eq!(report.run_id.to_string(), run_id(day));
            }
        }
        let mut ranges: BTreeMap<UserId, Vec<(i64, i64)>> = BTreeMap::new();
        let read_today = plans.iter().filter(|(_, days)| outcome(days, DAYS - 1) == Day::Read).map(|(user, _)| *user);
        let read_today: Vec<UserId> = read_today.collect();
        for (range, share) in RANGES.into_iter().zip([2, 3]) {
            let of_range: Vec<UserId> = read_today.iter().copied().step_by(share).collect();
            let names: Vec<String> = of_range.iter().map(UserId::to_string).collect();
            let (from, to) = (begin() + hours(range.0), begin() + hours(range.1));
            let asked = serde_json::json!({"users": names, "from": from, "to": to});
            assert!(world.run(&asked.to_string()).await.complete, "who was read today is read again");
            of_range.into_iter().for_each(|user| ranges.entry(user).or_default().push(range));
        }
        Self { world, plans, ranges }
    }
}

/// A gap as hours since the world began, whose reasons name their days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The hour after which it begins.
    pub from: i64,
    /// The hour at which it ends.
    pub to: i64,
    /// Why, with the runs that should have read it.
    pub reasons: BTreeMap<Reason, BTreeSet<String>>,
    /// The run that read it later.
    pub healed_by: Option<String>,
}

/// What is derived of a user: intervals of hours with the runs that read in them, and gaps.
#[derive(Debug)]
pub struct Derived {
    /// From, to, and the runs.
    pub intervals: Vec<(i64, i64, Vec<String>)>,
    /// By time; those of equal reasons that touch are one.
    pub gaps: Vec<Expected>,
}

/// What follows from a user's days. `asked` in hours; hour `h` is the one that begins after `h`.
pub fn derive(days: &[Day], asked: (i64, i64)) -> Derived {
    let runs: Vec<i64> = (0..DAYS).filter(|day| !NO_RUN.contains(day)).collect();
    let end = |day: i64| 24 * day - SETTLE;
    let mut reads: Vec<(i64, i64, i64)> = Vec::new();
    for &day in &runs {
        if outcome(days, day) == Day::Read {
            // As far back as the overlap before what is covered; the first time, before the end.
            let covered_to = reads.last().map_or(end(day), |(_, to, _)| *to);
            reads.push((covered_to - OVERLAP, end(day), day));
        }
    }
    let mut derived = Derived { intervals: Vec::new(), gaps: Vec::new() };
    for hour in asked.0..asked.1 {
        let readers: Vec<i64> =
            reads.iter().filter(|(from, to, _)| (*from..*to).contains(&hour)).map(|(_, _, day)| *day).collect();
        if !readers.is_empty() {
            match derived.intervals.last_mut() {
                Some((_, to, _)) if *to == hour => *to = hour + 1,
                _ => derived.intervals.push((hour, hour + 1, Vec::new())),
            }
        }
        // A run owes what lies between the end of the run before it and its own; the first owes the overlap.
        let owing = runs.iter().zip([None].into_iter().chain(runs.iter().map(Some)));
        let owing = owing.map(|(day, before)| (*day, before.map_or(end(*day) - OVERLAP, |before| end(*before))));
        let owing: Vec<i64> =
            owing.filter(|(day, from)| (*from..end(*day)).contains(&hour)).map(|(day, _)| day).collect();
        let fault = owing.first().and_then(|day| Some((*day, outcome(days, *day).reason()?)));
        let healed_by = readers.first().map(|day| run_id(*day));
        let gap = match (fault, healed_by) {
            (Some((day, reason)), healed_by) => (reason, [run_id(day)].into(), healed_by),
            (None, None) => (Reason::NoRun, BTreeSet::new(), None),
            (None, Some(_)) => continue,
        };
        derived.add(hour, gap);
    }
    for (from, to, read_by) in &mut derived.intervals {
        let within = reads.iter().filter(|(begin, end, _)| begin < to && end > from);
        read_by.extend(within.map(|(_, _, day)| run_id(*day)));
    }
    derived
}

impl Derived {
    /// Open gaps are one where the reasons are the same, healed ones where the healer is.
    fn add(&mut self, hour: i64, (reason, runs, healed_by): (Reason, BTreeSet<String>, Option<String>)) {
        let joins = |last: &Expected| {
            let same = last.healed_by.is_some() || last.reasons.keys().eq([&reason]);
            last.to == hour && last.healed_by == healed_by && same
        };
        match self.gaps.last_mut() {
            Some(last) if joins(last) => {
                last.to = hour + 1;
                last.reasons.entry(reason).or_default().extend(runs);
            }
            _ => {
                let reasons = BTreeMap::from([(reason, runs)]);
                self.gaps.push(Expected { from: hour, to: hour + 1, reasons, healed_by });
            }
        }
    }
}
