//! The simulated Graph as a program, to grade any exporter with.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use domain::{Clock, ScaledClock, SystemClock};
use graph_simulator::{Profile, Script, Simulator, Tenant, serve, write_forms, write_truth};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// How long an answer may be on its way to a client on the same machine before a request counts as one that knew of it.
const GRACE: Duration = Duration::from_millis(50);

/// A simulated Microsoft Graph and Entra, to grade an exporter of Copilot interactions with.
///
/// It prints one line of JSON: the origin that stands for both graph.microsoft.com and login.microsoftonline.com, and tenant,
/// client and secret to use. Let the exporter run against it, compare what it archived with what --write-truth wrote, and end
/// the simulator (Ctrl-C): it says how well the exporter kept its manners.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  graph-simulator --listen 127.0.0.1:8080 --write-truth truth
      a company of 440 users; truth/<user id>.jsonl holds what an exporter must end up with
  graph-simulator --real-time --static-token letmein
      on the machine's clock, for clients that compare times; `letmein` is accepted as a bearer token
  graph-simulator --switches worst-day.json
      {\"switches\":{\"latency_ms\":150,\"rules\":[{\"when\":{\"probability\":0.05},\"fault\":{\"status\":503}}]},
       \"schedule\":[{\"at\":\"2026-11-24T03:10:00Z\",\"set\":{\"quota\":{\"per_second\":3}}}]}"
)]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Which tenant: the same seed gives the same bytes.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// How large a tenant.
    #[arg(long, value_enum, default_value_t = Size::Contoso)]
    profile: Size,
    /// Leave out the items that break assumptions: for clients that fail at the first odd date.
    #[arg(long)]
    tame: bool,
    /// How many times faster than real the clock runs; it begins at 2026-11-24T03:00:00Z.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Run on the machine's clock instead.
    #[arg(long, conflicts_with = "speed")]
    real_time: bool,
    /// How the service behaves: a file with the switches and when they change. Without it, as the strongest evidence says.
    #[arg(long, value_name = "FILE")]
    switches: Option<PathBuf>,
    /// A bearer token that is accepted for ever, for clients that bring their own.
    #[arg(long, value_name = "TOKEN")]
    static_token: Vec<String>,
    /// Write the truth into this folder.
    #[arg(long, value_name = "DIR")]
    write_truth: Option<PathBuf>,
    /// Write every form of interaction into this file, one a line, with what a person reads in it.
    #[arg(long, value_name = "FILE")]
    write_forms: Option<PathBuf>,
    /// Write every request into this file at the end, as JSON Lines.
    #[arg(long, value_name = "FILE")]
    write_ledger: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Size {
    /// 440 users, some 24 thousand items.
    Contoso,
    /// 40 users.
    Small,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let profile = match arguments.profile {
        Size::Contoso => Profile::contoso(),
        Size::Small => Profile::small(),
    };
    let profile = Profile { hostile: !arguments.tame, ..profile };
    let tenant = Arc::new(Tenant::generate(&profile, arguments.seed));
    if let Some(folder) = &arguments.write_truth {
        write_truth(&tenant, folder)?;
    }
    if let Some(file) = &arguments.write_forms {
        write_forms(file)?;
    }
    let clock: Arc<dyn Clock> = if arguments.real_time {
        Arc::new(SystemClock)
    } else {
        Arc::new(ScaledClock::new(tenant.now, arguments.speed))
    };
    let mut script = match &arguments.switches {
        Some(file) => Script::from_json(&std::fs::read_to_string(file)?)?,
        None => Script::default(),
    };
    script.switches.static_tokens.extend(arguments.static_token);
    let simulator = Arc::new(Simulator::scripted(Arc::clone(&tenant), script, clock));
    let mut terminated = signal(SignalKind::terminate())?;
    let server = serve(Arc::clone(&simulator), TcpListener::bind(arguments.listen).await?)?;
    let line = serde_json::json!({
        "origin": server.origin(), "tenant_id": tenant.id, "client_id": tenant.application.client_id,
        "client_secret": tenant.application.secret, "now": simulator.clock().now(),
    });
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
    }
    drop(server);
    let ledger = simulator.ledger();
    if let Some(file) = &arguments.write_ledger {
        let mut file = io::BufWriter::new(std::fs::File::create(file)?);
        for record in ledger.records() {
            writeln!(file, "{}", serde_json::to_string(record)?)?;
        }
        file.flush()?;
    }
    let factor = if arguments.real_time { 1.0 } else { arguments.speed.max(1.0) };
    write!(out, "{}", ledger.summary(GRACE.mul_f64(factor)))
}
