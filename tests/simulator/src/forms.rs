//! Every form in which an interaction has been seen or is documented, each once, with what a person read of it. The generated
//! tenant has the forms that are usual; these are all of them. Each is made of a list of words, and so is the text that is
//! expected: nothing here reads a card or a body.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::shapes::{Head, NAMELESS_FILE, Parts, meeting, placeholder};

/// An item, and what a reader should make of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Form {
    /// What is special about it.
    pub name: String,
    /// The JSON text.
    pub item: String,
    /// What a person read; `None` if there was nothing that could be read.
    pub text: Option<String>,
    /// Where the text stands, as docs/VIEWS.md calls it.
    pub source: &'static str,
    /// The rule by which this is no doing of a person's, if there is one.
    pub automatic_reason: Option<&'static str>,
}

/// What the words of a form are: everything that might be lost or read wrongly on the way.
const WORDS: [&str; 6] = [
    "Two contracts end soon",
    "für Zoë & Søn",
    "\"quoted\", 1 < 2 > 0",
    "**[Orchid](https://contoso.example/?web=1&copy=2)**",
    "第三 🙂",
    "the total is 41,200",
];
type Words = [String; WORDS.len()];

/// The application classes that have been seen, without what they all begin with.
const CLASSES: [&str; 24] = [
    "BizChat",
    "WebChat",
    "Teams",
    "Word",
    "Excel",
    "PowerPoint",
    "Outlook",
    "OneNote",
    "Loop",
    "Whiteboard",
    "SharePoint",
    "Forms",
    "Planner",
    "Stream",
    "Designer",
    "VivaEngage",
    "PrivateChat",
    "CoworkChat",
    "M365AdminCenter",
    "OfficeCopilotSearchAnswer",
    "OfficeCopilotNotebook",
    "Fabric.Data",
    "ThirdPartyCopilot",
    "ConnectedAIApp.Entra.0ac1c0de-0000-4000-8000-000000000002",
];

const CARD_ID: &str = "ff14f68cef174d669bf231d256a72361";
const THREAD: &str = "19:meeting_WmQ0ZTFiMmEtNTk0Zi00@thread.v2";

#[derive(Debug, Clone, Copy)]
enum Speaker {
    User,
    Copilot,
}
use Speaker::{Copilot, User};

/// What is sent and what is read of it.
struct Said {
    body: (&'static str, String),
    attachments: Vec<String>,
    text: Option<String>,
    source: &'static str,
    reason: Option<&'static str>,
}

impl Said {
    /// An answer that is an adaptive card with these elements.
    fn card(elements: Value, text: String) -> Self {
        Self::cards(vec![card(document(elements))], text)
    }

    fn cards(attachments: Vec<String>, text: String) -> Self {
        let body = ("html", placeholder(CARD_ID));
        Self { body, attachments, text: Some(text), source: "card", reason: None }
    }

    fn body(kind: &'static str, content: impl Into<String>, text: impl Into<String>) -> Self {
        let body = (kind, content.into());
        Self { body, attachments: Vec::new(), text: Some(text.into()), source: "body", reason: None }
    }

    fn written(self, kind: &'static str, content: impl Into<String>) -> Self {
        Self { body: (kind, content.into()), ..self }
    }

    fn attached(self, attachments: Vec<String>) -> Self {
        Self { attachments, ..self }
    }

    fn found_in(self, source: &'static str) -> Self {
        Self { source, ..self }
    }

    fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    fn unread(self) -> Self {
        Self { text: None, source: "unparsed", ..self }
    }
}

type Row = (&'static str, &'static str, Speaker, fn(&Words) -> Said);

/// Elements of cards.
const CARDS: [Row; 21] = [
    ("text blocks", "BizChat", Copilot, |[a, b, ..]| Said::card(json!([block(a), block(b)]), format!("{a}\n{b}"))),
    ("text block and marked text", "BizChat", Copilot, |[a, ..]| Said::card(json!([block(a), marked(a)]), a.clone())),
    ("marked text first", "BizChat", Copilot, |[a, ..]| Said::card(json!([marked(a), block(a)]), a.clone())),
    ("marked text alone", "BizChat", Copilot, |[a, ..]| Said::card(json!([marked(a)]), format!("{a}[^1^]"))),
    ("marked text in a container", "BizChat", Copilot, |[a, ..]| {
        Said::card(json!([within("Container", "items", json!([block(a), marked(a)]))]), a.clone())
    }),
    ("marked text beside a blank", "BizChat", Copilot, |[a, ..]| {
        Said::card(json!([block(" "), marked(a)]), format!("{a}[^1^]"))
    }),
    ("line ends and no-break spaces", "BizChat", Copilot, |[a, b, c, ..]| {
        Said::card(json!([block(&format!("{a}\r\n{b}\u{a0}{c}\n"))]), format!("{a}\n{b} {c}"))
    }),
    ("rich text", "BizChat", Copilot, |[a, b, c, d, ..]| {
        let run = |kind: &str, text: &str| json!({"type": kind, "text": text, "weight": "bolder"});
        let inlines = json!([a, run("TextRun", b), run("CitationRun", c), {"type": "IconRun", "name": "Star"}]);
        Said::card(json!([within("RichTextBlock", "inlines", inlines), block(d)]), format!("{a}{b}{c}\n{d}"))
    }),
    ("marked rich text", "BizChat", Copilot, |[a, b, ..]| {
        let rich = json!({"type": "RichTextBlock", "id": "MessageTextField", "inlines": [b, "[^1^]"]});
        Said::card(json!([block(a), rich]), a.clone())
    }),
    ("facts", "BizChat", Copilot, |[a, b, c, d, ..]| {
        let facts = json!([{"title": a, "value": b}, {"title": c, "value": d}]);
        Said::card(json!([within("FactSet", "facts", facts)]), format!("{a}: {b}\n{c}: {d}"))
    }),
    ("container", "BizChat", Copilot, |[a, b, c, ..]| {
        Said::card(
            json!([block(a), within("Container", "items", json!([block(b)])), block(c)]),
            format!("{a}\n{b}\n{c}"),
        )
    }),
    ("containers in each other", "BizChat", Copilot, |[a, b, ..]| {
        let inner = within("Container", "items", json!([block(a), block(b)]));
        let outer = within("Container", "items", json!([inner]));
        Said::card(json!([within("Container", "items", json!([outer]))]), format!("{a}\n{b}"))
    }),
    ("columns", "BizChat", Copilot, |[a, b, c, ..]| {
        let column = |items| within("Column", "items", items);
        let columns = json!([column(json!([block(a), block(b)])), column(json!([block(c)]))]);
        Said::card(json!([within("ColumnSet", "columns", columns)]), format!("{a}\n{b}\n{c}"))
    }),
    ("table", "BizChat", Copilot, |[a, b, c, d, ..]| {
        let cell = |text: &str| within("TableCell", "items", json!([block(text)]));
        let row = |left: &str, right: &str| within("TableRow", "cells", json!([cell(left), cell(right)]));
        let rows = json!([row(a, b), row(c, d)]);
        Said::card(json!([within("Table", "rows", rows)]), format!("{a}\n{b}\n{c}\n{d}"))
    }),
    ("pages", "BizChat", Copilot, |[a, b, ..]| {
        let page = |text: &str| within("CarouselPage", "items", json!([block(text)]));
        Said::card(json!([within("Carousel", "pages", json!([page(a), page(b)]))]), format!("{a}\n{b}"))
    }),
    ("element of the service's own with a text", "BizChat", Copilot, |[a, b, ..]| {
        Said::card(json!([{"type": "Copilot.RichAnswer", "text": a}, block(b)]), format!("{a}\n{b}"))
    }),
    ("pictures and buttons", "BizChat", Copilot, |[a, b, c, ..]| {
        let button = json!({"type": "Action.OpenUrl", "title": b, "url": "https://contoso.example"});
        let picture = json!({"type": "Image", "url": "https://contoso.example/x.png", "altText": c});
        Said::card(json!([picture, block(a), within("ActionSet", "actions", json!([button]))]), a.clone())
    }),
    ("everything in its order", "BizChat", Copilot, |[a, b, c, d, e, f]| {
        let column = within("Column", "items", json!([within("RichTextBlock", "inlines", json!([b, c]))]));
        let facts = within("FactSet", "facts", json!([{"title": d, "value": e}]));
        let held = json!([within("ColumnSet", "columns", json!([column])), facts, marked(a)]);
        let elements = json!([block(a), within("Container", "items", held), block(f)]);
        Said::card(elements, format!("{a}\n{b}{c}\n{d}: {e}\n{f}"))
    }),
    ("card without words", "BizChat", Copilot, |_| {
        Said::card(json!([{"type": "Image", "url": "https://contoso.example/x.png"}]), String::new()).unread()
    }),
    ("card without words and an empty body", "BizChat", Copilot, |_| {
        Said::card(json!([]), String::new()).written("html", "").unread()
    }),
    ("card with blanks", "BizChat", Copilot, |_| Said::card(json!([block(" \u{a0}")]), String::new()).unread()),
];

/// How a card is sent.
const SENDINGS: [Row; 10] = [
    ("escaped placeholder", "BizChat", Copilot, |[a, ..]| {
        Said::card(json!([block(a)]), a.clone()).written("html", escaped(&placeholder(CARD_ID)))
    }),
    ("escaped placeholder with escaped quotes", "BizChat", Copilot, |[a, ..]| {
        let quotes = escaped(&placeholder(CARD_ID)).replace('"', "&quot;");
        Said::card(json!([block(a)]), a.clone()).written("html", quotes)
    }),
    ("placeholder in a body of type text", "BizChat", Copilot, |[a, ..]| {
        Said::card(json!([block(a)]), a.clone()).written("text", placeholder(CARD_ID))
    }),
    ("placeholder in a paragraph", "BizChat", Copilot, |[a, ..]| {
        Said::card(json!([block(a)]), a.clone()).written("html", format!("<p>{}&nbsp;</p>", placeholder(CARD_ID)))
    }),
    ("empty body", "BizChat", Copilot, |[a, ..]| Said::card(json!([block(a)]), a.clone()).written("html", "")),
    ("card after another attachment", "BizChat", Copilot, |[a, ..]| {
        let attachments = vec![NAMELESS_FILE.to_owned(), card(document(json!([block(a)])))];
        Said::cards(attachments, a.clone())
    }),
    ("two cards", "BizChat", Copilot, |[a, b, ..]| {
        let attachments = [a, b].map(|text| card(document(json!([block(text)]))));
        Said::cards(attachments.into(), format!("{a}\n{b}"))
    }),
    ("card that is an object", "BizChat", Copilot, |[a, ..]| {
        let object = json!({"type": "AdaptiveCard", "body": [block(a)]});
        Said::cards(vec![card(object)], a.clone())
    }),
    ("words before a card", "BizChat", Copilot, |[a, b, ..]| {
        let content = format!("<p>{}</p>{}", escaped(a), placeholder(CARD_ID));
        Said::card(json!([block(b)]), a.clone()).written("html", content).found_in("body")
    }),
    ("card that is no document", "BizChat", Copilot, |[a, ..]| {
        Said::cards(vec![card(format!("{{{a}").into())], String::new()).unread()
    }),
];

/// Bodies, and what single applications do.
const BODIES: [Row; 31] = [
    ("final response in a card", "Excel", Copilot, |[a, b, ..]| {
        let document = json!({"thoughts": b, "finalResponse": a}).to_string();
        Said::card(json!([block(&document)]), a.clone()).found_in("final-response")
    }),
    ("final response in a body", "Excel", Copilot, |[a, b, ..]| {
        Said::body("text", json!({"thoughts": b, "finalResponse": a}).to_string(), a).found_in("final-response")
    }),
    ("no final response", "Excel", Copilot, |[a, ..]| {
        Said::card(json!([block(&format!(r#"{{"thoughts":"{a}"}}"#))]), format!(r#"{{"thoughts":"{a}"}}"#))
    }),
    ("blank final response", "Excel", Copilot, |[_, b, ..]| {
        let document = json!({"thoughts": b, "finalResponse": " "}).to_string();
        Said::card(json!([block(&document)]), document)
    }),
    ("words of Excel", "Excel", Copilot, |[a, ..]| Said::card(json!([block(a)]), a.clone())),
    ("final response of another application", "Word", Copilot, |[a, ..]| {
        let document = format!(r#"{{"finalResponse":"{a}"}}"#);
        Said::card(json!([block(&document)]), document)
    }),
    ("prompt that looks like a final response", "Excel", User, |[a, ..]| {
        let document = format!(r#"{{"finalResponse":"{a}"}}"#);
        Said::body("text", document.clone(), document)
    }),
    ("meeting, prompt", "Teams", User, |[a, ..]| {
        Said::body("text", a.clone() + &escaped(&placeholder(THREAD)), a).attached(vec![meeting(THREAD).1])
    }),
    ("meeting, answer", "Teams", Copilot, |[a, b, ..]| {
        Said::body("text", format!("{a}\n{b}{}", placeholder(THREAD)), format!("{a}\n{b}"))
            .attached(vec![meeting(THREAD).1])
    }),
    ("words around a placeholder", "Teams", Copilot, |[a, b, ..]| {
        Said::body("text", format!("{a} {}{b}", placeholder(THREAD)), format!("{a} {b}"))
            .attached(vec![meeting(THREAD).1])
    }),
    ("placeholder of nothing", "Teams", Copilot, |_| Said::body("text", placeholder(THREAD), "").unread()),
    ("text as typed", "Word", User, |[a, b, c, d, ..]| {
        let typed = format!("{a}\n{b} {c} {d} <script>alert(1)</script>");
        Said::body("text", typed.clone(), typed)
    }),
    ("escaped text", "Teams", User, |[_, b, c, ..]| {
        Said::body("text", escaped(&format!("{b} {c}")).replace('"', "&quot;"), format!("{b} {c}"))
    }),
    ("paragraphs", "CoworkChat", Copilot, |[a, b, ..]| {
        Said::body("html", format!("<p>{}</p><p>{}</p>", escaped(a), escaped(b)), format!("{a}\n{b}"))
            .attached(vec![NAMELESS_FILE.to_owned()])
    }),
    ("markup in a line", "CoworkChat", Copilot, |[a, _, c, d, ..]| {
        let html = format!("<b>{a}</b> <a href=\"https://contoso.example\">{}</a>&nbsp;{}", escaped(c), escaped(d));
        Said::body("html", html, format!("{a} {c} {d}"))
    }),
    ("list and line breaks", "WebChat", Copilot, |[a, b, c, ..]| {
        Said::body(
            "html",
            format!("<ul><li>{a}</li><li>{}</li></ul>{}<br>{a}", escaped(b), escaped(c)),
            format!("{a}\n{b}\n{c}\n{a}"),
        )
    }),
    ("empty line", "WebChat", Copilot, |[a, _, _, _, e, _]| {
        Said::body("html", format!("{a}<br><br/>{e}"), format!("{a}\n\n{e}"))
    }),
    ("table in a body", "WebChat", Copilot, |[a, _, _, _, e, f]| {
        Said::body(
            "html",
            format!("<table><tr><td>{a}</td><td>{e}</td></tr><tr><td>{f}</td></tr></table>"),
            format!("{a} {e}\n{f}"),
        )
    }),
    ("picture with words", "WebChat", Copilot, |[a, _, _, _, e, _]| {
        Said::body("html", format!("{a} <img src=\"x.png\" alt=\"{e}\">"), format!("{a} {e}"))
    }),
    ("comment", "WebChat", Copilot, |[a, _, _, _, e, _]| Said::body("html", format!("<!-- {e} -->{a}"), a)),
    ("nothing", "CoworkChat", Copilot, |_| Said::body("html", "", "").found_in("empty")),
    ("blanks", "CoworkChat", Copilot, |_| Said::body("html", " \n", "").found_in("empty")),
    ("interim answer", "BizChat", Copilot, |_| Said::body("text", "Searching…", "Searching…")),
    ("predictive chat, prompt", "PredictiveChat", User, |[a, ..]| Said::body("text", a, a).because("predictive-chat")),
    ("predictive chat, answer", "PredictiveChat", Copilot, |[a, ..]| {
        Said::card(json!([block(a)]), a.clone()).because("predictive-chat")
    }),
    ("automatic summary", "Word", User, |[a, ..]| {
        let asked = format!("[AutoGenerated]{a}");
        Said::body("text", asked.clone(), asked).because("auto-generated")
    }),
    ("question about automatic summaries", "Word", User, |[a, ..]| {
        let asked = format!("{a} [AutoGenerated]");
        Said::body("text", asked.clone(), asked)
    }),
    ("theme", "Outlook", User, |[a, ..]| {
        let asked = format!("{a} VisualTheming");
        Said::body("text", asked.clone(), asked).because("visual-theming")
    }),
    ("theme in another application", "BizChat", User, |[a, ..]| {
        let asked = format!("{a} VisualTheming");
        Said::body("text", asked.clone(), asked)
    }),
    ("picture of a theme", "Outlook", Copilot, |_| {
        Said::body("html", r#"<img src="data:image/png;base64,iVBORw0KGgo=">"#, "").unread().because("theme-image")
    }),
    ("summary of a thread", "Outlook", User, |[a, ..]| {
        let asked = format!("Summarize this email thread {a}");
        Said::body("text", asked.clone(), asked).because("thread-summary")
    }),
];

/// Every form, the same each time. Times, ids and conversations are each form's own, and so are its words.
pub fn forms() -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    for (name, class, speaker, said) in CARDS.into_iter().chain(SENDINGS).chain(BODIES) {
        let n = forms.len();
        forms.push(form(name.to_owned(), class, speaker, said(&words(n)), n));
    }
    for class in CLASSES {
        let n = forms.len();
        let [asked, answered, ..] = words(n);
        forms.push(form(format!("{class}, prompt"), class, User, Said::body("text", &asked, &asked), n));
        let said = Said::card(json!([block(&answered), marked(&answered)]), answered);
        forms.push(form(format!("{class}, answer"), class, Copilot, said, n + 1));
    }
    forms.push(unknown(forms.len()));
    forms
}

fn words(n: usize) -> Words {
    WORDS.map(|word| format!("{word} {n}"))
}

/// When the item of a form was made: hours apart, so that none is near another.
fn made_at(n: usize) -> Timestamp {
    let first = Timestamp::from_second(1_790_000_000).unwrap_or_default();
    first.checked_add(SignedDuration::from_hours(n as i64)).unwrap_or(first)
}

fn form(name: String, class: &str, speaker: Speaker, said: Said, n: usize) -> Form {
    let Said { body: (kind, content), attachments, text, source, reason } = said;
    let (session, request) = (format!("19:form-{n}@thread.v2"), format!("0ac1c0de-0000-4000-8000-{n:012}"));
    let head = Head {
        tenant: domain::TenantId::from_bytes([7; 16]),
        user: crate::numbered(1),
        session: Some(&session),
        request: (class != "CoworkChat").then_some(&request),
        at: made_at(n),
        class,
        conversation: match class {
            "BizChat" => "bizchat",
            "WebChat" => "webchat",
            "CoworkChat" => "coworkchat",
            _ => "appchat",
        },
        locale: "en-us",
    };
    let attachments = attachments.join(",");
    let parts = Parts { attachments: &attachments, ..Parts::default() };
    let item = match speaker {
        User => head.prompt(&content, parts),
        Copilot => head.reply(kind, &content, parts),
    };
    Form { name, item, text, source, automatic_reason: reason }
}

/// What a later version of the service might send.
fn unknown(n: usize) -> Form {
    let (id, at) = (made_at(n).as_millisecond().to_string(), format!("{:.7}", made_at(n)));
    let item = json!({
        "id": id, "etag": id, "sessionId": format!("19:form-{n}@thread.v2"), "requestId": null, "createdDateTime": at,
        "appClass": "IPM.SkypeTeams.Message.Copilot.Novelty", "interactionType": "unknownFutureValue",
        "conversationType": "novelty", "locale": null, "from": null, "body": null, "attachments": null, "links": null,
        "mentions": null, "novelty": words(n),
    });
    Form {
        name: "unknown future value".to_owned(),
        item: item.to_string(),
        text: None,
        source: "unparsed",
        automatic_reason: None,
    }
}

fn block(text: &str) -> Value {
    json!({"type": "TextBlock", "text": text, "wrap": true})
}

/// The block that repeats the answer with reference marks.
fn marked(text: &str) -> Value {
    json!({"type": "TextBlock", "id": "MessageTextField", "text": format!("{text}[^1^]"), "wrap": true})
}

/// An element that holds others.
fn within(kind: &str, member: &str, held: Value) -> Value {
    json!({"type": kind, member: held})
}

/// A card as the service sends it: a document in a string.
fn document(elements: Value) -> Value {
    let card = json!({"type": "AdaptiveCard", "version": "1.0", "body": elements});
    format!("{card:#}").replace('\n', "\r\n").into()
}

fn card(content: Value) -> String {
    json!({"attachmentId": CARD_ID, "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null,
        "name": null, "content": content})
    .to_string()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_form_is_an_item_of_its_own() {
        let forms = forms();
        let items: Vec<Value> = forms.iter().map(|form| serde_json::from_str(&form.item).unwrap()).collect();
        for member in ["id", "sessionId", "createdDateTime"] {
            let values: HashSet<&str> = items.iter().map(|item| item[member].as_str().unwrap()).collect();
            assert_eq!(values.len(), forms.len(), "{member}");
        }
        assert_eq!(forms.iter().map(|form| &form.name).collect::<HashSet<_>>().len(), forms.len());
        // A line of an archive or a file of forms.
        assert!(forms.iter().all(|form| !form.item.contains(['\r', '\n'])));
        let texts: Vec<&str> = forms.iter().filter_map(|form| form.text.as_deref()).collect();
        let own = texts.iter().filter(|text| texts.iter().filter(|other| other == text).count() == 1).count();
        // All but the two that are empty; what is not read has no text.
        assert_eq!(own + 2, texts.len());
    }
}
