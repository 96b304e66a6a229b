//! The stored lines themselves, for those who hand over what an archive holds or look into it.

use jiff::Timestamp;

use crate::archive::{ReadError, read_value};
use crate::contents::{for_each_item, logs};
use crate::decode::{self, DecodeError, MAX_DECODED_BYTES};
use crate::form::LedgerEntry;
use crate::layout::{self, Key};
use crate::source::{Source, SourceError};

/// A line of a segment.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// Its number in the segment, from 1.
    pub line: u64,
    /// Its bytes without the newline.
    pub bytes: &'a [u8],
    /// The run that wrote it.
    pub run_id: &'a str,
    /// When the item was fetched.
    pub fetched_at: Timestamp,
    /// The item, byte for byte.
    pub item: &'a str,
}

/// The keys of a user's segments by month and number.
pub fn segments(source: &dyn Source, tenant: &str, user: &str) -> Result<Vec<String>, SourceError> {
    Ok(logs(source, tenant)?.remove(user).unwrap_or_default())
}

/// Calls `each` with every line of a segment.
pub fn records(source: &dyn Source, key: &str, mut each: impl FnMut(Stored<'_>)) -> Result<(), ReadError> {
    for_each_item(source, key, |line, bytes, record| {
        each(Stored { line, bytes, run_id: record.run_id(), fetched_at: record.fetched_at, item: record.text() });
    })
}

/// Calls `each` with the number, from 1, and the bytes of every line of any JSON Lines object.
pub fn lines(source: &dyn Source, key: &str, each: impl FnMut(u64, &[u8])) -> Result<(), ReadError> {
    let bytes = source.read(key)?.ok_or(DecodeError::Zstd);
    let read = bytes.and_then(|bytes| decode::for_each_line(&bytes, MAX_DECODED_BYTES, each));
    read.map(drop).map_err(|_| ReadError::Damaged { key: key.to_owned() })
}

/// A ledger entry: its key, and the run that it closes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// The entry's key.
    pub key: String,
    /// The run.
    pub run_id: String,
}

/// The ledger's entries in their order.
pub fn ledger(source: &dyn Source, tenant: &str) -> Result<Vec<Closing>, ReadError> {
    let mut numbered = Vec::new();
    for key in source.list(&format!("ledger/tenant_id={tenant}/"))? {
        if let Some(Key::Ledger { number, .. }) = layout::parse(&key) {
            numbered.push((number, key));
        }
    }
    numbered.sort_unstable();
    let entries = numbered.into_iter().map(|(_, key)| {
        let entry: LedgerEntry = read_value(source, &key)?;
        // The id becomes part of paths, so it has to be one.
        if !layout::is_run_id(&entry.run_id) {
            return Err(ReadError::Damaged { key });
        }
        Ok(Closing { key, run_id: entry.run_id })
    });
    entries.collect()
}

/// The lower-case hex SHA-256, as the format spells it.
pub fn sha256(bytes: &[u8]) -> String {
    decode::sha256(bytes)
}
