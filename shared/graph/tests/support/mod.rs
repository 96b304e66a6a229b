//! A scripted Graph and Entra in process, on simulated time.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::{Clock, Deadline, Random, ScaledClock, SeededRandom, Timestamp, UserId};
use graph::{ClientAuth, ClientSecret, GraphClient, GraphConfig, Response, Transport, TransportError};
use http::{HeaderMap, HeaderName, StatusCode};

pub const TENANT: &str = "2a633e58-3645-49fd-a53a-242d4ee11224";
pub const USER: &str = "5ac181d0-c896-435a-a745-ac948db1d59a";
pub const GRAPH: &str = "https://graph.microsoft.com";
pub const PATH: &str =
    "/v1.0/copilot/users/5ac181d0-c896-435a-a745-ac948db1d59a/interactionHistory/getAllEnterpriseInteractions";

/// What the script answers.
pub enum Reply {
    Answer(u16, Vec<(&'static str, String)>, Bytes),
    Pieces(Vec<Result<Bytes, TransportError>>),
    Fail(TransportError),
    Hang,
}

/// An answer with a body.
pub fn reply(status: u16, body: impl Into<Bytes>) -> Reply {
    Reply::Answer(status, vec![("request-id", format!("graph-{status}"))], body.into())
}

/// An answer with a header more.
pub fn reply_with(status: u16, name: &'static str, value: &str, body: &'static str) -> Reply {
    Reply::Answer(status, vec![("request-id", format!("graph-{status}")), (name, value.to_owned())], body.into())
}

/// A page with these items and this link.
pub fn page(items: &[&str], link: Option<&str>) -> Reply {
    let link =
        link.map_or(String::new(), |link| format!(",\"@odata.nextLink\":{}", serde_json::to_string(link).unwrap()));
    reply(200, format!("{{\"value\":[{}]{link}}}", items.join(",")))
}

/// A request as it was sent.
#[derive(Clone)]
pub struct Seen {
    pub at: Timestamp,
    pub host: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

type Handler = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;

pub struct Script {
    clock: Arc<dyn Clock>,
    graph: Mutex<VecDeque<Reply>>,
    entra: Mutex<VecDeque<Reply>>,
    otherwise: Handler,
    pub seen: Mutex<Vec<Seen>>,
    pub tokens: Mutex<Vec<Seen>>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

/// A token with these roles; each is another.
pub fn token(number: usize, roles: &[&str], expires_in: u64) -> Reply {
    let claims = serde_json::json!({"roles": roles, "n": number}).to_string();
    let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
    reply(200, serde_json::json!({"token_type":"Bearer","expires_in":expires_in,"access_token":token}).to_string())
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: http::Request<Bytes>) -> Result<Response, TransportError> {
        let uri = request.uri();
        let seen = Seen {
            at: self.clock.now(),
            host: uri.host().unwrap().to_owned(),
            target: uri.path_and_query().unwrap().to_string(),
            headers: request.headers().clone(),
            body: String::from_utf8(request.body().to_vec()).unwrap(),
        };
        let answer = if seen.host.starts_with("login.") {
            let mut tokens = self.tokens.lock().unwrap();
            tokens.push(seen);
            let number = tokens.len();
            drop(tokens);
            self.entra
                .lock()
                .unwrap()
                .pop_front()
                .unwrap_or_else(|| token(number, &["AiEnterpriseInteraction.Read.All"], 3600))
        } else {
            self.seen.lock().unwrap().push(seen.clone());
            self.graph.lock().unwrap().pop_front().unwrap_or_else(|| (self.otherwise)(&seen))
        };
        self.clock.sleep(Duration::from_millis(100)).await;
        match answer {
            Reply::Hang => std::future::pending().await,
            Reply::Fail(error) => Err(error),
            Reply::Pieces(pieces) => Ok(Response {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
                body: Box::pin(futures_util::stream::iter(pieces)),
            }),
            Reply::Answer(status, headers, body) => {
                let pairs =
                    headers.into_iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
                Ok(Response::whole(StatusCode::from_u16(status).unwrap(), pairs.collect(), body))
            }
        }
    }
}

pub struct World {
    pub clock: Arc<dyn Clock>,
    pub script: Arc<Script>,
    pub client: GraphClient,
}

impl World {
    /// A client whose Graph gives these answers in this order, then an empty last page for ever.
    pub fn new(graph: impl IntoIterator<Item = Reply>) -> Self {
        Self::with(graph, [], |_| {}, Arc::new(ClientSecret("hunter2-secret".into())))
    }

    pub fn with(
        graph: impl IntoIterator<Item = Reply>,
        entra: impl IntoIterator<Item = Reply>,
        change: impl FnOnce(&mut GraphConfig),
        auth: Arc<dyn ClientAuth>,
    ) -> Self {
        Self::answering(graph, entra, change, auth, Box::new(|_| page(&[], None)))
    }

    pub fn answering(
        graph: impl IntoIterator<Item = Reply>,
        entra: impl IntoIterator<Item = Reply>,
        change: impl FnOnce(&mut GraphConfig),
        auth: Arc<dyn ClientAuth>,
        otherwise: Handler,
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new("2026-03-02T09:00:00Z".parse().unwrap(), 1.0));
        let script = Arc::new(Script {
            clock: Arc::clone(&clock),
            graph: Mutex::new(graph.into_iter().collect()),
            entra: Mutex::new(entra.into_iter().collect()),
            otherwise,
            seen: Mutex::default(),
            tokens: Mutex::default(),
        });
        let mut config = GraphConfig::new(TENANT.parse().unwrap(), "client-1");
        change(&mut config);
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(11));
        let transport: Arc<dyn Transport> = Arc::clone(&script) as Arc<dyn Transport>;
        let client = GraphClient::new(config, auth, transport, Arc::clone(&clock), random).unwrap();
        Self { clock, script, client }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.script.seen.lock().unwrap().clone()
    }

    pub fn token_requests(&self) -> Vec<Seen> {
        self.script.tokens.lock().unwrap().clone()
    }

    pub fn pages(&self) -> graph::Pages {
        self.client.interactions(user(), graph::Question::Everything)
    }

    pub fn within(&self, seconds: u64) -> Deadline {
        Deadline::at(self.clock.now().checked_add(Duration::from_secs(seconds)).unwrap())
    }

    /// Seconds since the first request to Graph.
    pub fn elapsed(&self) -> f64 {
        let first = self.seen().first().map_or_else(|| self.clock.now(), |seen| seen.at);
        self.clock.now().duration_since(first).as_secs_f64()
    }
}

pub fn user() -> UserId {
    USER.parse().unwrap()
}

pub fn graph_error(code: &str, message: &str) -> String {
    serde_json::json!({"error": {"code": code, "message": message}}).to_string()
}
