//! The access token: one for all, renewed early, by one request however many wait for it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::{Clock, Deadline, Random, Timestamp};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;

use crate::auth::{ClientAuth, ProofRequest, form};
use crate::body::{self, HEAD_LIMIT};
use crate::error::GraphError;
use crate::retry::{Retry, Step};
use crate::transport::Transport;
use crate::wait::{after, retry_after, within};

/// How long before its end a token is renewed, at least; a token that lives shorter than twice this, at half its life.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// How long no further token request is made after one that failed: the next answer would be the same.
const QUIET_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// How often a token request is made: with the waits about ten seconds, since everything waits for it.
const TOKEN_ATTEMPTS: u32 = 5;

/// The most a token endpoint's answer may hold; a token with every claim there is needs a tenth.
const TOKEN_BODY_CAP: usize = 256 << 10;

/// The longest life that is believed, a week: longer ones would overflow before they matter.
const LONGEST_LIFE: u64 = 7 * 24 * 60 * 60;

/// Where and as whom tokens are asked for.
pub(crate) struct TokenConfig {
    pub(crate) endpoint: String,
    pub(crate) client_id: String,
    pub(crate) scope: &'static str,
    pub(crate) federation_audience: &'static str,
}

/// A token as the header carries it.
pub(crate) struct Token {
    header: HeaderValue,
    renew_at: Timestamp,
    ends_at: Timestamp,
    roles: Option<Vec<String>>,
}

impl Token {
    /// The `Authorization` header; marked sensitive, so that nothing prints it.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// The roles it names; `None` if it cannot be read, which is its issuer's right.
    pub(crate) fn roles(&self) -> Option<&[String]> {
        self.roles.as_deref()
    }
}

/// The token of this process.
pub(crate) struct Tokens {
    config: TokenConfig,
    auth: Arc<dyn ClientAuth>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    state: Mutex<State>,
    /// Held while a token is asked for: whoever waits for it finds the answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    /// The last failure, and until when it is the answer.
    failure: Option<(GraphError, Timestamp)>,
}

impl Tokens {
    pub(crate) fn new(
        config: TokenConfig,
        auth: Arc<dyn ClientAuth>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let (state, asking) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { config, auth, transport, clock, random, state, asking }
    }

    /// A token that is good for now.
    pub(crate) async fn get(&self, deadline: Deadline) -> Result<Arc<Token>, GraphError> {
        if let Some(known) = self.known() {
            return known;
        }
        let Some(_asking) = within(&*self.clock, deadline, self.asking.lock()).await else {
            return Err(GraphError::DeadlinePassed);
        };
        if let Some(known) = self.known() {
            return known;
        }
        match self.ask(deadline).await {
            Ok(token) => {
                let token = Arc::new(token);
                *self.state() = State { token: Some(Arc::clone(&token)), failure: None };
                Ok(token)
            }
            // That our time is up says nothing about the next caller's.
            Err(error @ (GraphError::DeadlinePassed | GraphError::RetryAfter { .. })) => self.old().ok_or(error),
            Err(error) => {
                let until = after(self.clock.now(), QUIET_AFTER_FAILURE);
                self.state().failure = Some((error.clone(), until));
                self.old().ok_or(error)
            }
        }
    }

    /// Forgets the token that Graph refused, unless somebody has replaced it already.
    pub(crate) fn refused(&self, token: &Arc<Token>) {
        let mut state = self.state();
        if state.token.as_ref().is_some_and(|held| Arc::ptr_eq(held, token)) {
            state.token = None;
        }
    }

    /// What can be said without asking: a fresh token, or in the quiet after a failure the old one or that failure.
    fn known(&self) -> Option<Result<Arc<Token>, GraphError>> {
        let now = self.clock.now();
        let state = self.state();
        if let Some(token) = state.token.as_ref().filter(|token| now < token.renew_at) {
            return Some(Ok(Arc::clone(token)));
        }
        let (error, _) = state.failure.as_ref().filter(|(_, until)| now < *until)?;
        let old = state.token.as_ref().filter(|token| now < token.ends_at);
        Some(old.map(Arc::clone).ok_or_else(|| error.clone()))
    }

    fn old(&self) -> Option<Arc<Token>> {
        let now = self.clock.now();
        self.state().token.as_ref().filter(|token| now < token.ends_at).map(Arc::clone)
    }

    async fn ask(&self, deadline: Deadline) -> Result<Token, GraphError> {
        let mut may_reload = true;
        let mut retry = Retry::new(&*self.clock, &*self.random, deadline);
        loop {
            let attempt = async {
                match self.attempt().await {
                    Attempt::Token(token) => Step::Done(token),
                    Attempt::Again { last, server } => Step::Again { last, server, attempts: TOKEN_ATTEMPTS },
                    Attempt::Refused { client: true, .. }
                        if std::mem::take(&mut may_reload) && self.auth.reload().await =>
                    {
                        Step::AtOnce
                    }
                    Attempt::Refused { error, .. } => Step::Stop(error),
                }
            };
            if let Some(token) = retry.step(attempt).await? {
                return Ok(token);
            }
        }
    }

    async fn attempt(&self) -> Attempt {
        let asked_at = self.clock.now();
        let proof = ProofRequest {
            client_id: &self.config.client_id,
            token_endpoint: &self.config.endpoint,
            federation_audience: self.config.federation_audience,
            now: asked_at,
            id: uuid::Builder::from_random_bytes(self.random.bytes16()).into_uuid(),
        };
        let mut fields: Vec<(&'static str, SecretString)> = vec![
            ("grant_type", "client_credentials".into()),
            ("client_id", self.config.client_id.clone().into()),
            ("scope", self.config.scope.into()),
        ];
        match self.auth.proof(proof).await {
            Ok(proof) => fields.extend(proof),
            Err(error) => return Attempt::Refused { error: GraphError::Credential(error), client: false },
        }
        let request = http::Request::builder()
            .method(Method::POST)
            .uri(self.config.endpoint.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(Bytes::from(form(&fields)));
        let Ok(request) = request else {
            let error = GraphError::Token { code: None, advice: "check GRAPH_LOGIN_URL and GRAPH_TENANT_ID" };
            return Attempt::Refused { error, client: false };
        };
        let no_answer = Attempt::Again { last: GraphError::NoAnswer, server: None };
        let limit = Deadline::at(after(asked_at, HEAD_LIMIT));
        let Some(Ok(response)) = within(&*self.clock, limit, self.transport.send(request)).await else {
            return no_answer;
        };
        let (status, headers) = (response.status, response.headers.clone());
        let server = retry_after(&headers, self.clock.now());
        let Ok(body) = Box::pin(body::read(response, TOKEN_BODY_CAP, None, &*self.clock)).await else {
            return no_answer;
        };
        tracing::debug!(status = status.as_u16(), bytes = body.len(), "token endpoint answered");
        judge(status, &body, server, asked_at)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Attempt {
    Token(Token),
    Again { last: GraphError, server: Option<Duration> },
    Refused { error: GraphError, client: bool },
}

#[derive(Deserialize)]
struct Issued {
    access_token: String,
    expires_in: Seconds,
}

/// Seconds as a number, or as digits in a string, which older endpoints write.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_codes: Vec<u64>,
}

fn judge(status: StatusCode, body: &[u8], server: Option<Duration>, asked_at: Timestamp) -> Attempt {
    let broken = Attempt::Again { last: GraphError::Server { status: status.as_u16(), request_id: None }, server };
    if status == StatusCode::OK {
        return serde_json::from_slice(body)
            .ok()
            .and_then(|issued| token(issued, asked_at))
            .map_or(broken, Attempt::Token);
    }
    if status.is_server_error() || matches!(status.as_u16(), 408 | 429) || !status.is_client_error() {
        return broken;
    }
    // Without Entra's own words it is some machine in between that speaks.
    let Ok(refused) = serde_json::from_slice::<Refused>(body) else { return broken };
    let code = refused.error_codes.first().copied();
    let error = GraphError::Token { code, advice: advice(code, &refused.error) };
    let passing = matches!(refused.error.as_str(), "temporarily_unavailable" | "server_error");
    if passing || matches!(code, Some(70_021 | 700_211..=700_213 | 700_024)) {
        Attempt::Again { last: error, server }
    } else {
        Attempt::Refused { error, client: refused.error == "invalid_client" }
    }
}

fn token(issued: Issued, asked_at: Timestamp) -> Option<Token> {
    let life = match issued.expires_in {
        Seconds::Number(seconds) => seconds,
        Seconds::Text(digits) => digits.parse().ok()?,
    };
    let life = Duration::from_secs(life.clamp(1, LONGEST_LIFE));
    let mut header = HeaderValue::try_from(format!("Bearer {}", issued.access_token)).ok()?;
    header.set_sensitive(true);
    Some(Token {
        header,
        renew_at: after(asked_at, life.saturating_sub(RENEW_BEFORE).max(life / 2)),
        ends_at: after(asked_at, life),
        roles: roles(&issued.access_token),
    })
}

/// The `roles` of a token's payload, read for a clear message only: whether they suffice is Graph's to say.
fn roles(token: &str) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Payload {
        #[serde(default)]
        roles: Vec<String>,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    serde_json::from_slice::<Payload>(&payload).ok().map(|payload| payload.roles)
}

/// What to do about a refusal, in our words: Entra's description repeats parts of the request.
fn advice(code: Option<u64>, error: &str) -> &'static str {
    match code {
        Some(7_000_215) => "the client secret is wrong: store the secret's value, not its id",
        Some(7_000_222) => "the client secret has expired: create a new one and store its value",
        Some(700_016) => "the application is not known in this tenant: check GRAPH_CLIENT_ID and GRAPH_TENANT_ID",
        Some(90_002) => "the tenant is not known: check GRAPH_TENANT_ID and GRAPH_CLOUD",
        Some(70_011 | 500_011) => "the cloud does not know this Graph: check GRAPH_CLOUD",
        Some(700_027) => "the certificate is not registered on the application, or is another one than stored",
        Some(700_024) => "the assertion was not within its time: check this machine's clock",
        Some(70_021 | 700_211..=700_213) => {
            "no federated credential matches: compare issuer, subject and audience; a new one takes some minutes"
        }
        Some(7_002_138) => "the federated credential's subject differs in letter case: copy it exactly",
        _ if error == "invalid_client" => "the credential is not accepted: check the one that is stored",
        _ => "check the application's registration in Entra",
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("auth", &self.auth).finish_non_exhaustive()
    }
}
