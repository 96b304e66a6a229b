//! The queue through the real SDK, against an SQS that keeps its promises and one that is made to fail.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod bed;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws::{BatchLeft, CallError, SqsQueue, SqsReceiver};
use aws_fake::{Effect, Fault};
use bed::Bed;
use queue::contract::{Subject, keeps_every_promise};
use queue::{Delivery, Depth, MAX_BODY_BYTES, Options, Outgoing, Queue, QueueError, Receiver};

const VISIBILITY: Duration = Duration::from_secs(60);

async fn queue() -> (Bed, SqsQueue, SqsReceiver) {
    let bed = Bed::new().await;
    let options = Options { visibility: VISIBILITY, max_receive_count: 4, ..Options::default() };
    bed.fake.create_queue("work", options);
    let queue = bed.clients.queue(bed.server.queue_url("work"));
    let receiver = bed.clients.receiver(bed.server.queue_url("work"), bed.server.queue_url("work-dlq"));
    (bed, queue, receiver)
}

fn messages(range: std::ops::Range<u32>) -> Vec<Outgoing> {
    range.map(|n| Outgoing { body: format!("m{n}"), delay: Duration::ZERO }).collect()
}

fn bodies(received: &[Delivery]) -> Vec<&str> {
    let mut bodies: Vec<&str> = received.iter().map(|delivery| delivery.body.as_str()).collect();
    bodies.sort_unstable();
    bodies
}

fn handles(received: Vec<Delivery>) -> Vec<String> {
    received.into_iter().map(|delivery| delivery.receipt_handle).collect()
}

fn cause<E: std::error::Error + 'static>(error: &QueueError) -> &E {
    error.source.as_ref().and_then(|source| source.downcast_ref()).unwrap()
}

#[tokio::test]
async fn it_keeps_the_promises_of_every_queue() {
    // The services have to live as long as their queue.
    let beds = Mutex::new(Vec::new());
    keeps_every_promise(async || {
        let (bed, queue, receiver) = queue().await;
        let clock = Arc::clone(&bed.clock);
        beds.lock().unwrap().push(bed);
        Subject {
            queue: Arc::new(queue),
            receiver: Arc::new(receiver),
            clock,
            visibility: VISIBILITY,
            max_receive_count: 4,
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn batches_keep_to_ten_entries_and_to_a_mebibyte() {
    let (bed, queue, _) = queue().await;
    queue.send(messages(0..25)).await.unwrap();
    assert_eq!(bed.count("SendMessageBatch"), 3);
    bed.fake.clear_calls();
    let halves = [MAX_BODY_BYTES / 2, MAX_BODY_BYTES / 2, 1, MAX_BODY_BYTES, 1];
    let halves = halves.map(|length| Outgoing { body: "x".repeat(length), delay: Duration::ZERO });
    queue.send(halves.to_vec()).await.unwrap();
    // Two halves, one byte, a whole, one byte.
    assert_eq!(bed.count("SendMessageBatch"), 4);
    assert_eq!(queue.depth().await.unwrap().visible, 30);
    bed.fake.clear_calls();
    queue.delete((0..21).map(|n| format!("{n}.0")).collect()).await.unwrap();
    assert_eq!(bed.count("DeleteMessageBatch"), 3);
}

#[tokio::test]
async fn entries_that_fail_are_sent_again_and_no_others() {
    let (bed, queue, receiver) = queue().await;
    let fail = |entries: &[usize]| Fault::new(Effect::FailEntries(entries.to_vec())).action("SendMessageBatch");
    bed.fake.plan(fail(&[2, 6]));
    bed.fake.plan(fail(&[1]));
    queue.send(messages(0..10)).await.unwrap();
    assert_eq!(bed.count("SendMessageBatch"), 3);
    let received = receiver.receive(20).await.unwrap();
    assert_eq!(bodies(&received), ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"]);

    bed.fake.plan(Fault::new(Effect::FailEntries(vec![0, 9])).action("DeleteMessageBatch"));
    queue.delete(handles(received)).await.unwrap();
    assert_eq!(bed.count("DeleteMessageBatch"), 2);
    assert!(queue.depth().await.unwrap().is_quiet());
}

#[tokio::test]
async fn a_call_without_a_certain_answer_is_made_again() {
    let (bed, queue, receiver) = queue().await;
    for (effect, copies) in [
        (Effect::LoseAnswer, 2),
        (Effect::Disconnect, 1),
        (Effect::internal_error(), 1),
        (Effect::answer(503, "ServiceUnavailable"), 1),
        (Effect::answer(400, "RequestThrottled"), 1),
        (Effect::answer(400, "ThrottlingException"), 1),
    ] {
        bed.fake.plan(Fault::new(effect.clone()));
        queue.send(messages(0..2)).await.unwrap();
        let received = receiver.receive(10).await.unwrap();
        assert_eq!(received.len(), 2 * copies, "{effect:?}");
        bed.fake.plan(Fault::new(effect.clone()));
        queue.delete(handles(received)).await.unwrap();
        bed.fake.plan(Fault::new(effect.clone()));
        assert_eq!(queue.depth().await.unwrap(), Depth::default(), "{effect:?}");
        assert_eq!(bed.fake.faults_left(), 0);
    }
}

#[tokio::test]
async fn repeats_are_bounded_and_wait_longer_each_time() {
    let (bed, queue, _) = queue().await;
    let before = bed.clock.now();
    bed.fake.plan(Fault::new(Effect::FailEntries(vec![0])).times(100));
    let error = queue.send(messages(0..3)).await.unwrap_err();
    let expected = BatchLeft { entries: 1, code: "InternalError".to_owned() };
    assert_eq!(cause::<BatchLeft>(&error), &expected);
    assert_eq!(bed.count("SendMessageBatch"), 7);
    // 0.2 + 0.4 + 0.8 + 1.6 + 3.2 + 5 seconds, or half of it.
    let waited = bed.clock.now().duration_since(before).as_millis();
    assert!((5_600..=11_200).contains(&waited), "{waited}");

    bed.fake.clear_faults();
    bed.fake.clear_calls();
    bed.fake.plan(Fault::new(Effect::internal_error()).times(100));
    let error = queue.depth().await.unwrap_err();
    assert!(matches!(cause(&error), CallError::Answered(answer) if answer.status == 500));
    assert_eq!(bed.count("GetQueueAttributes"), 7);
}

#[tokio::test]
async fn what_no_repetition_mends_is_not_repeated() {
    let (bed, queue, _) = queue().await;
    bed.fake.plan(Fault::new(Effect::denied()).times(3));
    assert!(queue.send(messages(0..3)).await.is_err());
    assert!(queue.delete(vec!["1.1".to_owned()]).await.is_err());
    assert!(queue.depth().await.is_err());
    assert_eq!(bed.fake.calls().len(), 3);
    let elsewhere = bed.clients.queue(bed.server.queue_url("no-such-queue"));
    let error = elsewhere.send(messages(0..3)).await.unwrap_err();
    assert!(cause::<CallError>(&error).to_string().contains("QueueDoesNotExist"), "{error:?}");
    assert_eq!(bed.fake.calls().len(), 4);
}

#[tokio::test]
async fn several_batches_are_under_way_but_not_all() {
    let (bed, queue, _) = queue().await;
    bed.fake.plan(Fault::new(Effect::Hang).times(100));
    let sending = tokio::spawn(async move { queue.send(messages(0..200)).await });
    bed.fake.until(|calls| calls.len() >= 8).await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bed.fake.calls().len(), 8);
    sending.abort();
}

#[tokio::test]
async fn a_long_poll_ends_when_a_message_comes_or_its_time_is_over() {
    let (bed, queue, receiver) = queue().await;
    queue.send(vec![Outgoing { body: "late".to_owned(), delay: Duration::from_secs(15) }]).await.unwrap();
    assert!(receiver.receive(1).await.unwrap().is_empty());
    let before = bed.clock.now();
    let received = receiver.poll(10, Duration::from_secs(20)).await.unwrap();
    assert_eq!(bodies(&received), ["late"]);
    assert_eq!(bed.clock.now().duration_since(before).as_secs(), 15);
    let received = receiver.poll(10, Duration::from_secs(20)).await.unwrap();
    assert!(received.is_empty());
    assert_eq!(bed.clock.now().duration_since(before).as_secs(), 35);
}

#[tokio::test]
async fn dead_letters_can_be_looked_at_twice_and_driven_back() {
    let (bed, queue, receiver) = queue().await;
    queue.send(messages(0..15)).await.unwrap();
    for _ in 0..4 {
        assert_eq!(receiver.receive(15).await.unwrap().len(), 15);
        bed.clock.sleep(VISIBILITY).await;
    }
    assert!(receiver.receive(15).await.unwrap().is_empty());
    for _ in 0..2 {
        assert_eq!(receiver.dead_letters().await.unwrap().len(), 15);
    }
    assert_eq!(bed.fake.dead_letters("work").len(), 15);
    assert_eq!(bed.fake.redrive("work").await, 15);
    assert!(receiver.dead_letters().await.unwrap().is_empty());
    let received = receiver.receive(20).await.unwrap();
    assert_eq!(received.len(), 15);
    assert!(received.iter().all(|delivery| delivery.receive_count == 1));
}
