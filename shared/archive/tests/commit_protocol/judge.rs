//! What must hold of the stored objects after every step, read with code of its own.

use std::collections::{BTreeMap, BTreeSet};

use archive::ItemHash;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::items::{ITEMS, Item, time};
use crate::outside::Outside;

#[derive(Deserialize)]
struct Record<'a> {
    attempt_id: &'a str,
    #[serde(borrow)]
    interaction: &'a RawValue,
}

/// The first promise that is broken.
pub(crate) fn judge(outside: &Outside) -> Result<(), String> {
    let archived = archived(outside)?;
    let known = |item: &Item| archived.all.contains(item.text);
    for (key, bytes) in outside.objects.iter().filter(|(key, _)| key.starts_with("state/")) {
        let checkpoint: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| format!("{key}: {error}"))?;
        let ends = ["from", "to"].map(|end| checkpoint["coverage"][end].as_str().map(time));
        if let [Some(from), Some(to)] = ends {
            let covered = |item: &&Item| !item.late && from < item.created() && item.created() <= to;
            if let Some(item) = ITEMS.iter().filter(covered).find(|item| !known(item)) {
                return Err(format!("covered and not archived: {}", item.text));
            }
        }
        for (month, log) in checkpoint["months"].as_object().into_iter().flatten() {
            let next = log["next"].as_u64().unwrap_or_default();
            let before = archived.before.get(&(month.clone(), next));
            let Some(before) = before else { return Err(format!("{month} has no segment before {next}")) };
            let items = BASE64.decode(log["items"].as_str().unwrap_or_default()).unwrap_or_default();
            let hashes: BTreeSet<&[u8]> = items.chunks(16).collect();
            let texts: Vec<[u8; 16]> = before.iter().map(|text| ItemHash::of(text).0).collect();
            if hashes != texts.iter().map(<[u8; 16]>::as_slice).collect() {
                return Err(format!("the checkpoint knows other items of {month} before {next}"));
            }
        }
    }
    match outside.promised.iter().find(|item| !known(item)) {
        Some(item) => Err(format!("acknowledged and not archived: {}", item.text)),
        None => Ok(()),
    }
}

/// Every item is in the archive.
pub(crate) fn complete(outside: &Outside) -> Result<(), String> {
    let archived = archived(outside)?;
    match ITEMS.iter().find(|item| !archived.all.contains(item.text)) {
        Some(item) => Err(format!("not archived by a quiet attempt: {}", item.text)),
        None => Ok(()),
    }
}

#[derive(Default)]
struct Archived {
    all: BTreeSet<String>,
    /// By month and number, what the segments before the number hold.
    before: BTreeMap<(String, u64), BTreeSet<String>>,
}

fn archived(outside: &Outside) -> Result<Archived, String> {
    let mut archived = Archived::default();
    let mut logs: BTreeMap<String, u64> = BTreeMap::new();
    for month in ["2026-11", "2026-10", "unknown"] {
        archived.before.insert((month.to_owned(), 1), BTreeSet::new());
    }
    for (key, bytes) in outside.objects.iter().filter(|(key, _)| key.starts_with("interactions/")) {
        let month = key.split("created_month=").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let n = logs.entry(month.to_owned()).or_default();
        *n += 1;
        if !key.ends_with(&format!("/segment-{n:06}.jsonl.zst")) {
            return Err(format!("{key} is not number {n}"));
        }
        let lines = zstd::decode_all(&bytes[..]).map_err(|error| format!("{key}: {error}"))?;
        let lines = String::from_utf8(lines).map_err(|error| format!("{key}: {error}"))?;
        let mut attempts = BTreeSet::new();
        let mut seen = archived.before[&(month.to_owned(), *n)].clone();
        for line in lines.lines() {
            let record: Record<'_> = serde_json::from_str(line).map_err(|error| format!("{key}: {error}"))?;
            attempts.insert(record.attempt_id.to_owned());
            let text = record.interaction.get().to_owned();
            if !archived.all.insert(text.clone()) {
                return Err(format!("twice: {text}"));
            }
            seen.insert(text);
        }
        if attempts.len() != 1 {
            return Err(format!("{key} is of {} attempts", attempts.len()));
        }
        archived.before.insert((month.to_owned(), *n + 1), seen);
    }
    Ok(archived)
}
