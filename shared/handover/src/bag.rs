//! The evidence bag: a folder in BagIt form (RFC 8493) that is checked without this program.

use std::path::Path;

use evidence::{AuditReport, Source};
use serde::Deserialize;

use crate::escape::line;
use crate::folder::Folder;
use crate::message::Origin;
use crate::pages::{Case, finished, write_pages};
use crate::{HandoverError, Summary, verify};

const DECLARATION: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";

/// Writes the bag of the one person of the audit into an empty folder. `contact` is whom to ask, for `bag-info.txt`. The
/// manifest is written last: a folder without one is a bag that was interrupted.
pub fn write_bag(
    source: &dyn Source,
    report: &AuditReport,
    contact: Option<&str>,
    dir: &Path,
) -> Result<Summary, HandoverError> {
    let mut case = Case::of(report)?;
    let mut folder = Folder::new(dir)?;
    folder.write("data/audit.txt", report.text().as_bytes())?;
    let json = serde_json::to_vec_pretty(report).map_err(HandoverError::Report)?;
    folder.write("data/audit.json", &json)?;

    let mut records = folder.open("data/records.jsonl")?;
    let mut held: Vec<String> = Vec::new();
    let mut example: Option<Origin> = None;
    write_pages(source, report, &mut case, &mut folder, "data/", |stored, message| {
        records.write(stored.bytes)?;
        records.write(b"\n")?;
        if held.last() != Some(&message.origin.segment) {
            held.push(message.origin.segment.clone());
        }
        example.get_or_insert_with(|| message.origin.clone());
        Ok(())
    })?;
    folder.close(records)?;

    for key in &held {
        folder.write(&segment_path(key), &read(source, key)?)?;
    }
    let some_expired = report.integrity.expired.as_ref().is_some_and(|expired| expired.runs > 0);
    let head = write_runs(source, &case, some_expired, &mut folder)?;
    let place = example.as_ref().map(|origin| segment_path(&origin.segment));
    let page = verify::page(&case, &head, example.as_ref().zip(place.as_deref()), some_expired);
    folder.write("data/HOW-TO-VERIFY.txt", page.as_bytes())?;
    let summary = finished(case.summary, &folder);
    write_tags(&case, &head, contact, &mut folder)?;
    Ok(summary)
}

fn read(source: &dyn Source, key: &str) -> Result<Vec<u8>, HandoverError> {
    let missing = || evidence::ReadError::Damaged { key: key.to_owned() };
    Ok(source.read(key)?.ok_or_else(missing)?)
}

/// A segment lies under its month and number: `data/segments/2026-11-segment-000001.jsonl.zst`.
fn segment_path(key: &str) -> String {
    let mut parts = key.rsplit('/');
    let name = parts.next().unwrap_or_default();
    let month = parts.nth(1).and_then(|part| part.strip_prefix("created_month=")).unwrap_or_default();
    format!("data/segments/{month}-{name}")
}

#[derive(Deserialize)]
struct OfUser {
    user_id: String,
}

/// The ledger, and of each closed run the report and the person's lines. Returns the ledger's head as people note it.
///
/// Where some runs have expired, those of which either is gone are left out: the audit says whether that is damage.
fn write_runs(
    source: &dyn Source,
    case: &Case,
    some_expired: bool,
    folder: &mut Folder,
) -> Result<String, HandoverError> {
    let mut head = "none: no run is closed".to_owned();
    for closing in evidence::ledger(source, &case.tenant_id)? {
        let entry = read(source, &closing.key)?;
        let name = closing.key.rsplit('/').next().unwrap_or_default();
        let hash = folder.write(&format!("data/ledger/{name}"), &entry)?;
        let number = name.trim_start_matches("entry-").trim_end_matches(".json").trim_start_matches('0');
        head = format!("{number}:{hash}");
        let run = format!("runs/{}", closing.run_id);
        let (report, users) = (format!("{run}/report.json"), format!("{run}/users.jsonl.zst"));
        if some_expired && (source.read(&report)?.is_none() || source.read(&users)?.is_none()) {
            continue;
        }
        folder.write(&format!("data/{run}/report.json"), &read(source, &report)?)?;
        let mut lines = Vec::new();
        evidence::lines(source, &users, |_, line| {
            if serde_json::from_slice::<OfUser>(line).is_ok_and(|of| of.user_id == case.user_id) {
                lines.extend_from_slice(line);
                lines.push(b'\n');
            }
        })?;
        folder.write(&format!("data/{run}/users-of-custodian.jsonl"), &lines)?;
    }
    Ok(head)
}

fn write_tags(case: &Case, head: &str, contact: Option<&str>, folder: &mut Folder) -> Result<(), HandoverError> {
    let payload: Vec<String> = folder.files.iter().map(|file| format!("{}  {}\n", file.sha256, file.path)).collect();
    let bytes: u64 = folder.files.iter().map(|file| file.bytes).sum();
    let mut info = vec![
        ("Bag-Software-Agent", case.program.clone()),
        ("Bagging-Date", case.read_at.strftime("%Y-%m-%d").to_string()),
        ("Payload-Oxum", format!("{bytes}.{}", payload.len())),
        ("External-Description", "Microsoft 365 Copilot interactions of one person, with their proof".to_owned()),
        ("Custodian", case.custodian.clone()),
        ("Custodian-Object-Id", case.user_id.clone()),
        ("Tenant-Id", case.tenant_id.clone()),
        ("Range", case.range()),
        ("Audit-Verdict", case.verdict.to_owned()),
        ("Ledger-Head", head.to_owned()),
    ];
    if let Some(contact) = contact {
        info.push(("Contact-Name", contact.to_owned()));
    }
    let info: String = info.iter().map(|(label, value)| format!("{label}: {}\n", line(value))).collect();
    let first_tag = folder.files.len();
    folder.write("bagit.txt", DECLARATION.as_bytes())?;
    folder.write("bag-info.txt", info.as_bytes())?;
    folder.write("manifest-sha256.txt", payload.concat().as_bytes())?;
    let tags = folder.files[first_tag..].iter().map(|file| format!("{}  {}\n", file.sha256, file.path));
    let tags = tags.collect::<String>();
    folder.write("tagmanifest-sha256.txt", tags.as_bytes())?;
    Ok(())
}
