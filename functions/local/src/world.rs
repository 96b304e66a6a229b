//! Everything a look works with: the tenant to read, and the place to keep it in.

use std::sync::Arc;
use std::time::Duration;

use archive::records::Producer;
use domain::{Clock, Random, TenantId};
use graph::GraphClient;
use settings::Rules;

use crate::location::Place;

/// What a look works with.
#[derive(Debug)]
pub struct World {
    /// The tenant's Graph.
    pub graph: GraphClient,
    /// Where the archive lies.
    pub place: Place,
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

/// The rules of a process whose queue is its own: how many messages it holds is known exactly, so one look at an empty
/// queue is enough and nothing is waited for.
pub fn local_rules(rules: Rules) -> Rules {
    Rules { quiet: Duration::ZERO, ..rules }
}

/// This program, as the archive's files name it.
pub fn producer() -> Producer {
    wiring::producer(env!("CARGO_PKG_NAME"))
}
