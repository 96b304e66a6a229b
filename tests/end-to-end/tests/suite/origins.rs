//! Where requests go: to the two hosts that are configured and nowhere else, whatever an answer says.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use domain::Deadline;
use end_to_end::{BATCH, FIFTEEN_MINUTES, InProcess, World};
use graph::{ClientSecret, Cloud, GraphClient, GraphConfig, Response, Transport, TransportError};
use graph_simulator::{Fault, Rule, Switches};
use http::header::{HeaderMap, LOCATION};
use secrecy::SecretString;

use super::one_user;

const ELSEWHERE: &str = "evil.example";

/// Notes where requests go, and answers those for interactions with a redirect if it is told to.
#[derive(Debug)]
struct Noted {
    graph: InProcess,
    redirects: bool,
    origins: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl Transport for Noted {
    async fn send(&self, request: http::Request<Bytes>) -> Result<Response, TransportError> {
        let uri = request.uri().clone();
        let origin = format!("{}://{}", uri.scheme_str().unwrap(), uri.authority().unwrap());
        self.origins.lock().unwrap().insert(origin);
        if self.redirects && uri.path().contains("interactionHistory") {
            let location = format!("https://{ELSEWHERE}{}", uri.path());
            let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
            return Ok(Response::whole(http::StatusCode::FOUND, headers, ""));
        }
        self.graph.send(request).await
    }
}

/// A worker reads a user of whom Graph says such things. Where its requests went.
async fn asked(rules: Vec<Rule>, redirects: bool) -> BTreeSet<String> {
    let (tenant, user) = one_user(30);
    let world = World::with(tenant, Switches { rules, ..Switches::default() });
    world.fan_out(&format!(r#"{{"scheduledTime":"{}"}}"#, world.seconds())).await.unwrap();
    let graph = InProcess(Arc::clone(&world.simulator));
    let noted = Arc::new(Noted { graph, redirects, origins: Mutex::default() });
    let tenant = world.simulator.tenant();
    let config = GraphConfig::new(tenant.id, tenant.application.client_id.to_string());
    let auth = ClientSecret(SecretString::from(tenant.application.secret.clone()));
    let mut deps = world.worker(0);
    let transport = Arc::<Noted>::clone(&noted);
    deps.graph = GraphClient::new(config, Arc::new(auth), transport, world.clock(), Arc::clone(&deps.random)).unwrap();
    let batch = world.queue.receive(BATCH).await;
    let deadline = Deadline::before(world.now() + FIFTEEN_MINUTES, world.now());
    let failed = worker::handle(batch, deadline, &deps).await;
    assert_eq!(failed.len(), 1, "the user is failed");
    assert_eq!(world.held(user) > 0, !redirects, "what was shown is kept");
    noted.origins.lock().unwrap().clone()
}

fn configured() -> BTreeSet<String> {
    [Cloud::Global.graph_origin(), Cloud::Global.login_origin()].map(|origin| origin.to_string()).into()
}

#[tokio::test(start_paused = true)]
async fn a_next_link_to_another_host_is_never_asked_for() {
    let rules = vec![Rule::always(Fault::ForeignLink(ELSEWHERE.to_owned()))];
    assert_eq!(asked(rules, false).await, configured());
}

#[tokio::test(start_paused = true)]
async fn a_redirect_to_another_host_is_never_asked_for() {
    assert_eq!(asked(Vec::new(), true).await, configured());
}
