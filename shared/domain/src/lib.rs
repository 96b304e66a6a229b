//! The words all parts share: identities, time, windows, classes, metrics and the message.
//!
//! Nothing here talks to anything. Clock, randomness and environment are traits, so that a test decides what time it is
//! and a seed decides what is random.

mod chain;
mod class;
mod env;
mod ids;
mod message;
mod metric;
mod random;
mod reason;
mod time;
mod window;

pub use chain::Chain;
pub use class::{Class, Failure, ParseClassError, Unavailability};
pub use env::{Env, MapEnv, ProcessEnv};
pub use ids::{ArchiveId, AttemptId, GroupId, IdError, Kind, RunId, TenantId, UserId};
pub use message::{Message, MessageError};
pub use metric::Metric;
pub use random::{OsRandom, Random, SeededRandom};
pub use reason::{OtherReason, ParseReasonError};
pub use time::{Clock, Deadline, ScaledClock, SystemClock};
pub use window::{Coverage, Window, WindowError};

pub use jiff::Timestamp;
