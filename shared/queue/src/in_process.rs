//! A queue in memory: what the local program and the tests run on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::{Clock, Random, Timestamp};

use crate::{Delivery, Depth, Outgoing, Queue, QueueError, Receiver};

/// How the queue behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a received message is invisible. By default six times the 15 minutes a Lambda function can run, which is what
    /// AWS recommends: a batch that waits behind a throttled function is not delivered twice.
    pub visibility: Duration,
    /// After so many receives without a delete, the next one moves the message to the dead letters. 0 counts as 1.
    pub max_receive_count: u32,
    /// Whether messages come in random order; else in the order in which they became visible.
    pub shuffle: bool,
    /// Of a hundred messages so many lose one receipt, as on a replica that was down: the message stays visible, its
    /// count unchanged, and is delivered once more. The at-least-once of a standard queue, for tests.
    pub duplicates_percent: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self { visibility: Duration::from_secs(5400), max_receive_count: 5, shuffle: false, duplicates_percent: 0 }
    }
}

/// A queue in memory. Clones are the same queue.
///
/// Each message is in one of three places: ready, asleep until a time (delayed or in flight), or dead. Every operation
/// first moves to the ready what has slept long enough, so nothing runs in the background.
#[derive(Clone)]
pub struct InProcessQueue(Arc<Inner>);

struct Inner {
    options: Options,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Messages sent so far: the number of the last one.
    sent: u64,
    /// Receipts given so far: the number of the last one.
    receipts: u64,
    /// Messages made ready so far: the place of the last one, unless places are random.
    readied: u64,
    messages: BTreeMap<u64, Stored>,
    /// Place in the queue, message.
    ready: BTreeSet<(u64, u64)>,
    /// When it becomes ready, message.
    asleep: BTreeSet<(Timestamp, u64)>,
    dead: BTreeMap<u64, Stored>,
}

struct Stored {
    body: String,
    /// Receives that count.
    received: u32,
    /// The last receipt: the only one that is valid.
    receipt: Option<u64>,
    place: Place,
    /// Whether a duplicate was already decided on, so that there is at most one per message.
    diced: bool,
}

/// Where a message that is not dead stands, as the key of the set it is in.
#[derive(Clone, Copy)]
enum Place {
    Ready(u64),
    Asleep(Timestamp),
}

impl InProcessQueue {
    /// An empty queue.
    pub fn new(options: Options, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self(Arc::new(Inner { options, clock, random, state: Mutex::default() }))
    }

    /// Up to `max` messages that are visible, invisible from now on.
    pub async fn receive(&self, max: usize) -> Vec<Delivery> {
        let now = self.0.clock.now();
        let mut state = self.awake(now);
        let mut deliveries = Vec::new();
        while deliveries.len() < max
            && let Some((_, id)) = state.ready.pop_first()
        {
            deliveries.extend(self.deliver(&mut state, id, now));
        }
        deliveries
    }

    /// Makes the messages of these receipts visible now.
    pub async fn release(&self, receipt_handles: impl IntoIterator<Item = String>) {
        self.release_after(receipt_handles, Duration::ZERO);
    }

    /// When the next message becomes visible: now, if one is; never, if the queue is empty. What a driver sleeps until
    /// instead of polling.
    pub fn next_visible_at(&self) -> Option<Timestamp> {
        let now = self.0.clock.now();
        let state = self.awake(now);
        if state.ready.is_empty() { state.asleep.first().map(|&(time, _)| time) } else { Some(now) }
    }

    /// The dead letters, oldest message first. Their receipts delete nothing.
    pub fn dead_letters(&self) -> Vec<Delivery> {
        let state = self.state();
        state.dead.iter().map(|(&id, stored)| stored.delivery(id, stored.receipt.unwrap_or_default())).collect()
    }

    /// Moves all dead letters back, as if never received. Answers how many they were.
    pub fn redrive(&self) -> usize {
        let mut state = self.state();
        let dead = std::mem::take(&mut state.dead);
        let count = dead.len();
        for (id, stored) in dead {
            state.messages.insert(id, Stored { received: 0, receipt: None, ..stored });
            self.make_ready(&mut state, id);
        }
        count
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every operation leaves the state whole before it can panic, so a poisoned lock holds nothing broken.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, with everything ready that has slept until now.
    fn awake(&self, now: Timestamp) -> MutexGuard<'_, State> {
        let mut state = self.state();
        while let Some(&(time, id)) = state.asleep.first()
            && time <= now
        {
            state.asleep.pop_first();
            self.make_ready(&mut state, id);
        }
        state
    }

    /// Puts a message that stands nowhere among the ready.
    fn make_ready(&self, state: &mut State, id: u64) {
        state.readied += 1;
        let place = if self.0.options.shuffle { self.0.random.u64() } else { state.readied };
        state.put(id, Place::Ready(place));
    }

    /// Delivers a message that stands nowhere, or moves it to the dead letters if it was received too often.
    fn deliver(&self, state: &mut State, id: u64, now: Timestamp) -> Option<Delivery> {
        let options = &self.0.options;
        let mut stored = state.messages.remove(&id)?;
        if stored.received >= options.max_receive_count.max(1) {
            state.dead.insert(id, stored);
            return None;
        }
        state.receipts += 1;
        let receipt = state.receipts;
        stored.receipt = Some(receipt);
        stored.received += 1;
        let delivery = stored.delivery(id, receipt);
        let lost = !stored.diced && self.0.random.below(100) < u64::from(options.duplicates_percent);
        stored.diced = true;
        if lost {
            stored.received -= 1;
        }
        state.messages.insert(id, stored);
        // A message asleep until now is not in this answer again, but in the next one.
        state.put(id, Place::Asleep(if lost { now } else { after(now, options.visibility) }));
        Some(delivery)
    }

    fn release_after(&self, receipt_handles: impl IntoIterator<Item = String>, delay: Duration) {
        let now = self.0.clock.now();
        let mut state = self.awake(now);
        for handle in receipt_handles {
            // What is visible already stays so: SQS changes the visibility of messages in flight only.
            if let Some(id) = state.valid(&handle)
                && state.wake(id)
            {
                state.put(id, Place::Asleep(after(now, delay)));
            }
        }
    }
}

impl State {
    /// The message of a receipt that is its last.
    fn valid(&self, handle: &str) -> Option<u64> {
        let (id, receipt) = handle.split_once('.')?;
        let id = id.parse().ok()?;
        (self.messages.get(&id)?.receipt? == receipt.parse::<u64>().ok()?).then_some(id)
    }

    /// Puts a message that stands nowhere at this place.
    fn put(&mut self, id: u64, place: Place) {
        if let Some(stored) = self.messages.get_mut(&id) {
            stored.place = place;
            match place {
                Place::Ready(place) => self.ready.insert((place, id)),
                Place::Asleep(time) => self.asleep.insert((time, id)),
            };
        }
    }

    /// Takes a message from the asleep; false if it is not among them.
    fn wake(&mut self, id: u64) -> bool {
        match self.messages.get(&id).map(|stored| stored.place) {
            Some(Place::Asleep(time)) => self.asleep.remove(&(time, id)),
            _ => false,
        }
    }

    fn delete(&mut self, id: u64) {
        match self.messages.remove(&id).map(|stored| stored.place) {
            Some(Place::Ready(place)) => self.ready.remove(&(place, id)),
            Some(Place::Asleep(time)) => self.asleep.remove(&(time, id)),
            None => false,
        };
    }
}

impl Stored {
    fn delivery(&self, id: u64, receipt: u64) -> Delivery {
        Delivery {
            message_id: id.to_string(),
            receipt_handle: format!("{id}.{receipt}"),
            receive_count: self.received,
            body: self.body.clone(),
        }
    }
}

fn after(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}

/// Shows how many messages there are, never their bodies.
impl fmt::Debug for InProcessQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("InProcessQueue")
            .field("options", &self.0.options)
            .field("ready", &state.ready.len())
            .field("asleep", &state.asleep.len())
            .field("dead", &state.dead.len())
            .finish()
    }
}

#[async_trait]
impl Queue for InProcessQueue {
    async fn send(&self, messages: Vec<Outgoing>) -> Result<(), QueueError> {
        for message in &messages {
            message.check().map_err(|refused| QueueError { operation: "send", source: Some(Box::new(refused)) })?;
        }
        let now = self.0.clock.now();
        let mut state = self.awake(now);
        for Outgoing { body, delay } in messages {
            state.sent += 1;
            let id = state.sent;
            let place = Place::Asleep(after(now, delay));
            state.messages.insert(id, Stored { body, received: 0, receipt: None, place, diced: false });
            state.put(id, place);
        }
        Ok(())
    }

    async fn delete(&self, receipt_handles: Vec<String>) -> Result<(), QueueError> {
        let mut state = self.state();
        for handle in receipt_handles {
            if let Some(id) = state.valid(&handle) {
                state.delete(id);
            }
        }
        Ok(())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let state = self.awake(self.0.clock.now());
        let never_received =
            |&&(_, id): &&(Timestamp, u64)| state.messages.get(&id).is_some_and(|m| m.receipt.is_none());
        let delayed = state.asleep.iter().filter(never_received).count();
        Ok(Depth {
            visible: state.ready.len() as u64,
            in_flight: (state.asleep.len() - delayed) as u64,
            delayed: delayed as u64,
        })
    }
}

#[async_trait]
impl Receiver for InProcessQueue {
    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, QueueError> {
        Ok(Self::receive(self, max).await)
    }

    async fn release(&self, receipt_handles: Vec<String>, after: Duration) -> Result<(), QueueError> {
        self.release_after(receipt_handles, after);
        Ok(())
    }

    async fn dead_letters(&self) -> Result<Vec<Delivery>, QueueError> {
        Ok(Self::dead_letters(self))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::{ScaledClock, SeededRandom};

    use super::*;
    use crate::contract::{self, Subject};

    const VISIBILITY: Duration = Duration::from_secs(60);

    fn options() -> Options {
        Options { visibility: VISIBILITY, max_receive_count: 4, ..Options::default() }
    }

    fn clock() -> Arc<dyn Clock> {
        Arc::new(ScaledClock::new("2026-11-24T03:00:00Z".parse().unwrap(), 1.0))
    }

    fn queue(options: Options, clock: &Arc<dyn Clock>, seed: u64) -> InProcessQueue {
        InProcessQueue::new(options, Arc::clone(clock), Arc::new(SeededRandom::new(seed)))
    }

    async fn send(queue: &InProcessQueue, bodies: impl IntoIterator<Item = impl ToString>) {
        let messages = bodies.into_iter().map(|body| Outgoing { body: body.to_string(), delay: Duration::ZERO });
        queue.send(messages.collect()).await.unwrap();
    }

    fn bodies(deliveries: &[Delivery]) -> Vec<&str> {
        deliveries.iter().map(|delivery| delivery.body.as_str()).collect()
    }

    fn handles(deliveries: &[Delivery]) -> Vec<String> {
        deliveries.iter().map(|delivery| delivery.receipt_handle.clone()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn it_keeps_the_promises_of_every_queue_in_any_order() {
        for shuffle in [false, true] {
            contract::keeps_every_promise(async || {
                let clock = clock();
                let queue = queue(Options { shuffle, ..options() }, &clock, 1);
                Subject {
                    queue: Arc::new(queue.clone()),
                    receiver: Arc::new(queue),
                    clock,
                    visibility: VISIBILITY,
                    max_receive_count: 4,
                }
            })
            .await
            .unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn receivers_at_the_same_time_share_the_messages() {
        let queue = queue(options(), &clock(), 1);
        send(&queue, 0..100).await;
        let receivers: Vec<_> = (0..10)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { queue.receive(17).await })
            })
            .collect();
        let mut received = Vec::new();
        for receiver in receivers {
            received.extend(receiver.await.unwrap());
        }
        let ids: BTreeSet<&str> = received.iter().map(|delivery| delivery.message_id.as_str()).collect();
        assert_eq!((received.len(), ids.len()), (100, 100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_superseded_receipt_neither_deletes_nor_releases() {
        let clock = clock();
        let queue = queue(options(), &clock, 1);
        send(&queue, ["a"]).await;
        let first = queue.receive(1).await;
        clock.sleep(VISIBILITY).await;
        let second = queue.receive(1).await;
        queue.release(handles(&first)).await;
        assert!(queue.receive(1).await.is_empty());
        queue.delete(handles(&first)).await.unwrap();
        assert_eq!(queue.depth().await.unwrap().in_flight, 1);
        queue.delete(handles(&second)).await.unwrap();
        assert!(queue.depth().await.unwrap().is_quiet());
    }

    #[tokio::test(start_paused = true)]
    async fn a_driver_can_sleep_until_the_next_message() {
        let clock = clock();
        let queue = queue(options(), &clock, 1);
        assert_eq!(queue.next_visible_at(), None);
        let delay = Duration::from_secs(100);
        queue.send(vec![Outgoing { body: "delayed".to_owned(), delay }]).await.unwrap();
        send(&queue, ["a"]).await;
        assert_eq!(queue.next_visible_at(), Some(clock.now()));
        let received = queue.receive(1).await;
        assert_eq!(queue.next_visible_at(), Some(clock.now() + VISIBILITY));
        queue.delete(handles(&received)).await.unwrap();
        let next = queue.next_visible_at().unwrap();
        assert_eq!(next, clock.now() + delay);
        clock.sleep_until(next).await;
        assert_eq!(bodies(&queue.receive(1).await), ["delayed"]);
    }

    #[tokio::test(start_paused = true)]
    async fn dead_letters_can_be_sent_back_as_if_new() {
        let clock = clock();
        let queue = queue(Options { max_receive_count: 1, ..options() }, &clock, 1);
        send(&queue, ["a", "b"]).await;
        let received = queue.receive(2).await;
        queue.release(handles(&received)).await;
        assert_eq!(queue.dead_letters(), []);
        assert!(queue.receive(2).await.is_empty());
        assert_eq!(bodies(&queue.dead_letters()), ["a", "b"]);
        assert_eq!(queue.dead_letters()[0].receive_count, 1);
        assert!(queue.depth().await.unwrap().is_quiet());
        queue.delete(handles(&received)).await.unwrap();

        assert_eq!(queue.redrive(), 2);
        assert_eq!(queue.dead_letters(), []);
        assert_eq!(queue.depth().await.unwrap().visible, 2);
        let counts: Vec<u32> = queue.receive(2).await.iter().map(|delivery| delivery.receive_count).collect();
        assert_eq!(counts, [1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn messages_that_died_do_not_count_towards_what_was_asked_for() {
        let queue = queue(Options { max_receive_count: 1, ..options() }, &clock(), 1);
        send(&queue, ["a"]).await;
        queue.release(handles(&queue.receive(1).await)).await;
        send(&queue, ["b"]).await;
        assert_eq!(bodies(&queue.receive(1).await), ["b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_seed_decides_the_order() {
        let mut orders = BTreeSet::new();
        for (seed, shuffle) in [(1, true), (1, true), (2, true), (1, false), (2, false)] {
            let queue = queue(Options { shuffle, ..options() }, &clock(), seed);
            send(&queue, 10..30).await;
            orders.insert(bodies(&queue.receive(20).await).join(" "));
        }
        assert_eq!(orders.len(), 3);
        assert!(orders.contains(&(10..30).map(|n: u32| n.to_string()).collect::<Vec<_>>().join(" ")));
    }

    #[tokio::test(start_paused = true)]
    async fn duplicates_come_once_more_without_counting_and_leave_the_first_receipt_spent() {
        let queue = queue(Options { duplicates_percent: 100, ..options() }, &clock(), 1);
        send(&queue, ["a"]).await;
        let first = queue.receive(10).await;
        let second = queue.receive(10).await;
        assert_eq!((first[0].receive_count, second[0].receive_count), (1, 1));
        assert_eq!(first[0].message_id, second[0].message_id);
        assert!(queue.receive(10).await.is_empty());
        queue.delete(handles(&first)).await.unwrap();
        assert_eq!(queue.depth().await.unwrap().in_flight, 1);
        queue.delete(handles(&second)).await.unwrap();
        assert!(queue.depth().await.unwrap().is_quiet());

        // Deleted before it came again, it does not.
        send(&queue, ["b"]).await;
        queue.delete(handles(&queue.receive(1).await)).await.unwrap();
        assert!(queue.receive(1).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_sent_if_one_message_is_refused() {
        let queue = queue(options(), &clock(), 1);
        let messages = ["fine", ""].map(|body| Outgoing { body: body.to_owned(), delay: Duration::ZERO });
        let error = queue.send(messages.to_vec()).await.unwrap_err();
        assert_eq!(error.to_string(), "the queue failed to send");
        assert!(error.source.unwrap().is::<crate::Refused>());
        assert!(queue.depth().await.unwrap().is_quiet());
    }

    #[tokio::test(start_paused = true)]
    async fn debug_output_shows_no_body() {
        let queue = queue(options(), &clock(), 1);
        send(&queue, ["canary"]).await;
        let shown = format!("{queue:?}");
        assert!(shown.contains("asleep: 1") && !shown.contains("canary"), "{shown}");
    }
}
