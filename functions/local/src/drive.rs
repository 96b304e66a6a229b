//! The event source: takes batches from the queue and hands them to the worker until the queue is quiet.

use std::time::Duration;

use domain::Deadline;
use jiff::SignedDuration;
use queue::source::{Again, Answer, settle};
use queue::{InProcessQueue, QueueError};

use crate::stop::Stop;

/// How many users one invocation gets: as many as a Lambda batch of the template, enough that 32 in flight stay busy to
/// the end and few enough that a request to stop is heard soon.
const BATCH: usize = 400;
/// How long an invocation may take: Lambda's 15 minutes, so that the same code hands over at the same time.
const INVOCATION: SignedDuration = SignedDuration::from_mins(15);
/// When a message that failed is delivered again: long enough for a store's hiccup to be over.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// How driving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// The queue is empty, even if it was asked to stop: what is left to do is to close the run.
    Quiet,
    /// It was asked to stop, and the work that was in flight is finished; more is in the queue.
    Stopped,
}

/// Works until the queue is quiet, or until asked to stop.
pub async fn drive(queue: &InProcessQueue, deps: &worker::Deps, stop: &Stop) -> Result<Drained, QueueError> {
    while let Some(next) = queue.next_visible_at() {
        if stop.asked() {
            return Ok(Drained::Stopped);
        }
        let batch = queue.receive(BATCH).await;
        if batch.is_empty() {
            tokio::select! {
                () = deps.clock.sleep_until(next) => {}
                () = stop.wait() => {}
            }
            continue;
        }
        let now = deps.clock.now();
        let killed_at = now.checked_add(INVOCATION).unwrap_or(now);
        let failed = Box::pin(worker::handle(batch.clone(), Deadline::before(killed_at, now), deps)).await;
        settle(queue, queue, &batch, Answer::Failed(failed), Again::After(AGAIN_AFTER)).await?;
    }
    Ok(Drained::Quiet)
}
