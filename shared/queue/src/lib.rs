//! Work queues with visibility, receive counts, delay and dead letters: the semantics of SQS, and no more.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod in_process;
pub mod source;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

pub use in_process::{InProcessQueue, Options};

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The body.
    pub body: String,
    /// Invisible for this long after it was sent; at most [`MAX_DELAY`].
    pub delay: Duration,
}

/// The longest delay a message can be sent with (SQS: 900 s).
pub const MAX_DELAY: Duration = Duration::from_secs(900);

/// The longest body, in bytes (SQS: 1 MiB).
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A message as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message's id: what a batch response names.
    pub message_id: String,
    /// The handle of this receipt: what deletes the message.
    pub receipt_handle: String,
    /// How often it has been received, this time included.
    pub receive_count: u32,
    /// The body.
    pub body: String,
}

/// How many messages a queue holds, approximately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// To be received now.
    pub visible: u64,
    /// Received and neither deleted nor visible again.
    pub in_flight: u64,
    /// Sent with a delay that is not over.
    pub delayed: u64,
}

impl Depth {
    /// Whether nothing is visible, in flight or delayed.
    pub const fn is_quiet(self) -> bool {
        self.visible == 0 && self.in_flight == 0 && self.delayed == 0
    }
}

/// A queue failed.
#[derive(Debug, thiserror::Error)]
#[error("the queue failed to {operation}")]
pub struct QueueError {
    /// What was asked: "send", "delete", "read its depth".
    pub operation: &'static str,
    /// What the queue said.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A message that no queue takes. Sending it again changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It has no body.
    #[error("a message has an empty body: send at least one byte")]
    Empty,
    /// Its body is longer than [`MAX_BODY_BYTES`].
    #[error("a message has a body of {0} bytes: send at most {MAX_BODY_BYTES}")]
    TooLarge(usize),
    /// Its delay is longer than [`MAX_DELAY`].
    #[error("a message has a delay of more than {} seconds: send it later", MAX_DELAY.as_secs())]
    DelayTooLong,
}

impl Outgoing {
    /// Whether any queue takes it: what an implementation checks before it sends the first of several.
    pub fn check(&self) -> Result<(), Refused> {
        match self.body.len() {
            0 => Err(Refused::Empty),
            length if length > MAX_BODY_BYTES => Err(Refused::TooLarge(length)),
            _ if self.delay > MAX_DELAY => Err(Refused::DelayTooLong),
            _ => Ok(()),
        }
    }
}

/// What functions do with the queue. Receiving is the event source's part, not theirs.
#[async_trait]
pub trait Queue: Send + Sync + fmt::Debug {
    /// Sends all messages. Entries that fail are sent again; a send whose answer is lost may have sent them, so a message
    /// may arrive twice. `Ok` only when every message is in the queue.
    async fn send(&self, messages: Vec<Outgoing>) -> Result<(), QueueError>;

    /// Deletes the messages of these receipts. A receipt that is no longer valid is no error.
    async fn delete(&self, receipt_handles: Vec<String>) -> Result<(), QueueError>;

    /// How many messages it holds.
    async fn depth(&self) -> Result<Depth, QueueError>;
}

/// The event source's part of a queue.
#[async_trait]
pub trait Receiver: Send + Sync + fmt::Debug {
    /// Up to `max` messages that are visible, invisible from now on. In no order; fewer than there are is no sign of the
    /// end.
    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, QueueError>;

    /// Makes the messages of these receipts visible after this long, whatever is left of their visibility timeout. A
    /// receipt that is no longer valid is no error.
    async fn release(&self, receipt_handles: Vec<String>, after: Duration) -> Result<(), QueueError>;

    /// The messages in the dead-letter queue. They stay there.
    async fn dead_letters(&self) -> Result<Vec<Delivery>, QueueError>;
}
