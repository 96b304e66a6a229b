//! The payload of fan-out.

use fan_out::payload::{Principal, Request};
use serde_json::{Map, Value, json};

/// A payload that is accepted keeps the rules between fields and reads the same when it is written again; of one that is
/// refused, each fault names a field or a position.
pub fn payload(bytes: &[u8]) {
    match Request::parse(bytes) {
        Ok(request) => {
            obeys(&request);
            let again = written(&request).to_string();
            let read = Request::parse(again.as_bytes());
            assert_eq!(read.as_ref().ok(), Some(&request), "{again}: {:?}", read.as_ref().err());
        }
        Err(faults) => {
            assert!(faults.iter().next().is_some(), "refused for no reason");
            for fault in faults.iter() {
                assert!(is_place(fault.field()), "{:?}", fault.field());
            }
        }
    }
}

fn obeys(request: &Request) {
    let Request { scheduled_time, run_id, users, groups, exclude, from, to, lookback_hours, history, dry_run: _ } =
        request;
    assert!(to.is_none() || from.is_some(), "`to` without `from`");
    assert!(from.zip(*to).is_none_or(|(from, to)| from < to), "an inverted range");
    assert!([from.is_some(), lookback_hours.is_some(), *history].iter().filter(|asked| **asked).count() <= 1);
    assert!(run_id.as_ref().is_none_or(|id| !id.is_scheduled_form()));
    let chosen = run_id.is_some() || from.is_some() || !(users.is_empty() && groups.is_empty() && exclude.is_empty());
    assert!(scheduled_time.is_none() || !chosen, "a schedule that chooses");
}

fn written(request: &Request) -> Value {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| {
        let nothing = value.is_null() || value == json!([]) || value == json!(false);
        if !nothing {
            members.insert(name.to_owned(), value);
        }
    };
    let time = |time: Option<domain::Timestamp>| json!(time.map(|time| time.to_string()));
    let principals = |principals: &[Principal]| {
        let name = |principal: &Principal| match principal {
            Principal::Id(id) => id.to_string(),
            Principal::Upn(upn) => upn.clone(),
        };
        json!(principals.iter().map(name).collect::<Vec<_>>())
    };
    put("scheduledTime", time(request.scheduled_time));
    put("runId", json!(request.run_id.as_ref().map(|id| id.as_str())));
    put("users", principals(&request.users));
    put("groups", json!(request.groups.iter().map(ToString::to_string).collect::<Vec<_>>()));
    put("exclude", principals(&request.exclude));
    put("from", time(request.from));
    put("to", time(request.to));
    put("lookbackHours", json!(request.lookback_hours));
    put("history", json!(request.history));
    put("dryRun", json!(request.dry_run));
    Value::Object(members)
}

/// A short name without anything that a principal name, a sentence or a secret would have, or a position after one.
fn is_place(place: &str) -> bool {
    let (name, position) = match place.strip_suffix(']').and_then(|place| place.split_once('[')) {
        Some((name, position)) => (name, position),
        None => (place, "0"),
    };
    (1..=32).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && position.parse::<usize>().is_ok()
}
