//! A part of a store that is a store itself.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::store::{ETag, LegalHold, Object, PutIfMatch, PutNew, Store, StoreError};

/// Puts a prefix as is before every key, so that an archive can share a bucket with other things.
#[derive(Debug, Clone)]
pub struct Prefixed {
    inner: Arc<dyn Store>,
    prefix: String,
}

impl Prefixed {
    /// The part of the store whose keys begin with this prefix.
    pub fn new(inner: Arc<dyn Store>, prefix: impl Into<String>) -> Self {
        Self { inner, prefix: prefix.into() }
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

#[async_trait]
impl Store for Prefixed {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.inner.get(&self.full(key)).await
    }

    async fn put_new_under(&self, key: &str, bytes: Bytes, hold: LegalHold) -> Result<PutNew, StoreError> {
        self.inner.put_new_under(&self.full(key), bytes, hold).await
    }

    async fn put_if_match(&self, key: &str, bytes: Bytes, etag: &ETag) -> Result<PutIfMatch, StoreError> {
        self.inner.put_if_match(&self.full(key), bytes, etag).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let keys = self.inner.list(&self.full(prefix)).await?;
        Ok(keys.into_iter().filter_map(|key| key.strip_prefix(&self.prefix).map(str::to_owned)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;

    #[tokio::test]
    async fn keeps_the_contract() {
        crate::contract::all(|| async {
            let whole = Arc::new(MemoryStore::new());
            // What lies beside the prefix, before and after it in order, is not this store's.
            for key in ["archives", "archives/a", "archives/b.", "archives/bb/segment", "zzz"] {
                whole.overwrite(key, "other");
            }
            Arc::new(Prefixed::new(whole, "archives/b/")) as Arc<dyn Store>
        })
        .await;
        let part = Prefixed::new(Arc::new(MemoryStore::new()), "archives/b/");
        crate::contract::a_hold_changes_nothing_of_what_is_put(Arc::new(part)).await;
    }

    #[tokio::test]
    async fn the_prefix_is_put_as_is() {
        let whole = Arc::new(MemoryStore::new());
        let part = Prefixed::new(Arc::<MemoryStore>::clone(&whole), "a-");
        part.put_new("k", Bytes::from_static(b"1")).await.unwrap();
        assert_eq!(whole.list("").await.unwrap(), ["a-k"]);
    }
}
