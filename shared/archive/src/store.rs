//! The store an archive lies in: what S3 promises, and no more.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

/// An object's version as its store names it. Opaque: compared, never parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(pub String);

/// An object as read.
#[derive(Debug, Clone)]
pub struct Object {
    /// The content.
    pub bytes: Bytes,
    /// The version read.
    pub etag: ETag,
}

/// The certain answers to a put with `If-None-Match: *`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutNew {
    /// The object was created by this put.
    Created(ETag),
    /// 412: an object of this key exists. It may be the one of an earlier put of these bytes whose answer was lost.
    Exists,
}

/// Whether what is put is under a legal hold from its first moment, so that no retention's end and no role deletes it until
/// the hold is lifted. It is no part of the object: neither key nor bytes nor the condition of the put depend on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LegalHold {
    /// It is not held.
    #[default]
    Off,
    /// It is. A store that holds nothing puts it all the same; one that could hold and may not refuses the put.
    On,
}

/// The certain answers to a put with `If-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutIfMatch {
    /// The object was replaced by this put.
    Replaced(ETag),
    /// 412: the object is not, or no longer, the version named. 404 counts as this too.
    Changed,
}

/// What a store's failure means for what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Nobody knows whether it took effect, or will at a later time: 409, 5xx, no answer. Ask again.
    Unknown,
    /// Refused for want of permission (403). It took no effect, and asking again does not help.
    Denied,
    /// Refused for another reason. It took no effect, and asking again does not help.
    Refused,
}

/// A store failed. Names the operation and the key; keys hold no names and no content.
#[derive(Debug, thiserror::Error)]
#[error("{operation} of {key} failed: {kind}")]
pub struct StoreError {
    /// What its failure means.
    pub kind: StoreErrorKind,
    /// `get`, `put` or `list`.
    pub operation: &'static str,
    /// The key or prefix.
    pub key: String,
    /// What the store said.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "no certain answer from the store",
            Self::Denied => "access denied; check the role's policy, the bucket policy and the key policy",
            Self::Refused => "the store refused it",
        })
    }
}

/// An object store with conditional puts and strongly consistent reads and listings.
///
/// Implementations make no attempts of their own at a put whose outcome is unknown: only the caller knows what an unknown
/// outcome means. They may repeat a get or a list.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// The object of this key; `None` if there is none (404). A 403 is an error, never `None`.
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError>;

    /// Puts with `If-None-Match: *` and the content's SHA-256: of any number of puts of one key, exactly one creates it.
    async fn put_new(&self, key: &str, bytes: Bytes) -> Result<PutNew, StoreError> {
        self.put_new_under(key, bytes, LegalHold::Off).await
    }

    /// The same, under a legal hold or not. Of an object that is there already nothing is changed, its hold included.
    async fn put_new_under(&self, key: &str, bytes: Bytes, hold: LegalHold) -> Result<PutNew, StoreError>;

    /// Puts with `If-Match`: replaces the version named and no other.
    async fn put_if_match(&self, key: &str, bytes: Bytes, etag: &ETag) -> Result<PutIfMatch, StoreError>;

    /// The keys that begin with this prefix, in byte order, all of them, including those of puts answered just before.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError>;
}
