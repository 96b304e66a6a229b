//! What can go wrong between a question and its answer.

use bytes::Bytes;
use domain::{Failure, Timestamp, Unavailability};

use crate::auth::AuthError;
use crate::budget::Share;
use crate::page::PageFault;

/// Why Graph did not answer a question. Holds no content, token, secret or name, except the body of a
/// [`GraphError::BadPage`], which neither `Debug` nor `Display` shows.
#[derive(Clone, thiserror::Error)]
pub enum GraphError {
    /// Graph said that it has nothing to show of this user: an answer, not a fault.
    #[error("has nothing to show of this user: {}", .0.as_str())]
    Unavailable(Unavailability),
    /// 404 that speaks of the path, not of the user.
    #[error("does not support the path asked: check GRAPH_API_VERSION, GRAPH_BASE_URL and GRAPH_CLOUD")]
    PathNotSupported,
    /// The token lacks a role.
    #[error("the application's token lacks the role {role}: grant it as an application permission with admin consent")]
    MissingRole {
        /// The role.
        role: &'static str,
    },
    /// The token was refused, also a fresh one; or the application may not ask this.
    #[error("the application is not authorised (HTTP {status}): check its permissions and their admin consent")]
    Unauthorised {
        /// 401 or 403.
        status: u16,
        /// Graph's id of the request.
        request_id: Option<String>,
    },
    /// Entra issues no token.
    #[error("Entra issues no token ({}): {advice}", aadsts(*.code))]
    Token {
        /// The AADSTS code, if Entra gave one.
        code: Option<u64>,
        /// What to do.
        advice: &'static str,
    },
    /// The client's own credential cannot be read or used.
    #[error("the application's credential cannot be used")]
    Credential(#[source] AuthError),
    /// Asked to wait longer than there is time: hand the work over.
    #[error("was told to wait until {until}, which is past the deadline: continue then")]
    RetryAfter {
        /// When it may be asked again.
        until: Timestamp,
    },
    /// No time left for another attempt.
    #[error("the deadline left no time for another attempt: continue later")]
    DeadlinePassed,
    /// A server error, after all attempts.
    #[error("answered HTTP {status} to every attempt: try again later")]
    Server {
        /// The last attempt's status.
        status: u16,
        /// Graph's id of the last request.
        request_id: Option<String>,
    },
    /// No complete answer, after all attempts.
    #[error("gave no complete answer to any attempt: check the network and try again later")]
    NoAnswer,
    /// 400, or a status nobody expects, redirects included.
    #[error("answered HTTP {status} ({}): the request is not one it accepts", .code.as_deref().unwrap_or("no code"))]
    BadRequest {
        /// The status.
        status: u16,
        /// Graph's error code, if it looks like one.
        code: Option<String>,
        /// Graph's id of the request.
        request_id: Option<String>,
    },
    /// An answer that is no page, after the retries.
    #[error("answered with something that is no page: {kind}")]
    BadPage {
        /// What is wrong with it.
        kind: PageFault,
        /// The body as decoded.
        body: Bytes,
    },
    /// An element of a directory listing that does not say which object it is.
    #[error("lists {what} {position} without a valid id: the directory's answer cannot be used")]
    BadElement {
        /// What is listed.
        what: &'static str,
        /// Its position in the listing, from 0.
        position: usize,
    },
    /// An answer larger than its cap.
    #[error("answered with more than a page may hold")]
    TooLarge,
    /// A next link that leaves the configured origin or the collection that was asked for. It was not followed.
    #[error("gave a next link that leaves what was asked; it was not followed")]
    ForeignLink,
    /// A next link seen before.
    #[error("gave a next link a second time: the pages go round in circles")]
    LinkLoop,
    /// Pages without end.
    #[error("gave pages without end")]
    EndlessPages,
    /// A directory listing whose page token expired at every attempt.
    #[error("let the directory listing's page token expire at every attempt: try again later")]
    ExpiredListing,
}

/// A body and its share of the byte budget.
struct Held {
    body: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

fn aadsts(code: Option<u64>) -> String {
    code.map_or_else(|| "no code".to_owned(), |code| format!("AADSTS{code}"))
}

impl GraphError {
    /// The failure a user is recorded with; `None` if this is an answer ([`GraphError::Unavailable`]) or merely
    /// unfinished ([`GraphError::RetryAfter`], [`GraphError::DeadlinePassed`]).
    pub const fn failure(&self) -> Option<Failure> {
        Some(match self {
            Self::Unavailable(_) | Self::RetryAfter { .. } | Self::DeadlinePassed => return None,
            Self::PathNotSupported => Failure::TenantRefused,
            Self::MissingRole { .. } | Self::Unauthorised { .. } | Self::Token { .. } | Self::Credential(_) => {
                Failure::Unauthorised
            }
            Self::Server { .. } | Self::NoAnswer | Self::ExpiredListing => Failure::ServerError,
            Self::BadRequest { .. } => Failure::BadRequest,
            Self::BadPage { .. } | Self::BadElement { .. } => Failure::BadPage,
            Self::TooLarge => Failure::TooLarge,
            Self::ForeignLink => Failure::ForeignLink,
            Self::LinkLoop => Failure::LinkLoop,
            Self::EndlessPages => Failure::EndlessPages,
        })
    }

    /// The same, with the share of the byte budget that its body needs for as long as the body is kept.
    pub(crate) fn holding(self, mut share: Share) -> Self {
        match self {
            Self::BadPage { kind, body } => {
                share.hold(body.len());
                Self::BadPage { kind, body: Bytes::from_owner(Held { body, _share: share }) }
            }
            other => other,
        }
    }

    /// The HTTP status, where one decided.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Unauthorised { status, .. } | Self::Server { status, .. } | Self::BadRequest { status, .. } => {
                Some(*status)
            }
            _ => None,
        }
    }

    /// Graph's id of the request, where known.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Unauthorised { request_id, .. }
            | Self::Server { request_id, .. }
            | Self::BadRequest { request_id, .. } => request_id.as_deref(),
            _ => None,
        }
    }
}

impl std::fmt::Debug for GraphError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Written by hand so that no variant's body can ever be shown.
        write!(f, "GraphError({self}")?;
        if let Some(id) = self.request_id() {
            write!(f, "; request-id {id}")?;
        }
        if let Self::Credential(source) = self {
            write!(f, "; {source}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_page_does_not_show_its_body() {
        let error = GraphError::BadPage { kind: PageFault::NotJson, body: Bytes::from_static(b"canary") };
        assert!(!format!("{error:?} {error}").contains("canary"));
        assert_eq!(error.failure(), Some(Failure::BadPage));
    }

    #[test]
    fn what_is_unfinished_or_an_answer_is_no_failure() {
        assert_eq!(GraphError::RetryAfter { until: Timestamp::MIN }.failure(), None);
        assert_eq!(GraphError::DeadlinePassed.failure(), None);
        assert_eq!(GraphError::Unavailable(Unavailability::NoLicence).failure(), None);
        let error = GraphError::Server { status: 503, request_id: Some("r-1".to_owned()) };
        assert_eq!((error.failure(), error.status()), (Some(Failure::ServerError), Some(503)));
        assert!(format!("{error:?}").contains("r-1"));
    }

    #[test]
    fn a_token_error_names_its_code() {
        let error = GraphError::Token { code: Some(7_000_215), advice: "check the secret" };
        assert_eq!(error.to_string(), "Entra issues no token (AADSTS7000215): check the secret");
    }
}
