//! The SDK's clients, built in one place.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_s3::config::Credentials;
use domain::{Clock, Env, ProcessEnv, Random};

use crate::call::Repeats;
use crate::{S3Store, SecretsManager, SqsQueue, SqsReceiver, WebIdentity};

/// How long a connection may take: a data centre is milliseconds away, a laptop on a bad line a second or two.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the first byte of an answer may take after the request began, its body included. S3 answers within a second;
/// the rest is for a large segment on the thin line of a small function.
const FIRST_BYTE: Duration = Duration::from_secs(30);
/// How long a whole call may take. No object is so large that two minutes do not move it, and a call that hangs must not
/// eat a function's fifteen minutes.
const WHOLE_CALL: Duration = Duration::from_secs(120);

/// The region of an emulator. None of them cares which it is.
const EMULATED_REGION: &str = "eu-central-1";

/// The four clients of a process. Clones share them.
#[derive(Clone)]
pub struct Clients {
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
    secrets: aws_sdk_secretsmanager::Client,
    sts: aws_sdk_sts::Client,
    repeats: Repeats,
}

/// The environment names no region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no AWS region is configured: set AWS_REGION, or a region in the AWS profile")]
pub struct NoRegion;

impl Clients {
    /// Clients configured by the SDK's standard variables and files: region, credentials, `AWS_ENDPOINT_URL`, and so on.
    pub async fn load(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Self, NoRegion> {
        let config = limited(defaults()).load().await;
        if config.region().is_none() {
            return Err(NoRegion);
        }
        let endpoint = config.endpoint_url().is_some() || ProcessEnv.var("AWS_ENDPOINT_URL_S3").is_some();
        Ok(Self::new(&config, endpoint, Repeats::new(clock, random)))
    }

    /// Clients of an emulator, with made-up credentials of this access key.
    pub async fn emulated(endpoint: &str, access_key: &str, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        let loader = defaults()
            .region(Region::from_static(EMULATED_REGION))
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new(access_key, "secret", None, None, "emulated"));
        Self::new(&limited(loader).load().await, true, Repeats::new(clock, random))
    }

    fn new(config: &SdkConfig, own_endpoint: bool, repeats: Repeats) -> Self {
        // An endpoint of one's own has one host name: the bucket has to stand in the path.
        let s3 = aws_sdk_s3::config::Builder::from(config).force_path_style(own_endpoint).build();
        Self {
            s3: aws_sdk_s3::Client::from_conf(s3),
            sqs: aws_sdk_sqs::Client::new(config),
            secrets: aws_sdk_secretsmanager::Client::new(config),
            sts: aws_sdk_sts::Client::new(config),
            repeats,
        }
    }

    /// The store of this bucket, with a prefix put as is before every key.
    pub fn store(&self, bucket: impl Into<String>, prefix: impl Into<String>) -> S3Store {
        S3Store::new(self.s3.clone(), bucket.into(), prefix.into())
    }

    /// The queue of this URL.
    pub fn queue(&self, url: impl Into<String>) -> SqsQueue {
        SqsQueue::new(self.sqs.clone(), url.into(), self.repeats.clone())
    }

    /// The event source's part of this queue, for where no Lambda does it.
    pub fn receiver(&self, queue: impl Into<String>, dead_letter_queue: impl Into<String>) -> SqsReceiver {
        SqsReceiver::new(self.sqs.clone(), queue.into(), dead_letter_queue.into())
    }

    /// The client secret that is the value of this secret.
    pub fn client_secret(&self, secret_id: impl Into<String>) -> SecretsManager {
        SecretsManager::client_secret(self.secrets.clone(), secret_id.into(), self.repeats.clone())
    }

    /// The certificate and key whose PEM is the value of this secret.
    pub fn certificate(&self, secret_id: impl Into<String>) -> SecretsManager {
        SecretsManager::certificate(self.secrets.clone(), secret_id.into(), self.repeats.clone())
    }

    /// The identity that AWS vouches for.
    pub fn web_identity(&self) -> WebIdentity {
        WebIdentity::new(self.sts.clone(), self.repeats.clone())
    }
}

/// The version is named so that an update of the SDK changes nothing by itself.
fn defaults() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
}

/// No repeats of the SDK's own: it cannot know that a put whose answer was lost may have taken effect.
fn limited(loader: ConfigLoader) -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .read_timeout(FIRST_BYTE)
        .operation_attempt_timeout(WHOLE_CALL)
        .operation_timeout(WHOLE_CALL)
        .build();
    loader.retry_config(RetryConfig::standard().with_max_attempts(1)).timeout_config(timeouts)
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}
