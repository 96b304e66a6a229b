//! Reading a body to its end, within a cap and a time.

use std::time::Duration;

use domain::{Clock, Deadline};
use futures_util::StreamExt;

use crate::budget::Share;
use crate::transport::{Body, TransportError};
use crate::wait::{after, within};

/// How long an answer may take to begin: a server that has not decided in a minute will not.
pub(crate) const HEAD_LIMIT: Duration = Duration::from_secs(60);

/// How long the next piece of a body may take.
const PIECE_LIMIT: Duration = Duration::from_secs(30);

/// How long a whole body may take, time spent waiting for our own budget aside: a page at its cap needs 3 Mbit/s.
const BODY_LIMIT: Duration = Duration::from_secs(90);

/// The room a body begins with: the bulk of pages is larger, and a body without items much smaller.
const FIRST_ROOM: usize = 16 << 10;

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Larger than the cap: the rest was not asked for.
    TooLarge,
    /// Broken or late.
    Broken(TransportError),
}

/// Reads the body. What it holds is counted against the share, if there is one.
pub(crate) async fn read(
    mut body: Body,
    cap: usize,
    mut share: Option<&mut Share>,
    clock: &dyn Clock,
) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::with_capacity(FIRST_ROOM.min(cap));
    let mut limit = after(clock.now(), BODY_LIMIT);
    loop {
        let soon = Deadline::at(limit.min(after(clock.now(), PIECE_LIMIT)));
        let piece = match within(clock, soon, body.next()).await {
            None => return Err(Unread::Broken(TransportError::Timeout)),
            Some(None) => return Ok(bytes),
            Some(Some(piece)) => piece.map_err(Unread::Broken)?,
        };
        let length = bytes.len().saturating_add(piece.len());
        if length > cap {
            return Err(Unread::TooLarge);
        }
        if let Some(share) = share.as_deref_mut() {
            if share.must_grow_for(length) {
                let waiting_since = clock.now();
                share.grow().await;
                let waited = Duration::try_from(clock.now().duration_since(waiting_since)).unwrap_or_default();
                limit = after(limit, waited);
            }
            share.hold(length);
        }
        if length > bytes.capacity() {
            // Doubling as usual, but never room beyond the cap.
            let room = bytes.capacity().saturating_mul(2).clamp(length, cap);
            bytes.reserve_exact(room - bytes.len());
        }
        bytes.extend_from_slice(&piece);
    }
}
