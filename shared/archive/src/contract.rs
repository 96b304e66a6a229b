//! The contract suite of stores: what every implementation of [`Store`] is held against.
//!
//! Each function is one promise and takes a store that is empty and nobody else's. They panic where a promise is broken.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test suite")]

use std::sync::Arc;

use bytes::Bytes;

use crate::store::{ETag, LegalHold, PutIfMatch, PutNew, Store};

/// Competitors for one key: more than run at once anywhere in the program.
const COMPETITORS: usize = 16;

/// More keys than a page of a listing holds.
const MANY: usize = 1_050;

/// Every promise, each on a store of its own; but [`a_hold_changes_nothing_of_what_is_put`], which asks more of a bucket.
pub async fn all<F: Future<Output = Arc<dyn Store>>>(make: impl Fn() -> F) {
    what_is_not_there_is_none(make().await).await;
    an_object_is_created_once(make().await).await;
    of_many_puts_of_one_key_exactly_one_creates(make().await).await;
    only_the_version_named_is_replaced(make().await).await;
    of_many_replacements_of_one_version_exactly_one_succeeds(make().await).await;
    a_listing_shows_every_put_before_it(make().await).await;
    prefixes_are_compared_by_bytes(make().await).await;
    listings_are_in_byte_order(make().await).await;
    a_listing_has_no_end_but_its_own(make().await).await;
    keys_and_contents_are_taken_as_they_are(make().await).await;
}

/// A missing object is `None`, and a listing of nothing is empty.
pub async fn what_is_not_there_is_none(store: Arc<dyn Store>) {
    assert!(store.get("missing").await.unwrap().is_none());
    assert!(store.get("missing/below").await.unwrap().is_none());
    assert!(store.list("").await.unwrap().is_empty());
    assert!(store.list("missing/").await.unwrap().is_empty());
}

/// The second put of a key changes nothing, even with the same content.
pub async fn an_object_is_created_once(store: Arc<dyn Store>) {
    let PutNew::Created(etag) = store.put_new("a/key", "first".into()).await.unwrap() else { panic!("not created") };
    assert_eq!(store.put_new("a/key", "second".into()).await.unwrap(), PutNew::Exists);
    assert_eq!(store.put_new("a/key", "first".into()).await.unwrap(), PutNew::Exists);
    let object = store.get("a/key").await.unwrap().unwrap();
    assert_eq!(object.bytes, "first");
    assert_eq!(object.etag, etag);
}

/// Put-if-absent has one winner, and the content is the winner's.
pub async fn of_many_puts_of_one_key_exactly_one_creates(store: Arc<dyn Store>) {
    for round in 0..4 {
        let key = format!("race/{round}");
        let mut tasks = tokio::task::JoinSet::new();
        for competitor in 0..COMPETITORS {
            let (store, key) = (Arc::clone(&store), key.clone());
            tasks.spawn(async move {
                let outcome = store.put_new(&key, competitor.to_string().into()).await.unwrap();
                matches!(outcome, PutNew::Created(_)).then_some(competitor)
            });
        }
        let winners: Vec<usize> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "exactly one of {COMPETITORS} puts creates");
        assert_eq!(store.get(&key).await.unwrap().unwrap().bytes, winners[0].to_string());
    }
}

/// `If-Match`: a version that is wrong, gone, or of an object that is missing changes nothing.
pub async fn only_the_version_named_is_replaced(store: Arc<dyn Store>) {
    let nothing = ETag("nothing".to_owned());
    assert_eq!(store.put_if_match("key", "x".into(), &nothing).await.unwrap(), PutIfMatch::Changed);
    assert!(store.get("key").await.unwrap().is_none());
    let PutNew::Created(first) = store.put_new("key", "1".into()).await.unwrap() else { panic!("not created") };
    assert_eq!(store.put_if_match("key", "x".into(), &nothing).await.unwrap(), PutIfMatch::Changed);
    let PutIfMatch::Replaced(second) = store.put_if_match("key", "2".into(), &first).await.unwrap() else {
        panic!("not replaced")
    };
    assert_eq!(store.put_if_match("key", "x".into(), &first).await.unwrap(), PutIfMatch::Changed);
    let object = store.get("key").await.unwrap().unwrap();
    assert_eq!((object.bytes, object.etag), (Bytes::from_static(b"2"), second));
}

/// Compare-and-swap loses no update.
pub async fn of_many_replacements_of_one_version_exactly_one_succeeds(store: Arc<dyn Store>) {
    let PutNew::Created(etag) = store.put_new("key", "start".into()).await.unwrap() else { panic!("not created") };
    let mut tasks = tokio::task::JoinSet::new();
    for competitor in 0..COMPETITORS {
        let (store, etag) = (Arc::clone(&store), etag.clone());
        tasks.spawn(async move {
            let outcome = store.put_if_match("key", competitor.to_string().into(), &etag).await.unwrap();
            matches!(outcome, PutIfMatch::Replaced(_)).then_some(competitor)
        });
    }
    let winners: Vec<usize> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "exactly one of {COMPETITORS} replaces");
    assert_eq!(store.get("key").await.unwrap().unwrap().bytes, winners[0].to_string());
}

/// Listings are strongly consistent.
pub async fn a_listing_shows_every_put_before_it(store: Arc<dyn Store>) {
    let mut keys = Vec::new();
    for n in 0..20 {
        keys.push(format!("log/segment-{n:06}"));
        store.put_new(&keys[n], "x".into()).await.unwrap();
        assert_eq!(store.list("log/").await.unwrap(), keys);
    }
}

/// A prefix is a string of bytes, not a folder.
pub async fn prefixes_are_compared_by_bytes(store: Arc<dyn Store>) {
    for key in ["ab/c/d", "ab/c0", "ab.c", "abc", "b"] {
        store.put_new(key, "x".into()).await.unwrap();
    }
    for (prefix, keys) in [
        ("ab", &["ab.c", "ab/c/d", "ab/c0", "abc"][..]),
        ("ab/", &["ab/c/d", "ab/c0"]),
        ("ab/c", &["ab/c/d", "ab/c0"]),
        ("ab/c/", &["ab/c/d"]),
        ("ab/c/d", &["ab/c/d"]),
        ("ab/c/d/", &[]),
        ("abc", &["abc"]),
        ("abcd", &[]),
        ("", &["ab.c", "ab/c/d", "ab/c0", "abc", "b"]),
    ] {
        assert_eq!(store.list(prefix).await.unwrap(), keys, "{prefix:?}");
    }
}

/// Keys come in byte order, which is not the order in which a tree is walked.
pub async fn listings_are_in_byte_order(store: Arc<dyn Store>) {
    let mut keys = ["a/z", "a-b", "a0", "A", "a/b/c", "a/b.c", "Z/a", "_"];
    for key in keys {
        store.put_new(key, "x".into()).await.unwrap();
    }
    keys.sort_unstable();
    assert_eq!(store.list("").await.unwrap(), keys);
}

/// A listing returns all keys, however many pages it takes.
pub async fn a_listing_has_no_end_but_its_own(store: Arc<dyn Store>) {
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..COMPETITORS {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for n in (worker..MANY).step_by(COMPETITORS) {
                store.put_new(&format!("many/{n:05}"), "x".into()).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let expected: Vec<String> = (0..MANY).map(|n| format!("many/{n:05}")).collect();
    assert_eq!(store.list("many/").await.unwrap(), expected);
}

/// The characters of the archive's keys, and any content, empty content included.
pub async fn keys_and_contents_are_taken_as_they_are(store: Arc<dyn Store>) {
    let keys = [
        "interactions/tenant_id=00000000-0000-0000-0000-000000000000/created_month=2026-11/segment-000001.jsonl.zst",
        "runs/20261124T030000Z-history/receipts/0123456789abcdef-1.jsonl.zst",
        "runs/A_b-c/run.json",
    ];
    let large: Vec<u8> = (0..3 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let contents = [Bytes::new(), Bytes::from_static(b"\0\r\n\xff"), large.into()];
    for (key, content) in keys.into_iter().zip(contents) {
        store.put_new(key, content.clone()).await.unwrap();
        assert_eq!(store.get(key).await.unwrap().unwrap().bytes, content);
        assert_eq!(store.list(key).await.unwrap(), [key]);
    }
}

/// Put under a legal hold an object is created as any other: once, with its bytes, for whoever reads. A bucket has to have
/// Object Lock for it.
pub async fn a_hold_changes_nothing_of_what_is_put(store: Arc<dyn Store>) {
    let contents = [("a/plain", "1", LegalHold::Off), ("a/held", "2", LegalHold::On)];
    for (key, content, hold) in contents {
        let created = store.put_new_under(key, content.into(), hold).await.unwrap();
        for again in [LegalHold::On, LegalHold::Off] {
            assert_eq!(store.put_new_under(key, "3".into(), again).await.unwrap(), PutNew::Exists);
        }
        let object = store.get(key).await.unwrap().unwrap();
        assert_eq!((object.bytes, PutNew::Created(object.etag)), (Bytes::from(content), created));
    }
    assert_eq!(store.list("a/").await.unwrap(), ["a/held", "a/plain"]);
}
