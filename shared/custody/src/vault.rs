//! A store as only its operator may use it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use archive::folder::FolderStore;
use archive::memory::MemoryStore;
use archive::store::{LegalHold, Store, StoreError, StoreErrorKind};
use async_trait::async_trait;
use domain::Timestamp;

/// A version of an object, or a marker that says that it is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The key, relative to the archive's root.
    pub key: String,
    /// Which of the key's versions; nothing where a store keeps one.
    pub id: Option<String>,
    /// Whether it is a delete marker.
    pub is_delete_marker: bool,
}

/// What keeps a version from being deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// The retention's mode and end.
    pub retention: Option<(String, Timestamp)>,
    /// Whether it is under a legal hold.
    pub legal_hold: bool,
}

/// What an operator may do to a store.
#[async_trait]
pub trait Vault: Send + Sync + fmt::Debug {
    /// Every version and delete marker whose key begins with this prefix.
    async fn versions(&self, prefix: &str) -> Result<Vec<Version>, StoreError>;

    /// What the keys of this prefix begin with up to the next slash, each once.
    async fn folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let versions = self.versions(prefix).await?;
        let folder = |key: &str| key[prefix.len()..].find('/').map(|end| key[..=prefix.len() + end].to_owned());
        let folders: BTreeSet<String> = versions.iter().filter_map(|version| folder(&version.key)).collect();
        Ok(folders.into_iter().collect())
    }

    /// Deletes this version for good; one that is gone is deleted already. A lock's refusal is one for want of permission,
    /// as which S3 answers it. A governance retention is set aside only if that is asked for.
    async fn delete(&self, version: &Version, bypass_governance: bool) -> Result<(), StoreError>;

    /// How many half-done files killed writers have left beside the objects, whosever content they hold; removes them if that is
    /// asked for. A bucket has none: an object is there when its put is done.
    async fn leftovers(&self, remove: bool) -> Result<u64, StoreError> {
        let _ = remove;
        Ok(0)
    }

    /// Whether it can hold what a hold is put on.
    async fn holds(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Puts a legal hold on this version, or takes it away. Only for a store that [`holds`](Self::holds).
    async fn set_hold(&self, version: &Version, hold: LegalHold) -> Result<(), StoreError> {
        let _ = hold;
        let kind = StoreErrorKind::Refused;
        Err(StoreError { kind, operation: "hold", key: version.key.clone(), source: None })
    }

    /// What keeps this version.
    async fn lock(&self, version: &Version) -> Result<Lock, StoreError>;
}

/// Where an archive lies, for its operator. Both may be the same.
#[derive(Debug, Clone)]
pub struct Vaults {
    /// Everything outside `state/`.
    pub evidence: Arc<dyn Vault>,
    /// Everything under `state/`.
    pub state: Arc<dyn Vault>,
}

fn only_versions(keys: Vec<String>) -> Vec<Version> {
    keys.into_iter().map(|key| Version { key, id: None, is_delete_marker: false }).collect()
}

/// A folder keeps one version of each object, and locks nothing.
#[async_trait]
impl Vault for FolderStore {
    async fn versions(&self, prefix: &str) -> Result<Vec<Version>, StoreError> {
        Ok(only_versions(self.list(prefix).await?))
    }

    async fn delete(&self, version: &Version, _: bool) -> Result<(), StoreError> {
        self.remove(&version.key).await
    }

    async fn leftovers(&self, remove: bool) -> Result<u64, StoreError> {
        Self::leftovers(self, remove).await
    }

    async fn lock(&self, _: &Version) -> Result<Lock, StoreError> {
        Ok(Lock::default())
    }
}

#[async_trait]
impl Vault for MemoryStore {
    async fn versions(&self, prefix: &str) -> Result<Vec<Version>, StoreError> {
        Ok(only_versions(self.list(prefix).await?))
    }

    async fn delete(&self, version: &Version, _: bool) -> Result<(), StoreError> {
        self.remove(&version.key);
        Ok(())
    }

    async fn lock(&self, _: &Version) -> Result<Lock, StoreError> {
        Ok(Lock::default())
    }
}
