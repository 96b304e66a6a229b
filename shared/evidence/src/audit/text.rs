//! The audit as a page of text.

use std::fmt::{self, Write};

use super::{Answer, AuditReport, Items, UserAudit};
use crate::coverage::{Gap, Interval, Proof, Shown, Window};
use crate::people::{Names, Person};
use crate::verify::{Erased, Expired, Hold, Kept, Versions};

/// How many findings the page lists; the JSON form has the others.
const MAX_FINDINGS: usize = 20;

/// How many proofs or runs are named in one place before the rest is only counted.
const MAX_NAMED: usize = 5;

impl AuditReport {
    /// The page.
    pub fn text(&self) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut page);
        page
    }

    fn write(&self, page: &mut String) -> fmt::Result {
        for user in &self.users {
            self.write_user(page, user)?;
        }
        if self.all || self.users.is_empty() {
            entry(page, "asked", &self.asked_text(self.asked))?;
        }
        if self.all {
            self.write_summary(page)?;
            if let Some(expired) = self.expired {
                entry(page, "expired", &format!("{}    {}", range(expired), self.expired_text()))?;
            }
        }
        self.write_integrity(page)?;
        let mut label = "not proven";
        for (number, limit) in (1..).zip(&self.limits) {
            entry(page, label, &format!("{number} {limit}"))?;
            label = "";
        }
        let verdict = match self.answer {
            Answer::NoOpenGap => "NO OPEN GAP",
            Answer::OpenGap => "OPEN GAP",
            Answer::IntegrityFailure => "INTEGRITY FAILURE: the archive is not as it was written; no other line counts",
        };
        entry(page, "verdict", &format!("{verdict}    exit {}", self.answer.exit_code()))
    }

    fn asked_text(&self, asked: Window) -> String {
        format!(
            "{}    archive {} of tenant {}, read {} by {}",
            range(asked),
            self.location,
            self.tenant_id,
            self.read_at,
            self.program
        )
    }

    fn write_user(&self, page: &mut String, user: &UserAudit) -> fmt::Result {
        let (person, coverage) = (&user.person, &user.coverage);
        write_person(page, person)?;
        let expired = self.expired.map(|window| (window, self.expired_text()));
        let from = expired.as_ref().map_or(coverage.asked.from, |(window, _)| window.from);
        entry(page, "asked", &self.asked_text(Window { from, ..coverage.asked }))?;
        let mut licence = format!("licensed in {} of {} daily rosters", person.rosters_licensed(), self.daily_rosters);
        for span in &person.licensed {
            write!(licence, "; {} … {}", day(span.first), day(span.last))?;
        }
        entry(page, "licence", &licence)?;
        if let Some(erased) = self.integrity.erased.iter().find(|erased| erased.user_id == person.user_id) {
            entry(page, "erased", &erased_text(erased))?;
        }
        if let Some(hold) = self.integrity.holds.iter().find(|hold| hold.user_id == person.user_id) {
            entry(page, "hold", &hold_text(hold))?;
        }
        let mut label = "coverage";
        let mut parts: Vec<(Window, String)> = expired.into_iter().collect();
        parts.extend(coverage.intervals.iter().map(|interval| (interval.window, interval_text(interval))));
        parts.extend((1..).zip(&coverage.gaps).map(|(number, gap)| (gap.window, gap_text(number, gap))));
        parts.sort_by_key(|(window, _)| *window);
        for (window, text) in parts {
            entry(page, label, &format!("{}    {text}", range(window)))?;
            label = "";
        }
        if self.explain {
            let mut label = "explained";
            for proof in coverage.intervals.iter().flat_map(|interval| &interval.proofs) {
                let Proof { window, run, key, line, receipts } = proof;
                let receipts: String =
                    receipts.iter().map(|at| format!(", {} line {}", clean(&at.key), at.line)).collect();
                entry(page, label, &format!("{}    run {run}, {key} line {line}{receipts}", range(*window)))?;
                label = "";
            }
        }
        let (open, gaps) = (coverage.open().count(), coverage.gaps.len());
        entry(page, "gaps", &format!("{open} open, {} read by a later run", gaps - open))?;
        write_rereads(page, user)?;
        let items = &user.items;
        let others = items.texts.saturating_sub(items.prompts + items.answers);
        let contents = format!(
            "{} texts = {} prompts + {} answers + {others} others; {} items in several texts, {} texts without a time, {} outside the range",
            items.texts, items.prompts, items.answers, items.in_several_texts, items.undated, items.outside
        );
        entry(page, "contents", &contents)?;
        page.push('\n');
        Ok(())
    }

    fn write_summary(&self, page: &mut String) -> fmt::Result {
        let summary = &self.summary;
        let whole = summary.users - summary.with_open_gap - summary.with_healed_gap;
        let users = format!(
            "{} users = {whole} without a gap + {} with gaps read later + {} with an open gap; {} in no run at the end, asked up to their last",
            summary.users, summary.with_healed_gap, summary.with_open_gap, summary.left
        );
        entry(page, "users", &users)?;
        if summary.unavailable == 0 {
            return Ok(());
        }
        let unavailable = format!(
            "of the {} with an open gap {} are unavailable: Graph said so, in every run that should have read them",
            summary.with_open_gap, summary.unavailable
        );
        entry(page, "", &unavailable)
    }

    fn expired_text(&self) -> String {
        let days = self.integrity.expired.as_ref().map_or(0, |expired| expired.days);
        format!("expired by policy: nothing need be kept longer than {days} days, and none of it is a gap")
    }

    fn locks_text(&self, kept: &Kept) -> String {
        let Some(locks) = &kept.locks else { return "may not be seen".to_owned() };
        let retained: u64 = locks.retained.values().sum();
        let mut text = format!("{retained} of the {} objects read are under a retention", locks.objects);
        for (mode, count) in &locks.retained {
            let _ = write!(text, ", {count} {}", clean(mode));
        }
        if let Some(until) = locks.earliest {
            let past = if until <= self.read_at { ", which is over" } else { "" };
            let _ = write!(text, ", the earliest until {until}{past}");
        }
        let _ = write!(text, "; {} under a legal hold; {} under neither", locks.legal_holds, locks.without);
        if locks.held_without > 0 {
            let _ = write!(text, "; {} of held users are under no legal hold: give the hold again", locks.held_without);
        }
        text
    }

    fn write_integrity(&self, page: &mut String) -> fmt::Result {
        let numbers = &self.integrity.numbers;
        let head = match &numbers.ledger_head {
            Some((number, hash)) => format!("head {number}:{hash}"),
            None => "no head: no run is closed".to_owned(),
        };
        entry(page, "integrity", &format!("{} ledger entries linked, {head}", numbers.ledger_entries))?;
        let hashed = format!(
            "{} run files and {} segments hashed again, {} segments of others not read",
            numbers.run_files, numbers.segments, numbers.segments_unread
        );
        entry(page, "", &hashed)?;
        let mut lines = format!("{} lines", numbers.lines);
        if self.lines_erased() > 0 {
            let _ = write!(lines, " + {} erased", self.lines_erased());
        }
        let expired = self.integrity.expired.as_ref().filter(|expired| expired.runs > 0);
        let lines_expired = expired.map_or(0, |expired| expired.lines);
        if lines_expired > 0 {
            let _ = write!(lines, " + {lines_expired} expired");
        }
        let rest =
            (numbers.lines + self.lines_erased()).saturating_add(lines_expired).saturating_sub(numbers.receipt_new);
        let _ = write!(
            lines,
            " = {} new by receipts + {rest} of attempts that left none or of runs not closed{}",
            numbers.receipt_new,
            if expired.is_some() { ", or expired" } else { "" }
        );
        entry(page, "", &lines)?;
        let notes = format!(
            "{} orphan segments, {} late receipts, {} attempts lost, {} pages in quarantine",
            numbers.orphans, numbers.late_receipts, numbers.attempts_lost, numbers.quarantined_pages
        );
        entry(page, "", &notes)?;
        if let Some(kept) = &self.integrity.kept {
            entry(page, "", &format!("versions: {}", versions_text(kept)))?;
            entry(page, "", &format!("locks: {}", self.locks_text(kept)))?;
        }
        self.write_erased(page)?;
        self.write_holds(page)?;
        if let Some(Expired { runs, run_files, segments, pages, days, before, .. }) = expired {
            let text = format!(
                "expired by policy: {run_files} files of {runs} runs that began before {before}, {segments} segments and \
                 {pages} pages that these name; what is archived is kept for {days} days"
            );
            entry(page, "", &text)?;
        }
        let broken: Vec<_> = self.integrity.integrity().collect();
        entry(page, "", &format!("{} promises found broken", broken.len()))?;
        for finding in broken.iter().take(MAX_FINDINGS) {
            entry(page, "", &format!("! {}", clean(&finding.to_string())))?;
        }
        if broken.len() > MAX_FINDINGS {
            entry(page, "", &format!("! and {} more, see the JSON form", broken.len() - MAX_FINDINGS))?;
        }
        Ok(())
    }

    /// Whoever reads an audit has to see every tombstone: it excuses what is missing.
    fn write_erased(&self, page: &mut String) -> fmt::Result {
        let erased = &self.integrity.erased;
        if erased.is_empty() {
            return Ok(());
        }
        entry(
            page,
            "",
            &format!("{} users erased, each with a tombstone: what is missing of them is no fault", erased.len()),
        )?;
        for one in erased.iter().take(MAX_FINDINGS) {
            entry(page, "", &format!("- {}, {}", one.user_id, erased_text(one)))?;
        }
        if erased.len() > MAX_FINDINGS {
            entry(page, "", &format!("- and {} more, see the JSON form", erased.len() - MAX_FINDINGS))?;
        }
        Ok(())
    }

    /// Who is held now. Whose hold was released stands in the JSON form.
    fn write_holds(&self, page: &mut String) -> fmt::Result {
        let held: Vec<_> = self.integrity.holds.iter().filter(|hold| hold.held).collect();
        if held.is_empty() {
            return Ok(());
        }
        let effect = "a bucket with Object Lock puts what is archived of them under a legal hold, a folder does not";
        entry(page, "", &format!("{} users held by entry; {effect}", held.len()))?;
        for one in held.iter().take(MAX_FINDINGS) {
            entry(page, "", &format!("- {}, {}", one.user_id, hold_text(one)))?;
        }
        if held.len() > MAX_FINDINGS {
            entry(page, "", &format!("- and {} more, see the JSON form", held.len() - MAX_FINDINGS))?;
        }
        Ok(())
    }

    /// Lines of the erased segments of those whose lines were counted.
    fn lines_erased(&self) -> u64 {
        let read = |erased: &&Erased| self.all || self.users.iter().any(|user| user.person.user_id == erased.user_id);
        self.integrity.erased.iter().filter(read).map(|erased| erased.lines).sum()
    }
}

fn hold_text(hold: &Hold) -> String {
    let mut text = if hold.held { "held since " } else { "not held any more since " }.to_owned();
    match hold.since {
        Some(since) => text.push_str(&since.to_string()),
        None => text.push_str("a time that its entry does not tell"),
    }
    if let Some(reason) = &hold.reason {
        let _ = write!(text, "; reason given: {}", clean(reason));
    }
    text
}

fn erased_text(erased: &Erased) -> String {
    let Erased { erased_at, reason, segments, lines, pages, left, .. } = erased;
    let mut text = format!(
        "on {erased_at}: {segments} segments with {lines} lines and {pages} pages that receipts name are gone, {left} are left"
    );
    if let Some(reason) = reason {
        let _ = write!(text, "; reason given: {}", clean(reason));
    }
    text
}

fn write_rereads(page: &mut String, user: &UserAudit) -> fmt::Result {
    let Shown { received, new, already_held, lateness } = &user.shown;
    let least = user.coverage.intervals.iter().map(|interval| interval.least_reads).min().unwrap_or(0);
    let text = format!(
        "what was read, at least {least} times each instant; all runs were shown {received} texts = {new} new + \
         {already_held} held already"
    );
    entry(page, "re-reads", &text)?;
    if !lateness.is_empty() {
        let mut hours: Vec<(u64, &String, u64)> =
            lateness.iter().map(|(name, count)| (bound(name), name, *count)).collect();
        hours.sort_unstable();
        let hours: Vec<String> = hours.iter().map(|(_, name, count)| format!("{} {count}", clean(name))).collect();
        entry(page, "lateness", &format!("new texts by hours from creation to reading: {}", hours.join(", ")))?;
    }
    let Items { late, latest_hours, .. } = user.items;
    let latest =
        latest_hours.map_or_else(String::new, |hours| format!(", the latest {hours} hours after its creation"));
    entry(page, "late", &format!("{late} items found only when their time was read again{latest}"))
}

/// `<=24` is before `<=168`, and `>168` after all.
fn bound(name: &str) -> u64 {
    let bound = name.strip_prefix("<=").and_then(|hours| hours.parse().ok());
    bound.unwrap_or(u64::MAX)
}

fn versions_text(kept: &Kept) -> String {
    let state = match kept.versioning {
        Some("never") => {
            return "the bucket is not versioned: what was replaced or deleted left no trace in it".to_owned();
        }
        Some("suspended") => "versioning is suspended: what is replaced or deleted now leaves no trace",
        Some(_) => "versioning is enabled",
        None => "whether the bucket keeps versions may not be seen",
    };
    match &kept.versions {
        None => format!("{state}; the versions may not be seen"),
        Some(Versions { keys, with_more, deleted }) => format!(
            "{state}; of {keys} objects outside state/ {with_more} have a second version, {deleted} a delete marker"
        ),
    }
}

fn write_person(page: &mut String, person: &Person) -> fmt::Result {
    let named = |names: &Names| match (&names.display_name, &names.upn) {
        (Some(name), Some(upn)) => format!("{} <{}>", clean(name), clean(upn)),
        (Some(name), None) | (None, Some(name)) => clean(name),
        (None, None) => "without a name".to_owned(),
    };
    let current = person.current().map(named).unwrap_or_default();
    entry(page, "custodian", &format!("{current}, {}", person.user_id))?;
    for former in person.names.iter().rev().skip(1) {
        entry(page, "", &format!("formerly {}, until {}", named(former), day(former.until)))?;
    }
    Ok(())
}

fn interval_text(interval: &Interval) -> String {
    format!(
        "{} windows read to the last page, by {} runs; each instant at least {} times",
        interval.proofs.len(),
        interval.runs().len(),
        interval.least_reads
    )
}

fn gap_text(number: u64, gap: &Gap) -> String {
    let mut text = format!("GAP {number}   ");
    let reasons = gap.reasons.iter().map(|(reason, runs)| match runs.len() {
        0 => clean(&reason.to_string()),
        count => format!("{} in {count} runs ({})", clean(&reason.to_string()), some(runs.iter().map(String::as_str))),
    });
    text.push_str(&reasons.collect::<Vec<_>>().join("; "));
    if !gap.request_ids.is_empty() {
        let _ = write!(text, "; request ids {}", some(gap.request_ids.iter().map(String::as_str)));
    }
    match &gap.healed_by {
        Some(run) => {
            let _ = write!(text, "; read later by run {run}");
        }
        None => text.push_str("; OPEN"),
    }
    text
}

/// The first few, and how many more.
fn some<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let rest = names.len().saturating_sub(MAX_NAMED);
    let mut text = names.take(MAX_NAMED).map(clean).collect::<Vec<_>>().join(", ");
    if rest > 0 {
        let _ = write!(text, " and {rest} more");
    }
    text
}

/// Names and keys come from outside: nothing in them may move the cursor or start a line of its own.
fn clean(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

fn range(window: Window) -> String {
    format!("{} … {}", window.from, window.to)
}

fn day(time: jiff::Timestamp) -> String {
    time.to_string().chars().take(10).collect()
}

fn entry(page: &mut String, label: &str, text: &str) -> fmt::Result {
    writeln!(page, "{label:<11} {text}")
}
