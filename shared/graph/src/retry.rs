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

/// Makes attempts until one ends it, the attempts are used up, or the deadline leaves no time for another one.
pub(crate) async fn retry<T>(
    clock: &dyn Clock,
    random: &dyn Random,
    deadline: Deadline,
    mut attempt: impl AsyncFnMut() -> Step<T>,
) -> Result<T, GraphError> {
    let mut failed = 0;
    loop {
        if deadline.passed(clock.now()) {
            return Err(GraphError::DeadlinePassed);
        }
        match within(clock, deadline, attempt()).await {
            None => return Err(GraphError::DeadlinePassed),
            Some(Step::Done(answer)) => return Ok(answer),
            Some(Step::Stop(error)) => return Err(error),
            Some(Step::AtOnce) => {}
            Some(Step::Again { last, server, attempts }) => {
                failed += 1;
                if failed >= attempts {
                    return Err(last);
                }
                let now = clock.now();
                let server = server.map(|wait| after(now, wait));
                if let Some(until) = server.filter(|until| deadline.passed(*until)) {
                    return Err(GraphError::RetryAfter { until });
                }
                let own = after(now, backoff(failed, random));
                let until = server.map_or(own, |server| server.max(own));
                if deadline.passed(until) {
                    return Err(GraphError::DeadlinePassed);
                }
                clock.sleep_until(until).await;
            }
        }
    }
}
