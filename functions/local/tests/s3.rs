//! Whole looks at a small simulated tenant into a bucket, over HTTP.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod bucket;

use aws_fake::{Effect, Fault, Lock, Versioning};
use bucket::{ADDRESS, Bed, PREFIX, audited, tenant};
use copilot_archive::location::Location;
use evidence::Source;
use evidence::audit::COULD_NOT_RUN;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_into_a_bucket_is_whole_put_once_and_audited_like_a_copy_of_it() {
    let bed = Bed::new().await;
    let screen = bed.look(None).await;
    assert!(screen.contains("4 planned = 3 exported + 0 empty + 1 unavailable (no-history 1)"), "{screen}");
    let first = bed.fake.objects("acme-archive");
    assert!(first.keys().all(|key| key.starts_with(PREFIX)), "{:?}", first.keys());
    for key in ["archive.json", "README.txt", "duckdb.sql"] {
        assert!(first.contains_key(&format!("{PREFIX}{key}")), "{key}");
    }
    assert!(first.keys().any(|key| key.starts_with(&format!("{PREFIX}state/"))), "the state lies beside the archive");
    assert!(bed.keys("acme-state").is_empty());

    let screen = bed.look(None).await;
    assert!(screen.contains("received = 0 new + ") && screen.contains("0 lines in 0 segments"), "{screen}");
    let second = bed.fake.objects("acme-archive");
    let evidence = |key: &&String| !key.starts_with(&format!("{PREFIX}state/"));
    for key in first.keys().filter(evidence) {
        assert_eq!(bed.fake.versions("acme-archive", key).len(), 1, "{key}");
    }
    let segments = |keys: &[String]| keys.iter().filter(|key| key.contains("/segment-")).count();
    let count =
        |objects: &std::collections::BTreeMap<String, _>| segments(&objects.keys().cloned().collect::<Vec<_>>());
    assert_eq!(count(&first), count(&second));

    // The user who was not read makes the gap; who was read has none.
    let user = tenant().users()[3].id.to_string();
    for (whom, code) in [(vec!["--all"], 1), (vec!["--user", &user, "--explain"], 0), (vec!["--all", "--json"], 1)] {
        let folder = tempfile::tempdir().unwrap();
        bed.copy_to(folder.path());
        let in_bucket = audited(&bed.bridge(), &whom);
        let in_folder = audited(&evidence::Folder::new(folder.path()), &whom);
        assert_eq!((in_bucket.0, without_kept(&in_bucket.1)), (in_folder.0, without_kept(&in_folder.1)));
        assert_eq!(in_bucket.0, code, "{}", in_bucket.1);
        assert!(in_bucket.1.contains(ADDRESS), "{}", in_bucket.1);
    }
}

/// A page or its JSON without what only a bucket says.
fn without_kept(page: &str) -> String {
    if let Ok(mut report) = serde_json::from_str::<serde_json::Value>(page) {
        report["integrity"].as_object_mut().unwrap().remove("kept");
        return report.to_string();
    }
    let of_bucket =
        |line: &&str| line.trim_start().starts_with("versions: ") || line.trim_start().starts_with("locks: ");
    page.lines().filter(|line| !of_bucket(line)).collect::<Vec<_>>().join("\n")
}

/// The lines of an audit's page that only a bucket has, and those of what is not proven because of one.
fn kept(page: &str) -> Vec<&str> {
    let lines = page.lines().map(str::trim_start);
    lines.filter(|line| ["versions: ", "locks: ", "6 ", "7 ", "8 "].iter().any(|word| line.starts_with(word))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_says_how_the_bucket_keeps_what_it_holds() {
    let bed = Bed::new().await;
    bed.look(None).await;
    let user = tenant().users()[0].id.to_string();
    let audit = || audited(&bed.bridge(), &["--user", &user]);
    let (code, page) = audit();
    let unlocked = |page: &str| kept(page)[1].split("; 0 under a legal hold; ").nth(1).map(str::to_owned);
    assert_eq!(code, 0, "{page}");
    assert_eq!(
        kept(&page)[0],
        "versions: the bucket is not versioned: what was replaced or deleted left no trace in it"
    );
    // Everything that the audit reads: the archive's own file, ledger, runs and this user's segments.
    let read = |key: &&String| {
        let of_others = key.contains("/user_id=") && !key.contains(&user);
        let state_or_help = ["state/", "README.txt", "duckdb.sql"].iter().any(|part| key.contains(part));
        !of_others && !state_or_help
    };
    let objects = bed.fake.objects("acme-archive");
    let keys: Vec<&String> = objects.keys().filter(read).collect();
    assert_eq!(unlocked(&page), Some(format!("{} under neither", keys.len())));

    // The state is a cache and is replaced; all else has one version.
    bed.fake.set_versioning("acme-archive", Versioning::Enabled);
    bed.fake.set_listing_page(7);
    let is_state = |key: &&String| key.starts_with(&format!("{PREFIX}state/"));
    assert!(objects.keys().any(|key| is_state(&key)));
    for key in objects.keys().filter(is_state) {
        bed.fake.overwrite_object("acme-archive", key, objects[key].bytes.clone());
    }
    let until = "2033-01-02T00:00:00Z";
    for key in &keys[1..] {
        let lock = Lock { retention: Some(("COMPLIANCE", until.parse().unwrap())), legal_hold: false };
        bed.fake.set_lock("acme-archive", key, lock);
    }
    bed.fake.set_lock("acme-archive", keys[0], Lock { retention: None, legal_hold: true });
    let (code, page) = audit();
    let put_once = objects.keys().filter(|key| !is_state(key)).count();
    let versions = format!(
        "versions: versioning is enabled; of {put_once} objects outside state/ 0 have a second version, 0 a delete marker"
    );
    let locked = keys.len() - 1;
    let locks = format!(
        "locks: {locked} of the {} objects read are under a retention, {locked} COMPLIANCE, the earliest until {until}; 1 under a legal hold; 0 under neither",
        keys.len()
    );
    assert_eq!((code, kept(&page)), (0, vec![&*versions, &*locks]), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_auditor_may_not_ask_of_a_bucket_is_not_proven() {
    let bed = Bed::new().await;
    bed.look(None).await;
    bed.fake.set_versioning("acme-archive", Versioning::Enabled);
    let user = tenant().users()[0].id.to_string();
    let denied = ["GetBucketVersioning", "ListObjectVersions", "GetObjectLegalHold"];
    for action in denied {
        bed.fake.plan(Fault::new(Effect::denied()).action(action));
    }
    let (code, page) = audited(&bed.bridge(), &["--user", &user]);
    assert_eq!(bed.fake.faults_left(), 0);
    assert_eq!(code, 0, "{page}");
    assert_eq!(
        kept(&page),
        [
            "versions: whether the bucket keeps versions may not be seen; the versions may not be seen",
            "locks: may not be seen",
            "6 whether the bucket keeps versions (s3:GetBucketVersioning is needed)",
            "7 that nothing was replaced or deleted and put back (s3:ListBucketVersions is needed)",
            "8 how long nothing can be deleted (s3:GetObjectRetention and s3:GetObjectLegalHold are needed)",
        ]
    );
    // A store of another make that knows no such calls proves as little.
    for action in denied {
        bed.fake.plan(Fault::new(Effect::answer(501, "NotImplemented")).action(action).times(2));
    }
    assert_eq!(kept(&audited(&bed.bridge(), &["--user", &user]).1), kept(&page));
    // What goes wrong otherwise is no answer.
    bed.fake.plan(Fault::new(Effect::internal_error()).action("ListObjectVersions").times(2));
    assert_eq!(audited(&bed.bridge(), &["--user", &user]).0, COULD_NOT_RUN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_version_or_a_delete_marker_in_a_bucket_is_an_integrity_failure() {
    for (deleted, sentence) in [
        (false, "has 2 versions: somebody put another over what is put once"),
        (true, "has 1 delete markers over 1 versions: somebody deleted it"),
    ] {
        let bed = Bed::new().await;
        bed.look(None).await;
        bed.fake.set_versioning("acme-archive", Versioning::Enabled);
        let objects = bed.fake.objects("acme-archive");
        // The help text is in no ledger: only the bucket can tell.
        let key = format!("{PREFIX}README.txt");
        match deleted {
            true => bed.fake.remove_object("acme-archive", &key),
            false => bed.fake.overwrite_object("acme-archive", &key, objects[&key].bytes.clone()),
        }
        let user = tenant().users()[0].id.to_string();
        let (code, page) = audited(&bed.bridge(), &["--user", &user]);
        assert_eq!(code, 2, "{page}");
        assert!(page.contains(&format!(" README.txt: {sentence}")), "{page}");
        assert!(page.contains("1 promises found broken"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_young_and_deleted_is_an_integrity_failure_though_nothing_names_it_and_old_objects_expire() {
    let bed = Bed::new().await;
    bed.look(None).await;
    bed.fake.set_versioning("acme-archive", Versioning::Enabled);
    let user = tenant().users()[0].id.to_string();
    let audit = || audited(&bed.bridge(), &["--user", &user, "--retention-days", "17"]);
    let (code, page) = audit();
    assert_eq!(code, 0, "{page}");
    let receipt = format!("runs/case-1/receipts/{}-1.jsonl.zst", "0".repeat(32));
    bed.fake.overwrite_object("acme-archive", &format!("{PREFIX}{receipt}"), "x");
    bed.fake.remove_object("acme-archive", &format!("{PREFIX}{receipt}"));
    let (code, page) = audit();
    assert_eq!(code, 2, "{page}");
    assert!(page.contains(&format!(" {receipt}: has 1 delete markers over 1 versions: somebody deleted it")), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_may_lie_in_a_bucket_of_its_own() {
    let bed = Bed::new().await;
    bed.look(Some("acme-state")).await;
    let state = format!("{PREFIX}state/");
    let keys = bed.keys("acme-state");
    assert!(!keys.is_empty() && keys.iter().all(|key| key.starts_with(&state)), "{keys:?}");
    assert!(!bed.keys("acme-archive").iter().any(|key| key.starts_with(&state)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_may_not_be_read_is_no_verdict() {
    let bed = Bed::new().await;
    // There is none yet.
    assert_eq!(audited(&bed.bridge(), &["--all"]), (COULD_NOT_RUN, String::new()));
    bed.look(None).await;
    assert_eq!(audited(&bed.bridge(), &["--all"]).0, 1);
    for effect in [Effect::denied(), Effect::answer(404, "NoSuchBucket")] {
        bed.fake.plan(Fault::new(effect.clone()).action("ListObjectsV2"));
        assert!(bed.bridge().list("ledger/").is_err(), "{effect:?}");
        bed.fake.plan(Fault::new(effect).action("GetObject").resource("users.jsonl.zst"));
        assert_eq!(audited(&bed.bridge(), &["--all"]), (COULD_NOT_RUN, String::new()));
        assert_eq!(bed.fake.faults_left(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_key_of_the_format_is_neither_listed_nor_asked_for() {
    let bed = Bed::new().await;
    for key in ["archive.json", "runs/", "runs/.part", "runs/a/run.json"] {
        bed.fake.overwrite_object("acme-archive", &format!("{PREFIX}{key}"), "x");
    }
    let bridge = bed.bridge();
    assert_eq!(bridge.list("").unwrap(), ["archive.json", "runs/a/run.json"]);
    assert_eq!(bridge.read("runs/a/run.json").unwrap().as_deref(), Some(&b"x"[..]));
    for key in ["", "runs/", "../other", "runs/.part", "runs/b/run.json"] {
        assert_eq!(bridge.read(key).unwrap(), None, "{key}");
    }
    // The place of an address and its text are one and the same.
    assert_eq!(ADDRESS.parse::<Location>().unwrap().to_string(), ADDRESS);
}
