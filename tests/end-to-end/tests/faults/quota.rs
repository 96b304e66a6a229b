//! Whether every process keeps to its share of the budget, and asks nothing while it was told to wait.
//!
//! By process, since only the one that was refused knows of it, and since those that stand still and go on later come on top of the
//! workers that there are.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use domain::Timestamp;
use jiff::SignedDuration;

/// The windows in which requests are counted, in seconds.
const WINDOWS: [i64; 2] = [1, 60];

/// How much later than its slot a request may be sent without the next slot moving too, in seconds.
const SLACK: f64 = 0.005;

/// What processes have asked of users' interactions.
#[derive(Debug, Default)]
pub(crate) struct Quota(Mutex<BTreeMap<u64, Requests>>);

/// What one process has.
#[derive(Debug)]
struct Requests {
    sent: VecDeque<Timestamp>,
    /// Until when it was told to wait.
    paused_until: Timestamp,
    /// How many it sent in the pause that it was told last.
    early: usize,
    broken: Vec<String>,
}

impl Quota {
    fn requests(&self) -> MutexGuard<'_, BTreeMap<u64, Requests>> {
        self.0.lock().unwrap()
    }

    /// A process with this share of the budget sends a request. So many it may have under way: where it stood still between the
    /// right to send and the sending, they come at once.
    pub(crate) fn sends(&self, process: u64, share: f64, in_flight: usize, now: Timestamp) {
        let mut requests = self.requests();
        let Requests { sent, paused_until, early, broken } = requests.entry(process).or_insert_with(|| Requests {
            sent: VecDeque::new(),
            paused_until: Timestamp::MIN,
            early: 0,
            broken: Vec::new(),
        });
        sent.push_back(now);
        for seconds in WINDOWS {
            let came = sent.iter().rev().take_while(|at| now.duration_since(**at).as_secs() < seconds).count();
            let budget = share * (seconds as f64 + SLACK);
            if came as f64 > budget + (1 + in_flight) as f64 {
                broken.push(format!("process {process} sends {came} requests in {seconds} s, of {budget}"));
            }
        }
        while sent.front().is_some_and(|at| now.duration_since(*at) > SignedDuration::from_secs(WINDOWS[1])) {
            sent.pop_front();
        }
        *early += usize::from(now < *paused_until);
        if *early > in_flight {
            broken.push(format!("process {process} sends {early} requests before {paused_until}"));
        }
    }

    /// A process learns that it has to wait.
    pub(crate) fn refused(&self, process: u64, wait: Duration, now: Timestamp) {
        let until = now + wait;
        if let Some(requests) = self.requests().get_mut(&process)
            && until > requests.paused_until
        {
            if now >= requests.paused_until {
                requests.early = 0;
            }
            requests.paused_until = until;
        }
    }

    /// What was broken.
    pub(crate) fn broken(&self) -> Vec<String> {
        self.requests().values().flat_map(|requests| requests.broken.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::start;

    #[test]
    fn it_sees_what_is_sent_too_fast_or_too_early() {
        let after = |millis: u64| start() + Duration::from_millis(millis);
        // Two a second, evenly; one more than may be under way besides; a long row that is a little too fast.
        for (interval, count, broken) in [(500, 200, false), (1, 4, false), (1, 5, true), (480, 200, true)] {
            let quota = Quota::default();
            (0..count).for_each(|n| quota.sends(1, 2.0, 1, after(n * interval)));
            assert_eq!(!quota.broken().is_empty(), broken, "{interval} {count}: {:?}", quota.broken());
        }
        for (second, broken) in [(1_500, true), (2_001, false)] {
            let quota = Quota::default();
            quota.sends(1, 2.0, 1, after(0));
            quota.refused(1, Duration::from_secs(2), after(1));
            // What was under way, and what another process sends that knows of nothing.
            quota.sends(1, 2.0, 1, after(1_000));
            (0..3).for_each(|n| quota.sends(2, 2.0, 1, after(500 * n)));
            quota.sends(1, 2.0, 1, after(second));
            assert_eq!(!quota.broken().is_empty(), broken, "{second}: {:?}", quota.broken());
        }
    }
}
