//! Identities. Each is a type of its own, so that one cannot stand where another belongs.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::Random;

/// Why a text is no identity. Holds no part of the text: it may be a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not 8-4-4-4-12 hexadecimal digits.
    #[error("is not a GUID of the form 00000000-0000-0000-0000-000000000000")]
    NotGuid,
    /// Not `[A-Za-z0-9_-]{1,64}`.
    #[error("is not a run id: 1 to 64 of the characters A-Z, a-z, 0-9, _ and -")]
    NotRunId,
    /// Not 32 lower-case hexadecimal digits.
    #[error("is not an attempt id: 32 lower-case hexadecimal digits")]
    NotAttemptId,
}

macro_rules! guid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// The identity of these 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self.0.as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.as_hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                // `Uuid` also reads braces, URNs and the form without hyphens; Graph uses one form only.
                if text.len() != 36 {
                    return Err(IdError::NotGuid);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| IdError::NotGuid)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

guid! {
    /// An Entra tenant. An archive holds exactly one.
    TenantId
}
guid! {
    /// The Entra object id of a user: the owner of a history, and the partition of the archive.
    UserId
}
guid! {
    /// The Entra object id of a group.
    GroupId
}
guid! {
    /// The random identity of one archive: a checkpoint of another archive counts as absent.
    ArchiveId
}

impl ArchiveId {
    /// A new random identity.
    pub fn random(random: &dyn Random) -> Self {
        Self(uuid::Builder::from_random_bytes(random.bytes16()).into_uuid())
    }
}

/// What kind of run: what decides each user's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Continues each user's coverage to now, with the overlap.
    Daily,
    /// Extends coverage backwards to `HISTORY_START`.
    History,
    /// Re-reads the last so many hours.
    Lookback,
    /// What somebody asked for.
    OnDemand,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Daily => "daily",
            Self::History => "history",
            Self::Lookback => "lookback",
            Self::OnDemand => "on-demand",
        })
    }
}

/// The name of a run. Part of object keys, so its characters are restricted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// The id of the run a schedule starts: `YYYYMMDDTHHMMSSZ`, with `-history` or `-lookback` appended for these kinds.
    /// The same scheduled time gives the same id, so a schedule that fires twice makes one run.
    pub fn scheduled(at: Timestamp, kind: Kind) -> Self {
        let stamp = at.strftime("%Y%m%dT%H%M%SZ");
        Self(match kind {
            Kind::History => format!("{stamp}-history"),
            Kind::Lookback => format!("{stamp}-lookback"),
            Kind::Daily | Kind::OnDemand => stamp.to_string(),
        })
    }

    /// The id of an on-demand run without a `runId`: made of the id of the request that asked.
    pub fn on_demand(request_id: &str) -> Result<Self, IdError> {
        format!("od-{request_id}").parse()
    }

    /// Whether the id has the form that only schedules may use.
    pub fn is_scheduled_form(&self) -> bool {
        let stamp = self.0.strip_suffix("-history").or_else(|| self.0.strip_suffix("-lookback")).unwrap_or(&self.0);
        let bytes = stamp.as_bytes();
        bytes.len() == 16
            && bytes[8] == b'T'
            && bytes[15] == b'Z'
            && bytes[..8].iter().chain(&bytes[9..15]).all(u8::is_ascii_digit)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RunId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::NotRunId)
        }
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// One invocation of a worker: 128 random bits in hexadecimal. It stands in every record, so that two attempts never
/// put the same bytes and each recognises its own put.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct AttemptId(String);

impl AttemptId {
    /// A new random id.
    pub fn random(random: &dyn Random) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(random.bytes16())))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AttemptId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 32 && text.bytes().all(hex) { Ok(Self(text.to_owned())) } else { Err(IdError::NotAttemptId) }
    }
}

impl<'de> Deserialize<'de> for AttemptId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRandom;

    #[test]
    fn guids_are_written_in_lower_case_and_read_in_any() {
        let id: UserId = "5AC181D0-C896-435A-A745-AC948DB1D59A".parse().unwrap();
        assert_eq!(id.to_string(), "5ac181d0-c896-435a-a745-ac948db1d59a");
    }

    #[test]
    fn other_spellings_of_a_guid_are_refused() {
        for text in
            ["", "5ac181d0c896435aa745ac948db1d59a", "{5ac181d0-c896-435a-a745-ac948db1d59a}", "adele@contoso.com"]
        {
            assert_eq!(text.parse::<UserId>(), Err(IdError::NotGuid), "{text}");
        }
    }

    #[test]
    fn a_scheduled_time_names_its_run() {
        let at: Timestamp = "2026-11-24T03:00:00Z".parse().unwrap();
        assert_eq!(RunId::scheduled(at, Kind::Daily).as_str(), "20261124T030000Z");
        assert_eq!(RunId::scheduled(at, Kind::History).as_str(), "20261124T030000Z-history");
        assert!(RunId::scheduled(at, Kind::Lookback).is_scheduled_form());
        assert!(!"20261124T03000Z".parse::<RunId>().unwrap().is_scheduled_form());
        assert!(!"case-4711".parse::<RunId>().unwrap().is_scheduled_form());
    }

    #[test]
    fn a_run_id_cannot_leave_its_folder() {
        for text in ["", "..", "a/b", "a b", "a.b", &"x".repeat(65)] {
            assert_eq!(text.parse::<RunId>(), Err(IdError::NotRunId), "{text}");
        }
    }

    #[test]
    fn attempt_ids_round_trip() {
        let id = AttemptId::random(&SeededRandom::new(1));
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        assert!(
            id.as_str().to_uppercase().parse::<AttemptId>().is_err() || id.as_str().bytes().all(|b| b.is_ascii_digit())
        );
    }
}
