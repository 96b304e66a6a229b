//! The files of a run and of the ledger, as the format names their members. Members that are not named here are a later
//! version's and are passed over; what may be empty may be missing.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::coverage::Window;

/// The format that this version knows.
pub(crate) const FORMAT: u64 = 1;

/// The format that an `archive.json` names if it is a later one, whatever else is in it: it may have other members.
pub(crate) fn later_format(bytes: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let Format { format } = serde_json::from_slice(bytes).ok()?;
    (format > FORMAT).then_some(format)
}

pub(crate) type Counts = BTreeMap<String, u64>;

/// A string of a line: the line's own bytes wherever it is written without an escape. A year of runs has millions of lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Text<'t>(Cow<'t, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de: 't, 't> Deserialize<'de> for Text<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Either)
    }
}

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

/// An entry of a user's holds.
#[derive(Debug, Deserialize)]
pub(crate) struct HoldEntry {
    pub(crate) user_id: String,
    pub(crate) at: Timestamp,
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RosterLine<'t> {
    #[serde(borrow)]
    pub(crate) user_id: Text<'t>,
    #[serde(borrow)]
    pub(crate) upn: Option<Text<'t>>,
    #[serde(borrow)]
    pub(crate) display_name: Option<Text<'t>>,
    #[serde(borrow)]
    pub(crate) mail: Option<Text<'t>>,
    #[serde(borrow)]
    pub(crate) why: Text<'t>,
    pub(crate) planned: bool,
    #[serde(borrow)]
    pub(crate) excluded: Option<Text<'t>>,
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
pub(crate) struct SegmentRef<'t> {
    #[serde(borrow)]
    pub(crate) key: Text<'t>,
    pub(crate) lines: u64,
    #[serde(borrow)]
    pub(crate) sha256: Text<'t>,
    pub(crate) adopted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct QuarantineRef<'t> {
    #[serde(borrow)]
    pub(crate) key: Text<'t>,
    #[serde(borrow)]
    pub(crate) sha256: Text<'t>,
}

/// A line of a receipt; a line of the users file is the same without the attempt.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Line<'t> {
    #[serde(borrow)]
    pub(crate) user_id: Text<'t>,
    #[serde(borrow)]
    pub(crate) run_id: Text<'t>,
    #[serde(borrow)]
    pub(crate) attempt_id: Option<Text<'t>>,
    #[serde(borrow)]
    pub(crate) class: Option<Text<'t>>,
    #[serde(borrow)]
    pub(crate) reason: Option<Text<'t>>,
    #[serde(default)]
    pub(crate) windows: Vec<Window>,
    pub(crate) pages: u64,
    pub(crate) received: u64,
    pub(crate) new: u64,
    pub(crate) already_held: u64,
    #[serde(default, borrow)]
    pub(crate) segments: Vec<SegmentRef<'t>>,
    #[serde(default, borrow)]
    pub(crate) quarantine: Vec<QuarantineRef<'t>>,
    pub(crate) covered_from: Option<Timestamp>,
    pub(crate) covered_to: Option<Timestamp>,
    #[serde(default, borrow)]
    pub(crate) requests: BTreeMap<Text<'t>, u64>,
    #[serde(default)]
    pub(crate) retries: u64,
    #[serde(default, borrow)]
    pub(crate) request_ids: Vec<Text<'t>>,
    #[serde(default, borrow)]
    pub(crate) lateness: BTreeMap<Text<'t>, u64>,
}

impl Line<'_> {
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
