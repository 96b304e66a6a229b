//! Whatever stands in an archive, the pages hold our elements and attributes and nothing else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what does not hold here is a fault of the test")]

mod support;

use std::collections::BTreeMap;
use std::fs;

use handover::write_transcripts;
use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Token, Tokenizer};
use serde_json::Value;
use support::corpus::{CORPUS, items};
use support::*;

/// Elements and the attributes they may have, with the values these may have: no value is content.
fn allowed() -> BTreeMap<&'static str, Vec<(&'static str, &'static [&'static str])>> {
    type Attributes = Vec<(&'static str, &'static [&'static str])>;
    let class = |values: &'static [&'static str]| -> Attributes { vec![("class", values)] };
    let mut allowed: BTreeMap<&'static str, Attributes> = BTreeMap::new();
    for plain in ["head", "title", "style", "body", "h1", "table", "tr", "td", "th", "ul", "li", "details"] {
        allowed.insert(plain, Vec::new());
    }
    allowed.insert("html", vec![("lang", &["en"])]);
    allowed.insert(
        "meta",
        vec![
            ("charset", &["utf-8"]),
            ("http-equiv", &["Content-Security-Policy"]),
            ("content", &["default-src 'none'; style-src 'unsafe-inline'", "no-referrer"]),
            ("name", &["referrer"]),
        ],
    );
    allowed.insert("article", class(&["prompt", "response", "other"]));
    allowed.insert("summary", class(&["note"]));
    allowed.insert("p", class(&["note"]));
    allowed.insert("h2", class(&["who"]));
    allowed.insert("pre", class(&["text", "raw", "audit"]));
    allowed.insert("footer", class(&["origin"]));
    allowed
}

/// Walks a page as a browser's tokenizer does; returns what it shows.
fn shown(page: &str) -> String {
    let allowed = allowed();
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let (mut open, mut shown) = (Vec::new(), String::new());
    for Ok(token) in Tokenizer::new_with_emitter(page, emitter) {
        match token {
            Token::StartTag(tag) => {
                let name = String::from_utf8(tag.name.0.clone()).unwrap();
                let attributes = allowed.get(name.as_str()).unwrap_or_else(|| panic!("<{name}> in\n{page}"));
                for (attribute, value) in &tag.attributes {
                    let (attribute, value) =
                        (String::from_utf8_lossy(attribute), String::from_utf8_lossy(&value.value));
                    let values = attributes.iter().find(|(known, _)| *known == attribute);
                    let values = values.unwrap_or_else(|| panic!("{attribute} of <{name}> in\n{page}")).1;
                    assert!(values.contains(&&*value), "{attribute}={value:?} of <{name}>");
                }
                if name != "meta" {
                    open.push(name);
                }
            }
            Token::EndTag(tag) => {
                let name = String::from_utf8(tag.name.0.clone()).unwrap();
                assert_eq!(open.pop(), Some(name), "in\n{page}");
            }
            Token::String(text) if open.last().is_none_or(|name| name != "style") => {
                shown.push_str(std::str::from_utf8(&text.value).unwrap());
            }
            Token::String(_) => {}
            Token::Doctype(doctype) => assert_eq!(doctype.name.as_slice(), b"html"),
            Token::Comment(comment) => panic!("a comment: {comment:?}"),
            Token::Error(error) => panic!("{error:?} in\n{page}"),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    shown
}

#[test]
fn pages_stay_inert_whatever_they_show() {
    for attack in CORPUS {
        let texts: Vec<String> = items(attack).iter().map(Value::to_string).collect();
        let memory = archive_of(attack, &texts);
        let report = audit_named(&memory, &[ADELE], attack);
        let place = tempfile::tempdir().unwrap();
        let summary = write_transcripts(&memory, &report, &place.path().join("out")).unwrap();
        assert_eq!((summary.records, summary.messages, summary.earlier_texts), (6, 5, 1), "{attack}");
        let mut headings = 0;
        for entry in fs::read_dir(place.path().join("out/transcripts")).unwrap() {
            let path = entry.unwrap().path();
            let page = fs::read_to_string(&path).unwrap();
            assert!(!page.contains(['\0', '\u{1b}', '\u{202e}', '\u{2066}', '\u{e0041}', '\r', '\u{9b}', '\u{8}']));
            if path.extension().is_some_and(|extension| extension == "html") {
                let shown = shown(&page);
                // What is made harmless is still to be read.
                let words: String = attack.chars().filter(|character| character.is_ascii_alphanumeric()).collect();
                let seen: String = shown.chars().filter(|character| character.is_ascii_alphanumeric()).collect();
                assert!(seen.contains(&words), "{attack} is not shown");
            } else {
                headings += page.lines().filter(|line| line.starts_with("--- ")).count();
            }
        }
        assert_eq!(headings as u64, summary.messages, "no text looks like a heading: {attack}");
    }
}

#[test]
fn the_check_itself_finds_what_is_foreign() {
    for page in ["<p onclick=x>", "<script></script>", "<p class=\"x\"></p>", "<a href=x>", "<!-- -->", "<p>"] {
        assert!(std::panic::catch_unwind(|| shown(page)).is_err(), "{page}");
    }
}
