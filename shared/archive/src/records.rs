//! What the archive's files hold: the names and the order of their members are the format.
//!
//! Readers step over members they do not know, so that a later version may add some.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use domain::{
    ArchiveId, AttemptId, Class, GroupId, Kind, OtherReason, ParseReasonError, RunId, TenantId, Timestamp, UserId,
    Window,
};
use serde::{Deserialize, Serialize};

/// The format this program writes, and the newest it reads.
pub const FORMAT: u64 = 1;

/// Numbers by name.
pub type Counts = BTreeMap<String, u64>;

/// `archive.json`: what makes a store an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveFile {
    /// [`FORMAT`].
    pub format: u64,
    /// Random: a checkpoint that names another archive counts as absent.
    pub archive_id: ArchiveId,
    /// The one tenant it holds.
    pub tenant_id: TenantId,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The program that wrote a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Producer {
    /// The program's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The commit it was built from.
    pub commit: String,
}

/// Why a user is on the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Holds a licence that grants the plan.
    Licensed,
    /// Named by the request.
    Asked,
    /// Was planned lately, and is not licensed any more.
    Leaver,
}

/// Why a user on the roster is not planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub enum Exclusion {
    /// The licence is held with the plan switched off.
    PlanDisabled,
    /// Not a member of the groups that bind the run.
    NotInGroups,
    /// Excluded by id or by group.
    Exclude,
    /// History: nothing is covered yet that could be extended.
    NotCovered,
    /// History: covered back to its start.
    HistoryDone,
    /// Erased on request.
    Erased,
    /// A reason that a later version gave.
    Other(OtherReason),
}

impl Exclusion {
    const KNOWN: [Self; 6] =
        [Self::PlanDisabled, Self::NotInGroups, Self::Exclude, Self::NotCovered, Self::HistoryDone, Self::Erased];

    /// The name in rosters and reports.
    pub fn as_str(&self) -> &str {
        match self {
            Self::PlanDisabled => "plan-disabled",
            Self::NotInGroups => "not-in-groups",
            Self::Exclude => "exclude",
            Self::NotCovered => "not-covered",
            Self::HistoryDone => "history-done",
            Self::Erased => "erased",
            Self::Other(reason) => reason.as_str(),
        }
    }
}

impl TryFrom<Cow<'_, str>> for Exclusion {
    type Error = ParseReasonError;

    fn try_from(name: Cow<'_, str>) -> Result<Self, Self::Error> {
        let known = Self::KNOWN.into_iter().find(|known| known.as_str() == name);
        known.map_or_else(|| name.parse().map(Self::Other), Ok)
    }
}

impl From<Exclusion> for String {
    fn from(exclusion: Exclusion) -> Self {
        exclusion.as_str().to_owned()
    }
}

/// A licence as the directory shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// The product.
    pub sku_id: String,
    /// The plans of it that are switched off.
    pub disabled_plans: Vec<String>,
}

/// A user whom a run enumerated. The only place names are written to, so its `Debug` shows none.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterLine {
    /// The user.
    pub user_id: UserId,
    /// User principal name.
    pub upn: Option<String>,
    /// Display name.
    pub display_name: Option<String>,
    /// Mail address.
    pub mail: Option<String>,
    /// Whether the account may sign in.
    pub account_enabled: Option<bool>,
    /// `Member` or `Guest`.
    pub user_type: Option<String>,
    /// The licences held.
    pub licences: Vec<Licence>,
    /// Why the user is here.
    pub why: Why,
    /// Whether a message is sent for the user.
    pub planned: bool,
    /// Why not.
    pub excluded: Option<Exclusion>,
}

impl fmt::Debug for RosterLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RosterLine")
            .field("user_id", &self.user_id)
            .field("why", &self.why)
            .field("planned", &self.planned)
            .field("excluded", &self.excluded)
            .finish_non_exhaustive()
    }
}

/// What a run was asked to do, names resolved to ids. Two requests are the same if these are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// The scheduled time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<Timestamp>,
    /// Only these users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<UserId>>,
    /// Only members of these groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<GroupId>>,
    /// Not these users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<UserId>>,
    /// Only members of these groups, by configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_groups: Option<Vec<GroupId>>,
    /// No members of these groups, by configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_groups: Option<Vec<GroupId>>,
    /// The range's beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// The range's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// The last so many hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookback_hours: Option<u32>,
    /// Whether history was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<bool>,
}

/// `run.json`: what a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    /// [`FORMAT`].
    pub format: u64,
    /// The run.
    pub run_id: RunId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// What kind of run.
    pub kind: Kind,
    /// What was asked.
    pub asked: Asked,
    /// The window's beginning, where it is the same for all users.
    pub from: Option<Timestamp>,
    /// The window's end; null in a history run.
    pub to: Option<Timestamp>,
    /// No piece is begun after this time (history).
    pub not_after: Option<Timestamp>,
    /// When the run closes in any case.
    pub deadline: Timestamp,
    /// How many hours every daily window reads again.
    pub overlap_hours: u32,
    /// How many users the roster names.
    pub enumerated: u64,
    /// How many of them are not planned, by reason.
    pub excluded: Counts,
    /// How many of them are.
    pub planned: u64,
    /// When the run began.
    pub started_at: Timestamp,
    /// Who wrote this.
    pub producer: Producer,
}

/// A segment that a line counts or has met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRef {
    /// Its key.
    pub key: String,
    /// How many records it holds.
    pub lines: u64,
    /// The hash of the stored object.
    pub sha256: String,
    /// Whether another attempt of the run put it.
    pub adopted: bool,
}

/// A page kept because it did not parse.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct QuarantineRef {
    /// Its key.
    pub key: String,
    /// The hash of the stored object.
    pub sha256: String,
}

/// What one attempt did for one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptLine {
    /// The user.
    pub user_id: UserId,
    /// The run.
    pub run_id: RunId,
    /// The attempt.
    pub attempt_id: AttemptId,
    /// How the user's whole window ended so far, written as `class` and `reason`; none if the user was handed over.
    #[serde(flatten, with = "class_names")]
    pub class: Option<Class>,
    /// What was read to its end.
    pub windows: Vec<Window>,
    /// Pages read.
    pub pages: u64,
    /// Items received: `new` + `already_held`.
    pub received: u64,
    /// Items this attempt archived.
    pub new: u64,
    /// Items that were archived before.
    pub already_held: u64,
    /// The run's segments in the user's logs.
    pub segments: Vec<SegmentRef>,
    /// Pages that did not parse.
    pub quarantine: Vec<QuarantineRef>,
    /// Where the user's coverage begins.
    pub covered_from: Option<Timestamp>,
    /// Where it ends.
    pub covered_to: Option<Timestamp>,
    /// Interaction requests by status.
    pub requests: Counts,
    /// How many of them were repeats.
    pub retries: u64,
    /// Graph's ids of failed requests.
    pub request_ids: Vec<String>,
    /// New items by how many hours after their creation they were fetched.
    pub lateness: Counts,
}

/// What a closed run did for one user: its receipt lines made one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserLine {
    /// The user.
    pub user_id: UserId,
    /// The run.
    pub run_id: RunId,
    /// The best class of the user's lines, written as `class` and `reason`; none if the user is missing.
    #[serde(flatten, with = "class_names")]
    pub class: Option<Class>,
    /// What was read to its end.
    pub windows: Vec<Window>,
    /// Pages read.
    pub pages: u64,
    /// Items received: `new` + `already_held`.
    pub received: u64,
    /// Items the run's attempts archived.
    pub new: u64,
    /// Items that were archived before.
    pub already_held: u64,
    /// The run's segments in the user's logs.
    pub segments: Vec<SegmentRef>,
    /// Pages that did not parse.
    pub quarantine: Vec<QuarantineRef>,
    /// Where the user's coverage begins.
    pub covered_from: Option<Timestamp>,
    /// Where it ends.
    pub covered_to: Option<Timestamp>,
    /// Interaction requests by status.
    pub requests: Counts,
    /// How many of them were repeats.
    pub retries: u64,
    /// Graph's ids of failed requests.
    pub request_ids: Vec<String>,
    /// New items by how many hours after their creation they were fetched.
    pub lateness: Counts,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A report's users.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportUsers {
    /// Named by the roster: `excluded` + `planned`.
    pub enumerated: u64,
    /// How many of them lost the licence lately; left out if none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub leavers: u64,
    /// Not planned, by reason.
    pub excluded: Counts,
    /// Planned: the sum of the members below.
    pub planned: u64,
    /// Read to the end, with items.
    pub exported: u64,
    /// Read to the end, without items.
    pub empty: u64,
    /// Graph said that there is nothing to show, by reason.
    pub unavailable: Counts,
    /// History: not begun before the time was over.
    pub deferred: u64,
    /// Not read to the end.
    pub failed: u64,
    /// Without any class.
    pub missing: u64,
}

/// A report's interactions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportInteractions {
    /// Shown by Graph.
    pub received: u64,
    /// Archived by this run.
    pub new: u64,
    /// Archived before.
    pub already_held: u64,
    /// In segments of attempts that left no receipt.
    pub recovered: u64,
}

/// A report's interaction requests, of attempts that reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRequests {
    /// All of them.
    pub sent: u64,
    /// Answered 429.
    pub throttled: u64,
    /// Repeats.
    pub retried: u64,
}

/// `report.json`: the numbers of a closed run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The run.
    pub run_id: RunId,
    /// What kind of run.
    pub kind: Kind,
    /// Whether every equation holds and nobody failed or is missing.
    pub complete: bool,
    /// Users.
    pub users: ReportUsers,
    /// Interactions.
    pub interactions: ReportInteractions,
    /// Pages kept because they did not parse.
    pub quarantined_pages: u64,
    /// Requests.
    pub requests: ReportRequests,
    /// Attempts that a segment of the run names and no receipt does.
    pub attempts_lost: u64,
    /// Users whose history is not covered to its start.
    pub history_remaining: u64,
    /// New items by how many hours after their creation they were fetched.
    pub lateness: Counts,
    /// When the run began.
    pub started_at: Timestamp,
    /// When it closed.
    pub closed_at: Timestamp,
}

/// A file of a closed run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// Its key.
    pub key: String,
    /// The hash of the stored object.
    pub sha256: String,
    /// Its size as stored.
    pub bytes: u64,
    /// Its lines; null for what is not JSON Lines.
    pub lines: Option<u64>,
}

/// An entry of the ledger: a run is closed when one names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Its number.
    pub n: u64,
    /// The hash of the entry before; null at first.
    pub previous: Option<String>,
    /// The run it closes.
    pub run_id: RunId,
    /// The run's files.
    pub files: Vec<FileRef>,
    /// When it was closed.
    pub closed_at: Timestamp,
    /// Who closed it.
    pub producer: Producer,
}

/// A class as the two members `class` and `reason`.
pub mod class_names {
    use std::borrow::Cow;

    use domain::Class;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    #[derive(Serialize, Deserialize)]
    struct Names<'a> {
        class: Option<Cow<'a, str>>,
        reason: Option<Cow<'a, str>>,
    }

    /// Writes both members, null where there is none.
    pub fn serialize<S: Serializer>(class: &Option<Class>, serializer: S) -> Result<S::Ok, S::Error> {
        let names = Names {
            class: class.map(|class| class.name().into()),
            reason: class.as_ref().and_then(Class::reason).map(Cow::from),
        };
        names.serialize(serializer)
    }

    /// Reads both members; one that is missing counts as null.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Class>, D::Error> {
        let names = Names::deserialize(deserializer)?;
        let reason = names.reason.as_deref();
        names.class.map(|class| Class::from_names(&class, reason).map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_later_versions_are_read_and_written_again_as_they_were() {
        for name in ["plan-disabled", "erased", "on-leave"] {
            let text = format!("\"{name}\"");
            let exclusion: Exclusion = serde_json::from_str(&text).unwrap();
            assert_eq!(matches!(exclusion, Exclusion::Other(_)), name == "on-leave");
            assert_eq!(exclusion.as_str(), name);
            assert_eq!(serde_json::to_string(&exclusion).unwrap(), text);
        }
        assert!(serde_json::from_str::<Exclusion>(r#""Adele Vance""#).is_err());

        #[derive(Serialize, Deserialize)]
        struct Line {
            #[serde(flatten, with = "class_names")]
            class: Option<Class>,
        }
        let text = r#"{"class":"failed","reason":"tape-full"}"#;
        let line: Line = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&line).unwrap(), text);
        assert!(serde_json::from_str::<Line>(r#"{"class":"failed","reason":"Adele Vance"}"#).is_err());
    }
}
