//! An archive in its stores: opening it, and putting things once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{ArchiveId, Clock, Random, TenantId};
use serde::Deserialize;

use crate::error::{ArchiveError, Integrity, OpenError};
use crate::layout;
use crate::records::{ArchiveFile, FORMAT};
use crate::store::{LegalHold, Object, PutNew, Store, StoreError, StoreErrorKind};

/// How often a call without a certain answer is made. With the delays below that takes about ten seconds: longer than a
/// store's usual hiccup, shorter than the time a worker has left when it is told to stop.
const ATTEMPTS: u32 = 8;

/// The delay before the second attempt; it doubles from there.
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// The longest delay between attempts.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Where an archive lies. Both may be the same store.
#[derive(Debug, Clone)]
pub struct Stores {
    /// What is put once: everything outside `state/`.
    pub evidence: Arc<dyn Store>,
    /// What may be replaced: everything under `state/`.
    pub state: Arc<dyn Store>,
}

/// An open archive. Clones are the same archive.
#[derive(Clone)]
pub struct Archive(Arc<Inner>);

struct Inner {
    id: ArchiveId,
    tenant: TenantId,
    access: Access,
}

/// The stores, and how they are asked: again, until the answer is certain or the attempts are used up.
#[derive(Clone)]
struct Access {
    stores: Stores,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("id", &self.0.id).field("tenant", &self.0.tenant).finish_non_exhaustive()
    }
}

/// The certain outcomes of putting an object once.
#[derive(Debug, Clone)]
pub enum PutOnce {
    /// This put created it.
    Created,
    /// An object of these very bytes is there: an earlier put of ours whose answer was lost.
    Own,
    /// Somebody else's object is there.
    Other(Object),
}

impl Access {
    /// Makes a call until its outcome is certain.
    async fn certain<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, ArchiveError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut delay = FIRST_DELAY;
        let mut attempt = 1;
        loop {
            match call().await {
                Err(error) if error.kind == StoreErrorKind::Unknown && attempt < ATTEMPTS => {
                    tracing::debug!(
                        operation = error.operation,
                        key = error.key,
                        attempt,
                        "no certain answer, asking again"
                    );
                    // Between half and the whole of it, so that writers that failed together do not come back together.
                    let half = u64::try_from(delay.as_millis() / 2).unwrap_or(u64::MAX);
                    self.clock.sleep(Duration::from_millis(half + self.random.below(half))).await;
                    delay = (delay * 2).min(LONGEST_DELAY);
                    attempt += 1;
                }
                outcome => return outcome.map_err(ArchiveError::of_store),
            }
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, ArchiveError> {
        self.certain(|| self.stores.evidence.get(key)).await
    }

    async fn put_once(&self, key: &str, bytes: Bytes, hold: LegalHold) -> Result<PutOnce, ArchiveError> {
        match self.certain(|| self.stores.evidence.put_new_under(key, bytes.clone(), hold)).await? {
            PutNew::Created(_) => Ok(PutOnce::Created),
            PutNew::Exists => match self.get(key).await? {
                Some(object) if object.bytes == bytes => Ok(PutOnce::Own),
                Some(object) => Ok(PutOnce::Other(object)),
                None => Err(ArchiveError::Integrity(Integrity::Vanished { key: key.to_owned() })),
            },
        }
    }
}

impl Archive {
    /// Opens the archive of a tenant; `None` if nothing is there yet.
    pub async fn open(
        stores: Stores,
        tenant: TenantId,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Option<Self>, OpenError> {
        Self::open_by(Access { stores, clock, random }, Some(tenant)).await
    }

    /// Opens the archive that lies there, whoever its tenant is: for an operator, who names a place. `None` if nothing is
    /// there.
    pub async fn open_found(
        stores: Stores,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Option<Self>, OpenError> {
        Self::open_by(Access { stores, clock, random }, None).await
    }

    async fn open_by(access: Access, tenant: Option<TenantId>) -> Result<Option<Self>, OpenError> {
        if let Some(object) = access.get(layout::ARCHIVE_FILE).await.map_err(OpenError::Store)? {
            return Self::of_file(access, tenant, &object.bytes).map(Some);
        }
        let found = access.certain(|| access.stores.evidence.list("")).await.map_err(OpenError::Store)?;
        if found.is_empty() {
            return Ok(None);
        }
        // Somebody may have made it, and put more, between the two looks.
        match access.get(layout::ARCHIVE_FILE).await.map_err(OpenError::Store)? {
            Some(object) => Self::of_file(access, tenant, &object.bytes).map(Some),
            None => Err(OpenError::NotAnArchive("other objects, and no archive.json")),
        }
    }

    /// Opens the archive of a tenant, or makes one where nothing is. Who loses the race to make it opens the winner's.
    pub async fn open_or_create(
        stores: Stores,
        tenant: TenantId,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, OpenError> {
        let access = Access { stores: stores.clone(), clock: Arc::clone(&clock), random: Arc::clone(&random) };
        if let Some(archive) = Self::open(stores, tenant, clock, random).await? {
            return Ok(archive);
        }
        let archive_id = ArchiveId::random(&*access.random);
        let file = ArchiveFile { format: FORMAT, archive_id, tenant_id: tenant, created_at: access.clock.now() };
        let bytes = json(&file).map_err(OpenError::Store)?;
        match access.put_once(layout::ARCHIVE_FILE, bytes, LegalHold::Off).await.map_err(OpenError::Store)? {
            PutOnce::Created | PutOnce::Own => Ok(Self(Arc::new(Inner { id: archive_id, tenant, access }))),
            PutOnce::Other(object) => Self::of_file(access, Some(tenant), &object.bytes),
        }
    }

    fn of_file(access: Access, expected: Option<TenantId>, bytes: &[u8]) -> Result<Self, OpenError> {
        match format_of(bytes) {
            Some(1..=FORMAT) => {}
            Some(found) if found > FORMAT => return Err(OpenError::NewerFormat { found }),
            _ => return Err(OpenError::NotAnArchive("archive.json cannot be read")),
        }
        let file: ArchiveFile =
            serde_json::from_slice(bytes).map_err(|_| OpenError::NotAnArchive("archive.json cannot be read"))?;
        if let Some(expected) = expected.filter(|expected| *expected != file.tenant_id) {
            return Err(OpenError::ForeignTenant { found: file.tenant_id, expected });
        }
        Ok(Self(Arc::new(Inner { id: file.archive_id, tenant: file.tenant_id, access })))
    }

    /// The archive's identity.
    pub fn id(&self) -> ArchiveId {
        self.0.id
    }

    /// The one tenant it holds.
    pub fn tenant(&self) -> TenantId {
        self.0.tenant
    }

    /// Where what is put once lies.
    pub fn evidence(&self) -> &dyn Store {
        &*self.0.access.stores.evidence
    }

    /// Where caches and working state lie.
    pub fn state(&self) -> &dyn Store {
        &*self.0.access.stores.state
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.access.clock
    }

    /// Makes a call of a store until its outcome is certain, with back-off and a bounded number of attempts; then
    /// [`ArchiveError::Unknown`]. For calls that may be made again: gets, lists, and puts of the same bytes.
    pub async fn certain<T, F>(&self, call: impl FnMut() -> F) -> Result<T, ArchiveError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        self.0.access.certain(call).await
    }

    /// Puts an object that is never replaced. After [`ArchiveError::Unknown`] it may be there, now or later.
    pub async fn put_once(&self, key: &str, bytes: Bytes) -> Result<PutOnce, ArchiveError> {
        self.put_once_under(key, bytes, LegalHold::Off).await
    }

    /// The same, under a legal hold or not. What is there already keeps the hold it has or has not.
    pub async fn put_once_under(&self, key: &str, bytes: Bytes, hold: LegalHold) -> Result<PutOnce, ArchiveError> {
        self.0.access.put_once(key, bytes, hold).await
    }

    /// The object of this key.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, ArchiveError> {
        Ok(self.0.access.get(key).await?.map(|object| object.bytes))
    }

    /// The object of a key that is known to be there.
    pub(crate) async fn get_known(&self, key: &str) -> Result<Bytes, ArchiveError> {
        let vanished = || ArchiveError::Integrity(Integrity::Vanished { key: key.to_owned() });
        self.get(key).await?.ok_or_else(vanished)
    }

    /// The keys that begin with this prefix.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, ArchiveError> {
        self.certain(|| self.evidence().list(prefix)).await
    }

    /// The numbers below a prefix, in order.
    pub(crate) async fn numbers(
        &self,
        prefix: &str,
        number: fn(&str) -> Option<u64>,
    ) -> Result<Vec<u64>, ArchiveError> {
        let mut numbers: Vec<u64> = self.list(prefix).await?.iter().filter_map(|key| number(key)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The highest number below a prefix, 0 if there is none; a missing number is an integrity error.
    pub(crate) async fn highest(&self, prefix: &str, number: fn(&str) -> Option<u64>) -> Result<u64, ArchiveError> {
        let numbers = self.numbers(prefix, number).await?;
        match (1..).zip(&numbers).find(|(expected, found)| expected != *found) {
            Some((number, _)) => Err(ArchiveError::Integrity(Integrity::Gap { prefix: prefix.to_owned(), number })),
            None => Ok(numbers.last().copied().unwrap_or(0)),
        }
    }
}

/// The format that a file names, whatever else is in it: a later one may have other members.
pub(crate) fn format_of(bytes: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    serde_json::from_slice(bytes).ok().map(|Format { format }| format)
}

/// A small file: one line of JSON.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<Bytes, ArchiveError> {
    let mut bytes = serde_json::to_vec(value).map_err(|error| ArchiveError::Encode(error.into()))?;
    bytes.push(b'\n');
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Fault, Operation};
    use crate::testing::{TENANT, World};

    const OTHER: TenantId = TenantId::from_bytes([1; 16]);

    #[tokio::test(start_paused = true)]
    async fn an_archive_is_made_once_and_opened_ever_after() {
        let world = World::new();
        assert!(world.try_open(TENANT).await.unwrap().is_none());
        assert!(world.evidence.list("").await.unwrap().is_empty(), "looking writes nothing");
        let made = world.try_create(TENANT, 1).await.unwrap();
        assert_eq!(made.id(), world.try_create(TENANT, 2).await.unwrap().id());
        assert_eq!(made.id(), world.try_open(TENANT).await.unwrap().unwrap().id());
        assert_eq!(made.id(), world.try_open_found().await.unwrap().unwrap().id());
        let file = world.evidence.get(layout::ARCHIVE_FILE).await.unwrap().unwrap().bytes;
        let expected = format!(
            r#"{{"format":1,"archive_id":"{}","tenant_id":"{TENANT}","created_at":"2026-11-25T03:00:00Z"}}"#,
            made.id()
        );
        assert_eq!(file, format!("{expected}\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_loses_the_race_to_make_it_opens_the_winner_s() {
        let random = Arc::new(domain::SeededRandom::new(3));
        for _ in 0..20 {
            let world = World::by_chance(&random, 200);
            let (a, b) = tokio::join!(world.try_create(TENANT, 1), world.try_create(TENANT, 2));
            assert_eq!(a.unwrap().id(), b.unwrap().id());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_this_tenant_s_archive_is_refused_untouched() {
        let file = |format: u64, tenant: TenantId| {
            format!(
                r#"{{"format":{format},"archive_id":"{tenant}","tenant_id":"{tenant}","created_at":"2026-01-01T00:00:00Z","x":0}}"#
            )
        };
        type Expected = fn(&OpenError) -> bool;
        let cases: [(&str, String, Expected); 8] = [
            ("archive.json", file(1, OTHER), |error| matches!(error, OpenError::ForeignTenant { found: OTHER, .. })),
            ("archive.json", file(2, TENANT), |error| matches!(error, OpenError::NewerFormat { found: 2 })),
            ("archive.json", r#"{"format":7}"#.to_owned(), |error| {
                matches!(error, OpenError::NewerFormat { found: 7 })
            }),
            ("archive.json", file(0, TENANT), |error| matches!(error, OpenError::NotAnArchive(_))),
            ("archive.json", r#"{"format":1}"#.to_owned(), |error| matches!(error, OpenError::NotAnArchive(_))),
            ("archive.json", String::new(), |error| matches!(error, OpenError::NotAnArchive(_))),
            ("ledger/x", String::new(), |error| matches!(error, OpenError::NotAnArchive(_))),
            ("holiday.jpg", String::new(), |error| matches!(error, OpenError::NotAnArchive(_))),
        ];
        for (key, content, expected) in cases {
            let world = World::new();
            world.evidence.overwrite(key, content.clone());
            for error in [world.try_open(TENANT).await.unwrap_err(), world.try_create(TENANT, 1).await.unwrap_err()] {
                assert!(expected(&error), "{key} {content}: {error}");
            }
            // Whoever names no tenant takes any, and what is no archive all the less.
            match world.try_open_found().await {
                Ok(found) => assert_eq!(found.unwrap().tenant(), OTHER),
                Err(error) => assert!(expected(&error), "{key} {content}: {error}"),
            }
            assert_eq!(world.evidence.list("").await.unwrap(), [key]);
            assert_eq!(world.evidence.get(key).await.unwrap().unwrap().bytes, content);
        }
        let world = World::new();
        world.evidence.overwrite("archive.json", file(1, TENANT));
        assert!(world.try_open(TENANT).await.unwrap().is_some(), "members it does not know do not matter");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_never_taken_for_absence() {
        let world = World::new();
        for operation in [Operation::Get, Operation::List] {
            world.evidence_faults.fail_next(operation, "", Fault::Denied);
            assert!(matches!(world.try_create(TENANT, 1).await, Err(OpenError::Store(ArchiveError::Store(_)))));
        }
        assert!(world.evidence.list("").await.unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn calls_are_repeated_until_certain_and_not_for_ever() {
        let world = World::new();
        let archive = world.archive().await;
        for fault in [Fault::Lost, Fault::Late, Fault::Unanswered] {
            world.evidence_faults.fail_next(Operation::Put, "a", fault);
        }
        assert!(matches!(archive.put_once("a", "1".into()).await.unwrap(), PutOnce::Own));
        world.evidence_faults.fail_next(Operation::Get, "a", Fault::Lost);
        assert_eq!(archive.get("a").await.unwrap().unwrap(), "1");
        match archive.put_once("a", "2".into()).await.unwrap() {
            PutOnce::Other(object) => assert_eq!(object.bytes, "1"),
            other => panic!("{other:?}"),
        }

        let (before, began) = (world.evidence_faults.operations().puts, archive.clock().now());
        for _ in 0..100 {
            world.evidence_faults.fail_next(Operation::Put, "b", Fault::Lost);
        }
        assert!(matches!(archive.put_once("b", "1".into()).await, Err(ArchiveError::Unknown(_))));
        assert_eq!(world.evidence_faults.operations().puts - before, u64::from(ATTEMPTS));
        let waited = archive.clock().now().duration_since(began).as_secs();
        assert!((5..=20).contains(&waited), "{waited}");
        world.evidence_faults.fail_next(Operation::Put, "c", Fault::Denied);
        assert!(matches!(archive.put_once("c", "1".into()).await, Err(ArchiveError::Store(_))));
    }

    #[test]
    fn errors_tell_no_content_and_end_without_a_stop() {
        let error = OpenError::ForeignTenant { found: OTHER, expected: TENANT }.to_string();
        assert!(error.contains(&OTHER.to_string()) && !error.ends_with('.'));
    }
}
