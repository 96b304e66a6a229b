//! Closes a run: proves it complete, or names and re-drives what is missing.
//!
//! A run is over when each planned user has a class in some receipt. [`handle`] adds up the receipts; if users are still
//! without one while the queue is empty, their messages are gone, and they are sent again. Closing makes of the receipts one
//! line per user, of the lines one report, and links both into the ledger. All of it can be repeated, interrupted and done
//! twice at once: every step is put once, and goes on from what is there.

mod close;
mod error;
mod numbers;
mod origin;
mod payload;
mod rounds;
mod runs;
mod share;
mod tally;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use archive::records::{Producer, Report};
use archive::{Archive, LedgerHead, Stores};
use domain::{Clock, Deadline, Random, RunId, TenantId};
use queue::Queue;
use serde::Serialize;

pub use error::ReconcileError;
pub use payload::{Fault, Faults};

use payload::Request;

/// What reconciling needs.
#[derive(Clone)]
pub struct Deps {
    /// Where the archive lies.
    pub stores: Stores,
    /// The tenant it holds.
    pub tenant: TenantId,
    /// Where users are sent again, and whose silence says that nobody works on them.
    pub queue: Arc<dyn Queue>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for the delays between attempts.
    pub random: Arc<dyn Random>,
    /// When a queue counts as empty, and how far back history is read.
    pub rules: settings::Rules,
    /// This program, as the ledger names it.
    pub producer: Producer,
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps").field("tenant", &self.tenant).field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// What became of the run or runs asked for. Serialises as the function's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// The run is closed.
    Closed(Box<Closed>),
    /// The run goes on.
    Open(Open),
    /// Of every run that was open.
    All {
        /// Their answers, in the order of the run ids.
        runs: Vec<Self>,
    },
}

/// A closed run: what its report says, and where the ledger names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Closed {
    /// The report that lies in the archive.
    #[serde(flatten)]
    pub report: Report,
    /// The ledger's entry of the run.
    pub ledger: LedgerHead,
}

/// An open run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Open {
    /// The run.
    pub run_id: RunId,
    /// `open`.
    pub state: RunState,
    /// How many planned users are not yet read, unavailable or deferred.
    pub waiting: u64,
}

/// What an open run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Not closed; which is not incomplete.
    Open,
}

/// Reconciles the run that the payload names, or every open run.
///
/// Runs that can be closed are closed at once. If others remain, the queue is read twice, [`quiet`](settings::Rules::quiet)
/// apart, once for all of them; if time does not allow that before `deadline`, they stay open. A run that fails does not
/// keep others from being closed; its error is what is answered then.
pub async fn handle(payload: &[u8], deadline: Deadline, deps: &Deps) -> Result<Answer, ReconcileError> {
    let request = Request::parse(payload).map_err(ReconcileError::InvalidPayload)?;
    let archive = open(deps).await?;
    match (request, archive) {
        (Request::All, None) => Ok(Answer::All { runs: Vec::new() }),
        (Request::All, Some(archive)) => {
            let runs = runs::open(&archive, deps).await?;
            Ok(Answer::All { runs: runs::reconcile(&archive, runs, deadline, deps).await? })
        }
        (Request::Run(run), None) => Err(ReconcileError::UnknownRun(run)),
        (Request::Run(run), Some(archive)) => {
            let answers = runs::reconcile(&archive, vec![run.clone()], deadline, deps).await?;
            answers.into_iter().next().ok_or(ReconcileError::UnknownRun(run))
        }
    }
}

/// Sends again every user of an open run who has no class, without counting a round. For the local program, whose queue does
/// not outlive its process. Answers how many were sent: none of a run that is closed, or being closed.
pub async fn resend_missing(run: &RunId, deps: &Deps) -> Result<u64, ReconcileError> {
    let archive = open(deps).await?.ok_or_else(|| ReconcileError::UnknownRun(run.clone()))?;
    runs::resend(&archive, run, deps).await
}

async fn open(deps: &Deps) -> Result<Option<Archive>, ReconcileError> {
    let (clock, random) = (Arc::clone(&deps.clock), Arc::clone(&deps.random));
    Archive::open(deps.stores.clone(), deps.tenant, clock, random).await.map_err(ReconcileError::Open)
}
