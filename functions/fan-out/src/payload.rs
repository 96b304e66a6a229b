//! The payload: bytes into a typed request, or all that is wrong with it at once.
//!
//! A fault names a field or a position, never a value: a payload may hold names, and an error ends in a log.

use std::collections::BTreeSet;
use std::fmt;

use domain::{GroupId, Kind, RunId, Timestamp, UserId};
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::{Fault, Faults};

/// The largest payload that is parsed: what Lambda accepts for a synchronous invocation.
const MAX_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// The most entries of a list. Each of `users` is looked up: 10,000 at 8 at once and 0.2 s end well within the fifteen
/// minutes of an invocation. Who needs more names a group.
const MAX_ENTRIES: usize = 10_000;

/// The longest look-back: ten years, longer than Copilot exists, and short enough that no date arithmetic can overflow.
const MAX_LOOKBACK_HOURS: u64 = 10 * 366 * 24;

/// The longest user principal name looked up. Entra's are at most 64 + 1 + 48 characters, those of guests longer.
const MAX_UPN_BYTES: usize = 320;

/// The longest name of an unknown field that is shown.
const MAX_SHOWN_NAME: usize = 32;

/// What EventBridge Scheduler replaces by the scheduled time; one that is still there was misspelt in the schedule.
const PLACEHOLDER: &str = "<aws.scheduler";

/// A user as a payload names one.
#[derive(Clone, PartialEq, Eq)]
pub enum Principal {
    /// By object id.
    Id(UserId),
    /// By user principal name, which has to be resolved before anything is written.
    Upn(String),
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Upn(_) => f.write_str("Upn(..)"),
        }
    }
}

/// A payload that keeps every rule which needs no clock and no directory. An empty list is one that was not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The time a schedule fires for; none of an on-demand run.
    pub scheduled_time: Option<Timestamp>,
    /// The run id asked for; never of the scheduled form.
    pub run_id: Option<RunId>,
    /// Only these users.
    pub users: Vec<Principal>,
    /// Only members of these groups.
    pub groups: Vec<GroupId>,
    /// Not these users. Groups are excluded by the configuration alone.
    pub exclude: Vec<Principal>,
    /// The instant after which the window begins.
    pub from: Option<Timestamp>,
    /// The window's last instant.
    pub to: Option<Timestamp>,
    /// The window's length, counted back from its end.
    pub lookback_hours: Option<u32>,
    /// Whether coverage is to be extended backwards.
    pub history: bool,
    /// Whether the answer is an estimate, and nothing is written or sent.
    pub dry_run: bool,
}

impl Request {
    /// The request of a payload, or every fault of it.
    pub fn parse(payload: &[u8]) -> Result<Self, Faults> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(Fault::of("payload", "is larger than 6 MiB").into());
        }
        let Ok(Members(members)) = serde_json::from_slice(payload) else {
            return Err(Fault::of("payload", "is no JSON object").into());
        };
        let mut reader = Reader::default();
        for (position, (name, value)) in members.into_iter().enumerate() {
            reader.member(position, &name, value);
        }
        reader.finish()
    }

    /// The kind of run asked for.
    pub fn kind(&self) -> Kind {
        match (self.history, self.scheduled_time, self.lookback_hours) {
            (true, _, _) => Kind::History,
            (false, None, _) => Kind::OnDemand,
            (false, Some(_), Some(_)) => Kind::Lookback,
            (false, Some(_), None) => Kind::Daily,
        }
    }

    /// Refuses a time more than five minutes ahead of `now`: by then clocks agree, or something is wrong with one.
    pub(crate) fn refuse_future(&self, now: Timestamp) -> Result<(), Faults> {
        const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);
        let times = [("scheduledTime", self.scheduled_time), ("from", self.from), ("to", self.to)];
        Faults::check(
            times
                .into_iter()
                .filter(|(_, time)| time.is_some_and(|time| time.duration_since(now) > TOLERANCE))
                .map(|(field, _)| Fault::of(field, "lies more than five minutes ahead of the clock"))
                .collect(),
        )
    }
}

/// The members of an object in their order, repeated ones included.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The fields of a payload.
const FIELDS: [&str; 10] =
    ["scheduledTime", "runId", "users", "groups", "exclude", "from", "to", "lookbackHours", "history", "dryRun"];

/// What may stand beside a scheduled time.
const SCHEDULED: [&str; 4] = ["scheduledTime", "history", "lookbackHours", "dryRun"];

#[derive(Default)]
struct Reader {
    request: Request,
    given: BTreeSet<&'static str>,
    faults: Vec<Fault>,
}

impl Reader {
    fn fault(&mut self, field: &str, problem: &'static str) {
        self.faults.push(Fault::of(field, problem));
    }

    fn member(&mut self, position: usize, name: &str, value: Value) {
        let Some(field) = FIELDS.into_iter().find(|field| *field == name) else {
            let harmless = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let shown = (1..=MAX_SHOWN_NAME).contains(&name.len()) && name.bytes().all(harmless);
            let at = if shown { name.to_owned() } else { format!("member[{position}]") };
            return self.fault(&at, "is no field of the payload");
        };
        // A `false` asks for nothing: it stands beside anything.
        if self.given.contains(field) {
            return self.fault(field, "is given twice");
        }
        if value != Value::Bool(false) {
            self.given.insert(field);
        }
        match field {
            "scheduledTime" => self.request.scheduled_time = self.time(field, &value),
            "from" => self.request.from = self.time(field, &value),
            "to" => self.request.to = self.time(field, &value),
            "runId" => self.request.run_id = self.run_id(field, &value),
            "users" => self.request.users = self.list(field, value, principal),
            "exclude" => self.request.exclude = self.list(field, value, principal),
            "groups" => self.request.groups = self.list(field, value, group),
            "lookbackHours" => self.request.lookback_hours = self.hours(field, &value),
            "history" => self.request.history = self.flag(field, &value),
            _ => self.request.dry_run = self.flag(field, &value),
        }
    }

    fn time(&mut self, field: &str, value: &Value) -> Option<Timestamp> {
        let text = value.as_str();
        if text.is_some_and(|text| text.contains(PLACEHOLDER)) {
            self.fault(field, "holds a placeholder: the schedule's input was not replaced");
            return None;
        }
        let time = text.filter(|text| is_rfc3339(text)).and_then(|text| text.parse::<Timestamp>().ok());
        match time {
            None => self.fault(field, "is no RFC 3339 time such as 2026-01-31T03:00:00Z"),
            // Also keeps the year of a run id at four digits.
            Some(time) if time < Timestamp::UNIX_EPOCH => {
                self.fault(field, "lies before 1970");
                return None;
            }
            Some(_) => {}
        }
        time
    }

    fn run_id(&mut self, field: &str, value: &Value) -> Option<RunId> {
        let run_id = value.as_str().and_then(|text| text.parse::<RunId>().ok());
        match &run_id {
            None => self.fault(field, "is not 1 to 64 of the characters A-Z, a-z, 0-9, _ and -"),
            Some(id) if id.is_scheduled_form() => self.fault(field, "has the form that only schedules use"),
            Some(_) => {}
        }
        run_id
    }

    fn list<T>(&mut self, field: &str, value: Value, entry: fn(&str) -> Result<T, &'static str>) -> Vec<T> {
        let Value::Array(values) = value else {
            self.fault(field, "is no list of strings");
            return Vec::new();
        };
        if values.is_empty() {
            self.fault(field, "is an empty list: leave it out to mean everybody");
        }
        if values.len() > MAX_ENTRIES {
            self.fault(field, "has more than 10,000 entries: name a group");
            return Vec::new();
        }
        let mut entries = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            match value.as_str().ok_or("is no string").and_then(entry) {
                Ok(entry) => entries.push(entry),
                Err(problem) => self.faults.push(Fault::at(field, index, problem)),
            }
        }
        entries
    }

    fn hours(&mut self, field: &str, value: &Value) -> Option<u32> {
        let hours = value
            .as_u64()
            .filter(|hours| (1..=MAX_LOOKBACK_HOURS).contains(hours))
            .and_then(|hours| u32::try_from(hours).ok());
        if hours.is_none() {
            self.fault(field, "is no whole number of hours from 1 to 87840");
        }
        hours
    }

    fn flag(&mut self, field: &str, value: &Value) -> bool {
        let flag = value.as_bool();
        if flag.is_none() {
            self.fault(field, "is neither true nor false");
        }
        flag.unwrap_or(false)
    }

    /// The rules between fields, by what was given, whether or not its value is right.
    fn finish(mut self) -> Result<Request, Faults> {
        let given = |field| self.given.contains(field);
        let mut faults = Vec::new();
        if given("to") && !given("from") {
            faults.push(Fault::of("to", "is given without from"));
        }
        for field in ["lookbackHours", "history"] {
            if given(field) && given("from") {
                faults.push(Fault::of(field, "cannot stand beside from"));
            }
        }
        if given("lookbackHours") && given("history") {
            faults.push(Fault::of("history", "cannot stand beside lookbackHours"));
        }
        if given("scheduledTime") {
            let others = FIELDS.into_iter().filter(|field| given(field) && !SCHEDULED.contains(field));
            faults.extend(others.map(|field| Fault::of(field, "cannot stand beside scheduledTime")));
        }
        if let (Some(from), Some(to)) = (self.request.from, self.request.to)
            && from >= to
        {
            faults.push(Fault::of("from", "does not lie before to"));
        }
        self.faults.append(&mut faults);
        Faults::check(self.faults).map(|()| self.request)
    }
}

/// The form alone; the digits are checked by the parser, which by itself also reads other forms.
fn is_rfc3339(text: &str) -> bool {
    let bytes = text.as_bytes();
    let zoned = matches!(bytes, [.., b'Z' | b'z'] | [.., b'+' | b'-', _, _, b':', _, _]);
    zoned && (20..=40).contains(&bytes.len()) && matches!(bytes[10], b'T' | b't') && bytes[16] == b':'
}

fn principal(text: &str) -> Result<Principal, &'static str> {
    if let Ok(id) = text.parse() {
        return Ok(Principal::Id(id));
    }
    let named = text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && !host.is_empty() && !host.contains('@') && !host.starts_with('.')
    });
    // A slash or a control character could only be meant for the address it becomes part of.
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '\\' | '?' | '%');
    if named && text.len() <= MAX_UPN_BYTES && !text.contains(forbidden) {
        Ok(Principal::Upn(text.to_owned()))
    } else {
        Err("is neither an object id nor a user principal name")
    }
}

fn group(text: &str) -> Result<GroupId, &'static str> {
    text.parse().map_err(|_| "is not the object id of a group")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "5ac181d0-c896-435a-a745-ac948db1d59a";

    /// The faults of a payload, as a reader sees them.
    fn faults(payload: &str) -> Vec<String> {
        match Request::parse(payload.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        }
    }

    fn request(payload: &str) -> Request {
        Request::parse(payload.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_asked_decides_the_kind() {
        for (payload, kind) in [
            (r#"{"scheduledTime":"2026-11-24T03:00:00Z"}"#, Kind::Daily),
            (r#"{"scheduledTime":"2026-11-24T03:00:00Z","history":true}"#, Kind::History),
            (r#"{"scheduledTime":"2026-11-24T03:00:00Z","lookbackHours":336}"#, Kind::Lookback),
            (r#"{"scheduledTime":"2026-11-24T03:00:00Z","dryRun":true}"#, Kind::Daily),
            ("{}", Kind::OnDemand),
            (r#"{"lookbackHours":24}"#, Kind::OnDemand),
            (r#"{"history":true}"#, Kind::History),
            (r#"{"history":false,"from":"2026-01-01T00:00:00Z"}"#, Kind::OnDemand),
        ] {
            assert_eq!(request(payload).kind(), kind, "{payload}");
        }
    }

    #[test]
    fn every_field_is_read() {
        let payload = format!(
            r#"{{"runId":"case-4711","users":["{ID}","adele@contoso.com"],"groups":["{ID}"],"exclude":["b#EXT#@c.de"],
                "from":"2026-01-01T00:00:00+01:00","to":"2026-01-02T00:00:00.5Z","dryRun":true}}"#
        );
        let id = ID.parse().unwrap();
        assert_eq!(
            request(&payload),
            Request {
                scheduled_time: None,
                run_id: Some("case-4711".parse().unwrap()),
                users: vec![Principal::Id(id), Principal::Upn("adele@contoso.com".into())],
                groups: vec![ID.parse().unwrap()],
                exclude: vec![Principal::Upn("b#EXT#@c.de".into())],
                from: Some("2025-12-31T23:00:00Z".parse().unwrap()),
                to: Some("2026-01-02T00:00:00.5Z".parse().unwrap()),
                lookback_hours: None,
                history: false,
                dry_run: true,
            }
        );
    }

    #[test]
    fn every_rule_refuses_and_names_the_place() {
        for (payload, fault) in [
            ("", "payload is no JSON object"),
            ("[]", "payload is no JSON object"),
            ("null", "payload is no JSON object"),
            ("{} {}", "payload is no JSON object"),
            (r#"{"user":[]}"#, "user is no field of the payload"),
            (r#"{"Users":["a@b.c"]}"#, "Users is no field of the payload"),
            (r#"{"a b":1}"#, "member[0] is no field of the payload"),
            (r#"{"dryRun":true,"":1}"#, "member[1] is no field of the payload"),
            (r#"{"dryRun":true,"dryRun":true}"#, "dryRun is given twice"),
            (r#"{"dryRun":"true"}"#, "dryRun is neither true nor false"),
            (r#"{"dryRun":null}"#, "dryRun is neither true nor false"),
            (r#"{"history":1}"#, "history is neither true nor false"),
            (r#"{"runId":"a/b"}"#, "runId is not 1 to 64 of the characters A-Z, a-z, 0-9, _ and -"),
            (r#"{"runId":7}"#, "runId is not 1 to 64 of the characters A-Z, a-z, 0-9, _ and -"),
            (r#"{"runId":"20261124T030000Z"}"#, "runId has the form that only schedules use"),
            (r#"{"runId":"20261124T030000Z-history"}"#, "runId has the form that only schedules use"),
            (r#"{"users":[]}"#, "users is an empty list: leave it out to mean everybody"),
            (r#"{"groups":[]}"#, "groups is an empty list: leave it out to mean everybody"),
            (r#"{"exclude":[]}"#, "exclude is an empty list: leave it out to mean everybody"),
            (r#"{"users":"a@b.c"}"#, "users is no list of strings"),
            (r#"{"users":null}"#, "users is no list of strings"),
            (r#"{"users":["a@b.c",null]}"#, "users[1] is no string"),
            (r#"{"users":["adele"]}"#, "users[0] is neither an object id nor a user principal name"),
            (r#"{"users":["a@b@c"]}"#, "users[0] is neither an object id nor a user principal name"),
            (r#"{"users":["a@b/../c"]}"#, "users[0] is neither an object id nor a user principal name"),
            (r#"{"exclude":["a@b.c","@b"]}"#, "exclude[1] is neither an object id nor a user principal name"),
            (r#"{"groups":["a@b.c"]}"#, "groups[0] is not the object id of a group"),
            (r#"{"from":"2026-01-01"}"#, "from is no RFC 3339 time such as 2026-01-31T03:00:00Z"),
            (r#"{"from":"2026-13-01T00:00:00Z"}"#, "from is no RFC 3339 time such as 2026-01-31T03:00:00Z"),
            (r#"{"from":"2026-01-01T00:00:00"}"#, "from is no RFC 3339 time such as 2026-01-31T03:00:00Z"),
            (
                r#"{"from":"2026-01-01T00:00:00+01:00[Europe/Berlin]"}"#,
                "from is no RFC 3339 time such as 2026-01-31T03:00:00Z",
            ),
            (r#"{"from":1767225600}"#, "from is no RFC 3339 time such as 2026-01-31T03:00:00Z"),
            (r#"{"from":"1969-12-31T23:59:59Z"}"#, "from lies before 1970"),
            (r#"{"to":"2026-01-01T00:00:00Z"}"#, "to is given without from"),
            (r#"{"from":"2026-01-01T00:00:00Z","to":"2026-01-01T00:00:00Z"}"#, "from does not lie before to"),
            (r#"{"lookbackHours":0}"#, "lookbackHours is no whole number of hours from 1 to 87840"),
            (r#"{"lookbackHours":-1}"#, "lookbackHours is no whole number of hours from 1 to 87840"),
            (r#"{"lookbackHours":1.5}"#, "lookbackHours is no whole number of hours from 1 to 87840"),
            (r#"{"lookbackHours":87841}"#, "lookbackHours is no whole number of hours from 1 to 87840"),
            (r#"{"lookbackHours":24,"history":true}"#, "history cannot stand beside lookbackHours"),
            (r#"{"lookbackHours":24,"from":"2026-01-01T00:00:00Z"}"#, "lookbackHours cannot stand beside from"),
            (r#"{"history":true,"from":"2026-01-01T00:00:00Z"}"#, "history cannot stand beside from"),
            (
                r#"{"scheduledTime":"<aws.scheduler.scheduled-time>"}"#,
                "scheduledTime holds a placeholder: the schedule's input was not replaced",
            ),
            (r#"{"scheduledTime":"soon"}"#, "scheduledTime is no RFC 3339 time such as 2026-01-31T03:00:00Z"),
        ] {
            assert_eq!(faults(payload), [fault], "{payload}");
        }
    }

    #[test]
    fn nothing_else_stands_beside_a_scheduled_time() {
        for (field, value) in [
            ("runId", r#""case""#),
            ("users", r#"["a@b.c"]"#),
            ("groups", &format!(r#"["{ID}"]"#)),
            ("exclude", r#"["a@b.c"]"#),
            ("from", r#""2026-01-01T00:00:00Z""#),
        ] {
            let payload = format!(r#"{{"{field}":{value},"scheduledTime":"2026-11-24T03:00:00Z"}}"#);
            assert_eq!(faults(&payload), [format!("{field} cannot stand beside scheduledTime")]);
        }
    }

    #[test]
    fn all_faults_are_named_at_once() {
        let payload = r#"{"users":["x","a@b.c",3],"to":"never","lookbackHours":0,"history":true,"colour":"red"}"#;
        assert_eq!(
            Request::parse(payload.as_bytes()).unwrap_err().to_string(),
            "users[0] is neither an object id nor a user principal name; users[2] is no string; \
             to is no RFC 3339 time such as 2026-01-31T03:00:00Z; \
             lookbackHours is no whole number of hours from 1 to 87840; colour is no field of the payload; \
             to is given without from; history cannot stand beside lookbackHours"
        );
    }

    #[test]
    fn limits_hold() {
        let long = format!(r#"{{"users":[{}"a@b.c"]}}"#, r#""a@b.c","#.repeat(MAX_ENTRIES));
        assert_eq!(faults(&long), ["users has more than 10,000 entries: name a group"]);
        let large = format!("{{}}{}", " ".repeat(MAX_PAYLOAD_BYTES));
        assert_eq!(faults(&large), ["payload is larger than 6 MiB"]);
        assert_eq!(faults(&"[".repeat(100_000)), ["payload is no JSON object"]);
    }

    #[test]
    fn a_time_ahead_is_refused_after_five_minutes() {
        let now = "2026-11-24T02:55:00Z".parse::<Timestamp>().unwrap();
        let request = request(r#"{"scheduledTime":"2026-11-24T03:00:00Z"}"#);
        assert_eq!(request.refuse_future(now), Ok(()));
        let faults = request.refuse_future(now - SignedDuration::from_secs(1)).unwrap_err();
        assert_eq!(faults.to_string(), "scheduledTime lies more than five minutes ahead of the clock");
    }

    #[test]
    fn a_name_is_not_shown_by_debug() {
        assert_eq!(format!("{:?}", Principal::Upn("adele@contoso.com".into())), "Upn(..)");
    }

    /// JSON that is often nearly right, with a mark in every text that a caller could have put a name in.
    fn near_payload() -> impl Strategy<Value = String> {
        let field = prop::sample::select(FIELDS.to_vec());
        let value = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("1e400".to_owned()),
            Just("[]".to_owned()),
            "\\PC{0,8}".prop_map(|text| serde_json::json!(format!("qqmarkqq{text}")).to_string()),
            "\\PC{0,8}".prop_map(|text| serde_json::json!([format!("{text}qqmarkqq@x"), "a@b.c", 7]).to_string()),
            Just(r#"{"qqmarkqq":["qqmarkqq"]}"#.to_owned()),
            Just(r#""2026-01-01T00:00:00Z""#.to_owned()),
        ];
        prop::collection::vec((field, value), 0..5).prop_map(|members| {
            let members: Vec<String> =
                members.into_iter().map(|(field, value)| format!("{}:{value}", serde_json::json!(field))).collect();
            format!("{{{},\"qqmarkqq \":1}}", members.join(","))
        })
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Request::parse(&bytes);
        }

        #[test]
        fn no_value_is_echoed(payload in near_payload()) {
            if let Err(faults) = Request::parse(payload.as_bytes()) {
                let shown = format!("{faults} {faults:?}");
                prop_assert!(!shown.contains("qqmarkqq"));
            }
        }
    }
}
