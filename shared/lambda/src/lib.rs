//! The Lambda side of a function: invocations, errors, panics, logs with their metrics, and the parts its handler needs.
//!
//! A function's `main` names its parts and hands [`serve()`] a closure over them; everything that all three share is here.
//! Nothing in a log, an error or a panic report repeats what an event or an answer held.

mod failure;
mod metrics;
mod parts;
mod serve;
mod sqs;

pub use failure::Failure;
pub use lambda_runtime::Error;
pub use parts::{Parts, SetUpError};
pub use serve::{Invocation, logged, serve, start_logs};
pub use sqs::{batch, response};
