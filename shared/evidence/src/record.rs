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
    pub(crate) fetched_at: jiff::Timestamp,
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
    let [created] = members(item, ["createdDateTime"]);
    created.and_then(|time| month_of_time(&time).map(str::to_owned)).unwrap_or_else(|| "unknown".to_owned())
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

/// The last top-level member of each of these names, decoded, where it is a string. Strings are read as bytes, because JSON
/// may spell lone surrogates, which no UTF-8 string holds.
pub(crate) fn members<const N: usize>(item: &str, names: [&str; N]) -> [Option<Vec<u8>>; N] {
    struct Members<'n, const N: usize>([&'n str; N]);

    impl<'de, const N: usize> Visitor<'de> for Members<'_, N> {
        type Value = [Option<&'de RawValue>; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = [None; N];
            while let Some(place) = map.next_key_seed(PlaceIn(&self.0))? {
                match place.and_then(|place| found.get_mut(place)) {
                    Some(value) => *value = Some(map.next_value()?),
                    None => drop(map.next_value::<IgnoredAny>()?),
                }
            }
            Ok(found)
        }
    }

    let mut json = serde_json::Deserializer::from_str(item);
    let raw = json.deserialize_map(Members(names)).unwrap_or([None; N]);
    raw.map(|raw| serde_json::Deserializer::from_str(raw?.get()).deserialize_bytes(Bytes).ok())
}

/// Which of the names a member has.
struct PlaceIn<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for PlaceIn<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let name = deserializer.deserialize_bytes(Bytes)?;
        Ok(self.0.iter().position(|known| known.as_bytes() == name))
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
