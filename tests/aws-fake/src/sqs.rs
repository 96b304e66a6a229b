//! Queues: SQS's JSON protocol over the queue in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Clock, Random};
use queue::{Delivery, InProcessQueue, MAX_BODY_BYTES, MAX_DELAY, Options, Outgoing, Queue as _, Refused};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::request::{Refusal, Reply, md5_hex};

/// Entries of a batch, and messages of a receive.
const MAX_ENTRIES: usize = 10;
/// The longest wait for a message, in seconds.
const MAX_WAIT: u64 = 20;
/// The longest visibility timeout, in seconds.
const MAX_VISIBILITY: u64 = 43_200;

/// All queues, by name.
#[derive(Debug, Default)]
pub(crate) struct Sqs(Mutex<BTreeMap<String, Arc<FakeQueue>>>);

/// A queue and where its dead letters go.
#[derive(Debug)]
pub(crate) struct FakeQueue {
    name: String,
    messages: InProcessQueue,
    dead: Option<Arc<Self>>,
    /// The ids of the messages that died and were moved.
    moved: Mutex<BTreeSet<String>>,
    /// Something may have become visible.
    changed: Notify,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch<T> {
    entries: Vec<T>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendEntry {
    id: String,
    message_body: String,
    #[serde(default)]
    delay_seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteEntry {
    id: String,
    receipt_handle: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Receive {
    #[serde(default = "one")]
    max_number_of_messages: usize,
    #[serde(default)]
    wait_time_seconds: u64,
    visibility_timeout: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    receipt_handle: String,
    visibility_timeout: u64,
}

const fn one() -> usize {
    1
}

impl Sqs {
    /// A queue and, named `<name>-dlq`, its dead-letter queue.
    pub(crate) fn create(&self, name: &str, options: Options, clock: &Arc<dyn Clock>, random: &Arc<dyn Random>) {
        let make = |name: String, options, dead| {
            let messages = InProcessQueue::new(options, Arc::clone(clock), Arc::clone(random));
            Arc::new(FakeQueue { name, messages, dead, moved: Mutex::default(), changed: Notify::new() })
        };
        // Nothing dies in a dead-letter queue.
        let endless = Options { max_receive_count: u32::MAX, ..options.clone() };
        let dead = make(format!("{name}-dlq"), endless, None);
        let live = make(name.to_owned(), options, Some(Arc::clone(&dead)));
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queues.insert(dead.name.clone(), dead);
        queues.insert(live.name.clone(), live);
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<FakeQueue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Does what is asked; the entries at the places in `failing` fail.
    pub(crate) async fn answer(
        &self,
        action: &str,
        queue: &str,
        body: &[u8],
        failing: &[usize],
        clock: &dyn Clock,
    ) -> Result<Reply, Refusal> {
        let queue = self
            .find(queue)
            .ok_or_else(|| Refusal::new(400, "QueueDoesNotExist", "the specified queue does not exist"))?;
        let answer = match action {
            "SendMessageBatch" => queue.send(batch(body)?, failing).await?,
            "DeleteMessageBatch" => queue.delete(batch(body)?, failing).await?,
            "ReceiveMessage" => queue.receive(&read(body)?, clock).await?,
            "ChangeMessageVisibility" => queue.change(read(body)?).await?,
            "GetQueueAttributes" => queue.attributes().await?,
            _ => return Err(Refusal::new(400, "InvalidAction", "this fake does not do that")),
        };
        Ok(Reply::json(200, &answer))
    }
}

impl FakeQueue {
    async fn send(&self, entries: Vec<SendEntry>, failing: &[usize]) -> Result<Value, Refusal> {
        if entries.iter().map(|entry| entry.message_body.len()).sum::<usize>() > MAX_BODY_BYTES {
            return Err(Refusal::new(400, "BatchRequestTooLong", "the bodies of a batch exceed 1048576 bytes"));
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for (index, entry) in entries.into_iter().enumerate() {
            let delay = Duration::from_secs(entry.delay_seconds);
            let message = Outgoing { body: entry.message_body, delay };
            match message.check() {
                _ if failing.contains(&index) => failed.push(failure(&entry.id, "InternalError", false)),
                Ok(()) if message.body.chars().all(is_allowed) => {
                    let digest = md5_hex(message.body.as_bytes());
                    self.messages.send(vec![message]).await.map_err(internal)?;
                    successful.push(json!({ "Id": entry.id, "MessageId": digest, "MD5OfMessageBody": digest }));
                }
                Ok(()) => failed.push(failure(&entry.id, "InvalidMessageContents", true)),
                Err(Refused::Empty) => failed.push(failure(&entry.id, "MissingParameter", true)),
                Err(_) => failed.push(failure(&entry.id, "InvalidParameterValue", true)),
            }
        }
        self.changed.notify_waiters();
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }

    async fn delete(&self, entries: Vec<DeleteEntry>, failing: &[usize]) -> Result<Value, Refusal> {
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for (index, entry) in entries.into_iter().enumerate() {
            if failing.contains(&index) {
                failed.push(failure(&entry.id, "InternalError", false));
            } else if is_receipt(&entry.receipt_handle) {
                self.messages.delete(vec![entry.receipt_handle]).await.map_err(internal)?;
                successful.push(json!({ "Id": entry.id }));
            } else {
                failed.push(failure(&entry.id, "ReceiptHandleIsInvalid", true));
            }
        }
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }

    async fn receive(&self, asked: &Receive, clock: &dyn Clock) -> Result<Value, Refusal> {
        let bounds = (1..=MAX_ENTRIES).contains(&asked.max_number_of_messages)
            && asked.wait_time_seconds <= MAX_WAIT
            && asked.visibility_timeout.is_none_or(|seconds| seconds <= MAX_VISIBILITY);
        if !bounds {
            return Err(invalid("a number of ReceiveMessage is out of its bounds"));
        }
        let end = clock.now() + Duration::from_secs(asked.wait_time_seconds);
        let received = loop {
            let changed = self.changed.notified();
            let received = self.messages.receive(asked.max_number_of_messages).await;
            self.bury().await?;
            if !received.is_empty() || clock.now() >= end {
                break received;
            }
            let until = self.messages.next_visible_at().map_or(end, |next| next.min(end));
            tokio::select! {
                () = changed => {}
                () = clock.sleep_until(until) => {}
            }
        };
        if let Some(seconds) = asked.visibility_timeout {
            let handles = received.iter().map(|delivery| delivery.receipt_handle.clone()).collect();
            self.release(handles, Duration::from_secs(seconds)).await?;
        }
        Ok(json!({ "Messages": received.iter().map(message).collect::<Vec<_>>() }))
    }

    async fn change(&self, asked: Change) -> Result<Value, Refusal> {
        if !is_receipt(&asked.receipt_handle) {
            return Err(Refusal::new(400, "ReceiptHandleIsInvalid", "the receipt handle is not valid"));
        }
        if asked.visibility_timeout > MAX_VISIBILITY {
            return Err(invalid("VisibilityTimeout is longer than twelve hours"));
        }
        self.release(vec![asked.receipt_handle], Duration::from_secs(asked.visibility_timeout)).await?;
        Ok(json!({}))
    }

    async fn attributes(&self) -> Result<Value, Refusal> {
        let depth = self.messages.depth().await.map_err(internal)?;
        let mut attributes = json!({
            "ApproximateNumberOfMessages": depth.visible.to_string(),
            "ApproximateNumberOfMessagesNotVisible": depth.in_flight.to_string(),
            "ApproximateNumberOfMessagesDelayed": depth.delayed.to_string(),
            "QueueArn": self.arn(),
        });
        if let Some(dead) = &self.dead {
            attributes["RedrivePolicy"] = json!({ "deadLetterTargetArn": dead.arn() }).to_string().into();
        }
        Ok(json!({ "Attributes": attributes }))
    }

    fn arn(&self) -> String {
        format!("arn:aws:sqs:eu-central-1:000000000000:{}", self.name)
    }

    async fn release(&self, handles: Vec<String>, after: Duration) -> Result<(), Refusal> {
        // The trait's, which takes a time; the queue's own releases at once.
        queue::Receiver::release(&self.messages, handles, after).await.map_err(internal)?;
        self.changed.notify_waiters();
        Ok(())
    }

    /// Moves what died since the last time to the dead-letter queue, where it has another id.
    async fn bury(&self) -> Result<(), Refusal> {
        let Some(dead) = &self.dead else { return Ok(()) };
        let fresh: Vec<Outgoing> = {
            let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
            let letters = InProcessQueue::dead_letters(&self.messages);
            let letters = letters.into_iter().filter(|letter| moved.insert(letter.message_id.clone()));
            letters.map(|letter| Outgoing { body: letter.body, delay: Duration::ZERO }).collect()
        };
        if !fresh.is_empty() {
            dead.messages.send(fresh).await.map_err(internal)?;
            dead.changed.notify_waiters();
        }
        Ok(())
    }

    /// Moves every visible dead letter back. Answers how many.
    pub(crate) async fn redrive(&self) -> usize {
        let Some(dead) = &self.dead else { return 0 };
        let letters = dead.messages.receive(usize::MAX).await;
        let (bodies, handles): (Vec<Outgoing>, Vec<String>) = letters
            .into_iter()
            .map(|letter| (Outgoing { body: letter.body, delay: Duration::ZERO }, letter.receipt_handle))
            .unzip();
        let count = bodies.len();
        // A queue in memory takes back what it gave.
        let _ = self.messages.send(bodies).await;
        let _ = dead.messages.delete(handles).await;
        self.changed.notify_waiters();
        count
    }

    /// The bodies of all messages that ever died.
    pub(crate) fn dead_letters(&self) -> Vec<String> {
        let moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        let letters = InProcessQueue::dead_letters(&self.messages);
        letters.into_iter().filter(|letter| moved.contains(&letter.message_id)).map(|letter| letter.body).collect()
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| invalid(&error.to_string()))
}

trait Identified {
    fn id(&self) -> &str;
}

impl Identified for SendEntry {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Identified for DeleteEntry {
    fn id(&self) -> &str {
        &self.id
    }
}

/// The entries of a batch that SQS takes.
fn batch<'a, T: Deserialize<'a> + Identified>(body: &'a [u8]) -> Result<Vec<T>, Refusal> {
    let entries = read::<Batch<T>>(body)?.entries;
    let ids: BTreeSet<&str> = entries.iter().map(Identified::id).collect();
    match entries.len() {
        0 => Err(Refusal::new(400, "EmptyBatchRequest", "a batch has no entries")),
        count if count > MAX_ENTRIES => {
            Err(Refusal::new(400, "TooManyEntriesInBatchRequest", "a batch has more than 10 entries"))
        }
        count if ids.len() < count => Err(Refusal::new(400, "BatchEntryIdsNotDistinct", "two entries have one id")),
        _ => Ok(entries),
    }
}

/// The characters that SQS takes: those of XML 1.0.
fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Whether a receipt has the form of one of ours.
fn is_receipt(handle: &str) -> bool {
    handle.split_once('.').is_some_and(|(id, receipt)| id.parse::<u64>().is_ok() && receipt.parse::<u64>().is_ok())
}

fn message(delivery: &Delivery) -> Value {
    json!({
        "MessageId": delivery.message_id,
        "ReceiptHandle": delivery.receipt_handle,
        "Body": delivery.body,
        "MD5OfBody": md5_hex(delivery.body.as_bytes()),
        "Attributes": { "ApproximateReceiveCount": delivery.receive_count.to_string() },
    })
}

fn failure(id: &str, code: &str, senders: bool) -> Value {
    json!({ "Id": id, "Code": code, "SenderFault": senders, "Message": "not done" })
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(400, "InvalidParameterValue", message)
}

fn internal(error: queue::QueueError) -> Refusal {
    Refusal::new(500, "InternalError", error.to_string())
}

/// An error in SQS's form. The SDKs read the older name from the header.
pub(crate) fn error(refusal: &Refusal) -> Reply {
    let fault = if refusal.status < 500 { "Sender" } else { "Receiver" };
    let body = json!({ "__type": format!("com.amazonaws.sqs#{}", refusal.code), "message": refusal.message });
    Reply::json(refusal.status, &body).header("x-amzn-query-error", format!("{};{fault}", refusal.code))
}

const _: () = assert!(MAX_DELAY.as_secs() == 900, "the bound that the queue in memory checks is SQS's");
