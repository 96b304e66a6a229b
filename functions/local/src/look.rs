//! A look at the tenant: what is open is closed, then a daily run, then history until nothing remains or nothing moves.
//!
//! The parts are those of AWS. Fan-out plans, the worker reads, reconcile closes; here they take turns in one process,
//! with a queue in memory between them. So whatever kills this process, the next start finds a run that is open, sends
//! its missing users again and goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use archive::records::UserLine;
use archive::{Archive, ArchiveError, OpenError};
use domain::{Class, Deadline, RunId, Timestamp, UserId};
use fan_out::FanOutError;
use jiff::SignedDuration;
use queue::{InProcessQueue, QueueError};
use reconcile::ReconcileError;

use crate::drive::{Drained, drive};
use crate::output::{Closed, Estimate, MAX_NAMED, began};
use crate::request::Request;
use crate::screen::Screen;
use crate::stop::Stop;
use crate::texts;
use crate::world::{World, producer};

/// How often a run is reconciled before it counts as stuck: three rounds of users sent again, and as much once more.
const MAX_CLOSINGS: u32 = 8;
/// How many history runs in a row may get nowhere: the first of a heavy user may only learn how much fits into a run.
const IDLE_RUNS: u32 = 1;
/// How long fan-out and reconcile may take: as on AWS, where Lambda ends them.
const INVOCATION: SignedDuration = SignedDuration::from_mins(15);

/// How a look ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether every run it closed is complete.
    pub complete: bool,
    /// Whether it was asked to stop before it was through.
    pub stopped: bool,
}

/// Why a look failed. What it read until then is in the archive.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The archive is another tenant's, newer, or none.
    #[error("the archive cannot be opened")]
    Open(#[source] OpenError),
    /// The archive could not be read or written.
    #[error("the archive failed")]
    Archive(#[from] ArchiveError),
    /// The explaining texts could not be put.
    #[error("the archive failed")]
    Texts(#[from] archive::store::StoreError),
    /// The run could not be planned.
    #[error("the run could not be planned")]
    FanOut(#[from] FanOutError),
    /// The run could not be closed.
    #[error("the run could not be closed")]
    Reconcile(#[from] ReconcileError),
    /// The queue failed.
    #[error("the queue in memory failed")]
    Queue(#[from] QueueError),
}

impl LookError {
    /// Whether what was asked or named is at fault, and nothing was written.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Open(error) | Self::FanOut(FanOutError::Open(error)) => !matches!(error, OpenError::Store(_)),
            Self::FanOut(error) => matches!(
                error,
                FanOutError::InvalidPayload(_) | FanOutError::InvalidConfiguration(_) | FanOutError::RunReused
            ),
            _ => false,
        }
    }
}

/// A look in progress.
struct Look<'a> {
    world: &'a World,
    screen: &'a Screen,
    stop: &'a Stop,
    queue: InProcessQueue,
    fan_out: fan_out::Deps,
    worker: worker::Deps,
    reconcile: reconcile::Deps,
    complete: bool,
    /// Dead letters that were shown.
    dead: usize,
    newest_time: Timestamp,
}

/// Looks.
pub async fn look(world: &World, request: &Request, screen: &Arc<Screen>, stop: &Stop) -> Result<Outcome, LookError> {
    let mut look = Look::new(world, screen, stop);
    let archive = look.open().await?;
    if request.dry_run {
        look.estimate(request, archive.is_some()).await?;
        return Ok(look.outcome());
    }
    if let Some(archive) = &archive {
        texts::put(archive.evidence()).await?;
        look.close_open_runs(archive).await?;
    }
    if !stop.asked() {
        look.runs(request).await?;
    }
    Ok(look.outcome())
}

impl<'a> Look<'a> {
    fn new(world: &'a World, screen: &'a Arc<Screen>, stop: &'a Stop) -> Self {
        let World { graph, place, tenant, clock, random, rules, requests_per_second } = world;
        let stores = &place.stores;
        let queue = InProcessQueue::new(queue::Options::default(), Arc::clone(clock), Arc::clone(random));
        let shared: Arc<dyn queue::Queue> = Arc::new(queue.clone());
        Self {
            fan_out: fan_out::Deps {
                graph: graph.clone(),
                stores: stores.clone(),
                tenant: *tenant,
                queue: Arc::clone(&shared),
                clock: Arc::clone(clock),
                random: Arc::clone(random),
                rules: rules.clone(),
                requests_per_second: *requests_per_second,
                producer: producer(),
            },
            worker: worker::Deps {
                graph: graph.clone(),
                stores: stores.clone(),
                tenant: *tenant,
                queue: Arc::clone(&shared),
                clock: Arc::clone(clock),
                random: Arc::clone(random),
                rules: rules.clone(),
                progress: Arc::clone(screen) as _,
            },
            reconcile: reconcile::Deps {
                stores: stores.clone(),
                tenant: *tenant,
                queue: shared,
                clock: Arc::clone(clock),
                random: Arc::clone(random),
                rules: rules.clone(),
                producer: producer(),
            },
            world,
            screen,
            stop,
            queue,
            complete: true,
            dead: 0,
            newest_time: Timestamp::MIN,
        }
    }

    fn outcome(&self) -> Outcome {
        let stopped = self.stop.asked();
        Outcome { complete: self.complete && !stopped, stopped }
    }

    async fn open(&self) -> Result<Option<Archive>, LookError> {
        let World { place, tenant, clock, random, .. } = self.world;
        Archive::open(place.stores.clone(), *tenant, Arc::clone(clock), Arc::clone(random))
            .await
            .map_err(LookError::Open)
    }

    /// Sends the missing users of every open run again, which counts as no round, and closes what can be closed.
    async fn close_open_runs(&mut self, archive: &Archive) -> Result<(), LookError> {
        let closed: Vec<RunId> = archive.ledger().await?.into_iter().map(|(_, entry)| entry.run_id).collect();
        for run in archive.runs().await?.into_iter().filter(|run| !closed.contains(run)) {
            if self.stop.asked() {
                return Ok(());
            }
            let sent = match reconcile::resend_missing(&run, &self.reconcile).await {
                // In a folder nothing expires by itself, and the run would be met at every start.
                Err(ReconcileError::Expired(_)) => {
                    self.screen
                        .say(&format!("\nrun {run}  was left open, and began before what is kept: it is over\n"));
                    continue;
                }
                sent => sent?,
            };
            self.screen.say(&format!("\nrun {run}  was left open: {sent} users are sent again\n"));
            self.read(&run, sent, false).await?;
        }
        Ok(())
    }

    /// The run that is asked for, and history after it.
    async fn runs(&mut self, request: &Request) -> Result<(), LookError> {
        let time = self.next_time();
        let closed = self.run(&request.payload(time), time).await?;
        let mut before = match closed {
            Some(closed) if request.is_whole_look() && request.history => closed,
            _ => return Ok(()),
        };
        let mut idle = 0;
        while before.report.history_remaining > 0 && !self.stop.asked() {
            let time = self.next_time();
            let Some(after) = self.run(&request.history_payload(time), time).await? else { return Ok(()) };
            if after.report.users.planned == 0 {
                break;
            }
            let moved = after.report.history_remaining < before.report.history_remaining
                || after.history_seconds < before.history_seconds;
            idle = if moved { 0 } else { idle + 1 };
            if idle > IDLE_RUNS {
                let remaining = after.report.history_remaining;
                self.complete = false;
                self.screen.say(&format!("history  does not get on: {remaining} users remain; start again to go on\n"));
                break;
            }
            before = after;
        }
        Ok(())
    }

    /// The time a run is called after: now, in whole seconds, and not one that was used.
    fn next_time(&mut self) -> Timestamp {
        let now = self.world.clock.now();
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let after = self.newest_time.checked_add(SignedDuration::from_secs(1)).unwrap_or(now);
        self.newest_time = now.max(after);
        self.newest_time
    }

    /// Plans a run and reads it; the figures if it was closed.
    async fn run(&mut self, payload: &str, time: Timestamp) -> Result<Option<Closed>, LookError> {
        let request_id = time.strftime("%Y%m%dT%H%M%SZ").to_string();
        let invocation = fan_out::Invocation { request_id: &request_id, deadline: self.deadline() };
        let answer = Box::pin(fan_out::handle(payload.as_bytes(), invocation, &self.fan_out)).await?;
        let fan_out::Answer::Planned { run_id, kind, enumerated, planned, .. } = answer else {
            return Ok(None);
        };
        texts::put(&*self.world.place.stores.evidence).await?;
        self.screen.say(&began(run_id.as_str(), kind, enumerated, planned));
        self.read(&run_id, planned, true).await
    }

    /// Reads the users in the queue and closes the run. `timed`: it began in this process.
    async fn read(&mut self, run: &RunId, planned: u64, timed: bool) -> Result<Option<Closed>, LookError> {
        let payload = serde_json::json!({ "runId": run }).to_string();
        for _ in 0..MAX_CLOSINGS {
            let World { graph, clock, requests_per_second, .. } = self.world;
            let work = drive(&self.queue, &self.worker, self.stop);
            let drained = self.screen.watch(planned, graph, *requests_per_second, &**clock, work).await?;
            self.show_dead_letters();
            if drained == Drained::Stopped {
                return Ok(None);
            }
            match Box::pin(reconcile::handle(payload.as_bytes(), self.deadline(), &self.reconcile)).await? {
                reconcile::Answer::Closed(closed) => {
                    let closed = self.figures(run, *closed, timed).await?;
                    self.complete &= closed.report.complete;
                    self.screen.say(&closed.render(self.screen.style));
                    return Ok(Some(closed));
                }
                _ => self.screen.say(&format!("run {run}  some users left no answer and are sent again\n")),
            }
        }
        self.complete = false;
        self.screen.say(&format!("run {run}  stays open: start the program again to go on with it\n"));
        Ok(None)
    }

    fn show_dead_letters(&mut self) {
        let dead = self.queue.dead_letters().len();
        if dead > self.dead {
            self.screen.say(&format!(
                "dead letters  {} messages were delivered {} times without success; RUST_LOG=worker=info says why\n",
                dead - self.dead,
                queue::Options::default().max_receive_count
            ));
            self.dead = dead;
        }
    }

    async fn figures(
        &self,
        run: &RunId,
        reconcile::Closed { report, ledger }: reconcile::Closed,
        timed: bool,
    ) -> Result<Closed, LookError> {
        let lines = match self.open().await? {
            Some(archive) => archive.users(run).await?.unwrap_or_default(),
            None => Vec::new(),
        };
        let segments: BTreeMap<&str, u64> =
            lines.iter().flat_map(|line| &line.segments).map(|segment| (segment.key.as_str(), segment.lines)).collect();
        Ok(Closed {
            entry: ledger.n,
            sha256: ledger.sha256,
            segments: segments.len() as u64,
            lines: segments.values().sum(),
            bytes: segments.keys().map(|key| self.world.place.location.size(key)).sum(),
            history_start: self.world.rules.history_begins(report.started_at),
            timed,
            unread: unread(&lines),
            history_seconds: history_seconds(&lines),
            report,
        })
    }

    /// Says what the runs would take, and writes nothing.
    async fn estimate(&self, request: &Request, exists: bool) -> Result<(), LookError> {
        let time = self.world.clock.now();
        let time = Timestamp::from_second(time.as_second()).unwrap_or(time);
        let mut payloads = vec![request.payload(time)];
        // History continues what is covered, so before a first run there is none to plan.
        if request.is_whole_look() && request.history && exists {
            payloads.push(request.history_payload(time));
        }
        for payload in payloads {
            let invocation = fan_out::Invocation { request_id: "dry-run", deadline: self.deadline() };
            let answer = Box::pin(fan_out::handle(payload.as_bytes(), invocation, &self.fan_out)).await?;
            if let fan_out::Answer::DryRun { kind, enumerated, excluded, planned, estimate } = answer {
                let fan_out::Estimate { requests, minutes, runs, .. } = estimate;
                let estimate = Estimate { kind, enumerated, excluded, planned, requests, minutes, runs };
                self.screen.say(&estimate.render());
            }
        }
        Ok(())
    }

    fn deadline(&self) -> Deadline {
        let now = self.world.clock.now();
        Deadline::before(now.checked_add(INVOCATION).unwrap_or(now), now)
    }
}

/// The first users that were not read to the end.
fn unread(lines: &[UserLine]) -> Vec<(UserId, Option<Class>)> {
    let failed = |line: &&UserLine| line.class.is_none_or(Class::is_failed);
    lines.iter().filter(failed).take(MAX_NAMED).map(|line| (line.user_id, line.class)).collect()
}

/// The sum of the instants at which the users' coverage begins: it falls while history gets on.
fn history_seconds(lines: &[UserLine]) -> i64 {
    lines.iter().filter_map(|line| line.covered_from).map(Timestamp::as_second).sum()
}
