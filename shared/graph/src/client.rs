//! The client and its configuration.

use std::sync::Arc;

use domain::{Clock, Deadline, Random, TenantId, Timestamp};

use crate::auth::ClientAuth;
use crate::cloud::{ApiVersion, Cloud, Origin};
use crate::error::GraphError;
use crate::transport::Transport;

/// Whom to ask, and how fast.
#[derive(Debug, Clone)]
pub struct GraphConfig {
    /// The tenant.
    pub tenant: TenantId,
    /// The application.
    pub client_id: String,
    /// The cloud.
    pub cloud: Cloud,
    /// The version that interactions are asked of.
    pub api_version: ApiVersion,
    /// Another origin of Graph than the cloud's.
    pub graph_origin: Option<Origin>,
    /// Another origin of Entra than the cloud's.
    pub login_origin: Option<Origin>,
    /// Whether questions name their window; without, a window is answered by the whole history.
    pub date_filter: bool,
    /// This process's share of the tenant's budget of interaction requests.
    pub requests_per_second: f64,
    /// How many interaction requests may be under way at once.
    pub in_flight: usize,
}

impl GraphConfig {
    /// The configuration with everything else at its default: the global cloud, `v1.0`, the date filter on, the whole
    /// of the documented budget, 32 in flight.
    pub fn new(tenant: TenantId, client_id: impl Into<String>) -> Self {
        Self {
            tenant,
            client_id: client_id.into(),
            cloud: Cloud::default(),
            api_version: ApiVersion::default(),
            graph_origin: None,
            login_origin: None,
            date_filter: true,
            requests_per_second: 24.0,
            in_flight: 32,
        }
    }
}

/// A configuration no client can work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The share is not a positive number.
    #[error("requests per second must be a positive number")]
    Rate,
    /// Nothing may be under way.
    #[error("in flight must be at least 1")]
    InFlight,
    /// No application.
    #[error("the client id is empty")]
    ClientId,
}

/// The one client of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GraphClient {}

impl GraphClient {
    /// A client; asks nothing yet.
    pub fn new(
        config: GraphConfig,
        auth: Arc<dyn ClientAuth>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, ConfigError> {
        let _ = (config, auth, transport, clock, random);
        Ok(Self {})
    }

    /// Whether the token carries the role that reading interactions needs.
    pub async fn check_consent(&self, deadline: Deadline) -> Result<(), GraphError> {
        let _ = deadline;
        Err(GraphError::NoAnswer)
    }

    /// The newest `Date` that Graph put on an answer.
    pub fn server_date(&self) -> Option<Timestamp> {
        None
    }

    /// All requests to Graph so far.
    pub fn requests_sent(&self) -> u64 {
        0
    }
}
