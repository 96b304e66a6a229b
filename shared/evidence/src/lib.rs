//! Reads and verifies an archive; depends on no crate that writes one.
//!
//! Everything here is derived from the stored objects alone, by the rules of docs/FORMAT.md written down a second time, so
//! that an error of a writer cannot hide itself. [`verify`](fn@verify) checks every promise that an archive can show,
//! [`contents`](fn@contents) and [`compare`] give the items themselves, [`coverage`](mod@coverage) says what of a user's
//! time was read, and [`audit`](mod@audit) puts these together for people.

mod archive;
pub mod audit;
mod contents;
pub mod coverage;
mod decode;
mod finding;
mod form;
mod keeping;
mod layout;
mod parallel;
mod people;
mod read;
mod record;
mod retention;
mod source;
mod unite;
mod verify;

pub use archive::ReadError;
pub use audit::{Answer, AuditError, AuditReport, audit};
pub use contents::{Differences, compare, contents};
pub use coverage::{Coverage, Window, coverage};
pub use finding::{Code, Finding, MAX_FINDINGS_PER_CODE, Numbers, Severity, Verdict};
pub use keeping::{Keeping, Lock, Version, Versioning};
pub use people::{Licensed, Names, People, Person, people};
pub use read::{Closing, Stored, ledger, lines, records, segments, sha256};
pub use retention::Retention;
pub use source::{Folder, MAX_OBJECT_BYTES, Memory, Source, SourceError, is_key};
pub use verify::{Erased, Expectation, Expired, Hold, Kept, Locks, Versions, verify};
