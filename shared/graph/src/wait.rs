//! How long to wait: what a server said, what we choose ourselves, and the deadline over both.

use std::time::Duration;

use domain::{Clock, Deadline, Random, Timestamp};
use http::HeaderMap;
use http::header::{DATE, HeaderName, RETRY_AFTER};
use jiff::fmt::rfc2822::DateTimeParser;

/// The first wait between attempts: long enough for a connection to be replaced, short enough to go unnoticed.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait of our own choosing: with eight attempts it bounds a call's waits at about a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The most that a server can make us wait: whoever says more has said a day.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The future's output, or `None` if the deadline comes first.
pub(crate) async fn within<F: Future>(clock: &dyn Clock, deadline: Deadline, future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = clock.sleep_until(deadline.time()) => None,
    }
}

/// The time this long from `now`.
pub(crate) fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// The wait before the attempt that follows `failed` failed ones: doubling, and a random half of it left out so that
/// callers who failed together do not return together.
pub(crate) fn backoff(failed: u32, random: &dyn Random) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(LONGEST_WAIT);
    jittered(whole / 2, random)
}

/// Between once and twice this long.
pub(crate) fn jittered(least: Duration, random: &dyn Random) -> Duration {
    let range = u64::try_from(least.as_nanos()).unwrap_or(u64::MAX);
    least.saturating_add(Duration::from_nanos(random.below(range)))
}

/// What `Retry-After` asks for; `None` if it is absent or says nothing that can be followed.
///
/// A date is read relative to the answer's own `Date`, so that a wrong clock on either side does not matter.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        // Digits that do not fit are still a wish for a very long wait.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let until = http_date(headers, RETRY_AFTER)?;
        let from = http_date(headers, DATE).unwrap_or(now);
        Duration::try_from(until.duration_since(from)).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// A header that holds an HTTP date.
pub(crate) fn http_date(headers: &HeaderMap, name: HeaderName) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(headers.get(name)?.to_str().ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use domain::SeededRandom;

    use super::*;

    fn asked(value: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        retry_after(&headers, "2026-03-02T09:00:00Z".parse().unwrap())
    }

    #[test]
    fn every_form_of_retry_after_is_read_or_ignored() {
        for (value, seconds) in [
            ("0", Some(0)),
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("3600", Some(3600)),
            ("99999999999999999999999999", Some(86_400)),
            ("Mon, 02 Mar 2026 09:00:30 GMT", Some(30)),
            ("Mon, 02 Mar 2026 08:00:00 GMT", Some(0)),
            ("Fri, 02 Mar 2096 08:00:00 GMT", Some(86_400)),
            ("-5", None),
            ("+5", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
            ("Mon, 99 Mar 2026 09:00:30 GMT", None),
        ] {
            assert_eq!(asked(value, None), seconds.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn a_date_is_read_by_the_servers_own_clock() {
        let wait = asked("Mon, 02 Mar 2026 09:10:30 GMT", Some("Mon, 02 Mar 2026 09:10:00 GMT"));
        assert_eq!(wait, Some(Duration::from_secs(30)));
    }

    #[test]
    fn own_waits_double_within_bounds() {
        let random = SeededRandom::new(1);
        for (failed, most) in [(1, 500), (2, 1_000), (5, 8_000), (7, 30_000), (60, 30_000)] {
            let wait = backoff(failed, &random);
            assert!(wait >= Duration::from_millis(most / 2) && wait <= Duration::from_millis(most), "{wait:?}");
        }
    }
}
