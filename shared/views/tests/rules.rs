//! Single rules, each on the item that shows it.

#![allow(clippy::unwrap_used, reason = "what does not hold here is a fault of the test")]

use serde_json::{Value, json};
use views::{Arrangement, Fetched, Interaction, PairedBy, Role, TextSource, arrange};

const CARD: &str = "application/vnd.microsoft.card.adaptive";

fn read(item: Value) -> Interaction {
    Interaction::read(&item.to_string())
}

fn answer(app: &str, body: Value, attachments: Value) -> Interaction {
    read(json!({"interactionType": "aiResponse", "appClass": format!("IPM.SkypeTeams.Message.Copilot.{app}"),
        "body": body, "attachments": attachments}))
}

fn card(content: impl Into<Value>) -> Value {
    json!([{"attachmentId": "a1", "contentType": CARD, "content": content.into()}])
}

fn text_block(text: &str) -> String {
    json!({"type": "AdaptiveCard", "body": [{"type": "TextBlock", "text": text}]}).to_string()
}

#[test]
fn a_row_has_the_columns_of_the_item() {
    let row = read(json!({
        "id": "1772442849061", "sessionId": "19:s@thread.v2", "requestId": "r", "etag": "1772442849061",
        "appClass": "IPM.SkypeTeams.Message.Copilot.BizChat", "interactionType": "aiResponse",
        "conversationType": "bizchat", "createdDateTime": "2026-03-02T09:14:09.061Z", "locale": "en-us",
        "from": {"application": {"displayName": "Microsoft 365 Chat"}, "user": null},
        "contexts": [{"contextReference": "https://x/q1.xlsx", "displayName": "q1.xlsx", "contextType": "xlsx"}, null],
        "body": {"contentType": "html", "content": "<attachment id=\"a1\"></attachment>"},
        "attachments": [{"attachmentId": "a1", "contentType": CARD, "contentUrl": null, "name": null, "content": text_block("Two.")}],
        "links": [
            {"linkUrl": "https://x/o.docx?web=1&EntityRepresentationId=5ac1-00", "displayName": "o.docx", "linkType": "File"},
            {"linkUrl": "https://x/o.docx?web=1", "displayName": "o.docx", "linkType": "File"},
            {"linkUrl": "https://x/alone?EntityRepresentationId=5ac1-00", "linkType": "Event"}],
        "mentions": [{"mentionId": 0}]
    }));
    assert_eq!((row.role, row.app.as_deref(), row.text.as_deref()), (Role::Response, Some("BizChat"), Some("Two.")));
    assert_eq!(row.assistant_name.as_deref(), Some("Microsoft 365 Chat"));
    assert_eq!(row.created_at.unwrap().to_string(), "2026-03-02T09:14:09.061Z");
    let links: Vec<_> = row.links.iter().map(|link| link.url.as_deref().unwrap()).collect();
    assert_eq!(links, ["https://x/o.docx?web=1", "https://x/alone?EntityRepresentationId=5ac1-00"]);
    assert_eq!(row.contexts.len(), 1);
    assert_eq!((row.contexts[0].kind.as_deref(), row.contexts[0].name.as_deref()), (Some("xlsx"), Some("q1.xlsx")));
    assert_eq!((row.attachments.len(), row.mentions), (1, 1));
}

#[test]
fn the_body_counts_before_the_card_and_the_card_before_nothing() {
    let html = |content: &str| json!({"contentType": "html", "content": content});
    for (body, attachments, text, source) in [
        (
            html("<p><attachment id=\"a1\"></attachment></p>"),
            card(text_block("In card.")),
            Some("In card."),
            TextSource::Card,
        ),
        (
            html("&lt;attachment id=\"a1\"&gt;&lt;/attachment&gt;"),
            card(text_block("In card.")),
            Some("In card."),
            TextSource::Card,
        ),
        (Value::Null, card(text_block("In card.")), Some("In card."), TextSource::Card),
        (html("<p>In body.</p>"), card(text_block("In card.")), Some("In body."), TextSource::Body),
        (html("<attachment id=\"a1\"></attachment>"), card("{not json"), None, TextSource::Unparsed),
        (html("<attachment id=\"a1\"></attachment>"), card(Value::Null), None, TextSource::Unparsed),
        (html("<attachment id=\"a1\"></attachment>"), json!([]), None, TextSource::Unparsed),
        (html(""), card("{}"), None, TextSource::Unparsed),
        (html(" \n"), json!([]), Some(""), TextSource::Empty),
        (json!({"contentType": "text", "content": null}), json!([]), None, TextSource::Unparsed),
        (json!("a string"), json!("no array"), None, TextSource::Unparsed),
        (Value::Null, json!([{"contentType": "reference", "content": text_block("x")}]), None, TextSource::Unparsed),
    ] {
        let row = answer("BizChat", body.clone(), attachments.clone());
        assert_eq!((row.text.as_deref(), row.text_source), (text, source), "{body} {attachments}");
    }
}

#[test]
fn a_card_that_is_an_object_and_several_cards_are_read() {
    let object: Value = serde_json::from_str(&text_block("as an object")).unwrap();
    assert_eq!(answer("BizChat", Value::Null, card(object)).text.unwrap(), "as an object");
    let two = json!([card(text_block("one"))[0], {"contentType": "reference"}, card(text_block("two"))[0], card("broken")[0]]);
    let row = answer("BizChat", Value::Null, two);
    assert_eq!((row.text.as_deref(), row.skipped_elements), (Some("one\ntwo"), 1));
}

#[test]
fn the_final_response_is_taken_from_answers_of_excel_only() {
    let document = r#"{"thoughts":"sum","finalResponse":"The total is 41,200."}"#;
    for (app, text, expected, source) in [
        ("Excel", document, "The total is 41,200.", TextSource::FinalResponse),
        ("Word", document, document, TextSource::Card),
        ("Excel", r#"{"finalResponse":17}"#, r#"{"finalResponse":17}"#, TextSource::Card),
        ("Excel", "plain words", "plain words", TextSource::Card),
    ] {
        let row = answer(app, Value::Null, card(text_block(text)));
        assert_eq!((row.text.as_deref(), row.text_source), (Some(expected), source), "{app} {text}");
    }
    let asked = read(json!({"interactionType": "userPrompt", "appClass": "IPM.SkypeTeams.Message.Copilot.Excel",
        "body": {"contentType": "text", "content": document}}));
    assert_eq!(asked.text.unwrap(), document);
}

#[test]
fn what_is_no_interaction_is_unparsed() {
    for item in ["null", "true", "17", "\"x\"", "[]", "{}", "", "{", r#"{"body":{"content":"\ud800"}"#] {
        let row = Interaction::read(item);
        assert_eq!((row.text, row.text_source, row.role), (None, TextSource::Unparsed, Role::Other), "{item}");
    }
}

/// What these are to each other.
fn arranged(items: &[(Interaction, jiff::Timestamp)]) -> Arrangement {
    let rows: Vec<_> = items.iter().map(|(interaction, time)| Fetched { interaction, fetched_at: *time }).collect();
    arrange(&rows)
}

struct Day(Vec<(Interaction, jiff::Timestamp)>);

impl Day {
    fn new() -> Self {
        Self(Vec::new())
    }

    /// An item at this second: `p` a prompt, `r` a response, `o` neither.
    fn add(
        mut self,
        kind: &str,
        second: i64,
        session: Option<&str>,
        request: Option<&str>,
        id: &str,
        text: &str,
    ) -> Self {
        let kind = match kind {
            "p" => "userPrompt",
            "r" => "aiResponse",
            _ => "unknownFutureValue",
        };
        let time = jiff::Timestamp::from_second(1_790_000_000 + second).unwrap();
        let interaction =
            read(json!({"interactionType": kind, "createdDateTime": time.to_string(), "sessionId": session,
            "requestId": request, "id": id, "etag": id, "body": {"contentType": "text", "content": text}}));
        self.0.push((interaction, time));
        self
    }

    fn turns(&self) -> Vec<(Vec<usize>, Vec<usize>, PairedBy)> {
        arranged(&self.0).turns.into_iter().map(|turn| (turn.prompts, turn.answers, turn.paired_by)).collect()
    }
}

#[test]
fn a_request_pairs_across_time_and_conversations() {
    let s = Some("s");
    let day = Day::new()
        .add("r", 9, Some("other"), Some("a"), "3", "late answer")
        .add("p", 0, s, Some("a"), "1", "first")
        .add("p", 1, s, Some("b"), "2", "second")
        .add("r", 3, s, Some("a"), "4", "answer")
        .add("r", 4, s, Some("gone"), "5", "answer of a prompt that is not there");
    assert_eq!(
        day.turns(),
        [
            (vec![1], vec![3, 0], PairedBy::RequestId),
            (vec![2], vec![], PairedBy::None),
            (vec![], vec![4], PairedBy::None)
        ]
    );
    assert_eq!(arranged(&day.0).turns[0].latency().unwrap().as_secs(), 3);
}

#[test]
fn without_a_request_the_latest_prompt_before_in_the_conversation_is_answered() {
    let day = Day::new()
        .add("r", 0, Some("s"), None, "0", "before everything")
        .add("p", 1, Some("s"), None, "1", "one")
        .add("p", 2, Some("s"), None, "2", "two")
        .add("p", 2, Some("t"), None, "3", "elsewhere")
        .add("r", 3, Some("s"), None, "4", "answer")
        .add("r", 4, Some("s"), None, "5", "and another")
        .add("r", 5, None, None, "6", "in no conversation")
        .add("o", 6, Some("s"), None, "7", "neither");
    assert_eq!(
        day.turns(),
        [
            (vec![], vec![0], PairedBy::None),
            (vec![1], vec![], PairedBy::None),
            (vec![2], vec![4, 5], PairedBy::Adjacency),
            (vec![3], vec![], PairedBy::None),
            (vec![], vec![6], PairedBy::None),
        ]
    );
    assert_eq!(arranged(&day.0).places[7].turn, None);
}

#[test]
fn the_answer_is_timed_by_the_first_that_is_not_interim() {
    let day = Day::new()
        .add("p", 0, Some("s"), Some("a"), "1", "[AutoGenerated]Summarize")
        .add("r", 2, Some("s"), Some("a"), "2", "Searching…")
        .add("r", 7, Some("s"), Some("a"), "3", "Done.");
    let turn = arranged(&day.0).turns.remove(0);
    assert_eq!((turn.answers.len(), turn.latency().unwrap().as_secs()), (2, 7));
    assert_eq!(turn.automatic_reason, Some("auto-generated"));
}

#[test]
fn near_duplicates_are_near_in_time_and_of_the_same_words_and_conversation() {
    let day = Day::new()
        .add("p", 0, Some("s"), Some("a"), "1", "same")
        .add("p", 2, Some("s"), Some("b"), "2", "same")
        .add("p", 9, Some("s"), Some("c"), "3", "same")
        .add("p", 10, Some("t"), Some("d"), "4", "same")
        .add("p", 11, Some("s"), Some("e"), "5", "other")
        .add("r", 11, Some("s"), Some("e"), "6", "same");
    let marked: Vec<_> = arranged(&day.0).places.into_iter().map(|place| place.near_duplicate_of).collect();
    assert_eq!(marked, [None, Some(0), None, None, None, None]);
}

#[test]
fn the_latest_text_is_by_etag_length_etag_and_fetch() {
    let item = |etag: Option<&str>, fetched: i64, session: Option<&str>| {
        (
            read(json!({"id": "i", "sessionId": session, "etag": etag, "interactionType": "userPrompt"})),
            jiff::Timestamp::from_second(fetched).unwrap(),
        )
    };
    let s = Some("s");
    let items =
        [item(Some("10"), 5, s), item(Some("9"), 9, s), item(Some("10"), 6, s), item(None, 10, s), item(None, 1, None)];
    let places: Vec<_> = arranged(&items).places.iter().map(|place| (place.version_no, place.is_latest)).collect();
    assert_eq!(places, [(3, false), (2, false), (4, true), (1, false), (1, true)]);
}
