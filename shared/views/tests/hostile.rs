//! Whatever a text holds, it gives a row.

use proptest::prelude::*;
use serde_json::{Value, json};
use views::{Fetched, Interaction, TextSource, arrange};

/// Names and values that the rules look for, among others.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "userPrompt",
            "aiResponse",
            "html",
            "text",
            "AdaptiveCard",
            "TextBlock",
            "RichTextBlock",
            "FactSet",
            "Column",
            "MessageTextField",
            "application/vnd.microsoft.card.adaptive",
            "IPM.SkypeTeams.Message.Copilot.Excel",
            "s",
            "<attachment id=\"a\"></attachment>",
            "&lt;attachment id=\"a\"&gt;",
            "2026-03-02T09:14:09.061Z",
            "Searching…",
            "{\"finalResponse\":\"x\"}",
            "<",
            "&",
            "&#x110000;",
            "\u{0}",
            "\u{202e}",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word().prop_map(Value::from)
    ];
    let name = prop::sample::select(vec![
        "id",
        "sessionId",
        "requestId",
        "etag",
        "createdDateTime",
        "interactionType",
        "appClass",
        "body",
        "content",
        "contentType",
        "attachments",
        "links",
        "contexts",
        "mentions",
        "from",
        "application",
        "type",
        "text",
        "items",
        "columns",
        "facts",
        "inlines",
        "title",
        "value",
        "linkUrl",
        "finalResponse",
    ]);
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner.clone()), 0..8).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<Value>()),
            // A document in a string, as cards are.
            inner.prop_map(|value| Value::from(value.to_string())),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_gives_a_row_and_no_text_is_lost_quietly(item in value(), etag in word()) {
        let row = Interaction::read(&item.to_string());
        prop_assert_eq!(row.text.is_none(), row.text_source == TextSource::Unparsed);
        prop_assert_eq!(row.text.as_deref() == Some(""), row.text_source == TextSource::Empty);
        let body = json!({"sessionId": "s", "id": "i", "etag": etag, "body": {"content": item}, "interactionType": "userPrompt"});
        let read = [row, Interaction::read(&body.to_string()), Interaction::read("{}")];
        let rows = read.each_ref().map(|interaction| Fetched { interaction, fetched_at: jiff::Timestamp::UNIX_EPOCH });
        let arranged = arrange(&rows);
        prop_assert_eq!(arranged.places.len(), rows.len());
        let placed: usize = arranged.turns.iter().map(|turn| turn.prompts.len() + turn.answers.len()).sum();
        prop_assert_eq!(placed, arranged.places.iter().filter(|place| place.turn.is_some()).count());
    }

    #[test]
    fn any_bytes_are_no_panic(item in any::<String>()) {
        let _ = Interaction::read(&item);
        let _ = Interaction::read(&format!("{{\"body\":{{\"content\":{}}}}}", Value::from(item.as_str())));
    }

    /// A prompt of plain words is shown as it was typed.
    #[test]
    fn plain_words_are_kept(words in "[a-zA-Z0-9 .,;:!?<>(){}\\[\\]=/#'\"äöü你🙂-]{1,80}") {
        let item = json!({"interactionType": "userPrompt", "body": {"contentType": "text", "content": words}});
        let row = Interaction::read(&item.to_string());
        let words = words.trim();
        prop_assert_eq!(row.text.as_deref(), Some(words));
    }

    /// What is escaped as HTML comes back as it was.
    #[test]
    fn escaped_words_come_back(words in "[a-z0-9 <>&\"]{1,80}") {
        let escaped = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        for kind in ["html", "text"] {
            let item = json!({"interactionType": "userPrompt", "body": {"contentType": kind, "content": escaped}});
            prop_assert_eq!(Interaction::read(&item.to_string()).text, Some(words.trim().to_owned()));
        }
    }
}

#[test]
fn deep_and_wide_items_end() {
    for (open, close) in [("[", "]"), (r#"{"body":"#, "}"), (r#"{"attachments":["#, "]}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        assert_eq!(Interaction::read(&deep).text_source, TextSource::Unparsed);
    }
    let element = r#"{"type":"Container","items":[{"type":"TextBlock","text":"x"}]}"#;
    let card = format!(r#"{{"type":"AdaptiveCard","body":[{}]}}"#, vec![element; 20_000].join(","));
    let item = json!({"attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}]});
    assert_eq!(Interaction::read(&item.to_string()).text.unwrap().len(), 39_999);
    let tags = json!({"body": {"contentType": "html", "content": "<b>".repeat(200_000)}});
    assert_eq!(Interaction::read(&tags.to_string()).text_source, TextSource::Unparsed);
    let open = json!({"body": {"contentType": "text", "content": "<attachment id='".repeat(20_000)}});
    assert_eq!(Interaction::read(&open.to_string()).text_source, TextSource::Body);
}
