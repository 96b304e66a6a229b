//! Wiring of the local program.

use std::process::ExitCode;

use copilot_archive::{cli, execute, logging};
use domain::ProcessEnv;

/// Threads that run tasks: one for what asks and one for what answers, if the tenant is simulated.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let cli = cli::parse();
    logging::start(&ProcessEnv);
    match tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build() {
        Ok(runtime) => runtime.block_on(execute(cli, &ProcessEnv)),
        Err(error) => {
            tracing::error!(%error, "the runtime cannot be started");
            ExitCode::from(3)
        }
    }
}
