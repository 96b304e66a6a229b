//! What Lambda's SQS event source does: batches in, invocations, and what is done deleted.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws::{SqsQueue, SqsReceiver};
use domain::{Clock, Message, SystemClock, Timestamp, UserId};
use queue::source::{self, Again, Answer};
use queue::{Delivery, Outgoing, Queue, Receiver};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::environment::{Invoked, Outcome, never};
use crate::function::Function;

/// How often an empty queue is asked while somebody still works.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a queue may take to be drained before the test fails: no test has work for a tenth of it, on an idle machine.
const PATIENCE: Duration = Duration::from_secs(900);

/// What a test has in store for a batch.
pub struct Fate {
    /// The timeout; without it the function's.
    pub timeout: Option<Duration>,
    /// The process is killed as soon as this is ready.
    pub kill: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Default for Fate {
    fn default() -> Self {
        Self { timeout: None, kill: never() }
    }
}

impl fmt::Debug for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fate").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// A batch that was delivered.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Its messages.
    pub messages: Vec<Delivery>,
    /// When its invocation began.
    pub begun: Timestamp,
    /// When that ended.
    pub ended: Timestamp,
    /// How.
    pub invoked: Invoked,
}

impl Batch {
    /// Whether one of its messages names this user.
    pub fn holds(&self, user: UserId) -> bool {
        named(&self.messages).contains(&user)
    }
}

/// The users that messages name.
pub fn named(messages: &[Delivery]) -> BTreeSet<UserId> {
    messages.iter().filter_map(|one| Message::from_body(&one.body).ok()).map(|message| message.user_id).collect()
}

type Decide = Box<dyn Fn(&[Delivery]) -> Fate + Send + Sync>;

/// Feeds a function from a queue. Clones are the same.
#[derive(Clone)]
pub struct EventSource(Arc<Inner>);

struct Inner {
    queue: SqsQueue,
    receiver: SqsReceiver,
    function: Arc<Function>,
    batch: usize,
    concurrency: usize,
    fate: Mutex<Decide>,
    batches: Mutex<Vec<Batch>>,
}

impl EventSource {
    /// Feeds `function` with batches of up to so many messages, so many at once.
    pub fn new(
        (queue, receiver): (SqsQueue, SqsReceiver),
        function: Arc<Function>,
        batch: usize,
        concurrency: usize,
    ) -> Self {
        let fate = Mutex::new(Box::new(|_: &[Delivery]| Fate::default()) as Decide);
        Self(Arc::new(Inner { queue, receiver, function, batch, concurrency, fate, batches: Mutex::default() }))
    }

    /// What decides on the fate of each batch from now on.
    pub fn decide(&self, fate: impl Fn(&[Delivery]) -> Fate + Send + Sync + 'static) {
        *self.0.fate.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(fate);
    }

    /// Everything delivered so far, in the order in which it ended.
    pub fn batches(&self) -> Vec<Batch> {
        self.0.batches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Delivers until the queue holds nothing any more, visible or not.
    pub async fn drain(&self) {
        let drained = async {
            let mut working = JoinSet::new();
            loop {
                while working.try_join_next().is_some_and(|ended| {
                    ended.expect("a delivery does not panic");
                    true
                }) {}
                if working.len() < self.0.concurrency && self.deliver_one(&mut working).await {
                    continue;
                }
                if working.is_empty() && self.0.queue.depth().await.expect("the fake answers").is_quiet() {
                    return;
                }
                tokio::select! {
                    Some(ended) = working.join_next() => ended.expect("a delivery does not panic"),
                    () = SystemClock.sleep(PAUSE) => {}
                }
            }
        };
        tokio::select! {
            () = drained => {}
            () = SystemClock.sleep(PATIENCE) => panic!("the queue is not drained: {:?}", self.0.queue.depth().await),
        }
    }

    async fn deliver_one(&self, working: &mut JoinSet<()>) -> bool {
        let messages = self.receive().await;
        if messages.is_empty() {
            return false;
        }
        let source = self.clone();
        working.spawn(async move { source.deliver(messages).await });
        true
    }

    /// Sends a message with this body.
    pub async fn send(&self, body: &str) {
        let message = Outgoing { body: body.to_owned(), delay: Duration::ZERO };
        self.0.queue.send(vec![message]).await.expect("the fake answers");
    }

    /// Delivers one batch of what is visible.
    pub async fn step(&self) {
        self.deliver(self.receive().await).await;
    }

    async fn receive(&self) -> Vec<Delivery> {
        self.0.receiver.receive(self.0.batch).await.expect("the fake answers")
    }

    /// Delivers these messages, deletes what is done, and lets the rest be delivered again at once.
    pub async fn deliver(&self, messages: Vec<Delivery>) {
        let inner = &*self.0;
        let fate = (inner.fate.lock().unwrap_or_else(PoisonError::into_inner))(&messages);
        let timeout = fate.timeout.unwrap_or(inner.function.timeout());
        let begun = SystemClock.now();
        let invoked = inner.function.invoke_within(&event(&messages), timeout, fate.kill).await;
        let answer = match &invoked.outcome {
            Outcome::Answered(body) => failures(body).map_or(Answer::Lost, Answer::Failed),
            _ => Answer::Lost,
        };
        let batch = Batch { messages, begun, ended: SystemClock.now(), invoked };
        let again = Again::After(Duration::ZERO);
        source::settle(&inner.queue, &inner.receiver, &batch.messages, answer, again).await.expect("the fake answers");
        inner.batches.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
    }
}

impl fmt::Debug for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSource").field("function", &self.0.function).finish_non_exhaustive()
    }
}

/// The event of a batch, with every member that Lambda gives it.
fn event(messages: &[Delivery]) -> String {
    let now = SystemClock.now().as_millisecond().to_string();
    let record = |message: &Delivery| {
        json!({
            "messageId": message.message_id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": message.receive_count.to_string(),
                "SentTimestamp": now,
                "SenderId": "AROAEXAMPLE:fan-out",
                "ApproximateFirstReceiveTimestamp": now,
            },
            "messageAttributes": {},
            "md5OfBody": "0cc175b9c0f1b6a831c399e269772661",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:000000000000:work",
            "awsRegion": "eu-central-1",
        })
    };
    json!({ "Records": messages.iter().map(record).collect::<Vec<Value>>() }).to_string()
}

/// The ids that an answer says have failed; `None` if the answer is none, by which the whole batch has. As with Lambda, an
/// answer that names nothing at all says that everything is done.
pub fn failures(answer: &[u8]) -> Option<Vec<String>> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Response {
        batch_item_failures: Option<Vec<Item>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Item {
        item_identifier: String,
    }
    let response: Option<Response> = serde_json::from_slice(answer).ok()?;
    let items = response.unwrap_or_default().batch_item_failures.unwrap_or_default();
    let ids: Vec<String> = items.into_iter().map(|item| item.item_identifier).collect();
    ids.iter().all(|id| !id.is_empty()).then_some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_not_understood_fails_the_batch() {
        for bad in [
            "",
            "done",
            "[1]",
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"id":"m-1"}]}"#,
        ] {
            assert_eq!(failures(bad.as_bytes()), None, "{bad}");
        }
        for all in ["null", "{}", r#"{"batchItemFailures":null}"#, r#"{"batchItemFailures":[]}"#] {
            assert_eq!(failures(all.as_bytes()), Some(Vec::new()), "{all}");
        }
        let one = r#"{"batchItemFailures":[{"itemIdentifier":"m-1"}]}"#;
        assert_eq!(failures(one.as_bytes()), Some(vec!["m-1".to_owned()]));
    }
}
