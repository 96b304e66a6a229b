//! What a service said, and when to ask it again.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use domain::{Chain, Clock, Random};

/// Attempts at a call that may be made again. With the pauses below the last begins after about ten seconds: longer than
/// a throttle or a restart lasts, short against a function's time.
pub(crate) const ATTEMPTS: u32 = 7;
/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Codes that stand in a 4xx but say nothing against what was asked: the service was busy, or the connection was slow.
const TRANSIENT_CODES: [&str; 7] = [
    "RequestTimeout",
    "RequestTimeoutException",
    "RequestThrottled",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
];

/// Why a call of an AWS service failed. Holds what the service said of it, never what was sent or answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The service answered with an error.
    #[error("{0}")]
    Answered(ErrorAnswer),
    /// Nothing was answered, or not to its end: what was asked may have been done.
    #[error("no answer: {reason}")]
    NoAnswer {
        /// What happened to the connection.
        reason: String,
    },
    /// An answer that is none of this service's.
    #[error("an answer that cannot be read (HTTP {status}): check what stands at the endpoint")]
    Unreadable {
        /// The HTTP status.
        status: u16,
    },
    /// Nothing was sent, for want of credentials.
    #[error("not sent without AWS credentials, which are found as by the AWS command line: {reason}")]
    NoCredentials {
        /// Where they were looked for.
        reason: String,
    },
    /// Nothing was sent, because no request could be made of what was asked.
    #[error("not sent: what was asked makes no request; check region and endpoint")]
    NotSent,
    /// More was answered than this program takes.
    #[error("answered more than is taken: {limit}")]
    TooMuch {
        /// How much is.
        limit: String,
    },
}

/// What a service said of a call that it did not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The service's name of the error.
    pub code: Option<String>,
    /// Its explanation.
    pub message: Option<String>,
    /// Its id of the request.
    pub request_id: Option<String>,
}

impl CallError {
    /// Reads the SDK's error. The answer itself stays behind: it may be an object or a secret.
    pub(crate) fn of<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>) -> Self {
        match &error {
            SdkError::ServiceError(answer) => {
                let meta = answer.err().meta();
                Self::Answered(ErrorAnswer {
                    status: answer.raw().status().as_u16(),
                    code: meta.code().map(str::to_owned),
                    message: meta.message().map(str::to_owned),
                    request_id: meta.request_id().map(str::to_owned),
                })
            }
            SdkError::ResponseError(answer) => Self::Unreadable { status: answer.raw().status().as_u16() },
            SdkError::TimeoutError(_) => Self::NoAnswer { reason: "it took too long".to_owned() },
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(error) if no_credentials(error) => Self::NoCredentials { reason: Chain(error).to_string() },
                Some(error) => Self::NoAnswer { reason: Chain(error).to_string() },
                None => Self::NoAnswer { reason: "the connection failed".to_owned() },
            },
            SdkError::ConstructionFailure(_) => Self::NotSent,
            _ => Self::NoAnswer { reason: "the call failed".to_owned() },
        }
    }

    /// The answer lacks a part that it must have.
    pub(crate) const fn incomplete() -> Self {
        Self::Unreadable { status: 200 }
    }

    /// The HTTP status of an answer that is the service's own.
    pub(crate) const fn status(&self) -> Option<u16> {
        match self {
            Self::Answered(answer) => Some(answer.status),
            _ => None,
        }
    }

    /// The service's name of the error.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Answered(answer) => answer.code.as_deref(),
            _ => None,
        }
    }

    /// Whether asking again may help: nobody knows whether it was done, or the service asks for it.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::NoCredentials { .. } | Self::NotSent | Self::TooMuch { .. } => false,
            Self::Unreadable { status } => !(400..500).contains(status),
            // 307: a bucket so young that its region is not known everywhere.
            Self::Answered(ErrorAnswer { status: 307 | 408 | 409 | 429 | 500.., .. }) => true,
            Self::Answered(_) => self.code().is_some_and(|code| TRANSIENT_CODES.contains(&code)),
        }
    }
}

/// Whether no credentials are configured, which no repetition mends.
fn no_credentials(error: &(dyn Error + 'static)) -> bool {
    let missing = matches!(
        error.downcast_ref(),
        Some(CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_))
    );
    missing || error.source().is_some_and(no_credentials)
}

impl fmt::Display for ErrorAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

/// Makes calls again that may be made again.
#[derive(Clone)]
pub(crate) struct Repeats {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Repeats {
    pub(crate) fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { clock, random }
    }

    /// The outcome of the last attempt: a success, an error that no repetition mends, or the error of the last of
    /// [`ATTEMPTS`].
    pub(crate) async fn until_certain<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let mut attempt = 1;
        loop {
            match call().await {
                Err(error) if error.is_transient() && attempt < ATTEMPTS => self.pause(attempt).await,
                outcome => return outcome,
            }
            attempt += 1;
        }
    }

    /// Waits after this failed attempt: between half and the whole of its pause, so that callers that failed together do
    /// not come back together.
    pub(crate) async fn pause(&self, attempt: u32) {
        let whole = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
        let half = u64::try_from(whole.as_millis() / 2).unwrap_or(u64::MAX);
        self.clock.sleep(Duration::from_millis(half + self.random.below(half))).await;
    }
}

impl fmt::Debug for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repeats").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, code: &str) -> CallError {
        CallError::Answered(ErrorAnswer { status, code: Some(code.to_owned()), message: None, request_id: None })
    }

    #[test]
    fn only_what_may_end_otherwise_is_asked_again() {
        for (status, code) in [
            (307, "TemporaryRedirect"),
            (400, "RequestTimeout"),
            (400, "RequestThrottled"),
            (408, ""),
            (409, "ConditionalRequestConflict"),
            (429, ""),
            (500, "InternalError"),
            (503, "SlowDown"),
        ] {
            assert!(answered(status, code).is_transient(), "{status} {code}");
        }
        for (status, code) in [
            (301, "PermanentRedirect"),
            (400, "BadDigest"),
            (400, "ExpiredToken"),
            (403, "AccessDenied"),
            (404, "NoSuchKey"),
            (412, "PreconditionFailed"),
        ] {
            assert!(!answered(status, code).is_transient(), "{status} {code}");
        }
        assert!(CallError::NoAnswer { reason: String::new() }.is_transient());
        assert!(CallError::incomplete().is_transient());
        assert!(!CallError::Unreadable { status: 403 }.is_transient());
        assert!(!CallError::NoCredentials { reason: String::new() }.is_transient());
    }

    #[test]
    fn an_answer_is_shown_in_one_line() {
        let mut answer =
            ErrorAnswer { status: 400, code: None, message: Some("no such thing".to_owned()), request_id: None };
        assert_eq!(answer.to_string(), "HTTP 400: no such thing");
        answer = ErrorAnswer { code: Some("X".to_owned()), message: None, request_id: Some("r".to_owned()), ..answer };
        assert_eq!(answer.to_string(), "HTTP 400 X (request r)");
    }
}
