//! The event source's part of an SQS queue.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use queue::{Delivery, QueueError, Receiver};

use crate::call::CallError;
use crate::sqs::failure;

/// What SQS gives in one call.
const MAX_MESSAGES: usize = 10;
/// How long dead letters are invisible to others while they are looked at. They are given back at once; this only
/// matters to a program that is killed meanwhile.
const LOOK_SECONDS: i32 = 30;

/// Receives from an SQS queue and looks into its dead-letter queue. On AWS Lambda's event source receives; this is for
/// tests, and for whoever drives the handlers without Lambda. It repeats nothing: receiving goes on anyway.
#[derive(Clone)]
pub struct SqsReceiver {
    client: Client,
    queue: String,
    dead_letter_queue: String,
}

impl SqsReceiver {
    pub(crate) const fn new(client: Client, queue: String, dead_letter_queue: String) -> Self {
        Self { client, queue, dead_letter_queue }
    }

    /// Up to ten messages of the queue, for which it waits this long, at most 20 seconds.
    pub async fn poll(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let received = self.receive_from(&self.queue, max, wait, None).await;
        received.map_err(|error| failure("receive", error))
    }

    async fn receive_from(
        &self,
        url: &str,
        max: usize,
        wait: Duration,
        visibility: Option<i32>,
    ) -> Result<Vec<Delivery>, CallError> {
        let receive = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(max.min(MAX_MESSAGES) as i32)
            .wait_time_seconds(i32::try_from(wait.as_secs()).unwrap_or(i32::MAX))
            .set_visibility_timeout(visibility)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let answer = receive.send().await.map_err(CallError::of)?;
        answer
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(|message| delivery(message).ok_or(CallError::incomplete()))
            .collect()
    }

    async fn give_back(&self, url: &str, handle: String, after: Duration) -> Result<(), CallError> {
        let seconds = i32::try_from(after.as_secs()).unwrap_or(i32::MAX);
        let change = self.client.change_message_visibility().queue_url(url).receipt_handle(handle);
        match change.visibility_timeout(seconds).send().await.map_err(CallError::of) {
            Err(error) if !is_spent(&error) => Err(error),
            _ => Ok(()),
        }
    }

    async fn look(&self) -> Result<Vec<Delivery>, CallError> {
        let mut found = BTreeMap::new();
        loop {
            let received =
                self.receive_from(&self.dead_letter_queue, MAX_MESSAGES, Duration::ZERO, Some(LOOK_SECONDS)).await?;
            let before = found.len();
            found.extend(received.into_iter().map(|delivery| (delivery.message_id.clone(), delivery)));
            if found.len() == before {
                break;
            }
        }
        for delivery in found.values() {
            self.give_back(&self.dead_letter_queue, delivery.receipt_handle.clone(), Duration::ZERO).await?;
        }
        Ok(found.into_values().collect())
    }
}

/// Whether the message is gone, or in flight no longer.
fn is_spent(error: &CallError) -> bool {
    matches!(
        error.code(),
        Some(
            "MessageNotInflight"
                | "ReceiptHandleIsInvalid"
                | "InvalidParameterValue"
                | "AWS.SimpleQueueService.MessageNotInflight"
        )
    )
}

fn delivery(message: Message) -> Option<Delivery> {
    let count = message.attributes?.remove(&MessageSystemAttributeName::ApproximateReceiveCount)?;
    Some(Delivery {
        message_id: message.message_id?,
        receipt_handle: message.receipt_handle?,
        receive_count: count.parse().ok()?,
        body: message.body?,
    })
}

#[async_trait]
impl Receiver for SqsReceiver {
    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, QueueError> {
        let mut received = Vec::new();
        while received.len() < max {
            let more = self.poll(max - received.len(), Duration::ZERO).await?;
            if more.is_empty() {
                break;
            }
            received.extend(more);
        }
        Ok(received)
    }

    async fn release(&self, receipt_handles: Vec<String>, after: Duration) -> Result<(), QueueError> {
        for handle in receipt_handles {
            self.give_back(&self.queue, handle, after).await.map_err(|error| failure("release", error))?;
        }
        Ok(())
    }

    async fn dead_letters(&self) -> Result<Vec<Delivery>, QueueError> {
        self.look().await.map_err(|error| failure("look at the dead letters", error))
    }
}

impl fmt::Debug for SqsReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsReceiver").field("queue", &self.queue).finish_non_exhaustive()
    }
}
