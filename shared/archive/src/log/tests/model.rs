//! The log against a model: whatever several writers do at once, whatever they know, and however the store fails, each text
//! is there once, numbers have no gap, and what a flush promised is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use domain::{Random, SeededRandom};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

const OVERLAP: SignedDuration = SignedDuration::from_hours(72);

/// Few texts, so that writers meet: of the month now, of one no checkpoint keeps, and of none.
fn texts() -> Vec<String> {
    let created = ["2026-11-24T10:00:00Z", "2026-07-01T00:00:00Z", "never"];
    (0..15).map(|n| format!(r#"{{"id":{n},"createdDateTime":"{}"}}"#, created[n % 3])).collect()
}

struct Shared {
    world: World,
    archive: Archive,
    random: Arc<SeededRandom>,
    promised: Mutex<BTreeSet<String>>,
    old_handles: Mutex<Vec<CheckpointHandle>>,
    new_by_attempt: Mutex<BTreeMap<AttemptId, u64>>,
}

/// All records, by key, as (attempt, text).
async fn stored(world: &World) -> BTreeMap<String, Vec<(String, String)>> {
    #[derive(serde::Deserialize)]
    struct Line<'a> {
        attempt_id: String,
        #[serde(borrow)]
        interaction: &'a RawValue,
    }
    let mut stored = BTreeMap::new();
    for key in segments(world).await {
        let records = lines(world, &key).await.into_iter().map(|line| {
            let line: Line<'_> = serde_json::from_str(&line).unwrap();
            (line.attempt_id, line.interaction.get().to_owned())
        });
        stored.insert(key, records.collect());
    }
    stored
}

impl Shared {
    /// What must hold after every step of anybody.
    async fn check(&self) {
        let stored = stored(&self.world).await;
        let mut seen = BTreeSet::new();
        let mut next: BTreeMap<Month, u64> = BTreeMap::new();
        let mut before: BTreeMap<(Month, u64), BTreeSet<ItemHash>> = BTreeMap::new();
        for (key, records) in &stored {
            assert!(!records.is_empty(), "no segment is empty");
            let month = Month::of(&records[0].1);
            let n = next.entry(month).or_insert(1);
            assert_eq!(*key, layout::segment(TENANT, &month, USER, *n), "numbers have no gap");
            let mut hashes = before.get(&(month, *n)).cloned().unwrap_or_default();
            before.insert((month, *n), hashes.clone());
            *n += 1;
            for (attempt_id, text) in records {
                assert_eq!(Month::of(text), month, "an item lies in its month");
                assert_eq!(*attempt_id, records[0].0, "a segment is of one attempt");
                assert!(seen.insert(text.clone()), "{text} is there twice");
                hashes.insert(ItemHash::of(text));
            }
            before.insert((month, *n), hashes);
        }
        for text in self.promised.lock().unwrap().iter() {
            assert!(seen.contains(text), "{text} was promised");
        }
        // What a stored checkpoint claims of a log is exactly so.
        if let Some(object) = self.world.state.get(&layout::checkpoint(TENANT, USER)).await.unwrap() {
            let checkpoint = Checkpoint::from_bytes(&object.bytes, self.archive.id()).unwrap();
            for (month, known) in checkpoint.months {
                let items = before.get(&(month, known.next)).cloned().unwrap_or_default();
                assert_eq!(known.items.len(), items.len(), "the checkpoint of {month} at {}", known.next);
                assert!(items.iter().all(|item| known.items.contains(item)));
            }
        }
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }

    /// One attempt: a writer that knows much, little or nothing, appends and flushes a few times.
    async fn attempt(&self) {
        let Ok(mut handle) = self.archive.checkpoint(USER).await else { return };
        let old = self.old_handles.lock().unwrap().clone();
        handle = match self.below(4) {
            0 => CheckpointHandle::absent(USER),
            1 if !old.is_empty() => old[self.below(old.len())].clone(),
            _ => handle,
        };
        let attempt_id = AttemptId::random(&*self.random);
        let run_id = run(["r", "s"][self.below(2)]);
        let mut writer = self.archive.log_writer(USER, &run_id, &attempt_id, &handle);
        let texts = texts();
        let mut appended = Vec::new();
        for _ in 0..=self.below(3) {
            let page: Vec<&str> = (0..self.below(7)).map(|_| texts[self.below(texts.len())].as_str()).collect();
            appended.extend(page.iter().map(|text| (*text).to_owned()));
            let went_well = writer.append(page.into_iter(), time(FETCHED)).await.is_ok()
                && (self.below(2) == 0 || writer.flush().await.is_ok());
            self.check().await;
            if !went_well {
                return;
            }
        }
        let flushed = writer.flush().await;
        let counts = writer.counts();
        assert_eq!(counts.received, counts.new + counts.already_held);
        if flushed.is_ok() {
            self.promised.lock().unwrap().extend(appended.iter().cloned());
            assert_eq!(counts.received, appended.len() as u64, "everything appended is settled");
            let own = writer.segments().iter().filter(|segment| segment.attempt_id == attempt_id);
            assert_eq!(counts.new, own.map(|segment| segment.lines).sum::<u64>(), "what is new is in own segments");
            self.new_by_attempt.lock().unwrap().insert(attempt_id, counts.new);
        }
        self.check().await;
        writer.update(&mut handle.checkpoint, self.archive.clock().now());
        if self.archive.save(&mut handle, OVERLAP).await.is_ok() {
            self.old_handles.lock().unwrap().push(handle);
        }
        if self.below(8) == 0 {
            self.world.state.remove(&layout::checkpoint(TENANT, USER));
        }
        self.check().await;
    }
}

async fn play(seed: u64, writers: usize, attempts: usize, per_mille: u64) {
    let random = Arc::new(SeededRandom::new(seed));
    let world = World::by_chance(&random, 0);
    let archive = world.archive().await;
    world.evidence_faults.fail_by_chance(per_mille);
    world.state_faults.fail_by_chance(per_mille);
    let shared = Arc::new(Shared {
        world,
        archive,
        random,
        promised: Mutex::default(),
        old_handles: Mutex::default(),
        new_by_attempt: Mutex::default(),
    });
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..writers {
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            for _ in 0..attempts {
                shared.attempt().await;
            }
        });
    }
    tasks.join_all().await;
    shared.world.evidence_faults.fail_by_chance(0);
    shared.world.state_faults.fail_by_chance(0);
    shared.world.evidence_faults.land().await;
    shared.check().await;

    // Whatever happened, one quiet attempt completes it, and every attempt's lines are as many as it counted.
    let handle = shared.archive.checkpoint(USER).await.unwrap();
    let mut last = shared.archive.log_writer(USER, &run("r"), &AttemptId::random(&*shared.random), &handle);
    append(&mut last, &texts()).await.unwrap();
    shared.check().await;
    let stored = stored(&shared.world).await;
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    for (attempt_id, _) in stored.values().flatten() {
        *lines.entry(attempt_id.clone()).or_default() += 1;
    }
    assert_eq!(lines.values().sum::<u64>(), texts().len() as u64);
    for (attempt_id, new) in shared.new_by_attempt.lock().unwrap().iter() {
        assert_eq!(lines.get(attempt_id.as_str()).copied().unwrap_or(0), *new, "counts are true");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_text_is_there_once_whatever_happens(
        seed: u64,
        writers in 1_usize..5,
        attempts in 1_usize..5,
        per_mille in prop_oneof![Just(0), 1_u64..300, 600_u64..850],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(seed, writers, attempts, per_mille));
    }
}
