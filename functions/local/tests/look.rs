//! Whole looks at a small simulated tenant, over HTTP on the loopback interface and into a real folder.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use clap::Parser;
use copilot_archive::audit;
use copilot_archive::cli::{Cli, Command};
use copilot_archive::location::Place;
use copilot_archive::look::{self, LookError, Outcome};
use copilot_archive::request::Request;
use copilot_archive::screen::Screen;
use copilot_archive::simulated::{self, Simulated};
use copilot_archive::stop::Stop;
use domain::{Clock, MapEnv, SystemClock, TenantId, Timestamp};
use evidence::audit::COULD_NOT_RUN;
use evidence::{Expectation, Folder, compare, contents, verify};
use graph_simulator::{CHAT_PLAN, Tenant, UserState};
use jiff::SignedDuration;
use settings::Rules;

/// How many times faster than real: a look's minutes become a second or two.
const FACTOR: f64 = 100.0;

const NOW: &str = "2026-11-24T03:00:00Z";

/// Twelve licensed users: busy and idle ones, one without a history, one that is refused, one whose plan is off.
fn tenant() -> Tenant {
    let now: Timestamp = NOW.parse().unwrap();
    let mut tenant = Tenant::new(TenantId::from_bytes([7; 16]), now);
    let newest = now - SignedDuration::from_hours(3);
    for n in 1..=12 {
        let user = tenant.add_licensed(n);
        let items = usize::try_from(n * n * 2).unwrap();
        tenant.add_items(user, if n == 2 { 0 } else { items }, newest, SignedDuration::from_hours(11));
        match n {
            3 => tenant.user_mut(user).unwrap().state = UserState::NoHistory,
            4 => tenant.user_mut(user).unwrap().state = UserState::Refused,
            5 => tenant.user_mut(user).unwrap().licences[0].disabled_plans.push(CHAT_PLAN),
            _ => {}
        }
    }
    tenant
}

fn truth(tenant: &Tenant) -> BTreeMap<String, BTreeSet<String>> {
    let readable = tenant.users().iter().filter(|user| tenant.is_licensed(user) && user.state == UserState::Normal);
    let texts = |user| tenant.truth(user).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    readable.map(|user| (user.id.to_string(), texts(user.id))).filter(|(_, texts)| !texts.is_empty()).collect()
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

async fn served(folder: &Path) -> Simulated {
    served_by(tenant(), Rules::default(), folder).await
}

async fn served_by(tenant: Tenant, rules: Rules, folder: &Path) -> Simulated {
    simulated::start(tenant, FACTOR, rules, 24.0, Place::folder(folder).unwrap()).await.unwrap()
}

fn everything() -> Request {
    Request { users: Vec::new(), from: None, to: None, lookback_hours: None, history: true, dry_run: false }
}

/// A look, and what stood on the screen.
async fn looked(simulated: &Simulated, request: &Request) -> (Result<Outcome, LookError>, String) {
    let written = Written::default();
    let screen = Arc::new(Screen::to(Box::new(written.clone())));
    let (_stopper, stop) = Stop::pair();
    let outcome = look::look(&simulated.world, request, &screen, &stop).await;
    (outcome, written.text())
}

/// An audit's exit code.
fn audited(folder: &Path, whom: &[&str]) -> u8 {
    audit_of(folder, whom).0
}

/// An audit's exit code and page.
fn audit_of(folder: &Path, whom: &[&str]) -> (u8, String) {
    let archive = folder.display().to_string();
    let words = ["copilot-archive", "audit", "--archive", &archive];
    let cli = Cli::try_parse_from(words.iter().chain(whom)).unwrap();
    let Some(Command::Audit(args)) = cli.command else { unreachable!("the words say audit") };
    let written = Written::default();
    let screen = Screen::to(Box::new(written.clone()));
    (audit::run_of(&Folder::new(folder), &args, &MapEnv::default(), &SystemClock, &screen), written.text())
}

/// The labels of an audit's page, which stand before its lines in a column of their own.
fn labels<'a>(page: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    page.filter_map(|line| line.split("  ").next()).filter(|label| !label.is_empty()).collect()
}

/// What the instructions in a bag print, run as a person would.
fn verified(bag: &Path) -> String {
    let page = std::fs::read_to_string(bag.join("data/HOW-TO-VERIFY.txt")).unwrap();
    let lines = page.lines().filter_map(|line| line.strip_prefix("    "));
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with(' ')).collect();
    // Bash, sha256sum, zstd and jq have to be installed.
    let output = std::process::Command::new("bash").args(["-c", &lines.join("\n")]).current_dir(bag).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The archive is whole, and holds what the tenant showed and nothing else.
fn assert_archived(folder: &Path, tenant: &Tenant) {
    let source = Folder::new(folder);
    let verdict = verify(&source, &Expectation::default()).unwrap();
    assert!(verdict.is_intact(), "{:?}", verdict.findings);
    let differences = compare(&source, &tenant.id.to_string(), &truth(tenant)).unwrap();
    assert!(differences.is_empty(), "{differences:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_look_archives_everything_and_a_second_one_nothing_new() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let first = served(&archive).await;
    let (outcome, screen) = looked(&first, &everything()).await;
    assert!(outcome.unwrap().complete, "{screen}");
    assert!(screen.contains("12 enumerated = 1 excluded (plan-disabled 1) + 11 planned"), "{screen}");
    assert!(screen.contains("  daily  COMPLETE     every equation holds"), "{screen}");
    assert!(screen.contains("-history  history  COMPLETE"), "{screen}");
    assert!(screen.contains("0 users not yet covered back to 2023-11-01"), "{screen}");
    assert_archived(&archive, first.simulator.tenant());
    assert_eq!(first.seen().early, 0);
    for text in ["README.txt", "duckdb.sql"] {
        assert!(archive.join(text).is_file(), "{text}");
    }
    let user = first.simulator.tenant().users()[8].id.to_string();
    assert_eq!(audited(&archive, &["--user", &user]), 0);
    let bag = folder.path().join("bag");
    assert_eq!(audited(&archive, &["--user", &user, "--bag", bag.to_str().unwrap()]), 0);
    let said = verified(&bag);
    assert!((1..=8).all(|n| said.contains(&format!("{n} good: "))), "{said}");
    let held = &contents(&Folder::new(&archive), &first.simulator.tenant().id.to_string()).unwrap()[&user];
    assert_eq!(std::fs::read_to_string(bag.join("data/records.jsonl")).unwrap().lines().count(), held.len());
    // An archive holds nothing that is not of its format.
    let inside = archive.join("new/bag");
    assert_eq!(audited(&archive, &["--user", &user, "--bag", inside.to_str().unwrap()]), COULD_NOT_RUN);
    assert!(!archive.join("new").exists());
    // Two users are licensed, and Graph shows nothing of them.
    assert_eq!(audited(&archive, &["--all"]), 1);
    let ended = first.world.clock.now();
    first.stop().await;

    let second = served(&archive).await;
    assert!(second.starts_at > ended);
    let (outcome, screen) = looked(&second, &everything()).await;
    assert!(outcome.unwrap().complete, "{screen}");
    assert!(screen.contains("received = 0 new + "), "{screen}");
    assert!(screen.contains("0 lines in 0 segments"), "{screen}");
    assert!(!screen.contains("Z-history"), "history has nothing left to do: {screen}");
    assert_archived(&archive, second.simulator.tenant());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_in_the_readme_has_the_labels_of_a_real_one() {
    let folder = tempfile::tempdir().unwrap();
    let simulated = served(folder.path()).await;
    let (outcome, screen) = looked(&simulated, &everything()).await;
    assert!(outcome.unwrap().complete, "{screen}");
    let user = simulated.simulator.tenant().users()[8].id.to_string();
    let (code, page) = audit_of(folder.path(), &["--user", &user]);
    assert_eq!(code, 0, "{page}");
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let asked = |line: &&str| !line.starts_with("$ cargo local audit --user ");
    let shown = readme.lines().skip_while(asked).skip(1).take_while(|line| *line != "```");
    assert_eq!(labels(shown), labels(page.lines()), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_that_was_killed_is_continued_to_the_truth() {
    // Killed while the daily run reads, and killed while history does.
    for requests in [8, 26] {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("archive");
        let first = served(&archive).await;
        let request = everything();
        let killed = tokio::select! {
            (outcome, screen) = looked(&first, &request) => Err(format!("{outcome:?} {screen}")),
            () = asked(&first, requests) => Ok(()),
        };
        killed.unwrap();
        drop(first);

        let second = served(&archive).await;
        let (outcome, screen) = looked(&second, &everything()).await;
        assert!(outcome.unwrap().complete, "{screen}");
        assert!(screen.contains("was left open"), "{screen}");
        assert_archived(&archive, second.simulator.tenant());
    }
}

/// Waits until the simulated Graph was asked for so many pages.
async fn asked(simulated: &Simulated, requests: usize) {
    while simulated.simulator.ledger().interactions().count() < requests {
        SystemClock.sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_left_open_for_longer_than_what_is_kept_is_over_and_stops_no_look() {
    let folder = tempfile::tempdir().unwrap();
    let kept = SignedDuration::from_hours(30 * 24);
    let rules = || Rules { retention: Some(kept), ..Rules::default() };
    let first = served_by(tenant(), rules(), folder.path()).await;
    let request = everything();
    tokio::select! {
        (outcome, screen) = looked(&first, &request) => Err(format!("{outcome:?} {screen}")),
        () = asked(&first, 8) => Ok(()),
    }
    .unwrap();
    drop(first);

    let mut later = tenant();
    later.now += kept + SignedDuration::from_hours(24);
    let second = served_by(later, rules(), folder.path()).await;
    for _ in 0..2 {
        let (outcome, screen) = looked(&second, &request).await;
        assert!(outcome.unwrap().complete, "{screen}");
        assert!(screen.contains("was left open, and began before what is kept: it is over"), "{screen}");
        assert!(screen.contains("daily  COMPLETE"), "{screen}");
        let runs = std::fs::read_dir(folder.path().join("runs")).unwrap();
        let open = runs.filter(|run| !run.as_ref().unwrap().path().join("report.json").exists());
        assert_eq!(open.count(), 1, "{screen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_stop_it_ends_between_two_batches_and_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    let first = served(folder.path()).await;
    let written = Written::default();
    let screen = Arc::new(Screen::to(Box::new(written.clone())));
    let (stopper, stop) = Stop::pair();
    let request = everything();
    let (outcome, ()) = tokio::join!(look::look(&first.world, &request, &screen, &stop), async {
        asked(&first, 3).await;
        stopper.stop();
    });
    let outcome = outcome.unwrap();
    assert!(outcome.stopped && !outcome.complete, "{}", written.text());
    drop(first);

    let second = served(folder.path()).await;
    let (outcome, screen) = looked(&second, &request).await;
    assert!(outcome.unwrap().complete, "{screen}");
    assert_archived(folder.path(), second.simulator.tenant());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_and_a_refusal_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let simulated = served(&archive).await;
    let (outcome, screen) = looked(&simulated, &Request { dry_run: true, ..everything() }).await;
    outcome.unwrap();
    assert!(screen.contains("12 enumerated = 1 excluded (plan-disabled 1) + 11 planned"), "{screen}");
    assert!(!archive.exists());

    std::fs::create_dir(&archive).unwrap();
    std::fs::write(archive.join("thesis.txt"), "mine").unwrap();
    let (outcome, _) = looked(&simulated, &everything()).await;
    assert!(outcome.unwrap_err().is_refusal());
    let left: Vec<_> = std::fs::read_dir(&archive).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["thesis.txt"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_user_and_a_range_are_read_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let simulated = served(folder.path()).await;
    let user = simulated.simulator.tenant().users()[9].clone();
    let request = Request {
        users: vec![user.id.to_string()],
        from: Some("2026-11-01T00:00:00Z".parse().unwrap()),
        ..everything()
    };
    let (outcome, screen) = looked(&simulated, &request).await;
    assert!(outcome.unwrap().complete, "{screen}");
    assert!(screen.contains("run od-20261124T0300"), "{screen}");
    assert!(screen.contains("1 planned = 1 exported"), "{screen}");
    let contents = evidence::contents(&Folder::new(folder.path()), &simulated.world.tenant.to_string()).unwrap();
    assert_eq!(contents.keys().collect::<Vec<_>>(), [&user.id.to_string()]);
}
