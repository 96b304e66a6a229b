//! Whole looks at a small simulated tenant into a bucket, over HTTP.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use aws::Clients;
use aws_fake::{AwsFake, Effect, Fault, Server};
use clap::Parser;
use copilot_archive::audit;
use copilot_archive::cli::{AuditArgs, Cli, Command};
use copilot_archive::location::Location;
use copilot_archive::look;
use copilot_archive::request::Request;
use copilot_archive::s3::{Bridge, place_of};
use copilot_archive::screen::Screen;
use copilot_archive::simulated;
use copilot_archive::stop::Stop;
use domain::{Clock, MapEnv, OsRandom, Random, ScaledClock, SystemClock, TenantId, Timestamp};
use evidence::Source;
use evidence::audit::COULD_NOT_RUN;
use graph_simulator::{Tenant, UserState};
use jiff::SignedDuration;
use settings::{Rules, S3Address, StateBucket};

/// How many times faster than real: a look's minutes become a second or two.
const FACTOR: f64 = 100.0;

const ADDRESS: &str = "s3://acme-archive/in/copilot-";
const PREFIX: &str = "in/copilot-";

/// A bucket for the archive and one for the state, over HTTP.
struct Bed {
    fake: AwsFake,
    clients: Clients,
    _server: Server,
}

impl Bed {
    async fn new() -> Self {
        let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) = (Arc::new(SystemClock), Arc::new(OsRandom));
        let fake = AwsFake::new(Arc::clone(&clock), Arc::clone(&random));
        for bucket in ["acme-archive", "acme-state"] {
            fake.create_bucket(bucket);
        }
        let server = Server::start(fake.clone(), 0).await.unwrap();
        let clients = Clients::emulated(&server.endpoint(), "tester", clock, random).await;
        Self { fake, clients, _server: server }
    }

    /// Looks at the tenant; the screen if every run is complete.
    async fn look(&self, state: Option<&str>) -> String {
        let address: S3Address = ADDRESS.parse().unwrap();
        let place = place_of(&self.clients, &address, &StateBucket(state.map(str::to_owned)));
        let simulated = simulated::start(tenant(), FACTOR, Rules::default(), 24.0, place).await.unwrap();
        let written = Written::default();
        let screen = Arc::new(Screen::to(Box::new(written.clone())));
        let (_stopper, stop) = Stop::pair();
        let outcome = look::look(&simulated.world, &everything(), &screen, &stop).await;
        assert!(outcome.unwrap().complete, "{}", written.text());
        simulated.stop().await;
        written.text()
    }

    fn bridge(&self) -> Bridge {
        let place = place_of(&self.clients, &ADDRESS.parse().unwrap(), &StateBucket::default());
        Bridge::new(place.stores.evidence)
    }

    fn keys(&self, bucket: &str) -> Vec<String> {
        self.fake.objects(bucket).into_keys().collect()
    }

    /// Writes what lies in the bucket below the prefix into a folder, as a download does.
    fn copy_to(&self, folder: &Path) {
        for (key, object) in self.fake.objects("acme-archive") {
            let path = folder.join(key.strip_prefix(PREFIX).unwrap());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &object.bytes).unwrap();
        }
    }
}

fn tenant() -> Tenant {
    let now: Timestamp = "2026-11-24T03:00:00Z".parse().unwrap();
    let mut tenant = Tenant::new(TenantId::from_bytes([7; 16]), now);
    for n in 1..=4 {
        let user = tenant.add_licensed(n);
        let items = usize::try_from(n * n * 3).unwrap();
        tenant.add_items(user, items, now - SignedDuration::from_hours(3), SignedDuration::from_hours(11));
        if n == 3 {
            tenant.user_mut(user).unwrap().state = UserState::NoHistory;
        }
    }
    tenant
}

fn everything() -> Request {
    Request { users: Vec::new(), from: None, to: None, lookback_hours: None, history: true, dry_run: false }
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

fn arguments(whom: &[&str]) -> AuditArgs {
    let words = ["copilot-archive", "audit", "--archive", ADDRESS];
    let Some(Command::Audit(args)) = Cli::try_parse_from(words.iter().chain(whom)).unwrap().command else {
        unreachable!("the words say audit")
    };
    args
}

/// An audit's exit code and page.
fn audited(source: &dyn Source, whom: &[&str]) -> (u8, String) {
    let written = Written::default();
    let screen = Screen::to(Box::new(written.clone()));
    // Two audits are the same only if they are made at one time.
    let clock = ScaledClock::new("2026-11-25T10:00:00Z".parse().unwrap(), 1e-9);
    let code = audit::run_of(source, &arguments(whom), &MapEnv::default(), &clock, &screen);
    (code, written.text())
}

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
        assert_eq!(in_bucket, in_folder);
        assert_eq!(in_bucket.0, code, "{}", in_bucket.1);
        assert!(in_bucket.1.contains(ADDRESS), "{}", in_bucket.1);
    }
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
