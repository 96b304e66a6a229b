//! The pace of requests: evenly spaced at this process's share, paused as a whole when one of them is refused, and braked
//! for a while after that.
//!
//! The brake only ever slows down. A refusal cuts the rate to a part of what it was; from the end of the pause the rate
//! comes back by the clock alone, along a cubic curve that is flat around the rate that was refused and steep away from
//! it. Flat, because near a quota every step up costs refused calls; steep, because a quota that is back should be used.
//! The first request after a pause goes alone: if the server still refuses, it refuses one call and not a row of them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{Clock, Deadline, Random, Timestamp};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::error::GraphError;
use crate::wait::{after, jittered, within};

/// What a refusal leaves of the rate. Less would take longer to come back than a changed quota is worth, more would
/// need more refusals to come down to it.
const REMAINS: f64 = 0.6;

/// The least part of the moment's rate that an average counts for: after an idle spell the average is small and says
/// nothing, and half of the rate at a time still comes down to any quota in a few refusals.
const LEAST_AVERAGE: f64 = 0.5;

/// How long the rate takes to come back to what was refused. Half of it doubles the refusals of a long run; twice of it
/// leaves a restored quota unused for many minutes.
const RECOVERY: Duration = Duration::from_secs(60);

/// The brake never goes below this part of the share: slower than that and one refusal would end a run.
const FLOOR: f64 = 0.01;

/// The least pause after a refusal that does not say how long; up to twice of it by chance, doubled while such refusals
/// follow each other.
const SILENT_PAUSE: Duration = Duration::from_secs(1);

/// How often the pause after silent refusals doubles: to about a minute, the longest window quotas are known to have.
const DOUBLINGS: u32 = 5;

/// How late a timer may wake us without the next slot moving too: else every slot would lose a timer's grain.
const SLACK: Duration = Duration::from_millis(5);

/// Spaces and pauses the requests of one kind.
pub(crate) struct Pace {
    share: f64,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    in_flight: Arc<Semaphore>,
    /// Whose turn it is to wait for the next slot. First come, first served.
    turn: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State>,
}

struct State {
    next_slot: Timestamp,
    paused_until: Timestamp,
    /// Whether the request after a pause has not been answered yet.
    probing: bool,
    silent_refusals: u32,
    brake: Option<Brake>,
    /// How many requests were sent since the last pause began, and when that was (at first: when the first was sent).
    sent: u32,
    counted_since: Timestamp,
}

#[derive(Clone, Copy)]
struct Brake {
    /// The rate that was refused.
    refused_at: f64,
    /// When the rate began to come back.
    since: Timestamp,
}

/// The right to send one request, until it is dropped.
pub(crate) struct Ticket {
    sent_at: Timestamp,
    /// Held by a request that goes alone: nobody's turn comes before its answer.
    probe: Option<OwnedMutexGuard<()>>,
    _in_flight: OwnedSemaphorePermit,
}

impl Pace {
    pub(crate) fn new(share: f64, in_flight: usize, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        let state = State {
            next_slot: Timestamp::MIN,
            paused_until: Timestamp::MIN,
            probing: false,
            silent_refusals: 0,
            brake: None,
            sent: 0,
            counted_since: Timestamp::MAX,
        };
        Self {
            share,
            clock,
            random,
            in_flight: Arc::new(Semaphore::new(in_flight.min(Semaphore::MAX_PERMITS))),
            turn: Arc::default(),
            state: Mutex::new(state),
        }
    }

    /// Waits for the next slot. Hands the work over at once if a pause lasts past the deadline.
    pub(crate) async fn enter(&self, deadline: Deadline) -> Result<Ticket, GraphError> {
        self.check_pause(deadline)?;
        match within(&*self.clock, deadline, self.next_slot(deadline)).await {
            Some(ticket) => ticket,
            None => Err(self.check_pause(deadline).err().unwrap_or(GraphError::DeadlinePassed)),
        }
    }

    fn check_pause(&self, deadline: Deadline) -> Result<(), GraphError> {
        let until = self.state().paused_until;
        if deadline.passed(until) { Err(GraphError::RetryAfter { until }) } else { Ok(()) }
    }

    async fn next_slot(&self, deadline: Deadline) -> Result<Ticket, GraphError> {
        let closed = |_| GraphError::NoAnswer;
        let in_flight = Arc::clone(&self.in_flight).acquire_owned().await.map_err(closed)?;
        let turn = Arc::clone(&self.turn).lock_owned().await;
        loop {
            self.check_pause(deadline)?;
            let now = self.clock.now();
            let slot = {
                let mut state = self.state();
                let slot = state.next_slot.max(state.paused_until);
                if slot <= now {
                    let interval = Duration::from_secs_f64(1.0 / self.rate(&state, now));
                    let latest = now.checked_sub(SLACK.min(interval)).unwrap_or(now);
                    state.next_slot = after(slot.max(latest), interval);
                    state.sent = state.sent.saturating_add(1);
                    state.counted_since = state.counted_since.min(now);
                    let probe = state.probing.then_some(turn);
                    return Ok(Ticket { sent_at: now, probe, _in_flight: in_flight });
                }
                slot
            };
            if deadline.passed(slot) {
                return Err(GraphError::DeadlinePassed);
            }
            self.clock.sleep_until(slot).await;
        }
    }

    /// Notes that the request was answered with anything but a refusal.
    pub(crate) fn answered(&self, ticket: &mut Ticket) {
        let now = self.clock.now();
        let mut state = self.state();
        if ticket.sent_at >= state.paused_until {
            state.silent_refusals = 0;
        }
        if ticket.probe.take().is_some() {
            state.probing = false;
            if let Some(brake) = &mut state.brake {
                brake.since = now;
            }
        }
    }

    /// Notes that the request was refused: nothing starts before the pause is over. Calls that were under way when it
    /// began can only lengthen it.
    pub(crate) fn refused(&self, ticket: &mut Ticket, retry_after: Option<Duration>) {
        let now = self.clock.now();
        let mut state = self.state();
        let asked = retry_after.filter(|wait| !wait.is_zero());
        if ticket.sent_at >= state.paused_until {
            let refused_at = self.refused_rate(&state, ticket, now);
            (state.sent, state.counted_since) = (0, now);
            let doubled = SILENT_PAUSE.saturating_mul(1 << state.silent_refusals.min(DOUBLINGS));
            let own = jittered(if asked.is_some() { SILENT_PAUSE } else { doubled }, &*self.random);
            state.silent_refusals = if asked.is_some() { 0 } else { state.silent_refusals.saturating_add(1) };
            state.paused_until = after(now, asked.map_or(own, |asked| asked.max(own)));
            state.brake = Some(Brake { refused_at, since: state.paused_until });
            state.probing = true;
        } else if let Some(asked) = asked {
            state.paused_until = state.paused_until.max(after(now, asked));
            let until = state.paused_until;
            if let Some(brake) = &mut state.brake {
                brake.since = brake.since.max(until);
            }
        }
        drop(state);
        ticket.probe = None;
    }

    /// The rate that was too much. A quota over a long window admits and refuses in turns, so the average since the last
    /// refusal says more than the moment's rate; but not more than a part of it at once, since there may have been
    /// nothing to ask. A refused probe says only that it is too early.
    fn refused_rate(&self, state: &State, ticket: &Ticket, now: Timestamp) -> f64 {
        let rate = self.rate(state, now);
        if ticket.probe.is_some() {
            return rate;
        }
        let seconds = now.duration_since(state.counted_since).as_secs_f64().max(1.0);
        (f64::from(state.sent) / seconds).clamp(rate * LEAST_AVERAGE, rate)
    }

    /// Requests a second at this time.
    fn rate(&self, state: &State, now: Timestamp) -> f64 {
        let Some(brake) = state.brake else { return self.share };
        let recovered = now.duration_since(brake.since).as_secs_f64().max(0.0) / RECOVERY.as_secs_f64();
        let rate = brake.refused_at * (1.0 + (1.0 - REMAINS) * (recovered - 1.0).powi(3));
        rate.clamp(self.share * FLOOR, self.share)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").field("share", &self.share).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
