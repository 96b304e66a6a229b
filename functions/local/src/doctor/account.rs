//! What is asked of AWS, by the clients of the functions.

use std::fmt;
use std::sync::Arc;

use ::doctor::{Attempt, Bucket, Finding, Trouble, Versioning, WorkQueue};
use archive::Archive;
use archive::store::Store;
use async_trait::async_trait;
use aws::{BucketVersioning, Clients, DefaultLock, NoRegion, S3Store, SqsQueue};
use domain::{Clock, Env, Random, TenantId};
use graph::{AuthError, ClientAuth, Federated};
use queue::Queue;
use settings::{Credential, S3Address, StateBucket};
use tokio::sync::OnceCell;

use super::trouble::trouble;
use crate::real::{self, RealError};
use crate::s3;

/// The account that this process's AWS variables lead to. It is not looked for before something of it is asked.
#[derive(Default)]
pub struct Account(OnceCell<Result<Clients, NoRegion>>);

impl Account {
    /// The account that these clients reach.
    pub fn of(clients: Clients) -> Self {
        Self(OnceCell::new_with(Some(Ok(clients))))
    }

    async fn clients(&self) -> Result<&Clients, NoRegion> {
        self.0.get_or_init(s3::clients).await.as_ref().map_err(|error| *error)
    }

    /// As here, and with a token of AWS where the functions would use one.
    pub(super) async fn auth(&self, credential: &Credential) -> Result<Arc<dyn ClientAuth>, RealError> {
        match credential {
            Credential::Federated => {
                let clients = self.clients().await;
                let clients = clients
                    .map_err(|error| RealError::Credential(AuthError::new("AWS makes no token").caused_by(error)))?;
                Ok(Arc::new(Federated(clients.web_identity())))
            }
            _ => real::auth(credential),
        }
    }

    pub(super) async fn federation(&self, audience: &'static str) -> Finding {
        match self.clients().await {
            Ok(clients) => ::doctor::federation(&clients.web_identity(), audience).await,
            Err(error) => super::unusable("federation", &error),
        }
    }

    pub(super) async fn bucket(
        &self,
        address: &S3Address,
        env: &dyn Env,
        tenant: Option<TenantId>,
        (clock, random): (&Arc<dyn Clock>, &Arc<dyn Random>),
    ) -> Vec<Finding> {
        let clients = match self.clients().await {
            Ok(clients) => clients,
            Err(error) => return vec![super::unusable("bucket", &error)],
        };
        let state: StateBucket = match settings::from_env(env, settings::Place::Local) {
            Ok(state) => state,
            Err(invalid) => return ::doctor::configuration(Some(&invalid)),
        };
        let stores = s3::place_of(clients, address, &state).stores;
        let store = clients.store(&address.bucket, &address.prefix);
        let asked = Asked { name: &address.bucket, store, state: Arc::clone(&stores.state) };
        let (mut findings, readable) = ::doctor::bucket(&asked, tenant).await;
        findings.push(match tenant {
            Some(tenant) if readable => {
                ::doctor::archive(&Archive::open(stores, tenant, Arc::clone(clock), Arc::clone(random)).await)
            }
            Some(_) => Finding::not_checked("archive", "it cannot be read"),
            None => super::unknown_tenant(),
        });
        findings
    }

    pub(super) async fn queue(&self, url: &str) -> Vec<Finding> {
        match self.clients().await {
            Ok(clients) => ::doctor::queue(&AskedQueue { clients, queue: clients.queue(url) }).await,
            Err(error) => vec![super::unusable("queue", &error)],
        }
    }
}

struct Asked<'a> {
    name: &'a str,
    store: S3Store,
    state: Arc<dyn Store>,
}

#[async_trait]
impl Bucket for Asked<'_> {
    fn name(&self) -> &str {
        self.name
    }

    async fn list(&self) -> Result<(), Trouble> {
        let listed = self.store.list(archive::layout::ARCHIVE_FILE).await;
        listed.map(drop).map_err(|error| trouble(&error, "s3:ListBucket on the bucket"))
    }

    async fn read(&self) -> Result<bool, Trouble> {
        let read = self.store.get(archive::layout::ARCHIVE_FILE).await;
        read.map(|object| object.is_some()).map_err(|error| trouble(&error, "s3:GetObject on archive.json"))
    }

    async fn read_state(&self, tenant: TenantId) -> Result<(), Trouble> {
        let nobody = archive::layout::checkpoint(tenant, domain::UserId::from_bytes([0; 16]));
        let read = self.state.get(&nobody).await;
        read.map(drop).map_err(|error| {
            trouble(&error, "s3:GetObject on state/ and s3:ListBucket, both of the bucket that STATE_BUCKET names")
        })
    }

    async fn attempt_put(&self, key: &str, only_create: bool) -> Result<Attempt, Trouble> {
        let answer = self.store.attempt_put(key, only_create).await;
        answer.map(attempt).map_err(|error| trouble(&error, "s3:PutObject on the bucket"))
    }

    async fn attempt_delete(&self, key: &str) -> Result<Attempt, Trouble> {
        let answer = self.store.attempt_delete(key).await;
        answer.map(attempt).map_err(|error| trouble(&error, "nothing"))
    }

    async fn versioning(&self) -> Result<Option<Versioning>, Trouble> {
        let answer = self.store.versioning().await.map_err(|error| trouble(&error, "s3:GetBucketVersioning"))?;
        Ok(answer.map(|versioning| match versioning {
            BucketVersioning::Enabled => Versioning::Enabled,
            BucketVersioning::Never | BucketVersioning::Suspended => Versioning::Off,
        }))
    }

    async fn default_lock(&self) -> Result<Option<Option<(String, i32)>>, Trouble> {
        let answer = self.store.default_lock().await;
        let answer = answer.map_err(|error| trouble(&error, "s3:GetBucketObjectLockConfiguration"))?;
        Ok(answer.map(|lock| lock.map(|DefaultLock { mode, days }| (mode, days))))
    }
}

const fn attempt(attempt: aws::Attempt) -> Attempt {
    match attempt {
        aws::Attempt::Denied => Attempt::Denied,
        aws::Attempt::Permitted => Attempt::Permitted,
        aws::Attempt::Done => Attempt::Done,
    }
}

struct AskedQueue<'a> {
    clients: &'a Clients,
    queue: SqsQueue,
}

#[async_trait]
impl WorkQueue for AskedQueue<'_> {
    async fn messages(&self) -> Result<u64, Trouble> {
        messages(&self.queue).await
    }

    async fn dead_letters(&self) -> Result<Option<u64>, Trouble> {
        let dead = self.queue.dead_letter_queue().await.map_err(|error| trouble(&error, RIGHT))?;
        match dead {
            Some(url) => messages(&self.clients.queue(url)).await.map(Some),
            None => Ok(None),
        }
    }
}

const RIGHT: &str = "sqs:GetQueueAttributes on the queue and its dead-letter queue";

async fn messages(queue: &SqsQueue) -> Result<u64, Trouble> {
    let depth = queue.depth().await.map_err(|error| trouble(&error, RIGHT))?;
    Ok(depth.visible.saturating_add(depth.in_flight).saturating_add(depth.delayed))
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").finish_non_exhaustive()
    }
}
