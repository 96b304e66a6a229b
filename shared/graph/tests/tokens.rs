//! The token: asked once for all, renewed early, replaced once when refused, and never where it does not belong.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use domain::{Deadline, Failure};
use graph::{AuthError, ClientAuth, ClientSecret, GraphError, ProofRequest, TransportError};
use secrecy::SecretString;
use support::{Reply, World, graph_error, page, reply, reply_with, token};

const NEVER: Deadline = Deadline::never();
const ROLE: &str = "AiEnterpriseInteraction.Read.All";

fn secret() -> Arc<dyn ClientAuth> {
    Arc::new(ClientSecret("hunter2-secret".into()))
}

fn world(graph: Vec<Reply>, entra: Vec<Reply>) -> World {
    World::with(graph, entra, |_| {}, secret())
}

fn aadsts(status: u16, error: &str, code: u64) -> Reply {
    let body = serde_json::json!({
        "error": error, "error_codes": [code],
        "error_description": format!("AADSTS{code}: canary Trace ID: x"), "trace_id": "x",
    });
    reply(status, body.to_string())
}

#[tokio::test(start_paused = true)]
async fn many_who_wait_share_one_request() {
    let world = world(vec![], vec![]);
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let mut pages = world.pages();
            tokio::spawn(async move { pages.next(NEVER).await.map(|_| ()) })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let requests = world.token_requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].host, "login.microsoftonline.com");
    assert_eq!(requests[0].target, format!("/{}/oauth2/v2.0/token", support::TENANT));
    assert_eq!(
        requests[0].body,
        "grant_type=client_credentials&client_id=client-1\
         &scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&client_secret=hunter2-secret"
    );
    assert!(requests[0].headers.get("authorization").is_none());
    assert!(world.seen().iter().all(|seen| seen.host == "graph.microsoft.com" && seen.body.is_empty()));
    // Released together by the token, they still go out one after the other.
    for pair in world.seen().windows(2) {
        assert!(pair[1].at.duration_since(pair[0].at).as_millis() >= 36);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_five_minutes_early_and_a_short_one_at_half_its_life() {
    for (life, kept, renewed) in [(3600, 3290, 3301), (86_399, 86_000, 86_100), (600, 290, 301), (10, 4, 6)] {
        let world = world(vec![], vec![token(1, &[ROLE], life)]);
        world.pages().next(NEVER).await.unwrap();
        let start = world.clock.now();
        world.clock.sleep(Duration::from_secs(kept)).await;
        world.pages().next(NEVER).await.unwrap();
        assert_eq!(world.token_requests().len(), 1, "{life}");
        world.clock.sleep_until(start.checked_add(Duration::from_secs(renewed)).unwrap()).await;
        world.pages().next(NEVER).await.unwrap();
        assert_eq!(world.token_requests().len(), 2, "{life}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_renewal_fails_the_old_token_serves_to_its_end() {
    let mut entra = vec![token(1, &[ROLE], 3600)];
    entra.extend((0..1000).map(|_| reply(503, "")));
    let world = world(vec![], entra);
    world.pages().next(NEVER).await.unwrap();
    world.clock.sleep(Duration::from_secs(3400)).await;
    world.pages().next(NEVER).await.unwrap();
    // Quiet after the failure: no further request for a while.
    let requests = world.token_requests().len();
    world.pages().next(NEVER).await.unwrap();
    assert_eq!((requests, world.token_requests().len()), (6, 6));
    world.clock.sleep(Duration::from_secs(300)).await;
    assert!(matches!(world.pages().next(NEVER).await, Err(GraphError::Server { status: 503, .. })));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once_by_one_request_for_all() {
    let refused = || reply(401, graph_error("InvalidAuthenticationToken", "Access token has expired"));
    let mut graph = vec![page(&[], None)];
    graph.extend((0..8).map(|_| refused()));
    let world = World::with(graph, [], |config| config.requests_per_second = 1000.0, secret());
    world.pages().next(NEVER).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let mut pages = world.pages();
            tokio::spawn(async move { pages.next(NEVER).await.map(|_| pages.tally().by_status.len()) })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), 2);
    }
    assert_eq!(world.token_requests().len(), 2);
    let seen = world.seen();
    assert_eq!(seen.len(), 17);
    assert_ne!(seen[1].header("authorization"), seen[16].header("authorization"));

    let world = self::world(vec![refused(), refused(), refused()], vec![]);
    let error = world.pages().next(NEVER).await.unwrap_err();
    assert!(matches!(error, GraphError::Unauthorised { status: 401, .. }), "{error}");
    assert_eq!(error.failure(), Some(Failure::Unauthorised));
    assert_eq!((world.seen().len(), world.token_requests().len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn what_passes_at_the_token_endpoint_is_tried_again() {
    for failure in [
        || reply(500, ""),
        || reply(429, ""),
        || reply(200, "<html>maintenance</html>"),
        || reply(200, "{\"access_token\":\"x\"}"),
        || reply(400, "<html>proxy</html>"),
        || aadsts(400, "temporarily_unavailable", 1),
        || aadsts(400, "invalid_request", 70_021),
        || aadsts(401, "invalid_client", 700_211),
        || aadsts(400, "invalid_request", 700_213),
        || aadsts(401, "invalid_client", 700_024),
        || Reply::Fail(TransportError::Connect),
        || Reply::Fail(TransportError::Reset),
        || Reply::Hang,
    ] {
        let world = world(vec![], (0..4).map(|_| failure()).collect());
        world.client.check_consent(NEVER).await.unwrap();
        assert_eq!(world.token_requests().len(), 5);
    }
    let world = world(vec![], vec![reply_with(429, "retry-after", "40", "")]);
    world.client.check_consent(NEVER).await.unwrap();
    let requests = world.token_requests();
    assert!(requests[1].at.duration_since(requests[0].at).as_secs() >= 40);

    let world = self::world(vec![], vec![reply_with(429, "retry-after", "400", "")]);
    let error = world.client.check_consent(world.within(60)).await.unwrap_err();
    assert!(matches!(error, GraphError::RetryAfter { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_names_the_code_and_what_to_do() {
    for (status, error, code, part) in [
        (401, "invalid_client", 7_000_215, "store the secret's value"),
        (401, "invalid_client", 7_000_222, "has expired"),
        (400, "unauthorized_client", 700_016, "GRAPH_CLIENT_ID"),
        (400, "invalid_request", 90_002, "GRAPH_TENANT_ID"),
        (400, "invalid_scope", 70_011, "GRAPH_CLOUD"),
        (400, "invalid_resource", 500_011, "GRAPH_CLOUD"),
        (401, "invalid_client", 700_027, "certificate"),
        (400, "invalid_request", 7_002_138, "letter case"),
        (400, "something_new", 1, "registration"),
    ] {
        let world = world(vec![], vec![aadsts(status, error, code)]);
        let error = world.pages().next(NEVER).await.unwrap_err();
        let text = format!("{error}{error:?}");
        assert!(text.contains(&format!("AADSTS{code}")) && text.contains(part), "{text}");
        assert!(!text.contains("canary") && !text.contains("hunter2"), "{text}");
        assert_eq!(error.failure(), Some(Failure::Unauthorised));
        // The others who ask right after it hear the same without asking Entra.
        assert!(world.pages().next(NEVER).await.is_err());
        assert_eq!((world.token_requests().len(), world.seen().len()), (1, 0));
        // And later it is asked again.
        world.clock.sleep(Duration::from_secs(11)).await;
        world.pages().next(NEVER).await.unwrap();
    }
}

#[derive(Debug, Default)]
struct Rotated {
    reloads: AtomicUsize,
    works: bool,
}

#[async_trait]
impl ClientAuth for Rotated {
    async fn proof(&self, request: ProofRequest<'_>) -> Result<Vec<(&'static str, SecretString)>, AuthError> {
        assert!(request.token_endpoint.starts_with("https://login.microsoftonline.com/"));
        let secret = if self.reloads.load(Relaxed) == 0 { "old" } else { "new" };
        Ok(vec![("client_secret", secret.into())])
    }

    async fn reload(&self) -> bool {
        self.reloads.fetch_add(1, Relaxed);
        self.works
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotated_secret_is_read_again_once() {
    let auth = Arc::new(Rotated { works: true, ..Rotated::default() });
    let refusal = || aadsts(401, "invalid_client", 7_000_215);
    let world = World::with([], [refusal()], |_| {}, Arc::clone(&auth) as Arc<dyn ClientAuth>);
    world.pages().next(NEVER).await.unwrap();
    let sent: Vec<_> = world.token_requests().iter().map(|seen| seen.body.clone()).collect();
    assert!(sent[0].ends_with("client_secret=old") && sent[1].ends_with("client_secret=new"), "{sent:?}");

    for (works, requests) in [(true, 2), (false, 1)] {
        let auth = Arc::new(Rotated { works, ..Rotated::default() });
        let world = World::with([], (0..3).map(|_| refusal()), |_| {}, Arc::clone(&auth) as Arc<dyn ClientAuth>);
        assert!(matches!(world.pages().next(NEVER).await, Err(GraphError::Token { code: Some(7_000_215), .. })));
        assert_eq!((world.token_requests().len(), auth.reloads.load(Relaxed)), (requests, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn missing_consent_is_named_by_its_role() {
    let consented = world(vec![], vec![token(1, &["User.Read.All", ROLE], 3600)]);
    consented.client.check_consent(NEVER).await.unwrap();
    for roles in [&[][..], &["User.Read.All"][..]] {
        let world = world(vec![], vec![token(1, roles, 3600)]);
        let error = world.client.check_consent(NEVER).await.unwrap_err();
        assert!(error.to_string().contains(ROLE), "{error}");
        assert_eq!(error.failure(), Some(Failure::Unauthorised));
    }
    let opaque = r#"{"access_token":"opaque","expires_in":"3599"}"#;
    let world = world(vec![], vec![reply(200, opaque)]);
    world.client.check_consent(NEVER).await.unwrap();
}
