//! One message: a user to be read in a run.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use archive::custody::Custody;
use archive::records::{Counts, ReceiptLine, RunFile, SegmentRef};
use archive::{Archive, ArchiveError, CheckpointHandle, LogWriter, RunProgress};
use domain::{AttemptId, Chain, Class, Coverage, Deadline, Failure, Kind, Message, Timestamp, Unavailability, Window};
use graph::{GraphError, Question, Tally};
use jiff::SignedDuration;

use crate::pieces::{Order, Piece, Pieces};
use crate::{Deps, window};

/// Hand-overs in a row without a finished piece that are no progress any more.
pub(crate) const HOPS: u32 = 16;

/// How far a checkpoint that holds nothing else new may fall behind: the next window then begins earlier by as much, which
/// costs next to no requests, and most users' runs cost no put.
const STALE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Ids of failed requests that a line keeps: enough for a support case, and a bound for a line of many pieces.
const REQUEST_IDS: usize = 16;

/// What the users of one invocation share.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) deps: &'a Deps,
    pub(crate) archive: Archive,
    /// As it was when the invocation began.
    pub(crate) custody: Custody,
    pub(crate) id: AttemptId,
    pub(crate) deadline: Deadline,
    /// Whether any user got on.
    pub(crate) progressed: AtomicBool,
}

/// What a message came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The user's part of the run is over, for now at least.
    Ended(Class),
    /// Unfinished, to be sent again: as this message, not before this time.
    HandOver(Message, Timestamp),
    /// The time was over before anything was asked.
    NotStarted,
}

/// What a message came to, and the receipt's line of it. The line's class is for the batch to fill in.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) line: ReceiptLine,
}

/// How asking for a piece ended.
enum Asked {
    Read,
    /// More pages than the piece may have.
    TooMany,
    /// Not the piece's fault: the time is over, or Graph named a time to come back.
    Interrupted {
        until: Option<Timestamp>,
    },
    /// Something in this piece cannot be read.
    Failed(Failure),
    /// No piece can be read.
    Abandoned(Failure),
    Unavailable(Unavailability),
}

/// Reads what is left of the user's window in this run.
pub(crate) async fn read(message: &Message, run: &RunFile, attempt: &Attempt<'_>) -> Ended {
    let line = new_line(message, attempt);
    // Graph is not asked and the state not read: whatever was written now would bring back what was erased.
    if attempt.custody.erased.contains(&message.user_id) {
        return Ended { outcome: Outcome::Ended(Class::Unavailable(Unavailability::Gone)), line };
    }
    if attempt.deadline.passed(attempt.deps.clock.now()) {
        return Ended { outcome: Outcome::NotStarted, line };
    }
    let mut handle = match attempt.archive.checkpoint(message.user_id).await {
        Ok(handle) => handle,
        Err(error) => {
            report(&error, None, message);
            return Ended { outcome: Outcome::Ended(Class::Failed(Failure::Storage)), line };
        }
    };
    let kept_since = attempt.deps.rules.kept_since(run.started_at);
    handle.checkpoint.runs.retain(|line| line.run_id != message.run_id || window::is_kept(line, kept_since));
    let checkpoint = &handle.checkpoint;
    let mut progress =
        checkpoint.run(&message.run_id).cloned().unwrap_or_else(|| RunProgress::new(message.run_id.clone()));
    if progress.window.is_none() {
        progress.before = checkpoint.coverage;
    }
    if let Some(class) = progress.ended {
        let line = named(line, &progress, &[], checkpoint.coverage, attempt);
        return Ended { outcome: Outcome::Ended(class), line };
    }
    let whole = match progress.window {
        Some(window) => window,
        None => match window::of(message, run, checkpoint.coverage, &attempt.deps.rules) {
            Ok(window) => window,
            Err(class) => {
                let line = named(line, &progress, &[], checkpoint.coverage, attempt);
                return Ended { outcome: Outcome::Ended(class), line };
            }
        },
    };
    let sets_first_coverage = run.kind != Kind::History && run.from.is_none();
    if progress.window.is_none() {
        if run.kind == Kind::History {
            progress.piece_seconds = window::length_of_earlier_runs(&checkpoint.runs, whole);
        }
        if sets_first_coverage && window::is_cut_off(checkpoint.coverage, whole, run, &attempt.deps.rules) {
            progress.before = None;
        }
    }
    progress.window = Some(whole);
    let order = if run.kind == Kind::History { Order::NewestFirst } else { Order::OldestFirst };
    let pieces = Pieces::new(
        whole,
        order,
        attempt.deps.graph.date_filter(),
        progress.read,
        std::mem::take(&mut progress.other_windows),
        progress.piece_seconds.map(|seconds| SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))),
    );
    let log = attempt
        .archive
        .log_writer(message.user_id, &message.run_id, &attempt.id, &handle)
        .expiring(attempt.deps.rules.retention)
        .under(attempt.custody.hold_on(message.user_id));
    let reading =
        Reading { message, run, attempt, sets_first_coverage, handle, progress, pieces, log, line, finished: false };
    reading.through(whole).await
}

/// A user in the course of being read.
struct Reading<'a> {
    message: &'a Message,
    run: &'a RunFile,
    attempt: &'a Attempt<'a>,
    sets_first_coverage: bool,
    handle: CheckpointHandle,
    progress: RunProgress,
    pieces: Pieces,
    log: LogWriter,
    line: ReceiptLine,
    /// Whether this attempt finished a piece.
    finished: bool,
}

impl Reading<'_> {
    async fn through(mut self, whole: Window) -> Ended {
        let outcome = loop {
            let Some(piece) = self.pieces.next() else {
                break Outcome::Ended(self.class());
            };
            let now = self.attempt.deps.clock.now();
            if self.message.not_after.is_some_and(|not_after| now >= not_after) {
                break Outcome::Ended(self.class_of_what_was_read());
            }
            if let Some(resumes) = self.progress.not_before.filter(|not_before| *not_before > now) {
                // Another process was told; this one knows only from the checkpoint.
                break self.wait(whole, resumes, now);
            }
            if self.attempt.deadline.passed(now) {
                break self.hand_over(whole, now, true);
            }
            match self.ask(piece).await {
                Ok(Asked::Read) => {
                    self.pieces.read(piece);
                    self.finished = true;
                    self.attempt.progressed.store(true, Relaxed);
                    // The last piece is saved with the end, where most users need no put at all.
                    if self.pieces.next().is_some()
                        && let Err(error) = self.save().await
                    {
                        break self.storage_failed(&error);
                    }
                }
                Ok(Asked::TooMany) => {
                    if !self.pieces.cut(piece) {
                        self.pieces.fail(piece, Failure::EndlessPages);
                    }
                }
                Ok(Asked::Failed(failure)) => self.pieces.fail(piece, failure),
                Ok(Asked::Abandoned(failure)) => self.pieces.abandon(failure),
                Ok(Asked::Unavailable(reason)) => break Outcome::Ended(Class::Unavailable(reason)),
                Ok(Asked::Interrupted { until }) => {
                    let now = self.attempt.deps.clock.now();
                    let resumes = until.unwrap_or(now).max(now);
                    if until.is_none() {
                        self.pieces.cut(piece);
                    }
                    // A history run that stops before its own end and not before the process's stops for good.
                    let time_is_over = |not_after| {
                        resumes >= not_after || (until.is_none() && self.attempt.deadline > Deadline::at(not_after))
                    };
                    if self.message.not_after.is_some_and(time_is_over) {
                        break Outcome::Ended(self.class_of_what_was_read());
                    }
                    self.progress.not_before = until;
                    break match until {
                        Some(_) => self.wait(whole, resumes, now),
                        None => self.hand_over(whole, now, true),
                    };
                }
                Err(error) => break self.storage_failed(&error),
            }
        };
        self.end(outcome).await
    }

    /// Asks for a piece. Everything it shows is in the archive when this returns `Ok`, even of a piece that failed.
    async fn ask(&mut self, piece: Piece) -> Result<Asked, ArchiveError> {
        let deps = self.attempt.deps;
        let deadline = match self.message.not_after {
            Some(not_after) => self.attempt.deadline.min(Deadline::at(not_after)),
            None => self.attempt.deadline,
        };
        let mut pages = deps.graph.interactions(self.message.user_id, Question::Window(piece.window));
        let mut read = 0;
        let asked = loop {
            match pages.next(deadline).await {
                Ok(None) => break Ok(Asked::Read),
                Ok(Some(page)) => {
                    read += 1;
                    self.line.pages += 1;
                    // Whatever becomes of the piece: what was shown once and is gone when it is asked for again was shown.
                    self.progress.shown |= !page.is_empty();
                    if let Err(error) = self.log.append(page.items(), page.fetched_at()).await {
                        break Err(error);
                    }
                    deps.progress.page(page.len());
                    if read > piece.page_limit {
                        break Ok(Asked::TooMany);
                    }
                }
                Err(error) => break self.judge(error).await,
            }
        };
        let asked_graph = pages.tally().requests() > 0;
        count(&mut self.line, pages.tally());
        let asked = match asked? {
            // Without a token, say. No piece is at fault that was not asked for.
            Asked::Failed(failure) if !asked_graph => Asked::Abandoned(failure),
            asked => asked,
        };
        self.log.flush().await?;
        Ok(asked)
    }

    /// What an answer of Graph means for the piece.
    async fn judge(&mut self, error: GraphError) -> Result<Asked, ArchiveError> {
        report(&error, error.request_id(), self.message);
        Ok(match error {
            GraphError::Unavailable(reason) => Asked::Unavailable(reason),
            GraphError::RetryAfter { until } => Asked::Interrupted { until: Some(until) },
            GraphError::DeadlinePassed => Asked::Interrupted { until: None },
            GraphError::BadPage { body, .. } => {
                let user = self.message.user_id;
                let kept = self.attempt.archive.quarantine(user, &body, self.attempt.custody.hold_on(user)).await?;
                if !self.progress.quarantine.contains(&kept) {
                    self.progress.quarantine.push(kept);
                }
                Asked::Failed(Failure::BadPage)
            }
            error => match error.failure() {
                // These say nothing of one piece: the same question for half the time gets the same answer.
                Some(failure @ (Failure::TenantRefused | Failure::Unauthorised | Failure::BadRequest)) => {
                    Asked::Abandoned(failure)
                }
                Some(failure) => Asked::Failed(failure),
                None => Asked::Failed(Failure::ServerError),
            },
        })
    }

    /// The class of the whole window, when no piece is left.
    fn class(&self) -> Class {
        match self.pieces.failed() {
            Some(failure) => Class::Failed(failure),
            None if self.progress.shown => Class::Exported,
            None => Class::Empty,
        }
    }

    /// The class when a history run's time is over: a user counts what its finished pieces read.
    fn class_of_what_was_read(&self) -> Class {
        // Also what failed in an earlier attempt, as long as nobody has read further.
        let earlier = self.progress.failed.filter(|_| self.progress.read == self.pieces.in_order());
        match (self.pieces.in_order(), self.pieces.failed().or(earlier)) {
            (_, Some(failure)) => Class::Failed(failure),
            (None, None) => Class::Deferred,
            (Some(_), None) => self.class(),
        }
    }

    /// Hands over until Graph may be asked again, which is no lack of progress; but not for ever.
    fn wait(&self, whole: Window, resumes: Timestamp, now: Timestamp) -> Outcome {
        if self.message.not_after.is_some_and(|not_after| resumes >= not_after) {
            return Outcome::Ended(self.class_of_what_was_read());
        }
        self.hand_over(whole, resumes, now >= self.run.deadline)
    }

    fn hand_over(&self, whole: Window, resumes: Timestamp, counts: bool) -> Outcome {
        let before = if self.finished { 0 } else { self.message.hops };
        let hops = before + u32::from(counts);
        if hops >= HOPS {
            return Outcome::Ended(Class::Failed(Failure::NoProgress));
        }
        let message = Message { from: Some(whole.from()), to: Some(whole.to()), hops, ..self.message.clone() };
        Outcome::HandOver(message, resumes)
    }

    fn storage_failed(&self, error: &ArchiveError) -> Outcome {
        report(error, None, self.message);
        Outcome::Ended(Class::Failed(Failure::Storage))
    }

    /// Brings the run's line and the coverage up to what was read.
    fn note(&mut self) {
        if self.progress.read != self.pieces.in_order() {
            self.progress.failed = None;
        }
        self.progress.failed = self.pieces.failed().or(self.progress.failed);
        self.progress.read = self.pieces.in_order();
        self.progress.other_windows = self.pieces.beyond().to_vec();
        self.progress.piece_seconds = self.pieces.length().and_then(|length| u64::try_from(length.as_secs()).ok());
        for segment in self.log.segments() {
            if !self.progress.segments.iter().any(|known| known.key == segment.key) {
                self.progress.segments.push(segment.clone());
            }
        }
    }

    /// The coverage when the pieces read in order are counted as one window.
    fn coverage(&self) -> Option<Coverage> {
        let overlap = self.attempt.deps.rules.overlap;
        let known = self.handle.checkpoint.coverage;
        let Some(read) = self.pieces.in_order() else { return known };
        let after = match self.progress.before {
            Some(before) => Some(before.widened(read, overlap)),
            None if self.sets_first_coverage => Some(Coverage::first(read)),
            None => None,
        };
        match (known, after) {
            (Some(known), Some(after)) => Some(known.merged(after, overlap)),
            (known, after) => after.or(known),
        }
    }

    async fn save(&mut self) -> Result<(), ArchiveError> {
        self.note();
        let coverage = self.coverage();
        let now = self.attempt.deps.clock.now();
        let checkpoint = &mut self.handle.checkpoint;
        checkpoint.coverage = coverage;
        self.log.update(checkpoint, now);
        // Together with what another attempt at this run has stored meanwhile.
        let line = checkpoint.run_mut(&self.message.run_id);
        let stored = std::mem::replace(line, self.progress.clone());
        line.merge(stored);
        self.attempt.archive.save(&mut self.handle, self.attempt.deps.rules.overlap).await
    }

    /// Whether the checkpoint has to be put at the end. Most users of a daily run showed nothing new: they cost no put.
    fn must_save(&self, outcome: &Outcome) -> bool {
        let known = &self.handle.checkpoint;
        let in_progress = known.run(&self.message.run_id).is_some();
        let Outcome::Ended(class) = outcome else {
            return !in_progress || !self.line.requests.is_empty();
        };
        // What a history run that was cut off has learnt of the length that fits is worth a put.
        let cut_off = *class == Class::Deferred && self.pieces.length().is_some();
        // A history run must remember what failed until its time is over.
        let to_be_remembered =
            class.is_failed() && (self.finished || self.progress.shown || self.message.not_after.is_some());
        if in_progress || cut_off || to_be_remembered || self.has_learnt() {
            return true;
        }
        match (known.coverage, self.coverage()) {
            (Some(known), Some(after)) => after.from() < known.from() || after.to().duration_since(known.to()) >= STALE,
            (known, after) => known != after,
        }
    }

    /// Whether the logs hold segments that the stored checkpoint does not know.
    fn has_learnt(&self) -> bool {
        let mut after = self.handle.checkpoint.clone();
        self.log.update(&mut after, self.attempt.deps.clock.now());
        after.months != self.handle.checkpoint.months
    }

    async fn end(mut self, mut outcome: Outcome) -> Ended {
        self.note();
        // A refusal is not remembered: whether it is believed is decided when the batch is through.
        if let Outcome::Ended(class) = &outcome
            && !class.is_failed()
            && !matches!(class, Class::Unavailable(reason) if reason.is_refusal())
        {
            self.progress.ended = Some(*class);
        }
        let coverage = self.coverage();
        // After a failure of the store this may fail as well; the next attempt then begins where this one did.
        if self.must_save(&outcome)
            && let Err(error) = self.save().await
        {
            outcome = self.storage_failed(&error);
        }
        let counts = self.log.counts();
        self.line.received = counts.received;
        self.line.new = counts.new;
        self.line.already_held = counts.already_held;
        self.line.lateness = counts.lateness.clone();
        let line = named(self.line, &self.progress, self.log.segments(), coverage, self.attempt);
        Ended { outcome, line }
    }
}

fn new_line(message: &Message, attempt: &Attempt<'_>) -> ReceiptLine {
    ReceiptLine {
        user_id: message.user_id,
        run_id: message.run_id.clone(),
        attempt_id: attempt.id.clone(),
        class: None,
        windows: Vec::new(),
        pages: 0,
        received: 0,
        new: 0,
        already_held: 0,
        segments: Vec::new(),
        quarantine: Vec::new(),
        covered_from: None,
        covered_to: None,
        requests: Counts::new(),
        retries: 0,
        request_ids: Vec::new(),
        lateness: Counts::new(),
    }
}

/// The line with what the run's attempts have read and put so far, and the coverage.
fn named(
    mut line: ReceiptLine,
    progress: &RunProgress,
    met: &[archive::RunSegment],
    coverage: Option<Coverage>,
    attempt: &Attempt<'_>,
) -> ReceiptLine {
    line.windows = progress.read.iter().chain(&progress.other_windows).copied().collect();
    let unnamed = met.iter().filter(|segment| !progress.segments.iter().any(|known| known.key == segment.key));
    line.segments = progress
        .segments
        .iter()
        .chain(unnamed)
        .map(|segment| SegmentRef {
            key: segment.key.clone(),
            lines: segment.lines,
            sha256: segment.sha256.clone(),
            adopted: segment.attempt_id != attempt.id,
        })
        .collect();
    line.quarantine = progress.quarantine.clone();
    line.covered_from = coverage.map(Coverage::from);
    line.covered_to = coverage.map(Coverage::to);
    line
}

fn count(line: &mut ReceiptLine, tally: &Tally) {
    for (status, requests) in &tally.by_status {
        *line.requests.entry(status.clone()).or_default() += requests;
    }
    line.retries += tally.retries;
    let room = REQUEST_IDS.saturating_sub(line.request_ids.len());
    line.request_ids.extend(tally.failed_request_ids.iter().take(room).cloned());
}

/// Logs what went wrong for a user, once, where it is handled; with Graph's id of the request, by which Microsoft finds it.
fn report(error: &dyn std::error::Error, request_id: Option<&str>, message: &Message) {
    let error = Chain(error);
    tracing::info!(run_id = %message.run_id, user_id = %message.user_id, request_id, %error, "user not read to the end");
}
