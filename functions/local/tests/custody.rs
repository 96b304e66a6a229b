//! The operator's commands on a bucket with versions and locks, over HTTP.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod bucket;

use std::collections::BTreeMap;
use std::sync::Arc;

use archive::Archive;
use archive::custody::Tombstone;
use aws_fake::{Effect, Fault, Lock, Version, Versioning};
use bucket::{ADDRESS, Bed, PREFIX, Written, audited, tenant};
use clap::Parser;
use copilot_archive::cli::{Cli, Command};
use copilot_archive::custody::{NotDone, coverage_in, erase_in};
use copilot_archive::location::Estate;
use copilot_archive::s3::estate_of;
use copilot_archive::screen::Screen;
use domain::{Clock, OsRandom, ScaledClock, SystemClock, Timestamp};
use jiff::SignedDuration;
use settings::{S3Address, StateBucket};

const ARCHIVE: &str = "acme-archive";
const STATE: &str = "acme-state";

/// A bucket that keeps versions, with a whole tenant in it and the state in another.
async fn kept() -> Bed {
    let bed = Bed::new().await;
    bed.fake.set_versioning(ARCHIVE, Versioning::Enabled);
    bed.look(Some(STATE)).await;
    bed
}

/// The user with the most items.
fn user() -> String {
    tenant().users().last().unwrap().id.to_string()
}

/// The estate that an operator is given who says where the state lies, or does not.
fn estate(bed: &Bed, state: Option<&str>) -> Estate {
    let address: S3Address = ADDRESS.parse().unwrap();
    estate_of(&bed.clients, &address, &StateBucket(state.map(str::to_owned)))
}

async fn archive(bed: &Bed) -> Archive {
    let stores = estate(bed, Some(STATE)).place.stores;
    Archive::open_found(stores, Arc::new(SystemClock), Arc::new(OsRandom)).await.unwrap().unwrap()
}

/// Runs a command on the buckets: its exit code and what it says.
async fn command(bed: &Bed, words: &[&str]) -> (u8, String) {
    command_at(bed, SystemClock.now(), words).await
}

async fn command_at(bed: &Bed, now: Timestamp, words: &[&str]) -> (u8, String) {
    let clock = Arc::new(ScaledClock::new(now, 1.0));
    let estate = estate(bed, Some(STATE));
    let written = Written::default();
    let screen = Screen::to(Box::new(written.clone()));
    let words = ["copilot-archive"].iter().chain(words).chain(&["--archive", ADDRESS]).copied();
    let code = match Cli::try_parse_from(words).unwrap().command {
        Some(Command::Erase(args)) => erase_in(&estate, &args, clock, &screen).await.unwrap(),
        Some(Command::Coverage(args)) => coverage_in(&estate, &args, &screen).await.unwrap(),
        _ => unreachable!("the words name one of these"),
    };
    (code, written.text())
}

async fn erase(bed: &Bed, more: &[&str]) -> (u8, String) {
    let user = user();
    command(bed, &[&["erase", "--user", &user], more].concat()).await
}

/// Erases when no worker is under way any more that has begun by now.
async fn erase_later(bed: &Bed, more: &[&str]) -> (u8, String) {
    let (user, later) = (user(), SystemClock.now() + SignedDuration::from_hours(1));
    command_at(bed, later, &[&["erase", "--user", &user], more].concat()).await
}

/// The current objects of both buckets.
fn objects(bed: &Bed) -> BTreeMap<String, Version> {
    bed.fake.objects(ARCHIVE).into_iter().chain(bed.fake.objects(STATE)).collect()
}

/// The keys of the user's content and checkpoint.
fn own(bed: &Bed) -> Vec<String> {
    let whose = format!("user_id={}", user());
    objects(bed)
        .into_keys()
        .filter(|key| key.contains(&whose) && !key.contains("/erased/") && !key.contains("erased/tenant"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_user_leaves_a_tombstone_and_what_the_ledger_fixes() {
    let bed = kept().await;
    let (before, content) = (objects(&bed), own(&bed));
    let segments = content.iter().filter(|key| key.contains("/segment-")).count();
    assert!(segments > 1 && content.len() == segments + 1, "{content:?}");
    // A version that was hidden by a delete marker is content as well.
    bed.fake.remove_object(ARCHIVE, content.iter().find(|key| key.contains("/segment-")).unwrap());

    let (code, said) = erase(&bed, &[]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("nothing was changed; add --yes"), "{said}");
    assert!(
        said.contains(&format!(
            "{} versions of segments, 0 of pages in quarantine, 1 of the state in {STATE}",
            segments + 1
        )),
        "{said}"
    );
    assert!(said.contains("tombstone  none yet") && said.contains("rosters hold the names"), "{said}");
    assert!(objects(&bed).iter().all(|(key, object)| before.get(key) == Some(object)));

    bed.fake.clear_calls();
    let (code, said) = erase(&bed, &["--yes", "--reason", "request 17"]).await;
    assert!(code == 1 && said.contains(&format!("deleted    {} versions", segments + 2)), "{said}");
    // The tombstone comes first, and no content is read.
    let calls = bed.fake.calls();
    let position = |action: &str| calls.iter().position(|call| call.action == action).unwrap();
    assert!(position("PutObject") < position("DeleteObjectVersion"));
    assert!(calls.iter().all(|call| call.action != "GetObject" || !call.resource.contains("user_id=")), "{calls:?}");
    assert_eq!(own(&bed), Vec::<String>::new());
    assert!(content.iter().all(|key| bed.fake.versions(ARCHIVE, key).is_empty()), "no version is left");
    let tombstone = format!("{PREFIX}erased/tenant_id={}/user_id={}.json", tenant().id, user());
    let mut expected = before;
    expected.retain(|key, _| !content.contains(key));
    let mut after = objects(&bed);
    assert!(String::from_utf8_lossy(&after.remove(&tombstone).unwrap().bytes).contains(r#""reason":"request 17""#));
    assert_eq!(after, expected, "nothing else was touched");

    // Repeated it finds nothing; the audit knows why, and the next run reads the others.
    let (code, said) = erase_later(&bed, &["--yes"]).await;
    assert!(code == 0 && said.contains("deleted    0 versions") && said.ends_with("\nerased\n"), "{said}");
    let (code, page) = audited(&bed.bridge(), &["--all"]);
    assert!(page.contains("0 promises found broken") && page.contains(&format!("- {}, on ", user())), "{page}");
    assert!(page.contains("0 a delete marker"), "{page}");
    assert_eq!(code, 1, "one user has no history, which is a gap");
    let screen = bed.look(Some(STATE)).await;
    assert!(screen.contains("1 excluded (erased 1)"), "{screen}");
    assert_eq!(own(&bed), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lock_keeps_is_said_with_its_end_and_erased_later() {
    let bed = kept().await;
    let segments: Vec<String> = own(&bed).into_iter().filter(|key| key.contains("/segment-")).collect();
    let now = SystemClock.now();
    let [near, far] = [24, 48].map(|hours| {
        let until = now + SignedDuration::from_hours(hours);
        domain::Timestamp::from_second(until.as_second()).unwrap()
    });
    let locks = [
        Lock { retention: Some(("GOVERNANCE", near)), legal_hold: false },
        Lock { retention: Some(("COMPLIANCE", far)), legal_hold: false },
    ];
    assert_eq!(segments.len(), locks.len());
    for (key, lock) in segments.iter().zip(&locks) {
        bed.fake.set_lock(ARCHIVE, key, lock.clone());
    }
    let (code, said) = erase(&bed, &["--yes"]).await;
    assert_eq!(code, 1, "{said}");
    for part in [
        "1 under a COMPLIANCE retention, 1 under a GOVERNANCE retention",
        &format!("the first retention ends {near}, the last {far}"),
        "not over: repeat the command",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(own(&bed), segments, "all else is gone");
    let (_, page) = audited(&bed.bridge(), &["--all"]);
    assert!(page.contains("0 promises found broken") && page.contains("2 are left"), "{page}");

    let (code, said) = erase(&bed, &["--yes", "--bypass-governance"]).await;
    assert!(code == 1 && said.contains("deleted    1 versions"), "{said}");
    bed.fake.set_lock(ARCHIVE, &segments[1], Lock { retention: None, legal_hold: true });
    let (code, said) = erase(&bed, &["--yes", "--bypass-governance"]).await;
    assert!(code == 1 && said.contains("kept       1 under a legal hold\n"), "{said}");
    bed.fake.set_lock(ARCHIVE, &segments[1], Lock::default());
    let (code, said) = erase_later(&bed, &["--yes"]).await;
    assert!(code == 0 && said.contains("deleted    1 versions"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_delete_is_told_so_and_what_fails_otherwise_is_no_answer() {
    let bed = kept().await;
    bed.fake.plan(Fault::new(Effect::denied()).action("DeleteObjectVersion"));
    bed.fake.plan(Fault::new(Effect::denied()).action("DeleteObjectVersion").skip(1));
    bed.fake.plan(Fault::new(Effect::denied()).action("GetObjectRetention"));
    bed.fake.plan(Fault::new(Effect::internal_error()).action("DeleteObjectVersion").skip(2));
    let (code, said) = erase(&bed, &["--yes"]).await;
    assert_eq!((code, bed.fake.faults_left()), (1, 0), "{said}");
    assert!(said.contains("kept       2 that may not be deleted, or whose lock may not be seen"), "{said}");
    assert_eq!(own(&bed).len(), 2);
    assert_eq!(erase_later(&bed, &["--yes"]).await.0, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_worker_may_have_the_user_in_hand_an_erasure_is_not_over() {
    let hour = SignedDuration::from_hours(1);
    // How old the tombstone is that lies there already, and what of a run is taken away: the report alone, or the run.json too.
    for (age, taken, over) in [(None, 0, false), (None, 1, false), (None, 2, false), (Some(hour), 2, true)] {
        let bed = kept().await;
        let report = objects(&bed).into_keys().rfind(|key| key.ends_with("/report.json")).unwrap();
        let run = report.rsplit('/').nth(1).unwrap().to_owned();
        for file in ["report.json", "run.json"].iter().take(taken) {
            bed.fake.remove_object(ARCHIVE, &report.replace("report.json", file));
        }
        if let Some(age) = age {
            let user_id = user().parse().unwrap();
            let erased_at = SystemClock.now() - age;
            let archive = archive(&bed).await;
            archive.put_tombstone(&Tombstone { user_id, erased_at, reason: None }).await.unwrap();
        }
        bed.fake.clear_calls();
        let (code, said) = erase(&bed, &["--yes"]).await;
        assert_eq!(code, u8::from(!over), "{said}");
        assert_eq!(said.ends_with("\nerased\n"), over, "{said}");
        assert_eq!(said.contains(&format!("open runs  {run}\n")), !over && taken > 0, "{said}");
        assert_eq!(said.contains("may write of this user; repeat the command after"), !over, "{said}");
        assert!(own(&bed).is_empty());
        // First the tombstone, then what is open, then what there is: nothing slips between.
        let calls = bed.fake.calls();
        let first = |action: &str, part: &str| {
            calls.iter().position(|call| call.action == action && call.resource.contains(part)).unwrap()
        };
        let order = [first("PutObject", "erased/"), first("ListObjectsV2", "runs/"), first("ListObjectVersions", "")];
        assert!(order.is_sorted(), "{calls:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_erased_who_might_leave_a_checkpoint_in_a_bucket_that_was_not_named() {
    let bed = kept().await;
    let screen = Screen::to(Box::new(std::io::sink()));
    let before = objects(&bed);
    for more in [&[][..], &["--yes"]] {
        let user = user();
        let words = [&["copilot-archive", "erase", "--user", &user], more].concat();
        let Some(Command::Erase(args)) = Cli::try_parse_from(words).unwrap().command else {
            unreachable!("an erasure")
        };
        let refused = erase_in(&estate(&bed, None), &args, Arc::new(SystemClock), &screen).await.unwrap_err();
        assert!(refused.to_string().contains("set STATE_BUCKET"), "{refused}");
        assert!(matches!(refused, NotDone::StateNotNamed));
    }
    assert!(objects(&bed) == before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coverage_in_a_bucket_is_lowered_where_the_state_lies() {
    let bed = kept().await;
    let user = user();
    let key = own(&bed).into_iter().find(|key| key.contains("/state/") || key.contains("state/tenant")).unwrap();
    let read = |bed: &Bed| -> serde_json::Value { serde_json::from_slice(&objects(bed)[&key].bytes).unwrap() };
    let before = read(&bed);
    // Far enough back that the next run stores what it has read, which it does for more than a week.
    let to = "2026-11-10T00:00:00Z";
    for yes in [false, true] {
        let words = ["coverage", "--user", &user, "--to", to];
        let words: Vec<&str> = words.into_iter().chain(yes.then_some("--yes")).collect();
        let (code, said) = command(&bed, &words).await;
        assert_eq!(code, 0, "{said}");
        let from = before["coverage"]["from"].as_str().unwrap();
        assert!(said.contains(&format!("after      {from} … {to}")), "{said}");
        let mut expected = before.clone();
        if yes {
            expected["coverage"]["to"] = to.into();
        }
        assert_eq!(read(&bed), expected, "{said}");
    }
    // What was taken away is read again, and nothing is written twice.
    let segments = |bed: &Bed| objects(bed).into_keys().filter(|key| key.contains("/segment-")).count();
    let held = segments(&bed);
    bed.look(Some(STATE)).await;
    let after = read(&bed);
    assert_eq!(segments(&bed), held);
    assert!(after["coverage"]["to"].as_str() >= before["coverage"]["to"].as_str(), "{after}");
}
