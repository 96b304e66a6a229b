//! Every promise of the format that an archive can show, checked.
//!
//! One listing, then four passes: the ledger says which runs are closed and by which files; the logs are read segment by
//! segment, and what a receipt could say of each is kept; each run is checked against its own files, the ledger and the
//! segments it names; what no receipt names is listed at the end. Users and runs are independent of each other, so a few
//! are read at once. Memory holds the listing, a few words per segment, the hashes of a few users' items and the lines of a
//! few runs.

mod erased;
mod expired;
mod holds;
mod kept;
mod ledger;
mod logs;
mod report;
mod run;
mod users;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use crate::coverage::Window;
use crate::decode::{self, DecodeError};
use crate::finding::{Code, Verdict};
use crate::form::{self, FORMAT, LedgerEntry, Tombstone};
use crate::layout::{self, ARCHIVE, Key, RunFile};
use crate::retention::Retention;
use crate::source::{Source, SourceError};
use crate::unite::joined;

pub use erased::Erased;
pub use expired::Expired;
pub use holds::Hold;
pub use kept::{Kept, Locks, Versions};

/// What is known outside the archive.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    /// A ledger entry's number and hash, noted when it was made: what proves that the ledger's end was not cut off.
    pub ledger_head: Option<(u64, String)>,
    /// `HISTORY_START` of the runs; without it `history_remaining` of reports is not checked.
    pub history_start: Option<Timestamp>,
    /// Read the segments of these users only, and compare only their coverage with what was read. Everything else is still
    /// checked.
    pub users: Option<BTreeSet<String>>,
    /// How long what is archived is kept; without it nothing may be missing.
    pub retention: Option<Retention>,
}

impl Expectation {
    fn wants(&self, user: &str) -> bool {
        self.users.as_ref().is_none_or(|users| users.contains(user))
    }
}

/// Verifies the archive. An error is a source that cannot be read; whatever is wrong with what was read is a finding.
pub fn verify(source: &dyn Source, expectation: &Expectation) -> Result<Verdict, SourceError> {
    Ok(verify_logs(source, expectation)?.0)
}

/// The segments of each user by month and number.
pub(crate) type Logs = BTreeMap<String, Months>;
pub(crate) type Months = BTreeMap<String, BTreeMap<u64, String>>;

/// Verifies the archive, and gives the logs that were listed for it.
pub(crate) fn verify_logs(source: &dyn Source, expectation: &Expectation) -> Result<(Verdict, Logs), SourceError> {
    let mut check = Check {
        source,
        expectation,
        inventory: Inventory::default(),
        ledger: Vec::new(),
        tombstones: BTreeMap::new(),
        facts: BTreeMap::new(),
        pages: BTreeMap::new(),
        found: Found::default(),
    };
    if !check.take_inventory()? {
        return Ok((check.found.verdict, check.inventory.segments));
    }
    check.read_tombstones()?;
    check.read_holds()?;
    check.read_ledger()?;
    check.read_logs()?;
    check.read_quarantine()?;
    check.check_runs()?;
    check.list_erased();
    check.list_expired();
    check.list_orphans();
    check.compare_coverage();
    check.ask_store()?;
    Ok((check.found.verdict, check.inventory.segments))
}

/// The keys of the archive's tenant, by what they name.
#[derive(Debug, Default)]
struct Inventory {
    tenant: String,
    segments: Logs,
    runs: BTreeMap<String, RunKeys>,
    ledger: BTreeMap<u64, String>,
    /// Key and the hash it names.
    quarantine: BTreeMap<String, String>,
    /// By user.
    tombstones: BTreeMap<String, String>,
    /// By user and number.
    holds: BTreeMap<String, BTreeMap<u64, String>>,
}

#[derive(Debug, Default)]
struct RunKeys {
    files: BTreeSet<RunFile>,
    receipts: Vec<String>,
}

/// What is kept of a segment that was read.
#[derive(Debug)]
struct Fact {
    sha256: String,
    /// None if the segment does not decode.
    lines: Option<u64>,
    run: String,
    attempt: String,
    /// When its newest line was fetched: it was put after that.
    fetched_at: Timestamp,
}

/// What is kept of a run's file that was read.
#[derive(Debug)]
struct FileFact {
    sha256: String,
    bytes: u64,
    lines: Option<u64>,
}

struct Check<'s> {
    source: &'s dyn Source,
    expectation: &'s Expectation,
    inventory: Inventory,
    ledger: Vec<(String, LedgerEntry)>,
    /// By user: the tombstones that are valid.
    tombstones: BTreeMap<String, Tombstone>,
    facts: BTreeMap<String, Fact>,
    /// The hash of each quarantined page as stored.
    pages: BTreeMap<String, String>,
    found: Found,
}

/// What is found of runs, each by itself and then of all.
#[derive(Debug, Default)]
struct Found {
    verdict: Verdict,
    /// Segments that were read and that any receipt names.
    named: HashSet<String>,
    /// What receipts name of erased users and is gone.
    gone: erased::Gone,
    /// What runs that are past have put and is gone.
    past: expired::Past,
    /// By user: the windows of all receipts, joined.
    read: HashMap<String, Vec<Window>>,
    /// By user: what users files have as covered, joined, and the last run that has it.
    claimed: BTreeMap<String, (Vec<Window>, String)>,
}

impl Found {
    fn add(&mut self, more: Self) {
        self.verdict.absorb(more.verdict);
        self.named.extend(more.named);
        self.gone.add(more.gone);
        self.past.add(more.past);
        for (user, windows) in more.read {
            add_windows(self.read.entry(user).or_default(), &windows);
        }
        for (user, (windows, run)) in more.claimed {
            let (claimed, last) = self.claimed.entry(user).or_default();
            add_windows(claimed, &windows);
            *last = run;
        }
    }
}

/// Adds windows to some that are sorted and joined, and keeps them so: a user has few, however many runs there are.
fn add_windows(windows: &mut Vec<Window>, more: &[Window]) {
    // Each day's window begins in what was read and ends after it.
    if let ([window], [only]) = (more, &mut windows[..])
        && only.from <= window.from
        && window.from <= only.to
        && window.from < window.to
    {
        only.to = only.to.max(window.to);
        return;
    }
    windows.extend(more);
    *windows = joined(windows);
}

/// The check of one run, which knows what the whole check knows by then.
struct RunCheck<'c, 's> {
    check: &'c Check<'s>,
    found: Found,
}

impl Check<'_> {
    /// Reads `archive.json` and sorts the keys; false if this is no archive that can be checked.
    fn take_inventory(&mut self) -> Result<bool, SourceError> {
        let verdict = &mut self.found.verdict;
        let keys = self.source.list("")?;
        let mut tenant = None;
        let archive = self.source.read(ARCHIVE)?;
        if let Some(found) = archive.as_deref().and_then(form::later_format) {
            let sentence = format!("is of format {found}; this version reads {FORMAT}: take a newer one");
            verdict.add(Code::ArchiveFormat, ARCHIVE, sentence);
            return Ok(false);
        }
        match archive {
            None => {
                verdict.add(Code::ArchiveMissing, ARCHIVE, "there is no archive.json, so nothing says whose this is")
            }
            Some(bytes) => match decode::value::<form::Archive>(&bytes) {
                Ok(archive)
                    if archive.format == FORMAT
                        && layout::is_guid(&archive.tenant_id)
                        && layout::is_guid(&archive.archive_id) =>
                {
                    tenant = Some(archive.tenant_id);
                }
                Ok(_) => verdict.add(Code::ArchiveInvalid, ARCHIVE, "has no valid format, tenant or archive identity"),
                Err(error) => verdict.add(Code::ArchiveInvalid, ARCHIVE, error.to_string()),
            },
        }
        verdict.numbers.tenant_id.clone_from(&tenant);
        for key in keys {
            let Some(parsed) = layout::parse(&key) else {
                verdict.add(Code::UnknownKey, &key, "is no key of the format");
                continue;
            };
            if let Key::Segment { tenant: owner, .. }
            | Key::Ledger { tenant: owner, .. }
            | Key::Quarantine { tenant: owner, .. }
            | Key::Erased { tenant: owner, .. }
            | Key::Hold { tenant: owner, .. }
            | Key::State { tenant: owner } = parsed
            {
                // Without an archive.json the first tenant met stands in, so that the rest can be checked.
                if tenant.get_or_insert_with(|| owner.to_owned()) != owner {
                    verdict.add(Code::ForeignTenant, &key, "belongs to another tenant than the archive");
                    continue;
                }
            }
            self.inventory.sort_in(parsed, &key);
        }
        self.inventory.tenant = tenant.unwrap_or_default();
        Ok(true)
    }

    /// Every page in quarantine is the one that its key names.
    fn read_quarantine(&mut self) -> Result<(), SourceError> {
        for (key, named) in &self.inventory.quarantine {
            self.found.verdict.numbers.quarantined_pages += 1;
            self.found.verdict.add(Code::Quarantined, key, "is a page that did not parse, kept as it came");
            let Some(bytes) = self.source.read(key)? else { continue };
            self.pages.insert(key.clone(), decode::sha256(&bytes));
            match decode::decoded_sha256(&bytes) {
                Ok(sha256) if sha256 == *named => {}
                Ok(_) => {
                    self.found.verdict.add(Code::QuarantineHash, key, "decodes to another page than its key names")
                }
                Err(error) => self.found.verdict.add(Code::QuarantineHash, key, error.to_string()),
            }
        }
        Ok(())
    }

    /// Coverage is a claim; only windows read to their end prove it, and for time before what is kept they may have expired.
    fn compare_coverage(&mut self) {
        let kept_since = self.expectation.retention.map_or(Timestamp::MIN, Retention::kept_since);
        for (user, (claimed, run)) in &self.found.claimed {
            let read = self.found.read.get(user).map(Vec::as_slice).unwrap_or_default();
            let kept = claimed.iter().map(|claim| Window { from: claim.from.max(kept_since), ..*claim });
            for window in kept.flat_map(|claim| claim.without(read)) {
                let sentence = format!(
                    "has {user} as covered from {} to {}, which no receipt's window holds",
                    window.from, window.to
                );
                self.found.verdict.add(Code::CoverageUnproven, &RunFile::Users.key(run), sentence);
            }
        }
    }

    /// Segments that no receipt names. Those of open runs are not orphans yet, and those of a past run may have had a receipt
    /// that has expired. Of a run that nothing else names there was none that counts, or never a run.
    fn list_orphans(&mut self) {
        let closed: HashSet<&str> = self.ledger.iter().map(|(_, entry)| entry.run_id.as_str()).collect();
        for (key, fact) in &self.facts {
            let is_known = self.found.named.contains(key) || self.found.past.without_receipts.contains(&fact.run);
            let is_open = self.inventory.runs.contains_key(&fact.run) && !closed.contains(fact.run.as_str());
            // A damaged segment names no run.
            if !is_known && !is_open && !fact.run.is_empty() {
                self.found.verdict.numbers.orphans += 1;
                self.found.verdict.add(
                    Code::Orphan,
                    key,
                    "is named by no receipt: its attempt was lost, its data is complete",
                );
            }
        }
    }
}

impl Inventory {
    fn sort_in(&mut self, parsed: Key<'_>, key: &str) {
        match parsed {
            Key::Archive | Key::Help | Key::State { .. } => {}
            Key::Erased { user, .. } => {
                self.tombstones.insert(user.to_owned(), key.to_owned());
            }
            Key::Hold { user, number, .. } => {
                self.holds.entry(user.to_owned()).or_default().insert(number, key.to_owned());
            }
            Key::Segment { month, user, number, .. } => {
                let months = self.segments.entry(user.to_owned()).or_default();
                months.entry(month.to_owned()).or_default().insert(number, key.to_owned());
            }
            Key::Run { run, file } => {
                self.runs.entry(run.to_owned()).or_default().files.insert(file);
            }
            Key::Receipt { run, .. } => self.runs.entry(run.to_owned()).or_default().receipts.push(key.to_owned()),
            Key::Ledger { number, .. } => {
                self.ledger.insert(number, key.to_owned());
            }
            Key::Quarantine { sha256, .. } => {
                self.quarantine.insert(key.to_owned(), sha256.to_owned());
            }
        }
    }

    fn has_segment(&self, key: &str) -> bool {
        let Some(Key::Segment { tenant, month, user, number }) = layout::parse(key) else { return false };
        let log = self.segments.get(user).and_then(|months| months.get(month));
        tenant == self.tenant && log.is_some_and(|log| log.contains_key(&number))
    }
}

/// Whose content the object of this key is.
fn owner(key: &str) -> Option<&str> {
    match layout::parse(key) {
        Some(Key::Segment { user, .. } | Key::Quarantine { user, .. }) => Some(user),
        _ => None,
    }
}

/// The first number that should be there and is not.
fn first_gap<'a>(numbers: impl Iterator<Item = &'a u64>) -> Option<u64> {
    (1..).zip(numbers).find(|(expected, number)| expected != *number).map(|(expected, _)| expected)
}

fn invalid(error: DecodeError) -> String {
    format!("{error}; nothing in it could be checked")
}
