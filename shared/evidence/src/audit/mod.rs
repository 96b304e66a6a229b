//! The audit: may it be said of these people and this time that nothing is missing?
//!
//! It verifies the archive, resolves the people through the rosters, and asks for each what of the time was read. Every
//! figure is derived from what lies in the archive; nothing is believed because a report says so.

mod explain;
mod items;
mod text;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::archive::{self, Archive, ReadError};
use crate::coverage::{Coverage, History, Outcome, ReadBefore, Shown, Window, cover, graph_said_so, histories};
use crate::finding::Verdict;
use crate::people::{People, Person, people};
use crate::retention::Retention;
use crate::source::Source;
use crate::verify::{Expectation, Kept, verify, verify_logs};

pub use items::Items;

/// How many users an audit of all takes at a time: enough that few passes over the users files are needed, few enough that
/// a year of runs of them fits in some hundred megabytes.
const BATCH: usize = 1_024;

/// How many users with open gaps an audit of all lists; the others are counted.
const MAX_LISTED: usize = 1_000;

/// What the archive cannot prove, whatever it holds.
pub const LIMITS: [&str; 5] = [
    "items that Graph never showed: of applications that keep no interaction history",
    "items that were purged before they were first read",
    "items that became visible only after the last time their instant was read",
    "use under a licence that was given and taken away between two rosters",
    "who typed: the record names the account and not the person",
];

/// What this reader could not ask the store, and so does not prove.
fn unseen(kept: &Kept) -> Vec<&'static str> {
    let answers = [
        (kept.versioning.is_some(), "whether the bucket keeps versions (s3:GetBucketVersioning is needed)"),
        (
            kept.versions.is_some() || kept.versioning == Some("never"),
            "that nothing was replaced or deleted and put back (s3:ListBucketVersions is needed)",
        ),
        (
            kept.locks.is_some(),
            "how long nothing can be deleted (s3:GetObjectRetention and s3:GetObjectLegalHold are needed)",
        ),
    ];
    answers.into_iter().filter(|(seen, _)| !seen).map(|(_, limit)| limit).collect()
}

/// Whom an audit is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// Everybody whom any run planned.
    All,
    /// These: object ids, UPNs, display names or mail addresses, present or former.
    Named(Vec<String>),
}

/// What to audit.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whom.
    pub whom: Whom,
    /// From when; without it from `history_start`.
    pub from: Option<Timestamp>,
    /// Until when; without it until the newest closed run's end.
    pub to: Option<Timestamp>,
    /// Whether to list for each interval the runs, and the users file's and receipts' lines that prove it.
    pub explain: bool,
    /// A ledger entry's number and hash that was noted outside the archive.
    pub ledger_head: Option<(u64, String)>,
    /// Where the time asked for begins if nothing else is said: `HISTORY_START`.
    pub history_start: Timestamp,
    /// After how many days what is archived may be gone; never without. Time before is expired, and no gap.
    pub retention_days: Option<u32>,
    /// When the audit is made: for its heading, and what days of retention count back from.
    pub read_at: Timestamp,
    /// What the archive is called, for the heading: a folder or an address.
    pub location: String,
    /// The program and its version, for the heading.
    pub program: String,
}

impl Request {
    fn retention(&self) -> Option<Retention> {
        let days = self.retention_days.filter(|days| *days > 0)?;
        Some(Retention { days, read_at: self.read_at })
    }
}

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The archive could not be read.
    #[error("the archive cannot be audited")]
    Read(#[from] ReadError),
    /// Nobody has this name or id. The name is not repeated: errors are logged.
    #[error("user[{position}] is on no roster; give an object id, or a UPN, name or mail address that a roster has")]
    Unknown {
        /// Which of the users asked for, from 0.
        position: usize,
    },
    /// More than one person has this name.
    #[error("user[{position}] is the name of {persons} people; give an object id")]
    Ambiguous {
        /// Which of the users asked for, from 0.
        position: usize,
        /// How many have it.
        persons: usize,
    },
    /// The range is empty or inverted, or no run is closed that could end it.
    #[error("the range does not begin before it ends; give from and to, or close a run first")]
    Range,
    /// The head is not of the form `N:HASH`.
    #[error("the ledger head is not a number, a colon and 64 hexadecimal digits")]
    Head,
}

impl From<crate::SourceError> for AuditError {
    fn from(error: crate::SourceError) -> Self {
        Self::Read(error.into())
    }
}

/// The answer, worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// All time asked for was read, and no promise was found broken.
    NoOpenGap,
    /// Some time was not read.
    OpenGap,
    /// A promise of the format is broken.
    IntegrityFailure,
}

/// The exit code of an audit that could not be made.
pub const COULD_NOT_RUN: u8 = 3;

impl Answer {
    /// The exit code of a program that gives this answer.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::NoOpenGap => 0,
            Self::OpenGap => 1,
            Self::IntegrityFailure => 2,
        }
    }
}

/// One person's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserAudit {
    /// Who.
    pub person: Person,
    /// What was read.
    pub coverage: Coverage,
    /// What Graph showed, again and again.
    pub shown: Shown,
    /// What the archive holds.
    pub items: Items,
}

/// How an audit of several people came out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The people audited.
    pub users: u64,
    /// Those with an open gap.
    pub with_open_gap: u64,
    /// Of those with an open gap: who has none but for Graph's answer that there is nothing it would show. Nothing was read
    /// of them, so the gap is one; reading again does not help as long as Graph says so.
    pub unavailable: u64,
    /// Those whose every gap was read later.
    pub with_healed_gap: u64,
    /// Of all: those whose last run was before the range's end; their time is asked for up to that run.
    pub left: u64,
}

/// An audit. As JSON it holds what the text says, and more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// The answer.
    pub answer: Answer,
    /// The tenant.
    pub tenant_id: String,
    /// What the archive is called.
    pub location: String,
    /// When it was read.
    pub read_at: Timestamp,
    /// By what.
    pub program: String,
    /// What was asked.
    pub asked: Window,
    /// The part of it of which nothing need be kept any more: it is neither read nor a gap.
    pub expired: Option<Window>,
    /// Whether everybody was asked for.
    pub all: bool,
    /// Daily rosters of the whole tenant.
    pub daily_rosters: u64,
    /// The people asked for; of all only those with an open gap, and of them the first thousand.
    pub users: Vec<UserAudit>,
    /// Numbers over the people.
    pub summary: Summary,
    /// What was verified, and what was found.
    pub integrity: Verdict,
    /// What is not proven.
    pub limits: Vec<&'static str>,
    #[serde(skip)]
    explain: bool,
}

/// A ledger head as people note it: `N:HASH`.
pub fn parse_head(text: &str) -> Result<(u64, String), AuditError> {
    let (number, hash) = text.split_once(':').ok_or(AuditError::Head)?;
    let hash = hash.to_ascii_lowercase();
    match number.parse() {
        Ok(number) if crate::layout::is_hex(&hash, 64) => Ok((number, hash)),
        _ => Err(AuditError::Head),
    }
}

/// Makes an audit. Where damage leaves no way to tell coverage, the answer is the integrity failure, without people.
pub fn audit(source: &dyn Source, request: &Request) -> Result<AuditReport, AuditError> {
    // It is put before every run, so beside a ledger it was taken away: that is damage, not another folder.
    if source.read(crate::layout::ARCHIVE)?.is_none() && source.list("ledger/")?.is_empty() {
        return Err(ReadError::NotAnArchive.into());
    }
    match proof(source, request) {
        Ok(report) => Ok(report),
        // What does not parse was put there by nobody who keeps the format: that is an answer, not a failure to run.
        Err(AuditError::Read(ReadError::Damaged { .. } | ReadError::NotAnArchive)) => damaged(source, request),
        Err(error) => Err(error),
    }
}

fn proof(source: &dyn Source, request: &Request) -> Result<AuditReport, AuditError> {
    let retention = request.retention();
    let archive = archive::open(source, retention)?;
    let people = people(source, retention)?;
    let asked = asked(request, &archive)?;
    let (chosen, all) = match &request.whom {
        Whom::All => (people.persons.values().filter(|person| person.planned).collect(), true),
        Whom::Named(names) => (resolve(&people, names)?, false),
    };
    let users = (!all).then(|| chosen.iter().map(|person| person.user_id.clone()).collect());
    let (integrity, logs) = verify_logs(source, &expectation(request, users))?;
    let mut report = report(request, archive.tenant.clone(), asked, all, integrity);
    report.daily_rosters = people.daily_rosters;
    let kept = Window { from: report.expired.map_or(asked.from, |expired| expired.to), ..asked };
    for batch in chosen.chunks(BATCH) {
        let ids: HashSet<String> = batch.iter().map(|person| person.user_id.clone()).collect();
        let mut histories = histories(source, &archive, &ids)?;
        for person in batch {
            let History { outcomes, shown } = histories.remove(&person.user_id).unwrap_or_default();
            let asked = if all { until_last_plan(kept, &outcomes) } else { Some(kept) };
            report.summary.users += 1;
            let Some(asked_of) = asked else {
                report.summary.left += 1;
                continue;
            };
            report.summary.left += u64::from(asked_of.to < report.asked.to);
            let coverage = cover(asked_of, &outcomes);
            let open = coverage.open().next().is_some();
            report.summary.with_open_gap += u64::from(open);
            // The class is the same where a tombstone kept the user from being read, and Graph was not asked.
            let erased = || report.integrity.erased.iter().any(|erased| erased.user_id == person.user_id);
            report.summary.unavailable += u64::from(open && graph_said_so(&coverage, &outcomes) && !erased());
            report.summary.with_healed_gap += u64::from(!open && !coverage.gaps.is_empty());
            if !all || (open && report.users.len() < MAX_LISTED) {
                let months = logs.get(&person.user_id).into_iter().flat_map(BTreeMap::values);
                let items =
                    items::count(source, months.flat_map(BTreeMap::values), asked_of, &ReadBefore::of(&outcomes))?;
                report.users.push(UserAudit { person: (*person).clone(), coverage, shown, items });
            }
        }
    }
    if request.explain {
        explain::name_receipts(source, &archive, &mut report.users)?;
    }
    if report.answer == Answer::NoOpenGap && report.summary.with_open_gap > 0 {
        report.answer = Answer::OpenGap;
    }
    Ok(report)
}

fn damaged(source: &dyn Source, request: &Request) -> Result<AuditReport, AuditError> {
    let integrity = verify(source, &expectation(request, None))?;
    let tenant = integrity.numbers.tenant_id.clone().unwrap_or_default();
    let from = request.from.unwrap_or(request.history_start);
    let asked = Window { from, to: request.to.unwrap_or(request.read_at) };
    let mut report = report(request, tenant, asked, request.whom == Whom::All, integrity);
    report.answer = Answer::IntegrityFailure;
    Ok(report)
}

fn report(request: &Request, tenant_id: String, asked: Window, all: bool, integrity: Verdict) -> AuditReport {
    let expired = request.retention().map(|retention| asked.to.min(retention.kept_since()));
    let expired = expired.map(|to| Window { from: asked.from, to }).filter(|window| window.from < window.to);
    let unseen = integrity.kept.as_ref().map(unseen).unwrap_or_default();
    AuditReport {
        answer: if integrity.is_intact() { Answer::NoOpenGap } else { Answer::IntegrityFailure },
        tenant_id,
        location: request.location.clone(),
        read_at: request.read_at,
        program: request.program.clone(),
        asked,
        expired,
        all,
        daily_rosters: 0,
        users: Vec::new(),
        summary: Summary::default(),
        integrity,
        limits: [&LIMITS[..], &unseen].concat(),
        explain: request.explain,
    }
}

/// `history_start` is the asker's, and need not be the one the runs had, so no report is measured by it.
fn expectation(request: &Request, users: Option<BTreeSet<String>>) -> Expectation {
    Expectation { ledger_head: request.ledger_head.clone(), history_start: None, users, retention: request.retention() }
}

fn asked(request: &Request, archive: &Archive) -> Result<Window, AuditError> {
    let newest = archive.closed.iter().filter_map(|closed| closed.run.to).max();
    // Where every closed run has expired, so has all time up to them.
    let newest = newest.or(request.retention().map(Retention::kept_since));
    let from = request.from.unwrap_or(request.history_start);
    let to = request.to.or(newest).ok_or(AuditError::Range)?;
    if from < to { Ok(Window { from, to }) } else { Err(AuditError::Range) }
}

fn resolve<'p>(people: &'p People, names: &[String]) -> Result<Vec<&'p Person>, AuditError> {
    let mut chosen: Vec<&Person> = Vec::new();
    for (position, name) in names.iter().enumerate() {
        match people.find(name).as_slice() {
            [] => return Err(AuditError::Unknown { position }),
            [person] if chosen.contains(person) => {}
            [person] => chosen.push(person),
            several => return Err(AuditError::Ambiguous { position, persons: several.len() }),
        }
    }
    Ok(chosen)
}

/// Of everybody's time the part up to the last run that planned the user: who leaves is no gap for ever after. `None` if
/// that part is empty.
fn until_last_plan(asked: Window, outcomes: &[Outcome<'_>]) -> Option<Window> {
    let last = outcomes.iter().filter(|outcome| outcome.is_planned()).filter_map(|outcome| outcome.ends()).max()?;
    let to = asked.to.min(last);
    (asked.from < to).then_some(Window { from: asked.from, to })
}
