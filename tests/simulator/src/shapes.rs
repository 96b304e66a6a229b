//! The forms of interactions: how each application writes a prompt and an answer.

use domain::{TenantId, UserId};
use jiff::Timestamp;
use serde_json::Value;

/// The application id that Copilot's answers come from.
const BOT: &str = "fb8d773d-7ef8-4ec0-a117-179f88add510";

/// A small text for the `n`-th item of a user.
pub fn plain(user: UserId, n: usize, created: Timestamp) -> String {
    let head = Head {
        tenant: TenantId::from_bytes([7; 16]),
        user,
        session: Some("19:plain@thread.v2"),
        request: None,
        at: created,
        class: "BizChat",
        conversation: "bizchat",
        locale: "en-us",
    };
    let content = format!("Item {n}");
    if n.is_multiple_of(2) {
        head.prompt(&content, Parts::default())
    } else {
        head.reply("text", &content, Parts::default())
    }
}

/// An item with a body of this many bytes.
pub fn huge(user: UserId, created: Timestamp, bytes: usize) -> String {
    let id = created.as_millisecond();
    let content = "x".repeat(bytes);
    format!(
        r#"{{"id":"{id}","owner":"{user}","createdDateTime":"{created}","body":{{"contentType":"text","content":"{content}"}}}}"#
    )
}

/// What an item begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) session: Option<&'a str>,
    pub(crate) request: Option<&'a str>,
    pub(crate) at: Timestamp,
    pub(crate) class: &'a str,
    pub(crate) conversation: &'a str,
    pub(crate) locale: &'a str,
}

/// The arrays of an item: JSON texts, empty if absent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Parts<'a> {
    pub(crate) contexts: &'a str,
    pub(crate) attachments: &'a str,
    pub(crate) links: &'a str,
}

impl Head<'_> {
    /// What the user wrote.
    pub(crate) fn prompt(&self, content: &str, parts: Parts<'_>) -> String {
        let (user, tenant) = (self.user, self.tenant);
        let from = format!(
            r##"{{"@odata.type":"#microsoft.graph.chatMessageFromIdentitySet","application":null,"device":null,"user":{{"@odata.type":"#microsoft.graph.teamworkUserIdentity","id":"{user}","displayName":"8:orgid:{user}","userIdentityType":"aadUser","tenantId":"{tenant}"}}}}"##
        );
        self.render("userPrompt", &from, "text", content, parts)
    }

    /// What Copilot wrote.
    pub(crate) fn reply(&self, content_type: &str, content: &str, parts: Parts<'_>) -> String {
        let name = match self.class {
            "BizChat" => "Microsoft 365 Chat".to_owned(),
            "CoworkChat" => "28:0ac1c0de-0000-4000-8000-000000000001".to_owned(),
            class => format!("Copilot in {class}"),
        };
        let from = format!(
            r##"{{"@odata.type":"#microsoft.graph.chatMessageFromIdentitySet","device":null,"user":null,"application":{{"@odata.type":"#microsoft.graph.teamworkApplicationIdentity","id":"{BOT}","displayName":"{name}","applicationIdentityType":"bot"}}}}"##
        );
        self.render("aiResponse", &from, content_type, content, parts)
    }

    fn render(&self, kind: &str, from: &str, content_type: &str, content: &str, parts: Parts<'_>) -> String {
        let Self { at, class, conversation, locale, .. } = self;
        let id = at.as_millisecond();
        let (session, request) = (quoted_or_null(self.session), quoted_or_null(self.request));
        let Parts { contexts, attachments, links } = parts;
        let content = quoted(content);
        format!(
            r#"{{"id":"{id}","sessionId":{session},"requestId":{request},"appClass":"IPM.SkypeTeams.Message.Copilot.{class}","interactionType":"{kind}","conversationType":"{conversation}","etag":"{id}","createdDateTime":"{at}","locale":"{locale}","contexts":[{contexts}],"from":{from},"body":{{"contentType":"{content_type}","content":{content}}},"attachments":[{attachments}],"links":[{links}],"mentions":[]}}"#
        )
    }
}

/// The placeholder in a body for an attachment.
pub(crate) fn placeholder(attachment: &str) -> String {
    format!(r#"<attachment id="{attachment}"></attachment>"#)
}

/// An adaptive card as an attachment: a JSON document in a string. Its first text block is what a person sees; the second, if
/// there is one, the same with reference markers.
pub(crate) fn card(attachment: &str, visible: &str, marked: Option<&str>) -> String {
    let mut card = String::with_capacity(visible.len() * 2 + 512);
    card.push_str("{\r\n  \"type\": \"AdaptiveCard\",\r\n  \"version\": \"1.0\",\r\n  \"body\": [\r\n    {\r\n      \"type\": \"TextBlock\",\r\n      \"text\": ");
    card.push_str(&quoted(visible));
    card.push_str(",\r\n      \"wrap\": true\r\n    }");
    if let Some(marked) = marked {
        card.push_str(
            ",\r\n    {\r\n      \"type\": \"TextBlock\",\r\n      \"id\": \"MessageTextField\",\r\n      \"text\": ",
        );
        card.push_str(&quoted(marked));
        card.push_str(",\r\n      \"wrap\": true\r\n    }");
    }
    card.push_str("\r\n  ]\r\n}");
    let content = quoted(&card);
    format!(
        r#"{{"attachmentId":"{attachment}","contentType":"application/vnd.microsoft.card.adaptive","contentUrl":null,"name":null,"content":{content}}}"#
    )
}

/// A link to a file, listed twice as the service does: once with a suffix.
pub(crate) fn doubled_link(url: &str, name: &str, suffix: &str) -> String {
    format!(
        r#"{{"linkUrl":"{url}&EntityRepresentationId={suffix}","displayName":"{name}","linkType":"File"}},{{"linkUrl":"{url}","displayName":"{name}","linkType":"File"}}"#
    )
}

/// A file that was open.
pub(crate) fn file_context(url: &str, name: &str, kind: &str) -> String {
    format!(r#"{{"contextReference":"{url}","displayName":"{name}","contextType":"{kind}"}}"#)
}

/// A meeting, as a context and as an attachment.
pub(crate) fn meeting(thread: &str) -> (String, String) {
    let url = format!("https://microsoft.teams.com/threads/{thread}");
    let context =
        format!(r#"{{"contextReference":"{url}","displayName":"Teams Meeting Copilot","contextType":"TeamsMeeting"}}"#);
    let attachment = format!(
        r#"{{"attachmentId":"{thread}","contentType":"reference","contentUrl":"{url}","content":null,"name":"Teams Meeting Copilot"}}"#
    );
    (context, attachment)
}

/// A file without a name.
pub(crate) const NAMELESS_FILE: &str = r#"{"attachmentId":null,"contentType":"file","contentUrl":"file:///unknown-url","content":null,"name":"unknown-file-name"}"#;

/// A JSON string.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn quoted_or_null(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), |text| format!("\"{text}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_hides_its_text_in_a_string() {
        let visible = "Two \"contracts\"\nend soon.";
        let attachment: Value = serde_json::from_str(&card("a1", visible, Some("Two[^1^]"))).unwrap();
        let inner: Value = serde_json::from_str(attachment["content"].as_str().unwrap()).unwrap();
        assert_eq!(inner["body"][0]["text"], visible);
        assert_eq!(inner["body"][1]["id"], "MessageTextField");
    }

    #[test]
    fn items_are_json_with_the_id_of_their_instant() {
        let at: Timestamp = "2026-03-02T13:40:22.47Z".parse().unwrap();
        for n in 0..2 {
            let item: Value = serde_json::from_str(&plain(crate::numbered(1), n, at)).unwrap();
            assert_eq!(item["id"], "1772458822470");
            assert_eq!(item["createdDateTime"], "2026-03-02T13:40:22.47Z");
        }
    }
}
