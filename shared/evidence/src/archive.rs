//! An archive opened for its proof: whose it is, and its closed runs in the order of the ledger.

use std::collections::{BTreeSet, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::coverage::Window;
use crate::decode::{self, DecodeError, Lines};
use crate::form::{self, FORMAT, LedgerEntry, Run};
use crate::layout::{self, ARCHIVE, Key, RunFile};
use crate::retention::Retention;
use crate::source::{Source, SourceError};

/// Why an archive could not be read as one.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The source failed.
    #[error("the archive could not be read")]
    Source(#[from] SourceError),
    /// There is no archive here.
    #[error("there is no archive here: archive.json is missing, or is none")]
    NotAnArchive,
    /// A later version wrote it. That is no fault of the archive.
    #[error("the archive is of format {found}, this program reads format {FORMAT}; take a newer version")]
    NewerFormat {
        /// Its format.
        found: u64,
    },
    /// An object is missing or damaged.
    #[error("{key} is missing or damaged; verify the archive first")]
    Damaged {
        /// The object.
        key: String,
    },
}

/// A closed run.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) run: Run,
    /// The window that the run should have covered of every user it planned, where it is one and the same.
    pub(crate) intended: Option<Window>,
    /// The receipts that count: those of the run that its ledger entry names.
    pub(crate) receipts: Vec<String>,
}

impl Closed {
    /// Whether the run is of everybody, so that it says something of users it does not name.
    pub(crate) fn is_whole_tenant(&self) -> bool {
        self.run.asked.is_whole_tenant()
    }

    pub(crate) fn is_daily(&self) -> bool {
        self.run.kind == "daily"
    }
}

#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) tenant: String,
    pub(crate) closed: Vec<Closed>,
}

/// Opens the archive. What is damaged beyond use is an error; whether it was tampered with is for `verify` to say. A run of
/// which anything that would be read has expired is none of the closed ones: it proves nothing any more.
pub(crate) fn open(source: &dyn Source, retention: Option<Retention>) -> Result<Archive, ReadError> {
    let bytes = source.read(ARCHIVE)?.ok_or(ReadError::NotAnArchive)?;
    if let Some(found) = form::later_format(&bytes) {
        return Err(ReadError::NewerFormat { found });
    }
    let archive: form::Archive = decode::value(&bytes).map_err(|_| ReadError::NotAnArchive)?;
    if archive.format != FORMAT || !layout::is_guid(&archive.tenant_id) {
        return Err(ReadError::NotAnArchive);
    }
    let tenant = archive.tenant_id;
    let mut entries = Vec::new();
    for key in source.list(&format!("ledger/tenant_id={tenant}/"))? {
        if let Some(Key::Ledger { number, .. }) = layout::parse(&key) {
            entries.push((number, key));
        }
    }
    entries.sort_unstable();
    let left: HashSet<String> = match retention {
        Some(_) => source.list("runs/")?.into_iter().collect(),
        None => HashSet::new(),
    };
    let mut closed: Vec<Closed> = Vec::new();
    for (_, key) in entries {
        let entry: LedgerEntry = read_value(source, &key)?;
        if closed.iter().any(|known| known.run.run_id == entry.run_id) {
            continue;
        }
        if !layout::is_run_id(&entry.run_id) {
            return Err(ReadError::Damaged { key });
        }
        let past = match retention {
            Some(retention) => is_past(source, &entry, retention)?,
            None => false,
        };
        let read = [RunFile::Run, RunFile::Roster, RunFile::Users];
        if past && read.iter().any(|file| !left.contains(&file.key(&entry.run_id))) {
            continue;
        }
        let key = RunFile::Run.key(&entry.run_id);
        let run: Run = read_value(source, &key)?;
        if run.run_id != entry.run_id {
            return Err(ReadError::Damaged { key });
        }
        let intended = intended(&run, &closed);
        let own = |key: &str| matches!(layout::parse(key), Some(Key::Receipt { run, .. }) if run == entry.run_id);
        let named = entry.files.iter().map(|file| &file.key).filter(|key| own(key));
        let receipts = named.filter(|key| !past || left.contains(*key)).cloned().collect();
        closed.push(Closed { run, intended, receipts });
    }
    Ok(Archive { tenant, closed })
}

/// Whether a closed run is past, by its own files as long as one of them says when it began.
fn is_past(source: &dyn Source, entry: &LedgerEntry, retention: Retention) -> Result<bool, ReadError> {
    #[derive(serde::Deserialize)]
    struct Began {
        started_at: Timestamp,
    }
    if retention.is_past(None, Some(entry)) {
        return Ok(true);
    }
    for file in [RunFile::Run, RunFile::Report] {
        let bytes = source.read(&file.key(&entry.run_id))?;
        if let Some(Ok(Began { started_at })) = bytes.map(|bytes| decode::value(&bytes)) {
            return Ok(retention.is_past(Some(started_at), None));
        }
    }
    Ok(false)
}

/// A run with a range should cover it. One without continues where the daily run before it ended; the first takes the
/// overlap. History has another window for each user.
fn intended(run: &Run, before: &[Closed]) -> Option<Window> {
    let to = run.to?;
    let continues = || {
        let ends = before.iter().filter(|closed| closed.is_daily()).filter_map(|closed| closed.run.to);
        ends.filter(|end| *end < to).max()
    };
    let overlap = SignedDuration::from_hours(i64::from(run.overlap_hours));
    let from = run.from.filter(|_| run.kind != "daily").or_else(continues).or_else(|| to.checked_sub(overlap).ok())?;
    (from < to).then_some(Window { from, to })
}

pub(crate) fn read_value<T: serde::de::DeserializeOwned>(source: &dyn Source, key: &str) -> Result<T, ReadError> {
    let damaged = || ReadError::Damaged { key: key.to_owned() };
    decode::value(&source.read(key)?.ok_or_else(damaged)?).map_err(|_| damaged())
}

/// The lines of a file of a run, decoded whole.
pub(crate) fn lines(source: &dyn Source, key: &str) -> Result<Lines, ReadError> {
    let damaged = || ReadError::Damaged { key: key.to_owned() };
    Lines::decode(&source.read(key)?.ok_or_else(damaged)?).map_err(|_| damaged())
}

/// The lines of these users in a file of a run. A line that begins with its user, as the format writes it, is told by that
/// alone: of a custodian's year all but one line in thousands are of others.
pub(crate) fn for_each_line_of(
    source: &dyn Source,
    key: &str,
    users: &HashSet<String>,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), DecodeError>,
) -> Result<(), ReadError> {
    let damaged = || ReadError::Damaged { key: key.to_owned() };
    let bytes = source.read(key)?.ok_or_else(damaged)?;
    let mut whole = true;
    let read = decode::for_each_line(&bytes, decode::MAX_DECODED_BYTES, |number, line| {
        if user_of(line).is_none_or(|user| users.contains(user)) {
            whole &= each(number, line).is_ok();
        }
    });
    if read.is_ok() && whole { Ok(()) } else { Err(damaged()) }
}

/// The user that a line begins with.
pub(crate) fn user_of(line: &[u8]) -> Option<&str> {
    let user = line.strip_prefix(br#"{"user_id":""#)?.split(|byte| *byte == b'"').next()?;
    std::str::from_utf8(user).ok().filter(|user| layout::is_guid(user))
}

/// All runs that have begun, closed or not, by the time they began; but those whose roster has expired.
pub(crate) fn begun(source: &dyn Source, retention: Option<Retention>) -> Result<Vec<Run>, ReadError> {
    let mut runs: Vec<(Timestamp, Run)> = Vec::new();
    let keys: BTreeSet<String> = source.list("runs/")?.into_iter().collect();
    for key in &keys {
        if let Some(Key::Run { file: RunFile::Run, .. }) = layout::parse(key) {
            let run: Run = read_value(source, key)?;
            // The id is part of the keys that are read next, so only the one of this key is taken.
            if RunFile::Run.key(&run.run_id) != *key {
                return Err(ReadError::Damaged { key: key.clone() });
            }
            let past = retention.is_some_and(|retention| retention.is_past(Some(run.started_at), None));
            if !past || keys.contains(&RunFile::Roster.key(&run.run_id)) {
                runs.push((run.started_at, run));
            }
        }
    }
    runs.sort_by(|a, b| (a.0, &a.1.run_id).cmp(&(b.0, &b.1.run_id)));
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}
