//! The pages as plain text. What stands behind a bar is content; all else is said by the program.

use crate::escape::{barred, line};
use crate::message::{Message, Page, footer, notes, references, speaker};
use crate::pages::{Case, Listed, Time};

fn entry(label: &str, value: &str) -> String {
    format!("{label:<14} {}\n", line(value))
}

/// A conversation's day.
pub(crate) fn transcript(case: &Case, id: &str, page: &Page) -> String {
    let mut out = format!("TRANSCRIPT {id}\n\n");
    for (label, value) in case.heading(page) {
        out.push_str(&entry(label, &value));
    }
    for message in &page.messages {
        let row = &message.row;
        let heading = format!(
            "{}  {}  {}  {}",
            Time(row.created_at),
            speaker(message, &case.custodian),
            row.role.as_str(),
            row.app.as_deref().unwrap_or_default()
        );
        out.push_str(&format!("\n--- {}\n", line(&heading)));
        words(&mut out, message);
        for text in message.earlier.iter().rev() {
            out.push_str(&format!("  an earlier text, fetched {}:\n", text.fetched_at));
            words(&mut out, text);
        }
    }
    out.push_str(&format!("\n{}\n", line(&case.colophon())));
    out
}

fn words(out: &mut String, message: &Message) {
    for note in notes(message) {
        out.push_str(&format!("  ({})\n", line(&note)));
    }
    for content in [&message.row.text, &message.raw].into_iter().flatten() {
        out.push_str(&barred(content));
    }
    for (label, lines) in references(&message.row) {
        for one in lines {
            out.push_str(&format!("  {label}: {}\n", line(&one)));
        }
    }
    out.push_str(&format!("  [{}]\n", line(&footer(message))));
}

/// The cover sheet.
pub(crate) fn cover(case: &Case, listed: &[Listed], audit: &str) -> String {
    let mut out = "COPILOT INTERACTIONS: COVER SHEET\n\n".to_owned();
    for (label, value) in case.cover(listed) {
        out.push_str(&entry(label, &value));
    }
    out.push_str("\nAUDIT\n\n");
    out.push_str(&barred(audit.trim_end()));
    out.push_str("\nTRANSCRIPTS\n\n");
    for one in listed {
        let Listed { id, day, messages, apps, session, .. } = one;
        out.push_str(&format!("{}\n", line(&format!("{id}  {day}  {messages} messages  {apps}  {session}"))));
    }
    out.push_str(&format!("\n{}\n", line(&case.colophon())));
    out
}
