//! Whether what lies in the archive's place is this tenant's archive.

use archive::{Archive, ArchiveError, OpenError};

use crate::finding::Finding;

/// What opening it came to.
pub fn archive(opened: &Result<Option<Archive>, OpenError>) -> Finding {
    const NAME: &str = "archive";
    let error = match opened {
        Ok(Some(_)) => return Finding::good(NAME, "it is this tenant's, in a format that this program reads"),
        Ok(None) => return Finding::good(NAME, "there is none yet: the first run makes it"),
        Err(error) => error,
    };
    let told = match error {
        // Why a store refused may name who asked, so only the kind of it is told.
        OpenError::Store(ArchiveError::Store(error) | ArchiveError::Unknown(error)) => error.kind.to_string(),
        _ => error.to_string(),
    };
    let (says, fix) = told.split_once("; ").unwrap_or((&told, "see that it can be read, and try again"));
    Finding::fix(NAME, says, fix)
}
