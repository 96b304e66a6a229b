//! Holding a person in a bucket with versions and locks, over HTTP, by the command and by the handlers that archive.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod bucket;

use std::collections::BTreeSet;
use std::sync::Arc;

use archive::Archive;
use archive::custody::HoldEntry;
use archive::store::LegalHold;
use aws_fake::{Effect, Fault, Lock, Policy, Versioning};
use bucket::{ADDRESS, Bed, PREFIX, Written, audited, tenant};
use clap::Parser;
use copilot_archive::cli::{Cli, Command};
use copilot_archive::custody::{NotDone, erase_in, hold_in};
use copilot_archive::location::Estate;
use copilot_archive::s3::estate_of;
use copilot_archive::screen::Screen;
use domain::{Clock, OsRandom, SystemClock, UserId};
use graph_simulator::{Item, Tenant, plain};
use jiff::SignedDuration;
use settings::{S3Address, StateBucket};

const ARCHIVE: &str = "acme-archive";
const STATE: &str = "acme-state";

/// A bucket with Object Lock and a whole tenant in it.
async fn lockable() -> Bed {
    let bed = Bed::new().await;
    bed.fake.set_versioning(ARCHIVE, Versioning::Enabled);
    bed.fake.set_object_lock(ARCHIVE);
    bed.look(Some(STATE)).await;
    bed
}

fn estate(bed: &Bed) -> Estate {
    let address: S3Address = ADDRESS.parse().unwrap();
    estate_of(&bed.clients, &address, &StateBucket(Some(STATE.to_owned())))
}

/// Runs a command on the buckets: its exit code and what it says.
async fn command(bed: &Bed, words: &[&str]) -> Result<(u8, String), NotDone> {
    let written = Written::default();
    let screen = Screen::to(Box::new(written.clone()));
    let words = ["copilot-archive"].iter().chain(words).chain(&["--archive", ADDRESS]).copied();
    let code = match Cli::try_parse_from(words).unwrap().command {
        Some(Command::Erase(args)) => erase_in(&estate(bed), &args, &screen).await?,
        Some(Command::Hold(args)) => hold_in(&estate(bed), &args, &screen).await?,
        _ => unreachable!("the words name one of these"),
    };
    Ok((code, written.text()))
}

async fn hold(bed: &Bed, more: &[&str]) -> (u8, String) {
    let user = user().to_string();
    command(bed, &[&["hold", "--user", &user], more].concat()).await.unwrap()
}

async fn list(bed: &Bed) -> (u8, String) {
    command(bed, &["hold", "--list"]).await.unwrap()
}

/// The user with the most items.
fn user() -> UserId {
    tenant().users().last().unwrap().id
}

/// The tenant, in which everybody has so many items more.
fn grown(by: usize) -> Tenant {
    let mut tenant = tenant();
    let users: Vec<UserId> = tenant.users().iter().map(|user| user.id).collect();
    for user in users {
        for n in 0..by {
            let created = tenant.now - SignedDuration::from_hours(5);
            assert!(tenant.add_item(user, Item::new(plain(user, 1_000 + n, created), created)));
        }
    }
    tenant
}

/// Keys of segments, of the user or of everybody else.
fn segments(bed: &Bed, own: bool) -> BTreeSet<String> {
    let whose = format!("user_id={}/segment-", user());
    let keys = bed.keys(ARCHIVE).into_iter();
    keys.filter(|key| key.contains("/segment-") && key.contains(&whose) == own).collect()
}

fn held(bed: &Bed) -> BTreeSet<String> {
    let keys = bed.keys(ARCHIVE).into_iter();
    keys.filter(|key| bed.fake.lock_of(ARCHIVE, key).is_some_and(|lock| lock.legal_hold)).collect()
}

fn entries(bed: &Bed) -> Vec<String> {
    let at = format!("{PREFIX}holds/");
    bed.keys(ARCHIVE).into_iter().filter(|key| key.starts_with(&at)).collect()
}

fn entry(number: u64) -> String {
    format!("{PREFIX}holds/tenant_id={}/user_id={}/entry-{number:06}.json", tenant().id, user())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_person_s_later_segments_are_held_from_their_first_moment_and_nobody_else_s() {
    let bed = lockable().await;
    let first = segments(&bed, true);
    assert_eq!(list(&bed).await, (0, format!("held in {ADDRESS}\nnobody is held\n")));
    let (code, said) = hold(&bed, &["--on"]).await;
    assert!(code == 0 && said.contains("now        never held\n") && said.contains("nothing was changed"), "{said}");
    assert!(held(&bed).is_empty() && entries(&bed).is_empty());

    bed.fake.clear_calls();
    let (code, said) = hold(&bed, &["--on", "--reason", "case 7", "--yes"]).await;
    assert!(code == 0 && said.contains(&format!("held       {} versions\n", first.len())), "{said}");
    assert!(
        said.contains(": case 7\n") && said.contains("but by a worker that began before: repeat the command after 20"),
        "{said}"
    );
    assert_eq!((held(&bed), entries(&bed)), (first.clone(), vec![entry(1)]));
    // The entry comes first, then what is there is listed and held.
    let calls = bed.fake.calls();
    let position = |action: &str| calls.iter().position(|call| call.action == action).unwrap();
    assert!(position("GetObjectLockConfiguration") < position("PutObject"));
    assert!(position("PutObject") < position("ListObjectVersions"));
    assert!(position("ListObjectVersions") < position("PutObjectLegalHold"));

    bed.look_at(grown(1), Some(STATE)).await;
    let second = segments(&bed, true);
    assert!(second.len() > first.len() && segments(&bed, false).len() > first.len());
    assert_eq!(held(&bed), second, "of this person, and of nobody else");
    let (code, said) = list(&bed).await;
    assert!(code == 0 && said.contains(&format!("  {} held since ", user())), "{said}");
    assert!(said.contains(&format!("all of {} versions are held\nall of it is held\n", second.len())), "{said}");

    let (code, said) = hold(&bed, &["--off", "--yes"]).await;
    assert!(code == 0 && said.contains(&format!("let go     {} versions\n", second.len())), "{said}");
    assert_eq!((held(&bed).len(), entries(&bed)), (0, vec![entry(1), entry(2)]));
    bed.look_at(grown(2), Some(STATE)).await;
    assert!(segments(&bed, true).len() > second.len() && held(&bed).is_empty(), "released is released");
    assert_eq!(list(&bed).await.1.lines().last(), Some("nobody is held"));
    let (_, page) = audited(&bed.bridge(), &["--all"]);
    assert!(page.contains("0 promises found broken"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_held_of_a_held_person_is_counted_and_held_when_the_command_is_repeated() {
    let bed = lockable().await;
    // An hour ago; no worker goes by what it listed before.
    let at = SystemClock.now() - SignedDuration::from_hours(1);
    let (clock, random) = (Arc::new(SystemClock), Arc::new(OsRandom));
    let archive = Archive::open_found(estate(&bed).place.stores, clock, random).await.unwrap().unwrap();
    archive.put_hold(LegalHold::On, HoldEntry { user_id: user(), at, reason: None }).await.unwrap();
    let own = segments(&bed, true);
    let count = own.len();
    for left in [count, 1] {
        let (code, said) = list(&bed).await;
        assert!(code == 1 && said.contains(&format!("{left} of {count} versions are not held")), "{said}");
        let (code, page) = audited(&bed.bridge(), &["--user", &user().to_string()]);
        assert!(code == 0 && page.contains(&format!("hold        held since {at}\n")), "{page}");
        assert!(page.contains(&format!("; {left} of held users are under no legal hold")), "{page}");
        let (code, said) = hold(&bed, &["--on", "--yes"]).await;
        assert!(code == 0 && said.contains(&format!("held       {count} versions\ndone\n")), "{said}");
        assert!(said.contains(&format!("now        held since {at}\n")), "{said}");
        assert_eq!((held(&bed), entries(&bed)), (own.clone(), vec![entry(1)]));
        let (_, page) = audited(&bed.bridge(), &["--user", &user().to_string()]);
        assert!(!page.contains("of held users are under no legal hold"), "{page}");
        bed.fake.set_lock(ARCHIVE, own.first().unwrap(), Lock::default());
    }
    bed.fake.plan(Fault::new(Effect::denied()).action("GetObjectLegalHold"));
    let (code, said) = list(&bed).await;
    assert!(code == 1 && said.contains(&format!("whether {count} versions are held may not be seen")), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_can_be_held_nothing_is_put() {
    let bed = Bed::new().await;
    bed.look(Some(STATE)).await;
    let user = user().to_string();
    for more in [&["--on"][..], &["--on", "--yes"], &["--off", "--yes"]] {
        let refused = command(&bed, &[&["hold", "--user", &user], more].concat()).await.unwrap_err();
        assert!(matches!(refused, NotDone::HoldsNothing), "{refused}");
    }
    assert!(entries(&bed).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_hold_archives_nothing_of_a_held_person_and_says_so() {
    let bed = lockable().await;
    hold(&bed, &["--on", "--yes"]).await;
    let (own, others) = (segments(&bed, true), segments(&bed, false));
    bed.fake.set_policy(ARCHIVE, Policy { hold_nothing: true, ..Policy::default() });
    let (code, said) = hold(&bed, &["--on", "--yes"]).await;
    assert!(code == 1 && said.contains(&format!("refused    {} versions", own.len())), "{said}");
    let (complete, said) = bed.try_look_at(grown(1), Some(STATE)).await;
    assert!(!complete && said.contains(&format!("{} failed(storage)", user())), "{said}");
    assert_eq!(segments(&bed, true), own, "better not yet than not held: Graph is asked again");
    assert!(segments(&bed, false).len() > others.len(), "others are archived as ever");
    bed.fake.set_policy(ARCHIVE, Policy::default());
    bed.look_at(grown(1), Some(STATE)).await;
    assert!(segments(&bed, true).len() > own.len());
    assert_eq!(held(&bed), segments(&bed, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_person_is_not_erased_until_the_hold_is_lifted() {
    let bed = lockable().await;
    let own = segments(&bed, true);
    hold(&bed, &["--on", "--yes"]).await;
    let user = user().to_string();
    let erase = async |more: &[&str]| command(&bed, &[&["erase", "--user", &user], more].concat()).await.unwrap();
    for more in [&[][..], &["--yes", "--bypass-governance"]] {
        let (_, said) = erase(more).await;
        assert!(said.contains("what is held stays until `hold --off` releases it"), "{said}");
    }
    let (code, said) = erase(&["--yes", "--bypass-governance"]).await;
    assert!(code == 1 && said.contains(&format!("{} under a legal hold", own.len())), "{said}");
    assert_eq!(segments(&bed, true), own);

    bed.fake.plan(Fault::new(Effect::denied()).action("PutObjectLegalHold"));
    let (code, said) = hold(&bed, &["--off", "--yes"]).await;
    assert!(code == 1 && said.contains("refused    1 versions"), "{said}");
    assert_eq!(held(&bed).len(), 1);
    assert_eq!(hold(&bed, &["--off", "--yes"]).await.0, 0);
    assert!(held(&bed).is_empty());
    let (code, said) = erase(&["--yes"]).await;
    assert!(code == 0 && !said.contains("hold --off"), "{said}");
    assert!(segments(&bed, true).is_empty());
}
