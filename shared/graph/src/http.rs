//! The transport over the network.

use std::time::Duration;

use ::http::HeaderValue;
use ::http::header::ACCEPT_ENCODING;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::redirect;
use url::Position;

use crate::transport::{Response, Transport, TransportError};

/// How long a connection may take to be made, TLS included: far more than across a continent.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long a connection may be silent in the middle of a body.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// How long an idle connection is kept: less than Graph's front ends keep theirs.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// How often a busy HTTP/2 connection is asked whether it still lives, and how long it may take to say so: a connection
/// that died in silence, as in a frozen function, is found out in half a minute and not in fifteen.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_LIMIT: Duration = Duration::from_secs(10);

/// The network, by one connection pool: one per process.
///
/// A target goes out byte for byte, with one exception: the address type of the HTTP client writes an apostrophe in a
/// query as `%27`, which OData reads as the same. A target that it would write otherwise is not sent.
#[derive(Debug)]
pub struct HttpTransport {
    client: reqwest::Client,
}

/// The transport cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client: check the TLS roots of this machine")]
pub struct HttpTransportError(#[source] reqwest::Error);

impl HttpTransport {
    /// A transport that names itself so.
    pub fn new(user_agent: &str) -> Result<Self, HttpTransportError> {
        Self::built(user_agent, reqwest::Client::builder())
    }

    /// The same, where every host name leads to this address. A port that a link names stays.
    #[cfg(feature = "parts")]
    pub fn pinned(user_agent: &str, to: std::net::SocketAddr) -> Result<Self, HttpTransportError> {
        struct Pin(std::net::SocketAddr);

        impl reqwest::dns::Resolve for Pin {
            fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
                let addresses: reqwest::dns::Addrs = Box::new(std::iter::once(self.0));
                Box::pin(std::future::ready(Ok(addresses)))
            }
        }
        Self::built(user_agent, reqwest::Client::builder().dns_resolver(std::sync::Arc::new(Pin(to))))
    }

    fn built(user_agent: &str, builder: reqwest::ClientBuilder) -> Result<Self, HttpTransportError> {
        let client = builder
            .user_agent(user_agent)
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(READ_LIMIT)
            .pool_idle_timeout(IDLE_LIMIT)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_LIMIT)
            .build()
            .map_err(HttpTransportError)?;
        Ok(Self { client })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, mut request: ::http::Request<Bytes>) -> Result<Response, TransportError> {
        let plain = request.uri().scheme_str() == Some("http");
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let target = target
            .split_once('?')
            .map_or_else(|| target.to_owned(), |(path, query)| format!("{path}?{}", query.replace('\'', "%27")));
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let request = reqwest::Request::try_from(request).map_err(|_| TransportError::Other)?;
        let url = request.url();
        if url[Position::BeforePath..] != target {
            return Err(TransportError::Other);
        }
        // Plain http is for loopback hosts; an origin of another kind cannot be made, so this is the second lock.
        if plain && !is_loopback(url) {
            return Err(TransportError::Other);
        }
        let response = self.client.execute(request).await.map_err(|error| reason(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes_stream().map(|piece| piece.map_err(|error| reason(&error)));
        Ok(Response { status, headers, body: Box::pin(body) })
    }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The kind of an error, without its text: that repeats the address.
fn reason(error: &reqwest::Error) -> TransportError {
    if error.is_timeout() {
        TransportError::Timeout
    } else if error.is_connect() {
        TransportError::Connect
    } else if error.is_body() || error.is_decode() {
        TransportError::Body
    } else if error.is_request() {
        // The connection was there and ended before an answer.
        TransportError::Reset
    } else {
        TransportError::Other
    }
}
