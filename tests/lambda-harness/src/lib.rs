//! The functions' real binaries, run as Lambda runs them.
//!
//! An [`Environment`] is one process on a [`RuntimeApi`] of its own: frozen between invocations, killed at the timeout,
//! replaced when it is gone. A [`Function`] keeps as many as are asked of it at once, and an [`EventSource`] feeds it from
//! the queue. A [`Stack`] is all three functions, with AWS and Graph on loopback, behind a [`Gate`] if calls are to be
//! counted or held. Processes run on real time, so tenants
//! end now and waits are short.

#![expect(clippy::expect_used, clippy::panic, reason = "a test's world fails loudly")]

mod environment;
mod event_source;
mod function;
mod gate;
mod log;
mod runtime_api;
mod stack;
mod watch;

pub use environment::{Environment, Invoked, Outcome, Program};
pub use event_source::{Batch, EventSource, Fate, failures, named};
pub use function::Function;
pub use gate::{Gate, Hold};
pub use log::{Line, Log};
pub use runtime_api::{Next, Reported, RuntimeApi, Said};
pub use stack::{Setup, Stack, functions};
pub use watch::CANARY;
