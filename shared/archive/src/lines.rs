//! Reading a JSON Lines object line by line, for what must not be in memory as a whole.

use serde::de::DeserializeOwned;

use crate::error::ArchiveError;
use crate::records::FileRef;
use crate::{Archive, MAX_ITEM_BYTES, jsonl};

/// The longest line: of a segment, an item and the members around it.
const MAX_LINE: usize = MAX_ITEM_BYTES + (1 << 10);

impl Archive {
    /// Calls `f` with each line of a JSON Lines object, in order, and answers what the ledger says of the object; `None` if
    /// there is none. Costs one read. Members that `T` does not have are stepped over.
    pub async fn read_lines<T: DeserializeOwned>(
        &self,
        key: &str,
        mut f: impl FnMut(T),
    ) -> Result<Option<FileRef>, ArchiveError> {
        let Some(bytes) = self.get(key).await? else { return Ok(None) };
        let count = jsonl::each_line(&bytes, MAX_LINE, |line| {
            f(serde_json::from_str(line).map_err(|_| jsonl::Undecodable)?);
            Ok(())
        });
        let lines = Some(count.map_err(|_| ArchiveError::undecodable(key))?);
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(Some(FileRef { key: key.to_owned(), sha256: jsonl::sha256_hex(&bytes), bytes: size, lines }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::{SeededRandom, SystemClock, TenantId};

    use super::*;
    use crate::Stores;
    use crate::memory::MemoryStore;
    use crate::store::Store;

    #[tokio::test]
    async fn lines_come_in_order_and_the_object_is_named_as_the_ledger_names_it() {
        let store = Arc::new(MemoryStore::new());
        let stores =
            Stores { evidence: Arc::clone(&store) as Arc<dyn Store>, state: Arc::clone(&store) as Arc<dyn Store> };
        let random = Arc::new(SeededRandom::new(1));
        let tenant = TenantId::from_bytes([1; 16]);
        let archive = Archive::open_or_create(stores, tenant, Arc::new(SystemClock), random).await.unwrap();
        store.overwrite("a.jsonl.zst", jsonl::encode(&[3, 1, 2]).unwrap());
        let mut read: Vec<u64> = Vec::new();
        let file = archive.read_lines("a.jsonl.zst", |n| read.push(n)).await.unwrap();
        assert_eq!(read, [3, 1, 2]);
        assert_eq!(file, Some(archive.file_ref("a.jsonl.zst").await.unwrap()));
        assert_eq!(archive.read_lines("b.jsonl.zst", |_: u64| ()).await.unwrap(), None);
        assert!(matches!(archive.read_lines("a.jsonl.zst", |_: String| ()).await, Err(ArchiveError::Integrity(_))));
    }
}
