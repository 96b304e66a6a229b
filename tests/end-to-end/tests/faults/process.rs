//! A process that can be killed or frozen at any call it makes to the outside, and what it calls.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archive::store::{ETag, LegalHold, Object, PutIfMatch, PutNew, Store, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{Clock, Random, UserId};
use end_to_end::InProcess;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use graph::{Response, Transport, TransportError};
use queue::{Depth, InProcessQueue, Outgoing, Queue, QueueError};

use crate::judge::Judge;
use crate::quota::Quota;
use crate::watched::Watched;

/// What happens to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// It is gone: nothing it was about to do is done.
    Kill,
    /// It stands still, for any time, and then goes on as if nothing had been.
    Freeze,
}

/// At which of its calls what happens to a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fate {
    /// The call, counted from 1.
    pub(crate) call: u64,
    /// After the call has taken effect and before its answer; else before the call.
    pub(crate) after: bool,
    /// What happens.
    pub(crate) blow: Blow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Runs,
    Frozen,
    Dead,
}

/// The calls of one or many processes.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    made: AtomicU64,
    /// Those that the process was there to see the end of. What is under way when its time is up it lets go.
    ended: Mutex<BTreeSet<u64>>,
}

impl Calls {
    /// How many were made.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Relaxed)
    }

    /// Those whose end somebody saw, by their numbers.
    pub(crate) fn ended(&self) -> BTreeSet<u64> {
        self.ended.lock().unwrap().clone()
    }
}

/// A process, as the outside sees it: by its calls.
#[derive(Debug)]
pub(crate) struct Process {
    /// Tells processes apart.
    pub(crate) id: u64,
    /// What it is, for the trace.
    pub(crate) name: String,
    calls: Arc<Calls>,
    fate: Mutex<Option<Fate>>,
    state: Watched<State>,
    judge: Arc<Judge>,
}

impl Process {
    /// A process that counts its calls here.
    pub(crate) fn new(id: u64, name: String, calls: Arc<Calls>, judge: Arc<Judge>) -> Self {
        Self { id, name, calls, fate: Mutex::new(None), state: Watched::new(State::Runs), judge }
    }

    /// Decides what will happen to it; calls are counted by its counter.
    pub(crate) fn doom(&self, fate: Option<Fate>) {
        *self.fate.lock().unwrap() = fate;
    }

    /// So many calls were made.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.made()
    }

    /// Lets a frozen process go on.
    pub(crate) fn thaw(&self) {
        self.judge.note(|| format!("{} goes on", self.name));
        if self.state.get() == State::Frozen {
            self.state.set(State::Runs);
        }
    }

    async fn running(&self) {
        self.state.until(|state| state == State::Runs).await;
    }

    async fn struck(&self) -> Blow {
        let state = self.state.until(|state| state != State::Runs).await;
        if state == State::Dead { Blow::Kill } else { Blow::Freeze }
    }

    async fn strike(&self, n: u64, after: bool, what: &str) {
        let blow = {
            let mut fate = self.fate.lock().unwrap();
            fate.take_if(|fate| (fate.call, fate.after) == (n, after)).map(|fate| fate.blow)
        };
        let Some(blow) = blow else { return };
        let when = if after { "after" } else { "before" };
        self.judge.note(|| format!("{}: {blow:?} {when} call {n}, {what}", self.name));
        self.judge.count(if blow == Blow::Kill { "a kill" } else { "a zombie" }, 1);
        self.state.set(if blow == Blow::Kill { State::Dead } else { State::Frozen });
        self.running().await;
    }

    /// A call to the outside.
    async fn call<T>(&self, what: &str, made: impl Future<Output = T>) -> T {
        self.running().await;
        let n = self.calls.made.fetch_add(1, Relaxed) + 1;
        self.strike(n, false, what).await;
        let answer = made.await;
        self.running().await;
        self.calls.ended.lock().unwrap().insert(n);
        self.strike(n, true, what).await;
        answer
    }
}

/// How an invocation ended.
pub(crate) enum End<T> {
    /// With an answer.
    Answered(T),
    /// Killed, or out of time.
    Killed,
    /// It stands still; polled on, it waits to be thawed.
    Frozen(BoxFuture<'static, T>),
}

/// Lets an invocation go on until it ends one way or another.
pub(crate) async fn live<T>(
    process: &Process,
    mut invocation: BoxFuture<'static, T>,
    given: Duration,
    clock: &dyn Clock,
) -> End<T> {
    tokio::select! {
        biased;
        blow = process.struck() => match blow {
            Blow::Kill => End::Killed,
            Blow::Freeze => End::Frozen(invocation),
        },
        answer = &mut invocation => End::Answered(answer),
        () = clock.sleep(given) => {
            process.judge.note(|| format!("{} is out of time", process.name));
            process.judge.count("an invocation out of time", 1);
            process.state.set(State::Dead);
            End::Killed
        }
    }
}

/// How the outside misbehaves, beyond what the store and Graph do themselves.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rates {
    /// Of a thousand calls of the queue so many fail, before, half-way through or after taking effect.
    pub(crate) queue_fails: u64,
    /// Of a thousand sent messages so many vanish.
    pub(crate) messages_lost: u64,
}

/// What all processes share of the outside.
#[derive(Debug)]
pub(crate) struct Outside {
    /// The clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// Chance.
    pub(crate) random: Arc<dyn Random>,
    /// How it misbehaves.
    pub(crate) rates: Mutex<Rates>,
    /// The longest a call of the store takes, one way.
    pub(crate) store_millis: u64,
    /// The page size that Graph has in this world.
    pub(crate) page_size: usize,
    /// Who watches.
    pub(crate) judge: Arc<Judge>,
    /// What is asked of Graph, and how fast.
    pub(crate) quota: Quota,
    /// How many users there are, of each of whom a process asks one thing at a time.
    pub(crate) users: usize,
}

impl Outside {
    async fn travel(&self) {
        if self.store_millis > 0 {
            self.clock.sleep(Duration::from_millis(1 + self.random.below(self.store_millis))).await;
        }
    }
}

/// A store, as a process reaches it.
#[derive(Debug)]
pub(crate) struct ProcessStore {
    /// The process.
    pub(crate) process: Arc<Process>,
    /// The store.
    pub(crate) store: Arc<dyn Store>,
    /// The rest.
    pub(crate) outside: Arc<Outside>,
}

impl ProcessStore {
    async fn call<T: Send>(&self, operation: &str, key: &str, made: impl Future<Output = T> + Send) -> T {
        let travelling = async {
            self.outside.travel().await;
            let answer = made.await;
            self.outside.travel().await;
            answer
        };
        self.process.call(&format!("{operation} {key}"), travelling).await
    }
}

#[async_trait]
impl Store for ProcessStore {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.call("get", key, self.store.get(key)).await
    }

    async fn put_new_under(&self, key: &str, bytes: Bytes, hold: LegalHold) -> Result<PutNew, StoreError> {
        self.call("put", key, self.store.put_new_under(key, bytes, hold)).await
    }

    async fn put_if_match(&self, key: &str, bytes: Bytes, etag: &ETag) -> Result<PutIfMatch, StoreError> {
        self.call("replace", key, self.store.put_if_match(key, bytes, etag)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.call("list", prefix, self.store.list(prefix)).await
    }
}

/// The queue, as a process reaches it.
#[derive(Debug)]
pub(crate) struct ProcessQueue {
    /// The process.
    pub(crate) process: Arc<Process>,
    /// The queue.
    pub(crate) queue: InProcessQueue,
    /// The rest.
    pub(crate) outside: Arc<Outside>,
}

/// How a call of the queue goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    Before,
    HalfWay,
    After,
}

impl ProcessQueue {
    fn dice(&self) -> Wrong {
        let random = &self.outside.random;
        let rates = *self.outside.rates.lock().unwrap();
        if random.below(1_000) >= rates.queue_fails {
            return Wrong::Nothing;
        }
        self.outside.judge.count("a call of the queue that fails", 1);
        [Wrong::Before, Wrong::HalfWay, Wrong::After][random.below(3) as usize]
    }

    fn failed(operation: &'static str) -> QueueError {
        QueueError { operation, source: None }
    }
}

#[async_trait]
impl Queue for ProcessQueue {
    async fn send(&self, mut messages: Vec<Outgoing>) -> Result<(), QueueError> {
        let wrong = self.dice();
        for message in &messages {
            self.outside.judge.message(&self.process.name, &message.body);
        }
        let lost = self.outside.rates.lock().unwrap().messages_lost;
        let asked = messages.len();
        messages.retain(|_| self.outside.random.below(1_000) >= lost);
        self.outside.judge.count("a message that is lost", (asked - messages.len()) as u64);
        if wrong == Wrong::HalfWay {
            messages.truncate(messages.len() / 2);
        }
        let sending = async {
            if wrong == Wrong::Before {
                return Err(Self::failed("send"));
            }
            self.queue.send(messages).await?;
            if wrong == Wrong::Nothing { Ok(()) } else { Err(Self::failed("send")) }
        };
        self.process.call("send", sending).await
    }

    async fn delete(&self, receipt_handles: Vec<String>) -> Result<(), QueueError> {
        let wrong = self.dice();
        let deleting = async {
            if wrong == Wrong::Before {
                return Err(Self::failed("delete"));
            }
            self.queue.delete(receipt_handles).await?;
            if wrong == Wrong::Nothing { Ok(()) } else { Err(Self::failed("delete")) }
        };
        self.process.call("delete", deleting).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let wrong = self.dice();
        let reading = async {
            if wrong == Wrong::Before { Err(Self::failed("read its depth")) } else { self.queue.depth().await }
        };
        self.process.call("depth", reading).await
    }
}

/// Graph, as a process reaches it: with pages of another size, and every whole answer noted.
#[derive(Debug)]
pub(crate) struct ProcessTransport {
    /// The process.
    pub(crate) process: Arc<Process>,
    /// The service.
    pub(crate) graph: InProcess,
    /// The process's share of the budget.
    pub(crate) share: f64,
    /// The rest.
    pub(crate) outside: Arc<Outside>,
}

#[async_trait]
impl Transport for ProcessTransport {
    async fn send(&self, mut request: http::Request<Bytes>) -> Result<Response, TransportError> {
        let judge = &self.outside.judge;
        judge.authorization(request.headers());
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let path = request.uri().path().to_owned();
        let user: Option<UserId> = path.split('/').find_map(|part| part.parse().ok());
        let interactions = user.filter(|_| path.ends_with("getAllEnterpriseInteractions"));
        if let Some(user) = interactions {
            let size = format!("$top={}", self.outside.page_size);
            let uri = request.uri().to_string().replace("$top=100", &size);
            *request.uri_mut() = uri.parse().unwrap();
            judge.asked(self.process.id, user, &target);
        }
        let (quota, clock) = (&self.outside.quota, &self.outside.clock);
        let asking = async {
            if interactions.is_some() {
                quota.sends(self.process.id, self.share, self.outside.users, clock.now());
            }
            let Response { status, headers, mut body } = self.graph.send(request).await?;
            let mut whole = Vec::new();
            while let Some(piece) = body.next().await {
                whole.extend_from_slice(&piece?);
            }
            if let Some(user) = interactions {
                judge.answered(self.process.id, user, status.as_u16(), &whole);
            }
            judge.issued(&path, &whole);
            Ok(Response::whole(status, headers, whole))
        };
        let answer =
            self.process.call(if interactions.is_some() { "page" } else { "directory or token" }, asking).await;
        if let Ok(answer) = &answer
            && answer.status.as_u16() == 429
            && let Some(wait) =
                answer.headers.get(http::header::RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok())
        {
            quota.refused(self.process.id, Duration::from_secs(wait), clock.now());
        }
        answer
    }
}
