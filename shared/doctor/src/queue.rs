//! The work queue and its dead letters.

use async_trait::async_trait;

use crate::bucket::Trouble;
use crate::finding::Finding;

/// What the work queue is asked.
#[async_trait]
pub trait WorkQueue: Send + Sync {
    /// How many messages wait, are in flight or delayed.
    async fn messages(&self) -> Result<u64, Trouble>;
    /// How many are in its dead-letter queue; `None` if it has none.
    async fn dead_letters(&self) -> Result<Option<u64>, Trouble>;
}

/// Asks the work queue.
pub async fn queue(queue: &dyn WorkQueue) -> Vec<Finding> {
    const NAME: &str = "queue";
    const DEAD: &str = "dead letters";
    let messages = match queue.messages().await {
        Ok(messages) => messages,
        Err(trouble) => return vec![trouble.finding(NAME), Finding::not_checked(DEAD, "the queue cannot be asked")],
    };
    let dead = match queue.dead_letters().await {
        Ok(Some(0)) => Finding::good(DEAD, "none"),
        Ok(Some(dead)) => Finding::fix(
            DEAD,
            format!("{dead} messages failed too often, each a user of a run"),
            "docs/OPERATIONS.md, DeadLetters: the worker's log says why; mend it, then aws sqs start-message-move-task",
        ),
        Ok(None) => Finding::fix(
            DEAD,
            "the queue has no dead-letter queue, so a user who fails each time is tried for ever",
            "give the stack's output WorkQueueUrl as --queue, or deploy the stack again",
        ),
        Err(trouble) => trouble.finding(DEAD),
    };
    vec![Finding::good(NAME, format!("{messages} messages")), dead]
}
