//! The command line.

mod operator;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{ArgGroup, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use domain::Timestamp;
use evidence::audit::COULD_NOT_RUN;
use settings::VARIABLES;

use crate::location::Location;
use crate::request::Request;

pub use operator::{CoverageArgs, EraseArgs, HoldArgs};

const EXAMPLES: &str = "\
Examples:
  copilot-archive                                   a first look: a simulated tenant, no account needed
  copilot-archive --tenant ID --client-id ID        your tenant; the secret in GRAPH_CLIENT_SECRET
  copilot-archive --tenant ID --client-id ID --dry-run
                                                    who would be exported, and how many requests that takes
  copilot-archive --users adele@contoso.example --from 2026-01-01
                                                    one person, from a date on
  copilot-archive --archive s3://acme-archive/copilot/ --tenant ID --client-id ID
                                                    into a bucket (needs a build with --features s3)
  copilot-archive audit --user adele@contoso.example
                                                    prove what the archive holds of her
  copilot-archive audit --user adele@contoso.example --bag ./adele
                                                    and hand it over, with what it takes to check it

  copilot-archive doctor --tenant ID --client-id ID
                                                    what is wrong with a deployment, and the exact fix

A run that was interrupted, by Ctrl-C or by a power cut, is continued by starting it again; nothing is archived twice.

The operator's commands say what they will do, and do it with --yes:
  copilot-archive coverage --user ID --to 2026-11-01
                                                    claim less as read, so that the next runs read it again
  copilot-archive erase --user ID --reason case-17
                                                    delete a person's content, behind a tombstone
  copilot-archive hold --user ID --on --archive s3://acme-archive/copilot/
                                                    keep it from being deleted, now and later, whatever the retention
  copilot-archive hold --list --archive s3://acme-archive/copilot/
                                                    say who is held since when, and what is not

Exit codes of run:    0 complete, 1 incomplete, 2 refused input, 3 failure
Exit codes of audit and transcript:
                      0 no gap and every hash matches, 1 gap, 2 integrity failure, 3 could not run
Exit codes of doctor: 0 nothing to fix, 1 something to fix, 3 could not run
Exit codes of coverage, erase and hold:
                      0 done, 1 to be repeated, 2 refused input, 3 failure";

/// The seed of the simulated tenant if none is given.
pub const SEED: u64 = 42;

/// Variables that mean nothing to a program that is told its archive, has a queue of its own and is the one worker.
const ON_AWS_ONLY: [&str; 6] =
    ["GRAPH_SECRET_ID", "WORKER_CONCURRENCY", "WORK_QUEUE_URL", "ARCHIVE_BUCKET", "ARCHIVE_PREFIX", "QUIET_SECONDS"];

/// What `--version` says: which source this was built from, as the archive's files name it.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let producer = wiring::producer(env!("CARGO_PKG_NAME"));
    format!("{} (commit {})", producer.version, producer.commit)
});

/// The command line of this process; ends it if help was asked for or something is wrong.
pub fn parse() -> Cli {
    let words: Vec<OsString> = std::env::args_os().collect();
    read(&words).unwrap_or_else(|error| {
        // As clap does: whoever closed the stream does not want to know.
        let _ = error.print();
        std::process::exit(exit_code(&words, &error))
    })
}

fn read(words: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command().try_get_matches_from(words)?)
}

/// The code that ends a process whose words give no command line.
///
/// Of an audit 2 is an answer, so one that is mistyped could not run; a doctor's has no answer of that code either. A word that says so may stand anywhere: what is
/// wrong may be its place.
fn exit_code(words: &[OsString], error: &clap::Error) -> i32 {
    let asks = words.iter().skip(1).any(|word| word == "audit" || word == "transcript" || word == "doctor");
    match error.exit_code() {
        0 => 0,
        _ if asks => i32::from(COULD_NOT_RUN),
        code => code,
    }
}

/// The command with its long help: the environment as `settings` reads it.
fn command() -> clap::Command {
    let mut help = format!("{EXAMPLES}\n\nEnvironment (the options of the same meaning win):\n");
    for variable in VARIABLES.iter().filter(|variable| !ON_AWS_ONLY.contains(&variable.name)) {
        let default = variable.local_default.or(variable.default).filter(|default| !default.is_empty());
        let default = default.map_or_else(String::new, |default| format!(" [default: {default}]"));
        help.push_str(&format!("  {}\n          {}{default}\n", variable.name, variable.meaning));
    }
    help.push_str("  NO_COLOR\n          no colours if it is set\n");
    help.push_str("  RUST_LOG\n          what is logged to standard error, `worker=info` for example [default: warn]");
    Cli::command().after_long_help(help)
}

/// Keeps every Microsoft 365 Copilot prompt and answer of a tenant in a folder or a bucket, and proves that nothing is missing.
///
/// Without a subcommand it runs: it continues what an earlier run left open, reads the last days of every licensed user,
/// then everybody's history. With a tenant (--tenant or GRAPH_TENANT_ID) it reads that tenant; without one, a simulated
/// tenant of about 400 users that this program serves to itself.
#[derive(Debug, Parser)]
#[command(name = "copilot-archive", version = VERSION.as_str(), after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; `run` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The options of `run`.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reads the tenant into the archive (the default).
    Run(RunArgs),
    /// Proves what the archive holds for one person or for everybody; reads only the archive.
    Audit(AuditArgs),
    /// Writes what one person asked and was told as pages and load files, a page for each conversation and day.
    Transcript(TranscriptArgs),
    /// Says what is wrong with a deployment and the exact fix; archives nothing.
    Doctor(DoctorArgs),
    /// Lowers what is claimed as read of one person, so that the next runs read it again; nothing but reading raises it.
    Coverage(CoverageArgs),
    /// Deletes every version of one person's content, behind a tombstone that keeps later runs from reading the person.
    Erase(EraseArgs),
    /// Holds what is archived of one person, now and later, or releases the hold; or says who is held. In a bucket with
    /// Object Lock.
    Hold(HoldArgs),
}

/// The options of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The folder of the archive, made if there is none; or s3://BUCKET/PREFIX.
    ///
    /// The prefix is put as is before every key, so that of a folder ends with a slash. Region and credentials are found as
    /// by every AWS tool. Checkpoints lie in the same bucket unless STATE_BUCKET names another.
    #[arg(long, value_name = "DIR", default_value = "./archive")]
    pub archive: Location,

    /// The Entra tenant to read; also GRAPH_TENANT_ID. Without one, a simulated tenant.
    #[arg(long, value_name = "ID")]
    pub tenant: Option<String>,

    /// The application (client) id of the app registration; also GRAPH_CLIENT_ID.
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,

    /// The seed of the simulated tenant: the same seed has the same users and interactions.
    #[arg(long, value_name = "N", default_value_t = SEED, conflicts_with_all = ["tenant", "client_id"])]
    pub seed: u64,

    /// Only the daily run: the last days of every user.
    #[arg(long)]
    pub no_history: bool,

    /// Only these users: object ids or principal names, comma-separated.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub users: Vec<String>,

    /// Only interactions created after this time: RFC 3339, or a date for its midnight in UTC.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Timestamp>,

    /// And up to this one; now if it is not given.
    #[arg(long, value_name = "TIME", value_parser = time, requires = "from")]
    pub to: Option<Timestamp>,

    /// Only the last so many hours.
    #[arg(long, value_name = "N", conflicts_with = "from")]
    pub lookback_hours: Option<u32>,

    /// Says who would be read and what it would take; writes nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl RunArgs {
    /// What is asked of the tenant.
    pub fn request(&self) -> Request {
        Request {
            users: self.users.clone(),
            from: self.from,
            to: self.to,
            lookback_hours: self.lookback_hours,
            history: !self.no_history,
            dry_run: self.dry_run,
        }
    }
}

/// The options of `audit`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("who").required(true).args(["user", "all"]))]
pub struct AuditArgs {
    /// The folder of the archive, or s3://BUCKET/PREFIX. It is only read.
    #[arg(long, value_name = "DIR", default_value = "./archive")]
    pub archive: Location,

    /// A person: object id, principal name or display name, of today or of former times. May be given more than once.
    #[arg(long, value_name = "WHO")]
    pub user: Vec<String>,

    /// Everybody who was ever enumerated.
    #[arg(long)]
    pub all: bool,

    /// The range's beginning: RFC 3339, or a date for its midnight in UTC. Without one, HISTORY_START.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Timestamp>,

    /// The range's end. Without one, the end of the newest closed run.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<Timestamp>,

    /// The report as JSON.
    #[arg(long)]
    pub json: bool,

    /// Names the runs behind every interval.
    #[arg(long)]
    pub explain: bool,

    /// A ledger entry that was noted elsewhere: the archive must hold it.
    #[arg(long, value_name = "N:SHA256")]
    pub ledger_head: Option<String>,

    /// After how many days what is archived may be gone: expired by policy, and neither damage nor a gap. 0 for never. Without
    /// it, RETENTION_DAYS.
    #[arg(long, value_name = "N")]
    pub retention_days: Option<u32>,

    /// A new folder for what is handed over of one person: records, proof, transcripts, and how to check them without this
    /// program (BagIt).
    #[arg(long, value_name = "DIR", conflicts_with = "all")]
    pub bag: Option<PathBuf>,

    /// Whom to ask about the bag; it stands in it.
    #[arg(long, value_name = "NAME", requires = "bag")]
    pub contact: Option<String>,
}

/// The options of `transcript`.
#[derive(Debug, Clone, Args)]
pub struct TranscriptArgs {
    /// The folder of the archive, or s3://BUCKET/PREFIX. It is only read.
    #[arg(long, value_name = "DIR", default_value = "./archive")]
    pub archive: Location,

    /// The person: object id, principal name or display name, of today or of former times.
    #[arg(long, value_name = "WHO")]
    pub user: String,

    /// The range's beginning: RFC 3339, or a date for its midnight in UTC. Without one, HISTORY_START.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Timestamp>,

    /// The range's end. Without one, the end of the newest closed run.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<Timestamp>,

    /// A new folder for the pages.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

impl TranscriptArgs {
    /// The audit whose verdict stands on the cover.
    pub fn audit(&self) -> AuditArgs {
        AuditArgs {
            archive: self.archive.clone(),
            user: vec![self.user.clone()],
            all: false,
            from: self.from,
            to: self.to,
            json: false,
            explain: false,
            ledger_head: None,
            retention_days: None,
            bag: None,
            contact: None,
        }
    }
}

/// The options of `doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// The folder of the archive, or s3://BUCKET/PREFIX.
    #[arg(long, value_name = "DIR", default_value = "./archive")]
    pub archive: Location,

    /// The Entra tenant; also GRAPH_TENANT_ID.
    #[arg(long, value_name = "ID")]
    pub tenant: Option<String>,

    /// The application (client) id of the app registration; also GRAPH_CLIENT_ID.
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,

    /// The work queue on AWS: the stack's output WorkQueueUrl.
    #[arg(long, value_name = "URL")]
    pub queue: Option<String>,

    /// The findings as JSON.
    #[arg(long)]
    pub json: bool,
}

fn time(text: &str) -> Result<Timestamp, &'static str> {
    let midnight = || format!("{text}T00:00:00Z").parse();
    text.parse().or_else(|_| midnight()).map_err(|_| "is no RFC 3339 time and no date")
}

#[cfg(test)]
mod tests {
    use evidence::Answer;

    use super::*;

    const ANSWERS: [Answer; 3] = [Answer::NoOpenGap, Answer::OpenGap, Answer::IntegrityFailure];

    fn run(arguments: &[&str]) -> Result<RunArgs, clap::Error> {
        let cli = Cli::try_parse_from(std::iter::once(&"copilot-archive").chain(arguments))?;
        Ok(match cli.command {
            None => cli.run,
            Some(Command::Run(run)) => run,
            Some(_) => panic!("not run"),
        })
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn the_version_names_the_commit_that_archives_name() {
        let producer = wiring::producer("copilot-archive");
        let version = command().render_version();
        assert_eq!(version.trim(), format!("copilot-archive {} (commit {})", producer.version, producer.commit));
    }

    #[test]
    fn the_long_help_names_every_variable_of_the_local_program_and_no_other() {
        let help = command().render_long_help().to_string();
        for variable in VARIABLES {
            assert_eq!(help.contains(variable.name), !ON_AWS_ONLY.contains(&variable.name), "{}", variable.name);
        }
        assert!(help.contains("OVERLAP_HOURS\n") && help.contains("[default: 72]"));
    }

    #[test]
    fn run_is_the_default() {
        for arguments in [vec!["--seed", "7"], vec!["run", "--seed", "7"]] {
            let run = run(&arguments).unwrap();
            assert_eq!((run.seed, run.archive), (7, Location::Folder("./archive".into())));
        }
        assert!(run(&[]).unwrap().request().is_whole_look());
    }

    #[test]
    fn contradictions_are_refused() {
        for arguments in [
            vec!["--to", "2026-01-01T00:00:00Z"],
            vec!["--from", "2026-01-01T00:00:00Z", "--lookback-hours", "3"],
            vec!["--from", "yesterday"],
            vec!["--tenant", "x", "--seed", "1"],
            vec!["--seed", "1", "audit", "--all"],
            vec!["audit"],
            vec!["--archive", "s3://Acme/"],
            vec!["audit", "--all", "--user", "x"],
            vec!["audit", "--all", "--bag", "x"],
            vec!["audit", "--user", "x", "--contact", "y"],
            vec!["transcript", "--user", "x"],
            vec!["coverage", "--user", "5ac181d0-c896-435a-a745-ac948db1d59a"],
            vec!["coverage", "--user", "5ac181d0-c896-435a-a745-ac948db1d59a", "--drop", "--to", "2026-01-01"],
            vec!["coverage", "--user", "adele@contoso.example", "--drop"],
            vec!["erase"],
            vec!["erase", "--user", "adele@contoso.example"],
            vec!["erase", "--user", "5ac181d0-c896-435a-a745-ac948db1d59a", "--reason", "two\nlines"],
        ] {
            assert!(run(&arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn what_an_audit_cannot_take_is_none_of_its_answers() {
        let code = |arguments: &[&str]| {
            let words: Vec<OsString> =
                std::iter::once(&"copilot-archive").chain(arguments).map(|word| word.into()).collect();
            exit_code(&words, &read(&words).unwrap_err())
        };
        let refused = code(&["--seed", "x"]);
        let an_answer = |code: i32| u8::try_from(code).is_ok_and(|code| ANSWERS.map(Answer::exit_code).contains(&code));
        assert!(an_answer(refused), "of a run it means that what was asked is refused");
        for arguments in [
            &["audit"][..],
            &["audit", "--all", "--bag", "x"],
            &["audit", "--all", "--nonsense"],
            &["--seed", "1", "audit", "--all"],
            &["transcript", "--user", "x"],
            &["doctor", "--nonsense"],
        ] {
            assert_eq!(code(arguments), i32::from(COULD_NOT_RUN), "{arguments:?}");
            assert!(!an_answer(code(arguments)));
        }
        for arguments in [&["--help"][..], &["--version"], &["audit", "--help"], &["help", "transcript"]] {
            assert_eq!(code(arguments), 0, "{arguments:?}");
        }
    }

    #[test]
    fn a_date_is_its_midnight() {
        for text in ["2026-01-02", "2026-01-02T00:00:00Z", "2026-01-02T01:00:00+01:00"] {
            assert_eq!(time(text).unwrap().to_string(), "2026-01-02T00:00:00Z", "{text}");
        }
        for text in ["", "yesterday", "2026-13-01", "20:00"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn options_become_the_request() {
        let asked = run(&["--users", "a,b", "--from", "2026-01-01T00:00:00Z", "--dry-run"]).unwrap().request();
        assert_eq!(asked.users, ["a", "b"]);
        assert!(asked.from.is_some() && asked.dry_run && !asked.is_whole_look());
        assert!(!run(&["--no-history"]).unwrap().request().history);
    }
}
