//! The promises of a queue, as tests that every implementation passes.
//!
//! They hold on a queue that answers over a network as well: they never expect an order, one answer that holds everything,
//! or a number that is right at once, and wait on the queue's own clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::Clock;

use crate::source::{Again, Answer, settle};
use crate::{Delivery, Depth, MAX_BODY_BYTES, MAX_DELAY, Outgoing, Queue, QueueError, Receiver};

/// How often a promise looks for what must be there before it counts as broken. Together half a visibility timeout, so
/// that what was received stays invisible meanwhile.
const POLLS: u32 = 20;
/// How often it looks for what must not be there: a tenth of a visibility timeout.
const POLLS_FOR_NOTHING: u32 = 4;

/// An empty queue to be tested.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The functions' side of it.
    pub queue: Arc<dyn Queue>,
    /// The event source's side of it.
    pub receiver: Arc<dyn Receiver>,
    /// The clock that it runs on.
    pub clock: Arc<dyn Clock>,
    /// Its visibility timeout: over a network a few seconds, long against its latency.
    pub visibility: Duration,
    /// Its maximum of receives: at least 4, which is how often a promise receives a message that is well.
    pub max_receive_count: u32,
}

/// Tests every promise, each on a fresh queue. Panics at the first that is broken.
pub async fn keeps_every_promise<F: AsyncFn() -> Subject>(fresh: F) -> Result<(), QueueError> {
    every_message_arrives(&fresh().await).await?;
    a_received_message_is_invisible_for_its_timeout(&fresh().await).await?;
    a_deleted_message_does_not_come_back(&fresh().await).await?;
    a_late_delete_counts_until_the_next_receive(&fresh().await).await?;
    a_spent_receipt_is_no_error(&fresh().await).await?;
    a_delayed_message_waits(&fresh().await).await?;
    depth_tells_visible_in_flight_and_delayed_apart(&fresh().await).await?;
    a_released_message_is_visible_when_asked(&fresh().await).await?;
    a_message_received_too_often_becomes_a_dead_letter(&fresh().await).await?;
    a_message_no_queue_takes_is_refused(&fresh().await).await?;
    members_of_a_batch_fail_one_by_one(&fresh().await).await?;
    a_lost_answer_fails_the_whole_batch(&fresh().await).await
}

/// More messages than one SQS batch holds arrive, bodies intact, each received for the first time.
pub async fn every_message_arrives(subject: &Subject) -> Result<(), QueueError> {
    let mut sent: BTreeSet<String> = (0..25).map(|n| format!("message {n}")).collect();
    sent.insert("{\"quoted\": \"äöü \u{1f600}\\n<&>\"}".to_owned());
    subject.queue.send(Vec::new()).await?;
    subject.send(&sent.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let received = subject.take(sent.len()).await?;
    assert!(received.iter().all(|delivery| delivery.receive_count == 1), "first receives count as 1");
    let ids: BTreeSet<&str> = received.iter().map(|delivery| delivery.message_id.as_str()).collect();
    assert_eq!(ids.len(), sent.len(), "each message has an id of its own");
    assert_eq!(bodies(&received), sent);
    Ok(())
}

/// A received message is delivered to nobody else before its timeout ends, then again, with the same id and one receive
/// more.
pub async fn a_received_message_is_invisible_for_its_timeout(subject: &Subject) -> Result<(), QueueError> {
    subject.send(&["a", "b"]).await?;
    let first = subject.take(2).await?;
    subject.nothing_comes("while both are in flight").await?;
    subject.expire().await;
    let second = subject.take(2).await?;
    assert!(second.iter().all(|delivery| delivery.receive_count == 2), "second receives count as 2");
    let id_of = |deliveries: &[Delivery]| -> BTreeMap<String, String> {
        deliveries.iter().map(|delivery| (delivery.body.clone(), delivery.message_id.clone())).collect()
    };
    assert_eq!(id_of(&first), id_of(&second), "a message keeps its id");
    Ok(())
}

/// A deleted message does not come back; the others do.
pub async fn a_deleted_message_does_not_come_back(subject: &Subject) -> Result<(), QueueError> {
    subject.send(&["deleted", "left"]).await?;
    let received = subject.take(2).await?;
    subject.queue.delete(vec![handle(&received, "deleted")]).await?;
    subject.expire().await;
    assert_eq!(bodies(&subject.take(1).await?), bodies_of(&["left"]));
    subject.nothing_comes("after the other was deleted").await
}

/// A delete after the timeout has ended still counts if nobody else has received the message.
pub async fn a_late_delete_counts_until_the_next_receive(subject: &Subject) -> Result<(), QueueError> {
    subject.send(&["a"]).await?;
    let received = subject.take(1).await?;
    subject.expire().await;
    subject.queue.delete(vec![handle(&received, "a")]).await?;
    subject.nothing_comes("after a late delete").await
}

/// Deleting or releasing with a receipt that a later one superseded, or whose message is gone, is no error; nor is
/// nothing at all. (Whether a superseded receipt deletes is not promised.)
pub async fn a_spent_receipt_is_no_error(subject: &Subject) -> Result<(), QueueError> {
    subject.queue.delete(Vec::new()).await?;
    subject.receiver.release(Vec::new(), Duration::ZERO).await?;
    subject.send(&["a"]).await?;
    let superseded = handle(&subject.take(1).await?, "a");
    subject.expire().await;
    let last = handle(&subject.take(1).await?, "a");
    subject.receiver.release(vec![superseded.clone()], subject.visibility).await?;
    subject.queue.delete(vec![last.clone()]).await?;
    subject.queue.delete(vec![superseded.clone(), last.clone()]).await?;
    subject.receiver.release(vec![superseded, last], Duration::ZERO).await?;
    subject.nothing_comes("after its delete, whatever was done with spent receipts").await
}

/// A message sent with a delay is not delivered before it ends, then it is.
pub async fn a_delayed_message_waits(subject: &Subject) -> Result<(), QueueError> {
    let delay = subject.visibility.min(MAX_DELAY);
    subject.queue.send(vec![Outgoing { body: "late".to_owned(), delay }]).await?;
    subject.send(&["soon"]).await?;
    assert_eq!(bodies(&subject.take(1).await?), bodies_of(&["soon"]));
    subject.nothing_comes("before the delay ends").await?;
    subject.expire().await;
    let after = subject.take(2).await?;
    assert_eq!(bodies(&after), bodies_of(&["late", "soon"]));
    assert_eq!(count(&after, "late"), 1, "a delay is no receive");
    Ok(())
}

/// Depth tells the three apart and becomes quiet.
pub async fn depth_tells_visible_in_flight_and_delayed_apart(subject: &Subject) -> Result<(), QueueError> {
    subject.depth_becomes(Depth::default()).await?;
    let delay = MAX_DELAY;
    subject.queue.send(vec![Outgoing { body: "delayed".to_owned(), delay }]).await?;
    subject.send(&["a", "b", "c"]).await?;
    subject.depth_becomes(Depth { visible: 3, in_flight: 0, delayed: 1 }).await?;
    let received = subject.take(2).await?;
    subject.depth_becomes(Depth { visible: 1, in_flight: 2, delayed: 1 }).await?;
    subject.queue.delete(handles(&received)).await?;
    let received = subject.take(1).await?;
    subject.queue.delete(handles(&received)).await?;
    subject.depth_becomes(Depth { visible: 0, in_flight: 0, delayed: 1 }).await
}

/// A released message is visible at once, or when asked, and no other is; its receive counts.
pub async fn a_released_message_is_visible_when_asked(subject: &Subject) -> Result<(), QueueError> {
    subject.send(&["now", "later", "kept"]).await?;
    let received = subject.take(3).await?;
    subject.receiver.release(vec![handle(&received, "now")], Duration::ZERO).await?;
    // Later than its own timeout would end.
    subject.receiver.release(vec![handle(&received, "later")], subject.visibility * 2).await?;
    let again = subject.take(1).await?;
    assert_eq!(bodies(&again), bodies_of(&["now"]));
    assert_eq!(count(&again, "now"), 2, "a released receive counts");
    subject.queue.delete(handles(&again)).await?;
    subject.nothing_comes("before the timeouts end").await?;
    subject.expire().await;
    let kept = subject.take(1).await?;
    assert_eq!(bodies(&kept), bodies_of(&["kept"]));
    subject.queue.delete(handles(&kept)).await?;
    subject.expire().await;
    assert_eq!(bodies(&subject.take(1).await?), bodies_of(&["later"]));
    Ok(())
}

/// A message received as often as allowed and not deleted is not delivered again but a dead letter; before that it is
/// delivered each time.
pub async fn a_message_received_too_often_becomes_a_dead_letter(subject: &Subject) -> Result<(), QueueError> {
    subject.send(&["poison"]).await?;
    for receive in 1..=subject.max_receive_count {
        let received = subject.take(1).await?;
        assert_eq!(count(&received, "poison"), receive);
        assert!(subject.receiver.dead_letters().await?.is_empty(), "a dead letter after {receive} receives");
        subject.receiver.release(handles(&received), Duration::ZERO).await?;
    }
    subject.send(&["healthy"]).await?;
    assert_eq!(bodies(&subject.take(1).await?), bodies_of(&["healthy"]));
    subject.nothing_comes("after a message was received too often").await?;
    subject.depth_becomes(Depth { visible: 0, in_flight: 1, delayed: 0 }).await?;
    let mut dead = subject.receiver.dead_letters().await?;
    for _ in 0..POLLS {
        if !dead.is_empty() {
            break;
        }
        subject.pause().await;
        dead = subject.receiver.dead_letters().await?;
    }
    assert_eq!(bodies(&dead), bodies_of(&["poison"]), "the dead letters hold it and nothing else");
    Ok(())
}

/// What is empty, too large or delayed too long is refused; what is as large as allowed arrives.
pub async fn a_message_no_queue_takes_is_refused(subject: &Subject) -> Result<(), QueueError> {
    let largest = "x".repeat(MAX_BODY_BYTES);
    for (body, delay) in [
        (String::new(), Duration::ZERO),
        (format!("{largest}x"), Duration::ZERO),
        ("a".to_owned(), MAX_DELAY + Duration::from_secs(1)),
    ] {
        let length = body.len();
        let outcome = subject.queue.send(vec![Outgoing { body, delay }]).await;
        assert!(outcome.is_err(), "{length} bytes with a delay of {delay:?} were taken");
    }
    subject.nothing_comes("after all were refused").await?;
    subject.send(&[&largest]).await?;
    assert_eq!(subject.take(1).await?[0].body.len(), MAX_BODY_BYTES);
    Ok(())
}

/// Of a batch the failed members come back, and only these, each as often as it fails.
pub async fn members_of_a_batch_fail_one_by_one(subject: &Subject) -> Result<(), QueueError> {
    subject.send(&["a", "b", "c", "d"]).await?;
    let mut left = bodies_of(&["a", "b", "c", "d"]);
    for (round, done) in ["b", "d", "a"].into_iter().enumerate() {
        let batch = subject.take(left.len()).await?;
        assert_eq!(bodies(&batch), left, "round {round}");
        left.remove(done);
        let failed = batch.iter().filter(|delivery| delivery.body != done).map(|delivery| delivery.message_id.clone());
        // By release and by timeout: both ways back.
        let again = if round == 0 { Again::After(Duration::ZERO) } else { Again::WhenVisible };
        let answer = Answer::Failed(failed.collect());
        settle(&*subject.queue, &*subject.receiver, &batch, answer, again).await?;
        if round > 0 {
            subject.expire().await;
        }
    }
    assert_eq!(bodies(&subject.take(1).await?), bodies_of(&["c"]));
    Ok(())
}

/// When the function was killed, or answered something that is not of the batch, every message comes back.
pub async fn a_lost_answer_fails_the_whole_batch(subject: &Subject) -> Result<(), QueueError> {
    subject.send(&["a", "b"]).await?;
    for answer in [Answer::Lost, Answer::Failed(vec!["of another batch".to_owned()])] {
        let batch = subject.take(2).await?;
        settle(&*subject.queue, &*subject.receiver, &batch, answer, Again::After(Duration::ZERO)).await?;
    }
    assert_eq!(bodies(&subject.take(2).await?), bodies_of(&["a", "b"]));
    Ok(())
}

impl Subject {
    async fn send(&self, bodies: &[&str]) -> Result<(), QueueError> {
        let message = |body: &&str| Outgoing { body: (*body).to_owned(), delay: Duration::ZERO };
        self.queue.send(bodies.iter().map(message).collect()).await
    }

    /// Exactly so many messages.
    async fn take(&self, wanted: usize) -> Result<Vec<Delivery>, QueueError> {
        let mut taken = Vec::new();
        for _ in 0..POLLS {
            loop {
                let received = self.receiver.receive(wanted - taken.len()).await?;
                let none = received.is_empty();
                taken.extend(received);
                assert!(taken.len() <= wanted, "received {} messages, asked for {wanted}", taken.len());
                if taken.len() == wanted {
                    return Ok(taken);
                }
                if none {
                    break;
                }
            }
            self.pause().await;
        }
        assert_eq!(taken.len(), wanted, "not as many messages came as were due");
        Ok(taken)
    }

    async fn nothing_comes(&self, when: &str) -> Result<(), QueueError> {
        for _ in 0..POLLS_FOR_NOTHING {
            let received = self.receiver.receive(10).await?;
            assert!(received.is_empty(), "{} messages came {when}", received.len());
            self.pause().await;
        }
        Ok(())
    }

    async fn depth_becomes(&self, expected: Depth) -> Result<(), QueueError> {
        for _ in 1..POLLS {
            if self.queue.depth().await? == expected {
                return Ok(());
            }
            self.pause().await;
        }
        assert_eq!(self.queue.depth().await?, expected);
        Ok(())
    }

    /// Waits until what was received before is visible again.
    async fn expire(&self) {
        self.clock.sleep(self.visibility).await;
        self.pause().await;
    }

    async fn pause(&self) {
        self.clock.sleep(self.visibility / (2 * POLLS)).await;
    }
}

fn bodies(deliveries: &[Delivery]) -> BTreeSet<String> {
    deliveries.iter().map(|delivery| delivery.body.clone()).collect()
}

fn bodies_of(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn handles(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| delivery.receipt_handle.clone()).collect()
}

fn of<'a>(deliveries: &'a [Delivery], body: &str) -> Option<&'a Delivery> {
    deliveries.iter().find(|delivery| delivery.body == body)
}

/// The receipt of the message with this body; one of no message if it is missing, which the promise then shows.
fn handle(deliveries: &[Delivery], body: &str) -> String {
    of(deliveries, body).map(|delivery| delivery.receipt_handle.clone()).unwrap_or_default()
}

fn count(deliveries: &[Delivery], body: &str) -> u32 {
    of(deliveries, body).map_or(0, |delivery| delivery.receive_count)
}
