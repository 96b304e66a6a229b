//! What a verification found.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::verify::{Erased, Expired, Hold, Kept};

/// How many findings of one code are kept. An archive broken everywhere is told by the first thousand of a kind; the rest
/// are counted, so that memory is bounded for any input.
pub const MAX_FINDINGS_PER_CODE: u64 = 1_000;

/// What a finding says of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A promise of the format is broken: something was changed, removed, added or wrongly written.
    Integrity,
    /// Something worth knowing that breaks no promise.
    Note,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $severity:ident;)+) => {
        /// What was found. The names are stable; tests and scripts may rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What it says of the archive.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }
        }
    };
}

codes! {
    /// There is no `archive.json`.
    ArchiveMissing = "archive-missing", Integrity;
    /// `archive.json` does not parse or its identities have no valid form.
    ArchiveInvalid = "archive-invalid", Integrity;
    /// The archive is of a format that this version does not know.
    ArchiveFormat = "archive-format", Integrity;
    /// A key of another tenant than the archive's.
    ForeignTenant = "foreign-tenant", Integrity;
    /// A key that is not of the layout.
    UnknownKey = "unknown-key", Integrity;
    /// A tombstone that does not parse or names another user than its key: it excuses nothing.
    TombstoneInvalid = "tombstone-invalid", Integrity;
    /// A user's holds and releases are not numbered 1, 2, 3 and so on.
    HoldGap = "hold-gap", Integrity;
    /// A hold or release that does not parse or names another user than its key.
    HoldInvalid = "hold-invalid", Integrity;
    /// The store holds more than one version of what is put once.
    SecondVersion = "second-version", Integrity;
    /// The store holds a delete marker for what is put once.
    DeleteMarker = "delete-marker", Integrity;

    /// A log's segments are not numbered 1, 2, 3 and so on.
    SegmentGap = "segment-gap", Integrity;
    /// A segment does not decode: truncated, damaged, or larger than any segment may be.
    SegmentUndecodable = "segment-undecodable", Integrity;
    /// A segment without a line.
    SegmentEmpty = "segment-empty", Integrity;
    /// A segment whose lines are of more than one run or attempt.
    SegmentMixed = "segment-mixed", Integrity;
    /// A line that is no record of the format.
    LineInvalid = "line-invalid", Integrity;
    /// A line whose tenant or user is not the one of its key.
    LineOwner = "line-owner", Integrity;
    /// A line of a run that the archive does not know.
    LineRun = "line-run", Integrity;
    /// An item that lies in another month than its own.
    LineMonth = "line-month", Integrity;
    /// An item that the user's archive holds already.
    LineDuplicate = "line-duplicate", Integrity;

    /// A run lacks a file that must have been put before what lies there.
    RunFileMissing = "run-file-missing", Integrity;
    /// A file of a run does not decode or parse.
    RunFileInvalid = "run-file-invalid", Integrity;
    /// A file of a run names another run or tenant.
    RunMismatch = "run-mismatch", Integrity;
    /// A roster line contradicts itself, or a user stands in the roster twice.
    RosterLine = "roster-line", Integrity;
    /// The roster and the counts of `run.json` differ.
    RosterCounts = "roster-counts", Integrity;

    /// A receipt line's run or attempt is not the one of its key.
    ReceiptOwner = "receipt-owner", Integrity;
    /// A receipt line of a user who was not planned.
    ReceiptUser = "receipt-user", Integrity;
    /// A class or reason that is not of the format.
    ReceiptClass = "receipt-class", Integrity;
    /// A receipt line's received is not new plus already held.
    ReceiptSum = "receipt-sum", Integrity;
    /// A window that is empty, inverted, or ends after the run's.
    ReceiptWindow = "receipt-window", Integrity;
    /// A receipt names a segment that is not there.
    ReceiptSegmentMissing = "receipt-segment-missing", Integrity;
    /// A segment's bytes are not those that a receipt names.
    ReceiptSegmentHash = "receipt-segment-hash", Integrity;
    /// A segment has another number of lines than a receipt says.
    ReceiptSegmentLines = "receipt-segment-lines", Integrity;
    /// A receipt names a segment of another user, run or, where it counts it, attempt.
    ReceiptSegmentOwner = "receipt-segment-owner", Integrity;
    /// A receipt line's `new` is not the lines of the segments it counts.
    ReceiptNew = "receipt-new", Integrity;
    /// A segment that more than one receipt line counts.
    SegmentCountedTwice = "segment-counted-twice", Integrity;
    /// A receipt names a quarantined page that is not there.
    QuarantineMissing = "quarantine-missing", Integrity;
    /// A quarantined page is not the one that its key or a receipt names.
    QuarantineHash = "quarantine-hash", Integrity;

    /// The users file is not sorted by user, or a user stands in it twice.
    UsersOrder = "users-order", Integrity;
    /// The users of the users file are not those who were planned.
    UsersPlanned = "users-planned", Integrity;
    /// A line of the users file is not what its receipts unite to.
    UsersDiffer = "users-differ", Integrity;
    /// A user read to the end of no window, or one without items who has received some.
    UsersClass = "users-class", Integrity;
    /// The report's numbers of users are not those of the roster and the users file.
    ReportUsers = "report-users", Integrity;
    /// The report's numbers of interactions do not follow from the users file, or break an equation.
    ReportInteractions = "report-interactions", Integrity;
    /// The report says complete and is not, or the other way round.
    ReportComplete = "report-complete", Integrity;
    /// Another number of the report does not follow from the users file.
    ReportNumbers = "report-numbers", Integrity;

    /// The ledger's entries are not numbered 1, 2, 3 and so on.
    LedgerGap = "ledger-gap", Integrity;
    /// A ledger entry does not parse, or its number is not the one of its key.
    LedgerInvalid = "ledger-invalid", Integrity;
    /// A ledger entry does not name the hash of the entry before it.
    LedgerLink = "ledger-link", Integrity;
    /// The ledger does not hold the head that was noted outside.
    LedgerHead = "ledger-head", Integrity;
    /// Two ledger entries name one run.
    LedgerRunTwice = "ledger-run-twice", Integrity;
    /// A ledger entry lacks a file that every closed run has, or names one that is not of its run.
    LedgerFiles = "ledger-files", Integrity;
    /// A file that a ledger entry names is not there.
    LedgerFileMissing = "ledger-file-missing", Integrity;
    /// A file's bytes are not those that the ledger names.
    LedgerFileHash = "ledger-file-hash", Integrity;
    /// A file has another size or number of lines than the ledger says.
    LedgerFileSize = "ledger-file-size", Integrity;

    /// A segment that no receipt names: complete data whose attempt was lost.
    Orphan = "orphan", Note;
    /// A receipt that arrived after its run was closed.
    LateReceipt = "late-receipt", Note;
    /// A users file has a user as covered over time that no receipt's window holds. An attempt that kept coverage and was
    /// lost before its receipt does this; the time counts as a gap.
    CoverageUnproven = "coverage-unproven", Note;
    /// Attempts that wrote segments and left no receipt.
    AttemptsLost = "attempts-lost", Note;
    /// A run that no ledger entry names yet.
    RunOpen = "run-open", Note;
    /// A run that was closed without every user read.
    RunIncomplete = "run-incomplete", Note;
    /// A page that did not parse and is kept as it came.
    Quarantined = "quarantined", Note;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub code: Code,
    /// The object it was found in, or that is not there.
    pub key: String,
    /// What is wrong, with numbers and identities, without content.
    pub sentence: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.code, self.key, self.sentence)
    }
}

/// What was read to reach the verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Numbers {
    /// The archive's tenant, as `archive.json` names it.
    pub tenant_id: Option<String>,
    /// Entries of the ledger.
    pub ledger_entries: u64,
    /// The number and hash of the last entry: to be noted outside the archive.
    pub ledger_head: Option<(u64, String)>,
    /// Runs of which anything lies there.
    pub runs: u64,
    /// Runs that the ledger names.
    pub closed_runs: u64,
    /// Files of runs that were hashed and compared with the ledger.
    pub run_files: u64,
    /// Users with at least one segment.
    pub users: u64,
    /// Segments hashed and read line by line.
    pub segments: u64,
    /// Segments listed and left unread, because only some users were asked for.
    pub segments_unread: u64,
    /// Lines of the segments read.
    pub lines: u64,
    /// Lines that the receipts of closed runs call new, of the users read.
    pub receipt_new: u64,
    /// Segments that no receipt names.
    pub orphans: u64,
    /// Receipts that arrived after the close of their run.
    pub late_receipts: u64,
    /// Attempts that wrote segments and left no receipt, over all runs.
    pub attempts_lost: u64,
    /// Pages in quarantine.
    pub quarantined_pages: u64,
}

impl Numbers {
    /// Adds what was counted of a part; the tenant and the ledger's head are of no part.
    fn absorb(&mut self, part: Self) {
        self.ledger_entries += part.ledger_entries;
        self.runs += part.runs;
        self.closed_runs += part.closed_runs;
        self.run_files += part.run_files;
        self.users += part.users;
        self.segments += part.segments;
        self.segments_unread += part.segments_unread;
        self.lines += part.lines;
        self.receipt_new = self.receipt_new.saturating_add(part.receipt_new);
        self.orphans += part.orphans;
        self.late_receipts += part.late_receipts;
        self.attempts_lost += part.attempts_lost;
        self.quarantined_pages += part.quarantined_pages;
    }
}

/// The result of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What was found, in the order found.
    pub findings: Vec<Finding>,
    /// How many findings of a code were counted and not kept, see [`MAX_FINDINGS_PER_CODE`].
    pub suppressed: BTreeMap<String, u64>,
    /// What was read.
    pub numbers: Numbers,
    /// What the store says of versions and locks; nothing of a folder.
    pub kept: Option<Kept>,
    /// Who has a tombstone, and what of them is gone.
    pub erased: Vec<Erased>,
    /// Who is held, or was.
    pub holds: Vec<Hold>,
    /// What has expired by policy, if the asker has one.
    pub expired: Option<Expired>,
    #[serde(skip)]
    counts: BTreeMap<Code, u64>,
}

impl Verdict {
    /// Whether no promise was found broken.
    pub fn is_intact(&self) -> bool {
        self.integrity().next().is_none()
    }

    /// The findings that break a promise.
    pub fn integrity(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.code.severity() == Severity::Integrity)
    }

    /// The findings that are only worth knowing.
    pub fn notes(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.code.severity() == Severity::Note)
    }

    /// How many times the code was found.
    pub fn count(&self, code: Code) -> u64 {
        self.counts.get(&code).copied().unwrap_or(0)
    }

    /// Takes over what was found of a part.
    pub(crate) fn absorb(&mut self, part: Self) {
        let mut left = part.counts;
        for finding in part.findings {
            if let Some(count) = left.get_mut(&finding.code) {
                *count -= 1;
            }
            self.add(finding.code, &finding.key, finding.sentence);
        }
        for (code, count) in left.into_iter().filter(|(_, count)| *count > 0) {
            *self.counts.entry(code).or_insert(0) += count;
            *self.suppressed.entry(code.as_str().to_owned()).or_insert(0) += count;
        }
        self.numbers.absorb(part.numbers);
    }

    pub(crate) fn add(&mut self, code: Code, key: &str, sentence: impl Into<String>) {
        let count = self.counts.entry(code).or_insert(0);
        *count += 1;
        if *count <= MAX_FINDINGS_PER_CODE {
            self.findings.push(Finding { code, key: key.to_owned(), sentence: sentence.into() });
        } else {
            *self.suppressed.entry(code.as_str().to_owned()).or_insert(0) += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_codes_are_unique() {
        let names: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn findings_are_bounded_and_still_counted() {
        let mut verdict = Verdict::default();
        for _ in 0..MAX_FINDINGS_PER_CODE + 5 {
            verdict.add(Code::LineInvalid, "k", "s");
        }
        verdict.add(Code::Orphan, "k", "s");
        assert_eq!(verdict.count(Code::LineInvalid), MAX_FINDINGS_PER_CODE + 5);
        assert_eq!(verdict.suppressed["line-invalid"], 5);
        assert_eq!(verdict.notes().count(), 1);
        assert!(!verdict.is_intact());
        // Parts come to the same as the whole.
        let mut whole = Verdict::default();
        whole.add(Code::LineInvalid, "k", "s");
        whole.absorb(verdict);
        assert_eq!(whole.count(Code::LineInvalid), MAX_FINDINGS_PER_CODE + 6);
        assert_eq!(whole.suppressed["line-invalid"], 6);
        assert_eq!((whole.findings.len() as u64, whole.count(Code::Orphan)), (MAX_FINDINGS_PER_CODE + 1, 1));
    }
}
