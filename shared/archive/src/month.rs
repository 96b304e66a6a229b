//! The month an item belongs to: a function of its text alone, frozen with the format.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use domain::Timestamp;
use jiff::tz::Offset;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// A calendar month, or `unknown` for items that name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Month(Option<(u16, u8)>);

/// A text is no month. Holds no part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is neither a month of the form YYYY-MM nor `unknown`")]
pub struct ParseMonthError;

impl Month {
    /// The home of every item whose creation time is missing or of another form.
    pub const UNKNOWN: Self = Self(None);

    /// The month of an item.
    pub fn of(item: &str) -> Self {
        match created(item) {
            Ok(Some(created)) => Self::of_created(&created),
            _ => Self::UNKNOWN,
        }
    }

    /// The month of the decoded value of `createdDateTime`: its first seven characters if it is of the form
    /// `YYYY-MM-DDThh:mm:ss[.digits]Z` with a month 01 to 12. Beyond the month, digits are not checked.
    pub(crate) fn of_created(created: &str) -> Self {
        const FORM: &[u8] = b"dddd-dd-ddTdd:dd:dd";
        let bytes = created.as_bytes();
        let Some(rest) = bytes.get(FORM.len()..) else { return Self::UNKNOWN };
        let formed = FORM.iter().zip(bytes).all(|(form, byte)| match form {
            b'd' => byte.is_ascii_digit(),
            form => form == byte,
        });
        let ended = match rest {
            b"Z" => true,
            [b'.', digits @ .., b'Z'] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        if formed && ended { created[..7].parse().unwrap_or(Self::UNKNOWN) } else { Self::UNKNOWN }
    }

    /// The month of an instant, in UTC.
    pub fn at(time: Timestamp) -> Self {
        let date = Offset::UTC.to_datetime(time).date();
        match (u16::try_from(date.year()), u8::try_from(date.month())) {
            (Ok(year), Ok(month)) => Self(Some((year, month))),
            _ => Self::UNKNOWN,
        }
    }

    /// The month before; `unknown` has none but itself.
    pub fn previous(self) -> Self {
        Self(match self.0 {
            Some((year, 2..=12)) => self.0.map(|(_, month)| (year, month - 1)),
            Some((year, _)) => year.checked_sub(1).map(|year| (year, 12)),
            None => None,
        })
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((year, month)) => write!(f, "{year:04}-{month:02}"),
            None => f.write_str("unknown"),
        }
    }
}

impl FromStr for Month {
    type Err = ParseMonthError;

    fn from_str(text: &str) -> Result<Self, ParseMonthError> {
        match text.as_bytes() {
            b"unknown" => Ok(Self::UNKNOWN),
            [year @ .., b'-', tens, ones] if year.len() == 4 && year.iter().all(u8::is_ascii_digit) => {
                let year = year.iter().fold(0, |year, digit| year * 10 + u16::from(digit - b'0'));
                match (tens, ones) {
                    (b'0', b'1'..=b'9') => Ok(Self(Some((year, ones - b'0')))),
                    (b'1', b'0'..=b'2') => Ok(Self(Some((year, 10 + ones - b'0')))),
                    _ => Err(ParseMonthError),
                }
            }
            _ => Err(ParseMonthError),
        }
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The decoded `createdDateTime` of an item if it is a string; of repeated members the last counts. An error if the item is
/// no JSON.
///
/// Values are stepped over as raw text, so that numbers, depth and broken surrogates elsewhere in the item do not matter.
pub(crate) fn created(item: &str) -> Result<Option<Cow<'_, str>>, serde_json::Error> {
    if !item.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
        return serde_json::from_str::<&RawValue>(item).map(|_| None);
    }
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Option<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut last = None;
            while let Some((name, value)) = members.next_entry::<&RawValue, &RawValue>()? {
                if decoded(name).is_some_and(|name| name == "createdDateTime") {
                    last = Some(value);
                }
            }
            Ok(last)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(item);
    let value = deserializer.deserialize_map(Members)?;
    deserializer.end()?;
    Ok(value.and_then(decoded))
}

/// The string that a JSON text is; `None` for other values and for strings that no Unicode text can hold.
fn decoded(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw.get()).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(created: &str) -> String {
        Month::of(&format!(r#"{{"id":"1","createdDateTime":{created},"x":1e400}}"#)).to_string()
    }

    #[test]
    fn the_month_is_the_start_of_a_well_formed_creation_time() {
        for (created, month) in [
            (r#""2026-11-24T10:00:00Z""#, "2026-11"),
            (r#""2026-01-24T10:00:00.1234567Z""#, "2026-01"),
            (r#""0000-12-99T99:99:99Z""#, "0000-12"),
            (r#""2026\u002d11-24T10:00:00Z""#, "2026-11"),
            (r#""2026-00-24T10:00:00Z""#, "unknown"),
            (r#""2026-13-24T10:00:00Z""#, "unknown"),
            (r#""2026-11-24T10:00:00""#, "unknown"),
            (r#""2026-11-24T10:00:00.Z""#, "unknown"),
            (r#""2026-11-24T10:00:00+00:00""#, "unknown"),
            (r#""2026-11-24t10:00:00Z""#, "unknown"),
            (r#""2026-11-24""#, "unknown"),
            (r#""२०२६-11-24T10:00:00Z""#, "unknown"),
            (r#""2026-11-24T10:00:00Z ""#, "unknown"),
            (r#""\ud800""#, "unknown"),
            ("null", "unknown"),
            ("20261124", "unknown"),
            (r#"{"createdDateTime":"2026-11-24T10:00:00Z"}"#, "unknown"),
        ] {
            assert_eq!(of(created), month, "{created}");
        }
    }

    #[test]
    fn names_are_decoded_and_the_last_of_repeated_members_counts() {
        for (item, month) in [
            (r#"{"createdDateTime":"2026-11-24T10:00:00Z","createdDateTime":null}"#, "unknown"),
            (r#"{"createdDateTime":1,"created\u0044ateTime":"2026-10-24T10:00:00Z"}"#, "2026-10"),
            (r#"{"\ud800":1,"createdDateTime":"2026-10-24T10:00:00Z"}"#, "2026-10"),
            (r#"{"CreatedDateTime":"2026-10-24T10:00:00Z"}"#, "unknown"),
            ("[]", "unknown"),
            ("null", "unknown"),
            ("{}", "unknown"),
            ("{", "unknown"),
        ] {
            assert_eq!(Month::of(item).to_string(), month, "{item}");
        }
        let deep =
            format!(r#"{{"x":{}{},"createdDateTime":"2026-10-24T10:00:00Z"}}"#, "[".repeat(9999), "]".repeat(9999));
        assert_eq!(Month::of(&deep).to_string(), "2026-10");
    }

    #[test]
    fn what_is_no_json_is_told_apart_from_what_has_no_time() {
        for text in ["", "{", "{} {}", r#"{"a":1,}"#, "[1", "\u{feff}{}", "nul"] {
            assert!(created(text).is_err(), "{text}");
        }
        for text in ["1e999", "[[[]]]", r#" {"a" : "\ud800" } "#] {
            assert_eq!(created(text).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn months_follow_the_calendar() {
        let january = Month::at("2026-01-31T23:59:59Z".parse().unwrap());
        assert_eq!(january.to_string(), "2026-01");
        assert_eq!(january.previous().to_string(), "2025-12");
        assert_eq!(january.previous().previous().to_string(), "2025-11");
        assert_eq!(Month::UNKNOWN.previous(), Month::UNKNOWN);
        assert_eq!(serde_json::from_str::<Month>(r#""2025-12""#).unwrap(), january.previous());
    }
}
