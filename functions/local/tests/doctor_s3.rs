//! Misconfigurations of an AWS account, planted one by one: the doctor names each with its fix, and nothing else.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

use std::sync::Arc;

use archive::Archive;
use aws::Clients;
use aws_fake::{AwsFake, Effect, Fault, Identity, Policy, Server, Versioning};
use copilot_archive::doctor::Account;
use copilot_archive::s3::place_of;
use domain::{Clock, MapEnv, OsRandom, Random, SystemClock, TenantId};
use graph_simulator::{Federation, Simulator, Switches, Tenant, serve};
use queue::{Options, Outgoing, Queue};
use settings::{S3Address, StateBucket};
use tokio::net::TcpListener;

mod support;

use support::{Examined, examined};

const ADDRESS: &str = "s3://acme-archive/in/copilot-";
const KEPT: Policy = Policy { put_once: true, delete_nothing: true, hold_nothing: false };

/// An account and a tenant in which nothing is wrong.
struct Bed {
    fake: AwsFake,
    clients: Clients,
    server: Server,
    tenant: Tenant,
    env: MapEnv,
    queue: &'static str,
}

impl Bed {
    async fn new() -> Self {
        let (clock, random) = parts();
        let fake = AwsFake::new(Arc::clone(&clock), Arc::clone(&random));
        fake.create_bucket("acme-state");
        fake.set_versioning("acme-archive", Versioning::Enabled);
        fake.set_policy("acme-archive", KEPT);
        fake.create_queue("work", Options { max_receive_count: 1, ..Options::default() });
        let server = Server::start(fake.clone(), 0).await.unwrap();
        let clients = Clients::emulated(&server.endpoint(), "tester", clock, random).await;
        let mut tenant = Tenant::new(TenantId::from_bytes([9; 16]), SystemClock.now());
        tenant.add_licensed(1);
        let env = MapEnv::default()
            .with("GRAPH_TENANT_ID", tenant.id.to_string())
            .with("GRAPH_CLIENT_ID", tenant.application.client_id.to_string())
            .with("GRAPH_CLIENT_SECRET", &tenant.application.secret)
            .with("STATE_BUCKET", "acme-state");
        let bed = Self { fake, clients, server, tenant, env, queue: "work" };
        bed.create_archive(bed.tenant.id).await;
        bed
    }

    async fn create_archive(&self, tenant: TenantId) {
        let address: S3Address = ADDRESS.parse().unwrap();
        let stores = place_of(&self.clients, &address, &StateBucket(None)).stores;
        let (clock, random) = parts();
        Archive::open_or_create(stores, tenant, clock, random).await.unwrap();
    }

    fn denies(&self, action: &str) {
        self.answers(action, Effect::denied());
    }

    /// Every call of this operation is answered so, until nothing is planned any more.
    fn answers(&self, action: &str, effect: Effect) {
        self.fake.plan(Fault::new(effect).action(action).times(1000));
    }

    async fn examine(&self) -> Examined {
        let simulator = Simulator::new(Arc::new(self.tenant.clone()), Switches::default(), Arc::new(SystemClock));
        let graph = serve(Arc::new(simulator), TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap();
        let origins = ["GRAPH_BASE_URL", "GRAPH_LOGIN_URL"].into_iter();
        let env = origins.fold(self.env.clone(), |env, name| env.with(name, graph.origin()));
        let options = ["--archive", ADDRESS, "--queue", &self.server.queue_url(self.queue)];
        examined(&options, &env, &Account::of(self.clients.clone())).await
    }

    async fn expect(&self, fixes: &[(&str, &str)]) -> Examined {
        let found = self.examine().await;
        found.expect(fixes);
        found
    }

    fn keys(&self) -> Vec<String> {
        self.fake.objects("acme-archive").into_keys().collect()
    }
}

fn parts() -> (Arc<dyn Clock>, Arc<dyn Random>) {
    (Arc::new(SystemClock), Arc::new(OsRandom))
}

#[tokio::test]
async fn where_nothing_is_wrong_everything_is_good_and_nothing_is_put_or_deleted() {
    let bed = Bed::new().await;
    let before = bed.keys();
    let found = bed.expect(&[]).await;
    let of_aws = [
        "bucket",
        "key",
        "state bucket",
        "put-once",
        "delete",
        "versions",
        "Object Lock",
        "archive",
        "queue",
        "dead letters",
    ];
    assert_eq!(found.good()[found.good().len() - of_aws.len()..], of_aws);
    assert!(found.says("Object Lock").starts_with("no default retention"));
    assert_eq!(bed.keys(), before);
    // Nor where the policy would have let it.
    bed.fake.set_policy("acme-archive", Policy::default());
    let found = bed.examine().await;
    assert!(found.fixes().len() == 2 && !found.text.contains("left behind"), "{}", found.text);
    assert_eq!(bed.keys(), before);
    assert!(bed.fake.versions("acme-archive", "in/copilot-.doctor-probe").is_empty());
    bed.fake.set_default_lock("acme-archive", "GOVERNANCE", 90);
    assert_eq!(bed.examine().await.says("Object Lock"), "GOVERNANCE for 90 days");
}

#[tokio::test]
async fn a_bucket_whose_policy_lets_objects_be_overwritten_or_deleted_is_named() {
    let bed = Bed::new().await;
    bed.fake.set_policy("acme-archive", Policy { put_once: false, ..KEPT });
    bed.expect(&[(
        "put-once",
        "-> give acme-archive the statement PutOnce of the bucket policy in infra/archive.yaml",
    )])
    .await;
    bed.fake.set_policy("acme-archive", Policy { delete_nothing: false, ..KEPT });
    bed.expect(&[("delete", "-> give acme-archive the statement DeleteNothing of the bucket policy")]).await;
}

#[tokio::test]
async fn credentials_that_may_put_nothing_prove_nothing_of_the_policy() {
    let bed = Bed::new().await;
    bed.fake.set_policy("acme-archive", Policy { put_once: false, ..KEPT });
    bed.denies("PutObject");
    let found = bed.expect(&[]).await;
    assert!(!found.good().contains(&"put-once"));
    assert!(found.says("put-once").contains("ask with some that may put objects"), "{}", found.text);
}

#[tokio::test]
async fn a_bucket_without_versions_is_named_and_what_may_not_be_seen_is_no_fault() {
    let bed = Bed::new().await;
    bed.fake.set_versioning("acme-archive", Versioning::Suspended);
    bed.expect(&[(
        "versions",
        "-> aws s3api put-bucket-versioning --bucket acme-archive --versioning-configuration Status=Enabled",
    )])
    .await;
    bed.denies("GetBucketVersioning");
    bed.denies("GetObjectLockConfiguration");
    let found = bed.expect(&[]).await;
    assert_eq!(found.says("versions"), "needs s3:GetBucketVersioning");
    assert_eq!(found.says("Object Lock"), "needs s3:GetBucketObjectLockConfiguration");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_or_elsewhere_or_closed_is_named_once() {
    for (effect, words) in [
        (Effect::answer(404, "NoSuchBucket"), "give the stack's outputs ArchiveBucket and StateBucket"),
        (Effect::answer(301, "PermanentRedirect"), "set AWS_REGION to it"),
        (Effect::answer(400, "ExpiredToken"), "sign in again (aws sso login), or correct AWS_PROFILE"),
        (Effect::answer(403, "RequestTimeTooSkewed"), "-> let the machine keep time"),
    ] {
        let bed = Bed::new().await;
        bed.answers("ListObjectsV2", effect);
        let found = bed.expect(&[("bucket", words)]).await;
        assert!(!found.good().contains(&"key"), "what every question would meet is told once: {}", found.text);
    }
    let bed = Bed::new().await;
    bed.denies("ListObjectsV2");
    let found = bed.expect(&[("bucket", "access is denied -> grant s3:ListBucket on the bucket")]).await;
    assert!(found.good().contains(&"key"), "{}", found.text);
}

#[tokio::test]
async fn a_key_that_is_about_to_be_deleted_is_told_from_a_missing_right() {
    let bed = Bed::new().await;
    let archive_file = |effect| Fault::new(effect).action("GetObject").resource("archive.json").times(2);
    bed.fake.plan(archive_file(Effect::answer(400, "KMS.KMSInvalidStateException")));
    bed.expect(&[("key", "(KMS.KMSInvalidStateException) -> aws kms describe-key says why")]).await;
    bed.fake.clear_faults();
    bed.fake.plan(archive_file(Effect::denied()));
    bed.expect(&[("key", "-> grant s3:GetObject on archive.json")]).await;
}

#[tokio::test]
async fn checkpoints_that_may_not_be_read_and_a_bucket_of_them_that_is_wrong_are_named() {
    let bed = Bed::new().await;
    bed.fake.plan(Fault::new(Effect::denied()).action("GetObject").resource("acme-state"));
    bed.expect(&[("state bucket", "of the bucket that STATE_BUCKET names")]).await;
    let mut bed = Bed::new().await;
    bed.env = bed.env.with("STATE_BUCKET", "acme-elsewhere");
    bed.expect(&[("state bucket", "-> give the stack's outputs ArchiveBucket and StateBucket")]).await;
}

#[tokio::test]
async fn an_archive_of_another_tenant_in_the_bucket_is_named() {
    let bed = Bed::new().await;
    bed.fake.remove_object("acme-archive", "in/copilot-archive.json");
    bed.create_archive(TenantId::from_bytes([8; 16])).await;
    bed.expect(&[("archive", "-> give each tenant an archive of its own")]).await;
    bed.fake.remove_object("acme-archive", "in/copilot-archive.json");
    let found = bed.expect(&[]).await;
    assert_eq!(found.says("archive"), "there is none yet: the first run makes it");
}

#[tokio::test]
async fn dead_letters_a_queue_without_a_place_for_them_and_none_at_all_are_named() {
    let bed = Bed::new().await;
    let queue = bed.clients.queue(bed.server.queue_url("work-dlq"));
    queue.send(vec![Outgoing { body: "{}".to_owned(), delay: std::time::Duration::ZERO }]).await.unwrap();
    bed.expect(&[("dead letters", "1 messages failed too often, each a user of a run -> docs/OPERATIONS.md")]).await;
    bed.denies("GetQueueAttributes");
    bed.expect(&[("queue", "-> grant sqs:GetQueueAttributes on the queue and its dead-letter queue")]).await;

    let mut bed = Bed::new().await;
    bed.queue = "work-dlq";
    bed.expect(&[("dead letters", "-> give the stack's output WorkQueueUrl as --queue")]).await;
    bed.queue = "other";
    bed.expect(&[("queue", "there is no such queue -> give the stack's output WorkQueueUrl")]).await;
}

#[tokio::test]
async fn what_aws_vouches_for_is_told_so_that_one_can_compare_it_and_the_token_is_not() {
    let mut bed = Bed::new().await;
    let identity = Identity::default();
    let audience = graph::Cloud::Global.federation_audience();
    let federation = Federation {
        issuer: identity.issuer.clone(),
        subject: identity.subject.clone(),
        audience: audience.to_owned(),
    };
    bed.env = bed.env.with("GRAPH_CREDENTIAL", "federated");
    bed.tenant.application.federation = Some(federation);
    let found = bed.expect(&[]).await;
    for claim in [&*identity.issuer, &*identity.subject, audience] {
        assert!(found.says("federation").contains(claim), "{}", found.text);
    }
    assert!(!found.text.contains("eyJ"), "{}", found.text);

    // A subject that differs by a capital letter, which the token's refusal tells too.
    bed.fake.set_identity(Identity { subject: identity.subject.to_uppercase(), ..identity.clone() });
    let found = bed
        .expect(&[(
            "token",
            "the federated credential's subject differs in letter case: copy it exactly; Entra admin center",
        )])
        .await;
    assert!(found.says("federation").contains(&identity.subject.to_uppercase()));

    bed.fake.set_identity(Identity { enabled: false, ..identity });
    bed.expect(&[
        ("federation", "an administrator switches it on once with iam:EnableOutboundWebIdentityFederation"),
        ("token", "an administrator switches it on once"),
    ])
    .await;
}
