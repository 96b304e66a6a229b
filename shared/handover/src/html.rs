//! The pages as HTML: inert, whatever stands in them.
//!
//! There is no script, no reference to anything outside and no link. Content only ever stands as the text of an element,
//! escaped; no attribute of ours holds any.

use crate::escape::html;
use crate::message::{Message, Page, footer, notes, references, speaker};
use crate::pages::{Case, Listed, Time};

/// Forbids everything that a page could load or run, but for the style below.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

const STYLE: &str = "body{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-family:inherit;margin:.5em 0;unicode-bidi:isolate}\
pre.raw,pre.audit{font-family:monospace}\
article,details{border-left:.3em solid #999;padding:.2em 1em;margin:1em 0}\
article.prompt{border-color:#36c}article.response{border-color:#383}\
h2{font-size:1em;margin:.3em 0}ul{margin:.3em 0}footer,.note{color:#555;font-size:.8em;overflow-wrap:anywhere}\
table{border-collapse:collapse}td,th{border:1px solid #999;padding:.2em .5em;text-align:left}";

fn begin(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>{}</h1>\n",
        html(title),
        html(title)
    )
}

const END: &str = "</body>\n</html>\n";

fn element(name: &str, class: &str, text: &str) -> String {
    // A newline after `pre` is no part of it, so one is given away.
    let newline = if name == "pre" { "\n" } else { "" };
    format!("<{name} class=\"{class}\">{newline}{}</{name}>\n", html(text))
}

fn row(name: &str, cells: &[&str]) -> String {
    let cells = cells.iter().map(|cell| format!("<{name}>{}</{name}>", html(cell)));
    format!("<tr>{}</tr>\n", cells.collect::<String>())
}

/// A conversation's day.
pub(crate) fn transcript(case: &Case, id: &str, page: &Page) -> String {
    let mut out = begin(&format!("Transcript {id}"));
    out.push_str("<table>\n");
    for (label, value) in case.heading(page) {
        out.push_str(&row("td", &[label, &value]));
    }
    out.push_str("</table>\n");
    for message in &page.messages {
        article(&mut out, case, message);
    }
    out.push_str(&element("p", "note", &case.colophon()));
    out.push_str(END);
    out
}

fn article(out: &mut String, case: &Case, message: &Message) {
    let row = &message.row;
    let heading = format!(
        "{}  {}  {}  {}",
        Time(row.created_at),
        speaker(message, &case.custodian),
        row.role.as_str(),
        row.app.as_deref().unwrap_or_default()
    );
    if let Some(reason) = message.folded {
        out.push_str("<details>\n");
        out.push_str(&element("summary", "note", &format!("{heading}  folded: {reason}")));
    }
    out.push_str(&format!("<article class=\"{}\">\n", row.role.as_str()));
    out.push_str(&element("h2", "who", &heading));
    words(out, message);
    for text in message.earlier.iter().rev() {
        out.push_str("<details>\n");
        out.push_str(&element("summary", "note", &format!("an earlier text, fetched {}", text.fetched_at)));
        words(out, text);
        out.push_str("</details>\n");
    }
    out.push_str("</article>\n");
    if message.folded.is_some() {
        out.push_str("</details>\n");
    }
}

fn words(out: &mut String, message: &Message) {
    for note in notes(message) {
        out.push_str(&element("p", "note", &note));
    }
    if let Some(text) = &message.row.text {
        out.push_str(&element("pre", "text", text));
    }
    if let Some(raw) = &message.raw {
        out.push_str(&element("pre", "raw", raw));
    }
    for (label, lines) in references(&message.row) {
        if lines.is_empty() {
            continue;
        }
        out.push_str(&element("p", "note", label));
        let items = lines.iter().map(|line| format!("<li>{}</li>\n", html(line)));
        out.push_str(&format!("<ul>\n{}</ul>\n", items.collect::<String>()));
    }
    out.push_str(&element("footer", "origin", &footer(message)));
}

/// The cover sheet: the verdict, and what lies behind it.
pub(crate) fn cover(case: &Case, listed: &[Listed], audit: &str) -> String {
    let mut out = begin("Copilot interactions: cover sheet");
    out.push_str("<table>\n");
    for (label, value) in case.cover(listed) {
        out.push_str(&row("td", &[label, &value]));
    }
    out.push_str("</table>\n");
    out.push_str(&element("h2", "who", "Audit"));
    out.push_str(&element("pre", "audit", audit));
    out.push_str(&element("h2", "who", "Transcripts"));
    out.push_str("<table>\n");
    out.push_str(&row("th", &["document", "day", "application", "messages", "conversation", "file"]));
    for one in listed {
        let messages = one.messages.to_string();
        out.push_str(&row("td", &[&one.id, &one.day, &one.apps, &messages, &one.session, &one.html_path()]));
    }
    out.push_str("</table>\n");
    out.push_str(&element("p", "note", &case.colophon()));
    out.push_str(END);
    out
}
