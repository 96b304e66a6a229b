//! One interaction as a readable row.

use jiff::Timestamp;
use serde::Serialize;

use crate::card::{self, Card};
use crate::json::Json;
use crate::markup::{html_text, plain_text, without_placeholders};
use crate::rules::{AUTOMATIC, is_interim};

/// What the classes of Microsoft's own applications begin with.
const APP_PREFIX: &str = "IPM.SkypeTeams.Message.Copilot.";

/// Who speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The user.
    Prompt,
    /// Copilot.
    Response,
    /// Neither is said.
    #[default]
    Other,
}

impl Role {
    /// The name as it stands in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Response => "response",
            Self::Other => "other",
        }
    }
}

/// Where the text was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextSource {
    /// In the body.
    Body,
    /// In an adaptive card.
    Card,
    /// In the `finalResponse` of a JSON document that Excel wrote.
    FinalResponse,
    /// The body is there and has nothing in it, and neither has anything else.
    Empty,
    /// Not found: the rules do not understand the item. Its text is then `None`, never an empty one.
    #[default]
    Unparsed,
}

impl TextSource {
    /// The name as it stands in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Card => "card",
            Self::FinalResponse => "final-response",
            Self::Empty => "empty",
            Self::Unparsed => "unparsed",
        }
    }
}

/// Something that an interaction points to: a link, a context or an attachment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// `linkType`, `contextType` or `contentType`.
    pub kind: Option<String>,
    /// The displayed name.
    pub name: Option<String>,
    /// The address.
    pub url: Option<String>,
}

/// An interaction, read by the rules of [`RULE_VERSION`](crate::RULE_VERSION). What is missing or of another type is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Interaction {
    /// The conversation.
    pub session_id: Option<String>,
    /// The id, which is unique in a conversation at best.
    pub id: Option<String>,
    /// The version.
    pub etag: Option<String>,
    /// What a prompt and its answers share.
    pub request_id: Option<String>,
    /// When it was created, if that is a time.
    pub created_at: Option<Timestamp>,
    /// Who speaks.
    pub role: Role,
    /// `interactionType` as it stands.
    pub interaction_type: Option<String>,
    /// The application: the class without the prefix that most have.
    pub app: Option<String>,
    /// `appClass` as it stands.
    pub app_class: Option<String>,
    /// `conversationType` as it stands.
    pub conversation_type: Option<String>,
    /// `locale` as it stands.
    pub locale: Option<String>,
    /// What the answering application calls itself.
    pub assistant_name: Option<String>,
    /// What a person read; `None` if it was not understood.
    pub text: Option<String>,
    /// Where the text was found.
    pub text_source: TextSource,
    /// `body.contentType` as it stands.
    pub body_type: Option<String>,
    /// The rule by which this is no doing of a person's, if one applies.
    pub automatic_reason: Option<&'static str>,
    /// Whether it only says that an answer is being looked for.
    pub is_interim: bool,
    /// Elements of cards that the rules do not know.
    pub skipped_elements: u64,
    /// What is cited, each address once.
    pub links: Vec<Reference>,
    /// What was open.
    pub contexts: Vec<Reference>,
    /// What is attached, placeholders and cards included.
    pub attachments: Vec<Reference>,
    /// How many mentions there are.
    pub mentions: u64,
}

impl Interaction {
    /// Reads the JSON text of one interaction. Any text gives a row; what is no JSON object gives one that is `unparsed`.
    pub fn read(item: &str) -> Self {
        Json::parse(item).map(Self::of).unwrap_or_default()
    }

    fn of(item: Json<'_>) -> Self {
        let interaction_type = item.text("interactionType");
        let role = match interaction_type.as_deref() {
            Some("userPrompt") => Role::Prompt,
            Some("aiResponse") => Role::Response,
            _ => Role::Other,
        };
        let app_class = item.text("appClass");
        let app = app_class.as_deref().map(|class| class.strip_prefix(APP_PREFIX).unwrap_or(class).to_owned());
        let sender = item.member("from").and_then(|from| from.member("application"));
        let body = item.member("body");
        let body_type = body.and_then(|body| body.text("contentType"));
        let content = body.and_then(|body| body.text("content"));
        let attachments = item.list("attachments");
        let found = text(content.as_deref(), body_type.as_deref(), &attachments, role, app.as_deref());
        let words = found.text.as_deref().unwrap_or_default();
        let sent = content.as_deref().unwrap_or_default();
        let rule = AUTOMATIC.iter().find(|rule| rule.applies(app.as_deref(), words, sent));
        Self {
            session_id: item.text("sessionId"),
            id: item.text("id"),
            etag: item.text("etag"),
            request_id: item.text("requestId"),
            created_at: item.text("createdDateTime").and_then(|time| time.parse().ok()),
            role,
            interaction_type,
            conversation_type: item.text("conversationType"),
            locale: item.text("locale"),
            assistant_name: sender.and_then(|application| application.text("displayName")),
            automatic_reason: rule.map(|rule| rule.name),
            is_interim: is_interim(role, words),
            text_source: found.source,
            skipped_elements: found.skipped,
            text: found.text,
            links: links(&item.list("links")),
            contexts: references(&item.list("contexts"), ["contextType", "displayName", "contextReference"]),
            attachments: references(&attachments, ["contentType", "name", "contentUrl"]),
            mentions: item.list("mentions").len() as u64,
            app,
            app_class,
            body_type,
        }
    }
}

#[derive(Debug)]
struct Found {
    text: Option<String>,
    source: TextSource,
    skipped: u64,
}

/// The text, by the rules of docs/VIEWS.md.
fn text(
    content: Option<&str>,
    body_type: Option<&str>,
    attachments: &[Json<'_>],
    role: Role,
    app: Option<&str>,
) -> Found {
    let shown = content.map(|content| {
        let content = without_placeholders(content);
        if body_type == Some("html") { html_text(&content) } else { plain_text(&content) }
    });
    let (text, mut source, skipped) = match shown.as_deref() {
        Some(shown) if !shown.is_empty() => (Some(shown.to_owned()), TextSource::Body, 0),
        _ => {
            let (card, cards) = cards(attachments);
            match card.text() {
                Some(text) => (Some(text), TextSource::Card, card.skipped),
                // Nothing but blanks was sent, so nothing was there to be read.
                None if cards == 0 && content.is_some_and(|content| content.trim().is_empty()) => {
                    (Some(String::new()), TextSource::Empty, 0)
                }
                None => (None, TextSource::Unparsed, card.skipped),
            }
        }
    };
    let answer = text.as_deref().filter(|_| role == Role::Response && app == Some("Excel")).and_then(final_response);
    if answer.is_some() {
        source = TextSource::FinalResponse;
    }
    Found { text: answer.or(text), source, skipped }
}

/// All cards of an interaction, in their order, and how many there are.
fn cards(attachments: &[Json<'_>]) -> (Card, usize) {
    let mut card = Card::default();
    let mut count = 0;
    for attachment in attachments {
        if attachment.text("contentType").as_deref() != Some(card::CONTENT_TYPE) {
            continue;
        }
        count += 1;
        // The card is a document in a string; a later version might send it as what it is.
        let content = attachment.member("content");
        let document = content.and_then(Json::string);
        let read = match document.as_deref() {
            Some(document) => Json::parse(document).is_some_and(|json| card.read(json)),
            None => content.is_some_and(|json| card.read(json)),
        };
        if !read {
            card.skipped += 1;
        }
    }
    (card, count)
}

/// The answer in the document that Excel wraps around it.
fn final_response(text: &str) -> Option<String> {
    let answer = Json::parse(text)?.text("finalResponse")?;
    let answer = answer.trim();
    (!answer.is_empty()).then(|| answer.to_owned())
}

fn references(items: &[Json<'_>], [kind, name, url]: [&str; 3]) -> Vec<Reference> {
    let all = items.iter().filter(|item| item.is_object());
    all.map(|item| Reference { kind: item.text(kind), name: item.text(name), url: item.text(url) }).collect()
}

/// The service lists a target twice, once with a parameter of its own: such a twin is left out.
fn links(items: &[Json<'_>]) -> Vec<Reference> {
    let mut links: Vec<Reference> = references(items, ["linkType", "displayName", "linkUrl"]);
    let plain = |link: &Reference| link.url.as_deref().and_then(|url| without_twin(url)).map(str::to_owned);
    let addresses: std::collections::HashSet<String> =
        links.iter().filter(|link| plain(link).is_none()).filter_map(|link| link.url.clone()).collect();
    links.retain(|link| plain(link).is_none_or(|url| !addresses.contains(&url)));
    links
}

/// The address without the parameter that marks a twin; `None` if it has none.
fn without_twin(url: &str) -> Option<&str> {
    let (before, value) = url.rsplit_once("EntityRepresentationId=")?;
    let plain = before.strip_suffix(['&', '?'])?;
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-').then_some(plain)
}
