//! The files of a run, each put once.

use std::borrow::Cow;

use bytes::Bytes;
use domain::{AttemptId, RunId, UserId};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::archive::{PutOnce, format_of, json};
use crate::error::ArchiveError;
use crate::records::{FORMAT, FileRef, QuarantineRef, ReceiptLine, Report, RosterLine, RunFile, UserLine};
use crate::store::LegalHold;
use crate::{Archive, jsonl, layout};

/// Objects read at a time: enough to hide the latency of a store, few enough that their memory does not matter.
pub(crate) const READS_AT_ONCE: usize = 16;

/// The outcome of putting a file that is put once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    /// What lies there.
    pub value: T,
    /// Whether this call put it; else somebody else did before.
    pub created: bool,
}

impl Archive {
    /// Puts a run's roster; if there is one already, that one counts. Given by value, it is not copied.
    pub async fn put_roster(
        &self,
        run: &RunId,
        lines: impl Into<Cow<'_, [RosterLine]>> + Send,
    ) -> Result<Stored<Vec<RosterLine>>, ArchiveError> {
        self.put_lines(&layout::roster(run), lines.into()).await
    }

    /// A run's roster.
    pub async fn roster(&self, run: &RunId) -> Result<Option<Vec<RosterLine>>, ArchiveError> {
        self.get_lines(&layout::roster(run)).await
    }

    /// Puts a run's `run.json`; if there is one already, that one counts.
    pub async fn put_run(&self, file: &RunFile) -> Result<Stored<RunFile>, ArchiveError> {
        self.put_json(&layout::run_file(&file.run_id), file).await
    }

    /// A run's `run.json`.
    pub async fn run(&self, run: &RunId) -> Result<Option<RunFile>, ArchiveError> {
        self.get_json(&layout::run_file(run)).await
    }

    /// Puts receipt `n` of an attempt.
    pub async fn put_receipt(
        &self,
        run: &RunId,
        attempt: &AttemptId,
        n: u64,
        lines: &[ReceiptLine],
    ) -> Result<Stored<Vec<ReceiptLine>>, ArchiveError> {
        self.put_lines(&layout::receipt(run, attempt, n), lines.into()).await
    }

    /// All receipts of a run with their keys, in the order of the keys.
    pub async fn receipts(&self, run: &RunId) -> Result<Vec<(String, Vec<ReceiptLine>)>, ArchiveError> {
        let keys = self.list(&layout::receipts_prefix(run)).await?;
        stream::iter(keys)
            .map(|key| async move {
                let bytes = self.get_known(&key).await?;
                let lines = decode_lines(&key, &bytes)?;
                Ok((key, lines))
            })
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await
    }

    /// Puts a run's users file; if there is one already, that one counts. Given by value, it is not copied.
    pub async fn put_users(
        &self,
        run: &RunId,
        lines: impl Into<Cow<'_, [UserLine]>> + Send,
    ) -> Result<Stored<Vec<UserLine>>, ArchiveError> {
        self.put_lines(&layout::users(run), lines.into()).await
    }

    /// A run's users file.
    pub async fn users(&self, run: &RunId) -> Result<Option<Vec<UserLine>>, ArchiveError> {
        self.get_lines(&layout::users(run)).await
    }

    /// Puts a run's report; if there is one already, that one counts.
    pub async fn put_report(&self, report: &Report) -> Result<Stored<Report>, ArchiveError> {
        self.put_json(&layout::report(&report.run_id), report).await
    }

    /// A run's report.
    pub async fn report(&self, run: &RunId) -> Result<Option<Report>, ArchiveError> {
        self.get_json(&layout::report(run)).await
    }

    /// All runs that have a `run.json`, in the order of their ids.
    pub async fn runs(&self) -> Result<Vec<RunId>, ArchiveError> {
        let keys = self.list(layout::RUNS_PREFIX).await?;
        let mut runs: Vec<RunId> = keys.iter().filter_map(|key| layout::run_of_run_file(key)).collect();
        runs.sort();
        Ok(runs)
    }

    /// Keeps a page that does not parse, as decoded.
    pub async fn quarantine(&self, user: UserId, page: &[u8], hold: LegalHold) -> Result<QuarantineRef, ArchiveError> {
        let key = layout::quarantine(self.tenant(), user, &jsonl::sha256_hex(page));
        let bytes = Bytes::from(jsonl::frame(page).map_err(ArchiveError::Encode)?);
        let sha256 = match self.put_once_under(&key, bytes.clone(), hold).await? {
            PutOnce::Created | PutOnce::Own => jsonl::sha256_hex(&bytes),
            // The same page, compressed by another version.
            PutOnce::Other(object) => jsonl::sha256_hex(&object.bytes),
        };
        Ok(QuarantineRef { key, sha256 })
    }

    /// What the ledger says of the object of this key.
    pub async fn file_ref(&self, key: &str) -> Result<FileRef, ArchiveError> {
        let bytes = self.get_known(key).await?;
        let lines = if key.ends_with(".jsonl.zst") {
            let count = jsonl::each_line(&bytes, jsonl::MAX_FILE_LINE, |_| Ok(()));
            Some(count.map_err(|_| ArchiveError::undecodable(key))?)
        } else {
            None
        };
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(FileRef { key: key.to_owned(), sha256: jsonl::sha256_hex(&bytes), bytes: size, lines })
    }

    async fn put_lines<T>(&self, key: &str, lines: Cow<'_, [T]>) -> Result<Stored<Vec<T>>, ArchiveError>
    where
        T: Serialize + DeserializeOwned + Clone,
    {
        let bytes = Bytes::from(jsonl::encode(&lines).map_err(ArchiveError::Encode)?);
        match self.put_once(key, bytes).await? {
            PutOnce::Created | PutOnce::Own => Ok(Stored { value: lines.into_owned(), created: true }),
            PutOnce::Other(object) => Ok(Stored { value: decode_lines(key, &object.bytes)?, created: false }),
        }
    }

    async fn get_lines<T: DeserializeOwned>(&self, key: &str) -> Result<Option<Vec<T>>, ArchiveError> {
        self.get(key).await?.map(|bytes| decode_lines(key, &bytes)).transpose()
    }

    pub(crate) async fn put_json<T>(&self, key: &str, value: &T) -> Result<Stored<T>, ArchiveError>
    where
        T: Serialize + DeserializeOwned + Clone,
    {
        match self.put_once(key, json(value)?).await? {
            PutOnce::Created | PutOnce::Own => Ok(Stored { value: value.clone(), created: true }),
            PutOnce::Other(object) => Ok(Stored { value: decode_json(key, &object.bytes)?, created: false }),
        }
    }

    pub(crate) async fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ArchiveError> {
        self.get(key).await?.map(|bytes| decode_json(key, &bytes)).transpose()
    }
}

fn decode_lines<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<Vec<T>, ArchiveError> {
    jsonl::decode(bytes).map_err(|_| ArchiveError::undecodable(key))
}

/// A small file. One that names a later format is left alone, though it may look like one of ours.
pub(crate) fn decode_json<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, ArchiveError> {
    if let Some(found) = format_of(bytes).filter(|found| *found > FORMAT) {
        return Err(ArchiveError::NewerFormat { key: key.to_owned(), found });
    }
    serde_json::from_slice(bytes).map_err(|_| ArchiveError::undecodable(key))
}

#[cfg(test)]
pub(crate) mod tests;
