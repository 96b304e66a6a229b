//! One question to Graph: the attempts it takes, what each answer means, and what is counted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use domain::{Clock, Deadline, Random, Timestamp};
use http::header::{ACCEPT, AUTHORIZATION, DATE, HeaderMap};
use http::{StatusCode, Uri};

use crate::body::{self, HEAD_LIMIT, Unread};
use crate::budget::Share;
use crate::cloud::Origin;
use crate::error::GraphError;
use crate::pace::{Pace, Ticket};
use crate::refusal::{Subject, Verdict, verdict};
use crate::retry::{ATTEMPTS, PAGE_ATTEMPTS, Retry, Step};
use crate::tally::{Tally, request_id};
use crate::token::{Token, Tokens};
use crate::transport::{Response, Transport, TransportError};
use crate::wait::{after, http_date, retry_after, within};

/// The most that is read of an answer that is no page: Graph's error bodies are a few hundred bytes.
const ERROR_BODY_CAP: usize = 64 << 10;

/// What is asked, and how.
pub(crate) struct Get<'a> {
    /// Path and query, byte for byte as they go over the wire.
    pub(crate) target: &'a str,
    pub(crate) subject: Subject,
    pub(crate) pace: &'a Pace,
    /// The most the answer may hold.
    pub(crate) cap: usize,
    pub(crate) deadline: Deadline,
}

/// Everything a question needs.
pub(crate) struct Exchange {
    pub(crate) origin: Origin,
    pub(crate) tokens: Tokens,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    sent: AtomicU64,
    server_date: Mutex<Option<Timestamp>>,
}

/// What the attempts at one question remember of each other.
struct Course {
    attempts: u64,
    /// A connection that the server closed while idle is found out by using it; that is nobody's failure, once.
    free_reset: bool,
    /// A token may end while it is on its way; a fresh one is tried once.
    free_token: bool,
}

impl Exchange {
    pub(crate) fn new(
        origin: Origin,
        tokens: Tokens,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let (sent, server_date) = (AtomicU64::new(0), Mutex::default());
        Self { origin, tokens, transport, clock, random, sent, server_date }
    }

    /// Asks until there is an answer that `parse` accepts, or a reason to stop. Reading the body is part of an attempt.
    pub(crate) async fn get<T: Send>(
        &self,
        get: &Get<'_>,
        mut share: Option<&mut Share>,
        tally: &mut Tally,
        parse: impl Fn(Vec<u8>) -> Result<T, GraphError> + Send + Sync,
    ) -> Result<T, GraphError> {
        let uri = self.uri(get.target)?;
        let mut course = Course { attempts: 0, free_reset: true, free_token: true };
        let mut retry = Retry::new(&*self.clock, &*self.random, get.deadline);
        loop {
            let attempt = async {
                if let Some(share) = share.as_deref_mut() {
                    share.shrink();
                }
                match self.attempt(get, &uri, share.as_deref_mut(), &mut course, tally).await {
                    Err(step) => step,
                    Ok(body) => match parse(body) {
                        Ok(answer) => Step::Done(answer),
                        Err(last @ GraphError::BadPage { .. }) => {
                            Step::Again { last, server: None, attempts: PAGE_ATTEMPTS }
                        }
                        Err(error) => Step::Stop(error),
                    },
                }
            };
            if let Some(answer) = retry.step(attempt).await? {
                return Ok(answer);
            }
        }
    }

    /// The address, refused if anything on the way would write it differently.
    fn uri(&self, target: &str) -> Result<Uri, GraphError> {
        let uri: Uri = format!("{}{target}", self.origin).parse().map_err(|_| GraphError::ForeignLink)?;
        match uri.path_and_query() {
            Some(sent) if sent.as_str() == target => Ok(uri),
            _ => Err(GraphError::ForeignLink),
        }
    }

    async fn attempt<T: Send>(
        &self,
        get: &Get<'_>,
        uri: &Uri,
        share: Option<&mut Share>,
        course: &mut Course,
        tally: &mut Tally,
    ) -> Result<Vec<u8>, Step<T>> {
        // The token first: whoever waited for it must not be sent all at once, so each takes a slot after that.
        self.tokens.get(get.deadline).await.map_err(Step::Stop)?;
        let mut ticket = get.pace.enter(get.deadline).await.map_err(Step::Stop)?;
        let token = self.tokens.get(get.deadline).await.map_err(Step::Stop)?;

        let started_at = self.clock.now();
        let request = self.request(get, uri, &token).ok_or(Step::Stop(GraphError::ForeignLink))?;
        self.sent.fetch_add(1, Relaxed);
        tally.sent(course.attempts > 0);
        course.attempts += 1;
        let limit = Deadline::at(after(started_at, HEAD_LIMIT));
        let response = match within(&*self.clock, limit, self.transport.send(request)).await {
            None => return Err(self.no_answer(TransportError::Timeout, course)),
            Some(Err(error)) => return Err(self.no_answer(error, course)),
            Some(Ok(response)) => response,
        };
        let (status, request_id) = (response.status, request_id(&response.headers));
        self.note_date(&response.headers);
        let milliseconds = self.clock.now().duration_since(started_at).as_millis();
        let id = request_id.as_deref().unwrap_or_default();
        tracing::debug!(status = status.as_u16(), attempt = course.attempts, milliseconds, request_id = id, "answered");
        if status == StatusCode::OK {
            get.pace.answered(&mut ticket);
            return match Box::pin(body::read(response, get.cap, share, &*self.clock)).await {
                Ok(body) => {
                    tally.answered(status.as_u16());
                    Ok(body)
                }
                Err(unread) => {
                    tally.failed(request_id.as_deref());
                    Err(match unread {
                        Unread::TooLarge => Step::Stop(GraphError::TooLarge),
                        Unread::Broken(error) => self.no_answer(error, course),
                    })
                }
            };
        }
        tally.failed(request_id.as_deref());
        Err(self.other_than_ok(get, response, request_id, (&mut ticket, &token), course, tally).await)
    }

    /// What an answer that is no page leads to.
    async fn other_than_ok<T: Send>(
        &self,
        get: &Get<'_>,
        response: Response,
        request_id: Option<String>,
        (ticket, token): (&mut Ticket, &Arc<Token>),
        course: &mut Course,
        tally: &mut Tally,
    ) -> Step<T> {
        let status = response.status.as_u16();
        let server = retry_after(&response.headers, self.clock.now());
        // At once, not after the body: others are about to start.
        if status == 429 {
            get.pace.refused(ticket, server);
        } else {
            get.pace.answered(ticket);
        }
        let body = Box::pin(body::read(response, ERROR_BODY_CAP, None, &*self.clock)).await;
        // Of these the status says it all.
        if status == 429 || status >= 500 || matches!(body, Ok(_) | Err(Unread::TooLarge)) {
            tally.answered(status);
        }
        match status {
            // The pace does the waiting.
            429 => Step::AtOnce,
            401 if std::mem::take(&mut course.free_token) => {
                self.tokens.refused(token);
                Step::AtOnce
            }
            401 => Step::Stop(GraphError::Unauthorised { status, request_id }),
            501 | 505 => Step::Stop(GraphError::Server { status, request_id }),
            408 | 500..=599 => {
                Step::Again { last: GraphError::Server { status, request_id }, server, attempts: ATTEMPTS }
            }
            _ => match body {
                Err(Unread::Broken(error)) => self.no_answer(error, course),
                body => match verdict(get.subject, status, &body.unwrap_or_default(), request_id) {
                    Verdict::Stop(error) => Step::Stop(error),
                    Verdict::Again(last) => Step::Again { last, server, attempts: ATTEMPTS },
                },
            },
        }
    }

    fn no_answer<T>(&self, error: TransportError, course: &mut Course) -> Step<T> {
        tracing::debug!(%error, attempt = course.attempts, "no complete answer");
        if error == TransportError::Reset && std::mem::take(&mut course.free_reset) {
            return Step::AtOnce;
        }
        Step::Again { last: GraphError::NoAnswer, server: None, attempts: ATTEMPTS }
    }

    fn request(&self, get: &Get<'_>, uri: &Uri, token: &Token) -> Option<http::Request<Bytes>> {
        // A new id for each attempt, so that support can tell them apart.
        let id = uuid::Builder::from_random_bytes(self.random.bytes16()).into_uuid();
        let mut request = http::Request::builder()
            .uri(uri.clone())
            .header(AUTHORIZATION, token.header())
            .header(ACCEPT, "application/json")
            .header("client-request-id", id.to_string());
        if get.subject == Subject::Directory {
            // On every page: the next link does not carry it, and without it page tokens expire.
            request = request.header("ConsistencyLevel", "eventual");
        }
        request.body(Bytes::new()).ok()
    }

    fn note_date(&self, headers: &HeaderMap) {
        if let Some(date) = http_date(headers, DATE) {
            let mut newest = self.server_date.lock().unwrap_or_else(PoisonError::into_inner);
            *newest = (*newest).max(Some(date));
        }
    }

    /// The newest `Date` of an answer.
    pub(crate) fn server_date(&self) -> Option<Timestamp> {
        *self.server_date.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("origin", &self.origin).finish_non_exhaustive()
    }
}
