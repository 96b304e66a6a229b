//! What an operator does to one user's part of an archive, and no function ever does.
//!
//! [`coverage`] lowers what is claimed as read, so that it is read again; [`erase`](mod@erase) deletes a user's content
//! behind a tombstone; [`hold`] keeps it from being deleted. Each says first what it would do. What they need of a store beyond
//! what the functions need is a [`Vault`].

pub mod coverage;
pub mod erase;
pub mod hold;
#[cfg(test)]
mod testing;
mod vault;

use std::collections::BTreeSet;

use archive::{Archive, ArchiveError, layout};
use domain::RunId;

pub use vault::{Lock, Vault, Vaults, Version};

/// The runs that have begun and have no report, those among them of which only the roster is there: while they go on, a worker
/// may still write of a user what it has in hand.
pub async fn open_runs(archive: &Archive) -> Result<Vec<RunId>, ArchiveError> {
    let keys: BTreeSet<String> = archive.list(layout::RUNS_PREFIX).await?.into_iter().collect();
    let begun = keys.iter().filter_map(|key| layout::run_of_run_file(key).or_else(|| layout::run_of_roster(key)));
    let begun: BTreeSet<RunId> = begun.filter(|run| !keys.contains(&layout::report(run))).collect();
    Ok(begun.into_iter().collect())
}
