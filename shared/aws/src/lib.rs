//! S3, SQS, Secrets Manager and STS behind the traits of the other crates.
//!
//! [`Clients::load`] builds the SDK's four clients once, with every limit named, and everything else is made from it:
//! [`S3Store`] for the archive, [`SqsQueue`] for the queue, [`SecretsManager`] and [`WebIdentity`] for the proof that
//! Entra asks for. The SDK repeats nothing: whether a call may be made again depends on what it asks, so that is decided
//! here and by the callers, on one reading of what a service said ([`CallError`]).

mod call;
mod clients;
mod custody;
mod identity;
mod keeping;
mod probe;
mod receiver;
mod s3;
mod secret;
mod sqs;

pub use call::{CallError, ErrorAnswer};
pub use clients::{Clients, NoRegion};
pub use identity::WebIdentity;
pub use keeping::{BucketVersioning, ObjectLock, ObjectVersion};
pub use probe::{Attempt, DefaultLock};
pub use receiver::SqsReceiver;
pub use s3::S3Store;
pub use secret::SecretsManager;
pub use sqs::{BatchLeft, SqsQueue};
