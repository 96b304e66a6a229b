//! Faults: processes that are killed, frozen and doubled, a store, a queue and a Graph that misbehave, and a judge that
//! watches every byte that leaves Graph and every object that lands.
//!
//! `tests/seeds 10000` makes ten thousand runs; `SEED=7 cargo test -p end-to-end --test faults seeded -- --nocapture` makes only
//! the seventh, with its trace.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "the tests' own helpers fail loudly, and tell how"
)]

mod bed;
mod canaries;
mod happened;
mod judge;
mod process;
mod quota;
mod regressions;
mod scenario;
mod seeded;
mod sweep;
mod watched;
mod watchfulness;
