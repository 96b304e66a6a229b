//! The parts that handlers are given, made once per sandbox.

use std::sync::Arc;

use archive::Stores;
use aws::{Clients, NoRegion};
use domain::{Clock, OsRandom, ProcessEnv, Random, SystemClock};
use graph::{ClientAuth, ConfigError, Federated, GraphClient, HttpTransport, HttpTransportError, OriginError};
use queue::Queue;
use settings::{AwsSettings, Credential, GraphSettings, InvalidConfiguration, MetricNamespace, Part, Place, Secret};

use crate::Failure;

/// Why a function cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The environment is wrong.
    #[error(transparent)]
    Configuration(#[from] InvalidConfiguration),
    /// The SDK knows no region.
    #[error(transparent)]
    Region(#[from] NoRegion),
    /// A secret that only the local program takes.
    #[error("GRAPH_CREDENTIAL needs GRAPH_SECRET_ID here: functions take no secret from their environment")]
    SecretElsewhere,
    /// An origin that is none.
    #[error("GRAPH_BASE_URL or GRAPH_LOGIN_URL cannot be used")]
    Origin(#[from] OriginError),
    /// A client that cannot be made.
    #[error("the Graph client cannot be made")]
    Client(#[from] ConfigError),
    /// No HTTP.
    #[error("the Graph client cannot be made")]
    Transport(#[from] HttpTransportError),
}

impl From<&SetUpError> for Failure {
    fn from(error: &SetUpError) -> Self {
        Self::new("InvalidConfiguration", error)
    }
}

/// What all functions are made of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The machine's clock.
    pub clock: Arc<dyn Clock>,
    /// The machine's randomness.
    pub random: Arc<dyn Random>,
    clients: Clients,
}

impl Parts {
    /// The settings that a function needs, every fault at once, and the parts all functions share.
    pub async fn load<P: Part>() -> Result<(P, Self), SetUpError> {
        // Where metrics go is known to the logs already; here a fault in it is listed among the others.
        let (settings, _) = settings::from_env::<(P, MetricNamespace)>(&ProcessEnv, Place::Lambda)?;
        let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) = (Arc::new(SystemClock), Arc::new(OsRandom));
        let clients = Clients::load(Arc::clone(&clock), Arc::clone(&random)).await?;
        Ok((settings, Self { clock, random, clients }))
    }

    /// Where the archive lies.
    pub fn stores(&self, settings: &AwsSettings) -> Stores {
        let store = |bucket: &String| Arc::new(self.clients.store(bucket, &settings.prefix));
        Stores { evidence: store(&settings.archive_bucket), state: store(&settings.state_bucket) }
    }

    /// The work queue.
    pub fn queue(&self, settings: &AwsSettings) -> Arc<dyn Queue> {
        Arc::new(self.clients.queue(&settings.work_queue_url))
    }

    /// The one Graph client of this process, with this share of the tenant's budget.
    pub fn graph(&self, settings: &GraphSettings, requests_per_second: f64) -> Result<GraphClient, SetUpError> {
        let auth: Arc<dyn ClientAuth> = match &settings.credential {
            Credential::Federated => Arc::new(Federated(self.clients.web_identity())),
            Credential::ClientSecret(Secret::InSecretsManager(id)) => Arc::new(self.clients.client_secret(id)),
            Credential::Certificate(Secret::InSecretsManager(id)) => Arc::new(self.clients.certificate(id)),
            Credential::ClientSecret(_) | Credential::Certificate(_) => return Err(SetUpError::SecretElsewhere),
        };
        let config = wiring::graph_config(settings, requests_per_second)?;
        let transport = Arc::new(HttpTransport::new(&wiring::user_agent())?);
        Ok(GraphClient::new(config, auth, transport, Arc::clone(&self.clock), Arc::clone(&self.random))?)
    }
}
