//! An archive's store in an S3 bucket.

use std::fmt;

use archive::store::{ETag, LegalHold, Object, PutIfMatch, PutNew, Store, StoreError, StoreErrorKind};
use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::types::{ChecksumAlgorithm, ObjectLockLegalHoldStatus};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::call::CallError;

/// The largest object that is read. The archive's own are a few megabytes, rosters of the largest tenants some tens; this
/// keeps a foreign object from filling the memory of a laptop.
const MAX_OBJECT_BYTES: i64 = 512 << 20;

/// Pages of a listing, of 1,000 keys each: more than an archive of 300,000 users has after ten years.
pub(crate) const MAX_PAGES: usize = 100_000;

/// A bucket, or the part of one below a prefix.
///
/// Conditional puts are S3's own. A put is made once per call, since only the caller knows what an unknown outcome means;
/// a get or a page of a listing that gets no certain answer is asked once more at once, because the usual reason is a
/// connection that died while the function was frozen.
#[derive(Clone)]
pub struct S3Store {
    pub(crate) client: Client,
    pub(crate) bucket: String,
    pub(crate) prefix: String,
}

enum Condition<'a> {
    Absent(LegalHold),
    Version(&'a ETag),
}

impl S3Store {
    pub(crate) const fn new(client: Client, bucket: String, prefix: String) -> Self {
        Self { client, bucket, prefix }
    }

    async fn put(&self, key: &str, bytes: Bytes, condition: Condition<'_>) -> Result<ETag, CallError> {
        let checksum = STANDARD.encode(Sha256::digest(&bytes));
        let put = self.client.put_object().bucket(&self.bucket).key(self.full(key)).checksum_sha256(checksum);
        // Where locks are set, S3 asks for a checksum, and its documentation for the algorithm's name beside it.
        let put = put.checksum_algorithm(ChecksumAlgorithm::Sha256);
        let put: PutObjectFluentBuilder = match condition {
            Condition::Absent(LegalHold::Off) => put.if_none_match("*"),
            Condition::Absent(LegalHold::On) => {
                put.if_none_match("*").object_lock_legal_hold_status(ObjectLockLegalHoldStatus::On)
            }
            Condition::Version(etag) => put.if_match(&etag.0),
        };
        let answer = put.body(bytes.into()).send().await.map_err(CallError::of)?;
        answer.e_tag.map(ETag).ok_or(CallError::incomplete())
    }

    async fn get_once(&self, key: &str) -> Result<Object, CallError> {
        let get = self.client.get_object().bucket(&self.bucket).key(self.full(key));
        let answer = get.send().await.map_err(CallError::of)?;
        if answer.content_length.is_some_and(|length| length > MAX_OBJECT_BYTES) {
            return Err(CallError::TooMuch { limit: format!("an object of {MAX_OBJECT_BYTES} bytes") });
        }
        let etag = answer.e_tag.map(ETag).ok_or(CallError::incomplete())?;
        // Reading to the end checks length and checksum.
        let body = answer.body.collect().await;
        let bytes = body.map_err(|error| CallError::NoAnswer { reason: error.to_string() })?.into_bytes();
        Ok(Object { bytes, etag })
    }

    /// One page: its keys, and where the next begins.
    async fn page_once(&self, prefix: &str, from: Option<&str>) -> Result<(Vec<String>, Option<String>), CallError> {
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let page = list.set_continuation_token(from.map(str::to_owned)).send().await.map_err(CallError::of)?;
        // A page that says there are more and not where must never look like the last one.
        if page.is_truncated() == Some(true) && page.next_continuation_token.is_none() {
            return Err(CallError::incomplete());
        }
        let next = page.next_continuation_token.filter(|_| page.is_truncated == Some(true));
        Ok((page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect(), next))
    }

    pub(crate) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(crate) fn failed(&self, operation: &'static str, key: &str, error: CallError) -> StoreError {
        let kind = match &error {
            error if error.is_transient() => StoreErrorKind::Unknown,
            error if matches!(error.status(), Some(401 | 403)) => StoreErrorKind::Denied,
            _ => StoreErrorKind::Refused,
        };
        StoreError { kind, operation, key: key.to_owned(), source: Some(Box::new(error)) }
    }
}

/// Makes a call that changes nothing, and once more if its outcome is not certain.
pub(crate) async fn twice<T, F: Future<Output = Result<T, CallError>>>(call: impl Fn() -> F) -> Result<T, CallError> {
    match call().await {
        Err(error) if error.is_transient() => call().await,
        outcome => outcome,
    }
}

/// 404 of the object. Of the bucket is a fault of the configuration, and must not look like an archive without objects.
fn is_absent(error: &CallError) -> bool {
    error.status() == Some(404) && error.code() == Some("NoSuchKey")
}

#[async_trait]
impl Store for S3Store {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        match twice(|| self.get_once(key)).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.failed("get", key, error)),
        }
    }

    async fn put_new_under(&self, key: &str, bytes: Bytes, hold: LegalHold) -> Result<PutNew, StoreError> {
        match self.put(key, bytes, Condition::Absent(hold)).await {
            Ok(etag) => Ok(PutNew::Created(etag)),
            Err(error) if error.status() == Some(412) => Ok(PutNew::Exists),
            Err(error) => Err(self.failed("put", key, error)),
        }
    }

    async fn put_if_match(&self, key: &str, bytes: Bytes, etag: &ETag) -> Result<PutIfMatch, StoreError> {
        match self.put(key, bytes, Condition::Version(etag)).await {
            Ok(etag) => Ok(PutIfMatch::Replaced(etag)),
            Err(error) if error.status() == Some(412) || is_absent(&error) => Ok(PutIfMatch::Changed),
            Err(error) => Err(self.failed("put", key, error)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let full = self.full(prefix);
        let mut keys = Vec::new();
        let mut from = None;
        for _ in 0..MAX_PAGES {
            let page = twice(|| self.page_once(&full, from.as_deref())).await;
            let (page, next) = page.map_err(|error| self.failed("list", prefix, error))?;
            // Every key listed begins with the prefix asked for.
            keys.extend(page.iter().filter_map(|key| key.strip_prefix(&self.prefix)).map(str::to_owned));
            match next {
                Some(next) => from = Some(next),
                None => return Ok(keys),
            }
        }
        let error = CallError::TooMuch { limit: format!("a listing of {MAX_PAGES} pages") };
        Err(self.failed("list", prefix, error))
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("bucket", &self.bucket).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
