//! What is wrong with a deployment, and the exact fix.
//!
//! Each area asks what it can, as the program itself would ask it, and yields [`Finding`]s: what is good, what is to be
//! fixed and how, and what could not be looked at. One fault hides no other, except where asking on could only repeat it:
//! without a token nothing is asked of the directory. Nothing here knows AWS: what must be asked of it goes through small
//! traits. A finding holds no content, no token, no secret and no name.

mod archive_place;
mod bucket;
mod configuration;
mod directory;
mod federation;
mod finding;
mod groups;
mod interactions;
mod origins;
mod queue;
mod tenant;
mod token;

pub use archive_place::archive;
pub use bucket::{Attempt, Bucket, Trouble, Versioning, bucket};
pub use configuration::{configuration, credential};
pub use federation::federation;
pub use finding::{Finding, Report, State};
pub use queue::{WorkQueue, queue};
pub use tenant::{Tenant, tenant};
