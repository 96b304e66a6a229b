//! The archive's bucket: whether it can be read, and whether it keeps what is put into it.

use async_trait::async_trait;
use domain::TenantId;

use crate::finding::Finding;

/// Where the attempts go that must be refused. To an audit a name that begins with a dot is no object of the archive, so whatever
/// came of one would be in nobody's way.
const PROBE: &str = ".doctor-probe";

/// Why a question to AWS got no answer, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What was seen.
    pub says: String,
    /// What mends it.
    pub fix: String,
    /// Whether every other question to the same thing would meet it too.
    pub in_everything: bool,
}

impl Trouble {
    pub(crate) fn finding(self, name: &str) -> Finding {
        Finding::fix(name, self.says, self.fix)
    }
}

/// What became of an attempt that was made never to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It was refused for want of permission.
    Denied,
    /// It was permitted, and failed by what was wrong with it.
    Permitted,
    /// It was done after all.
    Done,
}

/// Whether a bucket keeps what is overwritten or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versioning {
    /// It does.
    Enabled,
    /// It does not, or not any more.
    Off,
}

/// What a bucket is asked. A `None` in an answer says that it may not be seen by these credentials.
#[async_trait]
pub trait Bucket: Send + Sync {
    /// Its name, as the operator gave it.
    fn name(&self) -> &str;
    /// Lists a few keys.
    async fn list(&self) -> Result<(), Trouble>;
    /// Reads `archive.json`; whether there is one.
    async fn read(&self) -> Result<bool, Trouble>;
    /// Reads a checkpoint of this tenant that nobody has, where checkpoints lie.
    async fn read_state(&self, tenant: TenantId) -> Result<(), Trouble>;
    /// Attempts a put of this key that must not succeed: one that only creates, or a plain one.
    async fn attempt_put(&self, key: &str, only_create: bool) -> Result<Attempt, Trouble>;
    /// Attempts a delete that must not succeed.
    async fn attempt_delete(&self, key: &str) -> Result<Attempt, Trouble>;
    /// Whether it keeps versions.
    async fn versioning(&self) -> Result<Option<Versioning>, Trouble>;
    /// The mode and days of the retention that every new object gets, if there is one.
    async fn default_lock(&self) -> Result<Option<Option<(String, i32)>>, Trouble>;
}

/// Asks a bucket; also whether an archive could be opened in it.
pub async fn bucket(bucket: &dyn Bucket, tenant: Option<TenantId>) -> (Vec<Finding>, bool) {
    let mut findings = Vec::new();
    match bucket.list().await {
        Ok(()) => findings.push(Finding::good("bucket", format!("{} can be listed", bucket.name()))),
        Err(trouble) => {
            let ends = trouble.in_everything;
            findings.push(trouble.finding("bucket"));
            if ends {
                let rest = "key, state bucket, put-once, delete, versions, Object Lock";
                findings.push(Finding::not_checked(rest, "the bucket cannot be asked"));
                return (findings, false);
            }
        }
    }
    let (key, readable) = key(bucket).await;
    findings.push(key);
    if let Some(tenant) = tenant {
        findings.push(match bucket.read_state(tenant).await {
            Ok(()) => Finding::good("state bucket", "checkpoints can be read"),
            Err(trouble) => trouble.finding("state bucket"),
        });
    }
    findings.push(put_once(bucket).await);
    findings.push(delete(bucket).await);
    findings.push(versions(bucket).await);
    findings.push(lock(bucket).await);
    (findings, readable)
}

async fn key(bucket: &dyn Bucket) -> (Finding, bool) {
    const NAME: &str = "key";
    match bucket.read().await {
        Ok(true) => (Finding::good(NAME, "archive.json can be read, so what encrypts it is usable"), true),
        Ok(false) => (Finding::not_checked(NAME, "there is no archive.json yet to be decrypted"), true),
        Err(trouble) => (trouble.finding(NAME), false),
    }
}

/// A plain put says nothing of the policy if these credentials may not put at all. So one that the policy must let through
/// is attempted beside it.
async fn put_once(bucket: &dyn Bucket) -> Finding {
    const NAME: &str = "put-once";
    let plain = match bucket.attempt_put(PROBE, false).await {
        Ok(plain) => plain,
        Err(trouble) => return trouble.finding(NAME),
    };
    let creating = match bucket.attempt_put(PROBE, true).await {
        Ok(creating) => creating,
        Err(trouble) => return trouble.finding(NAME),
    };
    let left = match (plain, creating) {
        (Attempt::Done, _) | (_, Attempt::Done) => format!("; the object {PROBE} was left behind and may be removed"),
        _ => String::new(),
    };
    match (plain, creating) {
        (Attempt::Denied, Attempt::Denied) => Finding::not_checked(
            NAME,
            "these credentials may put nothing, so the bucket's policy was not asked; ask with some that may put objects",
        ),
        (Attempt::Denied, _) => Finding::good(
            NAME,
            format!("a put that could overwrite is refused, and one that only creates is not{left}"),
        ),
        _ => Finding::fix(
            NAME,
            format!("a put that could overwrite is not refused{left}"),
            format!(
                "give {} the statement PutOnce of the bucket policy in infra/archive.yaml (aws s3api put-bucket-policy), or \
                 deploy the stack again",
                bucket.name()
            ),
        ),
    }
}

async fn delete(bucket: &dyn Bucket) -> Finding {
    const NAME: &str = "delete";
    let left = match bucket.attempt_delete(PROBE).await {
        Ok(Attempt::Denied) => return Finding::good(NAME, "a delete is refused to these credentials"),
        Ok(Attempt::Permitted) => String::new(),
        Ok(Attempt::Done) => {
            format!("; a delete marker of {PROBE}, of which there is no object, may have been left behind")
        }
        Err(trouble) => return trouble.finding(NAME),
    };
    Finding::fix(
        NAME,
        format!("a delete is not refused to these credentials{left}"),
        format!(
            "give {} the statement DeleteNothing of the bucket policy in infra/archive.yaml (aws s3api put-bucket-policy); if \
             these are the break-glass role's, ask with others",
            bucket.name()
        ),
    )
}

async fn versions(bucket: &dyn Bucket) -> Finding {
    const NAME: &str = "versions";
    match bucket.versioning().await {
        Ok(Some(Versioning::Enabled)) => Finding::good(NAME, "the bucket keeps what is overwritten or deleted"),
        Ok(Some(Versioning::Off)) => Finding::fix(
            NAME,
            "the bucket does not keep what is overwritten or deleted",
            format!(
                "aws s3api put-bucket-versioning --bucket {} --versioning-configuration Status=Enabled",
                bucket.name()
            ),
        ),
        Ok(None) => Finding::not_checked(NAME, "needs s3:GetBucketVersioning"),
        Err(trouble) => trouble.finding(NAME),
    }
}

/// Which mode is right is the operator's decision, so what there is is told.
async fn lock(bucket: &dyn Bucket) -> Finding {
    const NAME: &str = "Object Lock";
    match bucket.default_lock().await {
        Ok(Some(Some((mode, days)))) => Finding::good(NAME, format!("{mode} for {days} days")),
        Ok(Some(None)) => Finding::good(NAME, "no default retention: the bucket's policy alone keeps the archive"),
        Ok(None) => Finding::not_checked(NAME, "needs s3:GetBucketObjectLockConfiguration"),
        Err(trouble) => trouble.finding(NAME),
    }
}
