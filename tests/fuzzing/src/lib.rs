//! What must hold of the decoders, whatever bytes they are given.
//!
//! Each function is one property and panics where it does not hold. `tests/fuzz` looks for such bytes; those that led to new
//! paths are kept in `corpus`, a folder a property, and every test run goes through them again.

#![expect(clippy::panic, reason = "a property that does not hold ends the run")]

mod checkpoint;
mod link;
mod message;
mod page;
mod payload;

pub use checkpoint::checkpoint;
pub use link::link;
pub use message::message;
pub use page::page;
pub use payload::payload;

/// A property of some bytes.
pub type Property = fn(&[u8]);

/// All of them, by the names of their targets and folders.
pub const PROPERTIES: [(&str, Property); 5] =
    [("checkpoint", checkpoint), ("link", link), ("message", message), ("page", page), ("payload", payload)];
