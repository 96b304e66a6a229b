//! Holding what is archived of a user: a legal hold on every version of the user's content, which no retention's end and no
//! role lifts.

use archive::{Archive, ArchiveError};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::erase::{AT_ONCE, Content};
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

/// Puts a hold on every version of a user's content, or takes it away. What has it already is asked again, which changes
/// nothing.
pub async fn hold(archive: &Archive, vaults: &Vaults, content: &Content, on: bool) -> Result<Held, ArchiveError> {
    let mut held = Held::default();
    let mut setting = stream::iter(holdable(content))
        .map(|version| async move {
            match archive.certain(|| vaults.evidence.set_hold(version, on)).await {
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
