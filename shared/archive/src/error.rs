//! What can go wrong with an archive. Errors name keys and numbers, never content.

use domain::TenantId;

use crate::store::{StoreError, StoreErrorKind};

/// What lies in the archive breaks a promise of its format. Nothing is written over it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Integrity {
    /// A number is missing in a log or in the ledger.
    #[error("number {number} is missing below {prefix}; restore the object")]
    Gap {
        /// What the keys begin with.
        prefix: String,
        /// The first number that is missing.
        number: u64,
    },
    /// An object is not what its key says.
    #[error("{key} does not decode as what its key says; restore the object")]
    Undecodable {
        /// The object's key.
        key: String,
    },
    /// An object was there and is gone.
    #[error("{key} was there and is gone; restore the object")]
    Vanished {
        /// The object's key.
        key: String,
    },
}

/// The archive could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store refused, and asking again does not help.
    #[error("the archive's store refused; see its answer")]
    Store(#[source] StoreError),
    /// No certain answer after all attempts. What was put may be in the archive, now or later.
    #[error("the archive's store gave no certain answer; try again later")]
    Unknown(#[source] StoreError),
    /// What lies in the archive breaks a promise of its format.
    #[error("the archive is damaged")]
    Integrity(#[source] Integrity),
    /// A newer program wrote a file of it.
    #[error("{key} is of format {found}, this program knows format {known}; deploy a newer version", known = crate::records::FORMAT)]
    NewerFormat {
        /// The file's key.
        key: String,
        /// Its format.
        found: u64,
    },
    /// This writer failed before: it must not go on past what it could not write.
    #[error("the log writer failed before; make a new one")]
    Poisoned,
    /// An item larger than [`crate::MAX_ITEM_BYTES`].
    #[error("an item of {bytes} bytes is larger than the archive holds")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A text that is no JSON was given as an item.
    #[error("an item is not JSON; keep its page in quarantine")]
    NotJson,
    /// A value could not be written as a file of the archive.
    #[error("a file of the archive could not be encoded")]
    Encode(#[source] std::io::Error),
}

impl ArchiveError {
    /// Whether the store refused for want of permission.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Store(StoreError { kind: StoreErrorKind::Denied, .. }))
    }

    /// A store's failure, after all attempts.
    pub(crate) fn of_store(error: StoreError) -> Self {
        match error.kind {
            StoreErrorKind::Unknown => Self::Unknown(error),
            _ => Self::Store(error),
        }
    }

    /// The object of this key does not decode.
    pub(crate) fn undecodable(key: &str) -> Self {
        Self::Integrity(Integrity::Undecodable { key: key.to_owned() })
    }
}

/// An archive could not be opened. Nothing was written to what was refused.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error("the archive could not be reached")]
    Store(#[source] ArchiveError),
    /// It holds another tenant.
    #[error("the archive holds tenant {found}, not {expected}; give each tenant an archive of its own")]
    ForeignTenant {
        /// Whose archive it is.
        found: TenantId,
        /// Whose was asked for.
        expected: TenantId,
    },
    /// A newer program wrote it.
    #[error("the archive is of format {found}, this program knows format {known}; deploy a newer version", known = crate::records::FORMAT)]
    NewerFormat {
        /// Its format.
        found: u64,
    },
    /// Something else lies there.
    #[error("this is not an archive ({0}); name an empty place or an archive")]
    NotAnArchive(&'static str),
}
