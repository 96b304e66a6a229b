//! Where queue and archive are.

use url::Url;

use crate::variables::{ARCHIVE_BUCKET, ARCHIVE_PREFIX, STATE_BUCKET, WORK_QUEUE_URL};
use crate::{Part, Reader};

/// S3 keys hold 1,024 bytes; ours need less than half of that.
const MAX_PREFIX_BYTES: usize = 512;

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
        let prefix =
            reader.optional(&ARCHIVE_PREFIX, "at most 512 of the characters A-Z, a-z, 0-9, /, _, -, . and =", prefix);
        let archive_bucket = archive_bucket?;
        Some(Self {
            work_queue_url: work_queue_url?,
            state_bucket: state_bucket?.unwrap_or_else(|| archive_bucket.clone()),
            archive_bucket,
            prefix: prefix?.unwrap_or_default(),
        })
    }
}

const BUCKET: &str = "the name of a bucket: 3 to 63 of the characters a-z, 0-9, . and -";

fn bucket(text: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-';
    ((3..=63).contains(&text.len()) && text.bytes().all(allowed)).then(|| text.to_owned())
}

fn queue_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    // Plain http is for queues on the machine or in its network; messages hold ids only.
    (matches!(url.scheme(), "https" | "http") && url.has_host() && url.path().len() > 1).then(|| text.to_owned())
}

fn prefix(text: &str) -> Option<String> {
    // These need no escaping in a URL, a path or a glob, so every tool finds the keys.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.=".contains(&byte);
    (text.len() <= MAX_PREFIX_BYTES && text.bytes().all(allowed)).then(|| text.to_owned())
}
