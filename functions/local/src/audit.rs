//! The audit of an archive, made by the crate that depends on none that writes one.

use std::error::Error;
use std::path::Path;

use domain::{Clock, Env, Timestamp};
use evidence::audit::{COULD_NOT_RUN, Request, Whom, parse_head};
use evidence::{Answer, AuditError, AuditReport, Source};
use handover::{HandoverError, Summary};
use settings::Rules;

use crate::cli::{AuditArgs, TranscriptArgs};
use crate::location::Location;
use crate::screen::Screen;

/// Why nothing was handed over.
#[derive(Debug, thiserror::Error)]
enum NotHandedOver {
    #[error("the folder for the hand-over lies in the archive, which holds nothing else; name one outside of it")]
    InArchive,
    #[error(transparent)]
    Handover(#[from] HandoverError),
}

/// Audits and prints what came out; the exit code is the answer's. With a bag, everything is handed over too.
pub async fn run(args: &AuditArgs, env: &dyn Env, clock: &dyn Clock, screen: &Screen) -> u8 {
    match args.archive.source().await {
        Ok(source) => run_of(&*source, args, env, clock, screen),
        Err(error) => could_not_run(screen, &error),
    }
}

/// Audits what this source holds.
pub fn run_of(source: &dyn Source, args: &AuditArgs, env: &dyn Env, clock: &dyn Clock, screen: &Screen) -> u8 {
    let report = match report(args, env, clock, source) {
        Ok(report) => report,
        Err(error) => return could_not_run(screen, error.as_ref()),
    };
    screen.say(&rendered(&report, args.json));
    let Some(bag) = &args.bag else { return report.answer.exit_code() };
    let written = outside(bag, &args.archive)
        .and_then(|()| Ok(handover::write_bag(source, &report, args.contact.as_deref(), bag)?));
    // What is JSON stays JSON.
    let next = (!args.json).then(|| format!("check it with {}", bag.join("data/HOW-TO-VERIFY.txt").display()));
    handed_over(screen, &report, written, next)
}

/// Writes the transcripts of one person and says how the audit on their cover came out.
pub async fn transcript(args: &TranscriptArgs, env: &dyn Env, clock: &dyn Clock, screen: &Screen) -> u8 {
    let source = match args.archive.source().await {
        Ok(source) => source,
        Err(error) => return could_not_run(screen, &error),
    };
    let report = match report(&args.audit(), env, clock, &*source) {
        Ok(report) => report,
        Err(error) => return could_not_run(screen, error.as_ref()),
    };
    let written =
        outside(&args.out, &args.archive).and_then(|()| Ok(handover::write_transcripts(&*source, &report, &args.out)?));
    let cover = args.out.join("transcripts/00-cover.html");
    handed_over(screen, &report, written, Some(format!("begin with {}", cover.display())))
}

fn report(
    args: &AuditArgs,
    env: &dyn Env,
    clock: &dyn Clock,
    source: &dyn Source,
) -> Result<AuditReport, Box<dyn Error>> {
    let rules = Rules::from_env(env)?;
    Ok(evidence::audit(source, &request(args, &rules, clock)?)?)
}

fn could_not_run(screen: &Screen, error: &dyn Error) -> u8 {
    crate::complain(screen, error);
    COULD_NOT_RUN
}

/// Says what was written. An archive that is broken is the worse news where nothing could be.
fn handed_over(
    screen: &Screen,
    report: &AuditReport,
    written: Result<Summary, NotHandedOver>,
    next: Option<String>,
) -> u8 {
    match written {
        Ok(summary) => {
            if let Some(next) = next {
                let Summary { records, undated, documents, messages, earlier_texts, unparsed, .. } = summary;
                screen.say(&format!(
                    "handed over {records} records, {undated} of them without a time, as {messages} messages with \
                     {earlier_texts} earlier texts in {documents} transcripts; {unparsed} texts are not understood\n\
                     next        {next}\n"
                ));
            }
            report.answer.exit_code()
        }
        Err(error) => {
            let code = could_not_run(screen, &error);
            if report.answer == Answer::IntegrityFailure { report.answer.exit_code() } else { code }
        }
    }
}

/// An archive holds what the format says and nothing else: a folder in it would be a fault in every later audit.
fn outside(folder: &Path, archive: &Location) -> Result<(), NotHandedOver> {
    let Location::Folder(archive) = archive else { return Ok(()) };
    let (Ok(folder), Ok(archive)) = (std::path::absolute(folder), archive.canonicalize()) else { return Ok(()) };
    // The folder may not be there yet: the part of its path that is says where it will lie.
    let place = folder.ancestors().find_map(|part| part.canonicalize().ok());
    if place.is_some_and(|place| place.starts_with(archive)) { Err(NotHandedOver::InArchive) } else { Ok(()) }
}

fn rendered(report: &AuditReport, json: bool) -> String {
    // Strings and numbers only: writing them cannot fail.
    let text = if json { serde_json::to_string_pretty(report).unwrap_or_default() } else { report.text() };
    format!("{}\n", text.trim_end())
}

fn request(args: &AuditArgs, rules: &Rules, clock: &dyn Clock) -> Result<Request, AuditError> {
    let now = clock.now();
    Ok(Request {
        whom: if args.all { Whom::All } else { Whom::Named(args.user.clone()) },
        from: args.from,
        to: args.to,
        explain: args.explain,
        ledger_head: args.ledger_head.as_deref().map(parse_head).transpose()?,
        history_start: rules.history_start,
        retention_days: args
            .retention_days
            .or(rules.retention.and_then(|kept| u32::try_from(kept.as_hours() / 24).ok())),
        read_at: Timestamp::from_second(now.as_second()).unwrap_or(now),
        location: args.archive.to_string(),
        program: format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use domain::{MapEnv, SystemClock};

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn days_of_retention_are_the_option_s_or_the_environment_s() {
        let days = |environment: &[(&str, &str); 1], words: &[&str]| {
            let words = ["copilot-archive", "audit", "--all"].iter().chain(words);
            let Some(Command::Audit(args)) = Cli::parse_from(words).command else { panic!("no audit") };
            let rules = Rules::from_env(&MapEnv::from(*environment)).unwrap();
            request(&args, &rules, &SystemClock).unwrap().retention_days
        };
        assert_eq!(days(&[("RETENTION_DAYS", "")], &[]), None);
        assert_eq!(days(&[("RETENTION_DAYS", "400")], &[]), Some(400));
        assert_eq!(days(&[("RETENTION_DAYS", "400")], &["--retention-days", "30"]), Some(30));
        assert_eq!(days(&[("RETENTION_DAYS", "400")], &["--retention-days", "0"]), Some(0));
    }

    #[tokio::test]
    async fn an_audit_that_cannot_be_made_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().display().to_string();
        let screen = Screen::to(Box::new(std::io::sink()));
        for arguments in [vec!["--all"], vec!["--all", "--ledger-head", "1:short"], vec!["--user", "nobody"]] {
            let words = ["copilot-archive", "audit", "--archive", &archive].into_iter().chain(arguments);
            let Some(Command::Audit(args)) = Cli::parse_from(words).command else { panic!("no audit") };
            assert_eq!(run(&args, &MapEnv::default(), &SystemClock, &screen).await, COULD_NOT_RUN);
        }
    }
}
