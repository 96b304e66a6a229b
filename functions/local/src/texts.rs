//! What explains the archive to whoever finds it: put once beside `archive.json`.

use archive::store::{Store, StoreError};
use bytes::Bytes;

/// The texts and their keys. A later version of the views goes under a new name, since nothing is rewritten.
pub const TEXTS: [(&str, &str); 2] =
    [("README.txt", include_str!("texts/README.txt")), ("duckdb.sql", include_str!("texts/duckdb.sql"))];

/// Puts them where none are. Another version that lies there stays.
pub async fn put(store: &dyn Store) -> Result<(), StoreError> {
    for (key, text) in TEXTS {
        store.put_new(key, Bytes::from_static(text.as_bytes())).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use archive::memory::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn texts_are_put_once() {
        let store = MemoryStore::default();
        store.put_new("duckdb.sql", Bytes::from_static(b"-- older")).await.unwrap();
        put(&store).await.unwrap();
        put(&store).await.unwrap();
        assert_eq!(store.get("README.txt").await.unwrap().unwrap().bytes, TEXTS[0].1);
        assert_eq!(store.get("duckdb.sql").await.unwrap().unwrap().bytes, "-- older");
    }

    #[test]
    fn the_views_have_the_documented_names() {
        for view in ["record", "interaction", "unparsed", "person", "run", "run_user"] {
            assert!(TEXTS[1].1.contains(&format!("create or replace view {view} as")), "{view}");
        }
    }
}
