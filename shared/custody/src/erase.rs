//! Erasing a user: a tombstone first, then every version of the user's content.
//!
//! The tombstone is put before anything is looked for or deleted, so that at no moment something is missing without saying why,
//! and nobody reads the user any more who begins later. A worker that began earlier may have the user in hand, and write for as
//! long as its invocation lasts ([`in_hand_until`]): what it leaves is deleted by asking again after that. What a lock keeps is counted with the time it ends; asked again, the rest is deleted. What the runs
//! say of the user, ids and numbers in receipts and names in rosters, is fixed by the ledger and stays until it expires.

use std::collections::BTreeMap;

use archive::custody::Tombstone;
use archive::{Archive, ArchiveError, layout};
use domain::{Timestamp, UserId};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::SignedDuration;

use crate::{Lock, Vault, Vaults, Version};

/// Calls in flight: what hides the latency of each behind the others, and is far below what a bucket serves.
pub(crate) const AT_ONCE: usize = 16;

/// How long a worker may go on that began before a tombstone: the longest invocation, a quarter of an hour, and five minutes for
/// clocks that differ.
pub(crate) const IN_HAND: SignedDuration = SignedDuration::from_mins(20);

/// The longest reason: a reference, not a story.
pub const MAX_REASON: usize = 200;

/// Whether this may be a reason: short, and of one line.
pub fn is_reason(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_REASON && !text.chars().any(char::is_control)
}

/// Every version of what an archive holds of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Segments, in all months.
    pub segments: Vec<Version>,
    /// Pages in quarantine.
    pub pages: Vec<Version>,
    /// The checkpoint.
    pub state: Vec<Version>,
    /// What killed writers left half-done, this user's or anybody's.
    pub leftovers: u64,
}

impl Content {
    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.pages.is_empty() && self.state.is_empty() && self.leftovers == 0
    }

    /// What was put once: segments and pages.
    pub fn evidence(&self) -> impl Iterator<Item = &Version> {
        self.segments.iter().chain(&self.pages)
    }
}

/// Looks for every version of what the archive holds of a user.
pub async fn content(archive: &Archive, vaults: &Vaults, user: UserId) -> Result<Content, ArchiveError> {
    let state = versions(archive, &*vaults.state, &layout::checkpoint(archive.tenant(), user)).await?;
    let leftovers = archive.certain(|| vaults.evidence.leftovers(false)).await?;
    Ok(Content { state, leftovers, ..evidence(archive, vaults, user).await? })
}

/// Every version of what was put once of a user: segments and pages.
pub async fn evidence(archive: &Archive, vaults: &Vaults, user: UserId) -> Result<Content, ArchiveError> {
    let tenant = archive.tenant();
    let mut content = Content::default();
    let months = layout::months_prefix(tenant);
    // Whatever months there are: items choose them.
    for month in archive.certain(|| vaults.evidence.folders(&months)).await? {
        content.segments.extend(versions(archive, &*vaults.evidence, &layout::log_prefix(&month, user)).await?);
    }
    content.pages = versions(archive, &*vaults.evidence, &layout::quarantine_prefix(tenant, user)).await?;
    Ok(content)
}

async fn versions(archive: &Archive, vault: &dyn Vault, prefix: &str) -> Result<Vec<Version>, ArchiveError> {
    archive.certain(|| vault.versions(prefix)).await
}

/// Why a version was not deleted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// A retention of this mode.
    Retention(String),
    /// A legal hold.
    LegalHold,
    /// The permission is missing, or the lock may not be seen.
    Permission,
}

/// What came of an erasure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// Versions that were deleted.
    pub deleted: u64,
    /// Versions that were not, by the reason.
    pub kept: BTreeMap<Kept, u64>,
    /// When the first of the retentions ends, and when the last does.
    pub ends: Option<(Timestamp, Timestamp)>,
}

impl Erased {
    fn keep(&mut self, lock: Option<Lock>) {
        let Lock { retention, legal_hold } = lock.unwrap_or_default();
        let kept = match (&retention, legal_hold) {
            (_, true) => Kept::LegalHold,
            (Some((mode, _)), false) => Kept::Retention(mode.clone()),
            (None, false) => Kept::Permission,
        };
        *self.kept.entry(kept).or_default() += 1;
        if let Some((_, until)) = retention {
            self.ends = Some(self.ends.map_or((until, until), |(first, last)| (first.min(until), last.max(until))));
        }
    }
}

/// Puts the tombstone; answers of the one that is there.
pub async fn bury(archive: &Archive, user: UserId, reason: Option<String>) -> Result<Tombstone, ArchiveError> {
    let now = archive.clock().now();
    let erased_at = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Ok(archive.put_tombstone(&Tombstone { user_id: user, erased_at, reason }).await?.value)
}

/// Until when a worker may write of the user that began before the tombstone. Content that is looked for later is all there is,
/// and all there will be.
pub fn in_hand_until(tombstone: &Tombstone) -> Timestamp {
    tombstone.erased_at.checked_add(IN_HAND).unwrap_or(Timestamp::MAX)
}

/// Deletes these versions, and what killed writers left, whatever is in the way of some of them. Put the tombstone first ([`bury`]).
pub async fn erase(
    archive: &Archive,
    vaults: &Vaults,
    content: &Content,
    bypass_governance: bool,
) -> Result<Erased, ArchiveError> {
    let mut erased = Erased::default();
    let evidence = content.evidence().map(|version| (&*vaults.evidence, version));
    let all = evidence.chain(content.state.iter().map(|version| (&*vaults.state, version)));
    let mut deleting = stream::iter(all)
        .map(|(vault, version)| delete(archive, vault, version, bypass_governance))
        .buffer_unordered(AT_ONCE);
    while let Some(outcome) = deleting.try_next().await? {
        match outcome {
            None => erased.deleted += 1,
            Some(lock) => erased.keep(lock),
        }
    }
    archive.certain(|| vaults.evidence.leftovers(true)).await?;
    Ok(erased)
}

/// Deletes a version; of one that may not be deleted its lock, if that may be seen.
async fn delete(
    archive: &Archive,
    vault: &dyn Vault,
    version: &Version,
    bypass_governance: bool,
) -> Result<Option<Option<Lock>>, ArchiveError> {
    match archive.certain(|| vault.delete(version, bypass_governance)).await {
        Ok(()) => Ok(None),
        Err(error) if error.is_denied() => match archive.certain(|| vault.lock(version)).await {
            Ok(lock) => Ok(Some(Some(lock))),
            Err(error) if error.is_denied() => Ok(Some(None)),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use archive::folder::FolderStore;
    use archive::store::Store as _;
    use archive::{Month, Stores};
    use domain::{ScaledClock, SeededRandom};

    use super::*;
    use crate::open_runs;
    use crate::testing::{OTHER, TENANT, USER, World, time};

    /// Keys of a user: segments of two months and of none, a page, the checkpoint.
    fn keys(user: UserId) -> Vec<String> {
        let months = ["2026-11", "2026-10", "unknown"].map(|month| month.parse::<Month>().unwrap());
        let mut keys: Vec<String> =
            months.iter().flat_map(|month| (1..=2).map(|n| layout::segment(TENANT, month, user, n))).collect();
        keys.extend([layout::quarantine(TENANT, user, &"a".repeat(64)), layout::checkpoint(TENANT, user)]);
        keys
    }

    #[tokio::test(start_paused = true)]
    async fn everything_of_the_user_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(FolderStore::open(folder.path()).unwrap());
        let stores = Stores { evidence: Arc::clone(&store) as _, state: Arc::clone(&store) as _ };
        let vaults = Vaults { evidence: Arc::clone(&store) as _, state: Arc::clone(&store) as _ };
        let clock = Arc::new(ScaledClock::new(time("2026-11-25T03:00:00.5Z"), 1.0));
        let archive = Archive::open_or_create(stores, TENANT, clock, Arc::new(SeededRandom::new(1))).await.unwrap();
        for key in keys(USER).iter().chain(&keys(OTHER)) {
            store.put_new(key, "x".into()).await.unwrap();
        }
        // Of whom this was is not known; a writer was killed over it.
        let leftover = folder.path().join(".tmp").join("1-0");
        std::fs::write(&leftover, "x").unwrap();
        let before = store.list("").await.unwrap();
        let found = content(&archive, &vaults, USER).await.unwrap();
        assert_eq!((found.segments.len(), found.pages.len(), found.state.len(), found.leftovers), (6, 1, 1, 1));
        assert!(store.list("").await.unwrap() == before && leftover.exists(), "a look changes nothing");

        let tombstone = bury(&archive, USER, Some("case 7".to_owned())).await.unwrap();
        assert_eq!((tombstone.erased_at, tombstone.user_id), (time("2026-11-25T03:00:00Z"), USER));
        let erased = erase(&archive, &vaults, &found, false).await.unwrap();
        assert_eq!(erased, Erased { deleted: keys(USER).len() as u64, ..Erased::default() });
        let mut expected: Vec<String> = before.into_iter().filter(|key| !keys(USER).contains(key)).collect();
        expected.push(layout::erased(TENANT, USER));
        expected.sort();
        assert_eq!((store.list("").await.unwrap(), leftover.exists()), (expected, false));

        // Repeated, it finds nothing and keeps the tombstone that is there.
        assert!(content(&archive, &vaults, USER).await.unwrap().is_empty());
        assert_eq!(bury(&archive, USER, None).await.unwrap(), tombstone);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_without_a_report_is_open() {
        let world = World::new();
        let archive = world.archive().await;
        // Fan-out may have been stopped before the run.json, and is gone on with later.
        for (run, files) in [("a", 3), ("b", 2), ("c", 1)] {
            let run = run.parse().unwrap();
            for key in [layout::roster(&run), layout::run_file(&run), layout::report(&run)].iter().take(files) {
                world.evidence.overwrite(key, "x");
            }
        }
        assert_eq!(open_runs(&archive).await.unwrap(), ["b", "c"].map(|run| run.parse().unwrap()));
        assert!(content(&archive, &world.vaults(), USER).await.unwrap().is_empty());
    }

    #[test]
    fn a_reason_is_one_short_line() {
        assert!(is_reason("request 17, § 35") && is_reason(&"x".repeat(MAX_REASON)));
        for text in ["", "a\nb", "\u{1b}[2J", &"x".repeat(MAX_REASON + 1)] {
            assert!(!is_reason(text), "{text:?}");
        }
    }
}
