//! The path of a real tenant: settings from the environment, the machine's clock, a client secret over HTTP.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use copilot_archive::location::Place;
use copilot_archive::look::look;
use copilot_archive::real;
use copilot_archive::request::Request;
use copilot_archive::screen::Screen;
use copilot_archive::stop::Stop;
use domain::{Clock, MapEnv, SystemClock, TenantId};
use evidence::{Folder, compare};
use graph_simulator::{Server, Simulator, Switches, Tenant, serve};
use jiff::SignedDuration;
use tokio::net::TcpListener;

async fn served() -> (Arc<Simulator>, Server) {
    let now = SystemClock.now();
    let mut tenant = Tenant::new(TenantId::from_bytes([9; 16]), now);
    let user = tenant.add_licensed(1);
    tenant.add_items(user, 12, now - SignedDuration::from_hours(3), SignedDuration::from_hours(1));
    let simulator = Arc::new(Simulator::new(Arc::new(tenant), Switches::default(), Arc::new(SystemClock)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = serve(Arc::clone(&simulator), listener).unwrap();
    (simulator, server)
}

fn environment(tenant: &Tenant, server: &Server, secret: &str) -> MapEnv {
    MapEnv::default()
        .with("GRAPH_TENANT_ID", tenant.id.to_string())
        .with("GRAPH_CLIENT_ID", tenant.application.client_id.to_string())
        .with("GRAPH_CLIENT_SECRET", secret)
        .with("GRAPH_BASE_URL", server.origin())
        .with("GRAPH_LOGIN_URL", server.origin())
}

async fn looked(env: &MapEnv, folder: &Path) -> Result<bool, String> {
    let world = real::world(env, Place::folder(folder).unwrap()).unwrap();
    let request =
        Request { users: Vec::new(), from: None, to: None, lookback_hours: None, history: false, dry_run: false };
    let screen = Arc::new(Screen::to(Box::new(std::io::sink())));
    let (_stopper, stop) = Stop::pair();
    match look(&world, &request, &screen, &stop).await {
        Ok(outcome) => Ok(outcome.complete),
        Err(error) => {
            assert!(!error.is_refusal(), "{error:?}");
            Err(format!("{error:?}"))
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_named_by_the_environment_is_archived() {
    let (simulator, server) = served().await;
    let tenant = simulator.tenant();
    let folder = tempfile::tempdir().unwrap();
    let env = environment(tenant, &server, &tenant.application.secret);
    assert_eq!(looked(&env, folder.path()).await, Ok(true));
    let user = &tenant.users()[0];
    let texts: BTreeSet<String> = tenant.truth(user.id).into_iter().map(str::to_owned).collect();
    let truth = BTreeMap::from([(user.id.to_string(), texts)]);
    let differences = compare(&Folder::new(folder.path()), &tenant.id.to_string(), &truth).unwrap();
    assert!(differences.is_empty(), "{differences:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_is_a_failure_that_shows_no_secret_and_leaves_no_archive() {
    let (simulator, server) = served().await;
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let error = looked(&environment(simulator.tenant(), &server, "q8~wrong"), &archive).await.unwrap_err();
    assert!(error.contains("7000215"), "{error}");
    assert!(!error.contains("q8~wrong"), "{error}");
    assert!(!archive.exists());
}
