//! What explains the archive to whoever finds it: put once beside `archive.json`.

use archive::store::{PutNew, Store, StoreError};
use bytes::Bytes;

/// How to read the archive without a program.
pub const README: (&str, &str) = ("README.txt", include_str!("texts/README.txt"));

/// The views for DuckDB. Nothing is rewritten: an archive that has an earlier version gets this one beside it, under the key
/// that stands second, and whoever changes the views after a release adds a key.
pub const VIEWS: ([&str; 2], &str) = (["duckdb.sql", "duckdb-2.sql"], include_str!("texts/duckdb.sql"));

/// Puts them where none are. Other versions that lie there stay.
pub async fn put(store: &dyn Store) -> Result<(), StoreError> {
    let (key, text) = README;
    store.put_new(key, Bytes::from_static(text.as_bytes())).await?;
    let (keys, text) = VIEWS;
    for key in keys {
        let there = match store.put_new(key, Bytes::from_static(text.as_bytes())).await? {
            PutNew::Created(_) => break,
            PutNew::Exists => store.get(key).await?,
        };
        if there.is_some_and(|there| there.bytes == text.as_bytes()) {
            break;
        }
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
        put(&store).await.unwrap();
        put(&store).await.unwrap();
        assert_eq!(store.list("").await.unwrap(), [README.0, VIEWS.0[0]]);
        assert_eq!(store.get(README.0).await.unwrap().unwrap().bytes, README.1);
        assert_eq!(store.get(VIEWS.0[0]).await.unwrap().unwrap().bytes, VIEWS.1);
    }

    #[tokio::test]
    async fn views_of_an_older_version_stay_and_get_these_beside_them() {
        let store = MemoryStore::default();
        store.put_new("duckdb.sql", Bytes::from_static(b"-- older")).await.unwrap();
        put(&store).await.unwrap();
        put(&store).await.unwrap();
        assert_eq!(store.get("duckdb.sql").await.unwrap().unwrap().bytes, "-- older");
        assert_eq!(store.get("duckdb-2.sql").await.unwrap().unwrap().bytes, VIEWS.1);
        assert_eq!(store.list("").await.unwrap(), [README.0, "duckdb-2.sql", "duckdb.sql"]);
    }

    #[test]
    fn the_views_have_the_documented_names() {
        for view in ["record", "interaction", "turn", "unparsed", "person", "run", "run_user"] {
            assert!(VIEWS.1.contains(&format!("create or replace view {view} as")), "{view}");
            assert!(README.1.contains(&format!("\n  {view} ")), "{view}");
        }
    }
}
