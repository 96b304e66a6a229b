//! What can go wrong.

use archive::{ArchiveError, OpenError};
use domain::RunId;
use queue::QueueError;

use crate::payload::Faults;

/// A run could not be reconciled. It stays as it is, and the next invocation goes on from what lies in the archive.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The payload breaks a rule; nothing was read or written.
    #[error("the payload is invalid: {0}")]
    InvalidPayload(Faults),
    /// No run.json of this run lies in the archive, so nobody knows what it had to read.
    #[error("there is no run {0} in the archive; check the id, or invoke fan-out again if it was stopped on its way")]
    UnknownRun(RunId),
    /// A file that this run must have is not there. Without it nothing can be proved.
    #[error("{file} of run {run} is gone from the archive; restore the object")]
    Gone {
        /// The run.
        run: RunId,
        /// Its file.
        file: &'static str,
    },
    /// The run began before what is kept, so its files expire: it can neither be closed any more nor be answered for.
    #[error(
        "run {0} began longer ago than RETENTION_DAYS: it is over, and what it wrote expires; see its ledger entry"
    )]
    Expired(RunId),
    /// The archive could not be opened.
    #[error("the archive cannot be opened")]
    Open(#[source] OpenError),
    /// The archive could not be read or written.
    #[error("the archive failed while a run was reconciled; try again")]
    Archive(#[from] ArchiveError),
    /// The queue could not be read or sent to.
    #[error("the queue failed while a run was reconciled; try again")]
    Queue(#[from] QueueError),
}

impl ReconcileError {
    /// The type that callers and alarms tell errors apart by.
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::InvalidPayload(_) => "InvalidPayload",
            Self::UnknownRun(_) => "UnknownRun",
            Self::Gone { .. } => "ArchiveDamaged",
            Self::Expired(_) => "RunExpired",
            Self::Open(_) => "ArchiveNotOpened",
            Self::Archive(_) => "ArchiveFailed",
            Self::Queue(_) => "QueueFailed",
        }
    }
}
