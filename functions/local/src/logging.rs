//! Logs of the local program: to standard error, and never of the wire.

use domain::Env;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

/// What is logged if `RUST_LOG` does not say: what somebody should see. Progress and results have a place of their own.
const DEFAULT: &str = "warn";

/// Crates whose logs can hold addresses, headers or bodies: silent whatever is asked.
const SILENT: [&str; 8] = ["hyper", "hyper_util", "reqwest", "h2", "rustls", "tower", "tokio_util", "mio"];

/// The filter for what `RUST_LOG` asks.
fn filter(asked: Option<&str>) -> EnvFilter {
    let builder = || EnvFilter::builder().with_default_directive(LevelFilter::WARN.into());
    let asked = asked.filter(|asked| !asked.trim().is_empty()).unwrap_or(DEFAULT);
    // Directives are dropped one by one if they name a silent crate: a more special one would win over `off`.
    let allowed: Vec<&str> = asked
        .split(',')
        .map(str::trim)
        .filter(|directive| {
            let target = directive.split(['=', '[', ':']).next().unwrap_or_default();
            !SILENT.contains(&target)
        })
        .collect();
    let mut filter = builder().parse_lossy(allowed.join(","));
    for name in SILENT {
        if let Ok(directive) = format!("{name}=off").parse() {
            filter = filter.add_directive(directive);
        }
    }
    filter
}

/// Starts logging for the process. A second start changes nothing.
pub fn start(env: &dyn Env) {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter(env.var("RUST_LOG").as_deref()))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_is_silent_whatever_is_asked() {
        for asked in
            [None, Some("trace"), Some("hyper=trace"), Some("hyper::proto=trace,h2[span]=debug, rustls=info"), Some("")]
        {
            let directives = filter(asked).to_string();
            for name in SILENT {
                assert!(directives.split(',').any(|d| d == format!("{name}=off")), "{asked:?}: {directives}");
                assert!(!directives.contains(&format!("{name}=trace")), "{asked:?}: {directives}");
                assert!(!directives.contains(&format!("{name}::")), "{asked:?}: {directives}");
                assert!(!directives.contains(&format!("{name}[")), "{asked:?}: {directives}");
            }
        }
    }

    #[test]
    fn our_own_levels_can_be_asked_for() {
        assert!(filter(Some("worker=debug")).to_string().contains("worker=debug"));
        assert!(filter(None).to_string().contains("warn"));
    }
}
