//! What is archived, and when a run is over.

use std::ops::RangeInclusive;
use std::time::Duration;

use domain::{Env, GroupId, Timestamp};
use jiff::SignedDuration;

use crate::variables::{
    EXCLUDE_GROUPS, HISTORY_HOURS, HISTORY_START, INCLUDE_GROUPS, LEAVER_DAYS, OVERLAP_HOURS, QUIET_SECONDS,
    SETTLE_MINUTES, Variable,
};
use crate::{InvalidConfiguration, Part, Place, Reader, from_env};

/// A day at most: with more, a daily run would not reach the day before it.
const SETTLE_BOUNDS: RangeInclusive<u32> = 0..=1440;
/// At least an hour, since the first window of a new user is the overlap; at most a year, which a history run reads better.
const OVERLAP_BOUNDS: RangeInclusive<u32> = 1..=8760;
/// With the hour until its deadline, a history run is over within the 23 hours of any other run.
const HISTORY_BOUNDS: RangeInclusive<u32> = 1..=22;
/// At most ten minutes: both readings fit into one invocation.
const QUIET_BOUNDS: RangeInclusive<u32> = 0..=600;
/// At most a year: the rosters of that time are read in each run of everybody.
const LEAVER_BOUNDS: RangeInclusive<u32> = 0..=365;
/// Lambda's environment holds 4 KB, which are about a hundred ids; more groups belong into a group.
const MAX_GROUPS: usize = 100;
/// 2000-01-01 to 2100-01-01: far from any interaction and far from the ends of time, where windows cannot be computed.
const HISTORY_START_SECONDS: RangeInclusive<i64> = 946_684_800..=4_102_444_800;

/// The rules of archiving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How long before now a window ends.
    pub settle: SignedDuration,
    /// How much of what is covered each daily window reads again.
    pub overlap: SignedDuration,
    /// How far back history runs read.
    pub history_start: Timestamp,
    /// How long a history run may begin new work.
    pub history_hours: SignedDuration,
    /// How far apart two readings of an empty queue lie before it counts as empty.
    pub quiet: Duration,
    /// Only their members are archived; everybody, if there are none.
    pub include_groups: Vec<GroupId>,
    /// Their members are not archived.
    pub exclude_groups: Vec<GroupId>,
    /// How long who lost the licence is still read.
    pub leavers: SignedDuration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            settle: SignedDuration::from_mins(120),
            overlap: SignedDuration::from_hours(72),
            history_start: Timestamp::constant(1_698_796_800, 0),
            history_hours: SignedDuration::from_hours(6),
            quiet: Duration::from_secs(60),
            include_groups: Vec::new(),
            exclude_groups: Vec::new(),
            leavers: SignedDuration::from_hours(30 * 24),
        }
    }
}

impl Rules {
    /// The rules alone.
    pub fn from_env(env: &dyn Env) -> Result<Self, InvalidConfiguration> {
        from_env(env, Place::Lambda)
    }
}

impl Part for Rules {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let settle = reader.number(&SETTLE_MINUTES, SETTLE_BOUNDS);
        let overlap = reader.number(&OVERLAP_HOURS, OVERLAP_BOUNDS);
        let history_start = reader.required(
            &HISTORY_START,
            "a time of the form 2023-11-01T00:00:00Z, from the year 2000 to 2100",
            history_start,
        );
        let history_hours = reader.number(&HISTORY_HOURS, HISTORY_BOUNDS);
        let quiet = reader.number(&QUIET_SECONDS, QUIET_BOUNDS);
        let include_groups = groups(reader, &INCLUDE_GROUPS);
        let exclude_groups = groups(reader, &EXCLUDE_GROUPS);
        let leavers = reader.number(&LEAVER_DAYS, LEAVER_BOUNDS);
        Some(Self {
            settle: SignedDuration::from_mins(settle?.into()),
            overlap: SignedDuration::from_hours(overlap?.into()),
            history_start: history_start?,
            history_hours: SignedDuration::from_hours(history_hours?.into()),
            quiet: Duration::from_secs(quiet?.into()),
            include_groups: include_groups?,
            exclude_groups: exclude_groups?,
            leavers: SignedDuration::from_hours(i64::from(leavers?) * 24),
        })
    }
}

fn history_start(text: &str) -> Option<Timestamp> {
    // A time without the Z may be meant as local: one must not have to guess.
    let time: Timestamp = text.ends_with('Z').then(|| text.parse().ok())??;
    HISTORY_START_SECONDS.contains(&time.as_second()).then_some(time)
}

fn groups(reader: &mut Reader<'_>, variable: &Variable) -> Option<Vec<GroupId>> {
    let Some(text) = reader.text(variable) else { return Some(Vec::new()) };
    let mut groups = Vec::new();
    let mut wrong = Vec::new();
    for (index, entry) in text.split(',').enumerate() {
        match entry.trim().parse() {
            Ok(group) => groups.push(group),
            Err(_) => wrong.push((index + 1).to_string()),
        }
    }
    if !wrong.is_empty() {
        reader.fault(variable, format!("must be group ids, GUIDs separated by commas: see entry {}", wrong.join(", ")));
        None
    } else if groups.len() > MAX_GROUPS {
        reader.fault(variable, format!("must be at most {MAX_GROUPS} group ids: put the groups into one group"));
        None
    } else {
        Some(groups)
    }
}
