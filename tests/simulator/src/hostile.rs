//! Items that are all allowed and that somebody once took for impossible.

use std::sync::Arc;

use domain::UserId;
use jiff::{SignedDuration, Timestamp};

use crate::tenant::{Folder, Item};

/// The same text in every history that has hostile items: an item belongs to a user.
const SHARED: &str = r#"{"id":"1790000000000","sessionId":"19:shared@thread.v2","requestId":null,"createdDateTime":"2026-09-21T13:33:20Z","body":{"contentType":"text","content":"in two histories"}}"#;

/// The hostile items of a user, created around `at`, each with a text of its own; `now` bounds their creation.
pub(crate) fn items(user: UserId, at: Timestamp) -> Vec<Item> {
    let mut items = Vec::new();
    let mut add = |after: i64, text: String| {
        let created = at.checked_add(SignedDuration::from_secs(after)).unwrap_or(at);
        let folder = if items.len() % 2 == 0 { Folder::TeamsMessagesData } else { Folder::TeamChat };
        items.push(Item::new(text, created).in_folder(folder));
    };
    for (index, text) in TEXTS.iter().enumerate() {
        // `@` stands for the user and `$` for the creation: two users' texts differ, and the texts say when they are from.
        let created = at.checked_add(SignedDuration::from_secs(index as i64)).unwrap_or(at);
        add(index as i64, text.replace("@OWNER", &user.to_string()).replace("$CREATED", &created.to_string()));
    }
    for digits in 0..=7_usize {
        let fraction = ".1234567".chars().take(if digits == 0 { 0 } else { digits + 1 }).collect::<String>();
        let text = format!(
            r#"{{"id":"{digits}","owner":"{user}","createdDateTime":"{}{fraction}Z"}}"#,
            at.strftime("%Y-%m-%dT%H:%M:%S")
        );
        add(0, text);
    }
    let deep = format!(
        r#"{{"id":"deep","owner":"{user}","createdDateTime":"{at}","x":{}1{}}}"#,
        "[".repeat(60),
        "]".repeat(60)
    );
    add(0, deep);
    add(0, crate::shapes::huge(user, at, 120_000));
    add(0, SHARED.to_owned());
    items.extend(edges(user));
    items
}

/// Items on the edges of seconds and months.
fn edges(user: UserId) -> impl Iterator<Item = Item> {
    let instants = [
        "2026-10-31T23:59:59Z",
        "2026-10-31T23:59:59.999Z",
        "2026-11-01T00:00:00Z",
        "2026-11-01T00:00:00.001Z",
        "2026-11-23T12:00:00Z",
        "2026-11-23T12:00:00.001Z",
        "2026-11-23T12:00:00.999Z",
    ];
    let at = |text: &str| text.parse::<Timestamp>().unwrap_or_default();
    instants.into_iter().map(move |text| {
        let item: Arc<str> = format!(r#"{{"id":"edge","owner":"{user}","createdDateTime":"{text}"}}"#).into();
        Item::new(item, at(text))
    })
}

const TEXTS: [&str; 33] = [
    // Nothing that one could rely on.
    "null",
    "true",
    "17",
    "\"a string\"",
    "[]",
    "{}",
    r#"{"owner":"@OWNER"}"#,
    // Members that are missing, null or of another type.
    r#"{"id":"no-created","owner":"@OWNER"}"#,
    r#"{"id":"null-created","owner":"@OWNER","createdDateTime":null}"#,
    r#"{"id":"number-created","owner":"@OWNER","createdDateTime":1795489200000}"#,
    r#"{"id":"object-created","owner":"@OWNER","createdDateTime":{"dateTime":"$CREATED"}}"#,
    r#"{"id":"odd-created","owner":"@OWNER","createdDateTime":"24 November 2026"}"#,
    r#"{"id":"month-13","owner":"@OWNER","createdDateTime":"2026-13-01T00:00:00Z"}"#,
    r#"{"id":"offset","owner":"@OWNER","createdDateTime":"2026-11-01T00:30:00+02:00"}"#,
    r#"{"id":null,"owner":"@OWNER","createdDateTime":"$CREATED","sessionId":null,"requestId":null}"#,
    r#"{"id":17,"owner":"@OWNER","createdDateTime":"$CREATED","body":"not an object"}"#,
    r#"{"owner":"@OWNER","createdDateTime":"$CREATED","appClass":"IPM.SkypeTeams.Message.Copilot.BizChat"}"#,
    // One id in several conversations, and in every history.
    r#"{"id":"1790000000000","owner":"@OWNER","sessionId":"19:one@thread.v2","createdDateTime":"$CREATED"}"#,
    r#"{"id":"1790000000000","owner":"@OWNER","sessionId":"19:two@thread.v2","createdDateTime":"$CREATED"}"#,
    r#"{"id":"1790000000000","owner":"@OWNER","sessionId":"19:two@thread.v2","createdDateTime":"$CREATED","etag":"1790000000001"}"#,
    // What comes in future versions.
    r#"{"id":"future","owner":"@OWNER","createdDateTime":"$CREATED","appClass":"IPM.SkypeTeams.Message.Copilot.Fabric.Data","interactionType":"unknownFutureValue","from":null,"body":null,"novelty":{"a":[1,{"b":null}]}}"#,
    r#"{"id":"path","owner":"@OWNER","createdDateTime":"$CREATED","appClass":"../../etc/passwd","sessionId":"19:a/b?c#d@thread.v2"}"#,
    // Texts that a parser and a printer change.
    r#"{"id":"numbers","owner":"@OWNER","createdDateTime":"$CREATED","n":[1e400,-0.0,1E+2,0.1000,12345678901234567890123,-1e-400]}"#,
    r#"{"\u0069d":"escapes","owner":"@OWNER","createdDateTime":"$CREATED","s":"\u0041\/\u00e9\u2028\ud83d\ude00"}"#,
    r#"{"id":"escaped-name","owner":"@OWNER","\u0063reatedDateTime":"$CREATED"}"#,
    r#"{"id":"escaped-value","owner":"@OWNER","createdDateTime":"\u0032026-11-02T10:00:00Z"}"#,
    r#"{"id":"surrogate","owner":"@OWNER","createdDateTime":"$CREATED","s":"\ud800 alone \udc00"}"#,
    r#"{"id":"nul","owner":"@OWNER","createdDateTime":"$CREATED","s":"\u0000\u0001\u001f"}"#,
    r#"{"id":"twice","owner":"@OWNER","createdDateTime":"2020-01-01T00:00:00Z","createdDateTime":"$CREATED","id":"twice, the last"}"#,
    r#"{ "id" : "spaces" ,	"owner":"@OWNER" , "createdDateTime": "$CREATED" }"#,
    r#"{"id":"unicode","owner":"@OWNER","createdDateTime":"$CREATED","s":"Grüße, 你好, 🙂, e\u0301, \u202ereversed\u202c"}"#,
    // Texts that look like the page around them.
    r#"{"id":"envelope","owner":"@OWNER","createdDateTime":"$CREATED","@odata.nextLink":"https://example.org/next","value":[{"id":"inner"}]}"#,
    r#"{"id":"brackets","owner":"@OWNER","createdDateTime":"$CREATED","s":"]}\",\"value\":[],{\"@odata.nextLink\":\"\\"}"#,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_items_are_json_and_distinct_and_have_no_newline() {
        let at: Timestamp = "2026-11-10T10:00:00Z".parse().unwrap();
        let (ann, bob) = (items(crate::numbered(1), at), items(crate::numbered(2), at));
        let mut texts: Vec<&str> = ann.iter().map(|item| &*item.text).collect();
        for text in &texts {
            assert!(serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok(), "{text}");
            assert!(!text.contains(['\n', '\r']), "{text}");
        }
        let count = texts.len();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), count);
        assert!(bob.iter().any(|item| &*item.text == SHARED) && texts.contains(&SHARED));
    }
}
