//! End-to-end and fault tests over the real handlers.
//!
//! [`World`] puts the functions' own `handle` between a simulated Graph and a store in memory, on simulated time: days pass
//! in milliseconds, and a test decides what happens in them. The tests judge what lies in the store with a reader that
//! shares no code with its writers, and by the simulator's truth.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's world fails loudly")]

pub mod half_way;
mod in_flight;
mod log;
pub mod planted;
mod transport;
mod world;

pub use in_flight::InFlight;
pub use log::Log;
pub use transport::InProcess;
pub use world::{BATCH, FIFTEEN_MINUTES, World};
