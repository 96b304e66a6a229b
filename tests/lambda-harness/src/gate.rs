//! What stands between the processes and everything they call: it counts the calls, and holds one of them.
//!
//! A call that is held is not answered any more. Whoever waits for that kills the process, which thereby ends before its call
//! took effect, or after it had and before it was told: what a process can be killed at, seen from outside, without a hook in
//! any binary.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Which call is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// The call, counted from 1 over all services.
    pub call: u64,
    /// After it took effect and before its answer; else before it was forwarded.
    pub after: bool,
}

/// Counts and holds. Clones are the same.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hold: Option<Hold>,
    calls: AtomicU64,
    held: watch::Sender<bool>,
    cuts: watch::Sender<u64>,
    what: Mutex<Vec<String>>,
    unanswered: Mutex<BTreeSet<u64>>,
}

/// A call that was forwarded. Dropped before its answer came, it counts as unanswered.
struct Forwarded<'a> {
    inner: &'a Inner,
    call: u64,
    answered: bool,
}

impl Drop for Forwarded<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.inner.unanswered.lock().unwrap_or_else(PoisonError::into_inner).insert(self.call);
        }
    }
}

/// A service behind the gate. Dropping it ends it and all its connections.
#[derive(Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Gate {
    /// A gate that holds this call, or none.
    pub fn new(hold: Option<Hold>) -> Self {
        Self(Arc::new(Inner {
            hold,
            calls: AtomicU64::new(0),
            held: watch::Sender::new(false),
            cuts: watch::Sender::new(0),
            what: Mutex::default(),
            unanswered: Mutex::default(),
        }))
    }

    /// How many calls came so far.
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Relaxed)
    }

    /// What they were, in their order.
    pub fn trace(&self) -> Vec<String> {
        self.0.what.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the call was held.
    pub fn has_held(&self) -> bool {
        *self.0.held.borrow()
    }

    /// Whether nobody waited for this call's answer until it came: then there was no moment after it.
    pub fn went_unanswered(&self, call: u64) -> bool {
        self.0.unanswered.lock().unwrap_or_else(PoisonError::into_inner).contains(&call)
    }

    /// Waits until the call is held; for ever if it was before.
    pub async fn holds(&self) {
        if self.has_held() {
            std::future::pending::<()>().await;
        }
        // The sender lives as long as this, so waiting ends only by the condition.
        let _ = self.0.held.subscribe().wait_for(|held| *held).await;
    }

    /// Closes every connection that is open, as a server does that nobody hears of for long.
    pub fn cut(&self) {
        self.0.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Lets calls through to this address.
    pub(crate) async fn before(&self, upstream: SocketAddr) -> io::Result<Door> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(self.clone(), listener, upstream));
        Ok(Door { address, accepting })
    }

    async fn pass(&self, upstream: SocketAddr, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let number = {
            let mut what = self.0.what.lock().unwrap_or_else(PoisonError::into_inner);
            let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
            what.push(format!("{} {} {}", head.method, head.uri.path(), target.unwrap_or_default()));
            self.0.calls.fetch_add(1, Relaxed) + 1
        };
        self.hold(number, false).await;
        let mut forwarded = Forwarded { inner: &self.0, call: number, answered: false };
        let answer = forward(upstream, Request::from_parts(head, Full::new(body))).await?;
        forwarded.answered = true;
        self.hold(number, true).await;
        Ok(answer)
    }

    async fn hold(&self, call: u64, after: bool) {
        if self.0.hold == Some(Hold { call, after }) {
            self.0.held.send_replace(true);
            std::future::pending::<()>().await;
        }
    }
}

impl Door {
    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(gate: Gate, listener: TcpListener, upstream: SocketAddr) {
    // Dropped with this task, so no connection outlives the door.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(gate.clone(), stream, upstream));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(gate: Gate, stream: TcpStream, upstream: SocketAddr) {
    let _ = stream.set_nodelay(true);
    let mut cuts = gate.0.cuts.subscribe();
    let service = service_fn(|request| gate.pass(upstream, request));
    tokio::select! {
        // It ends with an error whenever a process is killed, or its service breaks the connection.
        _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service) => {}
        _ = cuts.changed() => {}
    }
}

/// The whole answer; whatever breaks it breaks the connection that asked.
async fn forward(upstream: SocketAddr, request: Request<Full<Bytes>>) -> io::Result<Response<Full<Bytes>>> {
    let stream = TcpStream::connect(upstream).await?;
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let asking = async {
        let (head, body) = sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok(Response::from_parts(head, Full::new(body)))
    };
    tokio::pin!(asking);
    tokio::select! {
        biased;
        answer = &mut asking => answer,
        _ = connection => asking.await,
    }
}
