//! Logs of the local program: to standard error.

use domain::Env;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging for the process, of our own crates only. If `RUST_LOG` names no level, what somebody should see is
/// logged: progress and results have a place of their own. A second start changes nothing.
pub fn start(env: &dyn Env) {
    let level = wiring::logs::level(env.var("RUST_LOG").as_deref(), LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let _ = tracing_subscriber::registry().with(wiring::logs::filter(level)).with(lines).try_init();
}
