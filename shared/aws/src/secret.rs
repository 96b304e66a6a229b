//! A credential for Entra that lies in Secrets Manager.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use graph::{AuthError, Certificate, ClientAuth, ClientSecret, ProofRequest};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::call::{CallError, Repeats};

/// A client secret or a certificate in Secrets Manager: read at first use, and again when Entra refuses it.
pub struct SecretsManager {
    client: Client,
    secret_id: String,
    make: fn(&SecretString) -> Result<Arc<dyn ClientAuth>, AuthError>,
    repeats: Repeats,
    current: Mutex<Option<Current>>,
}

#[derive(Clone)]
struct Current {
    value: SecretString,
    auth: Arc<dyn ClientAuth>,
}

impl SecretsManager {
    pub(crate) fn client_secret(client: Client, secret_id: String, repeats: Repeats) -> Self {
        Self { client, secret_id, make: client_secret, repeats, current: Mutex::new(None) }
    }

    pub(crate) fn certificate(client: Client, secret_id: String, repeats: Repeats) -> Self {
        Self { client, secret_id, make: certificate, repeats, current: Mutex::new(None) }
    }

    async fn read(&self) -> Result<Current, AuthError> {
        let value = self.repeats.until_certain(|| self.read_once()).await.map_err(advice)?;
        let auth = (self.make)(&value)?;
        Ok(Current { value, auth })
    }

    async fn read_once(&self) -> Result<SecretString, CallError> {
        let answer = self.client.get_secret_value().secret_id(&self.secret_id).send().await.map_err(CallError::of)?;
        let binary = answer.secret_binary.and_then(|blob| String::from_utf8(blob.into_inner()).ok());
        answer.secret_string.or(binary).map(SecretString::from).ok_or(CallError::incomplete())
    }
}

fn client_secret(value: &SecretString) -> Result<Arc<dyn ClientAuth>, AuthError> {
    // A line pasted into the console ends with a newline; Entra's secrets hold no white space.
    let text = value.expose_secret().trim();
    if text.is_empty() {
        return Err(AuthError::new("the secret GRAPH_SECRET_ID names is empty: store the client secret's value in it"));
    }
    if text.starts_with('{') {
        return Err(AuthError::new(
            "the secret GRAPH_SECRET_ID names holds JSON: store the client secret's value alone, as plain text",
        ));
    }
    Ok(Arc::new(ClientSecret(text.to_owned().into())))
}

fn certificate(value: &SecretString) -> Result<Arc<dyn ClientAuth>, AuthError> {
    Ok(Arc::new(Certificate::from_pem(value)?))
}

/// What to do about a secret that could not be read.
fn advice(error: CallError) -> AuthError {
    let reason = match (error.status(), error.code().unwrap_or_default()) {
        (_, "ResourceNotFoundException") => {
            "the secret GRAPH_SECRET_ID names does not exist: check its name or ARN, and the region"
        }
        (_, "InvalidRequestException") => {
            "the secret GRAPH_SECRET_ID names cannot be read in its state: check that it is not scheduled for deletion"
        }
        (_, "DecryptionFailure") => "the secret GRAPH_SECRET_ID names cannot be decrypted: check its KMS key",
        (_, "AccessDeniedException") | (Some(403), _) => {
            "the secret GRAPH_SECRET_ID names may not be read: grant secretsmanager:GetSecretValue on it, and \
             kms:Decrypt on its key if that is your own"
        }
        _ => "the secret GRAPH_SECRET_ID names could not be read from Secrets Manager",
    };
    AuthError::new(reason).caused_by(error)
}

#[async_trait]
impl ClientAuth for SecretsManager {
    async fn proof(&self, request: ProofRequest<'_>) -> Result<Vec<(&'static str, SecretString)>, AuthError> {
        let auth = {
            let mut current = self.current.lock().await;
            let known = match current.take() {
                Some(known) => known,
                None => self.read().await?,
            };
            Arc::clone(&current.insert(known).auth)
        };
        auth.proof(request).await
    }

    async fn reload(&self) -> bool {
        let mut current = self.current.lock().await;
        match self.read().await {
            Ok(read) => {
                let known = current.replace(read.clone());
                known.is_none_or(|known| known.value.expose_secret() != read.value.expose_secret())
            }
            Err(error) => {
                tracing::warn!(error = %domain::Chain(&error), "the secret was not read again");
                false
            }
        }
    }
}

impl fmt::Debug for SecretsManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretsManager").field("secret_id", &self.secret_id).finish_non_exhaustive()
    }
}
