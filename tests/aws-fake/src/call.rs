//! What was called.

/// A service of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Objects.
    S3,
    /// Queues.
    Sqs,
    /// Secrets.
    SecretsManager,
    /// Tokens.
    Sts,
}

/// A call as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The service.
    pub service: Service,
    /// The operation: `PutObject`, `SendMessageBatch`.
    pub action: String,
    /// What it was asked of: `bucket/key` (of a listing `bucket/prefix`), the queue's name, the secret's id, the audience.
    pub resource: String,
    /// Whether it puts an object under a legal hold.
    pub holds: bool,
    /// The access key that signed it; empty if none did.
    pub access_key: String,
    /// Whether what it asked was looked at and done or refused, answered or not.
    pub done: bool,
    /// The HTTP status of the answer; `None` while there is none, and for ever if it was lost.
    pub status: Option<u16>,
}

impl Call {
    /// The IAM actions that a policy has to allow for it.
    pub fn iam_actions(&self) -> Vec<String> {
        let hold = self.holds.then(|| "s3:PutObjectLegalHold".to_owned());
        [self.iam_action()].into_iter().chain(hold).collect()
    }

    /// The IAM action of its operation.
    pub fn iam_action(&self) -> String {
        let (service, action) = match (self.service, self.action.as_str()) {
            (Service::S3, "ListObjectsV2") => ("s3", "ListBucket"),
            (Service::S3, "GetObjectLockConfiguration") => ("s3", "GetBucketObjectLockConfiguration"),
            (Service::S3, "ListObjectVersions") => ("s3", "ListBucketVersions"),
            (Service::S3, action) => ("s3", action),
            // SQS has one permission for an operation and its batch.
            (Service::Sqs, action) => ("sqs", action.strip_suffix("Batch").unwrap_or(action)),
            (Service::SecretsManager, action) => ("secretsmanager", action),
            (Service::Sts, action) => ("sts", action),
        };
        format!("{service}:{action}")
    }
}
