//! The page splitter, held against a plain reading by `serde_json`.

use std::borrow::Cow;
use std::fmt;

use graph::parts::{Split, take_apart};
use graph::{GraphError, PageFault};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A body is split exactly if a plain reading finds one page in it, into the same items and the same link. Together with what
/// lies between them the items are the body, byte for byte; what is not split is handed back as it came.
pub fn page(bytes: &[u8]) {
    let expected = std::str::from_utf8(bytes).ok().and_then(plain);
    match (take_apart(bytes.to_vec()), expected) {
        (Ok(split), Some((items, next_link))) => {
            assert_eq!(split.text.as_bytes(), bytes);
            let found: Vec<&str> = split.items.iter().map(|range| &split.text[range.clone()]).collect();
            assert_eq!((found, &split.next_link), (items, &next_link));
            joins(&split);
        }
        (Err(GraphError::BadPage { kind, body }), None) => {
            assert_eq!(body, bytes, "it is kept as it came");
            let begins = bytes.starts_with(b"\xef\xbb\xbf");
            assert_eq!(kind == PageFault::ByteOrderMark, begins);
            assert_eq!(kind == PageFault::NotUtf8, !begins && std::str::from_utf8(bytes).is_err());
        }
        (found, expected) => panic!("split: {found:?}, read: {expected:?}"),
    }
}

/// Between two items stands one comma, before the first an opening bracket and after the last a closing one.
fn joins(Split { text, items, .. }: &Split) {
    let white = |text: &str| text.trim_matches([' ', '\t', '\n', '\r']).to_owned();
    for pair in items.windows(2) {
        assert_eq!(white(&text[pair[0].end..pair[1].start]), ",");
    }
    if let (Some(first), Some(last)) = (items.first(), items.last()) {
        assert!(white(&text[..first.start]).ends_with('['));
        assert!(white(&text[last.end..]).starts_with(']'));
    }
    for item in items {
        assert_eq!(white(&text[item.clone()]), text[item.clone()], "an item has no white space around it");
    }
}

/// The items and the next link of a page, if it is one.
fn plain(text: &str) -> Option<(Vec<&str>, Option<String>)> {
    let Members(members) = serde_json::from_str(text).ok()?;
    let named = |name: &str| {
        let mut values = members.iter().filter(|(member, _)| member == name).map(|(_, value)| value.get());
        let first = values.next();
        values.next().is_none().then_some(first)
    };
    let (value, link, error) = (named("value")??, named("@odata.nextLink")?, named("error")?);
    if error.is_some_and(|error| error != "null") {
        return None;
    }
    let items: Vec<&RawValue> = serde_json::from_str(value).ok()?;
    let link: Option<String> = link.map_or(Some(None), |link| serde_json::from_str(link).ok())?;
    Some((items.into_iter().map(RawValue::get).collect(), link))
}

/// All members of an object, in their order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
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
