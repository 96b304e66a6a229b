//! The client and its configuration.

use std::sync::Arc;

use domain::{Clock, Deadline, Random, TenantId, Timestamp};

use crate::auth::ClientAuth;
use crate::budget::ByteBudget;
use crate::cloud::{ApiVersion, Cloud, Origin};
use crate::error::GraphError;
use crate::exchange::Exchange;
use crate::pace::Pace;
use crate::token::{TokenConfig, Tokens};
use crate::transport::Transport;

/// The least share that works: a request in a hundred seconds.
const LEAST_RATE: f64 = 0.01;

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

    /// Where Graph is asked.
    pub fn graph_origin(&self) -> Origin {
        self.graph_origin.clone().unwrap_or_else(|| self.cloud.graph_origin())
    }

    /// Where tokens are asked for.
    pub fn login_origin(&self) -> Origin {
        self.login_origin.clone().unwrap_or_else(|| self.cloud.login_origin())
    }
}

/// A configuration no client can work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The share is no number, or too small.
    #[error("requests per second must be a number of at least 0.01")]
    Rate,
    /// Nothing may be under way.
    #[error("in flight must be at least 1")]
    InFlight,
    /// No application.
    #[error("the client id is empty")]
    ClientId,
}

/// The role that reading interactions needs.
pub const INTERACTIONS_ROLE: &str = "AiEnterpriseInteraction.Read.All";

/// How many directory requests a second at most: the costliest kind takes 5 of the 3,500 units that the smallest tenants
/// have per 10 seconds.
const DIRECTORY_REQUESTS_PER_SECOND: f64 = 50.0;

/// How many directory requests at once. Listings are read one page after the other, so this bounds look-ups.
const DIRECTORY_IN_FLIGHT: usize = 4;

/// The one client of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GraphClient {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) exchange: Exchange,
    pub(crate) interactions: Pace,
    pub(crate) directory: Pace,
    pub(crate) budget: Arc<ByteBudget>,
    pub(crate) api_version: ApiVersion,
    pub(crate) date_filter: bool,
}

impl GraphClient {
    /// A client; asks nothing yet.
    pub fn new(
        config: GraphConfig,
        auth: Arc<dyn ClientAuth>,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, ConfigError> {
        let share = config.requests_per_second;
        if !share.is_finite() || share < LEAST_RATE {
            return Err(ConfigError::Rate);
        }
        if config.in_flight == 0 {
            return Err(ConfigError::InFlight);
        }
        if config.client_id.is_empty() {
            return Err(ConfigError::ClientId);
        }
        let (login, origin) = (config.login_origin(), config.graph_origin());
        let token_config = TokenConfig {
            endpoint: format!("{login}/{}/oauth2/v2.0/token", config.tenant),
            client_id: config.client_id,
            scope: config.cloud.scope(),
            federation_audience: config.cloud.federation_audience(),
        };
        let tokens = Tokens::new(token_config, auth, Arc::clone(&transport), Arc::clone(&clock), Arc::clone(&random));
        let pace = |share, in_flight| Pace::new(share, in_flight, Arc::clone(&clock), Arc::clone(&random));
        let inner = Inner {
            interactions: pace(share, config.in_flight),
            directory: pace(DIRECTORY_REQUESTS_PER_SECOND, DIRECTORY_IN_FLIGHT),
            budget: Arc::new(ByteBudget::new(config.in_flight)),
            api_version: config.api_version,
            date_filter: config.date_filter,
            exchange: Exchange::new(origin, tokens, transport, Arc::clone(&clock), Arc::clone(&random)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether the token carries the role that reading interactions needs.
    ///
    /// A token that cannot be read passes: its roles are for Graph to judge.
    pub async fn check_consent(&self, deadline: Deadline) -> Result<(), GraphError> {
        let role = INTERACTIONS_ROLE;
        match self.token_roles(deadline).await? {
            Some(roles) if !roles.iter().any(|granted| granted == role) => Err(GraphError::MissingRole { role }),
            _ => Ok(()),
        }
    }

    /// The roles that the token names; `None` if it cannot be read, which is its issuer's right.
    pub async fn token_roles(&self, deadline: Deadline) -> Result<Option<Vec<String>>, GraphError> {
        let token = self.inner.exchange.tokens.get(deadline).await?;
        Ok(token.roles().map(<[String]>::to_vec))
    }

    /// The newest `Date` that Graph put on an answer.
    pub fn server_date(&self) -> Option<Timestamp> {
        self.inner.exchange.server_date()
    }

    /// All requests to Graph so far, those for the directory included.
    pub fn requests_sent(&self) -> u64 {
        self.inner.exchange.sent()
    }

    /// Whether a question names its window. Without, every question is answered by the whole history, and asking for less
    /// asks for the same again.
    pub fn date_filter(&self) -> bool {
        self.inner.date_filter
    }

    /// The budget that all pages of this client share.
    pub fn byte_budget(&self) -> &ByteBudget {
        &self.inner.budget
    }
}
