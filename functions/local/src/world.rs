//! Everything a look works with: the tenant to read, and the folder to keep it in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use archive::Stores;
use archive::folder::FolderStore;
use archive::records::Producer;
use domain::{Clock, Random, TenantId};
use graph::GraphClient;
use settings::Rules;

/// What a look works with.
#[derive(Debug)]
pub struct World {
    /// The tenant's Graph.
    pub graph: GraphClient,
    /// Where the archive lies.
    pub stores: Stores,
    /// The folder it lies in.
    pub folder: PathBuf,
    /// The tenant.
    pub tenant: TenantId,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The rules of archiving.
    pub rules: Rules,
    /// The tenant's budget of interaction requests a second.
    pub requests_per_second: f64,
}

/// An archive's folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the folder {} cannot be used as an archive; name a folder that can be read and written", path.display())]
pub struct FolderError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// The store in this folder. Nothing is made before the first put.
pub fn folder_stores(folder: &Path) -> Result<Stores, FolderError> {
    let store = FolderStore::open(folder).map_err(|source| FolderError { path: folder.to_owned(), source })?;
    let store = Arc::new(store);
    Ok(Stores { evidence: Arc::clone(&store) as _, state: store })
}

/// The rules of a process whose queue is its own: how many messages it holds is known exactly, so one look at an empty
/// queue is enough and nothing is waited for.
pub fn local_rules(rules: Rules) -> Rules {
    Rules { quiet: Duration::ZERO, ..rules }
}

/// This program, as the archive's files name it.
pub fn producer() -> Producer {
    wiring::producer(env!("CARGO_PKG_NAME"))
}
