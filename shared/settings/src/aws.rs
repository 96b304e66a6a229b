//! Where queue, archive and metrics are.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::variables::{ARCHIVE_BUCKET, ARCHIVE_PREFIX, METRIC_NAMESPACE, STATE_BUCKET, WORK_QUEUE_URL};
use crate::{Part, Reader};

/// S3 keys hold 1,024 bytes; ours need less than half of that.
const MAX_PREFIX_BYTES: usize = 512;

/// What CloudWatch takes.
const MAX_NAMESPACE_BYTES: usize = 255;

/// The queue and the buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSettings {
    /// The SQS queue of users to read.
    pub work_queue_url: String,
    /// The bucket of the archive.
    pub archive_bucket: String,
    /// The bucket of the checkpoints; may be the same.
    pub state_bucket: String,
    /// Put as is before every key, in both buckets.
    pub prefix: String,
}

impl Part for AwsSettings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let work_queue_url = reader.required(&WORK_QUEUE_URL, "the URL of an SQS queue", queue_url);
        let archive_bucket = reader.required(&ARCHIVE_BUCKET, BUCKET, bucket);
        let state_bucket = reader.optional(&STATE_BUCKET, BUCKET, bucket);
        let prefix = reader.optional(&ARCHIVE_PREFIX, PREFIX, prefix);
        let archive_bucket = archive_bucket?;
        Some(Self {
            work_queue_url: work_queue_url?,
            state_bucket: state_bucket?.unwrap_or_else(|| archive_bucket.clone()),
            archive_bucket,
            prefix: prefix?.unwrap_or_default(),
        })
    }
}

/// An archive's place in S3, `s3://bucket/prefix`: for whoever is told it as one word instead of by two variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Address {
    /// The bucket.
    pub bucket: String,
    /// Put as is before every key, as ARCHIVE_PREFIX is. That of a folder ends with a slash.
    pub prefix: String,
}

/// A text that is no address in S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no address in S3: write s3://bucket/prefix with {BUCKET}, and a prefix of {PREFIX}")]
pub struct S3AddressError;

impl FromStr for S3Address {
    type Err = S3AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = text.strip_prefix("s3://").ok_or(S3AddressError)?;
        let (name, keys) = path.split_once('/').unwrap_or((path, ""));
        match (bucket(name), prefix(keys)) {
            (Some(bucket), Some(prefix)) => Ok(Self { bucket, prefix }),
            _ => Err(S3AddressError),
        }
    }
}

impl fmt::Display for S3Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

/// The bucket of the checkpoints where the archive is named otherwise; `None` for the archive's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateBucket(pub Option<String>);

impl Part for StateBucket {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.optional(&STATE_BUCKET, BUCKET, bucket).map(Self)
    }
}

/// Where CloudWatch keeps the functions' own metrics; `None` for nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricNamespace(pub Option<String>);

impl Part for MetricNamespace {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.optional(&METRIC_NAMESPACE, NAMESPACE, namespace).map(Self)
    }
}

const BUCKET: &str = "the name of a bucket: 3 to 63 of the characters a-z, 0-9, . and -";
const NAMESPACE: &str = "at most 255 of the characters A-Z, a-z, 0-9, /, _, -, . and #, and not begin with AWS/";
const PREFIX: &str = "at most 512 of the characters A-Z, a-z, 0-9, /, _, -, . and =";

fn bucket(text: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-';
    ((3..=63).contains(&text.len()) && text.bytes().all(allowed)).then(|| text.to_owned())
}

fn queue_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    // Plain http is for queues on the machine or in its network; messages hold ids only.
    (matches!(url.scheme(), "https" | "http") && url.has_host() && url.path().len() > 1).then(|| text.to_owned())
}

fn namespace(text: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.#".contains(&byte);
    // CloudWatch drops what is put beside its own, and says so to nobody.
    let own = !text.starts_with("AWS/");
    (own && text.len() <= MAX_NAMESPACE_BYTES && text.bytes().all(allowed)).then(|| text.to_owned())
}

fn prefix(text: &str) -> Option<String> {
    // These need no escaping in a URL, a path or a glob, so every tool finds the keys.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.=".contains(&byte);
    (text.len() <= MAX_PREFIX_BYTES && text.bytes().all(allowed)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_s3_is_a_bucket_and_what_stands_before_every_key() {
        for (text, bucket, prefix) in [
            ("s3://acme-archive", "acme-archive", ""),
            ("s3://acme-archive/", "acme-archive", ""),
            ("s3://acme-archive/copilot", "acme-archive", "copilot"),
            ("s3://acme-archive/a/b=c/", "acme-archive", "a/b=c/"),
        ] {
            let address: S3Address = text.parse().unwrap();
            assert_eq!((address.bucket.as_str(), address.prefix.as_str()), (bucket, prefix), "{text}");
            assert_eq!(address.to_string().parse(), Ok(address));
        }
        for text in [
            "acme-archive",
            "s3:/acme-archive",
            "s3://",
            "s3:///a",
            "s3://Acme/a",
            "s3://acme-archive/a b",
            "S3://acme",
        ] {
            assert_eq!(text.parse::<S3Address>(), Err(S3AddressError), "{text}");
        }
    }
}
