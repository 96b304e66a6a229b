//! The S3 store through the real SDK, against an S3 that keeps its promises and one that is made to fail.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

mod bed;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use archive::contract;
use archive::store::{ETag, LegalHold, PutIfMatch, PutNew, Store, StoreErrorKind};
use aws::{ObjectVersion, S3Store};
use aws_fake::{Effect, Fault, Landing, Policy, PutCondition, Versioning};
use bed::{BUCKET, Bed};

async fn store() -> (Bed, S3Store) {
    let bed = Bed::new().await;
    let store = bed.clients.store(BUCKET, "");
    (bed, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract_with_and_without_a_prefix() {
    for prefix in ["", "in/a=b-"] {
        // The services have to live as long as their store.
        let beds = Mutex::new(Vec::new());
        contract::all(|| async {
            let bed = Bed::new().await;
            // Neighbours of the prefix, which no listing below it shows.
            for neighbour in ["in/a=b", "in/a=b.x", "a/key"].into_iter().filter(|_| !prefix.is_empty()) {
                bed.fake.overwrite_object(BUCKET, neighbour, "foreign");
            }
            let store: Arc<dyn Store> = Arc::new(bed.clients.store(BUCKET, prefix));
            beds.lock().unwrap().push(bed);
            store
        })
        .await;
        let beds = beds.into_inner().unwrap();
        let objects: Vec<_> = beds.iter().flat_map(|bed| bed.fake.objects(BUCKET)).collect();
        let own = objects.iter().filter(|(_, version)| version.bytes != "foreign");
        assert!(own.clone().count() > 1000 && own.clone().all(|(key, _)| key.starts_with(prefix)));
    }
}

#[tokio::test]
async fn every_put_carries_its_condition_and_its_checksum() {
    let (bed, store) = store().await;
    let PutNew::Created(etag) = store.put_new("k", "1".into()).await.unwrap() else { panic!("not created") };
    store.put_if_match("k", "2".into(), &etag).await.unwrap();
    let versions = bed.fake.versions(BUCKET, "k");
    assert_eq!(versions[0].condition, PutCondition::Absent);
    assert_eq!(versions[1].condition, PutCondition::Version(etag.0));
    // The SHA-256 of "1" and of "2", as `sha256sum` says, in base64.
    assert_eq!(versions[0].sha256.as_deref(), Some("a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s="));
    assert_eq!(versions[1].sha256.as_deref(), Some("1HNeOiZeFu7gP1lxi5tdAwGcB9i2xR+Q2jpmbuwTqzU="));
}

#[tokio::test]
async fn what_is_put_under_a_hold_is_held_and_where_that_may_not_be_nothing_is_put() {
    let (bed, _) = store().await;
    bed.fake.set_object_lock(BUCKET);
    contract::a_hold_changes_nothing_of_what_is_put(Arc::new(bed.clients.store(BUCKET, "in/a=b-"))).await;
    let held = |key: &str| bed.fake.lock_of(BUCKET, key).is_some_and(|lock| lock.legal_hold);
    assert_eq!((held("in/a=b-a/held"), held("in/a=b-a/plain")), (true, false));

    let (bed, store) = self::store().await;
    let put = async |key: &str, hold| store.put_new_under(key, "1".into(), hold).await.map_err(|error| error.kind);
    assert_eq!(put("k", LegalHold::On).await, Err(StoreErrorKind::Refused), "the bucket has no Object Lock");
    bed.fake.set_object_lock(BUCKET);
    bed.fake.set_policy(BUCKET, Policy { hold_nothing: true, ..Policy::default() });
    assert_eq!(put("k", LegalHold::On).await, Err(StoreErrorKind::Denied));
    assert!(bed.fake.objects(BUCKET).is_empty());
    bed.fake.set_policy(BUCKET, Policy::default());
    for (key, hold) in [("held", LegalHold::On), ("free", LegalHold::Off)] {
        assert!(matches!(put(key, hold).await, Ok(PutNew::Created(_))));
        // What is there is neither held nor let go by a later put.
        assert_eq!(put(key, LegalHold::On).await, Ok(PutNew::Exists));
        assert_eq!(put(key, LegalHold::Off).await, Ok(PutNew::Exists));
        assert_eq!(bed.fake.lock_of(BUCKET, key).unwrap().legal_hold, hold == LegalHold::On, "{key}");
    }
    let [held, free] = ["held", "free"].map(|key| bed.fake.versions(BUCKET, key));
    assert!(held[0].sha256.is_some() && (held[0].sha256 == free[0].sha256) && held[0].condition == free[0].condition);
}

#[tokio::test]
async fn versions_and_delete_markers_come_with_when_they_were_put() {
    let (bed, _) = store().await;
    let store = bed.clients.store(BUCKET, "in-");
    bed.fake.set_versioning(BUCKET, Versioning::Enabled);
    let mut expected = Vec::new();
    for (key, is_delete_marker) in [("a", false), ("a", false), ("b", false), ("b", true)] {
        bed.clock.sleep(Duration::from_secs(3_600)).await;
        match is_delete_marker {
            false => bed.fake.overwrite_object(BUCKET, &format!("in-{key}"), "x"),
            true => bed.fake.remove_object(BUCKET, &format!("in-{key}")),
        }
        expected.push((key.to_owned(), is_delete_marker, Some(bed.clock.now())));
    }
    bed.fake.overwrite_object(BUCKET, "foreign", "x");
    for page in [1_000, 1] {
        bed.fake.set_listing_page(page);
        let mut versions = Vec::new();
        let answer = store.versions(|ObjectVersion { key, is_delete_marker, put_at, .. }| {
            versions.push((key, is_delete_marker, put_at))
        });
        assert_eq!(answer.await.unwrap(), Some(()));
        assert_eq!(versions, expected);
    }
}

#[tokio::test]
async fn a_put_is_made_once_whatever_is_answered_and_each_answer_means_what_it_says() {
    use StoreErrorKind::{Denied, Refused, Unknown};
    let (bed, store) = store().await;
    let PutNew::Created(etag) = store.put_new("there", "1".into()).await.unwrap() else { panic!("not created") };
    for (effect, kind) in [
        (Effect::conflict(), Unknown),
        (Effect::internal_error(), Unknown),
        (Effect::slow_down(), Unknown),
        (Effect::answer(502, "BadGateway"), Unknown),
        (Effect::answer(429, "TooManyRequests"), Unknown),
        (Effect::answer(400, "RequestTimeout"), Unknown),
        (Effect::LoseAnswer, Unknown),
        (Effect::Disconnect, Unknown),
        (Effect::Late(Landing::Never), Unknown),
        (Effect::denied(), Denied),
        (Effect::answer(400, "BadDigest"), Refused),
        (Effect::answer(404, "NoSuchBucket"), Refused),
        (Effect::answer(301, "PermanentRedirect"), Refused),
    ] {
        for new in [true, false] {
            bed.fake.clear_calls();
            bed.fake.plan(Fault::new(effect.clone()));
            let error = if new {
                store.put_new("new", "1".into()).await.unwrap_err()
            } else {
                store.put_if_match("there", "1".into(), &etag).await.unwrap_err()
            };
            assert_eq!(error.kind, kind, "{effect:?}");
            assert_eq!(bed.count("PutObject"), 1, "{effect:?}");
            assert_eq!(bed.fake.faults_left(), 0);
            bed.fake.remove_object(BUCKET, "new");
        }
    }
}

#[tokio::test]
async fn a_conflict_is_not_a_loss_and_a_loss_is_no_error() {
    let (bed, store) = store().await;
    bed.fake.plan(Fault::new(Effect::conflict()).times(2));
    for _ in 0..2 {
        assert_eq!(store.put_new("k", "mine".into()).await.unwrap_err().kind, StoreErrorKind::Unknown);
    }
    assert!(matches!(store.put_new("k", "mine".into()).await.unwrap(), PutNew::Created(_)));
    assert_eq!(store.put_new("k", "mine".into()).await.unwrap(), PutNew::Exists);
    // 412 and 404 of an If-Match are one answer; 404 of the bucket is another.
    let other = ETag("\"other\"".to_owned());
    assert_eq!(store.put_if_match("k", "x".into(), &other).await.unwrap(), PutIfMatch::Changed);
    assert_eq!(store.put_if_match("missing", "x".into(), &other).await.unwrap(), PutIfMatch::Changed);
    let elsewhere = bed.clients.store("no-such-bucket", "");
    let error = elsewhere.put_if_match("k", "x".into(), &other).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Refused);
}

#[tokio::test]
async fn after_a_lost_answer_the_same_put_finds_its_own_object() {
    let (bed, store) = store().await;
    bed.fake.plan(Fault::new(Effect::LoseAnswer));
    assert_eq!(store.put_new("k", "mine".into()).await.unwrap_err().kind, StoreErrorKind::Unknown);
    assert_eq!(store.put_new("k", "mine".into()).await.unwrap(), PutNew::Exists);
    assert_eq!(store.get("k").await.unwrap().unwrap().bytes, "mine");
    assert_eq!(bed.fake.versions(BUCKET, "k").len(), 1);
}

#[tokio::test]
async fn a_late_put_lands_when_told_and_changes_nothing_that_is_there() {
    let (bed, store) = store().await;
    let late = |landing| Fault::new(Effect::Late(landing));
    bed.fake.plan(late(Landing::OnDemand));
    assert!(store.put_new("on-demand", "late".into()).await.is_err());
    assert!(store.get("on-demand").await.unwrap().is_none());
    assert_eq!(bed.fake.land_late_puts(), 1);
    assert_eq!(store.get("on-demand").await.unwrap().unwrap().bytes, "late");

    bed.fake.plan(late(Landing::BeforeCall(2)));
    assert!(store.put_new("second", "late".into()).await.is_err());
    assert!(store.get("second").await.unwrap().is_none());
    assert_eq!(store.get("second").await.unwrap().unwrap().bytes, "late");

    bed.fake.plan(late(Landing::OnDemand));
    assert!(store.put_new("taken", "late".into()).await.is_err());
    assert!(matches!(store.put_new("taken", "early".into()).await.unwrap(), PutNew::Created(_)));
    assert_eq!(bed.fake.land_late_puts(), 0);
    assert_eq!(store.get("taken").await.unwrap().unwrap().bytes, "early");
}

#[tokio::test]
async fn reads_are_asked_once_more_and_absence_is_never_guessed() {
    let (bed, store) = store().await;
    store.put_new("a", "1".into()).await.unwrap();
    for effect in [Effect::Disconnect, Effect::slow_down(), Effect::internal_error(), Effect::LoseAnswer] {
        bed.fake.plan(Fault::new(effect.clone()));
        assert_eq!(store.get("a").await.unwrap().unwrap().bytes, "1", "{effect:?}");
        bed.fake.plan(Fault::new(effect.clone()));
        assert_eq!(store.list("").await.unwrap(), ["a"], "{effect:?}");
        bed.fake.plan(Fault::new(effect.clone()).times(2));
        assert_eq!(store.get("missing").await.unwrap_err().kind, StoreErrorKind::Unknown, "{effect:?}");
        bed.fake.plan(Fault::new(effect.clone()).times(2));
        assert_eq!(store.list("").await.unwrap_err().kind, StoreErrorKind::Unknown, "{effect:?}");
    }
    bed.fake.plan(Fault::new(Effect::denied()).times(2));
    assert_eq!(store.get("missing").await.unwrap_err().kind, StoreErrorKind::Denied);
    assert_eq!(store.list("").await.unwrap_err().kind, StoreErrorKind::Denied);
    let elsewhere = bed.clients.store("no-such-bucket", "");
    assert_eq!(elsewhere.get("a").await.unwrap_err().kind, StoreErrorKind::Refused);
    assert_eq!(elsewhere.list("").await.unwrap_err().kind, StoreErrorKind::Refused);
}

#[tokio::test]
async fn a_listing_is_whole_over_pages_that_fail_or_not_at_all() {
    let (bed, store) = store().await;
    bed.fake.set_listing_page(3);
    let keys: Vec<String> = (0..10).map(|n| format!("k{n}")).collect();
    for key in &keys {
        store.put_new(key, "x".into()).await.unwrap();
    }
    bed.fake.clear_calls();
    bed.fake.plan(Fault::new(Effect::slow_down()).skip(2));
    assert_eq!(store.list("k").await.unwrap(), keys);
    assert_eq!(bed.count("ListObjectsV2"), 5);
    bed.fake.plan(Fault::new(Effect::Disconnect).skip(3).times(2));
    assert_eq!(store.list("k").await.unwrap_err().kind, StoreErrorKind::Unknown);
}

#[tokio::test]
async fn what_a_service_said_is_in_the_chain_and_no_content_is() {
    let (bed, store) = store().await;
    bed.fake.plan(Fault::new(Effect::denied()));
    let error = store.put_new("some/key", "canary".into()).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.to_string().contains("put of some/key failed: access denied"), "{error}");
    assert_eq!(source, "HTTP 403 AccessDenied (request fake): on demand");
    assert!(!format!("{error:?} {store:?} {:?}", bed.clients).contains("canary"));
    // A connection that nobody accepts.
    drop(bed.server);
    let error = store.put_new("some/key", "canary".into()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unknown);
    assert!(!format!("{error:?}").contains("canary"));
}

#[tokio::test]
async fn a_call_that_hangs_ends_in_the_time_it_has() {
    let (bed, store) = store().await;
    bed.fake.plan(Fault::new(Effect::Hang).resource("hung"));
    let put = tokio::spawn(async move { store.put_new("hung", "x".into()).await });
    bed.fake.until(|calls| calls.iter().any(|call| call.resource.ends_with("hung"))).await;
    // From here on everybody waits, so time leaps to the next timer.
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    let error = put.await.unwrap().unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unknown);
    assert!((1..=30).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_process_can_be_stopped_before_and_after_a_call_takes_effect() {
    let (bed, store) = store().await;
    for (effect, key, there) in [(Effect::Hang, "before", false), (Effect::HangDone, "after", true)] {
        bed.fake.plan(Fault::new(effect));
        let doomed = bed.clients.store(BUCKET, "");
        let put = tokio::spawn(async move { doomed.put_new(key, "x".into()).await });
        bed.fake
            .until(|calls| calls.last().is_some_and(|call| call.resource.ends_with(key) && call.done == there))
            .await;
        put.abort();
        assert_eq!(store.get(key).await.unwrap().is_some(), there, "{key}");
    }
}
