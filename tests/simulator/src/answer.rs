//! Answers before they are on a wire.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::{SignedDuration, Timestamp};

use crate::switches::RetryAfter;

const JSON: &str = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";

/// What happens to the connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// Nothing: the whole answer arrives.
    #[default]
    Whole,
    /// It breaks before the first byte of the answer.
    ResetBefore,
    /// It breaks after the head and so many bytes of the body.
    ResetAfter(usize),
}

/// An answer, for whoever puts it on a wire or hands it to a client in the same process.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers, with a `Content-Length` that a fault may have falsified.
    pub headers: HeaderMap,
    /// The body as it goes over the wire: compressed if `Content-Encoding` says so.
    pub body: Bytes,
    /// What happens to the connection. The time an answer takes has already passed on the simulator's clock.
    pub transport: Transport,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(content_type) {
            headers.insert(CONTENT_TYPE, value);
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, headers, body: body.into(), transport: Transport::Whole }
    }

    pub(crate) fn json(body: impl Into<Bytes>) -> Self {
        Self::new(200, JSON, body)
    }

    /// Graph's error envelope, without `innerError`.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "error": { "code": code, "message": message } });
        Self::new(status, JSON, body.to_string())
    }

    /// Graph's error envelope with `innerError`.
    pub(crate) fn inner_error(status: u16, code: &str, message: &str, now: Timestamp, request_id: &str) -> Self {
        let inner = serde_json::json!({
            "date": now.strftime("%Y-%m-%dT%H:%M:%S").to_string(), "request-id": request_id, "client-request-id": request_id
        });
        let body = serde_json::json!({ "error": { "code": code, "message": message, "innerError": inner } });
        Self::new(status, JSON, body.to_string())
    }

    /// A 429; what it says to wait, and that as a length of time.
    pub(crate) fn throttled(form: &RetryAfter, wait: Duration, now: Timestamp) -> (Self, Option<Duration>) {
        let mut answer = Self::error(429, "UnknownError", "");
        let text = match form {
            RetryAfter::Seconds => wait.as_secs().to_string(),
            RetryAfter::Absent => return (answer, None),
            RetryAfter::Date => http_date(now.checked_add(wait).unwrap_or(now)),
            RetryAfter::Text(text) => text.clone(),
        };
        answer = answer.with(RETRY_AFTER, &text);
        let told = match form {
            RetryAfter::Text(text) => text.parse().ok().map(Duration::from_secs),
            RetryAfter::Date => {
                // A date has whole seconds: what is told is shorter by the fraction.
                let fraction = SignedDuration::from_nanos(i64::from(now.subsec_nanosecond()));
                Some(wait.saturating_sub(Duration::try_from(fraction).unwrap_or_default()))
            }
            _ => Some(wait),
        };
        (answer, told)
    }

    pub(crate) fn redirect(location: &str) -> Self {
        Self::new(302, "text/html", "").with(LOCATION, location)
    }

    pub(crate) fn with(mut self, name: http::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Compresses the body, followed by so many zeros.
    pub(crate) fn compress(&mut self, zeros: usize) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let chunk = [b' '; 8_192];
        let mut written = encoder.write_all(&self.body);
        let mut left = zeros;
        while left > 0 && written.is_ok() {
            let part = left.min(chunk.len());
            written = encoder.write_all(&chunk[..part]);
            left -= part;
        }
        // Writing to memory does not fail; if it did, the body would go out as it is.
        if let (Ok(()), Ok(compressed)) = (written, encoder.finish()) {
            self.body = compressed.into();
            self.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }

    /// Writes the length of the body, off by so much, into the head. A connection that promised more ends too early; what is
    /// beyond a shorter length never arrives.
    pub(crate) fn declare_length(&mut self, off_by: i64) {
        let declared = (self.body.len() as i64).saturating_add(off_by).max(0) as usize;
        self.headers.insert(CONTENT_LENGTH, HeaderValue::from(declared));
        if declared < self.body.len() {
            self.body.truncate(declared);
        } else if declared > self.body.len() && self.transport == Transport::Whole {
            self.transport = Transport::ResetAfter(self.body.len());
        }
    }
}

/// The form of a `Date` header.
pub(crate) fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Puts a newline (CRLF) between all the parts of a JSON text, outside its strings.
pub(crate) fn with_newlines(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + json.len() / 8);
    let (mut in_string, mut escaped) = (false, false);
    for &byte in json {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' | b',' => out.extend_from_slice(&[byte, b'\r', b'\n']),
            b'}' | b']' => out.extend_from_slice(&[b'\r', b'\n', byte]),
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newlines_stand_between_parts_and_never_within_strings() {
        let json = br#"{"a":[1,"x,\"]{\\"],"b":{}}"#;
        let pretty = with_newlines(json);
        assert!(pretty.len() > json.len());
        let stripped: Vec<u8> = pretty.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
        assert_eq!(stripped, json);
        assert!(String::from_utf8(pretty).unwrap().contains(r#""x,\"]{\\""#));
    }

    #[test]
    fn a_retry_after_has_every_form() {
        let now: Timestamp = "2026-11-24T03:00:00Z".parse().unwrap();
        let told = |form| {
            let (answer, wait) = Answer::throttled(&form, Duration::from_secs(7), now);
            (answer.headers.get(RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned()), wait)
        };
        let seven = Some(Duration::from_secs(7));
        assert_eq!(told(RetryAfter::Seconds), (Some("7".to_owned()), seven));
        assert_eq!(told(RetryAfter::Absent), (None, None));
        assert_eq!(told(RetryAfter::Date), (Some("Tue, 24 Nov 2026 03:00:07 GMT".to_owned()), seven));
        let text = |text: &str| told(RetryAfter::Text(text.to_owned()));
        assert_eq!(text("3600"), (Some("3600".to_owned()), Some(Duration::from_secs(3600))));
        assert_eq!(text("-1"), (Some("-1".to_owned()), None));
    }

    #[test]
    fn a_false_length_is_felt() {
        let mut answer = Answer::json("12345");
        answer.declare_length(2);
        assert_eq!(
            (answer.headers[CONTENT_LENGTH].to_str().unwrap(), answer.transport),
            ("7", Transport::ResetAfter(5))
        );
        let mut answer = Answer::json("12345");
        answer.declare_length(-2);
        assert_eq!((answer.headers[CONTENT_LENGTH].to_str().unwrap(), &answer.body[..]), ("3", &b"123"[..]));
    }
}
