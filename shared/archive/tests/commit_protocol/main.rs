//! The commit protocol, explored exhaustively on a small model: the archive's own code over a store that a scheduler controls.
//!
//! Every process is a future whose only way out is a call that waits until the scheduler answers it, so a sequence of the
//! scheduler's choices is a run. All sequences are made, from the start each, as long as they lead to a state where none
//! has been: whoever is answered next, a put whose answer is lost, one that takes effect later or never, 409 and 412, a
//! process killed before any call and its message delivered again, and an item that shows late.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "the tests' own helpers fail loudly, and tell how much they did"
)]

mod attempt;
mod choices;
mod explore;
mod items;
mod judge;
mod outside;

use std::sync::Arc;

use archive::memory::MemoryStore;
use archive::{Archive, CheckpointHandle, Stores};
use domain::{Env as _, ProcessEnv, SeededRandom};

use crate::attempt::Message;
use crate::explore::{Scenario, explore};
use crate::items::{FIRST_DAY, ITEMS, OVERLAP, SECOND_DAY, TENANT, USER, time};
use crate::outside::{NoClock, Outside, Planted};

const RUN: Message = Message { run: "one", to: FIRST_DAY };
const NEXT_RUN: Message = Message { run: "two", to: SECOND_DAY };

/// An archive in which an earlier run has put so many segments of one item each, and stored no checkpoint or one that knows
/// so many of them.
fn archive_with(segments: usize, known: Option<usize>) -> Outside {
    let store = Arc::new(MemoryStore::new());
    let stores = Stores { evidence: Arc::<MemoryStore>::clone(&store), state: Arc::<MemoryStore>::clone(&store) };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(NoClock(time(SECOND_DAY)));
        let archive = Archive::open_or_create(stores, TENANT, clock, Arc::new(SeededRandom::new(1))).await.unwrap();
        let (run, attempt) = ("earlier".parse().unwrap(), format!("{:032x}", u64::MAX).parse().unwrap());
        let mut handle = CheckpointHandle::absent(USER);
        let mut log = archive.log_writer(USER, &run, &attempt, &handle);
        for (n, item) in ITEMS.iter().enumerate().take(segments) {
            log.append([item.text].into_iter(), time(SECOND_DAY)).await.unwrap();
            log.flush().await.unwrap();
            if Some(n + 1) == known {
                log.update(&mut handle.checkpoint, time(SECOND_DAY));
                archive.save(&mut handle, OVERLAP).await.unwrap();
            }
        }
    });
    Outside { objects: store.objects(), ..Outside::default() }
}

fn scenario(messages: &[Message], faults: usize, kills: usize) -> Scenario {
    Scenario { messages: messages.to_vec(), outside: archive_with(0, None), faults, kills, planted: None }
}

/// No run of it breaks a promise.
fn holds(scenario: &Scenario) {
    let explored = explore(scenario).unwrap_or_else(|broken| panic!("{broken}"));
    let Scenario { messages, faults, kills, .. } = scenario;
    let runs: Vec<&str> = messages.iter().map(|message| message.run).collect();
    eprintln!("{runs:?}, calls without an answer: {faults}, kills: {kills}: {explored:?}");
    // With every fault and every kill there are more ways to go; without any, those of who is first.
    assert!(explored.ends > messages.len() * (1 + faults + kills), "{explored:?}");
}

#[test]
fn two_attempts_at_one_message_keep_every_promise_whoever_is_first() {
    holds(&scenario(&[RUN, RUN], 0, 0));
}

#[test]
fn two_attempts_at_one_message_keep_every_promise_whatever_call_has_no_answer() {
    holds(&scenario(&[RUN, RUN], 1, 0));
}

#[test]
fn two_attempts_at_one_message_keep_every_promise_wherever_one_is_killed() {
    holds(&scenario(&[RUN, RUN], 0, 1));
}

#[test]
fn an_attempt_of_yesterday_beside_today_s_keeps_every_promise_whatever_call_has_no_answer() {
    holds(&scenario(&[RUN, NEXT_RUN], 1, 0));
}

#[test]
fn an_attempt_of_yesterday_beside_today_s_keeps_every_promise_wherever_one_is_killed() {
    holds(&scenario(&[RUN, NEXT_RUN], 0, 1));
}

#[test]
fn one_attempt_keeps_every_promise_when_much_goes_wrong() {
    holds(&scenario(&[NEXT_RUN], 2, 1));
    holds(&scenario(&[NEXT_RUN], 1, 2));
}

#[test]
fn a_lost_and_a_stale_checkpoint_keep_every_promise() {
    for outside in [archive_with(2, None), archive_with(2, Some(1)), archive_with(2, Some(2))] {
        holds(&Scenario { outside, ..scenario(&[NEXT_RUN, NEXT_RUN], 0, 0) });
    }
}

#[test]
fn a_fault_and_a_kill_together_keep_every_promise() {
    // Far more runs, for whoever asks and has the time.
    if ProcessEnv.var("DEEP").is_some() {
        holds(&scenario(&[RUN, RUN], 1, 1));
        holds(&scenario(&[RUN, NEXT_RUN], 1, 1));
        holds(&scenario(&[RUN, RUN], 2, 0));
    } else {
        holds(&scenario(&[RUN], 1, 1));
    }
}

#[test]
fn a_planted_mistake_breaks_a_promise() {
    for (planted, faults, kills, broken) in [
        (Planted::RefusedIsDone, 0, 0, "acknowledged and not archived"),
        (Planted::UnknownIsDone, 1, 0, "acknowledged and not archived"),
        (Planted::Overwrites, 0, 0, "the checkpoint knows other items"),
        (Planted::CheckpointFirst, 0, 0, "covered and not archived"),
        (Planted::PromisedFirst, 0, 0, "acknowledged and not archived"),
    ] {
        let scenario = Scenario { planted: Some(planted), ..scenario(&[RUN, NEXT_RUN], faults, kills) };
        let found = explore(&scenario).expect_err("a run breaks a promise");
        eprintln!("{planted:?}: {found}");
        assert!(found.contains(broken), "{planted:?}: {found}");
    }
}
