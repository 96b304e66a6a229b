//! The message: one per user and run, and no name in it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{RunId, UserId};

/// Why a body is no message. Holds no part of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not the JSON of a message.
    #[error("the message is malformed: expected v, run_id, user_id, from, to, not_after and hops")]
    Malformed,
    /// A version this program does not know.
    #[error("the message is of version {0}, this program reads version 1: deploy the version that sent it")]
    UnknownVersion(u64),
}

/// A user to be read in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The run.
    pub run_id: RunId,
    /// The user.
    pub user_id: UserId,
    /// The instant after which the window begins; none until the first attempt fixes it.
    pub from: Option<Timestamp>,
    /// The window's last instant; none in a history run until the first attempt fixes it.
    pub to: Option<Timestamp>,
    /// No piece is begun after this time (history).
    pub not_after: Option<Timestamp>,
    /// Hand-overs since the user's last finished piece.
    pub hops: u32,
}

/// Members that are not named here are a later version's and are passed over: what may not be passed over raises `v`.
#[derive(Serialize, Deserialize)]
struct Wire {
    v: u64,
    run_id: RunId,
    user_id: UserId,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    not_after: Option<Timestamp>,
    hops: u32,
}

impl Message {
    /// The body of the message in the queue.
    pub fn to_body(&self) -> String {
        let Self { run_id, user_id, from, to, not_after, hops } = self.clone();
        let wire = Wire { v: 1, run_id, user_id, from, to, not_after, hops };
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// The message of a body.
    pub fn from_body(body: &str) -> Result<Self, MessageError> {
        #[derive(Deserialize)]
        struct Version {
            v: u64,
        }
        // The version first: a later version may have other members.
        match serde_json::from_str(body) {
            Ok(Version { v: 1 }) => {}
            Ok(Version { v }) => return Err(MessageError::UnknownVersion(v)),
            Err(_) => return Err(MessageError::Malformed),
        }
        let wire: Wire = serde_json::from_str(body).map_err(|_| MessageError::Malformed)?;
        let Wire { v: _, run_id, user_id, from, to, not_after, hops } = wire;
        Ok(Self { run_id, user_id, from, to, not_after, hops })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = concat!(
        r#"{"v":1,"run_id":"20261124T030000Z","user_id":"5ac181d0-c896-435a-a745-ac948db1d59a","#,
        r#""from":null,"to":"2026-11-24T01:00:00Z","not_after":null,"hops":0}"#
    );

    #[test]
    fn the_body_is_what_the_contract_says() {
        assert_eq!(Message::from_body(BODY).unwrap().to_body(), BODY);
    }

    #[test]
    fn a_later_version_s_member_is_passed_over_and_one_without_a_value_may_be_missing() {
        let known = Message::from_body(BODY).unwrap();
        let later = BODY.replace("{\"v\":1", "{\"later\":{\"run_id\":[null]},\"v\":1");
        let short = BODY.replace("\"from\":null,", "").replace("\"not_after\":null,", "");
        for body in [later, short] {
            assert_ne!(body, BODY);
            assert_eq!(Message::from_body(&body), Ok(known.clone()), "{body}");
        }
    }

    #[test]
    fn other_versions_and_other_shapes_are_refused_apart() {
        assert_eq!(
            Message::from_body(&BODY.replace("\"v\":1", "\"v\":2,\"new\":true")),
            Err(MessageError::UnknownVersion(2))
        );
        for body in ["", "null", "[]", "{}", &BODY.replace("\"hops\":0", "\"hops\":-1"), &BODY.replace("hops", "hopz")]
        {
            assert_eq!(Message::from_body(body), Err(MessageError::Malformed), "{body}");
        }
    }
}
