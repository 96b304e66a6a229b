//! A store that fails on purpose, for tests of everything above stores.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use domain::Random;

use crate::store::{ETag, LegalHold, Object, PutIfMatch, PutNew, Store, StoreError, StoreErrorKind};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// No answer, and nothing was done.
    Lost,
    /// No answer, though it was done.
    Unanswered,
    /// No answer, and it is done at some later time: when [`FaultStore::land`] is called, or by chance.
    Late,
    /// 403.
    Denied,
    /// Another refusal.
    Refused,
}

/// What a store is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A get.
    Get,
    /// Either kind of put.
    Put,
    /// A list.
    List,
}

/// How many calls were made, failed ones included: what a bill is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Operations {
    /// Gets.
    pub gets: u64,
    /// Puts of both kinds.
    pub puts: u64,
    /// Lists.
    pub lists: u64,
}

/// Fails by script, by chance, or not at all; then it only counts.
pub struct FaultStore {
    inner: Arc<dyn Store>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    script: Vec<(Operation, String, Fault)>,
    chance: Option<(Arc<dyn Random>, u64)>,
    late: Vec<Put>,
    operations: Operations,
    struck: BTreeMap<Fault, u64>,
    landed: u64,
}

#[derive(Clone)]
struct Put {
    key: String,
    bytes: Bytes,
    condition: Condition,
}

#[derive(Clone)]
enum Condition {
    Absent(LegalHold),
    Version(ETag),
}

impl fmt::Debug for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl FaultStore {
    /// A store that fails only by script.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, state: Mutex::default() }
    }

    /// A store of which so many calls in a thousand get no answer, and which lets other tasks go first by chance, so that
    /// the seed decides how tasks of one thread interleave.
    pub fn by_chance(inner: Arc<dyn Store>, random: Arc<dyn Random>, per_mille: u64) -> Self {
        Self { inner, state: Mutex::new(State { chance: Some((random, per_mille)), ..State::default() }) }
    }

    /// The next call of this kind whose key contains `part` fails like this. Scripted faults are used up in order.
    pub fn fail_next(&self, operation: Operation, part: &str, fault: Fault) {
        self.lock().script.push((operation, part.to_owned(), fault));
    }

    /// From here on so many calls in a thousand get no answer, if this store fails by chance at all.
    pub fn fail_by_chance(&self, calls_per_mille: u64) {
        if let Some((_, per_mille)) = &mut self.lock().chance {
            *per_mille = calls_per_mille;
        }
    }

    /// Lands every put that is late.
    pub async fn land(&self) {
        let late = std::mem::take(&mut self.lock().late);
        self.lock().landed += late.len() as u64;
        for put in late {
            self.apply(&put).await;
        }
    }

    /// How many calls failed in each way.
    pub fn struck(&self) -> BTreeMap<Fault, u64> {
        self.lock().struck.clone()
    }

    /// How many late puts were let land, whatever came of them.
    pub fn landed(&self) -> u64 {
        self.lock().landed
    }

    /// How many calls were made.
    pub fn operations(&self) -> Operations {
        self.lock().operations
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody hears of its outcome.
    async fn apply(&self, Put { key, bytes, condition }: &Put) {
        match condition {
            Condition::Version(etag) => drop(self.inner.put_if_match(key, bytes.clone(), etag).await),
            Condition::Absent(hold) => drop(self.inner.put_new_under(key, bytes.clone(), *hold).await),
        }
    }

    /// Counts a call, lets others go first, lands what is late by chance, and says how the call is to fail.
    async fn before(&self, operation: Operation, key: &str) -> Option<Fault> {
        match operation {
            Operation::Get => self.lock().operations.gets += 1,
            Operation::Put => self.lock().operations.puts += 1,
            Operation::List => self.lock().operations.lists += 1,
        }
        self.let_others_go().await;
        let (landing, fault) = self.decide(operation, key);
        if let Some(put) = landing {
            self.apply(&put).await;
        }
        fault
    }

    fn decide(&self, operation: Operation, key: &str) -> (Option<Put>, Option<Fault>) {
        let mut state = self.lock();
        let landing = match &state.chance {
            Some((random, _)) if random.below(4) == 0 && !state.late.is_empty() => {
                let index = random.below(state.late.len() as u64) as usize;
                state.landed += 1;
                Some(state.late.remove(index))
            }
            _ => None,
        };
        let scripted =
            state.script.iter().position(|(what, part, _)| *what == operation && key.contains(part.as_str()));
        let fault = match (scripted, &state.chance) {
            (Some(index), _) => Some(state.script.remove(index).2),
            (None, Some((random, per_mille))) if random.below(1000) < *per_mille => {
                Some([Fault::Lost, Fault::Unanswered, Fault::Late][random.below(3) as usize])
            }
            _ => None,
        };
        if let Some(fault) = fault {
            *state.struck.entry(fault).or_default() += 1;
        }
        (landing, fault)
    }

    async fn let_others_go(&self) {
        let turns = self.lock().chance.as_ref().map_or(0, |(random, _)| random.below(4));
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    async fn put<T>(
        &self,
        put: Put,
        made: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let key = put.key.clone();
        let fault = self.before(Operation::Put, &key).await;
        let outcome = match fault {
            None => made.await,
            Some(fault) => {
                match fault {
                    Fault::Unanswered => self.apply(&put).await,
                    Fault::Late => self.lock().late.push(put),
                    Fault::Lost | Fault::Denied | Fault::Refused => {}
                }
                Err(failed(fault, "put", &key))
            }
        };
        self.let_others_go().await;
        outcome
    }
}

fn failed(fault: Fault, operation: &'static str, key: &str) -> StoreError {
    let kind = match fault {
        Fault::Lost | Fault::Unanswered | Fault::Late => StoreErrorKind::Unknown,
        Fault::Denied => StoreErrorKind::Denied,
        Fault::Refused => StoreErrorKind::Refused,
    };
    StoreError { kind, operation, key: key.to_owned(), source: None }
}

#[async_trait]
impl Store for FaultStore {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        match self.before(Operation::Get, key).await {
            Some(fault) => Err(failed(fault, "get", key)),
            None => self.inner.get(key).await,
        }
    }

    async fn put_new_under(&self, key: &str, bytes: Bytes, hold: LegalHold) -> Result<PutNew, StoreError> {
        let put = Put { key: key.to_owned(), bytes: bytes.clone(), condition: Condition::Absent(hold) };
        self.put(put, self.inner.put_new_under(key, bytes, hold)).await
    }

    async fn put_if_match(&self, key: &str, bytes: Bytes, etag: &ETag) -> Result<PutIfMatch, StoreError> {
        let put = Put { key: key.to_owned(), bytes: bytes.clone(), condition: Condition::Version(etag.clone()) };
        self.put(put, self.inner.put_if_match(key, bytes, etag)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        match self.before(Operation::List, prefix).await {
            Some(fault) => Err(failed(fault, "list", prefix)),
            None => self.inner.list(prefix).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;

    #[tokio::test]
    async fn keeps_the_contract_while_nothing_fails() {
        crate::contract::all(|| async {
            let random = Arc::new(domain::SeededRandom::new(1));
            Arc::new(FaultStore::by_chance(Arc::new(MemoryStore::new()), random, 0)) as Arc<dyn Store>
        })
        .await;
        let store = FaultStore::new(Arc::new(MemoryStore::new()));
        crate::contract::a_hold_changes_nothing_of_what_is_put(Arc::new(store)).await;
    }

    #[tokio::test]
    async fn faults_do_what_their_names_say() {
        let store = FaultStore::new(Arc::new(MemoryStore::new()));
        for (key, fault) in [("a", Fault::Lost), ("b", Fault::Unanswered), ("c", Fault::Late), ("d", Fault::Denied)] {
            store.fail_next(Operation::Put, key, fault);
            assert!(store.put_new(key, "x".into()).await.is_err());
        }
        assert_eq!(store.list("").await.unwrap(), ["b"]);
        store.land().await;
        assert_eq!(store.list("").await.unwrap(), ["b", "c"]);
        assert!(matches!(store.put_new("a", "x".into()).await.unwrap(), PutNew::Created(_)));
        assert_eq!(store.operations(), Operations { gets: 0, puts: 5, lists: 2 });
        let struck = [Fault::Lost, Fault::Unanswered, Fault::Late, Fault::Denied].map(|fault| (fault, 1));
        assert_eq!((store.struck(), store.landed()), (struck.into(), 1));
    }
}
