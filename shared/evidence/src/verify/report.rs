//! The report of a run: every number computed again from the roster and the users file.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::RunCheck;
use super::run::RunView;
use crate::finding::Code;
use crate::form::{Counts, Line, Report, ReportInteractions, ReportRequests, ReportUsers};
use crate::layout::RunFile;
use crate::unite::{add_counts, total, without_zeros};

/// A run's numbers, as its files give them.
#[derive(Debug, Default)]
struct Computed {
    users: ReportUsers,
    interactions: ReportInteractions,
    requests: ReportRequests,
    quarantined_pages: u64,
    lateness: Counts,
    /// Whether every line's received is new plus already held, and the distinct segments' lines new plus recovered.
    equations: bool,
}

fn compute(view: &RunView<'_>, lines: &[Cow<'_, Line<'_>>]) -> Computed {
    let mut computed = Computed {
        users: ReportUsers {
            enumerated: view.roster.len() as u64,
            leavers: view.leavers,
            excluded: view.excluded.clone(),
            planned: view.planned(),
            ..ReportUsers::default()
        },
        equations: true,
        ..Computed::default()
    };
    let (users, interactions, requests) = (&mut computed.users, &mut computed.interactions, &mut computed.requests);
    let mut segments: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
    let mut pages = BTreeSet::new();
    for line in lines {
        match line.rank() {
            Ok(Some(0)) => users.exported += 1,
            Ok(Some(1)) => users.empty += 1,
            Ok(Some(2)) => {
                *users.unavailable.entry(line.reason.as_deref().unwrap_or_default().to_owned()).or_insert(0) += 1
            }
            Ok(Some(3)) => users.deferred += 1,
            Ok(Some(_)) => users.failed += 1,
            Ok(None) | Err(()) => users.missing += 1,
        }
        computed.equations &= line.new.checked_add(line.already_held) == Some(line.received);
        interactions.received = interactions.received.saturating_add(line.received);
        interactions.new = interactions.new.saturating_add(line.new);
        interactions.already_held = interactions.already_held.saturating_add(line.already_held);
        requests.sent = requests.sent.saturating_add(total(&line.requests));
        requests.throttled = requests.throttled.saturating_add(line.requests.get("429").copied().unwrap_or(0));
        requests.retried = requests.retried.saturating_add(line.retries);
        add_counts(&mut computed.lateness, &line.lateness);
        pages.extend(line.quarantine.iter().map(|page| &*page.key));
        for segment in &line.segments {
            segments.entry(&segment.key).or_insert((segment.lines, true)).1 &= segment.adopted;
        }
    }
    computed.quarantined_pages = pages.len() as u64;
    let sum = |adopted_only: bool| {
        let chosen = segments.values().filter(|(_, adopted)| *adopted || !adopted_only);
        chosen.fold(0_u64, |sum, (lines, _)| sum.saturating_add(*lines))
    };
    computed.interactions.recovered = sum(true);
    computed.equations &= sum(false) == computed.interactions.new.saturating_add(sum(true));
    computed
}

impl Computed {
    fn users_add_up(&self) -> bool {
        let users = &self.users;
        let classes =
            [users.exported, users.empty, total(&users.unavailable), users.deferred, users.failed, users.missing];
        users.enumerated == total(&users.excluded).saturating_add(users.planned)
            && users.planned == classes.into_iter().fold(0, u64::saturating_add)
    }

    /// Complete: every equation holds, nobody failed or is missing, and where Graph refused somebody of a whole tenant it
    /// let somebody be read.
    fn is_complete(&self, whole_tenant: bool) -> bool {
        let users = &self.users;
        let refused = ["no-licence", "refused"].iter().any(|reason| users.unavailable.contains_key(*reason));
        let read = users.exported + users.empty > 0;
        self.users_add_up()
            && self.equations
            && users.failed == 0
            && users.missing == 0
            && (!whole_tenant || !refused || read)
    }
}

impl RunCheck<'_, '_> {
    pub(super) fn check_report(
        &mut self,
        view: &RunView<'_>,
        lines: &[Cow<'_, Line<'_>>],
        report: &Report,
        wrote: &BTreeSet<&str>,
    ) {
        let key = RunFile::Report.key(&view.id);
        let computed = compute(view, lines);
        let verdict = &mut self.found.verdict;
        let kind = view.run.as_ref().map(|run| run.kind.as_str());
        if report.run_id != view.id || kind.is_some_and(|kind| kind != report.kind) {
            verdict.add(Code::RunMismatch, &key, "names another run or kind");
        }
        let named = ReportUsers {
            excluded: without_zeros(&report.users.excluded),
            unavailable: without_zeros(&report.users.unavailable),
            ..report.users
        };
        if named != computed.users || !computed.users_add_up() {
            verdict.add(
                Code::ReportUsers,
                &key,
                "the numbers of users do not follow from the roster and the users file",
            );
        }
        if report.interactions != computed.interactions || !computed.equations {
            let (says, is) = (&report.interactions, &computed.interactions);
            let sentence = format!(
                "says received {}, new {}, already held {}, recovered {}; the users file gives {}, {}, {}, {}{}",
                says.received,
                says.new,
                says.already_held,
                says.recovered,
                is.received,
                is.new,
                is.already_held,
                is.recovered,
                if computed.equations { "" } else { ", which breaks an equation" }
            );
            verdict.add(Code::ReportInteractions, &key, sentence);
        }
        let whole_tenant = view.run.as_ref().is_none_or(|run| run.asked.is_whole_tenant());
        let complete = computed.is_complete(whole_tenant);
        if complete != report.complete {
            verdict.add(
                Code::ReportComplete,
                &key,
                format!("says complete: {}, and it is {complete}", report.complete),
            );
        }
        if !report.complete {
            verdict.add(Code::RunIncomplete, &key, "the run was closed without every user read");
        }
        self.check_numbers(view, lines, report, wrote, &computed, &key);
        self.count_new(lines);
    }

    fn check_numbers(
        &mut self,
        view: &RunView<'_>,
        lines: &[Cow<'_, Line<'_>>],
        report: &Report,
        wrote: &BTreeSet<&str>,
        computed: &Computed,
        key: &str,
    ) {
        let mut members = Vec::new();
        if report.requests != computed.requests {
            members.push("requests");
        }
        if report.quarantined_pages != computed.quarantined_pages {
            members.push("quarantined_pages");
        }
        if without_zeros(&report.lateness) != without_zeros(&computed.lateness) {
            members.push("lateness");
        }
        if let Some(start) = self.check.expectation.history_start {
            let remaining = lines.iter().filter(|line| line.covered_from.is_some_and(|from| from > start)).count();
            if report.history_remaining != remaining as u64 {
                members.push("history_remaining");
            }
        }
        if view.closed && view.receipts_whole && !self.can_have_lost(view, lines, report.attempts_lost, wrote) {
            members.push("attempts_lost");
        }
        if !members.is_empty() {
            let sentence = format!("{} do not follow from the run's other files", members.join(", "));
            self.found.verdict.add(Code::ReportNumbers, key, sentence);
        }
    }

    /// Segments may land after the close, so what lies there now is only the most that the report can know, and what the
    /// receipts name the least. Where a segment is missing, damaged or unread, neither is known.
    fn can_have_lost(
        &self,
        view: &RunView<'_>,
        lines: &[Cow<'_, Line<'_>>],
        lost: u64,
        wrote: &BTreeSet<&str>,
    ) -> bool {
        let mut least = BTreeSet::new();
        for segment in lines.iter().flat_map(|line| &line.segments) {
            match self.check.facts.get(&*segment.key) {
                // Of a run that is past, or of an erased user, a later run may have taken the number.
                Some(fact) if fact.run == view.id && fact.lines.is_some_and(|lines| lines > 0) => {
                    least.insert(fact.attempt.as_str())
                }
                _ => return true,
            };
        }
        least.retain(|attempt| !view.attempts.contains(*attempt));
        let most = wrote.iter().filter(|attempt| !view.attempts.contains(**attempt)).count().max(least.len());
        (least.len() as u64..=most as u64).contains(&lost)
    }

    fn count_new(&mut self, lines: &[Cow<'_, Line<'_>>]) {
        let new = lines
            .iter()
            .filter(|line| self.check.expectation.wants(&line.user_id))
            .fold(0_u64, |sum, line| sum.saturating_add(line.new));
        let numbers = &mut self.found.verdict.numbers;
        numbers.receipt_new = numbers.receipt_new.saturating_add(new);
    }
}
