//! What Graph means by a status that is no page: the one table of it.

use domain::Unavailability;
use serde::Deserialize;

use crate::error::GraphError;

/// Whom a request is about, which decides what 403 and 404 say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// One user's interactions.
    Interactions,
    /// The directory.
    Directory,
}

/// What follows from an answer that is no page.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Final.
    Stop(GraphError),
    /// Worth another attempt; this if none helps.
    Again(GraphError),
}

/// The longest error code that is kept: Graph's own are shorter, and what else a server writes there may be content.
const CODE_LENGTH: usize = 64;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: ErrorBody<'a>,
}

#[derive(Deserialize)]
struct ErrorBody<'a> {
    #[serde(borrow, default)]
    code: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, default)]
    message: Option<std::borrow::Cow<'a, str>>,
}

/// What an answer with this status and body means. 2xx, 401, 408, 429 and 5xx are decided before it comes to this.
pub(crate) fn verdict(subject: Subject, status: u16, body: &[u8], request_id: Option<String>) -> Verdict {
    use Verdict::{Again, Stop};

    let envelope = serde_json::from_slice::<Envelope<'_>>(body).ok();
    let spoken = envelope.is_some();
    let (code, message) = envelope.map_or((None, None), |envelope| (envelope.error.code, envelope.error.message));
    let message = message.unwrap_or_default().to_ascii_lowercase();
    let code = code.filter(|code| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        (1..=CODE_LENGTH).contains(&code.len()) && code.bytes().all(plain)
    });
    let named = |name: &str| code.as_deref() == Some(name);
    let unavailable = |why| Stop(GraphError::Unavailable(why));

    match (status, subject) {
        (403, _) if message.contains("invalid s2s auth token") => Again(match subject {
            Subject::Interactions => GraphError::Unavailable(Unavailability::Refused),
            Subject::Directory => GraphError::Unauthorised { status, request_id },
        }),
        (403, _) if message.contains("missing scope permissions") || named("Authorization_RequestDenied") => {
            Stop(GraphError::Unauthorised { status, request_id })
        }
        (403, Subject::Directory) => Stop(GraphError::Unauthorised { status, request_id }),
        (403, Subject::Interactions) if message.contains("valid copilot licen") => {
            unavailable(Unavailability::NoLicence)
        }
        // Without Graph's envelope it is some machine in between that speaks, and not of this user.
        (403, Subject::Interactions) if !spoken => Again(GraphError::Unavailable(Unavailability::Refused)),
        (403, Subject::Interactions) => unavailable(Unavailability::Refused),
        (404, _) if message.contains("requested api is not supported") => Stop(GraphError::PathNotSupported),
        (404, _) if !spoken => Again(GraphError::Server { status, request_id }),
        (404, Subject::Interactions) if named("Request_ResourceNotFound") || named("ResourceNotFound") => {
            unavailable(Unavailability::Gone)
        }
        (404, Subject::Interactions) => unavailable(Unavailability::NoHistory),
        (410, Subject::Interactions) => unavailable(Unavailability::Gone),
        _ => Stop(GraphError::BadRequest { status, code: code.map(std::borrow::Cow::into_owned), request_id }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(code: &str, message: &str) -> String {
        serde_json::json!({"error": {"code": code, "message": message, "innerError": {"date": null}}}).to_string()
    }

    fn interactions(status: u16, body: &str) -> String {
        match verdict(Subject::Interactions, status, body.as_bytes(), None) {
            Verdict::Stop(error) => format!("stop {error:?}"),
            Verdict::Again(error) => format!("again {error:?}"),
        }
    }

    #[test]
    fn each_refusal_of_the_catalogue_has_its_meaning() {
        let id = "5ac181d0-c896-435a-a745-ac948db1d59a";
        for (status, code, message, means) in [
            (403, "Forbidden", format!("User '{id}' does not have a valid Copilot license."), "stop .*no-licence"),
            (403, "Forbidden", "UnknownError".to_owned(), "stop .*refused"),
            (403, "Forbidden", "Missing scope permissions on the request. API requires".to_owned(), "stop .*HTTP 403"),
            (403, "Authorization_RequestDenied", "Insufficient privileges".to_owned(), "stop .*HTTP 403"),
            (403, "Forbidden", "Invalid S2S auth token at Some.Stack".to_owned(), "again .*refused"),
            (404, "NotFound", "Requested API is not supported. Please check the path.".to_owned(), "stop .*path"),
            (404, "NotFound", "no mailbox".to_owned(), "stop .*no-history"),
            (404, "Request_ResourceNotFound", "Resource does not exist".to_owned(), "stop .*gone"),
            (404, "ResourceNotFound", String::new(), "stop .*gone"),
            (404, "itemNotFound", String::new(), "stop .*no-history"),
            (410, "Gone", String::new(), "stop .*gone"),
            (400, "BadRequest", "Missing 'createdDateTime' value".to_owned(), r"stop .*HTTP 400 \(BadRequest\)"),
            (302, "", String::new(), r"stop .*HTTP 302 \(no code\)"),
            (204, "", String::new(), r"stop .*HTTP 204"),
            (418, "a b", String::new(), r"stop .*HTTP 418 \(no code\)"),
        ] {
            let verdict = interactions(status, &body(code, &message));
            let (kind, part) = means.split_once(" .*").unwrap();
            assert!(
                verdict.starts_with(kind) && verdict.contains(&part.replace('\\', "")),
                "{status} {code}: {verdict}"
            );
            assert!(!verdict.contains(id) && !verdict.contains("Stack"), "{verdict}");
        }
    }

    #[test]
    fn a_404_that_graph_did_not_speak_is_no_verdict_on_the_user() {
        for text in ["", "<html>not here</html>", "{}", "null", r#"{"error":"x"}"#] {
            assert!(interactions(404, text).starts_with("again"), "{text}");
        }
        assert!(interactions(404, r#"{"error":{"code":null}}"#).contains("no-history"));
    }

    #[test]
    fn the_directory_speaks_of_permissions_and_objects() {
        let of = |status, code: &str| verdict(Subject::Directory, status, body(code, "x").as_bytes(), None);
        assert!(matches!(of(403, "Forbidden"), Verdict::Stop(GraphError::Unauthorised { status: 403, .. })));
        assert!(matches!(of(404, "Request_ResourceNotFound"),
            Verdict::Stop(GraphError::BadRequest { status: 404, code: Some(code), .. }) if code == "Request_ResourceNotFound"));
    }
}
