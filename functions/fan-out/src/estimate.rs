//! What a run would take: requests, minutes, dollars, and how many runs until a back-fill is done.
//!
//! Every user costs two requests, busy users more; how busy a user is, is known from the last run that read the user.
//! Estimates err upwards: a plan that ends early disturbs nobody.

use domain::Timestamp;
use jiff::SignedDuration;
use serde::Serialize;

/// Requests of a user who has nothing new: Graph pages each of two mailbox folders.
const REQUESTS_PER_USER: f64 = 2.0;

/// Interactions on a full page.
const ITEMS_PER_PAGE: f64 = 100.0;

/// How often history asks for a page. A piece with more pages than its bound is asked for again at half its length, and
/// the length doubles after each that fits: 2.4 times is the worst steady state.
const HISTORY_REPEATS: f64 = 2.5;

/// How much busier history may be than the last window, which may hold a weekend.
const HISTORY_SAFETY: f64 = 2.0;

/// Seconds a request takes, and a user's requests follow one another: the mean is 0.7, so a bound.
const SECONDS_PER_REQUEST: f64 = 1.0;

/// Hours in a month, each of which is a log of its own.
const HOURS_PER_MONTH: f64 = 730.5;

// AWS list prices for us-east-1 in 2026, from its price pages, free tiers ignored. What is paid whether or not anything
// runs (key, secret, storage) is in no estimate.

/// Lambda on arm64, a gigabyte-second.
const USD_PER_GB_SECOND: f64 = 0.000_013_333_4;
/// S3 Standard, a PUT or LIST.
const USD_PER_PUT: f64 = 0.005 / 1000.0;
/// S3 Standard, a GET.
const USD_PER_GET: f64 = 0.000_4 / 1000.0;
/// SQS standard queue, a request.
const USD_PER_QUEUE_REQUEST: f64 = 0.40 / 1e6;

/// Memory of all workers that run at a time, in gigabytes: two of 256 MB.
const WORKER_GB: f64 = 0.5;
/// Messages in a queue request.
const MESSAGES_PER_REQUEST: f64 = 10.0;
/// Queue requests of a message: sent, received, deleted.
const QUEUE_REQUESTS: f64 = 3.0;
/// Puts of a user beside the logs: the checkpoint, and a share of receipt and users file.
const PUTS_PER_USER: f64 = 1.5;
/// Gets of a user: the checkpoint, and logs it does not hold.
const GETS_PER_USER: f64 = 2.0;

/// What the newest line of a users file says of a user.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Known {
    pub(crate) covered_from: Option<Timestamp>,
    pub(crate) covered_to: Option<Timestamp>,
    /// Items received in the windows read.
    pub(crate) received: f64,
    /// Hours of the windows read.
    pub(crate) hours: f64,
}

/// A planned user: the hours to be read, and what is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) hours: f64,
    pub(crate) known: Option<Known>,
}

/// What a run would take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Interaction requests.
    pub requests: u64,
    /// Minutes until the last user is read, at the tenant's budget of requests.
    pub minutes: u64,
    /// US dollars of AWS list prices, what is paid anyway left out.
    pub usd: f64,
    /// Runs until everybody planned is done: more than one only for history, which is bounded by `HISTORY_HOURS`.
    pub runs: u64,
}

impl Estimate {
    /// The estimate for these users; `history_hours` for a history run.
    pub(crate) fn of(readings: &[Reading], requests_per_second: f64, history_hours: Option<SignedDuration>) -> Self {
        let mean = mean_rate(readings);
        let (mut requests, mut longest, mut puts) = (0.0_f64, 0.0_f64, 0.0_f64);
        for reading in readings {
            let own = reading.known.filter(|known| known.hours > 0.0).map(|known| known.received / known.hours);
            let pages = match (own, history_hours) {
                // Who was idle lately may have been busy before.
                (own, Some(_)) => {
                    let rate = own.unwrap_or(mean).max(mean) * HISTORY_SAFETY;
                    rate * reading.hours / ITEMS_PER_PAGE * HISTORY_REPEATS
                }
                (own, None) => own.unwrap_or(mean) * reading.hours / ITEMS_PER_PAGE,
            };
            requests += REQUESTS_PER_USER + pages;
            longest = longest.max(REQUESTS_PER_USER + pages);
            puts += PUTS_PER_USER + (reading.hours / HOURS_PER_MONTH).ceil();
        }
        let users = readings.len() as f64;
        let seconds = (requests / requests_per_second).max(longest * SECONDS_PER_REQUEST);
        let usd = seconds * WORKER_GB * USD_PER_GB_SECOND
            + puts * USD_PER_PUT
            + users * GETS_PER_USER * USD_PER_GET
            + (users / MESSAGES_PER_REQUEST).ceil() * QUEUE_REQUESTS * USD_PER_QUEUE_REQUEST;
        let minutes = (seconds / 60.0).ceil();
        let runs = history_hours.map_or(1.0, |hours| {
            // One more than the minutes need: a user is finished by the run after the one that was cut off.
            (minutes * 60.0 / hours.as_secs_f64().max(1.0)).ceil() + 1.0
        });
        // Saturating casts: a size beyond u64 is a mistake in the numbers above, not a reason to fail.
        Self {
            requests: requests.ceil() as u64,
            minutes: minutes as u64,
            usd: (usd * 10_000.0).ceil() / 10_000.0,
            runs: runs as u64,
        }
    }
}

/// Items per hour over everybody of whom something is known.
fn mean_rate(readings: &[Reading]) -> f64 {
    let (received, hours) = readings
        .iter()
        .filter_map(|reading| reading.known)
        .fold((0.0, 0.0), |(received, hours), known| (received + known.received, hours + known.hours));
    if hours > 0.0 { received / hours } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIX_HOURS: Option<SignedDuration> = Some(SignedDuration::from_hours(6));

    fn reading(hours: f64, received: f64, read_hours: f64) -> Reading {
        Reading { hours, known: Some(Known { received, hours: read_hours, ..Known::default() }) }
    }

    #[test]
    fn nobody_costs_nothing_and_idle_users_two_requests() {
        let nobody = Estimate::of(&[], 24.0, SIX_HOURS);
        assert_eq!(nobody, Estimate { requests: 0, minutes: 0, usd: 0.0, runs: 1 });
        let idle = Estimate::of(&[Reading { hours: 72.0, known: None }; 5000], 24.0, None);
        assert_eq!((idle.requests, idle.minutes, idle.runs), (10_000, 7, 1));
        // Thirty such runs are a month.
        assert!(idle.usd > 0.0 && idle.usd * 30.0 < 3.0, "{}", idle.usd);
    }

    #[test]
    fn busy_users_cost_their_pages() {
        // 720 items in 72 hours, asked for 144 hours: 1,440 items, 14.4 pages.
        let busy = Estimate::of(&[reading(144.0, 720.0, 72.0)], 24.0, None);
        assert_eq!(busy.requests, 17);
    }

    #[test]
    fn history_is_counted_upwards_and_idle_users_at_the_mean() {
        // 10,000 hours at 10 items an hour are 1,000 pages for the busy one; the mean is half of that.
        let readings = [reading(10_000.0, 720.0, 72.0), reading(10_000.0, 0.0, 72.0)];
        let estimate = Estimate::of(&readings, 24.0, SIX_HOURS);
        let factor = HISTORY_REPEATS * HISTORY_SAFETY;
        assert_eq!(estimate.requests, 4 + (1_500.0 * factor) as u64);
        // One user's requests follow one another, however large the budget.
        assert_eq!(Estimate::of(&readings, 1e6, SIX_HOURS).minutes, (5_002.0_f64 / 60.0).ceil() as u64);
        assert_eq!(estimate.runs, 2);
    }

    #[test]
    fn runs_grow_with_the_minutes() {
        let many = vec![Reading { hours: 0.0, known: None }; 300_000];
        // 600,000 requests at 24 a second are 6.9 hours.
        let estimate = Estimate::of(&many, 24.0, SIX_HOURS);
        assert_eq!((estimate.minutes, estimate.runs), (417, 3));
    }
}
