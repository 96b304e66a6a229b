//! What operators leave in an archive: tombstones of erased users, and who is held.

mod holds;

use std::collections::BTreeSet;

use domain::{Timestamp, UserId};
use futures_util::future::try_join;
use serde::{Deserialize, Serialize};

use crate::error::ArchiveError;
use crate::store::LegalHold;
use crate::{Archive, Stored, layout};

pub use holds::HoldEntry;

/// A tombstone: a user was erased, and no run plans this user again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Who was erased.
    pub user_id: UserId,
    /// When the tombstone was made.
    pub erased_at: Timestamp,
    /// What the operator said of why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What custody says of a tenant's users, listed once for all of them: a question for each would cost a request a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Custody {
    /// Who was erased: nobody reads them again.
    pub erased: BTreeSet<UserId>,
    /// Who is held: what is archived of them is put under a legal hold.
    pub held: BTreeSet<UserId>,
}

impl Custody {
    /// How this user's content is to be put.
    pub fn hold_on(&self, user: UserId) -> LegalHold {
        if self.held.contains(&user) { LegalHold::On } else { LegalHold::Off }
    }
}

impl Archive {
    /// What custody says of this tenant's users now.
    pub async fn custody(&self) -> Result<Custody, ArchiveError> {
        let (erased, held) = try_join(self.erased(), self.held()).await?;
        Ok(Custody { erased, held })
    }

    /// Puts a user's tombstone; if there is one already, that one counts.
    pub async fn put_tombstone(&self, tombstone: &Tombstone) -> Result<Stored<Tombstone>, ArchiveError> {
        self.put_json(&layout::erased(self.tenant(), tombstone.user_id), tombstone).await
    }

    /// A user's tombstone.
    pub async fn tombstone(&self, user: UserId) -> Result<Option<Tombstone>, ArchiveError> {
        self.get_json(&layout::erased(self.tenant(), user)).await
    }

    /// Who was erased: each has a tombstone.
    pub async fn erased(&self) -> Result<BTreeSet<UserId>, ArchiveError> {
        let keys = self.list(&layout::erased_prefix(self.tenant())).await?;
        Ok(keys.iter().filter_map(|key| layout::user_of_tombstone(key)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{USER, World, time};

    #[tokio::test(start_paused = true)]
    async fn the_first_tombstone_counts_and_reads_as_the_format_says() {
        let world = World::new();
        let archive = world.archive().await;
        assert_eq!((archive.tombstone(USER).await.unwrap(), archive.erased().await.unwrap().len()), (None, 0));
        let first = Tombstone { user_id: USER, erased_at: time("2026-11-25T08:00:00Z"), reason: None };
        assert!(archive.put_tombstone(&first).await.unwrap().created);
        let later =
            Tombstone { erased_at: time("2026-11-26T08:00:00Z"), reason: Some("x".to_owned()), ..first.clone() };
        let stored = archive.put_tombstone(&later).await.unwrap();
        assert_eq!((stored.value, stored.created), (first.clone(), false));
        assert_eq!(archive.tombstone(USER).await.unwrap(), Some(first));
        assert_eq!(archive.erased().await.unwrap(), [USER].into());
        assert_eq!(archive.custody().await.unwrap(), Custody { erased: [USER].into(), held: BTreeSet::new() });
        let text = &world.evidence.objects()[&layout::erased(archive.tenant(), USER)];
        let expected = format!(r#"{{"user_id":"{USER}","erased_at":"2026-11-25T08:00:00Z","reason":null}}"#);
        assert_eq!(*text, format!("{expected}\n"));
    }
}
