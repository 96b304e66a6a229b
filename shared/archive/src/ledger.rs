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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Integrity;
    use crate::store::Store as _;
    use crate::testing::{TENANT, World};

    fn producer() -> Producer {
        Producer { name: "test".to_owned(), version: "1".to_owned(), commit: "c".to_owned() }
    }

    fn run(n: usize) -> RunId {
        format!("run-{n}").parse().unwrap()
    }

    async fn close(archive: &Archive, n: usize) -> Result<LedgerHead, ArchiveError> {
        archive.append_ledger(&run(n), Vec::new(), producer()).await
    }

    #[tokio::test(start_paused = true)]
    async fn entries_are_linked_and_a_run_is_closed_once() {
        let world = World::new();
        let archive = world.archive().await;
        assert_eq!(archive.closed(&run(1)).await.unwrap(), None);
        let first = close(&archive, 1).await.unwrap();
        let second = close(&archive, 2).await.unwrap();
        assert_eq!((first.n, second.n), (1, 2));
        assert_eq!(close(&archive, 1).await.unwrap(), first);
        assert_eq!(archive.closed(&run(2)).await.unwrap(), Some(second.clone()));
        assert_eq!(archive.closed(&run(3)).await.unwrap(), None);

        let stored = world.evidence.get(&layout::ledger_entry(TENANT, 2)).await.unwrap().unwrap().bytes;
        assert_eq!(jsonl::sha256_hex(&stored), second.sha256);
        let expected = format!(
            concat!(
                r#"{{"n":2,"previous":"{}","run_id":"run-2","files":[],"closed_at":"2026-11-25T03:00:00Z","#,
                r#""producer":{{"name":"test","version":"1","commit":"c"}}}}"#
            ),
            first.sha256
        );
        assert_eq!(stored, format!("{expected}\n"));
        let ledger = archive.ledger().await.unwrap();
        assert_eq!(ledger.iter().map(|(head, _)| head.n).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(ledger[0].1.previous, None);
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_close_at_once_each_run_has_one_entry_and_the_chain_holds() {
        let random = Arc::new(domain::SeededRandom::new(5));
        for round in 0..40 {
            let world = World::by_chance(&random, 300);
            let archive = world.archive().await;
            let mut tasks = tokio::task::JoinSet::new();
            for task in 0..6 {
                let archive = archive.clone();
                tasks.spawn(async move { (task % 3, close(&archive, task % 3).await) });
            }
            let heads = tasks.join_all().await;
            world.evidence_faults.fail_by_chance(0);
            world.evidence_faults.land().await;
            let ledger = archive.ledger().await.unwrap();
            let mut previous = None;
            for (head, entry) in &ledger {
                assert_eq!(entry.previous, previous, "round {round}");
                previous = Some(head.sha256.clone());
            }
            let mut runs: Vec<RunId> = ledger.iter().map(|(_, entry)| entry.run_id.clone()).collect();
            runs.sort();
            runs.dedup();
            assert_eq!(runs.len(), ledger.len(), "round {round}: a run has one entry");
            for (n, head) in heads {
                if let Ok(head) = head {
                    assert_eq!(archive.closed(&run(n)).await.unwrap(), Some(head), "round {round}");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_entry_is_damage() {
        let world = World::new();
        let archive = world.archive().await;
        for n in 1..=3 {
            close(&archive, n).await.unwrap();
        }
        world.evidence.remove(&layout::ledger_entry(TENANT, 1));
        let Err(ArchiveError::Integrity(Integrity::Gap { number: 1, .. })) = close(&archive, 4).await else {
            panic!("a gap was not seen")
        };
    }

    #[tokio::test(start_paused = true)]
    async fn entries_older_than_the_run_are_not_read() {
        let world = World::new();
        let archive = world.archive().await;
        for n in 1..=40 {
            close(&archive, n).await.unwrap();
        }
        archive.clock().sleep(std::time::Duration::from_secs(30 * 24 * 3600)).await;
        archive.put_run(&crate::runs::tests::run_file(&run(41), archive.clock().now())).await.unwrap();
        let before = world.evidence_faults.operations().gets;
        let head = close(&archive, 41).await.unwrap();
        assert_eq!(head.n, 41);
        assert!(world.evidence_faults.operations().gets - before <= 2 + READS_AT_ONCE as u64);
        assert_eq!(archive.closed(&run(41)).await.unwrap(), Some(head));
        assert!(archive.closed(&run(7)).await.unwrap().is_some(), "a run without run.json is looked for everywhere");
    }
}
