//! S3, SQS, Secrets Manager and STS over HTTP on loopback, with faults on demand.
//!
//! What no emulator can be told to do is done here at a chosen call: a conflict, a lost answer, a put that lands later, a
//! batch that fails in part, a call that hangs while its process is killed. [`AwsFake`] holds the state and can be asked
//! for it directly; [`Server`] is its HTTP. Signatures are not verified, but the access key of each call is recorded, so
//! a test can tell who made it.

mod call;
mod clock;
mod fake;
mod fault;
mod keeping;
mod request;
mod s3;
mod secrets;
mod server;
mod sqs;
mod sts;

pub use call::{Call, Service};
pub use clock::SteppingClock;
pub use fake::AwsFake;
pub use fault::{Effect, Fault, Landing};
pub use keeping::{Lock, Policy, Versioning};
pub use s3::{PutCondition, Version};
pub use server::Server;
pub use sts::{ISSUER_PUBLIC_KEY, Identity};
