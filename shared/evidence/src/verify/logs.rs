//! The logs: numbers, lines, owners, months, and no item twice.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::{Check, Fact, first_gap};
use crate::decode::{self, MAX_DECODED_BYTES};
use crate::finding::{Code, Verdict};
use crate::layout;
use crate::record::{self, Record};
use crate::source::SourceError;

/// The hash of an item, cut to the 128 bits that the format asks of whoever compares items.
type ItemHash = [u8; 16];

fn item_hash(item: &str) -> ItemHash {
    let mut hash = [0; 16];
    hash.copy_from_slice(&Sha256::digest(item)[..16]);
    hash
}

/// A segment's place.
struct Place<'a> {
    key: &'a str,
    tenant: &'a str,
    user: &'a str,
    month: &'a str,
}

impl Check<'_> {
    /// Reads every log, one user at a time, one segment at a time.
    pub(super) fn read_logs(&mut self) -> Result<(), SourceError> {
        let inventory = &self.inventory;
        let started: HashSet<&str> = inventory.runs.keys().map(String::as_str).collect();
        self.verdict.numbers.users = inventory.segments.len() as u64;
        for (user, months) in &inventory.segments {
            let wanted = self.expectation.users.as_ref().is_none_or(|users| users.contains(user));
            let mut held: HashSet<ItemHash> = HashSet::new();
            for (month, log) in months {
                if let Some(number) = first_gap(log.keys())
                    && let Some(key) = log.values().next_back()
                {
                    let sentence = format!("the log has no segment {number}, and later ones");
                    self.verdict.add(Code::SegmentGap, key, sentence);
                }
                for key in log.values() {
                    if !wanted {
                        self.verdict.numbers.segments_unread += 1;
                        continue;
                    }
                    // An object that vanishes between the listing and the reading is as missing as one never listed.
                    let Some(bytes) = self.source.read(key)? else {
                        self.verdict.add(Code::SegmentGap, key, "was listed and is not there any more");
                        continue;
                    };
                    let place = Place { key, tenant: &inventory.tenant, user, month };
                    let fact = read_segment(&mut self.verdict, &place, &bytes, &started, &mut held);
                    self.facts.insert(key.clone(), fact);
                }
            }
        }
        Ok(())
    }
}

fn read_segment(
    verdict: &mut Verdict,
    place: &Place<'_>,
    bytes: &[u8],
    started: &HashSet<&str>,
    held: &mut HashSet<ItemHash>,
) -> Fact {
    let key = place.key;
    verdict.numbers.segments += 1;
    let mut put_by: Option<(String, String)> = None;
    let mut mixed = false;
    let lines = decode::for_each_line(bytes, MAX_DECODED_BYTES, |number, line| {
        verdict.numbers.lines += 1;
        let Some(record) = Record::parse(line) else {
            verdict.add(Code::LineInvalid, key, format!("line {number} is no record"));
            return;
        };
        if record.tenant_id() != place.tenant || record.user_id() != place.user {
            verdict.add(Code::LineOwner, key, format!("line {number} names another tenant or user than the key"));
        }
        match &put_by {
            None => put_by = Some((record.run_id().to_owned(), record.attempt_id().to_owned())),
            Some((run, attempt)) => mixed |= run != record.run_id() || attempt != record.attempt_id(),
        }
        let month = record::month(record.text());
        if month != place.month {
            verdict.add(Code::LineMonth, key, format!("line {number} holds an item of {month}"));
        }
        if !held.insert(item_hash(record.text())) {
            verdict.add(
                Code::LineDuplicate,
                key,
                format!("line {number} holds an item that the user's archive holds already"),
            );
        }
    });
    if mixed {
        verdict.add(Code::SegmentMixed, key, "has lines of more than one run or attempt");
    }
    match lines {
        Ok(0) => verdict.add(Code::SegmentEmpty, key, "has no line"),
        Ok(_) => {}
        Err(error) => verdict.add(Code::SegmentUndecodable, key, error.to_string()),
    }
    let (run, attempt) = put_by.unwrap_or_default();
    let known = started.contains(run.as_str()) && layout::is_hex(&attempt, 32);
    if matches!(lines, Ok(1..)) && !known {
        verdict.add(Code::LineRun, key, "names a run that the archive does not know, or an attempt that is none");
    }
    Fact { sha256: decode::sha256(bytes), lines: lines.ok(), run, attempt }
}
