//! Secrets, with versions that can be swapped.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::request::{Refusal, Reply, md5_hex};

/// All secrets, by name.
#[derive(Debug, Default)]
pub(crate) struct Secrets(BTreeMap<String, Secret>);

struct Secret {
    value: String,
    version: u64,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Secrets {
    /// A new version of a secret, which from now on is the current one.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let version = self.0.get(name).map_or(0, |secret| secret.version) + 1;
        self.0.insert(name.to_owned(), Secret { value: value.to_owned(), version });
    }

    /// The secret's id in a request.
    pub(crate) fn asked(body: &[u8]) -> String {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        body["SecretId"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn get(&self, id: &str) -> Result<Reply, Refusal> {
        // An ARN ends in the name and six random characters.
        let name = match id.split_once(":secret:") {
            Some((_, name)) => name.rsplit_once('-').map_or(name, |(name, _)| name),
            None => id,
        };
        let secret = self.0.get(name).ok_or_else(|| {
            Refusal::new(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        })?;
        Ok(Reply::json(
            200,
            &json!({
                "ARN": format!("arn:aws:secretsmanager:eu-central-1:000000000000:secret:{name}-abcdef"),
                "Name": name,
                "VersionId": md5_hex(format!("{name} {}", secret.version).as_bytes()),
                "VersionStages": ["AWSCURRENT"],
                "SecretString": secret.value,
            }),
        ))
    }
}

/// An error in the form of the service.
pub(crate) fn error(refusal: &Refusal) -> Reply {
    Reply::json(refusal.status, &json!({ "__type": refusal.code, "Message": refusal.message }))
}
