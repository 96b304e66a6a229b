//! An archive in a bucket, by the clients and limits of the functions.

use std::fmt;
use std::sync::Arc;

use archive::Stores;
use archive::store::{LegalHold, Store, StoreError};
use async_trait::async_trait;
use aws::{BucketVersioning, Clients, NoRegion, ObjectLock, ObjectVersion, S3Store};
use custody::{Lock as VersionLock, Vault, Vaults, Version as VaultVersion};
use domain::{Env, OsRandom, SystemClock};
use evidence::{Keeping, Lock, Source, SourceError, Version, Versioning, is_key};
use settings::{S3Address, StateBucket};
use tokio::runtime::Handle;

use crate::location::{Estate, Location, Place, PlaceError};

/// The clients of this process.
pub async fn clients() -> Result<Clients, NoRegion> {
    Box::pin(Clients::load(Arc::new(SystemClock), Arc::new(OsRandom))).await
}

/// The place that these clients reach.
pub fn place_of(clients: &Clients, address: &S3Address, state: &StateBucket) -> Place {
    let store = |bucket: &String| Arc::new(clients.store(bucket, &address.prefix));
    let stores = Stores { evidence: store(&address.bucket), state: store(state.0.as_ref().unwrap_or(&address.bucket)) };
    Place { location: Location::Bucket(address.clone()), stores }
}

/// The place at this address, for its operator; `STATE_BUCKET` may name another bucket for the state.
pub async fn estate(address: &S3Address, env: &dyn Env) -> Result<Estate, PlaceError> {
    let state: StateBucket = settings::from_env(env, settings::Place::Local)?;
    Ok(estate_of(&clients().await?, address, &state))
}

/// The estate that these clients reach.
pub fn estate_of(clients: &Clients, address: &S3Address, state: &StateBucket) -> Estate {
    let bucket_of_state = state.0.as_ref().unwrap_or(&address.bucket);
    let vault = |bucket: &String| Arc::new(BucketVault(clients.store(bucket, &address.prefix)));
    let vaults = Vaults { evidence: vault(&address.bucket), state: vault(bucket_of_state) };
    Estate { place: place_of(clients, address, state), vaults, state: state.0.clone() }
}

/// A bucket for its operator.
#[derive(Debug)]
struct BucketVault(S3Store);

fn object_version(version: &VaultVersion) -> ObjectVersion {
    let VaultVersion { key, id, is_delete_marker } = version.clone();
    ObjectVersion { key, id, is_delete_marker, put_at: None }
}

#[async_trait]
impl Vault for BucketVault {
    async fn versions(&self, prefix: &str) -> Result<Vec<VaultVersion>, StoreError> {
        let (versions, _) = self.0.versions_below(prefix, false).await?;
        let version = |ObjectVersion { key, id, is_delete_marker, .. }| VaultVersion { key, id, is_delete_marker };
        Ok(versions.into_iter().map(version).collect())
    }

    async fn folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.0.versions_below(prefix, true).await?.1)
    }

    async fn delete(&self, version: &VaultVersion, bypass_governance: bool) -> Result<(), StoreError> {
        self.0.delete_version(&object_version(version), bypass_governance).await
    }

    async fn holds(&self) -> Result<bool, StoreError> {
        self.0.has_object_lock().await
    }

    async fn set_hold(&self, version: &VaultVersion, hold: LegalHold) -> Result<(), StoreError> {
        self.0.set_legal_hold(&object_version(version), hold).await
    }

    async fn lock(&self, version: &VaultVersion) -> Result<VersionLock, StoreError> {
        let ObjectLock { retention, legal_hold } = self.0.lock_of(&object_version(version)).await?;
        Ok(VersionLock { retention, legal_hold })
    }
}

/// Reads a store for an auditor, who asks for one object after the other and waits for each. How large an object may be and
/// how long it may take are the store's limits. The runtime has to have more than one thread: the one that asks waits.
pub struct Bridge {
    store: S3Store,
    runtime: Handle,
}

impl Bridge {
    /// Reads this store by means of the runtime that it is made in.
    pub fn new(store: S3Store) -> Self {
        Self { store, runtime: Handle::current() }
    }

    /// Reads the archive at this address.
    pub async fn open(address: &S3Address) -> Result<Self, NoRegion> {
        Ok(Self::new(clients().await?.store(&address.bucket, &address.prefix)))
    }

    fn wait<T>(
        &self,
        operation: &'static str,
        key: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, SourceError> {
        tokio::task::block_in_place(|| self.runtime.block_on(call))
            .map_err(|error| SourceError::new(operation, key, error))
    }
}

impl Source for Bridge {
    fn list(&self, prefix: &str) -> Result<Vec<String>, SourceError> {
        let mut keys = self.wait("list", prefix, self.store.list(prefix))?;
        keys.retain(|key| is_key(key));
        Ok(keys)
    }

    fn read(&self, key: &str) -> Result<Option<Vec<u8>>, SourceError> {
        if !is_key(key) {
            return Ok(None);
        }
        Ok(self.wait("read", key, self.store.get(key))?.map(|object| object.bytes.into()))
    }

    fn keeping(&self) -> Option<&dyn Keeping> {
        Some(self)
    }
}

impl Keeping for Bridge {
    fn versioning(&self) -> Result<Option<Versioning>, SourceError> {
        let answer = self.wait("ask for the versioning", "", self.store.versioning())?;
        Ok(answer.map(|versioning| match versioning {
            BucketVersioning::Never => Versioning::Never,
            BucketVersioning::Suspended => Versioning::Suspended,
            BucketVersioning::Enabled => Versioning::Enabled,
        }))
    }

    fn versions(&self, each: &mut dyn FnMut(Version)) -> Result<Option<()>, SourceError> {
        // They are handed on where the asker waits, since it need not be what another thread may call.
        let mut versions = Vec::new();
        let list = self.store.versions(|ObjectVersion { key, is_delete_marker, put_at, .. }| {
            if is_key(&key) {
                versions.push(Version { key, is_delete_marker, put_at });
            }
        });
        let answer = self.wait("list the versions", "", list)?;
        versions.into_iter().for_each(each);
        Ok(answer)
    }

    fn locks(&self, keys: &[String]) -> Result<Option<Vec<Lock>>, SourceError> {
        let answer = self.wait("ask for the locks", "", self.store.locks(keys))?;
        let lock = |ObjectLock { retention, legal_hold }| Lock { retention, legal_hold };
        Ok(answer.map(|locks| locks.into_iter().map(lock).collect()))
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("store", &self.store).finish_non_exhaustive()
    }
}
