//! How the application proves to Entra who it is.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use domain::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

pub use crate::certificate::Certificate;

/// What a token request says that a proof may have to repeat.
#[derive(Debug, Clone, Copy)]
pub struct ProofRequest<'a> {
    /// The application's client id.
    pub client_id: &'a str,
    /// The address the proof is sent to.
    pub token_endpoint: &'a str,
    /// The audience that an external identity's assertion must be made for.
    pub federation_audience: &'a str,
    /// Now.
    pub now: Timestamp,
    /// A random id for this proof alone.
    pub id: Uuid,
}

/// Why no proof could be made. The reason is written by us and holds no secret.
#[derive(Clone, thiserror::Error)]
#[error("{reason}")]
pub struct AuthError {
    reason: &'static str,
    #[source]
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl AuthError {
    /// An error with this reason.
    pub const fn new(reason: &'static str) -> Self {
        Self { reason, source: None }
    }

    /// The same with what caused it, which must not carry a secret.
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}

impl fmt::Debug for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthError({})", self.reason)
    }
}

/// The form fields of a token request that prove the client's identity, made anew for each request.
#[async_trait]
pub trait ClientAuth: Send + Sync + fmt::Debug {
    /// Makes the fields.
    async fn proof(&self, request: ProofRequest<'_>) -> Result<Vec<(&'static str, SecretString)>, AuthError>;

    /// Called once when Entra refuses the client: reads a rotated credential again. Whether there is another one now.
    async fn reload(&self) -> bool {
        false
    }
}

/// A client secret.
#[derive(Debug)]
pub struct ClientSecret(pub SecretString);

#[async_trait]
impl ClientAuth for ClientSecret {
    async fn proof(&self, _: ProofRequest<'_>) -> Result<Vec<(&'static str, SecretString)>, AuthError> {
        Ok(vec![("client_secret", self.0.clone())])
    }
}

/// Where an external identity's signed assertion comes from.
#[async_trait]
pub trait AssertionSource: Send + Sync + fmt::Debug {
    /// A fresh assertion for this audience: Entra refuses one that is used again.
    async fn assertion(&self, audience: &str) -> Result<SecretString, AuthError>;
}

/// An identity that Entra trusts by federation: nothing is stored, nothing rotates.
#[derive(Debug)]
pub struct Federated<S>(pub S);

#[async_trait]
impl<S: AssertionSource> ClientAuth for Federated<S> {
    async fn proof(&self, request: ProofRequest<'_>) -> Result<Vec<(&'static str, SecretString)>, AuthError> {
        Ok(assertion_fields(self.0.assertion(request.federation_audience).await?))
    }
}

#[async_trait]
impl<S: AssertionSource + ?Sized> AssertionSource for Arc<S> {
    async fn assertion(&self, audience: &str) -> Result<SecretString, AuthError> {
        (**self).assertion(audience).await
    }
}

/// The fields of a proof that is a signed assertion.
pub(crate) fn assertion_fields(assertion: SecretString) -> Vec<(&'static str, SecretString)> {
    const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    vec![("client_assertion_type", TYPE.into()), ("client_assertion", assertion)]
}

/// The form body of these fields.
pub(crate) fn form(fields: &[(&'static str, SecretString)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        form.append_pair(name, value.expose_secret());
    }
    form.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Echo;

    #[async_trait]
    impl AssertionSource for Echo {
        async fn assertion(&self, audience: &str) -> Result<SecretString, AuthError> {
            Ok(format!("for {audience}").into())
        }
    }

    fn request() -> ProofRequest<'static> {
        ProofRequest {
            client_id: "app",
            token_endpoint: "https://login.example/t/oauth2/v2.0/token",
            federation_audience: "api://AzureADTokenExchange",
            now: Timestamp::UNIX_EPOCH,
            id: Uuid::nil(),
        }
    }

    #[tokio::test]
    async fn a_secret_is_sent_escaped_and_never_shown() {
        let secret = ClientSecret("p&=+ %~ä".into());
        let fields = secret.proof(request()).await.unwrap();
        assert_eq!(form(&fields), "client_secret=p%26%3D%2B+%25%7E%C3%A4");
        assert!(!format!("{secret:?}{fields:?}").contains("p&"));
        assert!(!secret.reload().await);
    }

    #[tokio::test]
    async fn a_federated_identity_asks_for_the_clouds_audience() {
        let fields = Federated(Arc::new(Echo)).proof(request()).await.unwrap();
        assert_eq!(fields[0].0, "client_assertion_type");
        assert_eq!(fields[1].1.expose_secret(), "for api://AzureADTokenExchange");
    }
}
