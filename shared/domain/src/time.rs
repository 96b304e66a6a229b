//! Time as a dependency.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

/// What time it is, and how to wait.
#[async_trait]
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;

    /// Waits for this long, on this clock.
    async fn sleep(&self, duration: Duration);

    /// Waits until this clock shows the time; not at all if it has passed.
    async fn sleep_until(&self, time: Timestamp) {
        if let Ok(left) = Duration::try_from(time.duration_since(self.now())) {
            self.sleep(left).await;
        }
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that starts at a given time and runs so many times faster than tokio's. On a paused runtime tokio's time moves
/// only when every task waits, so with a factor of 1 this is fully simulated time.
#[derive(Debug, Clone)]
pub struct ScaledClock {
    origin: Timestamp,
    started: tokio::time::Instant,
    factor: f64,
}

impl ScaledClock {
    /// A clock that shows `origin` now. Must be made on a tokio runtime if its time is to be simulated.
    ///
    /// A factor that is not positive counts as 1.
    pub fn new(origin: Timestamp, factor: f64) -> Self {
        let factor = if factor > 0.0 && factor.is_finite() { factor } else { 1.0 };
        Self { origin, started: tokio::time::Instant::now(), factor }
    }

    /// How many times faster than real it runs.
    pub fn factor(&self) -> f64 {
        self.factor
    }
}

#[async_trait]
impl Clock for ScaledClock {
    fn now(&self) -> Timestamp {
        let elapsed = self.started.elapsed().mul_f64(self.factor);
        SignedDuration::try_from(elapsed)
            .ok()
            .and_then(|elapsed| self.origin.checked_add(elapsed).ok())
            .unwrap_or(Timestamp::MAX)
    }

    #[expect(clippy::disallowed_methods, reason = "the other place that sleeps")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration.div_f64(self.factor)).await;
    }
}

/// When work has to stop, which lies a margin before the time the process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Timestamp);

impl Deadline {
    /// The deadline of work that may run from `now` until the process is killed at `killed_at`: max(1 s, min(30 s, 10 % of
    /// the time given)) before it.
    pub fn before(killed_at: Timestamp, now: Timestamp) -> Self {
        let given = killed_at.duration_since(now).max(SignedDuration::ZERO);
        let margin = (given / 10).clamp(SignedDuration::from_secs(1), SignedDuration::from_secs(30));
        Self(killed_at.checked_sub(margin).unwrap_or(Timestamp::MIN))
    }

    /// A deadline at exactly this time.
    pub const fn at(time: Timestamp) -> Self {
        Self(time)
    }

    /// No deadline.
    pub const fn never() -> Self {
        Self(Timestamp::MAX)
    }

    /// When it is.
    pub const fn time(self) -> Timestamp {
        self.0
    }

    /// Whether it has passed.
    pub fn passed(self, now: Timestamp) -> bool {
        now >= self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_margin_is_a_tenth_of_the_time_given_within_bounds() {
        let now = time("2026-01-01T00:00:00Z");
        for (given, margin) in [(3, 1), (100, 10), (900, 30)] {
            let killed_at = now + SignedDuration::from_secs(given);
            assert_eq!(
                Deadline::before(killed_at, now).time(),
                killed_at - SignedDuration::from_secs(margin),
                "{given}"
            );
        }
        assert!(Deadline::before(now, time("2026-01-01T00:10:00Z")).passed(now));
    }

    #[tokio::test(start_paused = true)]
    async fn a_scaled_clock_sleeps_as_long_as_it_shows() {
        let clock = ScaledClock::new(time("2026-01-01T00:00:00Z"), 10.0);
        let real = tokio::time::Instant::now();
        clock.sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.now(), time("2026-01-01T01:00:00Z"));
        assert_eq!(real.elapsed(), Duration::from_secs(360));
        clock.sleep_until(time("2026-01-01T00:30:00Z")).await;
        assert_eq!(clock.now(), time("2026-01-01T01:00:00Z"));
    }
}
