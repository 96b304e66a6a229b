//! A clock for tests over real sockets.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::{Clock, Timestamp};

/// A clock that stands still until somebody sleeps on it, which moves it at once.
///
/// Tokio's paused time cannot be used beside real sockets: it leaps ahead whenever everybody waits, also for a socket.
#[derive(Debug)]
pub struct SteppingClock(Mutex<Timestamp>);

impl SteppingClock {
    /// A clock that shows this time.
    pub const fn new(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }
}

#[async_trait]
impl Clock for SteppingClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sleep(&self, duration: Duration) {
        {
            let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *now = now.checked_add(duration).unwrap_or(Timestamp::MAX);
        }
        tokio::task::yield_now().await;
    }
}
