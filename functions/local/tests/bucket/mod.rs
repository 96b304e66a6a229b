//! A bucket of a simulated tenant, over HTTP, and who looks into it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test program uses its part, and a helper that fails fails the test"
)]

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use aws::Clients;
use aws_fake::{AwsFake, Server};
use clap::Parser;
use copilot_archive::audit;
use copilot_archive::cli::{AuditArgs, Cli, Command};
use copilot_archive::look;
use copilot_archive::request::Request;
use copilot_archive::s3::{Bridge, place_of};
use copilot_archive::screen::Screen;
use copilot_archive::simulated;
use copilot_archive::stop::Stop;
use domain::{Clock, MapEnv, OsRandom, Random, ScaledClock, SystemClock, TenantId, Timestamp};
use evidence::Source;
use graph_simulator::{Tenant, UserState};
use jiff::SignedDuration;
use settings::{Rules, S3Address, StateBucket};

/// How many times faster than real: a look's minutes become a second or two.
pub(crate) const FACTOR: f64 = 100.0;

pub(crate) const ADDRESS: &str = "s3://acme-archive/in/copilot-";
pub(crate) const PREFIX: &str = "in/copilot-";

/// A bucket for the archive and one for the state, over HTTP.
pub(crate) struct Bed {
    pub(crate) fake: AwsFake,
    pub(crate) clients: Clients,
    _server: Server,
}

impl Bed {
    pub(crate) async fn new() -> Self {
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
    pub(crate) async fn look(&self, state: Option<&str>) -> String {
        self.look_at(tenant(), state).await
    }

    /// Looks at this tenant; the screen if every run is complete.
    pub(crate) async fn look_at(&self, tenant: Tenant, state: Option<&str>) -> String {
        let (complete, said) = self.try_look_at(tenant, state).await;
        assert!(complete, "{said}");
        said
    }

    /// Looks at this tenant: whether every run is complete, and the screen.
    pub(crate) async fn try_look_at(&self, tenant: Tenant, state: Option<&str>) -> (bool, String) {
        let address: S3Address = ADDRESS.parse().unwrap();
        let place = place_of(&self.clients, &address, &StateBucket(state.map(str::to_owned)));
        let simulated = simulated::start(tenant, FACTOR, Rules::default(), 24.0, place).await.unwrap();
        let written = Written::default();
        let screen = Arc::new(Screen::to(Box::new(written.clone())));
        let (_stopper, stop) = Stop::pair();
        let outcome = look::look(&simulated.world, &everything(), &screen, &stop).await;
        simulated.stop().await;
        (outcome.unwrap().complete, written.text())
    }

    pub(crate) fn bridge(&self) -> Bridge {
        Bridge::new(self.clients.store("acme-archive", PREFIX))
    }

    pub(crate) fn keys(&self, bucket: &str) -> Vec<String> {
        self.fake.objects(bucket).into_keys().collect()
    }

    /// Writes what lies in the bucket below the prefix into a folder, as a download does.
    pub(crate) fn copy_to(&self, folder: &Path) {
        for (key, object) in self.fake.objects("acme-archive") {
            let path = folder.join(key.strip_prefix(PREFIX).unwrap());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &object.bytes).unwrap();
        }
    }
}

pub(crate) fn tenant() -> Tenant {
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

pub(crate) fn everything() -> Request {
    Request { users: Vec::new(), from: None, to: None, lookback_hours: None, history: true, dry_run: false }
}

#[derive(Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

pub(crate) fn arguments(whom: &[&str]) -> AuditArgs {
    let words = ["copilot-archive", "audit", "--archive", ADDRESS];
    let Some(Command::Audit(args)) = Cli::try_parse_from(words.iter().chain(whom)).unwrap().command else {
        unreachable!("the words say audit")
    };
    args
}

/// An audit's exit code and page.
pub(crate) fn audited(source: &dyn Source, whom: &[&str]) -> (u8, String) {
    let written = Written::default();
    let screen = Screen::to(Box::new(written.clone()));
    // Two audits are the same only if they are made at one time.
    let clock = ScaledClock::new("2026-11-25T10:00:00Z".parse().unwrap(), 1e-9);
    let code = audit::run_of(source, &arguments(whom), &MapEnv::default(), &clock, &screen);
    (code, written.text())
}
