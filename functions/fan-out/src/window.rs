//! The window of a run, fixed once for all its users.

use domain::Timestamp;
use jiff::SignedDuration;

use crate::payload::Request;
use crate::{Fault, Faults};

/// A run's window as run.json and the messages state it. No `from`: each user's coverage decides. Neither: history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
}

/// The window of a request. `now` is the earlier of the clock's time and Graph's: a clock that is ahead must not let a
/// window end where Graph's data is still moving.
///
/// What has expired by retention is not read again: a window that begins before `kept_since` begins there, and one that ends
/// by then is refused.
///
/// It ends `settle` before now, or before the time of the schedule, at a whole second since Graph is asked in those; an
/// explicit end that has settled stays.
pub(crate) fn bounds(
    request: &Request,
    now: Timestamp,
    kept_since: Timestamp,
    settle: SignedDuration,
) -> Result<Bounds, Faults> {
    request.refuse_future(now)?;
    if request.scheduled_time.is_some_and(|scheduled| scheduled < kept_since) {
        // What such a run wrote has expired too, so that nobody could tell whether it was made.
        return Err(Fault::of("scheduledTime", EXPIRED).into());
    }
    if request.history {
        return Ok(Bounds { from: None, to: None });
    }
    let reference = request.scheduled_time.map_or(now, |scheduled| scheduled.min(now));
    let settled = reference.checked_sub(settle).unwrap_or(Timestamp::MIN);
    let to = whole_second(request.to.map_or(settled, |to| to.min(settled)));
    let from = match (request.from, request.lookback_hours) {
        (Some(from), _) => Some(whole_second(from)),
        (None, Some(hours)) => Some(to.checked_sub(SignedDuration::from_hours(hours.into())).unwrap_or(Timestamp::MIN)),
        (None, None) => None,
    };
    if from.is_some_and(|from| from >= to) {
        return Err(Fault::of("from", "leaves an empty window: only what is older than SETTLE_MINUTES is read").into());
    }
    if to <= kept_since {
        let field = if request.scheduled_time.is_some() { "scheduledTime" } else { "to" };
        return Err(Fault::of(field, EXPIRED).into());
    }
    Ok(Bounds { from: from.map(|from| from.max(kept_since)), to: Some(to) })
}

const EXPIRED: &str = "lies before what is kept: RETENTION_DAYS lets it expire, and it is not read again";

fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-24T12:00:00.7Z";
    const SETTLE: SignedDuration = SignedDuration::from_mins(120);

    fn bounds_of(payload: &str) -> Result<(Option<String>, Option<String>), String> {
        bounds_kept(payload, Timestamp::MIN)
    }

    fn bounds_kept(payload: &str, kept_since: Timestamp) -> Result<(Option<String>, Option<String>), String> {
        let request = Request::parse(payload.as_bytes()).unwrap();
        match bounds(&request, NOW.parse().unwrap(), kept_since, SETTLE) {
            Ok(Bounds { from, to }) => Ok((from.map(|time| time.to_string()), to.map(|time| time.to_string()))),
            Err(faults) => Err(faults.to_string()),
        }
    }

    #[test]
    fn each_window_is_clamped_by_its_rule() {
        for (payload, from, to) in [
            // On demand: now decides.
            ("{}", None, Some("2026-11-24T10:00:00Z")),
            (r#"{"lookbackHours":24}"#, Some("2026-11-23T10:00:00Z"), Some("2026-11-24T10:00:00Z")),
            (r#"{"from":"2026-11-01T00:00:00.9Z"}"#, Some("2026-11-01T00:00:00Z"), Some("2026-11-24T10:00:00Z")),
            (
                r#"{"from":"2026-11-01T00:00:00Z","to":"2026-11-02T00:00:00Z"}"#,
                Some("2026-11-01T00:00:00Z"),
                Some("2026-11-02T00:00:00Z"),
            ),
            (
                r#"{"from":"2026-11-01T00:00:00Z","to":"2026-11-24T11:00:00Z"}"#,
                Some("2026-11-01T00:00:00Z"),
                Some("2026-11-24T10:00:00Z"),
            ),
            // Scheduled: the scheduled time decides, unless it is a little ahead.
            (r#"{"scheduledTime":"2026-11-24T03:00:00Z"}"#, None, Some("2026-11-24T01:00:00Z")),
            (r#"{"scheduledTime":"2026-11-24T12:04:00Z"}"#, None, Some("2026-11-24T10:00:00Z")),
            (
                r#"{"scheduledTime":"2026-11-24T03:00:00Z","lookbackHours":2}"#,
                Some("2026-11-23T23:00:00Z"),
                Some("2026-11-24T01:00:00Z"),
            ),
            (r#"{"scheduledTime":"2026-11-24T03:00:00Z","history":true}"#, None, None),
            (r#"{"history":true}"#, None, None),
        ] {
            assert_eq!(bounds_of(payload), Ok((from.map(Into::into), to.map(Into::into))), "{payload}");
        }
    }

    #[test]
    fn no_window_begins_before_what_is_kept_and_none_ends_there() {
        let kept = "2026-11-01T12:00:01Z";
        let bounds = |payload| bounds_kept(payload, kept.parse().unwrap());
        let to = Some("2026-11-24T10:00:00Z".to_owned());
        for begins_before in [r#"{"from":"2026-10-01T00:00:00Z"}"#, r#"{"lookbackHours":2000}"#] {
            assert_eq!(bounds(begins_before), Ok((Some(kept.to_owned()), to.clone())), "{begins_before}");
        }
        let within = r#"{"from":"2026-11-02T00:00:00Z"}"#;
        assert_eq!(bounds(within), Ok((Some("2026-11-02T00:00:00Z".to_owned()), to.clone())));
        assert_eq!(bounds("{}"), Ok((None, to)));
        for (field, payload) in [
            ("to", r#"{"from":"2026-10-01T00:00:00Z","to":"2026-11-01T12:00:01Z"}"#),
            ("scheduledTime", r#"{"scheduledTime":"2026-11-01T13:00:00Z"}"#),
            ("scheduledTime", r#"{"scheduledTime":"2026-11-01T12:00:00Z","history":true}"#),
        ] {
            assert_eq!(bounds(payload), Err(format!("{field} {EXPIRED}")), "{payload}");
        }
        assert!(bounds(r#"{"scheduledTime":"2026-11-01T13:00:00Z","history":true}"#).is_ok());
    }

    #[test]
    fn what_is_ahead_or_empty_is_refused() {
        let ahead = "lies more than five minutes ahead of the clock";
        let empty = "leaves an empty window: only what is older than SETTLE_MINUTES is read";
        for (payload, fault) in [
            (r#"{"scheduledTime":"2026-11-24T12:05:01Z"}"#, format!("scheduledTime {ahead}")),
            (r#"{"scheduledTime":"2026-11-24T12:05:01Z","history":true}"#, format!("scheduledTime {ahead}")),
            (r#"{"from":"2026-11-24T13:00:00Z","to":"2026-11-25T13:00:00Z"}"#, format!("from {ahead}; to {ahead}")),
            (r#"{"from":"2026-11-24T10:00:00Z"}"#, format!("from {empty}")),
            (r#"{"from":"2026-11-24T10:30:00Z","to":"2026-11-24T11:00:00Z"}"#, format!("from {empty}")),
            (r#"{"from":"2026-11-01T00:00:00.1Z","to":"2026-11-01T00:00:00.9Z"}"#, format!("from {empty}")),
        ] {
            assert_eq!(bounds_of(payload), Err(fault), "{payload}");
        }
    }
}
