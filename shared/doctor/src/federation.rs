//! What the identity that AWS vouches for says, to be compared with what Entra expects.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use graph::AssertionSource;
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::finding::Finding;

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Has a token made for this audience and tells whose it is. The token itself goes nowhere.
pub async fn federation(source: &dyn AssertionSource, audience: &str) -> Finding {
    const NAME: &str = "federation";
    let token = match source.assertion(audience).await {
        Ok(token) => token,
        Err(error) => {
            let told = error.to_string();
            let (says, fix) = told.split_once(": ").unwrap_or((&told, "try again; the AWS command line may say more"));
            return Finding::fix(NAME, says, fix);
        }
    };
    match claims(token.expose_secret()) {
        Some(Claims { iss, sub, aud }) => {
            let aud = match aud {
                Audience::One(audience) => audience,
                Audience::Several(audiences) => audiences.join(" "),
            };
            Finding::good(
                NAME,
                format!(
                    "issuer {iss}, subject {sub}, audience {aud}: letter by letter what the application's federated credential \
                     has to hold; the functions' own subjects are the stack's outputs"
                ),
            )
        }
        None => Finding::not_checked(NAME, "AWS made a token whose claims cannot be read"),
    }
}

fn claims(token: &str) -> Option<Claims> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&payload).ok()
}
