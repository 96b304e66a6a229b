//! The state, and what happens to a request.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use domain::{Clock, Random};
use queue::Options;
use tokio::sync::watch;
use uuid::Uuid;

use crate::call::{Call, Service};
use crate::fault::{Effect, Fault, Plan};
use crate::keeping::{Lock, Policy, Versioning};
use crate::request::{Refusal, Reply, Request};
use crate::s3::{self, S3, Version};
use crate::secrets::{self, Secrets};
use crate::sqs::{self, Sqs};
use crate::sts::{self, Identity};

/// The services' state. Clones share it.
#[derive(Clone)]
pub struct AwsFake(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// The one lock under which puts are decided: of any number that race, one wins.
    s3: Mutex<S3>,
    sqs: Sqs,
    secrets: Mutex<Secrets>,
    identity: Mutex<Identity>,
    plan: Mutex<Plan>,
    calls: watch::Sender<Vec<Call>>,
}

/// How the connection answers.
#[derive(Debug)]
pub(crate) enum Outcome {
    Reply(Reply),
    /// By closing.
    Close,
    /// Not at all.
    Hang,
}

/// What a request asks, and of whom.
enum Asked {
    S3(s3::Asked),
    Sqs { action: String, queue: String },
    Secret { action: String, id: String },
    Sts(sts::Asked),
}

impl AwsFake {
    /// No buckets, no queues, no secrets.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self(Arc::new(Inner {
            clock,
            random,
            s3: Mutex::default(),
            sqs: Sqs::default(),
            secrets: Mutex::default(),
            identity: Mutex::default(),
            plan: Mutex::default(),
            calls: watch::Sender::new(Vec::new()),
        }))
    }

    /// A bucket; nothing if it exists.
    pub fn create_bucket(&self, name: &str) {
        self.s3().create_bucket(name);
    }

    /// Says whether a bucket keeps versions.
    pub fn set_versioning(&self, bucket: &str, versioning: Versioning) {
        self.s3().set_versioning(bucket, versioning);
    }

    /// Gives a bucket this policy; without one it refuses nothing.
    pub fn set_policy(&self, bucket: &str, policy: Policy) {
        self.s3().set_policy(bucket, policy);
    }

    /// Gives a bucket a default retention.
    pub fn set_default_lock(&self, bucket: &str, mode: &'static str, days: u32) {
        self.s3().set_object_lock(bucket, Some((mode, days)));
    }

    /// Gives a bucket Object Lock, without a retention that each object gets by itself.
    pub fn set_object_lock(&self, bucket: &str) {
        self.s3().set_object_lock(bucket, None);
    }

    /// The lock of an object.
    pub fn lock_of(&self, bucket: &str, key: &str) -> Option<Lock> {
        self.s3().lock_of(bucket, key)
    }

    /// Locks an object.
    pub fn set_lock(&self, bucket: &str, key: &str, lock: Lock) {
        self.s3().set_lock(bucket, key, lock);
    }

    /// How many keys a page of a listing holds; 1,000 by default, and at most.
    pub fn set_listing_page(&self, keys: usize) {
        self.s3().set_page(keys);
    }

    /// The current objects of a bucket.
    pub fn objects(&self, bucket: &str) -> BTreeMap<String, Version> {
        self.s3().current(bucket)
    }

    /// Everything that was ever put under a key, oldest first.
    pub fn versions(&self, bucket: &str, key: &str) -> Vec<Version> {
        self.s3().versions(bucket, key)
    }

    /// Removes an object, as somebody outside the program might.
    pub fn remove_object(&self, bucket: &str, key: &str) {
        self.s3().remove(bucket, key, self.0.clock.now());
    }

    /// Writes an object whatever is there, as somebody outside the program might.
    pub fn overwrite_object(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        self.s3().overwrite(bucket, key, bytes.into(), self.0.clock.now());
    }

    /// Lands the puts that are late and on demand. Answers of how many the condition still held.
    pub fn land_late_puts(&self) -> usize {
        self.s3().land(self.0.clock.now())
    }

    /// A queue and, named `<name>-dlq`, its dead-letter queue.
    pub fn create_queue(&self, name: &str, options: Options) {
        self.0.sqs.create(name, options, &self.0.clock, &self.0.random);
    }

    /// The bodies of all messages that ever became dead letters of this queue.
    pub fn dead_letters(&self, queue: &str) -> Vec<String> {
        self.0.sqs.find(queue).map(|queue| queue.dead_letters()).unwrap_or_default()
    }

    /// Moves the visible dead letters of this queue back, as messages never received. Answers how many.
    pub async fn redrive(&self, queue: &str) -> usize {
        match self.0.sqs.find(queue) {
            Some(queue) => queue.redrive().await,
            None => 0,
        }
    }

    /// A new version of a secret, which from now on is the current one.
    pub fn set_secret(&self, name: &str, value: &str) {
        locked(&self.0.secrets).set(name, value);
    }

    /// Who tokens speak of from now on.
    pub fn set_identity(&self, identity: Identity) {
        *locked(&self.0.identity) = identity;
    }

    /// Plans a fault. Of several that strike one call the first planned does.
    pub fn plan(&self, fault: Fault) {
        locked(&self.0.plan).add(fault);
    }

    /// Drops all faults that have not struck.
    pub fn clear_faults(&self) {
        locked(&self.0.plan).clear();
    }

    /// How many strikes are still to come.
    pub fn faults_left(&self) -> usize {
        locked(&self.0.plan).left()
    }

    /// Every call so far, in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.0.calls.borrow().clone()
    }

    /// Forgets the calls so far.
    pub fn clear_calls(&self) {
        self.0.calls.send_modify(Vec::clear);
    }

    /// Waits until this holds for the calls so far.
    pub async fn until(&self, mut holds: impl FnMut(&[Call]) -> bool) {
        // The sender lives as long as this, so waiting ends only by the condition.
        let _ = self.0.calls.subscribe().wait_for(|calls| holds(calls)).await;
    }

    fn s3(&self) -> MutexGuard<'_, S3> {
        locked(&self.0.s3)
    }

    /// Records a request, lets the faults have their way, and does what is left to do.
    pub(crate) async fn handle(&self, request: &Request) -> Outcome {
        let asked = Asked::read(request);
        let call = asked.call(request);
        let index = self.arrived(call.clone());
        if call.service == Service::S3 {
            self.s3().before_call(self.0.clock.now());
        }
        let effect = locked(&self.0.plan).effect(&call);
        let failing = match &effect {
            Some(Effect::FailEntries(entries)) => entries.as_slice(),
            _ => &[],
        };
        let reply = match (&effect, asked) {
            (Some(Effect::Answer { status, code }), asked) => asked.error(&Refusal::new(*status, code, "on demand")),
            (Some(Effect::Disconnect), _) => return Outcome::Close,
            (Some(Effect::Hang), _) => return Outcome::Hang,
            (Some(Effect::Late(landing)), asked) => {
                if let Asked::S3(s3::Asked::Put(put)) = asked {
                    self.s3().put_later(put, *landing);
                }
                return Outcome::Close;
            }
            (_, asked) => self.reply(asked, request, failing).await,
        };
        let lost = matches!(effect, Some(Effect::LoseAnswer | Effect::HangDone));
        self.done(index, (!lost).then(|| reply.status.as_u16()));
        match effect {
            Some(Effect::LoseAnswer) => Outcome::Close,
            Some(Effect::HangDone) => Outcome::Hang,
            _ => Outcome::Reply(reply),
        }
    }

    async fn reply(&self, asked: Asked, request: &Request, failing: &[usize]) -> Reply {
        let now = self.0.clock.now();
        match asked {
            Asked::S3(asked) => {
                let answer = self.s3().answer(asked, request, now);
                answer.unwrap_or_else(|refusal| s3::error(&refusal))
            }
            Asked::Sqs { action, queue } => {
                let answer = self.0.sqs.answer(&action, &queue, &request.body, failing, &*self.0.clock).await;
                answer.unwrap_or_else(|refusal| sqs::error(&refusal))
            }
            Asked::Secret { action, id } if action == "GetSecretValue" => {
                locked(&self.0.secrets).get(&id).unwrap_or_else(|refusal| secrets::error(&refusal))
            }
            Asked::Secret { .. } => {
                secrets::error(&Refusal::new(400, "UnknownOperationException", "this fake does not do that"))
            }
            Asked::Sts(asked) => {
                let id = Uuid::from_bytes(self.0.random.bytes16());
                let token = locked(&self.0.identity).token(&asked, now, id);
                token.unwrap_or_else(|refusal| sts::error(&refusal))
            }
        }
    }

    fn arrived(&self, call: Call) -> usize {
        let mut index = 0;
        self.0.calls.send_modify(|calls| {
            index = calls.len();
            calls.push(call);
        });
        index
    }

    fn done(&self, index: usize, status: Option<u16>) {
        self.0.calls.send_modify(|calls| {
            if let Some(call) = calls.get_mut(index) {
                (call.done, call.status) = (true, status);
            }
        });
    }
}

impl Asked {
    fn read(request: &Request) -> Self {
        match request.header("x-amz-target").and_then(|target| target.split_once('.')) {
            Some(("AmazonSQS", action)) => {
                let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let url = body["QueueUrl"].as_str().unwrap_or_default();
                // Whatever host it names: a URL may have been made before this server listened.
                let queue = url.rsplit('/').next().unwrap_or_default().to_owned();
                Self::Sqs { action: action.to_owned(), queue }
            }
            Some((_, action)) => Self::Secret { action: action.to_owned(), id: Secrets::asked(&request.body) },
            None if request.path == "/" && request.method == http::Method::POST => {
                Self::Sts(sts::Asked::read(&request.body))
            }
            None => Self::S3(s3::Asked::read(request)),
        }
    }

    fn call(&self, request: &Request) -> Call {
        let (service, action, resource) = match self {
            Self::S3(asked) => (Service::S3, asked.action().to_owned(), asked.resource()),
            Self::Sqs { action, queue } => (Service::Sqs, action.clone(), queue.clone()),
            Self::Secret { action, id } => (Service::SecretsManager, action.clone(), id.clone()),
            Self::Sts(asked) => (Service::Sts, asked.action.clone(), asked.audience.clone()),
        };
        let holds = matches!(self, Self::S3(asked) if asked.holds());
        Call { service, action, resource, holds, access_key: request.access_key(), done: false, status: None }
    }

    /// An error in the form of the service asked.
    fn error(&self, refusal: &Refusal) -> Reply {
        match self {
            Self::S3(_) => s3::error(refusal),
            Self::Sqs { .. } => sqs::error(refusal),
            Self::Secret { .. } => secrets::error(refusal),
            Self::Sts(_) => sts::error(refusal),
        }
    }
}

/// No lock is held while anything can panic that leaves its state broken.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for AwsFake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsFake").field("calls", &self.0.calls.borrow().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use domain::SeededRandom;
    use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
    use serde_json::{Value, json};

    use super::*;
    use crate::SteppingClock;

    fn fake() -> AwsFake {
        let clock = SteppingClock::new("2026-11-24T03:00:00Z".parse().unwrap());
        let fake = AwsFake::new(Arc::new(clock), Arc::new(SeededRandom::new(1)));
        fake.create_bucket("b");
        fake.create_queue("q", Options::default());
        fake
    }

    async fn ask(fake: &AwsFake, method: Method, uri: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let request = Request::new(method, &uri.parse::<Uri>().unwrap(), map, body.to_owned().into());
        match fake.handle(&request).await {
            Outcome::Reply(reply) => (reply.status.as_u16(), String::from_utf8_lossy(&reply.body).into_owned()),
            outcome => panic!("{outcome:?}"),
        }
    }

    async fn sqs(fake: &AwsFake, action: &str, mut body: Value) -> (u16, Value) {
        body["QueueUrl"] = "http://elsewhere/0/q".into();
        let target = format!("AmazonSQS.{action}");
        let (status, body) = ask(fake, Method::POST, "/", &[("x-amz-target", &target)], &body.to_string()).await;
        (status, serde_json::from_str(&body).unwrap())
    }

    #[tokio::test]
    async fn a_put_that_is_not_what_it_says_is_refused_before_its_condition_counts() {
        let fake = fake();
        // The hashes of "1"; the body is "2".
        let base64 = "a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=";
        let hex = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
        for (headers, status, code) in [
            (&[("x-amz-checksum-sha256", base64)][..], 400, "BadDigest"),
            (&[("x-amz-content-sha256", hex)], 400, "XAmzContentSHA256Mismatch"),
            (&[("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")], 501, "NotImplemented"),
            (&[("if-none-match", "\"x\"")], 501, "NotImplemented"),
        ] {
            let (answered, body) = ask(&fake, Method::PUT, "/b/k", headers, "2").await;
            assert_eq!(answered, status);
            assert!(body.contains(&format!("<Code>{code}</Code>")), "{body}");
        }
        assert!(fake.objects("b").is_empty());
        let right = [("x-amz-checksum-sha256", base64), ("x-amz-content-sha256", hex), ("if-none-match", "*")];
        assert_eq!(ask(&fake, Method::PUT, "/b/k", &right, "1").await.0, 200);
        assert_eq!(ask(&fake, Method::PUT, "/b/k", &right, "1").await.0, 412);
    }

    #[tokio::test]
    async fn a_hold_is_put_with_a_checksum_into_a_bucket_with_object_lock_and_where_the_policy_lets() {
        let fake = fake();
        // The hash of "1".
        let sha256 = ("x-amz-checksum-sha256", "a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=");
        let hold = |value| ("x-amz-object-lock-legal-hold", value);
        let held = || fake.lock_of("b", "k").is_some_and(|lock| lock.legal_hold);
        let put = async |headers: &[(&str, &str)]| ask(&fake, Method::PUT, "/b/k", headers, "1").await.0;
        assert_eq!(put(&[sha256, hold("ON")]).await, 400, "without Object Lock");
        fake.set_object_lock("b");
        assert_eq!((put(&[hold("ON")]).await, put(&[sha256, hold("on")]).await), (400, 400));
        fake.set_policy("b", Policy { hold_nothing: true, ..Policy::default() });
        assert_eq!(put(&[sha256, hold("ON")]).await, 403);
        assert!(fake.objects("b").is_empty());
        fake.set_policy("b", Policy::default());
        assert_eq!((put(&[sha256, hold("OFF")]).await, held()), (200, false));
        assert_eq!((put(&[sha256, hold("ON")]).await, held()), (200, true));
        fake.set_versioning("b", Versioning::Enabled);
        assert_eq!(ask(&fake, Method::DELETE, "/b/k?versionId=v1", &[], "").await.0, 403);
    }

    #[tokio::test]
    async fn an_overwrite_is_seen_in_the_versions() {
        let fake = fake();
        for body in ["1", "2"] {
            assert_eq!(ask(&fake, Method::PUT, "/b/a%20b", &[], body).await.0, 200);
        }
        let versions = fake.versions("b", "a b");
        assert_eq!(versions.iter().map(|version| &version.bytes[..]).collect::<Vec<_>>(), [b"1", b"2"]);
        assert!(versions.iter().all(|version| version.condition == s3::PutCondition::None));
        fake.remove_object("b", "a b");
        assert_eq!(ask(&fake, Method::GET, "/b/a%20b", &[], "").await.0, 404);
        assert_eq!(fake.versions("b", "a b").len(), 2);
    }

    #[tokio::test]
    async fn a_listing_escapes_what_xml_would_misread() {
        let fake = fake();
        fake.overwrite_object("b", "a&<b>", "");
        let (_, body) = ask(&fake, Method::GET, "/b?list-type=2&prefix=a%26", &[], "").await;
        assert!(body.contains("<Key>a&amp;&lt;b&gt;</Key>"), "{body}");
        let (_, body) = ask(&fake, Method::GET, "/b?list-type=2&encoding-type=url", &[], "").await;
        assert!(body.contains("<Key>a%26%3Cb%3E</Key>"), "{body}");
        assert_eq!(ask(&fake, Method::GET, "/b?list-type=2&delimiter=/", &[], "").await.0, 501);
        assert_eq!(ask(&fake, Method::GET, "/b?list-type=2&continuation-token=x", &[], "").await.0, 400);
    }

    #[tokio::test]
    async fn a_batch_that_sqs_refuses_is_refused_whole() {
        let fake = fake();
        let entry = |id: usize, length| json!({ "Id": id.to_string(), "MessageBody": "x".repeat(length) });
        for (entries, code) in [
            (vec![], "EmptyBatchRequest"),
            ((0..11).map(|id| entry(id, 1)).collect(), "TooManyEntriesInBatchRequest"),
            (vec![entry(1, 1), entry(1, 1)], "BatchEntryIdsNotDistinct"),
            (vec![entry(1, 1 << 20), entry(2, 1)], "BatchRequestTooLong"),
        ] {
            let (status, body) = sqs(&fake, "SendMessageBatch", json!({ "Entries": entries })).await;
            assert_eq!((status, &body["__type"]), (400, &format!("com.amazonaws.sqs#{code}").into()));
        }
        let (_, body) = sqs(&fake, "GetQueueAttributes", json!({})).await;
        assert_eq!(body["Attributes"]["ApproximateNumberOfMessages"], "0");
    }

    #[tokio::test]
    async fn an_entry_that_sqs_refuses_fails_alone() {
        let fake = fake();
        let entries = json!({ "Entries": [
            { "Id": "good", "MessageBody": "\u{1f600}" },
            { "Id": "control", "MessageBody": "\u{1}" },
            { "Id": "empty", "MessageBody": "" },
            { "Id": "late", "MessageBody": "x", "DelaySeconds": 901 },
        ]});
        let (status, body) = sqs(&fake, "SendMessageBatch", entries).await;
        assert_eq!((status, &body["Successful"][0]["Id"]), (200, &"good".into()));
        let failed: Vec<&str> = body["Failed"].as_array().unwrap().iter().filter_map(|f| f["Code"].as_str()).collect();
        assert_eq!(failed, ["InvalidMessageContents", "MissingParameter", "InvalidParameterValue"]);
        let (_, body) = sqs(&fake, "ReceiveMessage", json!({ "MaxNumberOfMessages": 10 })).await;
        assert_eq!(body["Messages"].as_array().unwrap().len(), 1);
        let (status, _) = sqs(&fake, "ReceiveMessage", json!({ "MaxNumberOfMessages": 11 })).await;
        assert_eq!(status, 400);
    }

    #[tokio::test]
    async fn every_call_is_recorded_with_who_made_it_and_what_it_needs() {
        let fake = fake();
        let signed = "AWS4-HMAC-SHA256 Credential=ROLE/20261124/eu-central-1/s3/aws4_request, Signature=x";
        ask(&fake, Method::PUT, "/b/k", &[("authorization", signed)], "1").await;
        ask(&fake, Method::PUT, "/b/h", &[("x-amz-object-lock-legal-hold", "ON")], "1").await;
        ask(&fake, Method::GET, "/b?list-type=2&prefix=k", &[], "").await;
        sqs(&fake, "SendMessageBatch", json!({ "Entries": [] })).await;
        let calls = fake.calls();
        let seen: Vec<_> = calls
            .iter()
            .map(|call| (call.iam_actions(), call.resource.as_str(), call.access_key.as_str(), call.status))
            .collect();
        assert_eq!(
            seen,
            [
                (vec!["s3:PutObject".to_owned()], "b/k", "ROLE", Some(200)),
                (vec!["s3:PutObject".to_owned(), "s3:PutObjectLegalHold".to_owned()], "b/h", "", Some(400)),
                (vec!["s3:ListBucket".to_owned()], "b/k", "", Some(200)),
                (vec!["sqs:SendMessage".to_owned()], "q", "", Some(400)),
            ]
        );
    }
}
