//! One line of a segment, and what the format reads of the item in it.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A line of a segment. The item is kept as the text it is: nothing of it is rounded, escaped again or dropped.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record<'a> {
    #[serde(borrow)]
    tenant_id: &'a RawValue,
    #[serde(borrow)]
    user_id: &'a RawValue,
    #[serde(borrow)]
    run_id: &'a RawValue,
    #[serde(borrow)]
    attempt_id: &'a RawValue,
    fetched_at: jiff::Timestamp,
    #[serde(borrow)]
    interaction: &'a RawValue,
}

impl<'a> Record<'a> {
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(line).ok()?;
        let plain = [record.tenant_id, record.user_id, record.run_id, record.attempt_id].map(plain_string);
        plain.iter().all(Option::is_some).then_some(record)
    }

    pub(crate) fn tenant_id(&self) -> &'a str {
        plain_string(self.tenant_id).unwrap_or_default()
    }

    pub(crate) fn user_id(&self) -> &'a str {
        plain_string(self.user_id).unwrap_or_default()
    }

    pub(crate) fn run_id(&self) -> &'a str {
        plain_string(self.run_id).unwrap_or_default()
    }

    pub(crate) fn attempt_id(&self) -> &'a str {
        plain_string(self.attempt_id).unwrap_or_default()
    }

    pub(crate) fn fetched_at(&self) -> jiff::Timestamp {
        self.fetched_at
    }

    /// The item, byte for byte.
    pub(crate) fn text(&self) -> &'a str {
        self.interaction.get()
    }
}

/// The content of a string that needs no escape, which holds for every identity.
fn plain_string(raw: &RawValue) -> Option<&str> {
    let text = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains('\\')).then_some(text)
}

/// The month an item belongs to, or `unknown`: a frozen function of its text.
pub(crate) fn month(item: &str) -> String {
    member(item, "createdDateTime")
        .and_then(|time| month_of_time(&time).map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// `YYYY-MM-DDThh:mm:ss[.digits]Z` with a month that exists; the other digits may be any.
fn month_of_time(time: &[u8]) -> Option<&str> {
    let (whole, rest) = time.split_at_checked(19)?;
    let form = whole.iter().zip(b"0000-00-00T00:00:00").all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    });
    let fraction = rest.strip_suffix(b"Z")?;
    let fraction = match fraction.strip_prefix(b".") {
        Some(digits) => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        None => fraction.is_empty(),
    };
    let month = std::str::from_utf8(whole.get(..7)?).ok()?;
    (form && fraction && ("01"..="12").contains(&&month[5..])).then_some(month)
}

/// The last top-level member of this name, decoded, if it is a string. Strings are read as bytes, because JSON may spell
/// lone surrogates, which no UTF-8 string holds.
pub(crate) fn member(item: &str, name: &str) -> Option<Vec<u8>> {
    struct Members<'n>(&'n str);

    impl<'de> Visitor<'de> for Members<'_> {
        type Value = Option<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(matches) = map.next_key_seed(NameIs(self.0))? {
                if matches {
                    found = Some(map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }

    let mut json = serde_json::Deserializer::from_str(item);
    let raw = json.deserialize_map(Members(name)).ok()??;
    let mut json = serde_json::Deserializer::from_str(raw.get());
    json.deserialize_bytes(Bytes).ok()
}

struct NameIs<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for NameIs<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_bytes(Bytes).map(|name| name == self.0.as_bytes())
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_str<E>(self, text: &str) -> Result<Vec<u8>, E> {
        Ok(text.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_month_is_of_the_last_member_that_is_named_so_after_decoding() {
        for (item, expected) in [
            (r#"{"createdDateTime":"2026-11-24T03:00:00Z"}"#, "2026-11"),
            (r#"{"createdDateTime":"2026-11-24T03:00:00.1234567Z","x":1}"#, "2026-11"),
            (r#"{"createdDateTime":"2026-11-99T99:99:99Z"}"#, "2026-11"),
            (r#"{"createdDateTime":"2026-11-24T03:00:00Z","createdDateTime":"2026-12-24T03:00:00Z"}"#, "2026-12"),
            (r#"{"createdDateTime":"2026-11-24T03:00:00Z","createdDateTime":null}"#, "unknown"),
            (r#"{"createdDat\u0065Time":"2026-\u00311-24T03:00:00Z"}"#, "2026-11"),
            (r#"{"\ud800":"\udfff","createdDateTime":"2026-11-24T03:00:00Z"}"#, "2026-11"),
            (r#"{"createdDateTime":"2026-11-24T03:00:00Z\ud800"}"#, "unknown"),
            (r#"{"createdDateTime":"2026-13-24T03:00:00Z"}"#, "unknown"),
            (r#"{"createdDateTime":"2026-00-24T03:00:00Z"}"#, "unknown"),
            (r#"{"createdDateTime":"2026-11-24T03:00:00"}"#, "unknown"),
            (r#"{"createdDateTime":"2026-11-24T03:00:00.Z"}"#, "unknown"),
            (r#"{"createdDateTime":"2026-11-24T03:00:00+00:00"}"#, "unknown"),
            (r#"{"createdDateTime":20261124}"#, "unknown"),
            (r#"{"inner":{"createdDateTime":"2026-11-24T03:00:00Z"}}"#, "unknown"),
            ("{}", "unknown"),
            ("[1]", "unknown"),
            ("null", "unknown"),
        ] {
            assert_eq!(month(item), expected, "{item}");
        }
    }

    #[test]
    fn deep_items_are_read_without_recursion() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        let item = format!(r#"{{"deep":{deep},"createdDateTime":"2026-11-24T03:00:00Z"}}"#);
        assert_eq!(month(&item), "2026-11");
        let line = format!(
            r#"{{"tenant_id":"t","user_id":"u","run_id":"r","attempt_id":"a","fetched_at":"2026-11-24T03:00:00Z","interaction":{item}}}"#
        );
        assert_eq!(Record::parse(line.as_bytes()).unwrap().text(), item);
    }

    #[test]
    fn a_record_keeps_the_item_verbatim() {
        let item = r#"{ "a" : 1.0e+2, "a":"\ud800" , "b":12345678901234567890123 }"#;
        let line = format!(
            r#"{{"tenant_id":"t","user_id":"u","run_id":"r","attempt_id":"a","fetched_at":"2026-11-24T03:00:00Z","interaction":{item}}}"#
        );
        let record = Record::parse(line.as_bytes()).unwrap();
        assert_eq!(record.text(), item);
        assert_eq!((record.tenant_id(), record.user_id(), record.run_id(), record.attempt_id()), ("t", "u", "r", "a"));
        assert_eq!(record.fetched_at().to_string(), "2026-11-24T03:00:00Z");
    }

    #[test]
    fn other_lines_are_no_records() {
        for line in [
            "",
            "{}",
            "null",
            r#"{"tenant_id":"t","user_id":"u","run_id":"r","attempt_id":"a","fetched_at":"2026-11-24T03:00:00Z"}"#,
            r#"{"tenant_id":"t","tenant_id":"t","user_id":"u","run_id":"r","attempt_id":"a","fetched_at":"2026-11-24T03:00:00Z","interaction":{}}"#,
            r#"{"tenant_id":1,"user_id":"u","run_id":"r","attempt_id":"a","fetched_at":"2026-11-24T03:00:00Z","interaction":{}}"#,
            r#"{"tenant_id":"t","user_id":"u","run_id":"r","attempt_id":"a","fetched_at":"2026-11-24T03:00:00Z","interaction":{}} x"#,
            r#"{"tenant_id":"t","user_id":"u","run_id":"r","attempt_id":"a","fetched_at":"2026-11-24T03:00:00Z","interaction":{},"more":1}"#,
        ] {
            assert!(Record::parse(line.as_bytes()).is_none(), "{line}");
        }
        assert!(Record::parse(b"{\"tenant_id\":\"\xff\"").is_none());
    }
}
