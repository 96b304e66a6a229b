//! A store that forgets segments, so that what is measured is the worker and not the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use archive::Stores;
use archive::memory::MemoryStore;
use archive::store::{ETag, LegalHold, Object, PutIfMatch, PutNew, Store, StoreError};
use async_trait::async_trait;
use bytes::Bytes;

/// Keeps everything but segments, and counts their bytes.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    rest: MemoryStore,
    segment_bytes: AtomicU64,
}

impl Sink {
    /// The store, and the same as an archive takes it.
    pub(crate) fn stores() -> (Arc<Self>, Stores) {
        let sink = Arc::new(Self::default());
        let stores = Stores { evidence: Arc::clone(&sink) as _, state: Arc::clone(&sink) as _ };
        (sink, stores)
    }

    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segment_bytes.load(Relaxed)
    }
}

#[async_trait]
impl Store for Sink {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.rest.get(key).await
    }

    async fn put_new_under(&self, key: &str, bytes: Bytes, hold: LegalHold) -> Result<PutNew, StoreError> {
        if key.starts_with("interactions/") {
            self.segment_bytes.fetch_add(bytes.len() as u64, Relaxed);
            return Ok(PutNew::Created(ETag(String::new())));
        }
        self.rest.put_new_under(key, bytes, hold).await
    }

    async fn put_if_match(&self, key: &str, bytes: Bytes, etag: &ETag) -> Result<PutIfMatch, StoreError> {
        self.rest.put_if_match(key, bytes, etag).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.rest.list(prefix).await
    }
}
