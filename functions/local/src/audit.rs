//! The audit of an archive, by the crate that depends on none that writes one.

use std::process::ExitCode;

use crate::cli::AuditArgs;
use crate::screen::Screen;

/// Exit code: no verdict was possible.
const COULD_NOT_RUN: u8 = 3;
/// Exit code: the archive's integrity is broken.
const INTEGRITY: u8 = 2;

/// Verifies the archive.
pub(crate) fn run(args: &AuditArgs, screen: &Screen) -> ExitCode {
    let source = evidence::Folder::new(&args.archive);
    match evidence::verify(&source, &evidence::Expectation::default()) {
        Ok(verdict) if verdict.is_intact() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(INTEGRITY),
        Err(error) => {
            screen.complain(&error.to_string());
            ExitCode::from(COULD_NOT_RUN)
        }
    }
}
