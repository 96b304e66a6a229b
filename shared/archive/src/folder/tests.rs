//! Tests of the folder store.

use std::process::Command;

use super::*;

const ONE: Bytes = Bytes::from_static(b"one");
const TWO: Bytes = Bytes::from_static(b"two");

fn new() -> (tempfile::TempDir, FolderStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::open(folder.path().join("archive")).unwrap();
    (folder, store)
}

#[tokio::test]
async fn keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let made = AtomicU64::new(0);
    crate::contract::all(|| {
        let root = folder.path().join(made.fetch_add(1, Ordering::Relaxed).to_string());
        async move { Arc::new(FolderStore::open(root).unwrap()) as Arc<dyn Store> }
    })
    .await;
    // It holds nothing, and whoever is held is archived all the same.
    let (_folder, store) = new();
    crate::contract::a_hold_changes_nothing_of_what_is_put(Arc::new(store)).await;
}

#[tokio::test]
async fn what_an_operator_removes_is_gone_and_may_be_removed_again() {
    let (_folder, store) = new();
    for key in ["a/1", "a/2"] {
        store.put_new(key, ONE).await.unwrap();
    }
    for _ in 0..2 {
        store.remove("a/1").await.unwrap();
        assert_eq!(store.list("").await.unwrap(), ["a/2"]);
    }
    assert_eq!(store.remove("a").await.unwrap_err().kind, StoreErrorKind::Refused, "a folder is no object");
}

#[tokio::test]
async fn opening_and_reading_write_nothing() {
    let (folder, store) = new();
    assert!(store.get("a/b").await.unwrap().is_none());
    assert!(store.list("").await.unwrap().is_empty());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::write(folder.path().join("file"), "x").unwrap();
    assert!(FolderStore::open(folder.path().join("file")).is_err());
}

#[tokio::test]
async fn keys_cannot_leave_the_folder_or_hide_in_it() {
    let (folder, store) = new();
    for key in ["", "/a", "a/", "a//b", "..", "../a", "a/../../b", ".", "a/.b", ".tmp/a", ".lock", "a\\b", "a\0b"] {
        for outcome in [
            store.put_new(key, ONE).await.map(drop),
            store.get(key).await.map(drop),
            store.put_if_match(key, ONE, &ETag(String::new())).await.map(drop),
            store.remove(key).await,
        ] {
            assert_eq!(outcome.unwrap_err().kind, StoreErrorKind::Refused, "{key:?}");
        }
    }
    for prefix in ["../", "a/../", "/"] {
        assert_eq!(store.list(prefix).await.map_err(|error| error.kind).unwrap_or_default(), Vec::<String>::new());
    }
    assert!(fs::read_dir(folder.path()).unwrap().all(|entry| entry.unwrap().file_name() == "archive"));
}

#[tokio::test]
async fn what_a_killed_writer_leaves_is_removed_and_what_is_being_written_is_not() {
    let (_folder, store) = new();
    assert_eq!(store.leftovers(true).await.unwrap(), 0, "there is no folder yet");
    store.put_new("a/1", ONE).await.unwrap();
    let folder = store.root().join(TEMPORARY);
    // Killed in the middle of a file; and between giving it its name and taking away this one.
    fs::write(folder.join("1-0"), "ha").unwrap();
    fs::hard_link(store.root().join("a/1"), folder.join("1-1")).unwrap();
    // Nobody here makes a folder in it.
    fs::create_dir(folder.join("kept")).unwrap();
    let written = store.0.temporary(b"two").unwrap();
    for (remove, left) in [(false, 2), (true, 2), (true, 0)] {
        assert_eq!(store.leftovers(remove).await.unwrap(), left);
    }
    assert_eq!(fs::read(&written.path).unwrap(), b"two");
    drop(written);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(store.get("a/1").await.unwrap().unwrap().bytes, ONE);
}

#[tokio::test]
async fn what_a_killed_writer_leaves_is_no_object_and_in_nobody_s_way() {
    let (_folder, store) = new();
    store.put_new("a/1", ONE).await.unwrap();
    let temporary = store.root().join(TEMPORARY);
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "a put leaves nothing behind");
    // Half a file, under the very names this process would take next.
    for n in 0..20 {
        fs::write(temporary.join(format!("{}-{n}", std::process::id())), "ha").unwrap();
    }
    fs::write(store.root().join(".DS_Store"), "x").unwrap();
    assert_eq!(store.list("").await.unwrap(), ["a/1"]);
    assert!(matches!(store.put_new("a/2", TWO).await.unwrap(), PutNew::Created(_)));
    assert_eq!(store.get("a/2").await.unwrap().unwrap().bytes, TWO);
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 20);
}

#[tokio::test]
async fn a_folder_is_no_object() {
    let (_folder, store) = new();
    store.put_new("a/b", ONE).await.unwrap();
    assert!(store.get("a").await.unwrap().is_none());
    assert!(store.list("a/b/").await.unwrap().is_empty());
}

/// Not a test of its own: what [`processes_exclude_one_another`] runs in further processes, by the variable it sets.
#[test]
fn child() {
    let Some(root) = std::env::vars_os().find(|(name, _)| name == "FOLDER_STORE_TEST").map(|(_, value)| value) else {
        return;
    };
    let store = FolderStore::open(PathBuf::from(root)).unwrap();
    let me = Bytes::from(std::process::id().to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for n in 0..CHILD_PUTS {
            if matches!(store.put_new(&format!("won/{n}"), me.clone()).await.unwrap(), PutNew::Created(_)) {
                store.put_new(&format!("claims/{n}-{}", std::process::id()), me.clone()).await.unwrap();
            }
            loop {
                let counter = store.get("counter").await.unwrap().unwrap();
                let count: u64 = std::str::from_utf8(&counter.bytes).unwrap().parse().unwrap();
                let next = Bytes::from((count + 1).to_string());
                if let PutIfMatch::Replaced(_) = store.put_if_match("counter", next, &counter.etag).await.unwrap() {
                    break;
                }
            }
        }
    });
}

const CHILD_PUTS: u64 = 40;

#[tokio::test]
async fn processes_exclude_one_another() {
    let (_folder, store) = new();
    store.put_new("counter", Bytes::from_static(b"0")).await.unwrap();
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "folder::tests::child"])
            .env("FOLDER_STORE_TEST", store.root())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut children = [start(), start(), start()];
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(store.get("counter").await.unwrap().unwrap().bytes, (3 * CHILD_PUTS).to_string(), "no update is lost");
    let claims = store.list("claims/").await.unwrap();
    assert_eq!(claims.len() as u64, CHILD_PUTS, "every object has exactly one creator");
    for claim in claims {
        let (n, who) = claim.strip_prefix("claims/").unwrap().split_once('-').unwrap();
        assert_eq!(store.get(&format!("won/{n}")).await.unwrap().unwrap().bytes, who);
    }
}

#[tokio::test]
async fn a_writer_killed_half_way_leaves_all_or_nothing() {
    let (_folder, store) = new();
    store.put_new("counter", Bytes::from_static(b"0")).await.unwrap();
    for _ in 0..4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "folder::tests::child"])
            .env("FOLDER_STORE_TEST", store.root())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Killed wherever it is once it has begun to write; it may also be done.
        let before = store.get("counter").await.unwrap().unwrap().etag;
        while store.get("counter").await.unwrap().unwrap().etag == before && child.try_wait().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for key in store.list("").await.unwrap() {
            let bytes = store.get(&key).await.unwrap().unwrap().bytes;
            assert!(std::str::from_utf8(&bytes).unwrap().parse::<u64>().is_ok(), "{key} is whole");
        }
        // Its lock died with it.
        let counter = store.get("counter").await.unwrap().unwrap();
        let put = store.put_if_match("counter", counter.bytes.clone(), &counter.etag).await.unwrap();
        assert!(matches!(put, PutIfMatch::Replaced(_)));
    }
}
