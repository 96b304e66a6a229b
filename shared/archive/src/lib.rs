//! The archive: stores, the log, coverage, run files, the ledger.
//!
//! An archive is a handful of kinds of object in a [`store::Store`]. Everything of worth is put once and never replaced;
//! what may be replaced lies under `state/` and is a cache. [`Archive`] opens one and reads and writes its files,
//! [`LogWriter`] appends items to a user's logs, and [`Checkpoint`] remembers what a user's last reading knew. It knows no
//! Graph and no HTTP.

mod archive;
mod checkpoint;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod custody;
mod error;
#[cfg(any(test, feature = "contract"))]
pub mod faults;
pub mod folder;
mod jsonl;
pub mod layout;
mod ledger;
mod lines;
mod log;
pub mod memory;
mod month;
pub mod prefixed;
mod progress;
pub mod records;
mod runs;
pub mod store;
#[cfg(test)]
mod testing;

pub use archive::{Archive, PutOnce, Stores};
pub use checkpoint::{Checkpoint, CheckpointHandle, KnownItems, KnownLog};
pub use error::{ArchiveError, Integrity, OpenError};
pub use jsonl::sha256_hex;
pub use ledger::LedgerHead;
pub use log::{ItemHash, LogCounts, LogWriter, MAX_ITEM_BYTES};
pub use month::{Month, ParseMonthError};
pub use progress::{RunProgress, RunSegment};
pub use runs::Stored;
