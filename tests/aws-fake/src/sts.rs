//! Tokens of the role that a process runs as.

use domain::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use uuid::Uuid;

use crate::request::{Refusal, Reply, escape};

/// The key that tokens are signed with. It opens nothing: it was made for this fake.
const KEY: &str = include_str!("../data/issuer-key.pem");

/// What tokens verify with.
pub const ISSUER_PUBLIC_KEY: &str = include_str!("../data/issuer-public.pem");

/// Who the tokens speak of, and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account's issuer.
    pub issuer: String,
    /// The role's ARN.
    pub subject: String,
    /// Whether the account has outbound federation switched on.
    pub enabled: bool,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            issuer: "https://00000000-0000-4000-8000-000000000000.tokens.sts.global.api.aws".to_owned(),
            subject: "arn:aws:iam::000000000000:role/worker".to_owned(),
            enabled: true,
        }
    }
}

/// What a request asks of STS.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) action: String,
    pub(crate) audience: String,
    algorithm: String,
    seconds: i64,
}

impl Asked {
    pub(crate) fn read(body: &[u8]) -> Self {
        let form: Vec<(String, String)> = url::form_urlencoded::parse(body).into_owned().collect();
        let field = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        Self {
            action: field("Action").unwrap_or_default(),
            audience: field("Audience.member.1").unwrap_or_default(),
            algorithm: field("SigningAlgorithm").unwrap_or_default(),
            seconds: field("DurationSeconds").map_or(Some(300), |seconds| seconds.parse().ok()).unwrap_or(0),
        }
    }
}

impl Identity {
    /// A token that was never given before: `id` is its own.
    pub(crate) fn token(&self, asked: &Asked, now: Timestamp, id: Uuid) -> Result<Reply, Refusal> {
        if asked.action != "GetWebIdentityToken" {
            return Err(Refusal::new(400, "InvalidAction", "this fake does not do that"));
        }
        if !self.enabled {
            return Err(Refusal::new(
                400,
                "OutboundWebIdentityFederationDisabledException",
                "outbound web identity federation is not enabled for this account",
            ));
        }
        if asked.audience.is_empty() || asked.algorithm != "RS256" || !(60..=3600).contains(&asked.seconds) {
            return Err(Refusal::new(400, "ValidationError", "audience, algorithm or duration are not right"));
        }
        let issued = now.as_second();
        let claims = json!({
            "iss": self.issuer, "sub": self.subject, "aud": asked.audience, "jti": id.to_string(),
            "iat": issued, "nbf": issued, "exp": issued + asked.seconds,
        });
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some("fake".to_owned());
        let token = EncodingKey::from_rsa_pem(KEY.as_bytes())
            .and_then(|key| jsonwebtoken::encode(&header, &claims, &key))
            .map_err(|error| Refusal::new(500, "InternalFailure", error.to_string()))?;
        let expiration = Timestamp::from_second(issued + asked.seconds).unwrap_or(Timestamp::MAX);
        Ok(Reply::new(
            200,
            "text/xml",
            format!(
                "<GetWebIdentityTokenResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <GetWebIdentityTokenResult><WebIdentityToken>{token}</WebIdentityToken>\
                 <Expiration>{expiration}</Expiration></GetWebIdentityTokenResult>\
                 <ResponseMetadata><RequestId>fake</RequestId></ResponseMetadata></GetWebIdentityTokenResponse>"
            ),
        ))
    }
}

/// An error in STS's form.
pub(crate) fn error(refusal: &Refusal) -> Reply {
    let (code, message) = (escape(&refusal.code), escape(&refusal.message));
    Reply::new(
        refusal.status,
        "text/xml",
        format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
             <Code>{code}</Code><Message>{message}</Message></Error><RequestId>fake</RequestId></ErrorResponse>"
        ),
    )
}
