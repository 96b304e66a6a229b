//! Holding a user: an entry first, by which workers put what they archive from then on, and then a legal hold on every version
//! of the user's content that is there, which no retention's end and no role lifts.

use archive::custody::HoldEntry;
use archive::store::LegalHold;
use archive::{Archive, ArchiveError};
use domain::{Timestamp, UserId};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::erase::{AT_ONCE, Content, IN_HAND};
use crate::{Vaults, Version};

/// What came of putting or lifting holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Versions that are as was asked.
    pub set: u64,
    /// Versions whose hold may not be changed.
    pub refused: u64,
}

/// The versions that can be held: a delete marker holds nothing.
pub fn holdable(content: &Content) -> impl Iterator<Item = &Version> {
    content.evidence().filter(|version| !version.is_delete_marker)
}

/// Puts the entry that holds a user or releases the hold; answers of the one that made it so, if it was so already. Nothing is
/// put, and nothing answered, to release somebody who never was held.
pub async fn mark(
    archive: &Archive,
    user: UserId,
    hold: LegalHold,
    reason: Option<String>,
) -> Result<Option<HoldEntry>, ArchiveError> {
    let now = archive.clock().now();
    let at = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let made = archive.put_hold(hold, HoldEntry { user_id: user, at, reason }).await?;
    Ok(made.map(|made| made.value))
}

/// Until when a worker may archive of the user that began before the entry, as it stood then.
pub fn in_hand_until(entry: &HoldEntry) -> Timestamp {
    entry.at.checked_add(IN_HAND).unwrap_or(Timestamp::MAX)
}

/// Puts a hold on every version of a user's content, or takes it away. What has it already is asked again, which changes
/// nothing. Look for the content after the entry was put ([`mark`]).
pub async fn hold(
    archive: &Archive,
    vaults: &Vaults,
    content: &Content,
    wanted: LegalHold,
) -> Result<Held, ArchiveError> {
    let mut held = Held::default();
    let mut setting = stream::iter(holdable(content))
        .map(|version| async move {
            match archive.certain(|| vaults.evidence.set_hold(version, wanted)).await {
                Ok(()) => Ok(true),
                Err(error) if error.is_denied() => Ok(false),
                Err(error) => Err(error),
            }
        })
        .buffer_unordered(AT_ONCE);
    while let Some(set) = setting.try_next().await? {
        *(if set { &mut held.set } else { &mut held.refused }) += 1;
    }
    Ok(held)
}

/// How many versions of a user's content are under no hold.
pub async fn not_held(archive: &Archive, vaults: &Vaults, content: &Content) -> Result<u64, ArchiveError> {
    let locks = stream::iter(holdable(content))
        .map(|version| archive.certain(|| vaults.evidence.lock(version)))
        .buffer_unordered(AT_ONCE);
    locks.try_fold(0, async |left, lock| Ok(left + u64::from(!lock.legal_hold))).await
}
