//! A store in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::store::{ETag, LegalHold, Object, PutIfMatch, PutNew, Store, StoreError};

/// A store that forgets everything when it is dropped: for tests, and the model every other store is held against.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Objects>);

#[derive(Debug, Default)]
struct Objects {
    by_key: BTreeMap<String, (Bytes, u64)>,
    versions: u64,
    held: BTreeSet<String>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes an object, as somebody outside the program might.
    pub fn remove(&self, key: &str) {
        self.lock().by_key.remove(key);
    }

    /// Writes an object whatever is there, as somebody outside the program might.
    pub fn overwrite(&self, key: &str, bytes: impl Into<Bytes>) {
        self.lock().put(key, bytes.into());
    }

    /// Everything it holds, for a reader outside the program.
    pub fn objects(&self) -> BTreeMap<String, Bytes> {
        self.lock().by_key.iter().map(|(key, (bytes, _))| (key.clone(), bytes.clone())).collect()
    }

    /// What was put under a legal hold. Nothing is kept by it: it is for tests to see.
    pub fn held(&self) -> BTreeSet<String> {
        self.lock().held.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects {
    fn put(&mut self, key: &str, bytes: Bytes) -> ETag {
        self.versions += 1;
        self.by_key.insert(key.to_owned(), (bytes, self.versions));
        etag(self.versions)
    }
}

fn etag(version: u64) -> ETag {
    ETag(version.to_string())
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let objects = self.lock();
        Ok(objects.by_key.get(key).map(|(bytes, version)| Object { bytes: bytes.clone(), etag: etag(*version) }))
    }

    async fn put_new_under(&self, key: &str, bytes: Bytes, hold: LegalHold) -> Result<PutNew, StoreError> {
        let mut objects = self.lock();
        if objects.by_key.contains_key(key) {
            return Ok(PutNew::Exists);
        }
        if hold == LegalHold::On {
            objects.held.insert(key.to_owned());
        }
        Ok(PutNew::Created(objects.put(key, bytes)))
    }

    async fn put_if_match(&self, key: &str, bytes: Bytes, expected: &ETag) -> Result<PutIfMatch, StoreError> {
        let mut objects = self.lock();
        match objects.by_key.get(key) {
            Some((_, version)) if etag(*version) == *expected => Ok(PutIfMatch::Replaced(objects.put(key, bytes))),
            _ => Ok(PutIfMatch::Changed),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let objects = self.lock();
        let from = objects.by_key.range(prefix.to_owned()..);
        Ok(from.map(|(key, _)| key).take_while(|key| key.starts_with(prefix)).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn keeps_the_contract() {
        crate::contract::all(|| async { Arc::new(MemoryStore::new()) as Arc<dyn Store> }).await;
        let store = Arc::new(MemoryStore::new());
        crate::contract::a_hold_changes_nothing_of_what_is_put(Arc::<MemoryStore>::clone(&store)).await;
        assert_eq!(store.held(), ["a/held".to_owned()].into());
    }
}
