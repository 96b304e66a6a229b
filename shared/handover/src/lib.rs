//! Transcripts, load files and evidence bags of one person, made from an archive alone.
//!
//! What is handed over is made from what lies in the archive and from the audit of it, never from a new look at Graph, which
//! by then holds less. [`write_transcripts`] gives what people read: a page for each conversation and day, a cover sheet with
//! the audit's verdict, and load files for review platforms. [`write_bag`] gives the same with everything that it takes to
//! check it by ordinary tools: the stored lines, their segments, the ledger. The content is hostile by assumption, since
//! investigators open these files: it is escaped everywhere, and the pages are inert.

mod bag;
mod escape;
mod folder;
mod html;
mod loadfile;
mod message;
mod pages;
mod text;
mod verify;

use std::path::PathBuf;

use evidence::{ReadError, SourceError};
use serde::Serialize;

pub use bag::write_bag;
pub use pages::write_transcripts;

/// Why nothing could be handed over. No content and no name stands in it.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The archive could not be read.
    #[error("the archive could not be read for the hand-over; run the audit and see what it says")]
    Archive(#[from] ReadError),
    /// What is handed over is one person's.
    #[error("the audit is of {0} people and a hand-over is of one; name exactly one user")]
    Persons(usize),
    /// The folder is there and not empty.
    #[error("the folder for the hand-over is not empty; name a new one")]
    NotEmpty,
    /// A file could not be written.
    #[error("{path} could not be written; check the place and the space left, then start with a new folder")]
    Write {
        /// The file, relative to the folder where that is known.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The report is no JSON, which no report made by `evidence` is.
    #[error("the audit could not be written as JSON")]
    Report(#[source] serde_json::Error),
}

impl From<SourceError> for HandoverError {
    fn from(error: SourceError) -> Self {
        Self::Archive(error.into())
    }
}

/// What was handed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Stored lines of the range and those that name no time.
    pub records: u64,
    /// Of them those that name no time.
    pub undated: u64,
    /// Pages: one for each conversation and day.
    pub documents: u64,
    /// Messages on them: the latest text of each item.
    pub messages: u64,
    /// Earlier texts, shown with the latest.
    pub earlier_texts: u64,
    /// Texts, earlier ones included, that the rules do not understand; they are shown as they are stored.
    pub unparsed: u64,
    /// Messages that are folded because a rule calls them automatic or interim.
    pub folded: u64,
    /// Files written.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}
