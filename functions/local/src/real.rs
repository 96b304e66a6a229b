//! A real tenant, reached as the environment says.

use std::path::Path;
use std::sync::Arc;

use domain::{Clock, Env, OsRandom, Random, SystemClock};
use graph::{
    AuthError, Certificate, ClientAuth, ClientSecret, ConfigError, GraphClient, HttpTransport, HttpTransportError,
    Origin, OriginError, Transport,
};
use secrecy::SecretString;
use settings::{Credential, GraphSettings, InvalidConfiguration, Place, Rules, Secret};

use crate::location::Place as ArchivePlace;
use crate::world::{World, local_rules};

/// The largest certificate file that is read. A PEM with a chain and a key has a few kilobytes.
const MAX_PEM_BYTES: u64 = 64 * 1024;

/// Why a real tenant cannot be reached from here.
#[derive(Debug, thiserror::Error)]
pub enum RealError {
    /// The environment is wrong.
    #[error(transparent)]
    Configuration(#[from] InvalidConfiguration),
    /// A certificate file that cannot be read.
    #[error("GRAPH_CERTIFICATE_FILE cannot be read; name a PEM file of at most {MAX_PEM_BYTES} bytes")]
    File(#[source] std::io::Error),
    /// A credential that is none.
    #[error("the credential cannot be used")]
    Credential(#[source] AuthError),
    /// A credential that only functions have.
    #[error("GRAPH_CREDENTIAL names one that exists on AWS only; set GRAPH_CLIENT_SECRET or GRAPH_CERTIFICATE_FILE")]
    Elsewhere,
    /// An origin that is none.
    #[error("GRAPH_BASE_URL or GRAPH_LOGIN_URL cannot be used")]
    Origin(#[source] OriginError),
    /// A client that cannot be made.
    #[error("the Graph client cannot be made")]
    Client(#[source] ConfigError),
    /// No network.
    #[error("the Graph client cannot be made")]
    Transport(#[source] HttpTransportError),
}

/// Entra and Graph, as settings reach them.
#[derive(Debug)]
pub struct Connection {
    /// The client.
    pub graph: GraphClient,
    /// What it asks by.
    pub transport: Arc<dyn Transport>,
    /// Where it asks for tokens.
    pub login_origin: Origin,
    /// Where it asks for all else.
    pub graph_origin: Origin,
    /// Whom a token of AWS has to be for.
    pub federation_audience: &'static str,
}

/// The connection of these settings. Asks nothing yet.
pub fn connect(
    settings: &GraphSettings,
    auth: Arc<dyn ClientAuth>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<Connection, RealError> {
    // This process is the only worker, whatever the variable for their number says.
    let config = wiring::graph_config(settings, settings.pace.requests_per_second).map_err(RealError::Origin)?;
    let (login_origin, graph_origin) = (config.login_origin(), config.graph_origin());
    let federation_audience = config.cloud.federation_audience();
    let transport = HttpTransport::new(&wiring::user_agent()).map_err(RealError::Transport)?;
    let transport: Arc<dyn Transport> = Arc::new(transport);
    let graph = GraphClient::new(config, auth, Arc::clone(&transport), clock, random).map_err(RealError::Client)?;
    Ok(Connection { graph, transport, login_origin, graph_origin, federation_audience })
}

/// The tenant that the environment names, with its archive in this place. Asks nothing yet.
pub fn world(env: &dyn Env, place: ArchivePlace) -> Result<World, RealError> {
    let (settings, rules): (GraphSettings, Rules) = settings::from_env(env, Place::Local)?;
    let auth = auth(&settings.credential)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(OsRandom);
    let graph = connect(&settings, auth, Arc::clone(&clock), Arc::clone(&random))?.graph;
    Ok(World {
        graph,
        place,
        tenant: settings.tenant_id,
        clock,
        random,
        rules: local_rules(rules),
        requests_per_second: settings.pace.requests_per_second,
    })
}

/// What proves the application's identity from here.
pub fn auth(credential: &Credential) -> Result<Arc<dyn ClientAuth>, RealError> {
    match credential {
        Credential::ClientSecret(Secret::Given(secret)) => Ok(Arc::new(ClientSecret(secret.clone()))),
        Credential::Certificate(Secret::InFile(path)) => {
            let pem = read_pem(path).map_err(RealError::File)?;
            Ok(Arc::new(Certificate::from_pem(&pem).map_err(RealError::Credential)?))
        }
        _ => Err(RealError::Elsewhere),
    }
}

fn read_pem(path: &Path) -> Result<SecretString, std::io::Error> {
    use std::io::Read;
    let mut pem = String::new();
    std::fs::File::open(path)?.take(MAX_PEM_BYTES).read_to_string(&mut pem)?;
    Ok(pem.into())
}

#[cfg(test)]
mod tests {
    use domain::MapEnv;

    use super::*;

    const ID: &str = "5ac181d0-c896-435a-a745-ac948db1d59a";

    fn refused(env: &MapEnv) -> String {
        let folder = tempfile::tempdir().unwrap();
        let place = ArchivePlace::folder(&folder.path().join("archive")).unwrap();
        world(env, place).unwrap_err().to_string()
    }

    #[test]
    fn every_fault_of_the_environment_comes_at_once() {
        let env = MapEnv::from([("GRAPH_TENANT_ID", "contoso"), ("OVERLAP_HOURS", "0")]);
        let message = refused(&env);
        for name in ["GRAPH_TENANT_ID", "GRAPH_CLIENT_ID", "OVERLAP_HOURS"] {
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn a_credential_that_lives_on_aws_is_refused() {
        let env = MapEnv::from([("GRAPH_TENANT_ID", ID), ("GRAPH_CLIENT_ID", ID), ("GRAPH_CREDENTIAL", "federated")]);
        assert!(refused(&env).contains("on AWS only"), "{}", refused(&env));
    }

    #[test]
    fn a_certificate_file_that_is_not_there_is_named_by_its_variable() {
        let env = MapEnv::from([("GRAPH_TENANT_ID", ID), ("GRAPH_CLIENT_ID", ID)])
            .with("GRAPH_CERTIFICATE_FILE", "/nowhere/app.pem");
        let message = refused(&env);
        assert!(message.contains("GRAPH_CERTIFICATE_FILE") && !message.contains("nowhere"), "{message}");
    }
}
