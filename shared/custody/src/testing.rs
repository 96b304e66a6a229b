//! What the tests of this crate share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use archive::faults::FaultStore;
use archive::memory::MemoryStore;
use archive::store::{ETag, LegalHold, Object, PutIfMatch, PutNew, Store, StoreError};
use archive::{Archive, Stores};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{ScaledClock, SeededRandom, TenantId, Timestamp, UserId};
use jiff::SignedDuration;

use crate::Vaults;

pub(crate) const TENANT: TenantId = TenantId::from_bytes([0xaa; 16]);
pub(crate) const USER: UserId = UserId::from_bytes([0xbb; 16]);
pub(crate) const OTHER: UserId = UserId::from_bytes([0xcc; 16]);
pub(crate) const OVERLAP: SignedDuration = SignedDuration::from_hours(72);

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An archive in memory whose state can be made to fail.
pub(crate) struct World {
    pub(crate) evidence: Arc<MemoryStore>,
    pub(crate) state: Arc<MemoryStore>,
    pub(crate) state_faults: Arc<FaultStore>,
}

impl World {
    pub(crate) fn new() -> Self {
        let (evidence, state) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
        let state_faults = Arc::new(FaultStore::new(Arc::clone(&state) as _));
        Self { evidence, state, state_faults }
    }

    /// The clock shows 25 November 2026, 03:00.
    pub(crate) async fn archive(&self) -> Archive {
        self.archive_with(Arc::clone(&self.state_faults) as _).await
    }

    /// The archive as somebody sees it whose first read of this key is followed by somebody else's put.
    pub(crate) async fn archive_racing(&self, key: String, bytes: Bytes) -> Archive {
        let state = Racing { inner: Arc::clone(&self.state), key, bytes, raced: AtomicBool::new(false) };
        self.archive_with(Arc::new(state)).await
    }

    async fn archive_with(&self, state: Arc<dyn Store>) -> Archive {
        let clock = Arc::new(ScaledClock::new(time("2026-11-25T03:00:00Z"), 1.0));
        let stores = Stores { evidence: Arc::clone(&self.evidence) as _, state };
        Archive::open_or_create(stores, TENANT, clock, Arc::new(SeededRandom::new(1))).await.unwrap()
    }

    pub(crate) fn vaults(&self) -> Vaults {
        Vaults { evidence: Arc::clone(&self.evidence) as _, state: Arc::clone(&self.state) as _ }
    }
}

#[derive(Debug)]
struct Racing {
    inner: Arc<MemoryStore>,
    key: String,
    bytes: Bytes,
    raced: AtomicBool,
}

#[async_trait]
impl Store for Racing {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let found = self.inner.get(key).await;
        if key == self.key && !self.raced.swap(true, Ordering::Relaxed) {
            self.inner.overwrite(key, self.bytes.clone());
        }
        found
    }

    async fn put_new_under(&self, key: &str, bytes: Bytes, hold: LegalHold) -> Result<PutNew, StoreError> {
        self.inner.put_new_under(key, bytes, hold).await
    }

    async fn put_if_match(&self, key: &str, bytes: Bytes, etag: &ETag) -> Result<PutIfMatch, StoreError> {
        self.inner.put_if_match(key, bytes, etag).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.inner.list(prefix).await
    }
}
