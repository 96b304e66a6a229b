//! What is asked of the tenant, as the payloads that fan-out takes.

use domain::Timestamp;
use serde::Serialize;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Only these users, by object id or principal name.
    pub users: Vec<String>,
    /// Only what was created after this time.
    pub from: Option<Timestamp>,
    /// And up to this one.
    pub to: Option<Timestamp>,
    /// Only the last so many hours.
    pub lookback_hours: Option<u32>,
    /// Whether everybody's history follows a daily run.
    pub history: bool,
    /// Whether to say only what would be done.
    pub dry_run: bool,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    users: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lookback_hours: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    history: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

impl Payload<'_> {
    fn to_json(&self) -> String {
        // Strings, numbers and times only: writing them cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Request {
    /// Whether it is everything there is: a daily run of the whole tenant, after which history may follow.
    pub fn is_whole_look(&self) -> bool {
        self.users.is_empty() && self.from.is_none() && self.lookback_hours.is_none()
    }

    /// The payload of the run that is asked for. What a schedule could ask names the time, so that the run is called after
    /// it; the rest is on demand.
    pub fn payload(&self, time: Timestamp) -> String {
        let scheduled = self.users.is_empty() && self.from.is_none();
        Payload {
            scheduled_time: scheduled.then_some(time),
            users: &self.users,
            from: self.from,
            to: self.to,
            lookback_hours: self.lookback_hours,
            history: false,
            dry_run: self.dry_run,
        }
        .to_json()
    }

    /// The payload of a history run at this time.
    pub fn history_payload(&self, time: Timestamp) -> String {
        Payload { scheduled_time: Some(time), history: true, dry_run: self.dry_run, ..Payload::default() }.to_json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn whole() -> Request {
        Request { users: Vec::new(), from: None, to: None, lookback_hours: None, history: true, dry_run: false }
    }

    #[test]
    fn a_look_is_what_the_schedules_ask() {
        let time = at("2026-11-24T03:00:00Z");
        assert_eq!(whole().payload(time), r#"{"scheduledTime":"2026-11-24T03:00:00Z"}"#);
        assert_eq!(whole().history_payload(time), r#"{"scheduledTime":"2026-11-24T03:00:00Z","history":true}"#);
        let lookback = Request { lookback_hours: Some(720), ..whole() };
        assert_eq!(lookback.payload(time), r#"{"scheduledTime":"2026-11-24T03:00:00Z","lookbackHours":720}"#);
        assert!(!lookback.is_whole_look());
    }

    #[test]
    fn users_and_ranges_are_asked_on_demand() {
        let asked = Request {
            users: vec!["a".to_owned()],
            from: Some(at("2026-01-01T00:00:00Z")),
            to: Some(at("2026-02-01T00:00:00Z")),
            dry_run: true,
            ..whole()
        };
        assert_eq!(
            asked.payload(at("2026-11-24T03:00:00Z")),
            concat!(
                r#"{"users":["a"],"from":"2026-01-01T00:00:00Z","to":"2026-02-01T00:00:00Z","#,
                r#""dryRun":true}"#
            )
        );
    }
}
