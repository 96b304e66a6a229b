//! JSON as Graph spells it, looked into without being changed: members repeated, surrogates alone, any depth.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON value, kept as its text. Only what is asked for is parsed, and passing over the rest does not recurse, so that no
/// depth overflows the stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// The value that this text is; `None` if it is no JSON.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str::<&RawValue>(text).ok().map(|raw| Self(raw.get()))
    }

    /// The member of an object with this name; of repeated ones the last. `null` counts as absent.
    pub(crate) fn member(self, name: &str) -> Option<Self> {
        let mut json = serde_json::Deserializer::from_str(self.0);
        let raw = json.deserialize_map(Member(name)).ok()??;
        Some(Self(raw.get())).filter(|value| value.0 != "null")
    }

    /// The elements of an array without its nulls; none of anything else.
    pub(crate) fn elements(self) -> Vec<Self> {
        let raw: Vec<&'a RawValue> = serde_json::from_str(self.0).unwrap_or_default();
        raw.into_iter().map(|raw| Self(raw.get())).filter(|value| value.0 != "null").collect()
    }

    /// A string, decoded. What no text can hold, a surrogate without its other half, becomes a replacement character.
    pub(crate) fn string(self) -> Option<String> {
        serde_json::Deserializer::from_str(self.0).deserialize_bytes(Bytes).ok()
    }

    /// The string that is the member of this name.
    pub(crate) fn text(self, name: &str) -> Option<String> {
        self.member(name)?.string()
    }

    /// The elements of the array that is the member of this name.
    pub(crate) fn list(self, name: &str) -> Vec<Self> {
        self.member(name).map(Self::elements).unwrap_or_default()
    }

    pub(crate) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }
}

struct Member<'n>(&'n str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(IsNamed(self.0))? {
            if is_it {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct IsNamed<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for IsNamed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        Ok(deserializer.deserialize_bytes(Bytes)? == self.0)
    }
}

/// Strings are read as bytes, because JSON may spell lone surrogates, which no text holds.
struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(&without_surrogates(bytes)).into_owned(),
        })
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

/// A surrogate is three bytes, ED A0..BF xx; each becomes one replacement character and not three.
fn without_surrogates(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        match rest {
            [0xed, 0xa0..=0xbf, _, after @ ..] => {
                out.extend("\u{fffd}".as_bytes());
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_repeated_members_counts_and_names_are_decoded() {
        let json = Json::parse(r#" {"a":"1","b":null,"\u0061":"2","\ud800":"x"} "#).unwrap();
        assert_eq!(json.text("a").unwrap(), "2");
        assert!(json.member("b").is_none() && json.member("c").is_none());
    }

    #[test]
    fn a_lone_surrogate_is_one_replacement_character() {
        let json = Json::parse(r#"{"s":"\ud800 alone \udc00, \ud83d\ude00"}"#).unwrap();
        assert_eq!(json.text("s").unwrap(), "\u{fffd} alone \u{fffd}, 😀");
    }

    #[test]
    fn any_depth_is_passed_over() {
        let deep = format!(r#"{{"x":{}{},"y":"z"}}"#, "[".repeat(300_000), "]".repeat(300_000));
        let json = Json::parse(&deep).unwrap();
        assert_eq!(json.text("y").unwrap(), "z");
        assert_eq!(json.list("x").len(), 1);
    }

    #[test]
    fn other_types_have_no_members_elements_or_text() {
        for text in ["null", "17", "\"s\"", "[]", "{}", "true"] {
            let json = Json::parse(text).unwrap();
            assert!(json.member("a").is_none() && json.elements().is_empty(), "{text}");
            assert_eq!(json.string().is_some(), text == "\"s\"");
        }
        assert!(Json::parse("{").is_none() && Json::parse("").is_none() && Json::parse("{} x").is_none());
    }
}
