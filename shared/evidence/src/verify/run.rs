//! A run: its roster against its counts, its receipts against the segments, its users file against the receipts.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::users::{Receipts, ReceiptsByUser};
use super::{Check, Fact, FileFact, Found, RunCheck, RunKeys, add_windows, invalid};
use crate::decode::{self, DecodeError, Lines};
use crate::finding::Code;
use crate::form::{Counts, FORMAT, LedgerEntry, Line, Report, RosterLine, Run, Text};
use crate::layout::{self, Key, RunFile};
use crate::parallel::in_order;
use crate::retention;
use crate::source::SourceError;

/// What of a run the checks of it need together.
#[derive(Debug, Default)]
pub(super) struct RunView<'t> {
    pub(super) id: String,
    /// Whether a ledger entry names it, and so the receipts that count. While it is being closed, a receipt may lie there
    /// that came after the users file; nobody can tell yet.
    pub(super) closed: bool,
    /// Whether the run began before what is kept: what is missing of it has expired.
    pub(super) past: bool,
    /// When the run began or, where nothing says it, when it was closed.
    began: Option<Timestamp>,
    /// Whether no receipt that counts has expired.
    pub(super) receipts_whole: bool,
    /// Whether the roster was read whole. One that is missing or damaged is its own finding; what would only repeat it is not
    /// checked.
    pub(super) has_roster: bool,
    /// Every user of the roster, and whether planned.
    pub(super) roster: HashMap<Text<'t>, bool>,
    /// How many of them lost the licence lately.
    pub(super) leavers: u64,
    pub(super) excluded: Counts,
    pub(super) run: Option<Run>,
    /// Attempts of the receipts that count.
    pub(super) attempts: HashSet<String>,
    /// Attempts of the receipts that came too late to count.
    late_attempts: HashSet<String>,
    /// Segments that a line counts.
    counted: HashSet<String>,
    pub(super) files: BTreeMap<String, FileFact>,
}

impl RunView<'_> {
    pub(super) fn planned(&self) -> u64 {
        self.roster.values().filter(|planned| **planned).count() as u64
    }
}

impl Check<'_> {
    pub(super) fn check_runs(&mut self) -> Result<(), SourceError> {
        let mut entries: HashMap<&str, (&str, &LedgerEntry)> = HashMap::new();
        for (key, entry) in &self.ledger {
            entries.entry(&entry.run_id).or_insert((key, entry));
        }
        let mut attempts: HashMap<&str, BTreeSet<&str>> = HashMap::new();
        for fact in self.facts.values() {
            attempts.entry(&fact.run).or_default().insert(&fact.attempt);
        }
        let runs: Vec<(&String, &RunKeys)> = self.inventory.runs.iter().collect();
        let mut all = Found::default();
        all.verdict.numbers.runs = runs.len() as u64;
        all.verdict.numbers.closed_runs = entries.len() as u64;
        let mut gone = RunCheck::of(self);
        for (run, (key, entry)) in &entries {
            if !self.inventory.runs.contains_key(*run) {
                let past = self.expectation.retention.is_some_and(|retention| retention.is_past(None, Some(entry)));
                if past {
                    gone.found.past.runs += 1;
                    gone.found.past.without_receipts.insert((*run).to_owned());
                }
                gone.check_entry(key, entry, &BTreeMap::new(), past);
            }
        }
        all.add(gone.found);
        let nothing = BTreeSet::new();
        let check = |(run, keys): &(&String, &RunKeys)| {
            let mut one = RunCheck::of(self);
            let wrote = attempts.get(run.as_str()).unwrap_or(&nothing);
            one.check_run(run, keys, entries.get(run.as_str()).copied(), wrote)?;
            Ok(one.found)
        };
        in_order(&runs, check, |_, found| all.add(found))?;
        self.found.add(all);
        Ok(())
    }

    /// Whether this is a later run's, and checked with it: a log that expired as a whole begins with segment 1 again. So it
    /// was fetched when what this run had put was gone.
    fn is_taken_again(&self, view: &RunView<'_>, fact: &Fact) -> bool {
        let retention = self.expectation.retention.filter(|_| view.past && fact.run != view.id);
        let gone_at =
            retention.zip(view.began).and_then(|(retention, began)| began.checked_add(retention.length()).ok());
        gone_at.is_some_and(|gone_at| retention::may_be_put_after(gone_at, fact.fetched_at))
    }
}

impl<'c, 's> RunCheck<'c, 's> {
    fn of(check: &'c Check<'s>) -> Self {
        Self { check, found: Found::default() }
    }
}

/// The texts of a run's files of lines: what is read of them refers to them.
#[derive(Debug, Default)]
struct Texts {
    roster: Option<Lines>,
    /// In the order of the keys.
    receipts: Vec<Option<Lines>>,
    users: Option<Lines>,
}

impl RunCheck<'_, '_> {
    fn check_run(
        &mut self,
        id: &str,
        keys: &RunKeys,
        entry: Option<(&str, &LedgerEntry)>,
        wrote: &BTreeSet<&str>,
    ) -> Result<(), SourceError> {
        // The texts come first, since the view refers to them.
        let mut files = BTreeMap::new();
        let texts = self.read_texts(&mut files, id, keys)?;
        let mut view = RunView { id: id.to_owned(), closed: entry.is_some(), files, ..RunView::default() };
        let run = self.read_value::<Run>(&mut view, keys, RunFile::Run)?;
        let report = self.read_value::<Report>(&mut view, keys, RunFile::Report)?;
        let began = retention::began(run.as_ref(), report.as_ref().map(|report| report.started_at));
        let closed_by = entry.map(|(_, entry)| entry);
        let began = began.or_else(|| closed_by.is_none().then(|| retention::scheduled(id)).flatten());
        view.past = self.check.expectation.retention.is_some_and(|retention| retention.is_past(began, closed_by));
        view.began = began.or(closed_by.map(|entry| entry.closed_at));
        self.check_order(&view, keys);
        if let Some(lines) = &texts.roster {
            self.check_roster(&mut view, lines);
        }
        let run_key = RunFile::Run.key(id);
        if let Some(run) = run {
            if run.format != FORMAT || run.run_id != id || run.tenant_id != self.check.inventory.tenant {
                self.found.verdict.add(Code::RunMismatch, &run_key, "names another format, run or tenant");
            }
            self.check_roster_counts(&view, &run, &run_key);
            view.run = Some(run);
        }
        let in_ledger: Option<HashSet<&str>> =
            entry.map(|(_, entry)| entry.files.iter().map(|file| file.key.as_str()).collect());
        let there: HashSet<&str> = keys.receipts.iter().map(String::as_str).collect();
        let named = in_ledger.iter().flatten().filter(|key| matches!(layout::parse(key), Some(Key::Receipt { .. })));
        view.receipts_whole = !view.past || named.into_iter().all(|key| there.contains(key));
        if !view.receipts_whole {
            self.found.past.without_receipts.insert(id.to_owned());
        }
        let mut receipts = ReceiptsByUser::new();
        for (key, lines) in keys.receipts.iter().zip(&texts.receipts) {
            let late = in_ledger.as_ref().is_some_and(|files| !files.contains(key.as_str()));
            self.check_receipt(&mut view, &mut receipts, key, lines.as_ref(), late);
        }
        let lines = texts.users.as_ref().and_then(|lines| self.check_users(&mut view, &receipts, lines));
        if let Some(report) = report
            && let Some(lines) = &lines
            && view.has_roster
        {
            self.check_report(&view, lines, &report, wrote);
        } else {
            // Where nothing says how many lines were new, none of them is missing among those that were.
            self.found.past.gone.segments.values_mut().for_each(|lines| *lines = 0);
        }
        let lost = wrote
            .iter()
            .filter(|attempt| !view.attempts.contains(**attempt) && !view.late_attempts.contains(**attempt));
        let lost = lost.count() as u64;
        match entry {
            Some((key, entry)) => {
                self.check_entry(key, entry, &view.files, view.past);
                // An attempt whose receipt has expired is not lost.
                if lost > 0 && view.receipts_whole {
                    self.found.verdict.numbers.attempts_lost += lost;
                    let sentence = format!("{lost} attempts wrote segments and left no receipt");
                    self.found.verdict.add(Code::AttemptsLost, &format!("runs/{id}/"), sentence);
                }
            }
            None => self.found.verdict.add(
                Code::RunOpen,
                &format!("runs/{id}/"),
                "is not closed: no ledger entry names it yet",
            ),
        }
        self.found.past.runs += u64::from(!self.found.past.is_whole());
        Ok(())
    }

    /// A run's files are put in one order, so what lies there implies what was put before it.
    fn check_order(&mut self, view: &RunView<'_>, keys: &RunKeys) {
        let last = if view.closed { Some(RunFile::Report) } else { keys.files.iter().next_back().copied() };
        let last = last.max((!keys.receipts.is_empty()).then_some(RunFile::Run));
        for file in RunFile::ALL {
            if Some(file) <= last && !keys.files.contains(&file) {
                if view.past {
                    // Those that a ledger entry names are counted where it is held against them.
                    self.found.past.run_files += u64::from(!view.closed);
                    continue;
                }
                self.found.verdict.add(
                    Code::RunFileMissing,
                    &file.key(&view.id),
                    "is not there, though files put after it are",
                );
            }
        }
    }

    /// Reads a file of the run and keeps what the ledger says of files; its lines are counted when all of them were read.
    fn read_file<T>(
        &mut self,
        files: &mut BTreeMap<String, FileFact>,
        key: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, SourceError> {
        let Some(bytes) = self.check.source.read(key)? else { return Ok(None) };
        let fact = FileFact { sha256: decode::sha256(&bytes), bytes: bytes.len() as u64, lines: None };
        files.insert(key.to_owned(), fact);
        let parsed = parse(&bytes).map_err(|error| self.found.verdict.add(Code::RunFileInvalid, key, invalid(error)));
        Ok(parsed.ok())
    }

    fn read_value<T: DeserializeOwned>(
        &mut self,
        view: &mut RunView<'_>,
        keys: &RunKeys,
        file: RunFile,
    ) -> Result<Option<T>, SourceError> {
        if !keys.files.contains(&file) {
            return Ok(None);
        }
        self.read_file(&mut view.files, &file.key(&view.id), |bytes| decode::value(bytes))
    }

    fn read_texts(
        &mut self,
        files: &mut BTreeMap<String, FileFact>,
        id: &str,
        keys: &RunKeys,
    ) -> Result<Texts, SourceError> {
        let mut texts = Texts::default();
        if keys.files.contains(&RunFile::Roster) {
            texts.roster = self.read_file(files, &RunFile::Roster.key(id), Lines::decode)?;
        }
        for key in &keys.receipts {
            texts.receipts.push(self.read_file(files, key, Lines::decode)?);
        }
        if keys.files.contains(&RunFile::Users) {
            texts.users = self.read_file(files, &RunFile::Users.key(id), Lines::decode)?;
        }
        Ok(texts)
    }

    /// Ends the reading of a file's lines: only a file that was read whole has a count of them.
    pub(super) fn end_of_lines(
        &mut self,
        view: &mut RunView<'_>,
        key: &str,
        lines: &Lines,
        read: Result<(), DecodeError>,
    ) -> bool {
        match read {
            Ok(()) => _ = view.files.get_mut(key).map(|fact| fact.lines = Some(lines.len())),
            Err(error) => self.found.verdict.add(Code::RunFileInvalid, key, invalid(error)),
        }
        read.is_ok()
    }

    fn check_roster<'t>(&mut self, view: &mut RunView<'t>, lines: &'t Lines) {
        let key = RunFile::Roster.key(&view.id);
        view.roster.reserve(usize::try_from(lines.len()).unwrap_or_default());
        let read = lines.values().zip(1_u64..).try_for_each(|(value, number)| {
            let (_, line): (_, RosterLine<'_>) = value?;
            let valid = layout::is_guid(&line.user_id)
                && matches!(&*line.why, "licensed" | "asked" | "leaver")
                && line.planned == line.excluded.is_none();
            view.leavers += u64::from(&*line.why == "leaver");
            if let Some(reason) = line.excluded {
                *view.excluded.entry(reason.to_string()).or_insert(0) += 1;
            }
            if view.roster.insert(line.user_id, line.planned).is_some() || !valid {
                let sentence =
                    format!("line {number} repeats a user, or is neither planned nor excluded with a reason");
                self.found.verdict.add(Code::RosterLine, &key, sentence);
            }
            Ok(())
        });
        view.has_roster = self.end_of_lines(view, &key, lines, read);
    }

    fn check_roster_counts(&mut self, view: &RunView<'_>, run: &Run, key: &str) {
        let lines = view.files.get(&RunFile::Roster.key(&view.id)).and_then(|fact| fact.lines);
        let Some(lines) = lines else { return };
        let excluded = crate::unite::without_zeros(&run.excluded);
        let adds_up = run.enumerated == crate::unite::total(&excluded).saturating_add(run.planned);
        if run.enumerated != lines || run.planned != view.planned() || excluded != view.excluded || !adds_up {
            let sentence = format!(
                "says {} enumerated and {} planned; the roster has {lines} users, {} planned",
                run.enumerated,
                run.planned,
                view.planned()
            );
            self.found.verdict.add(Code::RosterCounts, key, sentence);
        }
    }

    fn check_receipt<'t>(
        &mut self,
        view: &mut RunView<'t>,
        receipts: &mut ReceiptsByUser<'t>,
        key: &str,
        lines: Option<&'t Lines>,
        late: bool,
    ) {
        let Some(Key::Receipt { attempt, .. }) = layout::parse(key) else { return };
        if late {
            self.found.verdict.numbers.late_receipts += 1;
            self.found.verdict.add(
                Code::LateReceipt,
                key,
                "arrived after the run was closed and is in none of its numbers",
            );
            view.late_attempts.insert(attempt.to_owned());
        } else {
            view.attempts.insert(attempt.to_owned());
        }
        let Some(lines) = lines else { return };
        let read = lines.values().zip(1_u64..).try_for_each(|(value, number)| {
            let (text, line): (_, Line<'_>) = value?;
            self.check_line(view, key, attempt, number, &line);
            if self.check.expectation.wants(&line.user_id) {
                add_windows(self.found.read.entry(line.user_id.to_string()).or_default(), &line.windows);
            }
            if !late {
                let of_user = receipts.entry(line.user_id.clone());
                // Nearly every user has one line: room for more would be most of the memory of a run.
                let of_user = of_user.or_insert_with(|| Receipts { lines: Vec::with_capacity(1), first: text });
                of_user.lines.push(line);
            }
            Ok(())
        });
        self.end_of_lines(view, key, lines, read);
    }

    fn check_line(&mut self, view: &mut RunView<'_>, key: &str, attempt: &str, number: u64, line: &Line<'_>) {
        let mut add = |code, what: &str| self.found.verdict.add(code, key, format!("line {number} {what}"));
        if *line.run_id != view.id || line.attempt_id.as_deref() != Some(attempt) {
            add(Code::ReceiptOwner, "names another run or attempt than the key");
        }
        if view.has_roster && view.roster.get(&line.user_id) != Some(&true) {
            add(Code::ReceiptUser, "is of a user who was not planned");
        }
        if line.rank().is_err() {
            add(Code::ReceiptClass, "has no class and reason of the format");
        }
        if line.new.checked_add(line.already_held) != Some(line.received) {
            add(Code::ReceiptSum, "does not add up: received is not new + already_held");
        }
        let end = view.run.as_ref().and_then(|run| run.to);
        let within = |to| end.is_none_or(|end| to <= end);
        if line.windows.iter().any(|window| window.from >= window.to || !within(window.to)) {
            add(Code::ReceiptWindow, "has a window that is empty, inverted or ends after the run's");
        }
        let wanted = self.check.expectation.wants(&line.user_id);
        let mut counted = 0_u64;
        for segment in &line.segments {
            if !segment.adopted {
                counted = counted.saturating_add(segment.lines);
                if !view.counted.insert(segment.key.to_string()) {
                    add(Code::SegmentCountedTwice, "counts a segment that another line counts");
                }
            }
            if !self.check.inventory.has_segment(&segment.key) {
                if self.check.is_erased(&line.user_id, &segment.key) {
                    self.found.gone.segments.insert(segment.key.to_string(), segment.lines);
                    continue;
                }
                if view.past {
                    self.found.past.lose(&segment.key, segment.lines, wanted);
                    continue;
                }
                add(Code::ReceiptSegmentMissing, "names a segment that is not there");
                continue;
            }
            let fact = self.check.facts.get(&*segment.key);
            if fact.is_some_and(|fact| fact.sha256 != *segment.sha256 && self.check.is_taken_again(view, fact)) {
                self.found.past.lose(&segment.key, segment.lines, wanted);
                continue;
            }
            let of_user =
                matches!(layout::parse(&segment.key), Some(Key::Segment { user, .. }) if user == &*line.user_id);
            let Some(fact) = fact else {
                if !of_user {
                    add(Code::ReceiptSegmentOwner, "names a segment of another user");
                }
                continue;
            };
            let of_run = fact.run == view.id && (segment.adopted || fact.attempt == attempt);
            if !of_run && self.check.is_erased(&line.user_id, &segment.key) {
                // The one named was erased, and a worker that knew nothing of it put its own at the number that was free.
                self.found.gone.segments.insert(segment.key.to_string(), segment.lines);
                continue;
            }
            self.found.named.insert(segment.key.to_string());
            if fact.sha256 != *segment.sha256 {
                add(Code::ReceiptSegmentHash, "names a segment whose bytes are others");
            }
            if fact.lines.is_some_and(|lines| lines != segment.lines) {
                add(Code::ReceiptSegmentLines, "names a segment that has another number of lines");
            }
            // A damaged segment says nothing of its run and attempt; that it is damaged is its own finding.
            if !of_user || (fact.lines.is_some_and(|lines| lines > 0) && !of_run) {
                add(Code::ReceiptSegmentOwner, "names a segment of another user, run or attempt");
            }
        }
        if counted != line.new {
            add(Code::ReceiptNew, &format!("says {} new, and the segments it counts have {counted} lines", line.new));
        }
        for page in &line.quarantine {
            match self.check.pages.get(&*page.key) {
                Some(sha256) if *sha256 == *page.sha256 => {}
                Some(_) => add(Code::QuarantineHash, "names a quarantined page whose bytes are others"),
                None if self.check.is_erased(&line.user_id, &page.key) => {
                    self.found.gone.pages.insert(page.key.to_string());
                }
                None if view.past => _ = self.found.past.gone.pages.insert(page.key.to_string()),
                None => add(Code::QuarantineMissing, "names a quarantined page that is not there"),
            }
        }
    }
}
