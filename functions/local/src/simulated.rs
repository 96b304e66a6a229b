//! A simulated tenant, for whoever has no account at hand: the same program over the same HTTP, with a simulated Graph on
//! the other side of the loopback interface and a clock that runs faster.

use std::sync::Arc;
use std::time::Duration;

use archive::Stores;
use archive::store::StoreError;
use domain::{Clock, OsRandom, Random, RunId, ScaledClock, Timestamp};
use graph::{ClientSecret, ConfigError, GraphClient, GraphConfig, HttpTransport, HttpTransportError, OriginError};
use graph_simulator::{Profile, QuotaStep, Server, Simulator, Switches, Tenant, serve};
use jiff::SignedDuration;
use serde::Deserialize;
use settings::{InvalidConfiguration, Pace, Place, Rules};
use tokio::net::TcpListener;

use crate::location::Place as ArchivePlace;
use crate::output::Seen;
use crate::world::{World, local_rules};

/// How many times faster than real a first look runs: a minute and a half of requests at the quota become a quarter of
/// a minute, and two cores keep up.
pub const FACTOR: f64 = 5.0;

/// A user of every simulated tenant, to show commands with.
pub const SOMEBODY: &str = "adele@contoso.example";

/// How long an answer takes, and how much longer by chance, in milliseconds of the tenant's time: what Graph takes for a
/// page.
const LATENCY_MS: (u64, u64) = (300, 400);

/// When the quota dips after the start, for how long and how far, so that throttling is seen at work.
const DIP: (SignedDuration, SignedDuration, f64) = (SignedDuration::from_secs(12), SignedDuration::from_secs(4), 12.0);

/// How long a 429 may be on its way to us, in real time: what starts meanwhile had not heard of it. Loopback takes
/// microseconds, a busy machine's turn of other programs some hundredths of a second.
const IN_TRANSIT: Duration = Duration::from_millis(50);

/// How long after everything the archive shows a further look begins: later than what a killed process did after the
/// last thing it left a trace of.
const LATER: SignedDuration = SignedDuration::from_mins(15);
/// Beginnings are rounded up to this, for the eye.
const ROUNDED: i64 = 5 * 60;

/// A simulated tenant that is being served, and the world to look at it.
#[derive(Debug)]
pub struct Simulated {
    /// What to look with.
    pub world: World,
    /// The Graph that answers.
    pub simulator: Arc<Simulator>,
    /// When its clock began.
    pub starts_at: Timestamp,
    factor: f64,
    server: Server,
}

impl Simulated {
    /// What Graph saw of the look so far.
    pub fn seen(&self) -> Seen {
        let ledger = self.simulator.ledger();
        let grace = IN_TRANSIT.mul_f64(self.factor);
        Seen {
            requests: ledger.interactions().count() as u64,
            per_second: ledger.max_per_second() as u64,
            early: ledger.requests_before_retry_after_with_grace(grace) as u64,
        }
    }

    /// Ends the service when the answers under way are out.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// Why there is no simulated tenant.
#[derive(Debug, thiserror::Error)]
pub enum SimulatedError {
    /// The environment is wrong.
    #[error(transparent)]
    Configuration(#[from] InvalidConfiguration),
    /// The archive could not be read.
    #[error("the archive could not be read")]
    Archive(#[source] StoreError),
    /// No port.
    #[error("the simulated tenant cannot be served on the loopback interface")]
    Listen(#[source] std::io::Error),
    /// The service's address is no origin.
    #[error("the simulated tenant cannot be reached")]
    Origin(#[source] OriginError),
    /// A client that cannot be made.
    #[error("the Graph client cannot be made")]
    Client(#[source] ConfigError),
    /// No network.
    #[error("the Graph client cannot be made")]
    Transport(#[source] HttpTransportError),
}

/// Serves the tenant of this seed; the rules of archiving are those of the environment.
pub async fn contoso(seed: u64, env: &dyn domain::Env, place: ArchivePlace) -> Result<Simulated, SimulatedError> {
    let (rules, pace): (Rules, Pace) = settings::from_env(env, Place::Local)?;
    let tenant = Tenant::generate(&Profile::contoso(), seed);
    start(tenant, FACTOR, rules, pace.requests_per_second, place).await
}

/// Serves this tenant on a clock that runs so many times faster than real.
pub async fn start(
    tenant: Tenant,
    factor: f64,
    rules: Rules,
    requests_per_second: f64,
    place: ArchivePlace,
) -> Result<Simulated, SimulatedError> {
    let newest = newest_trace(&place.stores).await.map_err(SimulatedError::Archive)?;
    let starts_at = clock_start(tenant.now, newest);
    let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(starts_at, factor));
    let tenant = Arc::new(tenant);
    let simulator = Arc::new(Simulator::new(Arc::clone(&tenant), switches(starts_at), Arc::clone(&clock)));
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(SimulatedError::Listen)?;
    let server = serve(Arc::clone(&simulator), listener).map_err(SimulatedError::Listen)?;

    let origin = || server.origin().parse().map_err(SimulatedError::Origin);
    let config = GraphConfig {
        graph_origin: Some(origin()?),
        login_origin: Some(origin()?),
        requests_per_second,
        ..GraphConfig::new(tenant.id, tenant.application.client_id.to_string())
    };
    let auth = ClientSecret(tenant.application.secret.clone().into());
    let transport = HttpTransport::new(&wiring::user_agent()).map_err(SimulatedError::Transport)?;
    // Attempts of two processes must never be taken for each other, so chance is real here too.
    let random: Arc<dyn Random> = Arc::new(OsRandom);
    let graph = GraphClient::new(config, Arc::new(auth), Arc::new(transport), Arc::clone(&clock), Arc::clone(&random))
        .map_err(SimulatedError::Client)?;
    let world =
        World { graph, place, tenant: tenant.id, clock, random, rules: local_rules(rules), requests_per_second };
    Ok(Simulated { world, simulator, starts_at, factor, server })
}

fn switches(starts_at: Timestamp) -> Switches {
    let mut switches = Switches { latency_ms: LATENCY_MS.0, latency_jitter_ms: LATENCY_MS.1, ..Switches::default() };
    let (after, length, per_second) = DIP;
    let usual = switches.quota.per_second;
    if let (Ok(from), Ok(until)) = (starts_at.checked_add(after), starts_at.checked_add(after + length)) {
        switches.quota.steps = vec![QuotaStep { from, per_second }, QuotaStep { from: until, per_second: usual }];
    }
    switches
}

/// When the tenant's clock begins: at its own time, or later than everything that lies in the archive, so that time never
/// runs backwards for it.
fn clock_start(now: Timestamp, newest: Option<Timestamp>) -> Timestamp {
    let Some(later) = newest.and_then(|newest| newest.checked_add(LATER).ok()) else { return now };
    let seconds = later.as_second();
    let rounded = seconds + (ROUNDED - seconds.rem_euclid(ROUNDED)) % ROUNDED;
    Timestamp::from_second(rounded).unwrap_or(later).max(now)
}

/// The newest time that the archive shows: of its making, of the runs' names, of the ledger.
async fn newest_trace(stores: &Stores) -> Result<Option<Timestamp>, StoreError> {
    #[derive(Deserialize)]
    struct Times {
        created_at: Option<Timestamp>,
        closed_at: Option<Timestamp>,
    }
    let store = &*stores.evidence;
    let runs = store.list("runs/").await?;
    let mut newest = runs.iter().filter_map(|key| key.split('/').nth(1).and_then(time_of_run)).max();
    let mut files = vec!["archive.json".to_owned()];
    files.extend(store.list("ledger/").await?.pop());
    for key in files {
        let Some(object) = store.get(&key).await? else { continue };
        // What cannot be read here is refused by whoever opens the archive.
        if let Ok(Times { created_at, closed_at }) = serde_json::from_slice(&object.bytes) {
            newest = newest.max(created_at).max(closed_at);
        }
    }
    Ok(newest)
}

/// The time in the name of a run that was started here.
fn time_of_run(name: &str) -> Option<Timestamp> {
    let stamp = name.strip_prefix("od-").unwrap_or(name).get(..16)?;
    let run: RunId = stamp.parse().ok()?;
    if !run.is_scheduled_form() {
        return None;
    }
    let part = |range: std::ops::Range<usize>| stamp.get(range).unwrap_or_default();
    let (year, month, day) = (part(0..4), part(4..6), part(6..8));
    let (hour, minute, second) = (part(9..11), part(11..13), part(13..15));
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use archive::memory::MemoryStore;
    use bytes::Bytes;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_first_look_begins_at_the_tenants_time_and_a_further_one_later() {
        let now = at("2026-11-24T03:00:00Z");
        assert_eq!(clock_start(now, None), now);
        assert_eq!(clock_start(now, Some(at("2020-01-01T00:00:00Z"))), now);
        assert_eq!(clock_start(now, Some(at("2026-11-24T03:02:31.5Z"))), at("2026-11-24T03:20:00Z"));
        assert_eq!(clock_start(now, Some(at("2026-11-24T03:05:00Z"))), at("2026-11-24T03:20:00Z"));
    }

    #[test]
    fn the_names_of_runs_tell_when_they_began() {
        let time = Some(at("2026-11-24T03:05:09Z"));
        for name in ["20261124T030509Z", "20261124T030509Z-history", "od-20261124T030509Z"] {
            assert_eq!(time_of_run(name), time, "{name}");
        }
        for name in ["", "case-1", "od-1", "20261399T030509Z", "2026112éT030509Z"] {
            assert_eq!(time_of_run(name), None, "{name}");
        }
    }

    #[tokio::test]
    async fn the_newest_trace_is_found_wherever_it_is() {
        let store = Arc::new(MemoryStore::default());
        let stores = Stores { evidence: Arc::clone(&store) as _, state: store };
        let newest = async || newest_trace(&stores).await.unwrap();
        let put = async |key: &str, text: &'static str| {
            stores.evidence.put_new(key, Bytes::from_static(text.as_bytes())).await.unwrap();
        };
        assert_eq!(newest().await, None);
        put("archive.json", r#"{"created_at":"2026-11-24T03:00:00Z"}"#).await;
        assert_eq!(newest().await, Some(at("2026-11-24T03:00:00Z")));
        put("runs/20261124T030100Z/roster.jsonl.zst", "").await;
        assert_eq!(newest().await, Some(at("2026-11-24T03:01:00Z")));
        put("ledger/tenant_id=t/entry-000001.json", r#"{"closed_at":"2026-11-24T03:02:00Z"}"#).await;
        assert_eq!(newest().await, Some(at("2026-11-24T03:02:00Z")));
        put("ledger/tenant_id=t/entry-000002.json", "{").await;
        assert_eq!(newest().await, Some(at("2026-11-24T03:01:00Z")));
    }
}
