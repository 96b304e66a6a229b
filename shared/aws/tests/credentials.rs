//! What Entra is shown, from Secrets Manager and from STS.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

mod bed;

use std::error::Error;

use aws_fake::{Effect, Fault, ISSUER_PUBLIC_KEY, Identity};
use bed::Bed;
use graph::{AssertionSource, ClientAuth, ProofRequest};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::ExposeSecret;
use serde_json::Value;

const AUDIENCE: &str = "api://AzureADTokenExchange";
const KEY: &str = include_str!("../../graph/tests/data/key.pem");
const CERTIFICATE: &str = include_str!("../../graph/tests/data/certificate.pem");

fn request(bed: &Bed) -> ProofRequest<'static> {
    ProofRequest {
        client_id: "app",
        token_endpoint: "https://login.example/t/oauth2/v2.0/token",
        federation_audience: AUDIENCE,
        now: bed.clock.now(),
        id: uuid::Uuid::nil(),
    }
}

async fn shown(bed: &Bed, auth: &dyn ClientAuth, field: &str) -> String {
    let fields = auth.proof(request(bed)).await.unwrap();
    let (_, value) = fields.into_iter().find(|(name, _)| *name == field).unwrap();
    value.expose_secret().to_owned()
}

#[tokio::test]
async fn a_secret_is_read_at_first_use_and_again_when_told() {
    let bed = Bed::new().await;
    let secret = bed.clients.client_secret("copilot/secret");
    assert!(bed.fake.calls().is_empty());
    bed.fake.set_secret("copilot/secret", "first~.\n");
    for _ in 0..2 {
        assert_eq!(shown(&bed, &secret, "client_secret").await, "first~.");
    }
    assert_eq!(bed.count("GetSecretValue"), 1);

    assert!(!secret.reload().await, "the same value is not another one");
    bed.fake.set_secret("copilot/secret", "second");
    assert!(secret.reload().await);
    assert_eq!(shown(&bed, &secret, "client_secret").await, "second");
    assert_eq!(bed.count("GetSecretValue"), 3);

    bed.fake.set_secret("copilot/secret", "third");
    bed.fake.plan(Fault::new(Effect::denied()));
    assert!(!secret.reload().await, "what cannot be read is not another one");
    assert_eq!(shown(&bed, &secret, "client_secret").await, "second");
    assert!(!format!("{secret:?}").contains("second"));
}

#[tokio::test]
async fn a_secret_may_be_named_by_its_arn() {
    let bed = Bed::new().await;
    bed.fake.set_secret("copilot/secret", "value");
    let arn = "arn:aws:secretsmanager:eu-central-1:000000000000:secret:copilot/secret-abcdef";
    let secret = bed.clients.client_secret(arn);
    assert_eq!(shown(&bed, &secret, "client_secret").await, "value");
}

#[tokio::test]
async fn a_certificate_signs_what_entra_asks_for() {
    let bed = Bed::new().await;
    bed.fake.set_secret("pem", &format!("{CERTIFICATE}{KEY}"));
    let auth = bed.clients.certificate("pem");
    assert_eq!(shown(&bed, &auth, "client_assertion").await.split('.').count(), 3);
    bed.fake.set_secret("pem", KEY);
    assert!(!auth.reload().await, "a PEM without its certificate is no other credential");
    assert_eq!(shown(&bed, &auth, "client_assertion").await.split('.').count(), 3);
}

#[tokio::test]
async fn what_is_wrong_with_a_secret_is_said_without_it() {
    let bed = Bed::new().await;
    bed.fake.set_secret("json", "{\"secret\":\"canary\"}");
    bed.fake.set_secret("empty", " \n");
    let denied = Fault::new(Effect::answer(400, "AccessDeniedException")).resource("denied");
    bed.fake.plan(denied);
    bed.fake.plan(Fault::new(Effect::answer(400, "DecryptionFailure")).resource("key"));
    bed.fake.plan(Fault::new(Effect::answer(400, "InvalidRequestException")).resource("deleted"));
    for (id, part) in [
        ("json", "store the client secret's value alone"),
        ("empty", "is empty"),
        ("missing", "does not exist: check its name or ARN"),
        ("denied", "grant secretsmanager:GetSecretValue"),
        ("key", "check its KMS key"),
        ("deleted", "scheduled for deletion"),
    ] {
        let error = bed.clients.client_secret(id).proof(request(&bed)).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert!(!format!("{error:?} {error} {:?}", error.source()).contains("canary"));
    }
}

#[tokio::test]
async fn a_busy_service_is_asked_again() {
    let bed = Bed::new().await;
    bed.fake.set_secret("secret", "value");
    bed.fake.plan(Fault::new(Effect::internal_error()).times(2));
    bed.fake.plan(Fault::new(Effect::LoseAnswer));
    let secret = bed.clients.client_secret("secret");
    assert_eq!(shown(&bed, &secret, "client_secret").await, "value");
    bed.fake.plan(Fault::new(Effect::answer(503, "ServiceUnavailable")).times(2));
    bed.clients.web_identity().assertion(AUDIENCE).await.unwrap();
}

#[tokio::test]
async fn a_web_identity_is_minted_anew_for_each_token_request() {
    let bed = Bed::new().await;
    let identity = bed.clients.web_identity();
    let key = DecodingKey::from_rsa_pem(ISSUER_PUBLIC_KEY.as_bytes()).unwrap();
    let mut tokens = std::collections::BTreeSet::new();
    for audience in [AUDIENCE, AUDIENCE, "api://AzureADTokenExchangeUSGov"] {
        let token = identity.assertion(audience).await.unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[audience]);
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Value>(token.expose_secret(), &key, &validation).unwrap().claims;
        assert_eq!(claims["sub"], Identity::default().subject);
        assert_eq!(claims["iss"], Identity::default().issuer);
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
        tokens.insert(claims["jti"].to_string());
    }
    assert_eq!(tokens.len(), 3);
    let calls = bed.fake.calls();
    assert_eq!(calls.len(), 3);
    assert_eq!((calls[0].iam_action(), calls[0].resource.as_str()), ("sts:GetWebIdentityToken".to_owned(), AUDIENCE));
}

#[tokio::test]
async fn what_keeps_sts_from_minting_is_said() {
    let bed = Bed::new().await;
    let identity = bed.clients.web_identity();
    bed.fake.set_identity(Identity { enabled: false, ..Identity::default() });
    let disabled = identity.assertion(AUDIENCE).await.unwrap_err();
    assert!(disabled.to_string().contains("iam:EnableOutboundWebIdentityFederation"), "{disabled}");
    bed.fake.set_identity(Identity::default());
    for (status, code, part) in [
        (403, "AccessDenied", "grant sts:GetWebIdentityToken"),
        (400, "SessionDurationEscalationException", "fresh credentials"),
        (400, "JWTPayloadSizeExceededException", "remove session tags"),
        (400, "InvalidAction", "use a regional one"),
        (400, "SomethingElse", "STS minted no token"),
    ] {
        bed.fake.plan(Fault::new(Effect::answer(status, code)));
        let error = identity.assertion(AUDIENCE).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        let source = error.source().unwrap().to_string();
        assert!(source.contains(code), "{source}");
    }
    assert_eq!(bed.count("GetWebIdentityToken"), 6);
}
