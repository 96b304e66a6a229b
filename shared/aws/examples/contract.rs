//! Holds an emulator to the contracts of stores and queues, through this crate's implementations:
//! `cargo run -p aws --example contract -- http://127.0.0.1:4566`
//!
//! It makes buckets and queues of its own in it and leaves them there.
#![expect(clippy::print_stdout, reason = "it is run by hand and by the checks")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use archive::store::Store;
use aws::Clients;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::Credentials;
use aws_sdk_sqs::types::QueueAttributeName;
use domain::{Clock, OsRandom, Random, SystemClock};
use queue::contract::{self as queues, Subject};

/// Long against an emulator's latency, short against our patience.
const VISIBILITY: Duration = Duration::from_secs(8);
const MAX_RECEIVE_COUNT: u32 = 4;

/// Makes what the suites ask for.
struct Emulator {
    config: SdkConfig,
    clients: Clients,
    run: u64,
    made: AtomicUsize,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let endpoint = std::env::args().nth(1).ok_or("name the emulator's endpoint")?;
    let emulator = Arc::new(Emulator::at(&endpoint).await);

    archive::contract::all(|| async {
        #[expect(clippy::expect_used, reason = "without a bucket there is nothing to test")]
        emulator.store(false).await.expect("the emulator makes a bucket")
    })
    .await;
    archive::contract::a_hold_changes_nothing_of_what_is_put(emulator.store(true).await?).await;
    println!("stores: ok");

    // At once, each on a queue of its own: they mostly wait.
    let queue = || emulator.queue();
    let (a, b, c, d, e, f) =
        (queue().await?, queue().await?, queue().await?, queue().await?, queue().await?, queue().await?);
    let (g, h, i, j, k, l) =
        (queue().await?, queue().await?, queue().await?, queue().await?, queue().await?, queue().await?);
    tokio::try_join!(
        queues::every_message_arrives(&a),
        queues::a_received_message_is_invisible_for_its_timeout(&b),
        queues::a_deleted_message_does_not_come_back(&c),
        queues::a_late_delete_counts_until_the_next_receive(&d),
        queues::a_spent_receipt_is_no_error(&e),
        queues::a_delayed_message_waits(&f),
        queues::depth_tells_visible_in_flight_and_delayed_apart(&g),
        queues::a_released_message_is_visible_when_asked(&h),
        queues::a_message_received_too_often_becomes_a_dead_letter(&i),
        queues::a_message_no_queue_takes_is_refused(&j),
        queues::members_of_a_batch_fail_one_by_one(&k),
        queues::a_lost_answer_fails_the_whole_batch(&l),
    )?;
    println!("queues: ok");
    Ok(())
}

impl Emulator {
    async fn at(endpoint: &str) -> Self {
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("eu-central-1"))
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "emulated"))
            .load()
            .await;
        let clients = Clients::emulated(endpoint, "test", Arc::new(SystemClock), Arc::new(OsRandom)).await;
        Self { config, clients, run: OsRandom.u64(), made: AtomicUsize::new(0) }
    }

    fn name(&self) -> String {
        format!("contract-{:x}-{}", self.run, self.made.fetch_add(1, Ordering::Relaxed))
    }

    async fn store(&self, object_lock: bool) -> Result<Arc<dyn Store>, Box<dyn Error>> {
        use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
        let name = self.name();
        let place = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::EuCentral1);
        let config = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(true).build();
        let create = aws_sdk_s3::Client::from_conf(config).create_bucket().bucket(&name);
        let create = create.object_lock_enabled_for_bucket(object_lock);
        create.create_bucket_configuration(place.build()).send().await?;
        Ok(Arc::new(self.clients.store(name, "in/a=b-")))
    }

    async fn queue(&self) -> Result<Subject, Box<dyn Error>> {
        let client = aws_sdk_sqs::Client::new(&self.config);
        let name = self.name();
        let create = client.create_queue().queue_name(format!("{name}-dlq")).send().await?;
        let dead = create.queue_url.ok_or("the emulator names no queue")?;
        let attributes = client.get_queue_attributes().queue_url(&dead);
        let attributes = attributes.attribute_names(QueueAttributeName::QueueArn).send().await?.attributes;
        let arn = attributes.and_then(|mut all| all.remove(&QueueAttributeName::QueueArn));
        let arn = arn.ok_or("the emulator names no ARN")?;
        let policy = format!("{{\"deadLetterTargetArn\":\"{arn}\",\"maxReceiveCount\":\"{MAX_RECEIVE_COUNT}\"}}");
        let create = client
            .create_queue()
            .queue_name(&name)
            .attributes(QueueAttributeName::VisibilityTimeout, VISIBILITY.as_secs().to_string())
            .attributes(QueueAttributeName::RedrivePolicy, policy);
        let url = create.send().await?.queue_url.ok_or("the emulator names no queue")?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Ok(Subject {
            queue: Arc::new(self.clients.queue(&url)),
            receiver: Arc::new(self.clients.receiver(&url, dead)),
            clock,
            visibility: VISIBILITY,
            max_receive_count: MAX_RECEIVE_COUNT,
        })
    }
}
