//! Holding a person in a bucket with versions and locks, over HTTP, by the command and by the handlers that archive.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod bucket;

use std::collections::BTreeSet;
use std::sync::Arc;

use archive::Archive;
use archive::custody::HoldEntry;
use archive::store::{LegalHold, StoreError};
use async_trait::async_trait;
use aws_fake::{Effect, Fault, Lock, Policy, Versioning};
use bucket::{ADDRESS, Bed, PREFIX, Written, audited, tenant};
use clap::Parser;
use copilot_archive::cli::{Cli, Command};
use copilot_archive::custody::{NotDone, erase_in, hold_in};
use copilot_archive::location::Estate;
use copilot_archive::s3::estate_of;
use copilot_archive::screen::Screen;
use custody::{Vault, Version};
use domain::{Clock, OsRandom, ScaledClock, SystemClock, Timestamp, UserId};
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
    command_in(&estate(bed), SystemClock.now(), words).await
}

/// Runs a command there and then.
async fn command_in(estate: &Estate, now: Timestamp, words: &[&str]) -> Result<(u8, String), NotDone> {
    let clock = Arc::new(ScaledClock::new(now, 1.0));
    let written = Written::default();
    let screen = Screen::to(Box::new(written.clone()));
    let words = ["copilot-archive"].iter().chain(words).chain(&["--archive", ADDRESS]).copied();
    let code = match Cli::try_parse_from(words).unwrap().command {
        Some(Command::Erase(args)) => erase_in(estate, &args, clock, &screen).await?,
        Some(Command::Hold(args)) => hold_in(estate, &args, clock, &screen).await?,
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

/// When no worker is under way any more that has begun by now.
fn later() -> Timestamp {
    SystemClock.now() + SignedDuration::from_hours(1)
}

async fn archive(bed: &Bed) -> Archive {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(OsRandom));
    Archive::open_found(estate(bed).place.stores, clock, random).await.unwrap().unwrap()
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
    assert!(code == 1 && said.contains(&format!("held       {} versions\n", first.len())), "{said}");
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
    let (code, said) = command_in(&estate(&bed), later(), &["hold", "--list"]).await.unwrap();
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

/// Puts an entry and holds nothing, as a command that is cut off after it.
async fn mark(bed: &Bed, hold: LegalHold, at: Timestamp) {
    archive(bed).await.put_hold(hold, HoldEntry { user_id: user(), at, reason: None }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_worker_may_put_without_the_hold_it_is_not_over() {
    let bed = lockable().await;
    let (count, user) = (segments(&bed, true).len(), user().to_string());
    let hold = ["hold", "--user", &user, "--on", "--yes"];
    let begun = SystemClock.now();
    let (code, said) = command(&bed, &hold).await.unwrap();
    let until: Timestamp = said.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(code == 1 && said.ends_with(&format!("\nnot over: repeat the command after {until}\n")), "{said}");
    // Longer than an invocation can last, and not so long that nobody would wait.
    assert!(until > begun + SignedDuration::from_mins(15) && until < later(), "{said}");
    for (now, over) in [(until - SignedDuration::from_secs(60), false), (until, true)] {
        let (code, said) = command_in(&estate(&bed), now, &["hold", "--list"]).await.unwrap();
        assert_eq!(code, u8::from(!over), "{said}");
        assert!(said.contains(&format!("; all of {count} versions are held")), "{said}");
        assert_eq!(said.contains(&format!("may add to them until {until}\nnot all of it is held")), !over, "{said}");
        let (code, said) = command_in(&estate(&bed), now, &hold).await.unwrap();
        assert_eq!((code, said.ends_with("\ndone\n")), (u8::from(!over), over), "{said}");
    }
    assert_eq!(entries(&bed), [entry(1)]);
}

/// A vault before whose first hold another operator says otherwise.
#[derive(Debug)]
struct Contradicted {
    inner: Arc<dyn Vault>,
    archive: Archive,
    otherwise: LegalHold,
}

#[async_trait]
impl Vault for Contradicted {
    async fn versions(&self, prefix: &str) -> Result<Vec<Version>, StoreError> {
        self.inner.versions(prefix).await
    }

    async fn delete(&self, version: &Version, bypass_governance: bool) -> Result<(), StoreError> {
        self.inner.delete(version, bypass_governance).await
    }

    async fn holds(&self) -> Result<bool, StoreError> {
        self.inner.holds().await
    }

    async fn set_hold(&self, version: &Version, hold: LegalHold) -> Result<(), StoreError> {
        let entry = HoldEntry { user_id: user(), at: SystemClock.now(), reason: Some("case 8".to_owned()) };
        self.archive.put_hold(self.otherwise, entry).await.unwrap();
        self.inner.set_hold(version, hold).await
    }

    async fn lock(&self, version: &Version) -> Result<custody::Lock, StoreError> {
        self.inner.lock(version).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_contradicted_meanwhile_is_told_so() {
    let bed = lockable().await;
    let user = user().to_string();
    let words = [("--on", LegalHold::Off, "released on "), ("--off", LegalHold::On, "held since ")];
    for (word, otherwise, sentence) in words {
        mark(&bed, otherwise, SystemClock.now()).await;
        let before = entries(&bed).len();
        let mut estate = estate(&bed);
        let inner = Arc::clone(&estate.vaults.evidence);
        estate.vaults.evidence = Arc::new(Contradicted { inner, archive: archive(&bed).await, otherwise });
        // The waiting is another matter.
        let (code, said) = command_in(&estate, later(), &["hold", "--user", &user, word, "--yes"]).await.unwrap();
        assert!(code == 1 && said.ends_with("not over: repeat the command\n"), "{said}");
        assert!(said.contains(&format!("meanwhile  somebody said otherwise: {sentence}")), "{said}");
        assert!(said.contains(": case 8; repeat the command"), "{said}");
        assert_eq!(entries(&bed).len(), before + 2, "what was said, and what was said against it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_copy_of_an_archive_nobody_who_is_held_is_erased_and_nothing_is_advised_that_is_refused() {
    let bed = lockable().await;
    mark(&bed, LegalHold::On, SystemClock.now()).await;
    let folder = tempfile::tempdir().unwrap();
    bed.copy_to(folder.path());
    let copy = Estate::folder(folder.path()).unwrap();
    let before = copy.place.stores.evidence.list("").await.unwrap();
    let user = user().to_string();
    let said = async |words: &[&str]| command_in(&copy, later(), words).await;
    let refused = said(&["erase", "--user", &user, "--yes"]).await.unwrap_err();
    assert!(matches!(refused, NotDone::Held), "{refused}");
    let (code, listed) = said(&["hold", "--list"]).await.unwrap();
    assert!(code == 1 && listed.contains(&format!("  {user} held since ")), "{listed}");
    assert!(listed.contains("this place holds nothing") && !listed.contains("give the hold"), "{listed}");
    assert_eq!(copy.place.stores.evidence.list("").await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_held_of_a_held_person_is_counted_and_held_when_the_command_is_repeated() {
    let bed = lockable().await;
    // An hour ago; no worker goes by what it listed before.
    let at = SystemClock.now() - SignedDuration::from_hours(1);
    mark(&bed, LegalHold::On, at).await;
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
    // The entry is enough: the store holds nothing yet.
    mark(&bed, LegalHold::On, SystemClock.now()).await;
    let before = bed.keys(ARCHIVE);
    let user = user().to_string();
    let erase =
        async |more: &[&str]| command_in(&estate(&bed), later(), &[&["erase", "--user", &user], more].concat()).await;
    for everything in [false, true] {
        let refused = erase(&["--yes", "--bypass-governance"]).await.unwrap_err();
        assert!(matches!(refused, NotDone::Held) && refused.to_string().contains("hold --off"), "{refused}");
        let (code, said) = erase(&[]).await.unwrap();
        assert!(code == 0 && said.contains("is not erased until `hold --off`"), "{said}");
        assert!(said.contains("tombstone  none yet") && !said.contains("add --yes"), "{said}");
        assert_eq!((bed.keys(ARCHIVE), held(&bed).is_empty()), (before.clone(), !everything));
        hold(&bed, &["--on", "--yes"]).await;
    }

    bed.fake.plan(Fault::new(Effect::denied()).action("PutObjectLegalHold"));
    let (code, said) = hold(&bed, &["--off", "--yes"]).await;
    assert!(code == 1 && said.contains("refused    1 versions"), "{said}");
    assert_eq!(held(&bed).len(), 1);
    // What the store holds without an entry it keeps.
    erase(&["--yes", "--bypass-governance"]).await.unwrap();
    assert_eq!(segments(&bed, true), held(&bed));
    assert!(held(&bed).is_subset(&own));
    let (code, said) = erase(&["--yes"]).await.unwrap();
    assert!(code == 1 && said.contains("kept       1 under a legal hold\n"), "{said}");
    assert_eq!(hold(&bed, &["--off", "--yes"]).await.0, 0);
    assert!(held(&bed).is_empty());
    let after = later() + SignedDuration::from_hours(1);
    let (code, said) = command_in(&estate(&bed), after, &["erase", "--user", &user, "--yes"]).await.unwrap();
    assert!(code == 0 && said.ends_with("\nerased\n"), "{said}");
    assert!(segments(&bed, true).is_empty());
}
