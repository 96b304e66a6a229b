//! The ledger: one entry per closed run, each naming the hash of the one before.

use domain::{RunId, Timestamp};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::SignedDuration;

use crate::archive::{PutOnce, json};
use crate::error::ArchiveError;
use crate::records::{FileRef, LedgerEntry, Producer};
use crate::runs::{READS_AT_ONCE, decode_json};
use crate::{Archive, jsonl, layout};

/// How far the clocks of two functions may be apart. An entry closed longer than this before a run started cannot name it,
/// which saves reading the whole ledger at every close.
const CLOCKS_APART: SignedDuration = SignedDuration::from_hours(24);

/// An entry's number and hash. Known outside the archive, they make every change of what is closed visible.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LedgerHead {
    /// The entry's number.
    pub n: u64,
    /// The hash of the stored entry.
    pub sha256: String,
}

impl Archive {
    /// Closes a run: appends the entry that names it. If an entry names it already, that one is returned.
    ///
    /// The protocol is the log's: whoever puts entry `n` has read every entry before it, so of any number of closers one
    /// makes the entry, and the others find it.
    pub async fn append_ledger(
        &self,
        run: &RunId,
        files: Vec<FileRef>,
        producer: Producer,
    ) -> Result<LedgerHead, ArchiveError> {
        let mut highest = self.ledger_highest().await?;
        if let Some(head) = self.find(run, highest).await? {
            return Ok(head);
        }
        let mut previous = match highest {
            0 => None,
            n => Some(self.ledger_entry(n).await?.0.sha256),
        };
        let closed_at = self.clock().now();
        loop {
            let n = highest + 1;
            let (run_id, files, producer) = (run.clone(), files.clone(), producer.clone());
            let bytes = json(&LedgerEntry { n, previous, run_id, files, closed_at, producer })?;
            let key = layout::ledger_entry(self.tenant(), n);
            match self.put_once(&key, bytes.clone()).await? {
                PutOnce::Created | PutOnce::Own => return Ok(LedgerHead { n, sha256: jsonl::sha256_hex(&bytes) }),
                PutOnce::Other(object) => {
                    let sha256 = jsonl::sha256_hex(&object.bytes);
                    let entry: LedgerEntry = decode_json(&key, &object.bytes)?;
                    if entry.run_id == *run {
                        return Ok(LedgerHead { n, sha256 });
                    }
                    previous = Some(sha256);
                    highest = n;
                }
            }
        }
    }

    /// The entry that names the run, if it is closed.
    pub async fn closed(&self, run: &RunId) -> Result<Option<LedgerHead>, ArchiveError> {
        let highest = self.ledger_highest().await?;
        self.find(run, highest).await
    }

    /// All entries, oldest first.
    pub async fn ledger(&self) -> Result<Vec<(LedgerHead, LedgerEntry)>, ArchiveError> {
        let highest = self.ledger_highest().await?;
        stream::iter(1..=highest).map(|n| self.ledger_entry(n)).buffered(READS_AT_ONCE).try_collect().await
    }

    /// The number of the newest entry, 0 if there is none: with [`ledger_entry`](Self::ledger_entry) the way to read the
    /// ledger from its newest entry backwards.
    pub async fn ledger_highest(&self) -> Result<u64, ArchiveError> {
        self.highest(&layout::ledger_prefix(self.tenant()), layout::ledger_number).await
    }

    /// Entry `n`, which must exist.
    pub async fn ledger_entry(&self, n: u64) -> Result<(LedgerHead, LedgerEntry), ArchiveError> {
        let key = layout::ledger_entry(self.tenant(), n);
        let bytes = self.get_known(&key).await?;
        Ok((LedgerHead { n, sha256: jsonl::sha256_hex(&bytes) }, decode_json(&key, &bytes)?))
    }

    /// The entry among the first `highest` that names the run. Newest first: what is asked for is mostly new.
    async fn find(&self, run: &RunId, highest: u64) -> Result<Option<LedgerHead>, ArchiveError> {
        if highest == 0 {
            return Ok(None);
        }
        let started_at = self.run(run).await?.map_or(Timestamp::MIN, |file| file.started_at);
        let earliest = started_at.checked_sub(CLOCKS_APART).unwrap_or(Timestamp::MIN);
        let mut entries = stream::iter((1..=highest).rev()).map(|n| self.ledger_entry(n)).buffered(READS_AT_ONCE);
        while let Some((head, entry)) = entries.try_next().await? {
            if entry.run_id == *run {
                return Ok(Some(head));
            }
            if entry.closed_at < earliest {
                break;
            }
        }
        Ok(None)
    }
}
