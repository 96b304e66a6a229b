//! What is archived, and when a run is over.

use std::ops::RangeInclusive;
use std::time::Duration;

use domain::{Env, GroupId, Timestamp};
use jiff::SignedDuration;

use crate::variables::{
    EXCLUDE_GROUPS, HISTORY_HOURS, HISTORY_START, INCLUDE_GROUPS, LEAVER_DAYS, OVERLAP_HOURS, QUIET_SECONDS,
    RETENTION_DAYS, SETTLE_MINUTES, Variable,
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
/// The most days that a lifecycle rule of S3 is given here: a century, the template's bound.
const MAX_RETENTION_DAYS: u32 = 36_500;
/// Beyond the overlap at least two weeks: a checkpoint may be a week behind, and an outage may take another. With less, the
/// usual daily window would begin before what is kept.
const RETENTION_BEYOND_OVERLAP: SignedDuration = SignedDuration::from_hours(14 * 24);
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
    /// How long what was archived is kept; for ever without one.
    pub retention: Option<SignedDuration>,
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
            retention: None,
        }
    }
}

impl Rules {
    /// The rules alone.
    pub fn from_env(env: &dyn Env) -> Result<Self, InvalidConfiguration> {
        from_env(env, Place::Lambda)
    }

    /// Where what is kept begins for a run that began then: no window of it begins before. It follows from the run's own
    /// beginning, so it is the same for each of its attempts; at a whole second, since Graph is asked in those.
    pub fn kept_since(&self, started_at: Timestamp) -> Timestamp {
        let Some(since) = self.retention.and_then(|retention| started_at.checked_sub(retention).ok()) else {
            return Timestamp::MIN;
        };
        let second = since.as_second() + i64::from(since.subsec_nanosecond() > 0);
        Timestamp::from_second(second).unwrap_or(since)
    }

    /// How far back a history run reads that began then.
    pub fn history_begins(&self, started_at: Timestamp) -> Timestamp {
        self.history_start.max(self.kept_since(started_at))
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
        let retention = retention(reader, overlap);
        Some(Self {
            settle: SignedDuration::from_mins(settle?.into()),
            overlap: SignedDuration::from_hours(overlap?.into()),
            history_start: history_start?,
            history_hours: SignedDuration::from_hours(history_hours?.into()),
            quiet: Duration::from_secs(quiet?.into()),
            include_groups: include_groups?,
            exclude_groups: exclude_groups?,
            leavers: SignedDuration::from_hours(i64::from(leavers?) * 24),
            retention: retention?,
        })
    }
}

/// `Some(None)`: for ever. The overlap has none if it has a fault of its own.
fn retention(reader: &mut Reader<'_>, overlap_hours: Option<u32>) -> Option<Option<SignedDuration>> {
    let hours = i64::from(reader.number(&RETENTION_DAYS, 0..=MAX_RETENTION_DAYS)?) * 24;
    let least = SignedDuration::from_hours(overlap_hours.unwrap_or_default().into()) + RETENTION_BEYOND_OVERLAP;
    let retention = SignedDuration::from_hours(hours);
    if hours > 0 && retention < least {
        let days = least.as_hours().unsigned_abs().div_ceil(24);
        reader.fault(&RETENTION_DAYS, format!("must be 0, or at least {days}: 14 more than the days of OVERLAP_HOURS"));
        return None;
    }
    Some((hours > 0).then_some(retention))
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
