//! The quota of one application in one tenant: a bucket for bursts and a sliding window for the long run.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::switches::Quota;

/// What a refusal says to wait while nothing at all is allowed: a length a client has to cope with, and no more.
const CLOSED: Duration = Duration::from_secs(60);

/// Counts requests. Refused ones count as well, so asking on is punished.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    bucket: Option<(f64, Timestamp)>,
    recent: VecDeque<Timestamp>,
}

impl Limiter {
    /// Counts a request; an error says how long it takes, in whole seconds, until one would be let through.
    pub(crate) fn admit(&mut self, quota: &Quota, now: Timestamp) -> Result<(), Duration> {
        if !quota.enforced {
            return Ok(());
        }
        let rate = quota.at(now);
        let in_time = self.admit_burst(rate, now);
        let in_window = self.admit_sustained(rate, quota, now).max(self.admit_app(quota, now));
        if rate <= 0.0 {
            return Err(CLOSED);
        }
        match in_time.max(in_window) {
            Duration::ZERO => Ok(()),
            wait => Err(Duration::from_secs(wait.as_secs_f64().ceil() as u64)),
        }
    }

    fn admit_burst(&mut self, rate: f64, now: Timestamp) -> Duration {
        let size = rate.max(1.0);
        let (left, since) = self.bucket.unwrap_or((size, now));
        let elapsed = now.duration_since(since).as_secs_f64().max(0.0);
        let left = (left + elapsed * rate).min(size);
        // Debt ends at one second's worth: however many were refused, a pause of two seconds is enough.
        let rest = (left - 1.0).max(-size);
        self.bucket = Some((rest, now));
        if left >= 1.0 || rate <= 0.0 { Duration::ZERO } else { Duration::from_secs_f64((1.0 - rest) / rate) }
    }

    /// The limit over all tenants, of which this one is all there are.
    fn admit_app(&self, quota: &Quota, now: Timestamp) -> Duration {
        let second = SignedDuration::from_secs(1);
        let recent = self.recent.iter().rev().take_while(|time| now.duration_since(**time) < second).count();
        if recent <= quota.app_per_second { Duration::ZERO } else { Duration::from_secs(1) }
    }

    fn admit_sustained(&mut self, rate: f64, quota: &Quota, now: Timestamp) -> Duration {
        let window = SignedDuration::from_secs(i64::from(quota.sustained_seconds));
        while self.recent.front().is_some_and(|first| now.duration_since(*first) >= window) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        let allowed = (rate * quota.sustained_share * f64::from(quota.sustained_seconds)).floor().max(1.0) as usize;
        if self.recent.len() <= allowed {
            return Duration::ZERO;
        }
        let last_to_leave = self.recent[self.recent.len() - allowed];
        Duration::try_from(window - now.duration_since(last_to_leave)).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switches::QuotaStep;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + millis).unwrap()
    }

    fn admitted(limiter: &mut Limiter, quota: &Quota, every_millis: i64, from: i64, until: i64) -> usize {
        (from..until).step_by(every_millis as usize).filter(|&t| limiter.admit(quota, at(t)).is_ok()).count()
    }

    #[test]
    fn a_burst_of_thirty_passes_and_the_next_does_not() {
        let (quota, mut limiter) = (Quota::default(), Limiter::default());
        assert!((0..30).all(|_| limiter.admit(&quota, at(0)).is_ok()));
        assert_eq!(limiter.admit(&quota, at(0)), Err(Duration::from_secs(1)));
        assert!(limiter.admit(&quota, at(1_100)).is_ok());
    }

    #[test]
    fn an_application_has_a_limit_over_all_tenants() {
        let quota = Quota { per_second: 1e6, app_per_second: 1_500, ..Quota::default() };
        let mut limiter = Limiter::default();
        assert!((0..1_500).all(|_| limiter.admit(&quota, at(0)).is_ok()));
        assert_eq!(limiter.admit(&quota, at(0)), Err(Duration::from_secs(1)));
        assert!(limiter.admit(&quota, at(1_000)).is_ok());
    }

    #[test]
    fn eighty_three_percent_pass_in_the_long_run_and_thirty_a_second_do_not() {
        let quota = Quota::default();
        let mut modest = Limiter::default();
        assert_eq!(admitted(&mut modest, &quota, 41, 0, 300_000), 300_000_usize.div_ceil(41));
        let mut greedy = Limiter::default();
        // 30 a second: the window fills after 1,494 requests, and refused ones keep it full.
        assert_eq!(admitted(&mut greedy, &quota, 34, 0, 300_000), 1_494);
    }

    #[test]
    fn waiting_as_long_as_told_is_enough() {
        let (quota, mut limiter) = (Quota::default(), Limiter::default());
        let mut now = 0;
        let mut refused = 0;
        for _ in 0..5_000 {
            match limiter.admit(&quota, at(now)) {
                Ok(()) => now += 30,
                Err(wait) => {
                    refused += 1;
                    now += wait.as_millis() as i64;
                    assert_eq!(limiter.admit(&quota, at(now)), Ok(()), "after {wait:?}");
                }
            }
        }
        assert!(refused > 0);
    }

    #[test]
    fn a_cut_quota_refuses_what_it_allowed_before_and_nothing_is_nothing() {
        let steps =
            vec![QuotaStep { from: at(60_000), per_second: 3.0 }, QuotaStep { from: at(200_000), per_second: 0.0 }];
        let quota = Quota { steps, ..Quota::default() };
        let mut limiter = Limiter::default();
        assert_eq!(admitted(&mut limiter, &quota, 50, 0, 60_000), 1_200);
        assert!(limiter.admit(&quota, at(60_000)).is_err());
        assert_eq!(admitted(&mut limiter, &quota, 500, 120_000, 180_000), 120);
        assert_eq!(limiter.admit(&quota, at(200_000)), Err(CLOSED));
    }
}
