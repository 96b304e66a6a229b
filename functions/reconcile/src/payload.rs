//! The payload: which run is asked for, or all that is wrong with it at once.
//!
//! A fault names a field or a position, never a value: an error ends in a log.

use std::fmt;

use domain::RunId;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The largest payload that is parsed. A run id is at most 64 characters: whatever is larger was meant for another
/// function.
const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

/// The longest name of an unknown field that is shown. Longer ones are named by their position.
const MAX_SHOWN_NAME: usize = 32;

/// One thing that is wrong with a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    at: String,
    problem: &'static str,
}

impl Fault {
    fn new(at: impl Into<String>, problem: &'static str) -> Self {
        Self { at: at.into(), problem }
    }

    /// The field or position: `runId`, `field 2`.
    pub fn field(&self) -> &str {
        &self.at
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &'static str {
        self.problem
    }
}

/// All that is wrong with a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Each fault, in the order of the payload.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            write!(f, "{}{} {}", if index == 0 { "" } else { "; " }, fault.at, fault.problem)?;
        }
        Ok(())
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Every open run.
    All,
    /// This run.
    Run(RunId),
}

impl Request {
    /// The request of a payload, or every fault of it.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, Faults> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(Faults(vec![Fault::new("payload", "is larger than 64 KiB")]));
        }
        let Ok(Members(members)) = serde_json::from_slice(payload) else {
            return Err(Faults(vec![Fault::new("payload", "is no JSON object")]));
        };
        let mut request = None;
        let mut faults = Vec::new();
        for (index, (name, value)) in members.iter().enumerate() {
            if name != "runId" {
                faults
                    .push(Fault::new(shown(name, index), "is no field of this function, which takes runId or nothing"));
            } else if request.is_some() {
                faults.push(Fault::new("runId", "is given twice"));
            } else {
                let id = value.as_str().and_then(|text| text.parse().ok());
                if id.is_none() {
                    faults.push(Fault::new("runId", "is not 1 to 64 of the characters A-Z, a-z, 0-9, _ and -"));
                }
                request = Some(id);
            }
        }
        if faults.is_empty() { Ok(request.flatten().map_or(Self::All, Self::Run)) } else { Err(Faults(faults)) }
    }
}

/// How an unknown field is named: by itself if it can hold nothing but a name, else by its position.
fn shown(name: &str, index: usize) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain && (1..=MAX_SHOWN_NAME).contains(&name.len()) { name.to_owned() } else { format!("field {}", index + 1) }
}

/// The members of an object in their order, repeated ones included.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
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
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(payload: &str) -> String {
        Request::parse(payload.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_run_or_nothing_is_asked_for() {
        assert_eq!(Request::parse(b"{}"), Ok(Request::All));
        let run = "20261124T030000Z".parse().unwrap();
        assert_eq!(Request::parse(br#"{"runId":"20261124T030000Z"}"#), Ok(Request::Run(run)));
    }

    #[test]
    fn every_fault_is_named_and_no_value_is_shown() {
        let shown = faults(r#"{"runId":"../adele","runID":"adele","no such name, adele":1,"runId":"x"}"#);
        assert_eq!(shown.matches(';').count(), 3, "{shown}");
        for part in ["runId is not 1 to 64", "runID is no field", "field 3 is no field", "runId is given twice"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains("adele"), "{shown}");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for payload in ["", "null", "[]", "\"x\"", "{", "{}{}"] {
            assert_eq!(faults(payload), "payload is no JSON object", "{payload}");
        }
        assert!(faults(r#"{"runId":null}"#).contains("runId is not"));
        assert!(faults(&" ".repeat(MAX_PAYLOAD_BYTES + 1)).contains("larger"));
    }
}
