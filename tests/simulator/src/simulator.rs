//! The service without a network: one request in, one answer out.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::{Clock, UserId};
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, DATE, HOST};
use http::{HeaderName, Request};
use jiff::Timestamp;
use uuid::Uuid;

use crate::answer::{Answer, Transport, http_date};
use crate::fault::{Counts, Fault, Seen, chance};
use crate::ledger::{Arrival, Ledger, RequestKind};
use crate::limiter::Limiter;
use crate::login::Tokens;
use crate::route::Route;
use crate::switches::{RetryAfter, Switches};
use crate::tenant::Tenant;

const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const DIAGNOSTIC: HeaderName = HeaderName::from_static("x-ms-ags-diagnostic");

type Change = Box<dyn FnOnce(&mut Switches) + Send>;

/// A simulated Graph and Entra over one tenant.
pub struct Simulator {
    tenant: Arc<Tenant>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    ledger: Mutex<Ledger>,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("tenant", &self.tenant.id).field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// What changes from request to request.
pub(crate) struct State {
    pub(crate) switches: Switches,
    schedule: Vec<(Timestamp, Change)>,
    pub(crate) limiter: Limiter,
    pub(crate) counts: Counts,
    pub(crate) tokens: Tokens,
    /// For each user, the item indices newest first.
    pub(crate) newest_first: Arc<Vec<Vec<usize>>>,
    requests: u64,
}

/// A request on its way through the service.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) request: &'a Request<Bytes>,
    pub(crate) now: Timestamp,
    pub(crate) target: String,
    pub(crate) request_id: String,
    pub(crate) kind: RequestKind,
    pub(crate) user: Option<UserId>,
}

/// An answer with what the ledger and the faults have to know of it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) told: Option<Duration>,
    pub(crate) faults: Vec<Fault>,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { answer, told: None, faults: Vec::new() }
    }
}

impl Simulator {
    /// A service over this tenant.
    pub fn new(tenant: Arc<Tenant>, switches: Switches, clock: Arc<dyn Clock>) -> Self {
        let newest_first = tenant.users().iter().map(|user| {
            let mut order: Vec<usize> = (0..user.items().len()).collect();
            order.sort_by_key(|&index| std::cmp::Reverse(user.items()[index].created));
            order
        });
        let state = State {
            switches,
            schedule: Vec::new(),
            limiter: Limiter::default(),
            counts: Counts::default(),
            tokens: Tokens::default(),
            newest_first: Arc::new(newest_first.collect()),
            requests: 0,
        };
        Self { tenant, clock, state: Mutex::new(state), ledger: Mutex::new(Ledger::default()) }
    }

    /// A service that changes as a script says.
    pub fn scripted(tenant: Arc<Tenant>, script: crate::Script, clock: Arc<dyn Clock>) -> Self {
        let simulator = Self::new(tenant, script.switches, clock);
        for step in script.schedule {
            // A step that does not fit was refused when the script was read; one made by hand changes nothing.
            simulator.schedule(step.at, move |switches| {
                if let Ok(patched) = switches.patched(&step.set) {
                    *switches = patched;
                }
            });
        }
        simulator
    }

    /// The truth.
    pub fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The switches as they are now.
    pub fn switches(&self) -> Switches {
        let mut state = self.state();
        state.apply_schedule(self.clock.now());
        state.switches.clone()
    }

    /// Changes switches at once.
    pub fn change(&self, change: impl FnOnce(&mut Switches)) {
        let mut state = self.state();
        state.apply_schedule(self.clock.now());
        state.apply(change);
    }

    /// Changes switches at the first request at or after this time.
    pub fn schedule(&self, at: Timestamp, change: impl FnOnce(&mut Switches) + Send + 'static) {
        let mut state = self.state();
        state.schedule.push((at, Box::new(change)));
        state.schedule.sort_by_key(|(at, _)| *at);
    }

    /// A copy of the ledger.
    pub fn ledger(&self) -> Ledger {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A token as the token endpoint would issue it now: for tests that are not about tokens.
    pub fn token(&self) -> String {
        let now = self.clock.now();
        let mut state = self.state();
        state.apply_schedule(now);
        let State { switches, tokens, .. } = &mut *state;
        tokens.issue(&self.tenant, switches, now, "1")
    }

    /// Answers a request, taking its time on the clock.
    pub async fn answer(&self, request: Request<Bytes>) -> Answer {
        let (index, order, latency, mut exchange) = self.receive(&request);
        self.clock.sleep(latency / 2).await;
        exchange.now = self.clock.now();
        let mut reply = self.state().reply(&exchange, order);
        let slow: u64 =
            reply.faults.iter().map(|fault| if let Fault::Slow { millis } = fault { *millis } else { 0 }).sum();
        self.clock.sleep(latency / 2 + Duration::from_millis(slow)).await;
        let answer = &mut reply.answer;
        let status = (answer.transport != Transport::ResetBefore).then_some(answer.status.as_u16());
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.deliver(index, self.clock.now(), status, reply.told);
        drop(ledger);
        reply.answer
    }

    fn receive<'a>(&'a self, request: &'a Request<Bytes>) -> (usize, u64, Duration, Exchange<'a>) {
        let now = self.clock.now();
        let route = Route::of(request.method(), request.uri().path());
        let user = route.user().and_then(|name| self.tenant.find(name)).map(|user| user.id);
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let arrival = Arrival {
            method: request.method().to_string(),
            target: target.clone(),
            authorization: request.headers().contains_key(AUTHORIZATION),
            consistency_level: header("consistencylevel"),
            client_request_id: header("client-request-id"),
        };
        let index = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).start(now, route.kind(), user, arrival);
        let mut state = self.state();
        state.apply_schedule(now);
        state.requests += 1;
        let (order, switches) = (state.requests, &state.switches);
        let jitter = (switches.latency_jitter_ms as f64 * chance(switches.seed ^ 0x1a7e, order)) as u64;
        let latency = Duration::from_millis(switches.latency_ms + jitter);
        let seed = switches.seed;
        drop(state);
        let id = Uuid::from_u64_pair((chance(seed, order) * u64::MAX as f64) as u64, order);
        let request_id = uuid::Builder::from_random_bytes(id.into_bytes()).into_uuid().to_string();
        let exchange = Exchange { tenant: &self.tenant, request, now, target, request_id, kind: route.kind(), user };
        (index, order, latency, exchange)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply_schedule(&mut self, now: Timestamp) {
        while self.schedule.first().is_some_and(|(at, _)| *at <= now) {
            let (_, change) = self.schedule.remove(0);
            self.apply(change);
        }
    }

    fn apply(&mut self, change: impl FnOnce(&mut Switches)) {
        let before = self.switches.rules.clone();
        change(&mut self.switches);
        let kept = before.iter().zip(&self.switches.rules).take_while(|(before, now)| before == now).count();
        self.counts.keep(kept);
    }

    fn reply(&mut self, exchange: &Exchange<'_>, order: u64) -> Reply {
        self.apply_schedule(exchange.now);
        let route = Route::of(exchange.request.method(), exchange.request.uri().path());
        let mut reply = match &route {
            Route::Interactions { version, user } => self.interactions(exchange, version, user),
            Route::Token { .. } | Route::OpenId { .. } | Route::Keys | Route::Instance => self.login(exchange, &route),
            Route::Unknown => {
                Answer::error(404, "NotFound", "Requested API is not supported. Please check the path.").into()
            }
            _ => self.directory(exchange, &route),
        };
        self.finish(exchange, &mut reply, order);
        reply
    }

    /// The faults that this request meets.
    pub(crate) fn faults(&mut self, exchange: &Exchange<'_>, page: Option<Page<'_>>) -> Vec<Fault> {
        let seen = Seen {
            kind: exchange.kind,
            target: &exchange.target,
            now: exchange.now,
            user: exchange.user,
            page: page.map(|page| page.number),
            folder: page.map(|page| page.folder),
            items: page.map_or(&[], |page| page.items),
        };
        self.counts.matching(&self.switches.rules, &seen, self.switches.seed)
    }

    /// Headers, compression and what the faults do to the finished answer.
    fn finish(&self, exchange: &Exchange<'_>, reply: &mut Reply, order: u64) {
        let answer = &mut reply.answer;
        if self.switches.pretty && answer.status == 200 {
            answer.body = crate::answer::with_newlines(&answer.body).into();
        }
        let length_of_bomb =
            reply.faults.iter().find_map(|fault| if let Fault::GzipBomb(zeros) = fault { Some(*zeros) } else { None });
        for fault in &reply.faults {
            spoil(answer, fault);
        }
        let accepts = exchange.request.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
        let accepts_gzip = accepts.is_some_and(|accepts| accepts.to_ascii_lowercase().contains("gzip"));
        let encoded = answer.headers.contains_key(CONTENT_ENCODING);
        if length_of_bomb.is_some() || (self.switches.gzip && accepts_gzip && !encoded && answer.body.len() > 512) {
            answer.compress(length_of_bomb.unwrap_or(0));
        }
        let mut off_by = 0;
        for fault in &reply.faults {
            match fault {
                Fault::Reset => answer.transport = Transport::ResetBefore,
                Fault::ResetWithinBody => answer.transport = Transport::ResetAfter(answer.body.len() / 2),
                Fault::ContentLength(by) => off_by = *by,
                _ => {}
            }
        }
        answer.declare_length(off_by);
        let client_id = exchange.request.headers().get(CLIENT_REQUEST_ID).cloned();
        let scale_unit = order % 8;
        let mut whole = std::mem::replace(answer, Answer::json(""))
            .with(DATE, &http_date(exchange.now))
            .with(http::header::CACHE_CONTROL, "no-cache")
            .with(REQUEST_ID, &exchange.request_id)
            .with(CLIENT_REQUEST_ID, &exchange.request_id)
            .with(DIAGNOSTIC, &format!(r#"{{"ServerInfo":{{"DataCenter":"West Europe","Slice":"E","Ring":"5","ScaleUnit":"00{scale_unit}","RoleInstance":"SIMULATED"}}}}"#));
        if let Some(id) = client_id {
            whole.headers.insert(CLIENT_REQUEST_ID, id);
        }
        *answer = whole;
    }
}

/// A page, as rules see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page<'a> {
    pub(crate) number: u32,
    pub(crate) folder: crate::tenant::Folder,
    pub(crate) items: &'a [&'a str],
}

impl Exchange<'_> {
    /// Scheme and host that the client used, for links back.
    pub(crate) fn origin(&self) -> String {
        let uri = self.request.uri();
        let header = |name: &str| self.request.headers().get(name).and_then(|value| value.to_str().ok());
        let scheme = header("x-forwarded-proto").or_else(|| uri.scheme_str()).unwrap_or("http");
        let host = uri.authority().map(http::uri::Authority::as_str).or_else(|| header(HOST.as_str()));
        format!("{scheme}://{}", host.unwrap_or("localhost"))
    }

    /// The bearer token.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let value = self.request.headers().get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }

    /// The answer that takes the place of the proper one, if a fault says so.
    pub(crate) fn instead(&self, faults: &[Fault]) -> Option<(Answer, Option<Duration>)> {
        faults.iter().find_map(|fault| {
            let answer = match fault {
                Fault::Status(status) => {
                    Answer::inner_error(*status, "UnknownError", "Simulated fault.", self.now, &self.request_id)
                }
                Fault::Answer { status, content_type, body, retry_after } => {
                    let answer = Answer::new(*status, content_type, body.clone());
                    let told = retry_after.as_ref().and_then(|text| text.parse().ok()).map(Duration::from_secs);
                    return Some(match retry_after {
                        Some(text) => (answer.with(http::header::RETRY_AFTER, text), told),
                        None => (answer, None),
                    });
                }
                Fault::Throttle { retry_after, seconds } => {
                    let wait = Duration::from_secs(u64::from(*seconds));
                    return Some(Answer::throttled(retry_after, wait, self.now));
                }
                Fault::BadGateway => Answer::new(
                    502,
                    "text/html",
                    "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>",
                ),
                Fault::Redirect(location) => Answer::redirect(location),
                Fault::Refused => Answer::inner_error(403, "Forbidden", "UnknownError", self.now, &self.request_id),
                Fault::LicenceLost => self.no_licence(),
                Fault::InvalidS2s => Answer::error(403, "Forbidden", "Invalid S2S auth token."),
                Fault::TokenExpired => expired(),
                _ => return None,
            };
            Some((answer, None))
        })
    }

    /// 403 for this user.
    pub(crate) fn no_licence(&self) -> Answer {
        let user = self.user.map(|user| user.to_string()).unwrap_or_default();
        Answer::error(403, "Forbidden", &format!("User '{user}' does not have a valid Copilot license."))
    }

    /// Whether the token is good and holds the role; else what the answer is.
    pub(crate) fn authorised(&self, tokens: &Tokens, switches: &Switches, role: &str) -> Result<(), Answer> {
        let Some(token) = self.bearer() else {
            return Err(Answer::error(401, "InvalidAuthenticationToken", "Access token is empty."));
        };
        let roles = tokens.roles(token, switches, self.now).ok_or_else(expired)?;
        if roles.iter().any(|granted| granted == role) {
            return Ok(());
        }
        Err(if self.kind == RequestKind::Interactions {
            let message = format!(
                "Missing scope permissions on the request. API requires one of '{role}'. Scopes on the request ''"
            );
            Answer::error(403, "Forbidden", &message)
        } else {
            Answer::error(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        })
    }

    /// The limiter's refusal.
    pub(crate) fn throttled(&self, form: &RetryAfter, wait: Duration) -> Reply {
        let (answer, told) = Answer::throttled(form, wait, self.now);
        Reply { answer, told, faults: Vec::new() }
    }
}

fn expired() -> Answer {
    Answer::error(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.").with(
        http::header::WWW_AUTHENTICATE,
        "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\"",
    )
}

/// What a fault does to the bytes of an answer.
fn spoil(answer: &mut Answer, fault: &Fault) {
    match fault {
        Fault::Truncate => answer.body.truncate(answer.body.len() * 2 / 3),
        Fault::Garbage => answer.body = Bytes::from_static(b"{\"value\":[{\"id\":\"1\",}} \x01 this is no JSON"),
        Fault::NotUtf8 => {
            let mut bytes = answer.body.to_vec();
            // Within the first string, so that only the encoding is wrong.
            let at = bytes.iter().position(|byte| *byte == b'"').map_or(0, |quote| quote + 1);
            bytes.insert(at, 0xff);
            answer.body = bytes.into();
        }
        Fault::Bom => answer.body = [b"\xef\xbb\xbf", &answer.body[..]].concat().into(),
        Fault::BadGzip => {
            answer.headers.insert(CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
        }
        _ => {}
    }
}
