//! A page: its bytes once, and where in them the items are.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use domain::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::budget::Share;
use crate::error::GraphError;

/// The most items a page may list: a thousand times what is asked for. What is remembered per item is not in the byte
/// budget, so it has a bound of its own.
const ITEMS_CAP: usize = 100_000;

/// What is wrong with an answer that is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageFault {
    /// It begins with a byte-order mark.
    #[error("it begins with a byte-order mark")]
    ByteOrderMark,
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// Not JSON, or JSON that ends early.
    #[error("it is not JSON")]
    NotJson,
    /// JSON without exactly one `value` array, or with more than one next link.
    #[error("it has no `value` array, or a member twice")]
    NotAPage,
}

/// One page of interactions. Its share of the byte budget is free again when it is dropped: drop it before asking for
/// the next one.
pub struct Page {
    text: String,
    items: Vec<Range<usize>>,
    fetched_at: Timestamp,
    _share: Share,
}

impl Page {
    pub(crate) fn new(parsed: Parsed, fetched_at: Timestamp, share: Share) -> Self {
        Self { text: parsed.text, items: parsed.items, fetched_at, _share: share }
    }

    /// Each element of `value`, verbatim, without the whitespace around it.
    pub fn items(&self) -> impl ExactSizeIterator<Item = &str> {
        self.items.iter().map(|range| &self.text[range.clone()])
    }

    /// How many items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none, which says nothing about the pages to come.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// When the whole page had been received.
    pub const fn fetched_at(&self) -> Timestamp {
        self.fetched_at
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("items", &self.len()).field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

/// A body taken apart.
pub(crate) struct Parsed {
    pub(crate) text: String,
    pub(crate) items: Vec<Range<usize>>,
    pub(crate) next_link: Option<String>,
}

/// Takes a body apart into its items and the next link; the items themselves are not looked into.
pub(crate) fn parse(body: Vec<u8>) -> Result<Parsed, GraphError> {
    let bad = |kind, body: Vec<u8>| GraphError::BadPage { kind, body: Bytes::from(body) };
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(bad(PageFault::ByteOrderMark, body));
    }
    let text = String::from_utf8(body).map_err(|error| bad(PageFault::NotUtf8, error.into_bytes()))?;
    // The decoder would also take an array for the members of the object, in their order.
    let object = text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{');
    let (items, next_link) = match serde_json::from_str::<Envelope<'_>>(&text) {
        Ok(_) if !object => return Err(bad(PageFault::NotAPage, text.into_bytes())),
        Ok(Envelope { error: Some(_), .. }) => return Err(bad(PageFault::NotAPage, text.into_bytes())),
        Ok(envelope) if envelope.value.0.len() > ITEMS_CAP => return Err(GraphError::TooLarge),
        Ok(envelope) => {
            let start = text.as_ptr() as usize;
            let range = |item: &str| {
                let from = item.as_ptr() as usize - start;
                from..from + item.len()
            };
            let items: Vec<_> = envelope.value.0.into_iter().map(range).collect();
            (items, envelope.next_link.map(Cow::into_owned))
        }
        Err(error) if error.is_data() => return Err(bad(PageFault::NotAPage, text.into_bytes())),
        Err(_) => return Err(bad(PageFault::NotJson, text.into_bytes())),
    };
    Ok(Parsed { text, items, next_link })
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "@odata.nextLink", borrow, default)]
    next_link: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Items<'a>,
    /// An answer that speaks of an error is none, whatever its status and its `value` say.
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// The elements of an array as they stand in the text; one more than the cap tells that there are too many.
struct Items<'a>(Vec<&'a str>);

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;

        impl<'de> Visitor<'de> for Elements {
            type Value = Vec<&'de str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = elements.next_element::<&'de RawValue>()? {
                    if items.len() <= ITEMS_CAP {
                        items.push(item.get());
                    }
                }
                Ok(items)
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Err(E::custom("null is no array"))
            }
        }

        deserializer.deserialize_seq(Elements).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(body: &str) -> Vec<String> {
        let parsed = parse(body.as_bytes().to_vec()).unwrap();
        parsed.items.iter().map(|range| parsed.text[range.clone()].to_owned()).collect()
    }

    fn fault(body: &[u8]) -> PageFault {
        match parse(body.to_vec()) {
            Err(GraphError::BadPage { kind, body: kept }) => {
                assert_eq!(kept, body);
                kind
            }
            other => panic!("{:?} for {:?}", other.map(|parsed| parsed.items), String::from_utf8_lossy(body)),
        }
    }

    #[test]
    fn items_are_cut_out_verbatim() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let tricky = [
            r#"{"b":1,"a":2,"a":3}"#,
            r#"{"n":1.10,"e":1e2,"huge":1e400,"digits":12345678901234567890123}"#,
            r#"{"s":"\ud800 \/ \u0041"}"#,
            "{ \"spaced\" :\n[ 1 ,\t2 ] }",
            "null",
            "7",
            r#""text""#,
            "[]",
            "-0",
            &deep,
        ];
        let body = format!(
            "\n{{\"@odata.context\":{deep}, \"value\" : [ {} \t] ,\"x\":[{{\"value\":[1]}}]}}\r\n",
            tricky.join(" ,\n ")
        );
        assert_eq!(items(&body), tricky);
        assert!(items(r#"{"value":[]}"#).is_empty());
    }

    #[test]
    fn the_next_link_is_read_wherever_it_stands_and_null_is_none() {
        let link = |body: &str| parse(body.as_bytes().to_vec()).unwrap().next_link;
        assert_eq!(link(r#"{"value":[],"@odata.nextLink":"https:\/\/x\u002fy"}"#).as_deref(), Some("https://x/y"));
        assert_eq!(link(r#"{"@odata.nextLink":"z","value":[{"@odata.nextLink":"inner"}]}"#).as_deref(), Some("z"));
        assert_eq!(link(r#"{"value":[],"@odata.nextLink":""}"#).as_deref(), Some(""));
        assert_eq!(link(r#"{"value":[],"@odata.nextLink":null}"#), None);
        assert_eq!(link(r#"{"value":[]}"#), None);
    }

    #[test]
    fn what_is_no_page_is_named_and_kept_whole() {
        assert_eq!(fault(b"\xef\xbb\xbf{\"value\":[]}"), PageFault::ByteOrderMark);
        assert_eq!(fault(b"{\"value\":[\"\xff\"]}"), PageFault::NotUtf8);
        assert_eq!(fault(b"{\"value\":[],\"x\":\"\xff\"}"), PageFault::NotUtf8);
        for body in [
            "",
            "<html>",
            "{\"value\":[1,2",
            "{\"value\":[1,]}",
            "{\"value\":[]} x",
            "{\"value\":[\"\x01\"]}",
            "{\"value\":[01]}",
        ] {
            assert_eq!(fault(body.as_bytes()), PageFault::NotJson, "{body}");
        }
        for body in [
            "null",
            "{}",
            "7",
            r#"{"value":null}"#,
            r#"{"value":{}}"#,
            r#"{"value":"x"}"#,
            r#"{"Value":[]}"#,
            r#"{"value":[],"value":[]}"#,
            r#"{"value":[],"@odata.nextLink":7}"#,
            r#"{"value":[],"@odata.nextLink":"a","@odata.nextLink":"b"}"#,
            r#"{"value":[],"@odata.nextLink":null,"@odata.nextLink":"b"}"#,
            r#"{"error":{"code":"x"}}"#,
            r#"{"value":[],"error":{"code":"x"}}"#,
        ] {
            assert_eq!(fault(body.as_bytes()), PageFault::NotAPage, "{body}");
        }
    }

    /// Found by fuzzing: it was read as a page without items, which says that there is nothing.
    #[test]
    fn an_array_is_no_page_even_if_its_elements_would_do_as_members() {
        for body in [r#"["",[]]"#, "[null,[]]", " \n[null,[1],null]"] {
            assert_eq!(fault(body.as_bytes()), PageFault::NotAPage, "{body}");
        }
    }

    #[test]
    fn a_page_of_countless_items_is_too_large() {
        let body = format!(r#"{{"value":[{}0]}}"#, "0,".repeat(ITEMS_CAP));
        assert!(matches!(parse(body.into_bytes()), Err(GraphError::TooLarge)));
    }
}
