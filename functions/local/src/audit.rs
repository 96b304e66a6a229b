//! The audit of an archive, made by the crate that depends on none that writes one.

use domain::{Clock, Env, Timestamp};
use evidence::audit::{COULD_NOT_RUN, Request, Whom, parse_head};
use evidence::{AuditError, AuditReport, Folder};
use settings::Rules;

use crate::cli::AuditArgs;
use crate::screen::Screen;

/// Audits and prints what came out; the exit code is the answer's.
pub fn run(args: &AuditArgs, env: &dyn Env, clock: &dyn Clock, screen: &Screen) -> u8 {
    let rules = match Rules::from_env(env) {
        Ok(rules) => rules,
        Err(error) => return could_not_run(screen, &error),
    };
    let report =
        request(args, &rules, clock).and_then(|request| evidence::audit(&Folder::new(&args.archive), &request));
    match report {
        Ok(report) => {
            screen.say(&rendered(&report, args.json));
            report.answer.exit_code()
        }
        Err(error) => could_not_run(screen, &error),
    }
}

fn could_not_run(screen: &Screen, error: &dyn std::error::Error) -> u8 {
    crate::complain(screen, error);
    COULD_NOT_RUN
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
        read_at: Timestamp::from_second(now.as_second()).unwrap_or(now),
        location: args.archive.display().to_string(),
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
    fn an_audit_that_cannot_be_made_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().display().to_string();
        let screen = Screen::to(Box::new(std::io::sink()));
        for arguments in [vec!["--all"], vec!["--all", "--ledger-head", "1:short"], vec!["--user", "nobody"]] {
            let words = ["copilot-archive", "audit", "--archive", &archive].into_iter().chain(arguments);
            let Some(Command::Audit(args)) = Cli::parse_from(words).command else { panic!("no audit") };
            assert_eq!(run(&args, &MapEnv::default(), &SystemClock, &screen), COULD_NOT_RUN);
        }
    }
}
