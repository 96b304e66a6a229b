//! What an event source does with the messages of a batch once the function has answered.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::{Delivery, Queue, QueueError, Receiver};

/// How the invocation for a batch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The function answered: the messages of these ids failed, the others are done.
    Failed(Vec<String>),
    /// The function failed or was killed: every message failed.
    Lost,
}

/// When a failed message is delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// When its visibility timeout ends, as Lambda's event source does it.
    WhenVisible,
    /// This long from now.
    After(Duration),
}

/// Deletes the messages of the batch that are done and leaves those that failed to be delivered again.
///
/// An id that is not of this batch makes the whole batch count as failed, as with Lambda: deleting on an answer that was
/// not understood would lose messages.
pub async fn settle(
    queue: &dyn Queue,
    receiver: &dyn Receiver,
    batch: &[Delivery],
    answer: Answer,
    again: Again,
) -> Result<(), QueueError> {
    let ids: BTreeSet<&str> = batch.iter().map(|delivery| delivery.message_id.as_str()).collect();
    let failed: BTreeSet<&str> = match &answer {
        Answer::Failed(failed) if failed.iter().all(|id| ids.contains(id.as_str())) => {
            failed.iter().map(String::as_str).collect()
        }
        Answer::Failed(_) | Answer::Lost => ids,
    };
    let (left, done): (Vec<&Delivery>, Vec<&Delivery>) =
        batch.iter().partition(|delivery| failed.contains(delivery.message_id.as_str()));
    let handles = |deliveries: Vec<&Delivery>| -> Vec<String> {
        deliveries.into_iter().map(|delivery| delivery.receipt_handle.clone()).collect()
    };
    if !done.is_empty() {
        queue.delete(handles(done)).await?;
    }
    if let Again::After(delay) = again
        && !left.is_empty()
    {
        receiver.release(handles(left), delay).await?;
    }
    Ok(())
}
