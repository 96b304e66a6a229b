//! What the tests of this crate share.

use std::sync::Arc;

use domain::{AttemptId, ScaledClock, SeededRandom, TenantId, Timestamp, UserId};

use crate::faults::FaultStore;
use crate::memory::MemoryStore;
use crate::{Archive, OpenError, Stores};

pub(crate) const TENANT: TenantId = TenantId::from_bytes([0xaa; 16]);
pub(crate) const USER: UserId = UserId::from_bytes([0xbb; 16]);

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn attempt(n: u64) -> AttemptId {
    format!("{n:032x}").parse().unwrap()
}

/// An archive in memory whose stores can be made to fail.
pub(crate) struct World {
    pub(crate) evidence: Arc<MemoryStore>,
    pub(crate) state: Arc<MemoryStore>,
    pub(crate) evidence_faults: Arc<FaultStore>,
    pub(crate) state_faults: Arc<FaultStore>,
    pub(crate) clock: Arc<ScaledClock>,
}

impl World {
    /// The clock shows 25 November 2026, 03:00.
    pub(crate) fn new() -> Self {
        Self::with(FaultStore::new)
    }

    pub(crate) fn by_chance(random: &Arc<SeededRandom>, per_mille: u64) -> Self {
        Self::with(|store| FaultStore::by_chance(store, Arc::<SeededRandom>::clone(random), per_mille))
    }

    fn with(faults: impl Fn(Arc<dyn crate::store::Store>) -> FaultStore) -> Self {
        let (evidence, state) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
        let evidence_faults = Arc::new(faults(Arc::<MemoryStore>::clone(&evidence)));
        let state_faults = Arc::new(faults(Arc::<MemoryStore>::clone(&state)));
        let clock = Arc::new(ScaledClock::new(time("2026-11-25T03:00:00Z"), 1.0));
        Self { evidence, state, evidence_faults, state_faults, clock }
    }

    pub(crate) fn stores(&self) -> Stores {
        Stores {
            evidence: Arc::<FaultStore>::clone(&self.evidence_faults),
            state: Arc::<FaultStore>::clone(&self.state_faults),
        }
    }

    pub(crate) async fn try_open(&self, tenant: TenantId) -> Result<Option<Archive>, OpenError> {
        let clock = Arc::<ScaledClock>::clone(&self.clock);
        Archive::open(self.stores(), tenant, clock, Arc::new(SeededRandom::new(1))).await
    }

    pub(crate) async fn try_open_found(&self) -> Result<Option<Archive>, OpenError> {
        let clock = Arc::<ScaledClock>::clone(&self.clock);
        Archive::open_found(self.stores(), clock, Arc::new(SeededRandom::new(1))).await
    }

    pub(crate) async fn try_create(&self, tenant: TenantId, seed: u64) -> Result<Archive, OpenError> {
        let clock = Arc::<ScaledClock>::clone(&self.clock);
        Archive::open_or_create(self.stores(), tenant, clock, Arc::new(SeededRandom::new(seed))).await
    }

    pub(crate) async fn archive(&self) -> Archive {
        self.try_create(TENANT, 1).await.unwrap()
    }
}
