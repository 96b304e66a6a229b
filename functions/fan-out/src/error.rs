//! Why a fan-out ended without an answer.

use archive::{ArchiveError, OpenError};
use domain::{Failure, IdError};
use graph::GraphError;
use queue::QueueError;

use crate::Faults;

/// Why a fan-out ended without an answer. Unless it failed while sending, nothing was written or sent; and whatever was
/// done, the same request with the same run id goes on from it.
#[derive(Debug, thiserror::Error)]
pub enum FanOutError {
    /// The payload breaks a rule.
    #[error("the payload is refused: {0}")]
    InvalidPayload(Faults),
    /// The configuration names something that does not exist.
    #[error("the configuration is refused: {0}")]
    InvalidConfiguration(Faults),
    /// The id of the request cannot be part of a run id.
    #[error("the request's id makes no run id: give a runId")]
    RequestId(#[source] IdError),
    /// The run id was used with another request.
    #[error("the run id was used with another request: choose another, or repeat the request to resume the run")]
    RunReused,
    /// The tenant has no product that includes the plan.
    #[error("none of the tenant's {skus} SKUs grants the Copilot plan: check the tenant and its subscriptions")]
    NoGrantingSku {
        /// How many SKUs the tenant has.
        skus: usize,
    },
    /// The tenant has such a product, and nobody holds it.
    #[error("nobody holds a licence that grants the Copilot plan: check whether licences are assigned")]
    NobodyEnumerated,
    /// Graph could not be asked.
    #[error("Graph could not be asked")]
    Graph(#[source] GraphError),
    /// The archive could not be opened.
    #[error("the archive could not be opened")]
    Open(#[source] OpenError),
    /// The archive could not be read or written.
    #[error("the archive could not be read or written")]
    Archive(#[source] ArchiveError),
    /// A run has its `run.json` and no roster, which is put before it.
    #[error("the run's roster is gone: restore it")]
    RosterGone,
    /// Not every message could be sent.
    #[error("not every message could be sent: repeat the request with the same run id to send the rest")]
    Queue(#[source] QueueError),
    /// The time was over first.
    #[error("the time was over first: repeat the request with the same run id, with more time")]
    DeadlinePassed,
}

impl FanOutError {
    /// The name a caller tells errors apart by: Lambda's `errorType`.
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::InvalidPayload(_) => "InvalidPayload",
            Self::InvalidConfiguration(_) => "InvalidConfiguration",
            Self::RequestId(_) => "InvalidRequestId",
            Self::RunReused => "RunReused",
            Self::NoGrantingSku { .. } => "NoGrantingSku",
            Self::NobodyEnumerated => "NobodyEnumerated",
            Self::Graph(_) if self.is_credential_refused() => "Unauthorised",
            Self::Graph(_) => "Graph",
            Self::Open(_) | Self::Archive(_) | Self::RosterGone => "Archive",
            Self::Queue(_) => "Queue",
            Self::DeadlinePassed => "DeadlinePassed",
        }
    }

    /// Whether Entra or Graph did not accept the application: of all that Graph may answer the one that an alarm tells apart,
    /// since it needs a person, and soon.
    pub const fn is_credential_refused(&self) -> bool {
        matches!(self, Self::Graph(error) if matches!(error.failure(), Some(Failure::Unauthorised)))
    }
}

impl From<Faults> for FanOutError {
    fn from(faults: Faults) -> Self {
        Self::InvalidPayload(faults)
    }
}

impl From<ArchiveError> for FanOutError {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

impl From<OpenError> for FanOutError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_application_has_a_type_of_its_own() {
        let token = GraphError::Token { code: Some(7_000_222), advice: "create a new one" };
        for refused in [token, GraphError::MissingRole { role: "User.Read.All" }] {
            let refused = FanOutError::Graph(refused);
            assert_eq!((refused.error_type(), refused.is_credential_refused()), ("Unauthorised", true));
        }
        for other in [GraphError::NoAnswer, GraphError::DeadlinePassed] {
            let other = FanOutError::Graph(other);
            assert_eq!((other.error_type(), other.is_credential_refused()), ("Graph", false));
        }
    }
}
