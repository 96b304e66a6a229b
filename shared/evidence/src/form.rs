//! The files of a run and of the ledger, as the format names their members. Members that are not named here are a later
//! version's and are passed over; what may be empty may be missing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use crate::coverage::Window;

/// The format that this version knows.
pub(crate) const FORMAT: u64 = 1;

pub(crate) type Counts = BTreeMap<String, u64>;

#[derive(Debug, Deserialize)]
pub(crate) struct Archive {
    pub(crate) format: u64,
    pub(crate) archive_id: String,
    pub(crate) tenant_id: String,
    #[serde(rename = "created_at")]
    pub(crate) _created_at: Timestamp,
}

/// What says that a user was erased.
#[derive(Debug, Deserialize)]
pub(crate) struct Tombstone {
    pub(crate) user_id: String,
    pub(crate) erased_at: Timestamp,
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RosterLine {
    pub(crate) user_id: String,
    pub(crate) upn: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) mail: Option<String>,
    pub(crate) why: String,
    pub(crate) planned: bool,
    pub(crate) excluded: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Run {
    pub(crate) format: u64,
    pub(crate) run_id: String,
    pub(crate) tenant_id: String,
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) asked: Asked,
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
    pub(crate) overlap_hours: u32,
    pub(crate) enumerated: u64,
    #[serde(default)]
    pub(crate) excluded: Counts,
    pub(crate) planned: u64,
    pub(crate) started_at: Timestamp,
}

/// What was asked: only what tells a run of the whole tenant from others.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    users: Option<Vec<String>>,
    #[serde(default)]
    groups: Option<Vec<String>>,
}

impl Asked {
    pub(crate) fn is_whole_tenant(&self) -> bool {
        self.users.is_none() && self.groups.is_none()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct SegmentRef {
    pub(crate) key: String,
    pub(crate) lines: u64,
    pub(crate) sha256: String,
    pub(crate) adopted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct QuarantineRef {
    pub(crate) key: String,
    pub(crate) sha256: String,
}

/// A line of a receipt; a line of the users file is the same without the attempt.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Line {
    pub(crate) user_id: String,
    pub(crate) run_id: String,
    pub(crate) attempt_id: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) windows: Vec<Window>,
    pub(crate) pages: u64,
    pub(crate) received: u64,
    pub(crate) new: u64,
    pub(crate) already_held: u64,
    #[serde(default)]
    pub(crate) segments: Vec<SegmentRef>,
    #[serde(default)]
    pub(crate) quarantine: Vec<QuarantineRef>,
    pub(crate) covered_from: Option<Timestamp>,
    pub(crate) covered_to: Option<Timestamp>,
    #[serde(default)]
    pub(crate) requests: Counts,
    #[serde(default)]
    pub(crate) retries: u64,
    #[serde(default)]
    pub(crate) request_ids: Vec<String>,
    #[serde(default)]
    pub(crate) lateness: Counts,
}

impl Line {
    /// The place of the class, best first; `None` for a line that hands over, an error for what is no class.
    pub(crate) fn rank(&self) -> Result<Option<u8>, ()> {
        let reason = self.reason.as_deref();
        match (self.class.as_deref(), reason) {
            (None, None) => Ok(None),
            (Some("exported"), None) => Ok(Some(0)),
            (Some("empty"), None) => Ok(Some(1)),
            (Some("unavailable"), Some("no-licence" | "no-history" | "refused" | "gone")) => Ok(Some(2)),
            (Some("deferred"), None) => Ok(Some(3)),
            (Some("failed"), Some(reason)) if is_word(reason) => Ok(Some(4)),
            _ => Err(()),
        }
    }

    pub(crate) fn is_read(&self) -> bool {
        matches!(self.rank(), Ok(Some(0 | 1)))
    }

    /// Class and reason as people write them.
    pub(crate) fn class_text(&self) -> Option<String> {
        let class = self.class.as_deref()?;
        Some(self.reason.as_deref().map_or_else(|| class.to_owned(), |reason| format!("{class}({reason})")))
    }
}

/// A reason's name: the bound keeps content out of what is printed.
fn is_word(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct ReportUsers {
    pub(crate) enumerated: u64,
    #[serde(default)]
    pub(crate) leavers: u64,
    #[serde(default)]
    pub(crate) excluded: Counts,
    pub(crate) planned: u64,
    pub(crate) exported: u64,
    pub(crate) empty: u64,
    #[serde(default)]
    pub(crate) unavailable: Counts,
    pub(crate) deferred: u64,
    pub(crate) failed: u64,
    pub(crate) missing: u64,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct ReportInteractions {
    pub(crate) received: u64,
    pub(crate) new: u64,
    pub(crate) already_held: u64,
    pub(crate) recovered: u64,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct ReportRequests {
    pub(crate) sent: u64,
    pub(crate) throttled: u64,
    pub(crate) retried: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) run_id: String,
    pub(crate) kind: String,
    pub(crate) complete: bool,
    pub(crate) users: ReportUsers,
    pub(crate) interactions: ReportInteractions,
    pub(crate) quarantined_pages: u64,
    pub(crate) requests: ReportRequests,
    pub(crate) attempts_lost: u64,
    pub(crate) history_remaining: u64,
    #[serde(default)]
    pub(crate) lateness: Counts,
    pub(crate) started_at: Timestamp,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct FileRef {
    pub(crate) key: String,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    pub(crate) lines: Option<u64>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LedgerEntry {
    pub(crate) n: u64,
    pub(crate) previous: Option<String>,
    pub(crate) run_id: String,
    pub(crate) files: Vec<FileRef>,
    pub(crate) closed_at: Timestamp,
}
