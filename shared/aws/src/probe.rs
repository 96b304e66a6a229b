//! What a bucket would let somebody do, asked without doing it.

use archive::store::StoreError;
use aws_sdk_s3::types::DefaultRetention;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::S3Store;
use crate::call::CallError;
use crate::s3::twice;

/// What is put, and what its checksum is of: S3 compares them after it looked at the rights, so nothing is ever kept.
const CONTENT: &[u8] = b"copilot-archive doctor: this may be removed";
const OTHER_CONTENT: &[u8] = b"";

/// An entity tag that no object has.
const NO_VERSION: &str = "\"no object of this archive\"";

/// What became of an attempt that was made never to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It was refused for want of permission.
    Denied,
    /// It was permitted, and failed by what was wrong with it.
    Permitted,
    /// It was done: this store does not look at what was wrong with it.
    Done,
}

/// How long a bucket keeps every object that is put into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultLock {
    /// `GOVERNANCE` or `COMPLIANCE`.
    pub mode: String,
    /// For how many days.
    pub days: i32,
}

impl S3Store {
    /// Attempts a put under a key at which nothing is, with a checksum that is not its content's: one that only creates, as
    /// the archive's own, or a plain one.
    pub async fn attempt_put(&self, key: &str, only_create: bool) -> Result<Attempt, StoreError> {
        let checksum = STANDARD.encode(Sha256::digest(OTHER_CONTENT));
        let put = self.client.put_object().bucket(&self.bucket).key(self.full(key)).checksum_sha256(checksum);
        let put = put.set_if_none_match(only_create.then(|| "*".to_owned()));
        let answer = put.body(Bytes::from_static(CONTENT).into()).send().await.map_err(CallError::of);
        attempt(answer).map_err(|error| self.failed("attempt a put", key, error))
    }

    /// Attempts a delete of a version that does not exist.
    pub async fn attempt_delete(&self, key: &str) -> Result<Attempt, StoreError> {
        let delete = self.client.delete_object().bucket(&self.bucket).key(self.full(key)).if_match(NO_VERSION);
        let answer = delete.send().await.map_err(CallError::of);
        attempt(answer).map_err(|error| self.failed("attempt a delete", key, error))
    }

    /// The retention that new objects get; `Some(None)` for none, `None` if the caller may not see it.
    pub async fn default_lock(&self) -> Result<Option<Option<DefaultLock>>, StoreError> {
        let call = || async {
            let get = self.client.get_object_lock_configuration().bucket(&self.bucket);
            get.send().await.map_err(CallError::of)
        };
        match twice(call).await {
            Ok(answer) => {
                let rule = answer.object_lock_configuration.and_then(|configuration| configuration.rule);
                Ok(Some(rule.and_then(|rule| rule.default_retention).map(default_lock)))
            }
            // S3 says so of a bucket that was made without locks.
            Err(error) if error.status() == Some(404) && error.code() != Some("NoSuchBucket") => Ok(Some(None)),
            Err(error) if matches!(error.status(), Some(401 | 403 | 405 | 501)) => Ok(None),
            Err(error) => Err(self.failed("ask for the default lock", "", error)),
        }
    }
}

fn attempt<T>(answer: Result<T, CallError>) -> Result<Attempt, CallError> {
    let error = match answer {
        Ok(_) => return Ok(Attempt::Done),
        Err(error) => error,
    };
    match (error.status(), error.code().unwrap_or_default()) {
        (Some(403), "AccessDenied") => Ok(Attempt::Denied),
        (Some(400), "BadDigest") | (Some(412), _) | (Some(404), "NoSuchKey") => Ok(Attempt::Permitted),
        _ => Err(error),
    }
}

fn default_lock(retention: DefaultRetention) -> DefaultLock {
    /// What S3 takes a year for.
    const YEAR: i32 = 365;
    let years = retention.years.map(|years| years.saturating_mul(YEAR));
    let mode = retention.mode.map(|mode| mode.as_str().to_owned()).unwrap_or_default();
    DefaultLock { mode, days: retention.days.or(years).unwrap_or_default() }
}
