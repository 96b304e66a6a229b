//! The one retry loop: how often, how long in between, and never past the deadline.

use std::time::Duration;

use domain::{Clock, Deadline, Random};

use crate::error::GraphError;
use crate::wait::{after, backoff, within};

/// How often a request that fails is made: with the waits in between about a minute, which outlasts a server's restart
/// but not a function's time.
pub(crate) const ATTEMPTS: u32 = 8;

/// How often a page that does not parse is fetched: a transfer gone wrong is cured by the second time, and a bad item
/// is not cured by the eighth.
pub(crate) const PAGE_ATTEMPTS: u32 = 3;

/// What one attempt came to.
pub(crate) enum Step<T> {
    /// An answer.
    Done(T),
    /// Another attempt would end the same.
    Stop(GraphError),
    /// Worth another attempt, `attempts` of the kind in all; `last` is what it is if none helps.
    Again { last: GraphError, server: Option<Duration>, attempts: u32 },
    /// Make the next attempt now. Whoever says so bounds how often, or waits elsewhere.
    AtOnce,
}

/// The attempts at one request. The caller makes them in a loop, each by [`Retry::step`], until there is an answer.
pub(crate) struct Retry<'a> {
    clock: &'a dyn Clock,
    random: &'a dyn Random,
    deadline: Deadline,
    failed: u32,
}

impl<'a> Retry<'a> {
    pub(crate) const fn new(clock: &'a dyn Clock, random: &'a dyn Random, deadline: Deadline) -> Self {
        Self { clock, random, deadline, failed: 0 }
    }

    /// Makes one attempt and, if it is to be followed by another, waits for its time. `None`: make the next one.
    pub(crate) async fn step<T>(
        &mut self,
        attempt: impl Future<Output = Step<T>> + Send,
    ) -> Result<Option<T>, GraphError> {
        if self.deadline.passed(self.clock.now()) {
            return Err(GraphError::DeadlinePassed);
        }
        match within(self.clock, self.deadline, attempt).await {
            None => Err(GraphError::DeadlinePassed),
            Some(Step::Done(answer)) => Ok(Some(answer)),
            Some(Step::Stop(error)) => Err(error),
            Some(Step::AtOnce) => Ok(None),
            Some(Step::Again { last, server, attempts }) => self.wait(last, server, attempts).await.map(|()| None),
        }
    }

    async fn wait(&mut self, last: GraphError, server: Option<Duration>, attempts: u32) -> Result<(), GraphError> {
        self.failed += 1;
        if self.failed >= attempts {
            return Err(last);
        }
        let now = self.clock.now();
        let server = server.map(|wait| after(now, wait));
        if let Some(until) = server.filter(|until| self.deadline.passed(*until)) {
            return Err(GraphError::RetryAfter { until });
        }
        let own = after(now, backoff(self.failed, self.random));
        let until = server.map_or(own, |server| server.max(own));
        if self.deadline.passed(until) {
            return Err(GraphError::DeadlinePassed);
        }
        self.clock.sleep_until(until).await;
        Ok(())
    }
}
