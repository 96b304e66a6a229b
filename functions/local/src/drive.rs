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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use archive::Stores;
    use archive::memory::MemoryStore;
    use domain::{Clock, Random, ScaledClock, SeededRandom, TenantId, Timestamp};
    use graph::{ClientSecret, GraphClient, GraphConfig, HttpTransport};
    use queue::{Options, Outgoing, Queue};

    use super::*;

    /// A queue with one message that no worker can do anything with.
    async fn hopeless() -> (InProcessQueue, worker::Deps) {
        let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(Timestamp::UNIX_EPOCH, 1.0));
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(1));
        let tenant = TenantId::from_bytes([7; 16]);
        let store = Arc::new(MemoryStore::default());
        let queue = InProcessQueue::new(Options::default(), Arc::clone(&clock), Arc::clone(&random));
        queue.send(vec![Outgoing { body: "no message".to_owned(), delay: Duration::ZERO }]).await.unwrap();
        let graph = GraphClient::new(
            GraphConfig::new(tenant, "app"),
            Arc::new(ClientSecret("unused".into())),
            Arc::new(HttpTransport::new("test").unwrap()),
            Arc::clone(&clock),
            Arc::clone(&random),
        );
        let deps = worker::Deps {
            graph: graph.unwrap(),
            stores: Stores { evidence: Arc::clone(&store) as _, state: store },
            tenant,
            queue: Arc::new(queue.clone()),
            clock,
            random,
            rules: settings::Rules::default(),
            progress: Arc::new(worker::Quiet),
        };
        (queue, deps)
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again_and_ends_among_the_dead_letters() {
        let (queue, deps) = hopeless().await;
        let (_stopper, stop) = Stop::pair();
        assert_eq!(drive(&queue, &deps, &stop).await.unwrap(), Drained::Quiet);
        assert_eq!(queue.dead_letters().len(), 1);
        // It waited between the attempts.
        assert!(deps.clock.now() >= Timestamp::UNIX_EPOCH + AGAIN_AFTER * 4);
    }

    #[tokio::test(start_paused = true)]
    async fn asked_to_stop_it_takes_nothing_and_an_empty_queue_is_quiet() {
        let (queue, deps) = hopeless().await;
        let (stopper, stop) = Stop::pair();
        stopper.stop();
        assert_eq!(drive(&queue, &deps, &stop).await.unwrap(), Drained::Stopped);
        let batch = queue.receive(1).await;
        assert_eq!(batch[0].receive_count, 1);
        queue.delete(vec![batch[0].receipt_handle.clone()]).await.unwrap();
        assert_eq!(drive(&queue, &deps, &stop).await.unwrap(), Drained::Quiet);
    }
}
