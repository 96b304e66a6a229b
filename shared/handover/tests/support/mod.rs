//! Archives with real forms of items, built by hand, and audits of them.

#![allow(dead_code, reason = "each test file uses its part")]

// The tests of `evidence` build archives without any code of the program's writers, and so do these.
#[path = "../../../evidence/tests/support/mod.rs"]
mod by_hand;
pub(crate) mod corpus;

use std::collections::BTreeMap;

use evidence::audit::{Request, Whom};
use evidence::{AuditReport, Memory, audit};
use serde_json::{Value, json};

#[allow(unused_imports, reason = "each test file uses its part")]
pub(crate) use by_hand::{ADELE, BIANCA, sha256};
use by_hand::{Builder, Run, attempt, line, roster_line};

/// What the audits ask for.
pub(crate) const FROM: &str = "2026-11-02T00:00:00Z";
pub(crate) const TO: &str = "2026-11-24T01:00:00Z";

pub(crate) const CARD: &str = "application/vnd.microsoft.card.adaptive";

fn month(item: &str) -> String {
    let value: Value = serde_json::from_str(item).unwrap();
    let created = value["createdDateTime"].as_str().filter(|time| time.ends_with('Z') && time.len() >= 20);
    created.map_or_else(|| "unknown".to_owned(), |time| time[..7].to_owned())
}

/// An archive with these items of Adele, called so, and one of Bianca's, in two closed runs.
pub(crate) fn archive_of(name: &str, items: &[String]) -> Memory {
    let mut builder = Builder::new();
    let mut adele = roster_line(ADELE, "adele@contoso.example", None);
    adele["display_name"] = json!(name);
    let roster = vec![adele, roster_line(BIANCA, "bianca@contoso.example", None)];
    let half = items.len() / 2;
    for (number, date, items) in [(1, "2026-11-23", &items[..half]), (2, "2026-11-24", &items[half..])] {
        let mut run = Run { roster: roster.clone(), ..Run::daily(date) };
        let attempt = attempt(number);
        let mut months: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for item in items {
            months.entry(month(item)).or_default().push(item.clone());
        }
        let segments: Vec<Value> = months
            .iter()
            .map(|(month, items)| {
                let before = builder.memory.objects.contains_key(&by_hand::segment_key(ADELE, month, 1));
                builder.segment(ADELE, month, 1 + u32::from(before), &run.id, &attempt, items)
            })
            .collect();
        let window = ("2026-09-01T01:00:00Z", run.to.clone().unwrap());
        let class = if items.is_empty() { "empty" } else { "exported" };
        let mut adele = line(&run.id, &attempt, ADELE, class, (window.0, &window.1), (items.len() as u64, 0));
        adele["segments"] = json!(segments);
        let mut bianca = line(&run.id, &attempt, BIANCA, "empty", (window.0, &window.1), (0, 0));
        if number == 1 {
            let other = [prompt("2026-11-05T10:00:00Z", "b", "1", "a secret of Bianca's").to_string()];
            bianca["segments"] = json!([builder.segment(BIANCA, "2026-11", 1, &run.id, &attempt, &other)]);
            bianca["class"] = json!("exported");
            bianca["received"] = json!(1);
            bianca["new"] = json!(1);
        }
        run.receipts = vec![(attempt, vec![adele, bianca])];
        builder.close(&run);
    }
    builder.memory
}

pub(crate) fn archive(items: &[Value]) -> Memory {
    archive_of("Adele Vance", &items.iter().map(Value::to_string).collect::<Vec<_>>())
}

pub(crate) fn audit_of(memory: &Memory, who: &[&str]) -> AuditReport {
    audit_named(memory, who, "./archive")
}

pub(crate) fn audit_named(memory: &Memory, who: &[&str], location: &str) -> AuditReport {
    audit(memory, &request(who, location)).unwrap()
}

pub(crate) fn request(who: &[&str], location: &str) -> Request {
    Request {
        whom: Whom::Named(who.iter().map(|name| (*name).to_owned()).collect()),
        from: Some(FROM.parse().unwrap()),
        to: Some(TO.parse().unwrap()),
        explain: false,
        ledger_head: None,
        history_start: "2023-11-01T00:00:00Z".parse().unwrap(),
        retention_days: None,
        read_at: "2026-11-24T10:02:00Z".parse().unwrap(),
        location: location.to_owned(),
        program: "copilot-archive 0.1.0".to_owned(),
    }
}

pub(crate) fn prompt(at: &str, session: &str, id: &str, text: &str) -> Value {
    json!({"id": id, "etag": id, "sessionId": session, "requestId": format!("request-{id}"), "createdDateTime": at,
        "appClass": "IPM.SkypeTeams.Message.Copilot.BizChat", "interactionType": "userPrompt",
        "body": {"contentType": "text", "content": text}, "attachments": [], "links": [], "contexts": []})
}

/// An answer in a card.
pub(crate) fn answer(at: &str, session: &str, id: &str, request: &str, text: &str) -> Value {
    let card = json!({"type": "AdaptiveCard", "body": [{"type": "TextBlock", "text": text},
        {"type": "TextBlock", "id": "MessageTextField", "text": "marked[^1^]"}]});
    json!({"id": id, "etag": id, "sessionId": session, "requestId": request, "createdDateTime": at,
        "appClass": "IPM.SkypeTeams.Message.Copilot.BizChat", "interactionType": "aiResponse",
        "from": {"application": {"displayName": "Microsoft 365 Chat"}},
        "body": {"contentType": "html", "content": "<attachment id=\"a\"></attachment>"},
        "attachments": [{"attachmentId": "a", "contentType": CARD, "content": card.to_string()}],
        "links": [{"linkUrl": "https://contoso.example/orchid.docx", "displayName": "orchid.docx", "linkType": "File"}],
        "contexts": []})
}

/// Two conversations on three days, with everything that has a rule: an edit, an automatic and an interim item, a near
/// duplicate, one that is not understood, one without a time, and two outside of the range.
pub(crate) fn sample() -> Vec<Value> {
    let mut edited = prompt("2026-11-05T09:00:00Z", "19:one@thread.v2", "10", "Which contracts end in March?");
    edited["etag"] = json!("11");
    let mut automatic =
        prompt("2026-11-06T08:00:00Z", "19:two@thread.v2", "20", "[AutoGenerated]Summarize this document");
    automatic["appClass"] = json!("IPM.SkypeTeams.Message.Copilot.Word");
    let mut odd = answer("2026-11-06T08:00:05Z", "19:two@thread.v2", "21", "request-20", "x");
    odd["attachments"] = json!([]);
    vec![
        prompt("2026-11-01T10:00:00Z", "19:one@thread.v2", "1", "before the range"),
        prompt("2026-11-24T01:30:00Z", "19:one@thread.v2", "2", "after the range"),
        prompt("2026-11-05T09:00:00Z", "19:one@thread.v2", "10", "Which contracts end soon?"),
        edited,
        answer("2026-11-05T09:00:03Z", "19:one@thread.v2", "12", "request-10", "Searching…"),
        answer("2026-11-05T09:00:05Z", "19:one@thread.v2", "13", "request-10", "Two end: Orchid\nand Birch."),
        prompt("2026-11-05T09:10:00Z", "19:one@thread.v2", "14", "Thanks"),
        prompt("2026-11-05T09:10:02Z", "19:one@thread.v2", "15", "Thanks"),
        automatic,
        odd,
        prompt("2026-11-05T12:00:00Z", "19:two@thread.v2", "30", "Another conversation"),
        json!({"id": "40", "interactionType": "userPrompt", "body": {"contentType": "text", "content": "without a time"}}),
    ]
}
