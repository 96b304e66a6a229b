//! The logs: numbers, lines, owners, months, and no item twice.

use std::collections::HashSet;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{Check, Fact, Months, first_gap};
use crate::decode::{self, MAX_DECODED_BYTES};
use crate::finding::{Code, Verdict};
use crate::layout;
use crate::parallel::in_order;
use crate::record::{self, Record};
use crate::retention::Retention;
use crate::source::{Source, SourceError};

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
    /// Reads every log, a few users at a time, of each user one segment at a time.
    pub(super) fn read_logs(&mut self) -> Result<(), SourceError> {
        let inventory = &self.inventory;
        let started: HashSet<&str> = inventory.runs.keys().map(String::as_str).collect();
        let (wanted, others): (Vec<(&String, &Months)>, Vec<_>) =
            inventory.segments.iter().partition(|(user, _)| self.expectation.wants(user));
        let (verdict, facts) = (&mut self.found.verdict, &mut self.facts);
        verdict.numbers.users = inventory.segments.len() as u64;
        let (source, expectation, tombstones) = (self.source, self.expectation, &self.tombstones);
        let retention = expectation.retention;
        let read = |(user, months): &(&String, &Months)| {
            let (wanted, erased) = (expectation.wants(user), tombstones.contains_key(*user));
            let log = Log { source, tenant: &inventory.tenant, user, wanted, erased, retention };
            log.read(months, &started)
        };
        for user in &others {
            verdict.absorb(read(user)?.0);
        }
        in_order(&wanted, read, |_, (of_user, facts_of_user)| {
            verdict.absorb(of_user);
            facts.extend(facts_of_user);
        })
    }
}

/// The logs of a user.
struct Log<'a> {
    source: &'a dyn Source,
    tenant: &'a str,
    user: &'a str,
    wanted: bool,
    /// What is missing of an erased user is no gap: a lock may have kept the rest.
    erased: bool,
    /// Without one nothing may be missing.
    retention: Option<Retention>,
}

impl Log<'_> {
    /// Whether nothing of this month's log can have expired: an item is archived after it was made, and the month began
    /// within what is kept. An item of a month to come has no true time.
    fn keeps_whole(&self, month: &str) -> bool {
        let Some(retention) = self.retention else { return true };
        let begin = format!("{month}-01T00:00:00Z").parse::<Timestamp>();
        begin.is_ok_and(|begin| (retention.kept_since()..=retention.read_at).contains(&begin))
    }

    fn read(&self, months: &Months, started: &HashSet<&str>) -> Result<(Verdict, Vec<(String, Fact)>), SourceError> {
        let mut verdict = Verdict::default();
        let mut facts = Vec::new();
        let mut held: HashSet<ItemHash> = HashSet::new();
        for (month, log) in months {
            let mut gap = if self.keeps_whole(month) { first_gap(log.keys()) } else { None };
            let mut before: Option<(u64, Timestamp)> = None;
            for (number, key) in log.iter().filter(|_| self.wanted) {
                // An object that vanishes between the listing and the reading is as missing as one never listed.
                let Some(bytes) = self.source.read(key)? else {
                    if self.erased {
                        continue;
                    }
                    verdict.add(Code::SegmentGap, key, "was listed and is not there any more");
                    continue;
                };
                let place = Place { key, tenant: self.tenant, user: self.user, month };
                let fact = self.read_segment(&mut verdict, &place, &bytes, started, &mut held);
                // What expires was put before what stays: behind a segment that is kept none is missing.
                if let Some((last, fetched_at)) = before
                    && last + 1 < *number
                    && self.retention.is_some_and(|retention| fetched_at >= retention.kept_since())
                {
                    gap.get_or_insert(last + 1);
                }
                before = Some((*number, fact.fetched_at));
                facts.push((key.clone(), fact));
            }
            if !self.wanted {
                verdict.numbers.segments_unread += log.len() as u64;
            }
            if !self.erased
                && let Some(number) = gap
                && let Some(key) = log.values().next_back()
            {
                let sentence = format!("the log has no segment {number}, and later ones");
                verdict.add(Code::SegmentGap, key, sentence);
            }
        }
        Ok((verdict, facts))
    }

    fn read_segment(
        &self,
        verdict: &mut Verdict,
        place: &Place<'_>,
        bytes: &[u8],
        started: &HashSet<&str>,
        held: &mut HashSet<ItemHash>,
    ) -> Fact {
        let key = place.key;
        verdict.numbers.segments += 1;
        let mut put_by: Option<(String, String)> = None;
        let (mut mixed, mut fetched_at) = (false, Timestamp::MIN);
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
            fetched_at = fetched_at.max(record.fetched_at);
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
        let expired = self.retention.is_some_and(|retention| fetched_at < retention.kept_since());
        let known = (started.contains(run.as_str()) || expired) && layout::is_hex(&attempt, 32);
        if matches!(lines, Ok(1..)) && !known {
            verdict.add(Code::LineRun, key, "names a run that the archive does not know, or an attempt that is none");
        }
        Fact { sha256: decode::sha256(bytes), lines: lines.ok(), run, attempt, fetched_at }
    }
}
