//! What may be logged: what we wrote, and nothing else.
//!
//! The HTTP stack and the AWS SDK log addresses, headers and bodies when asked for detail. Bodies are people's
//! conversations, so their logs are off whatever anybody asks. This is a list of who may speak, not of who may not: a new
//! dependency is silent until somebody decides otherwise.

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterFn, filter_fn};

/// The crates that may log.
const SPEAKERS: [&str; 11] = [
    "archive",
    "aws",
    "copilot_archive",
    "domain",
    "fan_out",
    "graph",
    "lambda",
    "queue",
    "reconcile",
    "settings",
    "worker",
];

/// The filter that lets our own crates speak up to this level.
pub fn filter(level: LevelFilter) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(move |event| *event.level() <= level && speaks(event.target())).with_max_level_hint(level)
}

/// Whether the target is one of our crates or a module of one. The library's own filters compare beginnings, by which
/// `aws` would let `aws_sdk_s3` speak.
fn speaks(target: &str) -> bool {
    SPEAKERS.contains(&target.split("::").next().unwrap_or_default())
}

/// The level that somebody asked for, as Lambda spells it (`AWS_LAMBDA_LOG_LEVEL`) or `RUST_LOG`; else this one. Only a
/// plain level is understood: what is to be seen of one crate is not worth a syntax in which another could be named.
pub fn level(asked: Option<&str>, default: LevelFilter) -> LevelFilter {
    match asked.map(str::trim) {
        Some(asked) if asked.eq_ignore_ascii_case("fatal") => LevelFilter::ERROR,
        Some(asked) => asked.parse().unwrap_or(default),
        None => default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_crates_speak() {
        assert!(speaks("worker") && speaks("worker::batch") && speaks("aws::s3"));
        for silent in
            ["hyper", "h2::proto", "reqwest::connect", "rustls", "aws_smithy_runtime", "aws_sdk_s3", "tower", ""]
        {
            assert!(!speaks(silent), "{silent}");
        }
    }

    #[test]
    fn lambda_and_rust_spellings_are_understood() {
        assert_eq!(level(Some("FATAL"), LevelFilter::INFO), LevelFilter::ERROR);
        assert_eq!(level(Some("debug"), LevelFilter::INFO), LevelFilter::DEBUG);
        assert_eq!(level(Some("hyper=trace"), LevelFilter::INFO), LevelFilter::INFO);
        assert_eq!(level(None, LevelFilter::WARN), LevelFilter::WARN);
    }
}
