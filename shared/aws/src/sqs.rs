//! The queue of users to read, on SQS.

use std::fmt;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, DeleteMessageBatchRequestEntry, QueueAttributeName, SendMessageBatchRequestEntry,
};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt, stream};
use queue::{Depth, MAX_BODY_BYTES, Outgoing, Queue, QueueError};

use crate::call::{ATTEMPTS, CallError, Repeats};

/// What SQS takes in one call.
const MAX_ENTRIES: usize = 10;
/// What the bodies of one call may hold together: as much as one body alone.
const MAX_BATCH_BYTES: usize = MAX_BODY_BYTES;
/// Calls at once. A call takes some ten milliseconds, so eight send a plan of 300,000 messages in under a minute.
const IN_FLIGHT: usize = 8;

/// An SQS queue.
///
/// A call whose outcome is unknown is made again: a message that arrives twice does no harm, one that is lost would.
#[derive(Clone)]
pub struct SqsQueue {
    client: Client,
    url: String,
    repeats: Repeats,
}

/// Entries of a batch that SQS did not take, attempt after attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{entries} entries of a batch were not taken in {ATTEMPTS} attempts, the last time as {code}: send them again later"
)]
pub struct BatchLeft {
    /// How many.
    pub entries: usize,
    /// What SQS said of the first.
    pub code: String,
}

/// An entry of a batch that was answered with an error: its place in the batch, and the error.
type Failed = (usize, String);

/// A call for some entries of a batch: those that failed.
type Answer = BoxFuture<'static, Result<Vec<Failed>, CallError>>;

impl SqsQueue {
    pub(crate) const fn new(client: Client, url: String, repeats: Repeats) -> Self {
        Self { client, url, repeats }
    }

    /// Makes a call for all entries of each batch until none is left, with several calls at once.
    async fn settle<T: Clone + Send>(
        &self,
        operation: &'static str,
        batches: Vec<Vec<T>>,
        call: impl Fn(Vec<T>) -> Answer + Send + Sync,
    ) -> Result<(), QueueError> {
        let call = &call;
        stream::iter(batches)
            .map(|batch| async move { self.settle_batch(operation, batch, call).await })
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await
    }

    async fn settle_batch<T: Clone + Send>(
        &self,
        operation: &'static str,
        mut entries: Vec<T>,
        call: &(impl Fn(Vec<T>) -> Answer + Sync),
    ) -> Result<(), QueueError> {
        let mut attempt = 1;
        loop {
            let last = attempt == ATTEMPTS;
            match call(entries.clone()).await {
                Ok(failed) => {
                    let Some((_, code)) = failed.first() else { return Ok(()) };
                    if last {
                        let left = BatchLeft { entries: failed.len(), code: code.clone() };
                        return Err(failure(operation, left));
                    }
                    entries = failed.iter().filter_map(|(index, _)| entries.get(*index).cloned()).collect();
                }
                Err(error) if error.is_transient() && !last => {}
                Err(error) => return Err(failure(operation, error)),
            }
            self.repeats.pause(attempt).await;
            attempt += 1;
        }
    }

    fn send_call(&self, batch: Vec<Outgoing>) -> Answer {
        let send = self.client.send_message_batch().queue_url(&self.url);
        Box::pin(async move {
            let count = batch.len();
            let mut entries = Vec::with_capacity(count);
            for (index, message) in batch.into_iter().enumerate() {
                let delay = i32::try_from(message.delay.as_secs_f64().ceil() as i64).unwrap_or(i32::MAX);
                let entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(message.body);
                entries.push(entry.delay_seconds(delay).build().map_err(|_| CallError::NotSent)?);
            }
            let answer = send.set_entries(Some(entries)).send().await.map_err(CallError::of)?;
            Ok(not_taken(count, answer.successful().iter().map(|entry| entry.id()), answer.failed()))
        })
    }

    fn delete_call(&self, batch: Vec<String>) -> Answer {
        let delete = self.client.delete_message_batch().queue_url(&self.url);
        Box::pin(async move {
            let count = batch.len();
            let mut entries = Vec::with_capacity(count);
            for (index, handle) in batch.into_iter().enumerate() {
                let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(handle);
                entries.push(entry.build().map_err(|_| CallError::NotSent)?);
            }
            let answer = delete.set_entries(Some(entries)).send().await.map_err(CallError::of)?;
            let mut failed = not_taken(count, answer.successful().iter().map(|entry| entry.id()), answer.failed());
            // A receipt that is spent needs no delete.
            failed.retain(|(_, code)| !code.contains("ReceiptHandleIsInvalid") && code != "InvalidParameterValue");
            Ok(failed)
        })
    }

    async fn depth_once(&self) -> Result<Depth, CallError> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let get = self.client.get_queue_attributes().queue_url(&self.url).set_attribute_names(Some(names.to_vec()));
        let attributes = get.send().await.map_err(CallError::of)?.attributes.unwrap_or_default();
        let [visible, in_flight, delayed] =
            names.map(|name| attributes.get(&name).and_then(|number| number.parse::<u64>().ok()));
        match (visible, in_flight, delayed) {
            (Some(visible), Some(in_flight), Some(delayed)) => Ok(Depth { visible, in_flight, delayed }),
            // A number that is not there must not count as nothing left.
            _ => Err(CallError::incomplete()),
        }
    }
}

impl SqsQueue {
    /// The URL of the queue that messages go to which fail too often; `None` if there is none. It lies in the same region
    /// and account, so only the name differs.
    pub async fn dead_letter_queue(&self) -> Result<Option<String>, QueueError> {
        let arn = self.repeats.until_certain(|| self.dead_letter_arn()).await;
        let arn = arn.map_err(|error| failure("read its redrive policy", error))?;
        Ok(arn.and_then(|arn| {
            let (name, (place, _)) = (arn.rsplit(':').next()?, self.url.rsplit_once('/')?);
            Some(format!("{place}/{name}"))
        }))
    }

    async fn dead_letter_arn(&self) -> Result<Option<String>, CallError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Redrive {
            dead_letter_target_arn: String,
        }
        let name = QueueAttributeName::RedrivePolicy;
        let get = self.client.get_queue_attributes().queue_url(&self.url).attribute_names(name.clone());
        let attributes = get.send().await.map_err(CallError::of)?.attributes.unwrap_or_default();
        let Some(policy) = attributes.get(&name) else { return Ok(None) };
        let policy: Redrive = serde_json::from_str(policy).map_err(|_| CallError::incomplete())?;
        Ok(Some(policy.dead_letter_target_arn))
    }
}

/// The entries that the answer does not name as taken.
fn not_taken<'a>(
    count: usize,
    taken: impl Iterator<Item = &'a str>,
    failed: &'a [BatchResultErrorEntry],
) -> Vec<Failed> {
    let taken: Vec<&str> = taken.collect();
    let code = |id: &str| failed.iter().find(|entry| entry.id() == id).map_or("no answer", |entry| entry.code());
    (0..count)
        .map(|index| (index, index.to_string()))
        .filter(|(_, id)| !taken.contains(&id.as_str()))
        .map(|(index, id)| (index, code(&id).to_owned()))
        .collect()
}

/// As few batches as SQS's limits allow without changing the order.
fn batches(messages: Vec<Outgoing>) -> Vec<Vec<Outgoing>> {
    let mut batches: Vec<Vec<Outgoing>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        bytes += message.body.len();
        match batches.last_mut() {
            Some(batch) if batch.len() < MAX_ENTRIES && bytes <= MAX_BATCH_BYTES => batch.push(message),
            _ => {
                bytes = message.body.len();
                batches.push(vec![message]);
            }
        }
    }
    batches
}

pub(crate) fn failure(operation: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> QueueError {
    QueueError { operation, source: Some(Box::new(source)) }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, messages: Vec<Outgoing>) -> Result<(), QueueError> {
        for message in &messages {
            message.check().map_err(|refused| failure("send", refused))?;
        }
        self.settle("send", batches(messages), |batch| self.send_call(batch)).await
    }

    async fn delete(&self, receipt_handles: Vec<String>) -> Result<(), QueueError> {
        let batches = receipt_handles.chunks(MAX_ENTRIES).map(<[String]>::to_vec).collect();
        self.settle("delete", batches, |batch| self.delete_call(batch)).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let depth = self.repeats.until_certain(|| self.depth_once()).await;
        depth.map_err(|error| failure("read its depth", error))
    }
}

impl fmt::Debug for SqsQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsQueue").field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn batches_are_full_and_keep_the_order() {
        let message = |length| Outgoing { body: "x".repeat(length), delay: Duration::ZERO };
        let lengths = |lengths: &[usize]| -> Vec<Vec<usize>> {
            let batches = batches(lengths.iter().copied().map(message).collect());
            batches.iter().map(|batch| batch.iter().map(|message| message.body.len()).collect()).collect()
        };
        assert_eq!(lengths(&[]), Vec::<Vec<usize>>::new());
        assert_eq!(lengths(&[1; 21]), [vec![1; 10], vec![1; 10], vec![1]]);
        let whole = MAX_BATCH_BYTES;
        assert_eq!(lengths(&[whole - 1, 1, 1, whole]), [vec![whole - 1, 1], vec![1], vec![whole]]);
    }

    #[test]
    fn an_entry_that_the_answer_does_not_name_was_not_taken() {
        let failed = BatchResultErrorEntry::builder().id("2").code("Busy").sender_fault(false).build().unwrap();
        let left = not_taken(4, ["0", "3"].into_iter(), &[failed]);
        assert_eq!(left, [(1, "no answer".to_owned()), (2, "Busy".to_owned())]);
    }
}
