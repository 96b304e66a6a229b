//! Whether an origin can be reached at all: one question without a token, asked once.

use bytes::Bytes;
use domain::{Clock, Deadline};
use http::header::{CONTENT_TYPE, DATE};
use jiff::SignedDuration;

use crate::body::HEAD_LIMIT;
use crate::cloud::Origin;
use crate::transport::{Transport, TransportError};
use crate::wait::{after, http_date, within};

/// What an origin's answer to a question without a token shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The status.
    pub status: u16,
    /// Whether it says that it is JSON, as Entra and Graph do of everything; a machine in between sends a page.
    pub is_json: bool,
    /// How far the answer's `Date` is ahead of this clock; negative if it is behind.
    pub ahead: Option<SignedDuration>,
}

/// Asks this origin for a path. No retry: whoever asks wants to know how things stand.
pub async fn reach(
    origin: &Origin,
    path: &str,
    transport: &dyn Transport,
    clock: &dyn Clock,
) -> Result<Reached, TransportError> {
    let request =
        http::Request::get(format!("{origin}{path}")).body(Bytes::new()).map_err(|_| TransportError::Other)?;
    let limit = Deadline::at(after(clock.now(), HEAD_LIMIT));
    let answer = within(clock, limit, transport.send(request)).await.ok_or(TransportError::Timeout)??;
    let kind = answer.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    Ok(Reached {
        status: answer.status.as_u16(),
        is_json: kind.to_ascii_lowercase().starts_with("application/json"),
        ahead: http_date(&answer.headers, DATE).map(|date| date.duration_since(clock.now())),
    })
}
