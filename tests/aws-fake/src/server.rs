//! The services on loopback: HTTP/1.1 without TLS, with connections broken on demand.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::fake::{AwsFake, Outcome};
use crate::request::{Reply, Request};

/// The largest request body that is read: more than any object of an archive.
const REQUEST_LIMIT: usize = 256 << 20;

/// A running server. Dropping it ends it and all its connections.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

/// Why a connection ends without an answer.
#[derive(Debug)]
struct Closed;

impl Server {
    /// Serves these services on loopback, on this port; 0 for any that is free.
    pub async fn start(fake: AwsFake, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(fake, listener));
        Ok(Self { address, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to set `AWS_ENDPOINT_URL` to.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of a queue.
    pub fn queue_url(&self, name: &str) -> String {
        format!("{}/000000000000/{name}", self.endpoint())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(fake: AwsFake, listener: TcpListener) {
    // Dropped with this task, so no connection outlives the server.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(fake.clone(), stream));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(fake: AwsFake, stream: TcpStream) {
    // Without it every answer waits for the client's delayed acknowledgement. Where it cannot be set, all is only slower.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(&fake, request));
    // An error is a connection that was closed, by the client or by us on demand.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(fake: &AwsFake, request: http::Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, REQUEST_LIMIT).collect().await.map_err(|_| Closed)?.to_bytes();
    match fake.handle(&Request::new(head.method, &head.uri, head.headers, body)).await {
        Outcome::Reply(reply) => response(reply),
        Outcome::Close => Err(Closed),
        Outcome::Hang => {
            let never: Infallible = std::future::pending().await;
            match never {}
        }
    }
}

fn response(reply: Reply) -> Result<Response<Full<Bytes>>, Closed> {
    let mut response = Response::builder().status(reply.status).header("x-amz-request-id", "fake");
    response = response.header("x-amzn-requestid", "fake");
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(reply.body)).map_err(|_| Closed)
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is closed without an answer")
    }
}

impl std::error::Error for Closed {}
