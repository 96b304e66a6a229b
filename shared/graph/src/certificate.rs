//! A certificate as the client's identity: a signed assertion for each token request.

use std::fmt;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::auth::{AuthError, ClientAuth, ProofRequest, assertion_fields};

/// How long an assertion is valid, in seconds: Entra's advice is five to ten minutes, and each is used at once.
const VALID_SECONDS: i64 = 300;

/// How far an assertion is dated back, in seconds, for a clock that runs ahead of Entra's.
const BACKDATED_SECONDS: i64 = 60;

/// A certificate with its RSA key.
pub struct Certificate {
    key: EncodingKey,
    thumbprint: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

impl Certificate {
    /// Reads a PEM that holds the certificate and its PKCS #8 key, in any order; of several certificates, the key's own.
    pub fn from_pem(pem: &SecretString) -> Result<Self, AuthError> {
        let pem = pem.expose_secret().as_bytes();
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem)
            .map_err(|_| AuthError::new("the PEM holds no PKCS #8 key: add the PRIVATE KEY section"))?;
        let key = rsa_key(key.secret_pkcs8_der())?;
        let modulus = modulus(&key)?;
        let mut certificates = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).peekable();
        if certificates.peek().is_none() {
            return Err(AuthError::new("the PEM holds no certificate: add the CERTIFICATE section"));
        }
        // The modulus is the bulk of a public key, and no certificate holds another's: no need to take the DER apart.
        let own = certificates
            .find(|certificate| certificate.windows(modulus.len()).any(|window| window == modulus))
            .ok_or(AuthError::new("the PEM's key and certificate do not belong together"))?;
        Ok(Self { key, thumbprint: URL_SAFE_NO_PAD.encode(Sha256::digest(&own)) })
    }

    fn assertion(&self, request: &ProofRequest<'_>) -> Result<SecretString, AuthError> {
        let now = request.now.as_second();
        let claims = Claims {
            aud: request.token_endpoint,
            iss: request.client_id,
            sub: request.client_id,
            jti: request.id.to_string(),
            iat: now,
            nbf: now.saturating_sub(BACKDATED_SECONDS),
            exp: now.saturating_add(VALID_SECONDS),
        };
        let mut header = Header::new(Algorithm::PS256);
        header.x5t_s256 = Some(self.thumbprint.clone());
        jsonwebtoken::encode(&header, &claims, &self.key)
            .map(SecretString::from)
            .map_err(|error| AuthError::new("the certificate's key does not sign").caused_by(error))
    }
}

/// The key for signing. The library reads RSA keys from PEM, so the one section it needs is written anew.
fn rsa_key(pkcs8: &[u8]) -> Result<EncodingKey, AuthError> {
    let body = base64::engine::general_purpose::STANDARD.encode(pkcs8);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in body.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    let pem = SecretString::from(pem);
    EncodingKey::from_rsa_pem(pem.expose_secret().as_bytes())
        .map_err(|_| AuthError::new("the PEM's key is no RSA key: Entra accepts RSA certificates only"))
}

fn modulus(key: &EncodingKey) -> Result<Vec<u8>, AuthError> {
    let unusable = AuthError::new("the PEM's key cannot be used");
    let jwk = Jwk::from_encoding_key(key, Algorithm::PS256).map_err(|_| unusable.clone())?;
    let AlgorithmParameters::RSA(parameters) = jwk.algorithm else { return Err(unusable) };
    match URL_SAFE_NO_PAD.decode(parameters.n) {
        Ok(modulus) if !modulus.is_empty() => Ok(modulus),
        _ => Err(unusable),
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

#[async_trait]
impl ClientAuth for Certificate {
    async fn proof(&self, request: ProofRequest<'_>) -> Result<Vec<(&'static str, SecretString)>, AuthError> {
        Ok(assertion_fields(self.assertion(&request)?))
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use jsonwebtoken::{DecodingKey, Validation};
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;

    const KEY: &str = include_str!("../tests/data/key.pem");
    const CERTIFICATE: &str = include_str!("../tests/data/certificate.pem");
    const PUBLIC: &str = include_str!("../tests/data/public.pem");
    const OTHER: &str = include_str!("../tests/data/other-certificate.pem");
    /// What openssl says of the certificate: the base64url form of its SHA-256 fingerprint.
    const THUMBPRINT: &str = include_str!("../tests/data/thumbprint.txt");

    fn read(pem: &str) -> Result<Certificate, AuthError> {
        Certificate::from_pem(&SecretString::from(pem.to_owned()))
    }

    #[tokio::test]
    async fn the_assertion_is_what_entra_asks_for_and_the_public_key_verifies_it() {
        for pem in [format!("{KEY}{CERTIFICATE}"), format!("{CERTIFICATE}{KEY}"), format!("{OTHER}{CERTIFICATE}{KEY}")]
        {
            let certificate = read(&pem).unwrap();
            assert!(!format!("{certificate:?}").contains("PRIVATE"));
            let endpoint = "https://login.example/tenant/oauth2/v2.0/token";
            let request = ProofRequest {
                client_id: "app",
                token_endpoint: endpoint,
                federation_audience: "unused",
                now: "2026-03-02T09:14:07Z".parse::<Timestamp>().unwrap(),
                id: Uuid::from_u128(7),
            };
            let fields = certificate.proof(request).await.unwrap();
            let assertion = fields[1].1.expose_secret();

            let header = jsonwebtoken::decode_header(assertion).unwrap();
            assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::PS256, Some("JWT")));
            assert_eq!(header.x5t_s256.as_deref(), Some(THUMBPRINT.trim()));

            let mut validation = Validation::new(Algorithm::PS256);
            validation.set_audience(&[endpoint]);
            validation.validate_exp = false;
            let key = DecodingKey::from_rsa_pem(PUBLIC.as_bytes()).unwrap();
            let claims = jsonwebtoken::decode::<Value>(assertion, &key, &validation).unwrap().claims;
            assert_eq!((&claims["iss"], &claims["sub"]), (&"app".into(), &"app".into()));
            assert_eq!(claims["jti"], Uuid::from_u128(7).to_string());
            assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
            assert_eq!(claims["iat"], 1_772_442_847);
        }
    }

    #[test]
    fn what_is_missing_or_does_not_fit_is_named() {
        for (pem, part) in [
            (String::new(), "no PKCS #8 key"),
            (CERTIFICATE.to_owned(), "no PKCS #8 key"),
            (KEY.to_owned(), "no certificate"),
            (format!("{KEY}{OTHER}"), "do not belong together"),
        ] {
            let error = read(&pem).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
