//! Enumerates the licensed users of a run into the queue.
//!
//! [`handle`] reads the payload, asks the directory everything it has to know, writes the roster and then run.json, and
//! sends a message for each planned user. The messages are made from what lies in the archive: whoever comes second, be it
//! a second firing of the schedule or a repeated request, goes on from there.

mod enumerate;
mod error;
mod estimate;
mod fault;
mod known;
mod leavers;
pub mod payload;
mod plan;
mod roster;
mod window;

use std::sync::Arc;

use archive::records::{Asked, Counts, Exclusion, FORMAT, Producer, RosterLine, RunFile, Why};
use archive::{Archive, Stores};
use domain::{Clock, Deadline, Kind, Message, Random, RunId, TenantId, Timestamp, UserId};
use graph::GraphClient;
use jiff::SignedDuration;
use queue::{Outgoing, Queue};
use serde::Serialize;

pub use error::FanOutError;
pub use estimate::Estimate;
pub use fault::{Fault, Faults};

use crate::enumerate::Names;
use crate::payload::Request;
use crate::plan::Plan;

/// Messages handed to the queue at once. The time left is looked at between them.
const MESSAGES_AT_ONCE: usize = 1_000;

/// How long after its start a run closes in any case: before the next daily one.
const RUN_TIME: SignedDuration = SignedDuration::from_hours(23);

/// How long after the last piece was begun a history run closes in any case.
const HISTORY_GRACE: SignedDuration = SignedDuration::from_hours(1);

/// What a fan-out works with.
#[derive(Clone)]
pub struct Deps {
    /// Microsoft Graph.
    pub graph: GraphClient,
    /// Where the archive lies.
    pub stores: Stores,
    /// The tenant.
    pub tenant: TenantId,
    /// The work queue.
    pub queue: Arc<dyn Queue>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of random bits.
    pub random: Arc<dyn Random>,
    /// The rules of archiving.
    pub rules: settings::Rules,
    /// The tenant's whole budget of interaction requests, for estimates.
    pub requests_per_second: f64,
    /// This program, as run.json names it.
    pub producer: Producer,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps").field("tenant", &self.tenant).field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// One call of the function.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// Lambda's id of the request. It stays the same when Lambda repeats an asynchronous invocation.
    pub request_id: &'a str,
    /// When work has to stop.
    pub deadline: Deadline,
}

/// What a fan-out answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Answer {
    /// The run is in the archive and every planned user's message in the queue.
    Planned {
        /// The run.
        run_id: RunId,
        /// What kind of run.
        kind: Kind,
        /// How many users the roster names: excluded + planned.
        enumerated: u64,
        /// How many are not planned, by reason.
        excluded: Counts,
        /// How many are.
        planned: u64,
    },
    /// Nothing was written or sent.
    DryRun {
        /// What kind of run it would be.
        kind: Kind,
        /// How many users the roster would name.
        enumerated: u64,
        /// How many would not be planned, by reason.
        excluded: Counts,
        /// How many would.
        planned: u64,
        /// What it would take.
        #[serde(flatten)]
        estimate: Estimate,
    },
}

impl Answer {
    fn of(run: &RunFile) -> Self {
        Self::Planned {
            run_id: run.run_id.clone(),
            kind: run.kind,
            enumerated: run.enumerated,
            excluded: run.excluded.clone(),
            planned: run.planned,
        }
    }
}

/// Plans the run that a payload (a JSON event) asks for, or goes on with it.
pub async fn handle(payload: &[u8], invocation: Invocation<'_>, deps: &Deps) -> Result<Answer, FanOutError> {
    let request = Request::parse(payload)?;
    let started_at = deps.clock.now();
    // What the clock alone refuses needs no question to Graph.
    window::bounds(&request, started_at, deps.rules.kept_since(started_at), deps.rules.settle)?;
    let archive =
        Archive::open(deps.stores.clone(), deps.tenant, Arc::clone(&deps.clock), Arc::clone(&deps.random)).await?;
    if request.dry_run {
        // What asks Graph is kept on the heap, so that callers need not carry a state of many kilobytes.
        let (plan, _) = Box::pin(ask(&request, archive.as_ref(), started_at, invocation.deadline, deps)).await?;
        return Ok(plan.estimate(deps));
    }
    let run_id = run_id(&request, invocation.request_id)?;
    if let Some(archive) = &archive {
        if let Some(run) = archive.run(&run_id).await? {
            let names = Names::resolve(&request, &deps.graph, invocation.deadline).await?;
            return resume(archive, run, &request, &names.asked(&request, &deps.rules), invocation.deadline, deps)
                .await;
        }
        // The files of a run expire; its entry in the ledger stays, and no second one may name the same run.
        let may_have_expired = deps.rules.retention.is_some() && request.run_id.is_some();
        if may_have_expired && archive.closed(&run_id).await?.is_some() {
            return Err(FanOutError::RunReused);
        }
    }
    Box::pin(start(run_id, &request, archive.as_ref(), started_at, invocation.deadline, deps)).await
}

/// The id of the run. A schedule that fires twice names the same one, and so does a repeated request.
fn run_id(request: &Request, request_id: &str) -> Result<RunId, FanOutError> {
    match (request.scheduled_time, &request.run_id) {
        (Some(at), _) => Ok(RunId::scheduled(at, request.kind())),
        (None, Some(run_id)) => Ok(run_id.clone()),
        (None, None) => RunId::on_demand(request_id).map_err(FanOutError::RequestId),
    }
}

/// Asks the directory everything there is to know for a run. Consent first: without it, every other question would fail
/// for a reason harder to understand.
async fn ask(
    request: &Request,
    archive: Option<&Archive>,
    started_at: Timestamp,
    by: Deadline,
    deps: &Deps,
) -> Result<(Plan, Asked), FanOutError> {
    deps.graph.check_consent(by).await.map_err(FanOutError::Graph)?;
    let names = Names::resolve(request, &deps.graph, by).await?;
    let plan = Plan::make(request, &names, archive, started_at, deps, by).await?;
    Ok((plan, names.asked(request, &deps.rules)))
}

/// Asks everything, then writes the roster, then run.json, then sends.
async fn start(
    run_id: RunId,
    request: &Request,
    archive: Option<&Archive>,
    started_at: Timestamp,
    by: Deadline,
    deps: &Deps,
) -> Result<Answer, FanOutError> {
    let (plan, asked) = ask(request, archive, started_at, by, deps).await?;
    let archive =
        Archive::open_or_create(deps.stores.clone(), deps.tenant, Arc::clone(&deps.clock), Arc::clone(&deps.random))
            .await?;
    // An id that somebody chose may have been chosen for something else; a scheduled time names one request.
    let choices_made = request.run_id.is_some().then(|| choices(&plan.roster));
    let roster = archive.put_roster(&run_id, plan.roster).await?.value;
    // A roster without run.json is what a killed fan-out left behind, or one that is a moment ahead.
    if !is_for(&roster, &asked) || choices_made.is_some_and(|made| made != choices(&roster)) {
        return Err(FanOutError::RunReused);
    }
    let tally = roster::Tally::of(&roster);
    let not_after = (request.kind() == Kind::History).then(|| later(started_at, deps.rules.history_hours));
    let run = RunFile {
        format: FORMAT,
        run_id,
        tenant_id: deps.tenant,
        kind: request.kind(),
        asked,
        from: plan.bounds.from,
        to: plan.bounds.to,
        not_after,
        deadline: not_after.map_or_else(|| later(started_at, RUN_TIME), |time| later(time, HISTORY_GRACE)),
        overlap_hours: u32::try_from(deps.rules.overlap.as_hours()).unwrap_or(u32::MAX),
        enumerated: tally.enumerated,
        excluded: tally.excluded,
        planned: tally.planned,
        started_at,
        producer: deps.producer.clone(),
    };
    let stored = archive.put_run(&run).await?;
    if !stored.created {
        return resume(&archive, stored.value, request, &run.asked, by, deps).await;
    }
    send(&run, &roster, by, deps).await
}

/// Goes on with a run that lies in the archive, if it was asked for by the same request.
async fn resume(
    archive: &Archive,
    run: RunFile,
    request: &Request,
    asked: &Asked,
    by: Deadline,
    deps: &Deps,
) -> Result<Answer, FanOutError> {
    if run.kind != request.kind() || by_request(&run.asked) != by_request(asked) {
        return Err(FanOutError::RunReused);
    }
    if archive.closed(&run.run_id).await?.is_some() {
        tracing::info!(run_id = %run.run_id, "the run is closed: nothing is sent");
        return Ok(Answer::of(&run));
    }
    let roster = archive.roster(&run.run_id).await?.ok_or(FanOutError::RosterGone)?;
    send(&run, &roster, by, deps).await
}

/// What the request asked, without what the configuration added: a run goes on after the configuration was changed.
fn by_request(asked: &Asked) -> Asked {
    Asked { include_groups: None, exclude_groups: None, ..asked.clone() }
}

/// Whether a roster can be one of this request: the same users, if users were asked for.
fn is_for(roster: &[RosterLine], asked: &Asked) -> bool {
    let by_name = |line: &RosterLine| line.why == Why::Asked;
    match &asked.users {
        Some(users) => roster.iter().map(|line| line.user_id).eq(users.iter().copied()) && roster.iter().all(by_name),
        None => !roster.iter().any(by_name),
    }
}

/// Who is on a roster, and who of them is planned: by this two requests differ that name no users. A directory that has
/// changed meanwhile makes the same request another one, too; it then takes another id.
fn choices(roster: &[RosterLine]) -> Vec<(UserId, Option<Exclusion>)> {
    roster.iter().map(|line| (line.user_id, line.excluded)).collect()
}

/// Sends a message for each planned user. A user who gets two is read twice at most, and archived once.
async fn send(run: &RunFile, roster: &[RosterLine], by: Deadline, deps: &Deps) -> Result<Answer, FanOutError> {
    let planned: Vec<UserId> = roster.iter().filter(|line| line.planned).map(|line| line.user_id).collect();
    for users in planned.chunks(MESSAGES_AT_ONCE) {
        if by.passed(deps.clock.now()) {
            return Err(FanOutError::DeadlinePassed);
        }
        let messages = users.iter().map(|user_id| Outgoing {
            body: Message {
                run_id: run.run_id.clone(),
                user_id: *user_id,
                from: run.from,
                to: run.to,
                not_after: run.not_after,
                hops: 0,
            }
            .to_body(),
            delay: std::time::Duration::ZERO,
        });
        deps.queue.send(messages.collect()).await.map_err(FanOutError::Queue)?;
    }
    tracing::info!(
        run_id = %run.run_id,
        kind = %run.kind,
        enumerated = run.enumerated,
        planned = run.planned,
        "every planned user's message is in the queue"
    );
    Ok(Answer::of(run))
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}
