//! Enumerates the licensed users of a run into the queue.

mod fault;
pub mod payload;

pub use fault::{Fault, Faults};
