//! The one small trait between this crate and the network.

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, StatusCode};

/// A body as it arrives, in the content encoding that the headers name. Dropping it stops the transfer.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// An answer whose body is still to be read.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers. A `Content-Encoding` of `gzip` is undone by whoever reads the body.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

impl Response {
    /// An answer whose body is at hand in one piece.
    pub fn whole(status: StatusCode, headers: HeaderMap, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self { status, headers, body: Box::pin(futures_util::stream::once(async move { Ok(body) })) }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Why there is no whole answer. Carries no address: a next link may stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection: name, route, TLS or refusal.
    #[error("could not connect")]
    Connect,
    /// The connection ended before the answer began, as one does that the server had closed while it was idle.
    #[error("the connection was closed before an answer")]
    Reset,
    /// Nothing came in time.
    #[error("timed out")]
    Timeout,
    /// The body ended early or cannot be decoded.
    #[error("the body is truncated or cannot be decoded")]
    Body,
    /// Anything else.
    #[error("the exchange failed")]
    Other,
}

/// Sends one request once: no redirect followed, nothing retried, nothing cached.
///
/// Implementations only move bytes. How long and how much is up to the caller, who gives up by dropping the future or
/// the body.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends the request, its target byte for byte as given, and comes back with the head of the answer.
    async fn send(&self, request: http::Request<Bytes>) -> Result<Response, TransportError>;
}
