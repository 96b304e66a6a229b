//! What is said on the screen: figures in, text out.
//!
//! Sums stand as equations, so that a reader can add them up. Nothing here prints.

use std::fmt::Write as _;

use archive::records::{Counts, Report};
use domain::{Class, Kind, Timestamp, UserId};
use jiff::SignedDuration;

use crate::location::Location;

/// How many interaction requests a second Graph sustains per application and tenant.
pub const QUOTA: f64 = 24.9;

/// How many users that were not read are named; the users file names them all.
pub const MAX_NAMED: usize = 5;

/// Whether words may be coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// On a terminal, unless `NO_COLOR` is set.
    pub colour: bool,
}

impl Style {
    /// Words without colour.
    pub const PLAIN: Self = Self { colour: false };

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Said loudly.
    pub fn loud(self, text: &str) -> String {
        self.paint("1;33", text)
    }

    /// Good news.
    pub fn good(self, text: &str) -> String {
        self.paint("1;32", text)
    }

    /// Bad news.
    pub fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }
}

/// The first lines.
#[derive(Debug, Clone)]
pub struct Banner {
    /// The program's version.
    pub version: &'static str,
    /// The tenant.
    pub tenant: String,
    /// What is simulated, if it is.
    pub simulated: Option<SimulatedBanner>,
    /// Where the archive lies.
    pub archive: String,
}

/// What the first lines say of a simulated tenant.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedBanner {
    /// The seed of its data.
    pub seed: u64,
    /// How many times faster than real its time runs.
    pub factor: f64,
    /// The time it begins at.
    pub starts_at: Timestamp,
}

impl Banner {
    /// The lines.
    pub fn render(&self, style: Style) -> String {
        let mut text = format!("Copilot Interaction Archive {}   ", self.version);
        match &self.simulated {
            Some(simulated) => {
                let SimulatedBanner { seed, factor, starts_at } = simulated;
                let loud = style.loud("SIMULATED tenant");
                let _ = writeln!(text, "{loud} \"{}\" (seed {seed}), no account needed", self.tenant);
                let _ = writeln!(
                    text,
                    "time     runs {factor} x faster than real, from {starts_at}; the quota dips once, to show throttling"
                );
            }
            None => {
                let _ = writeln!(text, "tenant {}", self.tenant);
            }
        }
        let _ = writeln!(text, "archive  {}", self.archive);
        text
    }
}

/// A number with its thousands apart.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in the unit that suits it.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// A length of time, in the unit that suits it.
pub fn duration(length: SignedDuration) -> String {
    let seconds = length.as_secs_f64().max(0.0);
    let minutes = (seconds / 60.0).floor();
    match seconds {
        ..120.0 => format!("{seconds:.1} s"),
        120.0..7_200.0 => format!("{minutes} min {:02} s", (seconds - minutes * 60.0).floor()),
        _ => format!("{} h {:02} min", (minutes / 60.0).floor(), minutes % 60.0),
    }
}

/// `19 unavailable (no-history 8, no-licence 11)`.
fn by_reason(name: &str, counts: &Counts) -> String {
    let mut text = format!("{} {name}", number(counts.values().sum()));
    for (index, (reason, n)) in counts.iter().filter(|(_, n)| **n > 0).enumerate() {
        text.push_str(if index == 0 { " (" } else { ", " });
        let _ = write!(text, "{reason} {}", number(*n));
    }
    if text.contains('(') {
        text.push(')');
    }
    text
}

/// `412 enumerated = 18 excluded (plan-disabled 18) + 394 planned`, and the line's end.
fn enumerated(total: u64, leavers: u64, excluded: &Counts, planned: u64) -> String {
    let leavers = if leavers > 0 { format!(" ({} leavers)", number(leavers)) } else { String::new() };
    let excluded = by_reason("excluded", excluded);
    format!("{} enumerated{leavers} = {excluded} + {} planned\n", number(total), number(planned))
}

/// What is said of a run before its users are read.
pub fn began(run: &str, kind: Kind, total: u64, planned: u64) -> String {
    format!("\nrun {run}  {kind}  {} of {} users are to be read\n", number(planned), number(total))
}

/// The figures of a closed run.
#[derive(Debug, Clone)]
pub struct Closed {
    /// The report as it lies in the archive.
    pub report: Report,
    /// The number of its ledger entry.
    pub entry: u64,
    /// The hash of its ledger entry.
    pub sha256: String,
    /// How many segments the run wrote.
    pub segments: u64,
    /// How many records they hold.
    pub lines: u64,
    /// How large they are, where that is known.
    pub bytes: Option<u64>,
    /// How far back history goes.
    pub history_start: Timestamp,
    /// Whether all of it was done by this process without interruption, so that its time means something.
    pub timed: bool,
    /// Some of the users that were not read, and why.
    pub unread: Vec<(UserId, Option<Class>)>,
    /// The sum of the instants at which the users' coverage begins: it falls while history gets on.
    pub history_seconds: i64,
}

impl Closed {
    /// The lines.
    pub fn render(&self, style: Style) -> String {
        let Report { users, interactions, requests, .. } = &self.report;
        let verdict = if self.report.complete {
            format!("{}     every equation holds", style.good("COMPLETE"))
        } else {
            format!("{}   {} failed, {} missing", style.bad("INCOMPLETE"), users.failed, users.missing)
        };
        let mut text = format!("run {}  {}  {verdict}\n", self.report.run_id, self.report.kind);
        let _ = write!(
            text,
            "  users         {}",
            enumerated(users.enumerated, users.leavers, &users.excluded, users.planned)
        );
        let mut classes = vec![
            format!("{} exported", number(users.exported)),
            format!("{} empty", number(users.empty)),
            by_reason("unavailable", &users.unavailable),
        ];
        if users.deferred > 0 || self.report.kind == Kind::History {
            classes.push(format!("{} deferred", number(users.deferred)));
        }
        classes.push(format!("{} failed", number(users.failed)));
        classes.push(format!("{} missing", number(users.missing)));
        let _ = writeln!(text, "                {} planned = {}", number(users.planned), classes.join(" + "));
        for (user, class) in &self.unread {
            let why = class.map_or_else(|| "missing".to_owned(), |class| class.to_string());
            let _ = writeln!(text, "                {user} {}", style.bad(&why));
        }
        if users.failed + users.missing > self.unread.len() as u64 {
            let _ = writeln!(text, "                … all of them in runs/{}/users.jsonl.zst", self.report.run_id);
        }
        let _ = writeln!(
            text,
            "  interactions  {} received = {} new + {} already held",
            number(interactions.received),
            number(interactions.new),
            number(interactions.already_held)
        );
        let bytes = self.bytes.map(|bytes| format!("   ({})", size(bytes))).unwrap_or_default();
        let _ = writeln!(
            text,
            "  written       {} lines in {} segments = {} new + {} recovered{bytes}",
            number(self.lines),
            number(self.segments),
            number(interactions.new),
            number(interactions.recovered)
        );
        if self.report.quarantined_pages > 0 {
            let _ = writeln!(text, "  quarantine    {} pages that did not parse", self.report.quarantined_pages);
        }
        let _ = writeln!(
            text,
            "  requests      {} sent, {} throttled, {} retried",
            number(requests.sent),
            number(requests.throttled),
            number(requests.retried)
        );
        if self.timed {
            let took = self.report.closed_at.duration_since(self.report.started_at);
            let floor = requests.sent as f64 / QUOTA;
            let _ = write!(text, "  time          {}", duration(took));
            // Below a minute's worth of requests, starting up outweighs the quota and the ratio says nothing.
            if floor >= 10.0 {
                let ratio = took.as_secs_f64() / floor;
                let _ =
                    write!(text, " = {ratio:.2} x the quota floor ({} requests / {QUOTA} per second)", requests.sent);
            }
            text.push('\n');
        }
        if self.report.kind == Kind::History {
            let _ = writeln!(
                text,
                "  history       {} users not yet covered back to {}",
                number(self.report.history_remaining),
                self.history_start.strftime("%Y-%m-%d")
            );
        }
        let _ = writeln!(
            text,
            "  ledger entry {} sha256 {}  (keep this line: it pins everything above)",
            self.entry, self.sha256
        );
        text
    }
}

/// What a dry run found.
#[derive(Debug, Clone)]
pub struct Estimate {
    /// What would run.
    pub kind: Kind,
    /// Who would be enumerated.
    pub enumerated: u64,
    /// Who of them would not be read.
    pub excluded: Counts,
    /// Who would be read.
    pub planned: u64,
    /// How many requests that takes, at most.
    pub requests: u64,
    /// How many minutes.
    pub minutes: u64,
    /// How many runs.
    pub runs: u64,
}

impl Estimate {
    /// The lines.
    pub fn render(&self) -> String {
        let Self { kind, requests, minutes, runs, .. } = self;
        format!(
            "{kind} dry run: nothing was written\n  users         {}  at most       {} requests, {} minutes, {} runs\n",
            enumerated(self.enumerated, 0, &self.excluded, self.planned),
            number(*requests),
            number(*minutes),
            number(*runs),
        )
    }
}

/// How far the reading of a run's users is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Users read.
    pub done: u64,
    /// Users planned.
    pub planned: u64,
    /// Interactions received.
    pub interactions: u64,
    /// Requests a second so far, on the tenant's clock.
    pub rate: f64,
    /// Requests a second allowed.
    pub budget: f64,
}

impl Progress {
    /// What follows the bar on a terminal.
    pub fn tail(&self) -> String {
        format!("interactions {}   rate {:.1}/s of {}", number(self.interactions), self.rate, self.budget)
    }

    /// The line where there is no terminal.
    pub fn line(&self) -> String {
        format!("users    {}/{}   {}\n", number(self.done), number(self.planned), self.tail())
    }
}

/// What a simulated Graph saw: the limits as the other side counts them.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Interaction requests.
    pub requests: u64,
    /// The most of them in any second.
    pub per_second: u64,
    /// Those that came before the time a 429 had named.
    pub early: u64,
}

impl Seen {
    /// The line.
    pub fn render(self) -> String {
        format!(
            "\nthe simulated Graph counted {} requests, at most {} in any second, {} of them before Retry-After\n",
            number(self.requests),
            self.per_second,
            self.early
        )
    }
}

/// A word for a shell: in quotes, if it has anything a shell could read otherwise.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The command that goes on with an archive.
fn again(program: &str, archive: &str, options: &str) -> String {
    format!("{program}{}{options}", archive_option(archive))
}

fn archive_option(archive: &str) -> String {
    if archive == "./archive" { String::new() } else { format!(" --archive {}", word(archive)) }
}

/// What is said when it was asked to stop.
pub fn stopped(program: &str, archive: &str, options: &str) -> String {
    format!("\nstopped; nothing that was read is lost. To go on:\n  {}\n", again(program, archive, options))
}

/// What the reader may do next. Each line is a command that works in the folder the program was started in.
pub fn next(program: &str, location: &Location, options: &str, user: Option<&str>) -> String {
    let archive = &location.to_string();
    let whom = user.map_or_else(|| "--all".to_owned(), |user| format!("--user {}", word(user)));
    let query = match location {
        Location::Folder(_) => (
            format!("(cd {} && duckdb -init duckdb.sql)", word(archive)),
            "query it: interaction, person, run, run_user, ...",
        ),
        Location::Bucket(_) => (format!("aws s3 cp {archive}README.txt -"), "how to read and query it"),
    };
    let commands = [
        (again(program, archive, options), "again: nothing is archived twice"),
        (format!("{program} audit{} {whom}", archive_option(archive)), "prove what is there"),
        query,
    ];
    let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    let mut text = String::from("\nnext\n");
    for (command, meaning) in commands {
        let _ = writeln!(text, "  {command:width$}   {meaning}");
    }
    text
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
