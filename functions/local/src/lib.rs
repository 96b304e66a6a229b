//! The same handlers in one process on a folder.
//!
//! What runs on AWS as three functions with a queue and two buckets runs here as one program with a queue in memory and a
//! folder, or a bucket with the feature `s3`: [`look`](mod@look) calls fan-out's, the worker's and reconcile's own `handle` in turns. The tenant is a
//! [`real`] one, or one that the program serves for itself, [`simulated`].

pub mod audit;
pub mod cli;
pub mod custody;
pub mod doctor;
pub mod drive;
mod given;
pub mod location;
pub mod logging;
pub mod look;
pub mod output;
pub mod real;
pub mod request;
#[cfg(feature = "s3")]
pub mod s3;
pub mod screen;
pub mod simulated;
pub mod stop;
pub mod texts;
pub mod world;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use domain::{Chain, Clock, Env, SystemClock};

use crate::cli::{Cli, Command, RunArgs};
use crate::given::Given;
use crate::location::Place;
use crate::look::{LookError, Outcome};
use crate::output::{Banner, SimulatedBanner};
use crate::real::RealError;
use crate::screen::Screen;
use crate::simulated::SimulatedError;
use crate::stop::{Stop, Stopper};
use crate::world::World;

/// Exit code: every run is complete.
const COMPLETE: u8 = 0;
/// Exit code: something is missing; running again goes on.
const INCOMPLETE: u8 = 1;
/// Exit code: what was asked or configured is refused, and nothing was written.
const REFUSED: u8 = 2;
/// Exit code: it failed.
const FAILURE: u8 = 3;

/// What names a real tenant's application: without a tenant, it is one that was forgotten.
const APPLICATION: [&str; 3] = ["GRAPH_CLIENT_ID", "GRAPH_CLIENT_SECRET", "GRAPH_CERTIFICATE_FILE"];

/// Does what the command line says.
pub async fn execute(cli: Cli, env: &dyn Env) -> ExitCode {
    let screen = Arc::new(Screen::of_process(env));
    match cli.command {
        None => run(&cli.run, env, &screen).await,
        Some(Command::Run(args)) => run(&args, env, &screen).await,
        Some(Command::Audit(args)) => ExitCode::from(audit::run(&args, env, &SystemClock, &screen).await),
        Some(Command::Doctor(args)) => {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let account = doctor::Account::default();
            ExitCode::from(Box::pin(doctor::run(&args, env, &clock, &account, &screen)).await)
        }
        Some(Command::Transcript(args)) => ExitCode::from(audit::transcript(&args, env, &SystemClock, &screen).await),
        Some(Command::Coverage(args)) => ExitCode::from(custody::coverage(&args, env, &screen).await),
        Some(Command::Hold(args)) => ExitCode::from(custody::hold(&args, env, &screen).await),
        Some(Command::Erase(args)) => ExitCode::from(custody::erase(&args, env, &screen).await),
    }
}

async fn run(args: &RunArgs, env: &dyn Env, screen: &Arc<Screen>) -> ExitCode {
    let env = Given { env, tenant: args.tenant.as_deref(), client_id: args.client_id.as_deref() };
    if set(&env, "GRAPH_TENANT_ID") {
        return run_real(args, &env, screen).await;
    }
    match APPLICATION.into_iter().find(|name| set(&env, name)) {
        Some(name) => {
            screen
                .complain(&format!("{name} is given, but no tenant: add --tenant or GRAPH_TENANT_ID, or leave it out"));
            ExitCode::from(REFUSED)
        }
        None => run_simulated(args, &env, screen).await,
    }
}

fn set(env: &dyn Env, name: &str) -> bool {
    env.var(name).is_some_and(|value| !value.is_empty())
}

async fn run_simulated(args: &RunArgs, env: &Given<'_>, screen: &Arc<Screen>) -> ExitCode {
    let place = match Place::open(&args.archive, env).await {
        Ok(place) => place,
        Err(error) => return failed(screen, &error, REFUSED),
    };
    let simulated = match simulated::contoso(args.seed, env, place).await {
        Ok(simulated) => simulated,
        Err(error) => {
            let refused = matches!(error, SimulatedError::Configuration(_));
            return failed(screen, &error, if refused { REFUSED } else { FAILURE });
        }
    };
    let banner = SimulatedBanner { seed: args.seed, factor: simulated::FACTOR, starts_at: simulated.starts_at };
    let tenant = simulated.simulator.tenant().name.to_lowercase();
    screen.say(&banner_of(args, tenant, Some(banner)).render(screen.style));
    let looked = attended(&simulated.world, args, screen).await;
    if let Ok(outcome) = &looked {
        let seen = simulated.seen();
        if seen.requests > 0 {
            screen.say(&seen.render());
        }
        // Somebody to audit, by way of example.
        let adele = simulated.simulator.tenant().find(simulated::SOMEBODY).map(|user| user.upn.as_str());
        let user = args.users.first().map(String::as_str).or(adele);
        let options = if args.seed == cli::SEED { String::new() } else { format!(" --seed {}", args.seed) };
        finish(args, screen, env, outcome, &options, user);
    }
    let code = exit_code(looked, screen);
    simulated.stop().await;
    code
}

async fn run_real(args: &RunArgs, env: &Given<'_>, screen: &Arc<Screen>) -> ExitCode {
    let place = match Place::open(&args.archive, env).await {
        Ok(place) => place,
        Err(error) => return failed(screen, &error, REFUSED),
    };
    let world = match real::world(env, place) {
        Ok(world) => world,
        Err(error) => {
            let failure = matches!(error, RealError::Client(_) | RealError::Transport(_));
            return failed(screen, &error, if failure { FAILURE } else { REFUSED });
        }
    };
    screen.say(&banner_of(args, world.tenant.to_string(), None).render(screen.style));
    let looked = attended(&world, args, screen).await;
    if let Ok(outcome) = &looked {
        let given = [("--tenant", &args.tenant), ("--client-id", &args.client_id)];
        let options = given.into_iter().filter_map(|(name, value)| Some(format!(" {name} {}", value.as_ref()?)));
        finish(args, screen, env, outcome, &options.collect::<String>(), args.users.first().map(String::as_str));
    }
    exit_code(looked, screen)
}

fn banner_of(args: &RunArgs, tenant: String, simulated: Option<SimulatedBanner>) -> Banner {
    Banner { version: env!("CARGO_PKG_VERSION"), tenant, simulated, archive: args.archive.to_string() }
}

/// Looks, while somebody may press Ctrl-C.
async fn attended(world: &World, args: &RunArgs, screen: &Arc<Screen>) -> Result<Outcome, LookError> {
    let (stopper, stop) = Stop::pair();
    let request = args.request();
    tokio::select! {
        looked = look::look(world, &request, screen, &stop) => looked,
        // Dropping the look is what a power cut does, and as harmless.
        () = interrupts(&stopper, screen) => Ok(Outcome { complete: false, stopped: true }),
    }
}

/// Asks the look to stop at the first interrupt and returns at the second.
async fn interrupts(stopper: &Stopper, screen: &Screen) {
    if tokio::signal::ctrl_c().await.is_err() {
        return std::future::pending().await;
    }
    screen
        .say("\nstopping when the users in flight are read; Ctrl-C again stops at once, which loses nothing either\n");
    stopper.stop();
    let _ = tokio::signal::ctrl_c().await;
}

fn exit_code(looked: Result<Outcome, LookError>, screen: &Screen) -> ExitCode {
    match looked {
        Ok(outcome) => ExitCode::from(if outcome.complete { COMPLETE } else { INCOMPLETE }),
        Err(error) => failed(screen, &error, if error.is_refusal() { REFUSED } else { FAILURE }),
    }
}

/// The last lines. `options` are those that a further start needs as well.
fn finish(args: &RunArgs, screen: &Screen, env: &dyn Env, outcome: &Outcome, options: &str, user: Option<&str>) {
    if args.dry_run {
        return;
    }
    let program = match env.var("CARGO") {
        Some(_) if cfg!(feature = "s3") => "cargo run -q -p copilot-archive --features s3 --".to_owned(),
        Some(_) => "cargo local".to_owned(),
        None => std::env::args().next().unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned()),
    };
    if outcome.stopped {
        screen.say(&output::stopped(&program, &args.archive.to_string(), options));
    } else {
        screen.say(&output::next(&program, &args.archive, options, user));
    }
}

fn failed(screen: &Screen, error: &dyn Error, code: u8) -> ExitCode {
    complain(screen, error);
    ExitCode::from(code)
}

/// Says what went wrong, with its causes.
fn complain(screen: &Screen, error: &dyn Error) {
    screen.complain(&Chain(error).to_string());
}
