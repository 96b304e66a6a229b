//! Lambda's Runtime API for one process: what the runtime asks and answers over HTTP.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use domain::Timestamp;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinHandle, JoinSet};

/// The largest answer that Lambda takes of a function.
const ANSWER_LIMIT: usize = 6 << 20;

/// An invocation, as the process is told of it.
#[derive(Debug, Clone)]
pub struct Next {
    /// Its id.
    pub request_id: String,
    /// When the process is killed.
    pub killed_at: Timestamp,
    /// The function's ARN.
    pub function_arn: String,
    /// The event.
    pub event: Bytes,
}

/// What a process said.
#[derive(Debug, Clone)]
pub enum Said {
    /// It asks for the next invocation.
    Polled,
    /// It answered the invocation of this id.
    Answered {
        /// The id.
        request_id: String,
        /// The answer.
        answer: Result<Bytes, Reported>,
    },
}

/// An error that a process reported.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reported {
    /// Its type.
    pub error_type: String,
    /// Its message.
    pub error_message: String,
}

/// A Runtime API on loopback. Dropping it ends it.
#[derive(Debug)]
pub struct RuntimeApi {
    address: SocketAddr,
    next: mpsc::UnboundedSender<Next>,
    said: mpsc::UnboundedReceiver<Said>,
    accepting: JoinHandle<()>,
}

/// What all connections share.
struct Shared {
    next: Mutex<mpsc::UnboundedReceiver<Next>>,
    said: mpsc::UnboundedSender<Said>,
}

impl RuntimeApi {
    /// Serves one process on a free port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (next, invocations) = mpsc::unbounded_channel();
        let (sender, said) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { next: Mutex::new(invocations), said: sender });
        let accepting = tokio::spawn(accept(shared, listener));
        Ok(Self { address, next, said, accepting })
    }

    /// What to set `AWS_LAMBDA_RUNTIME_API` to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives the process an invocation, at once or when it asks for one.
    pub fn give(&self, next: Next) {
        // The server lives as long as this.
        let _ = self.next.send(next);
    }

    /// What the process says next.
    pub async fn said(&mut self) -> Said {
        match self.said.recv().await {
            Some(said) => said,
            None => std::future::pending().await,
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    // Dropped with this task, so no connection outlives the server.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    let shared = Arc::clone(&shared);
                    let _ = stream.set_nodelay(true);
                    connections.spawn(async move {
                        let service = service_fn(|request| respond(&shared, request));
                        // It ends with an error whenever the process is killed.
                        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                    });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn respond(shared: &Shared, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().strip_prefix("/2018-06-01/runtime/invocation/").unwrap_or_default().to_owned();
    if head.method == Method::GET && path == "next" {
        return Ok(next(shared).await);
    }
    let body = match Limited::new(body, ANSWER_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(answer(StatusCode::PAYLOAD_TOO_LARGE, r#"{"errorType":"RequestEntityTooLarge"}"#)),
    };
    let answered = match (&head.method, path.split_once('/')) {
        (&Method::POST, Some((id, "response"))) => Some((id, Ok(body))),
        (&Method::POST, Some((id, "error"))) => serde_json::from_slice(&body).ok().map(|error| (id, Err(error))),
        _ => None,
    };
    let Some((request_id, result)) = answered else {
        return Ok(answer(StatusCode::FORBIDDEN, r#"{"errorType":"InvalidRequest"}"#));
    };
    // Nobody listens once the process counts as dead.
    let _ = shared.said.send(Said::Answered { request_id: request_id.to_owned(), answer: result });
    Ok(answer(StatusCode::ACCEPTED, r#"{"status":"OK"}"#))
}

/// Waits for an invocation, however long.
async fn next(shared: &Shared) -> Response<Full<Bytes>> {
    let _ = shared.said.send(Said::Polled);
    let Some(next) = shared.next.lock().await.recv().await else {
        return answer(StatusCode::GONE, "");
    };
    let mut response = answer(StatusCode::OK, next.event);
    let headers = [
        ("lambda-runtime-aws-request-id", next.request_id),
        ("lambda-runtime-deadline-ms", next.killed_at.as_millisecond().to_string()),
        ("lambda-runtime-invoked-function-arn", next.function_arn),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0".into(),
        ),
    ];
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn answer(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
