use std::collections::VecDeque;

use domain::{ScaledClock, SeededRandom};
use jiff::SignedDuration;

use super::*;

/// A server's quota: so many calls in a window of a minute and 30 in a second, refused calls counted too.
struct Quota {
    per_second: f64,
    sent: Mutex<VecDeque<Timestamp>>,
    refused: Mutex<usize>,
    retry_after: RetryAfter,
}

/// What the server says with a refusal.
#[derive(Clone, Copy, Debug)]
enum RetryAfter {
    Absent,
    Seconds(u64),
    /// The seconds until the window has room for one call.
    Exact,
}

impl Quota {
    fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        match self.retry_after {
            RetryAfter::Absent => None,
            RetryAfter::Seconds(seconds) => Some(Duration::from_secs(seconds)),
            RetryAfter::Exact => {
                let sent = self.sent.lock().unwrap();
                let room = sent.len().saturating_sub((self.per_second * 6.0) as usize);
                let free_at = after(*sent.get(room)?, Duration::from_secs(60));
                Some(Duration::from_secs(free_at.duration_since(now).as_secs().max(0) as u64 + 1))
            }
        }
    }

    fn admits(&self, now: Timestamp, cut: bool) -> bool {
        let mut sent = self.sent.lock().unwrap();
        while sent.front().is_some_and(|first| now.duration_since(*first) >= SignedDuration::from_secs(60)) {
            sent.pop_front();
        }
        let burst = sent.iter().rev().take_while(|at| now.duration_since(**at) < SignedDuration::from_secs(1)).count();
        let quota = if cut { self.per_second / 10.0 } else { self.per_second };
        let admitted = (sent.len() as f64) < quota * 60.0 && burst < 30;
        sent.push_back(now);
        if !admitted {
            *self.refused.lock().unwrap() += 1;
        }
        admitted
    }
}

const LATENCY: Duration = Duration::from_millis(700);

fn pace(share: f64, in_flight: usize) -> (Arc<Pace>, Arc<dyn Clock>) {
    let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new("2026-03-02T09:00:00Z".parse().unwrap(), 1.0));
    let random: Arc<dyn Random> = Arc::new(SeededRandom::new(5));
    (Arc::new(Pace::new(share, in_flight, Arc::clone(&clock), random)), clock)
}

/// Asks `requests` times, each until it is admitted; the quota is cut to a tenth after `cut_after`. Gives the seconds it
/// took and the calls refused.
async fn run(requests: usize, cut_after: Duration, retry_after: RetryAfter) -> (f64, usize) {
    let (pace, clock) = pace(24.0, 32);
    let start = clock.now();
    let quota = Arc::new(Quota { per_second: 24.9, sent: Mutex::default(), refused: Mutex::default(), retry_after });
    let left = Arc::new(Mutex::new(requests));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (pace, clock, quota, left) = (Arc::clone(&pace), Arc::clone(&clock), Arc::clone(&quota), Arc::clone(&left));
        tasks.spawn(async move {
            loop {
                {
                    let mut left = left.lock().unwrap();
                    if *left == 0 {
                        return;
                    }
                    *left -= 1;
                }
                loop {
                    let mut ticket = pace.enter(Deadline::never()).await.unwrap();
                    let cut = clock.now() >= after(start, cut_after);
                    let admitted = quota.admits(clock.now(), cut);
                    let retry_after = quota.retry_after(clock.now());
                    clock.sleep(LATENCY).await;
                    if admitted {
                        pace.answered(&mut ticket);
                        break;
                    }
                    pace.refused(&mut ticket, retry_after);
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let refused = *quota.refused.lock().unwrap();
    (clock.now().duration_since(start).as_secs_f64(), refused)
}

/// The seconds the requests take at best.
fn floor(requests: usize, cut_after: Duration) -> f64 {
    let before = cut_after.as_secs_f64() * 24.9;
    cut_after.as_secs_f64() + (requests as f64 - before).max(0.0) / 2.49
}

#[tokio::test(start_paused = true)]
async fn a_quota_cut_to_a_tenth_costs_few_refusals_and_little_time() {
    use RetryAfter::{Absent, Exact, Seconds};
    for retry_after in [Absent, Seconds(1), Seconds(5), Seconds(10), Exact] {
        for (requests, cut_after) in [(10_000, 200), (6_000, 120)] {
            let cut_after = Duration::from_secs(cut_after);
            let (seconds, refused) = run(requests, cut_after, retry_after).await;
            let (slower, refusals) = (seconds / floor(requests, cut_after), refused as f64 / requests as f64);
            assert!(refusals <= 0.02, "{retry_after:?} {requests}: {refused} refused");
            assert!(slower <= 1.5, "{retry_after:?} {requests}: {slower} times the floor");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_refusals_the_share_is_used_and_never_exceeded() {
    let (seconds, refused) = run(2_400, Duration::from_secs(100_000), RetryAfter::Absent).await;
    assert_eq!(refused, 0);
    let ideal = 2_400.0 / 24.0;
    assert!(seconds >= ideal - 0.1 && seconds <= ideal * 1.02, "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn requests_never_come_in_a_burst() {
    let (pace, clock) = pace(10.0, 32);
    clock.sleep(Duration::from_secs(60)).await;
    let mut sent = Vec::new();
    for _ in 0..20 {
        sent.push(pace.enter(Deadline::never()).await.unwrap().sent_at);
    }
    for pair in sent.windows(2) {
        assert!(pair[1].duration_since(pair[0]) >= SignedDuration::from_millis(94), "{pair:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_in_a_pause_and_one_goes_alone_after_it() {
    let (pace, clock) = pace(1000.0, 8);
    let mut first = pace.enter(Deadline::never()).await.unwrap();
    let mut second = pace.enter(Deadline::never()).await.unwrap();
    pace.refused(&mut first, Some(Duration::from_secs(30)));
    let paused_at = clock.now();
    // A call that was under way lengthens the pause, and does not slow down further.
    let rate = |pace: &Pace| pace.rate(&pace.state(), after(paused_at, Duration::from_secs(50)));
    let braked = rate(&pace);
    pace.refused(&mut second, Some(Duration::from_secs(50)));
    assert!((rate(&pace) - braked).abs() < braked / 2.0);
    drop((first, second));

    let mut probe = pace.enter(Deadline::never()).await.unwrap();
    assert!(clock.now() >= after(paused_at, Duration::from_secs(50)));
    let soon = Deadline::at(after(clock.now(), Duration::from_secs(5)));
    assert!(matches!(pace.enter(soon).await, Err(GraphError::DeadlinePassed)));
    pace.answered(&mut probe);
    pace.enter(Deadline::never()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_probe_lets_the_next_one_go() {
    let (pace, _) = pace(1000.0, 8);
    let mut ticket = pace.enter(Deadline::never()).await.unwrap();
    pace.refused(&mut ticket, None);
    drop(ticket);
    drop(pace.enter(Deadline::never()).await.unwrap());
    let next = pace.enter(Deadline::never()).await.unwrap();
    assert!(next.probe.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_pause_past_the_deadline_hands_the_work_over_at_once() {
    let (pace, clock) = pace(10.0, 8);
    let mut ticket = pace.enter(Deadline::never()).await.unwrap();
    pace.refused(&mut ticket, Some(Duration::from_secs(600)));
    let now = clock.now();
    let error = pace.enter(Deadline::at(after(now, Duration::from_secs(60)))).await.err().unwrap();
    assert!(matches!(error, GraphError::RetryAfter { until } if until == after(now, Duration::from_secs(600))));
    assert_eq!(clock.now(), now);
}

#[tokio::test(start_paused = true)]
async fn silent_refusals_in_a_row_double_the_pause() {
    let (pace, clock) = pace(1000.0, 8);
    for doubling in [1, 2, 4, 8, 16, 32, 32, 32] {
        let mut ticket = pace.enter(Deadline::never()).await.unwrap();
        pace.refused(&mut ticket, Some(Duration::ZERO));
        let pause = pace.state().paused_until.duration_since(clock.now());
        let (least, most) = (SignedDuration::from_secs(doubling), SignedDuration::from_secs(doubling * 2));
        assert!(pause >= least && pause <= most, "{pause:?}");
    }
}

#[test]
fn the_rate_is_flat_around_what_was_refused_and_never_above_the_share() {
    let clock: Arc<dyn Clock> = Arc::new(domain::SystemClock);
    let pace = Pace::new(24.0, 1, clock, Arc::new(SeededRandom::new(1)));
    let since: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
    pace.state().brake = Some(Brake { refused_at: 10.0, since });
    let rate = |seconds| pace.rate(&pace.state(), after(since, Duration::from_secs(seconds)));
    assert!((rate(0) - 6.0).abs() < 1e-9);
    assert!((rate(60) - 10.0).abs() < 1e-9);
    assert!((rate(75) - rate(45)).abs() < 0.2);
    assert!((rate(100_000) - 24.0).abs() < 1e-9);
    pace.state().brake = Some(Brake { refused_at: 1e-9, since });
    assert!((rate(0) - 0.24).abs() < 1e-9);
}
