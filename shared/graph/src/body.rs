//! Reading a body to its end, within a cap and a time, and undoing its compression.
//!
//! A compressed body is gathered as it is and decoded at its end, without waiting: of all requests in flight, what is held is
//! mostly compressed, and one page at a time is decoded.

use std::io::Read;
use std::time::Duration;

use domain::{Clock, Deadline, Timestamp};
use flate2::bufread::MultiGzDecoder;
use futures_util::StreamExt;
use http::header::CONTENT_ENCODING;

use crate::budget::Share;
use crate::transport::{Body, Response, TransportError};
use crate::wait::{after, within};

/// How long an answer may take to begin: a server that has not decided in a minute will not.
pub(crate) const HEAD_LIMIT: Duration = Duration::from_secs(60);

/// How long the next piece of a body may take.
const PIECE_LIMIT: Duration = Duration::from_secs(30);

/// How long a whole body may take, time spent waiting for our own budget aside: a page at its cap needs 3 Mbit/s.
const BODY_LIMIT: Duration = Duration::from_secs(90);

/// The room a body begins with: the bulk of pages is larger, and a body without items much smaller.
const FIRST_ROOM: usize = 16 << 10;

/// The most room that a body is given for what it claims: more than any usual page. Beyond it, room is for bytes that came.
const BELIEVED: usize = 1 << 20;

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Larger than the cap: the rest was not asked for.
    TooLarge,
    /// Broken or late.
    Broken(TransportError),
}

/// Reads the body. What it holds, compressed and decoded, is counted against the share, if there is one.
pub(crate) async fn read(
    response: Response,
    cap: usize,
    share: Option<&mut Share>,
    clock: &dyn Clock,
) -> Result<Vec<u8>, Unread> {
    let encoding = response.headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase());
    let mut room = Room { cap, share, clock, limit: after(clock.now(), BODY_LIMIT) };
    let bytes = gather(response.body, &mut room).await?;
    match encoding.as_deref() {
        None | Some(b"identity") => Ok(bytes),
        Some(b"gzip" | b"x-gzip") => unpack(&bytes, &mut room).await,
        // Nobody asked for another.
        Some(_) => Err(Unread::Broken(TransportError::Body)),
    }
}

async fn gather(mut body: Body, room: &mut Room<'_>) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::with_capacity(FIRST_ROOM.min(room.cap));
    loop {
        let soon = Deadline::at(room.limit.min(after(room.clock.now(), PIECE_LIMIT)));
        let piece = match within(room.clock, soon, body.next()).await {
            None => return Err(Unread::Broken(TransportError::Timeout)),
            Some(None) => return Ok(bytes),
            Some(Some(piece)) => piece.map_err(Unread::Broken)?,
        };
        let length = bytes.len().saturating_add(piece.len());
        if length > room.cap {
            return Err(Unread::TooLarge);
        }
        room.hold(length).await;
        if length > bytes.capacity() {
            // Doubling as usual, but never room beyond the cap.
            let capacity = bytes.capacity().saturating_mul(2).clamp(length, room.cap);
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(&piece);
    }
}

/// Decodes a body, which with what it was packed in may hold as much as the cap. Its last four bytes say how long it claims
/// to be, so that a usual page is given its room at once; one that is longer grows as any other.
async fn unpack(packed: &[u8], room: &mut Room<'_>) -> Result<Vec<u8>, Unread> {
    let cap = room.cap.saturating_sub(packed.len());
    let claimed = packed.last_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    let broken = |_| Unread::Broken(TransportError::Body);
    // On the heap: its state has many kilobytes, which every future above would carry.
    let mut decoder = Box::new(MultiGzDecoder::new(packed));
    let mut length = claimed.clamp(FIRST_ROOM, BELIEVED).min(cap);
    let (mut bytes, mut ahead) = (Vec::new(), None);
    loop {
        room.hold(packed.len() + length).await;
        bytes.reserve_exact(length - bytes.len());
        bytes.extend(ahead);
        let rest = u64::try_from(length - bytes.len()).unwrap_or(u64::MAX);
        decoder.by_ref().take(rest).read_to_end(&mut bytes).map_err(broken)?;
        let mut next = [0];
        if bytes.len() < length || decoder.read(&mut next).map_err(broken)? == 0 {
            return Ok(bytes);
        }
        if length == cap {
            return Err(Unread::TooLarge);
        }
        ahead = Some(next[0]);
        length = length.saturating_mul(2).min(cap);
    }
}

/// What a body may take.
struct Room<'a> {
    cap: usize,
    share: Option<&'a mut Share>,
    clock: &'a dyn Clock,
    /// When the body has to be there.
    limit: Timestamp,
}

impl Room<'_> {
    /// Notes that so many bytes are held; if they are more than a small share, waits for the large one first.
    async fn hold(&mut self, bytes: usize) {
        let Some(share) = self.share.as_deref_mut() else { return };
        if share.must_grow_for(bytes) {
            let waiting_since = self.clock.now();
            share.grow().await;
            let waited = Duration::try_from(self.clock.now().duration_since(waiting_since)).unwrap_or_default();
            self.limit = after(self.limit, waited);
        }
        share.hold(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use bytes::Bytes;
    use domain::SystemClock;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;
    use crate::budget::{ByteBudget, PAGE_CAP};

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn response(encoding: &'static str, body: &[u8]) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        let pieces: Vec<_> = body.chunks(1_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Response { status: StatusCode::OK, headers, body: Box::pin(futures_util::stream::iter(pieces)) }
    }

    async fn unpacked(body: &[u8]) -> Result<Vec<u8>, Unread> {
        read(response("gzip", body), PAGE_CAP, None, &SystemClock).await
    }

    #[tokio::test]
    async fn what_was_packed_comes_out_as_it_went_in() {
        for length in [0, 1, FIRST_ROOM, FIRST_ROOM + 1, 445_000, BELIEVED, BELIEVED + 1, 3 * BELIEVED] {
            let bytes: Vec<u8> = (0..length).map(|n| (n * n / 7) as u8).collect();
            assert_eq!(unpacked(&gzip(&bytes)).await.unwrap(), bytes, "{length}");
        }
        let members = [gzip(b"{\"value\""), gzip(b":[]}")].concat();
        assert_eq!(unpacked(&members).await.unwrap(), b"{\"value\":[]}");
        assert_eq!(read(response("identity", b"plain"), 5, None, &SystemClock).await.unwrap(), b"plain");
    }

    #[tokio::test]
    async fn what_does_not_unpack_is_broken() {
        let packed = gzip(&b"interaction".repeat(500));
        let mut other_length = packed.clone();
        *other_length.last_mut().unwrap() ^= 1;
        let broken = [&packed[..packed.len() - 1], &packed[..12], b"{\"value\":[]}", b"", &other_length];
        for body in broken {
            assert_eq!(unpacked(body).await, Err(Unread::Broken(TransportError::Body)), "{} bytes", body.len());
        }
        let other = read(response("br", &packed), PAGE_CAP, None, &SystemClock).await;
        assert_eq!(other, Err(Unread::Broken(TransportError::Body)));
    }

    #[tokio::test]
    async fn a_small_body_that_unpacks_to_a_large_one_stops_at_the_cap_and_within_the_budget() {
        let bomb = gzip(&vec![b' '; PAGE_CAP + 1]);
        assert!(bomb.len() < PAGE_CAP / 100);
        let budget = Arc::new(ByteBudget::new(1));
        let mut share = budget.share().await.unwrap();
        let large = read(response("gzip", &bomb), PAGE_CAP, Some(&mut share), &SystemClock).await;
        assert_eq!(large, Err(Unread::TooLarge));
        assert!(budget.peak() > PAGE_CAP / 2 && budget.peak() <= PAGE_CAP, "{}", budget.peak());
        let fits = vec![b' '; PAGE_CAP / 2];
        assert_eq!(unpacked(&gzip(&fits)).await.unwrap().len(), fits.len());
    }
}
