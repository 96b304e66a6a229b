//! The identity that AWS vouches for towards Entra.

use std::fmt;

use async_trait::async_trait;
use aws_sdk_sts::Client;
use graph::{AssertionSource, AuthError};
use secrecy::SecretString;

use crate::call::{CallError, Repeats};

/// How long a token is valid, in seconds. It is used at once; what is left allows for clocks that differ.
const VALID_SECONDS: i32 = 300;

/// The only algorithm of STS that Entra verifies.
const ALGORITHM: &str = "RS256";

/// A token of the role this process runs as, signed by AWS: nothing is stored, and nothing has to be rotated. Minted
/// anew for each token request.
#[derive(Clone)]
pub struct WebIdentity {
    client: Client,
    repeats: Repeats,
}

impl WebIdentity {
    pub(crate) const fn new(client: Client, repeats: Repeats) -> Self {
        Self { client, repeats }
    }

    async fn mint(&self, audience: &str) -> Result<SecretString, CallError> {
        let get = self.client.get_web_identity_token().audience(audience);
        let get = get.signing_algorithm(ALGORITHM).duration_seconds(VALID_SECONDS);
        let answer = get.send().await.map_err(CallError::of)?;
        answer.web_identity_token.map(SecretString::from).ok_or(CallError::incomplete())
    }
}

/// What to do about a token that was not minted.
fn advice(error: CallError) -> AuthError {
    let reason = match (error.status(), error.code().unwrap_or_default()) {
        (_, "OutboundWebIdentityFederationDisabledException") => {
            "this AWS account mints no tokens for others yet: an administrator switches it on once with \
             iam:EnableOutboundWebIdentityFederation"
        }
        (_, "SessionDurationEscalationException") => {
            "the role's session ends too soon for a token: try again with fresh credentials"
        }
        (_, "JWTPayloadSizeExceededException") => "the token would be too large: remove session tags from the role",
        (_, "AccessDenied" | "AccessDeniedException") | (Some(403), _) => {
            "the role may not mint a token: grant sts:GetWebIdentityToken for this audience, RS256 and 300 seconds"
        }
        (_, "InvalidAction") => "the STS endpoint does not know GetWebIdentityToken: use a regional one of AWS",
        _ => "STS minted no token for Entra",
    };
    AuthError::new(reason).caused_by(error)
}

#[async_trait]
impl AssertionSource for WebIdentity {
    async fn assertion(&self, audience: &str) -> Result<SecretString, AuthError> {
        self.repeats.until_certain(|| self.mint(audience)).await.map_err(advice)
    }
}

impl fmt::Debug for WebIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebIdentity").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sts::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};

    #[tokio::test]
    async fn the_endpoint_is_the_regions_own() {
        // The global endpoint mints no tokens.
        for region in ["us-east-1", "eu-central-1"] {
            let parameters = Params::builder().region(region).build().unwrap();
            let endpoint = DefaultResolver::new().resolve_endpoint(&parameters).await.unwrap();
            assert_eq!(endpoint.url(), format!("https://sts.{region}.amazonaws.com"));
        }
    }
}
