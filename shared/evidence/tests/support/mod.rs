//! A writer of small archives that shares nothing with the program's own: JSON by hand, one call per object.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;

use evidence::Memory;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) const TENANT: &str = "2a633e58-0000-4000-8000-000000000001";
pub(crate) const OTHER_TENANT: &str = "2a633e58-0000-4000-8000-000000000002";
pub(crate) const ADELE: &str = "5ac181d0-0000-4000-8000-00000000000a";
pub(crate) const BIANCA: &str = "5ac181d0-0000-4000-8000-00000000000b";
pub(crate) const CARLO: &str = "5ac181d0-0000-4000-8000-00000000000c";

pub(crate) fn attempt(n: u32) -> String {
    format!("{n:032x}")
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn zstd(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 3).unwrap()
}

pub(crate) fn unzstd(bytes: &[u8]) -> String {
    String::from_utf8(zstd::decode_all(bytes).unwrap()).unwrap()
}

pub(crate) fn json_lines(lines: &[Value]) -> Vec<u8> {
    zstd(&lines.iter().map(|line| written(line) + "\n").collect::<String>())
}

/// The members of a line with those first that the format has first.
fn written(line: &Value) -> String {
    let Some(members) = line.as_object() else { return line.to_string() };
    let first = ["user_id", "run_id", "attempt_id"];
    let rest = members.iter().filter(|(name, _)| !first.contains(&name.as_str()));
    let first = first.into_iter().filter_map(|name| Some((name, members.get(name)?)));
    let all = first.chain(rest.map(|(name, value)| (name.as_str(), value)));
    let all: Vec<String> = all.map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    format!("{{{}}}", all.join(","))
}

pub(crate) fn item(id: u32, created: &str) -> String {
    format!(r#"{{"id":"{id}","createdDateTime":"{created}","interactionType":"userPrompt"}}"#)
}

pub(crate) fn segment_key(user: &str, month: &str, n: u32) -> String {
    format!("interactions/tenant_id={TENANT}/created_month={month}/user_id={user}/segment-{n:06}.jsonl.zst")
}

pub(crate) fn receipt_key(run: &str, attempt: &str, n: u32) -> String {
    format!("runs/{run}/receipts/{attempt}-{n}.jsonl.zst")
}

pub(crate) fn ledger_key(n: usize) -> String {
    format!("ledger/tenant_id={TENANT}/entry-{n:06}.json")
}

/// A record, fetched two hours after a run of November that is scheduled for three.
pub(crate) fn record(user: &str, run: &str, attempt: &str, item: &str) -> String {
    let day = run.strip_prefix("202611").and_then(|rest| rest.strip_suffix("T030000Z")).unwrap_or("24");
    format!(
        r#"{{"tenant_id":"{TENANT}","user_id":"{user}","run_id":"{run}","attempt_id":"{attempt}","fetched_at":"2026-11-{day}T05:00:00Z","interaction":{item}}}"#
    )
}

pub(crate) fn roster_line(user: &str, upn: &str, excluded: Option<&str>) -> Value {
    json!({"user_id": user, "upn": upn, "display_name": upn.split('@').next(), "mail": upn, "account_enabled": true,
        "user_type": "Member", "licences": [], "why": "licensed", "planned": excluded.is_none(), "excluded": excluded})
}

/// A receipt line: read to its end, with these counts.
pub(crate) fn line(
    run: &str,
    attempt: &str,
    user: &str,
    class: &str,
    window: (&str, &str),
    counts: (u64, u64),
) -> Value {
    let (class, reason) = match class.split_once('(') {
        Some((class, reason)) => (json!(class), json!(reason.trim_end_matches(')'))),
        None if class.is_empty() => (Value::Null, Value::Null),
        None => (json!(class), Value::Null),
    };
    let windows = if window.0.is_empty() { json!([]) } else { json!([{"from": window.0, "to": window.1}]) };
    json!({"user_id": user, "run_id": run, "attempt_id": attempt, "class": class, "reason": reason, "windows": windows,
        "pages": 1, "received": counts.0 + counts.1, "new": counts.0, "already_held": counts.1, "segments": [],
        "quarantine": [], "covered_from": null, "covered_to": null, "requests": {"200": 2}, "retries": 0,
        "request_ids": [], "lateness": {}})
}

/// What a run is made of, before it is put.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) asked: Value,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) started_at: String,
    pub(crate) roster: Vec<Value>,
    pub(crate) receipts: Vec<(String, Vec<Value>)>,
}

impl Run {
    /// A daily run that ends its windows at 01:00 of the day it starts at 03:00.
    pub(crate) fn daily(date: &str) -> Self {
        Self {
            id: format!("{}T030000Z", date.replace('-', "")),
            kind: "daily".to_owned(),
            asked: json!({"scheduled_time": format!("{date}T03:00:00Z")}),
            from: None,
            to: Some(format!("{date}T01:00:00Z")),
            started_at: format!("{date}T03:00:05Z"),
            roster: Vec::new(),
            receipts: Vec::new(),
        }
    }
}

/// An archive that grows run by run.
pub(crate) struct Builder {
    pub(crate) memory: Memory,
    closed: Vec<String>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let mut memory = Memory::default();
        let archive =
            json!({"format": 1, "archive_id": OTHER_TENANT, "tenant_id": TENANT, "created_at": "2026-11-01T00:00:00Z"});
        memory.objects.insert("archive.json".to_owned(), archive.to_string().into_bytes());
        memory.objects.insert("README.txt".to_owned(), b"read me".to_vec());
        Self { memory, closed: Vec::new() }
    }

    /// Puts a segment and gives what a receipt says of it.
    pub(crate) fn segment(
        &mut self,
        user: &str,
        month: &str,
        n: u32,
        run: &str,
        attempt: &str,
        items: &[String],
    ) -> Value {
        let text: String = items.iter().map(|item| format!("{}\n", record(user, run, attempt, item))).collect();
        let (key, bytes) = (segment_key(user, month, n), zstd(&text));
        let named = json!({"key": key, "lines": items.len(), "sha256": sha256(&bytes), "adopted": false});
        self.memory.objects.insert(key, bytes);
        named
    }

    /// Puts everything of a run but its close.
    pub(crate) fn open(&mut self, run: &Run) {
        let excluded = count(run.roster.iter().filter_map(|line| line["excluded"].as_str()));
        let planned = run.roster.iter().filter(|line| line["planned"] == json!(true)).count();
        let file = json!({"format": 1, "run_id": run.id, "tenant_id": TENANT, "kind": run.kind, "asked": run.asked,
            "from": run.from, "to": run.to, "not_after": null, "deadline": "2099-01-01T00:00:00Z", "overlap_hours": 72,
            "enumerated": run.roster.len(), "excluded": excluded, "planned": planned, "started_at": run.started_at,
            "producer": {"name": "test", "version": "0", "commit": ""}});
        self.put(format!("runs/{}/roster.jsonl.zst", run.id), json_lines(&run.roster));
        self.put(format!("runs/{}/run.json", run.id), file.to_string().into_bytes());
        for (attempt, lines) in &run.receipts {
            self.put(receipt_key(&run.id, attempt, 1), json_lines(lines));
        }
    }

    /// Puts a run and closes it: users file, report and ledger entry are made of the receipts.
    pub(crate) fn close(&mut self, run: &Run) {
        self.open(run);
        let mut users: BTreeMap<String, Value> = BTreeMap::new();
        for line in run.roster.iter().filter(|line| line["planned"] == json!(true)) {
            let user = line["user_id"].as_str().unwrap();
            let mut none = self::line(&run.id, "", user, "", ("", ""), (0, 0));
            none["pages"] = json!(0);
            none["requests"] = json!({});
            users.insert(user.to_owned(), none);
        }
        for line in run.receipts.iter().flat_map(|(_, lines)| lines) {
            unite(users.get_mut(line["user_id"].as_str().unwrap()).unwrap(), line);
        }
        let users: Vec<Value> = users.into_values().map(without_attempt).collect();
        let report = report(run, &users);
        self.put(format!("runs/{}/users.jsonl.zst", run.id), json_lines(&users));
        self.put(format!("runs/{}/report.json", run.id), report.to_string().into_bytes());
        self.closed.push(run.id.clone());
        seal(&mut self.memory, &self.closed);
    }

    fn put(&mut self, key: String, bytes: Vec<u8>) {
        self.memory.objects.insert(key, bytes);
    }
}

fn without_attempt(mut line: Value) -> Value {
    line.as_object_mut().unwrap().remove("attempt_id");
    line
}

fn unite(into: &mut Value, line: &Value) {
    const RANK: [&str; 5] = ["exported", "empty", "unavailable", "deferred", "failed"];
    let rank = |line: &Value| RANK.iter().position(|class| line["class"] == json!(class)).unwrap_or(RANK.len());
    if rank(line) < rank(into) {
        into["class"] = line["class"].clone();
        into["reason"] = line["reason"].clone();
    }
    for member in ["pages", "received", "new", "already_held", "retries"] {
        into[member] = json!(into[member].as_u64().unwrap() + line[member].as_u64().unwrap());
    }
    for member in ["requests", "lateness"] {
        for (name, n) in line[member].as_object().unwrap() {
            let before = into[member][name].as_u64().unwrap_or(0);
            into[member][name] = json!(before + n.as_u64().unwrap());
        }
    }
    for member in ["windows", "quarantine", "request_ids"] {
        into[member].as_array_mut().unwrap().extend(line[member].as_array().unwrap().clone());
    }
    for segment in line["segments"].as_array().unwrap() {
        let known = into["segments"].as_array_mut().unwrap();
        match known.iter_mut().find(|known| known["key"] == segment["key"]) {
            Some(known) if segment["adopted"] == json!(false) => known["adopted"] = json!(false),
            Some(_) => {}
            None => known.push(segment.clone()),
        }
    }
    for member in ["covered_from", "covered_to"] {
        into[member] = line[member].clone();
    }
}

fn count<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name.to_owned()).or_insert(0) += 1;
    }
    counts
}

fn report(run: &Run, users: &[Value]) -> Value {
    let class = |name: &str| users.iter().filter(|line| line["class"] == json!(name)).count();
    let sum = |member: &str| users.iter().map(|line| line[member].as_u64().unwrap()).sum::<u64>();
    let requests = |only: Option<&str>| -> u64 {
        let all = users.iter().flat_map(|line| line["requests"].as_object().unwrap());
        all.filter(|(status, _)| only.is_none_or(|only| only == *status)).map(|(_, n)| n.as_u64().unwrap()).sum()
    };
    let adopted = users.iter().flat_map(|line| line["segments"].as_array().unwrap());
    let recovered: u64 = adopted
        .filter(|segment| segment["adopted"] == json!(true))
        .map(|segment| segment["lines"].as_u64().unwrap())
        .sum();
    let missing = users.iter().filter(|line| line["class"].is_null()).count();
    let excluded = count(run.roster.iter().filter_map(|line| line["excluded"].as_str()));
    let unavailable = count(
        users.iter().filter(|line| line["class"] == json!("unavailable")).filter_map(|line| line["reason"].as_str()),
    );
    let mut lateness: BTreeMap<&str, u64> = BTreeMap::new();
    for (hours, n) in users.iter().flat_map(|line| line["lateness"].as_object().unwrap()) {
        *lateness.entry(hours).or_default() += n.as_u64().unwrap();
    }
    let quarantined: usize = users.iter().map(|line| line["quarantine"].as_array().unwrap().len()).sum();
    json!({"run_id": run.id, "kind": run.kind, "complete": class("failed") + missing == 0,
        "users": {"enumerated": run.roster.len(), "excluded": excluded, "planned": users.len(),
            "exported": class("exported"), "empty": class("empty"), "unavailable": unavailable,
            "deferred": class("deferred"), "failed": class("failed"), "missing": missing},
        "interactions": {"received": sum("received"), "new": sum("new"), "already_held": sum("already_held"),
            "recovered": recovered},
        "quarantined_pages": quarantined,
        "requests": {"sent": requests(None), "throttled": requests(Some("429")), "retried": sum("retries")},
        "attempts_lost": u64::from(recovered > 0), "history_remaining": 0, "lateness": lateness,
        "started_at": run.started_at, "closed_at": "2026-11-24T06:00:00Z"})
}

/// Writes the ledger of these runs anew, of what lies there now: so that a change is found by itself, and not only
/// because the ledger pins what was there before.
pub(crate) fn seal(memory: &mut Memory, runs: &[String]) {
    memory.objects.retain(|key, _| !key.starts_with("ledger/"));
    let mut previous = Value::Null;
    for (n, run) in (1..).zip(runs) {
        let prefix = format!("runs/{run}/");
        let files: Vec<Value> = memory
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(key, bytes)| {
                let lines = key.ends_with(".zst").then(|| zstd::decode_all(&bytes[..]).ok()).flatten();
                let lines = lines.map(|text| text.iter().filter(|byte| **byte == b'\n').count());
                json!({"key": key, "sha256": sha256(bytes), "bytes": bytes.len(), "lines": lines})
            })
            .collect();
        let entry = json!({"n": n, "previous": previous, "run_id": run, "files": files,
            "closed_at": closed_at(memory, run), "producer": {"name": "test", "version": "0", "commit": ""}});
        let bytes = entry.to_string().into_bytes();
        previous = json!(sha256(&bytes));
        memory.objects.insert(ledger_key(n), bytes);
    }
}

/// Three hours after a scheduled run began; no matter when of others.
fn closed_at(memory: &Memory, run: &str) -> String {
    let file = memory.objects.get(&format!("runs/{run}/run.json"));
    let file = file.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok()).unwrap_or_default();
    let began = file["started_at"].as_str().unwrap_or("2026-11-24T03:00:05Z");
    began.replace("T03:00:05Z", "T06:00:00Z")
}

pub(crate) fn edit_json(memory: &mut Memory, key: &str, edit: impl FnOnce(&mut Value)) {
    let bytes = memory.objects.get_mut(key).unwrap();
    let mut value = serde_json::from_slice(bytes).unwrap();
    edit(&mut value);
    *bytes = value.to_string().into_bytes();
}

pub(crate) fn edit_lines(memory: &mut Memory, key: &str, edit: impl FnOnce(&mut Vec<Value>)) {
    let bytes = memory.objects.get_mut(key).unwrap();
    let mut lines = unzstd(bytes).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    edit(&mut lines);
    *bytes = json_lines(&lines);
}

pub(crate) const DAY_1: &str = "20261123T030000Z";
pub(crate) const DAY_2: &str = "20261124T030000Z";

/// Two daily runs: Adele has items in both, Bianca none, Carlo is excluded. In the second an attempt put a segment and
/// left no receipt; the next one adopted it.
pub(crate) fn sample() -> Memory {
    let mut builder = Builder::new();
    let roster = vec![
        roster_line(ADELE, "adele@contoso.example", None),
        roster_line(BIANCA, "bianca@contoso.example", None),
        roster_line(CARLO, "carlo@contoso.example", Some("plan-disabled")),
    ];
    let (first, lost, third) = (attempt(1), attempt(2), attempt(3));

    let mut day = Run { roster: roster.clone(), ..Run::daily("2026-11-23") };
    let items = [item(1, "2026-11-22T10:00:00Z"), item(2, "2026-11-22T11:00:00Z")];
    let segment = builder.segment(ADELE, "2026-11", 1, DAY_1, &first, &items);
    let window = ("2026-11-20T01:00:00Z", "2026-11-23T01:00:00Z");
    let mut adele = line(DAY_1, &first, ADELE, "exported", window, (2, 0));
    adele["segments"] = json!([segment]);
    let bianca = line(DAY_1, &first, BIANCA, "empty", window, (0, 0));
    day.receipts = vec![(first, vec![adele, bianca])];
    builder.close(&day);

    let mut day = Run { roster, ..Run::daily("2026-11-24") };
    let mut adopted = builder.segment(ADELE, "2026-11", 2, DAY_2, &lost, &[item(3, "2026-11-23T10:00:00Z")]);
    adopted["adopted"] = json!(true);
    let unknown = builder.segment(ADELE, "unknown", 1, DAY_2, &third, &[r#"{"id":null}"#.to_owned()]);
    let window = ("2026-11-20T01:00:00Z", "2026-11-24T01:00:00Z");
    let mut adele = line(DAY_2, &third, ADELE, "exported", window, (1, 3));
    adele["segments"] = json!([adopted, unknown]);
    let bianca = line(DAY_2, &third, BIANCA, "empty", window, (0, 0));
    day.receipts = vec![(third, vec![adele, bianca])];
    builder.close(&day);
    builder.memory
}
