//! One execution environment: a process that is thawed for each invocation and frozen after it.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{Clock, SystemClock, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::log::Log;
use crate::runtime_api::{Next, Reported, RuntimeApi, Said};

/// Has the kernel kill a process when the thread that started it is gone, and becomes the program: part of util-linux.
const SETPRIV: &str = "/usr/bin/setpriv";

/// How long a process may take to its first poll. Lambda gives it ten seconds; a busy machine may need more, and only a process
/// that never polls takes all of it.
const START: Duration = Duration::from_secs(120);

/// A binary and what it is started with.
#[derive(Debug)]
pub struct Program {
    /// The function's name.
    pub name: String,
    /// The binary.
    pub binary: PathBuf,
    /// Its variables, besides those that Lambda sets itself. Nothing of the tests' own environment reaches it.
    pub variables: BTreeMap<String, String>,
}

/// What became of an invocation.
#[derive(Debug, Clone)]
pub struct Invoked {
    /// Its id.
    pub request_id: String,
    /// The environment that had it.
    pub environment: String,
    /// How it ended.
    pub outcome: Outcome,
    /// From the start of its process to the first poll, if it was started for this.
    pub started_in: Option<Duration>,
}

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With this answer.
    Answered(Bytes),
    /// With an error that the process reported.
    Failed(Reported),
    /// The process ended by itself.
    Exited,
    /// The process was killed at the timeout.
    TimedOut,
    /// The process was killed because the test wanted it.
    Killed,
}

/// An execution environment. Without a process, the next invocation is a cold start.
#[derive(Debug)]
pub struct Environment {
    name: String,
    program: Arc<Program>,
    log: Log,
    process: Option<Process>,
}

/// A running process.
#[derive(Debug)]
struct Process {
    child: Child,
    api: RuntimeApi,
    output: Vec<JoinHandle<()>>,
}

impl Environment {
    /// The n-th environment of a function.
    pub fn new(program: Arc<Program>, number: usize, log: Log) -> Self {
        Self { name: format!("{}-{number}", program.name), program, log, process: None }
    }

    /// Its name, which is also the access key that its calls of AWS are signed with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Invokes the function. Kills the process at the timeout, or as soon as `kill` is ready.
    pub async fn invoke(&mut self, event: &str, timeout: Duration, kill: impl Future<Output = ()>) -> Invoked {
        let request_id = Uuid::from_bytes(domain::Random::bytes16(&domain::OsRandom)).to_string();
        let invoked = |outcome, started_in| Invoked {
            request_id: request_id.clone(),
            environment: self.name.clone(),
            outcome,
            started_in,
        };
        let mut started_in = None;
        let mut process = match self.process.take() {
            Some(process) => {
                process.signal(Signal::CONT);
                process
            }
            None => {
                let begun = SystemClock.now();
                let mut process = Process::start(&self.program, &self.name, &self.log).await;
                if !process.polls().await {
                    process.kill().await;
                    return invoked(Outcome::Exited, None);
                }
                started_in = Some(since(begun));
                process
            }
        };
        let killed_at = SystemClock.now().checked_add(timeout).expect("timeouts are short");
        process.api.give(Next {
            request_id: request_id.clone(),
            killed_at,
            function_arn: format!("arn:aws:lambda:eu-central-1:000000000000:function:{}", self.program.name),
            event: Bytes::copy_from_slice(event.as_bytes()),
        });
        let outcome = tokio::select! {
            biased;
            () = kill => Outcome::Killed,
            outcome = process.answer(&request_id) => outcome,
            () = SystemClock.sleep_until(killed_at) => Outcome::TimedOut,
        };
        if matches!(outcome, Outcome::Answered(_) | Outcome::Failed(_)) {
            process.freeze().await;
            self.process = Some(process);
        } else {
            process.kill().await;
        }
        invoked(outcome, started_in)
    }

    /// Ends the process and waits for its last line.
    pub async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
    }

    /// The process, if there is one.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().and_then(|process| process.child.id())
    }

    /// Whether its process is there and stands still.
    pub fn is_frozen(&self) -> bool {
        self.process.as_ref().is_some_and(Process::is_frozen)
    }
}

impl Process {
    async fn start(program: &Program, name: &str, log: &Log) -> Self {
        let api = RuntimeApi::start().await.expect("a port is free");
        assert!(program.binary.is_file(), "{} is no binary", program.binary.display());
        let mut child = bound(&program.binary)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", api.address().to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", &program.name)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", name)
            .envs(&program.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.binary.display()));
        let out = child.stdout.take().expect("piped above");
        let err = child.stderr.take().expect("piped above");
        let output = vec![
            tokio::spawn(log.clone().read(name.to_owned(), out)),
            tokio::spawn(log.clone().read(name.to_owned(), err)),
        ];
        Self { child, api, output }
    }

    /// Waits for the first poll. `false` if there is none.
    async fn polls(&mut self) -> bool {
        tokio::select! {
            said = self.api.said() => matches!(said, Said::Polled),
            _ = self.child.wait() => false,
            () = SystemClock.sleep(START) => false,
        }
    }

    /// Waits for the answer, and for the poll after it: until then the process still works.
    async fn answer(&mut self, request_id: &str) -> Outcome {
        let mut outcome = None;
        loop {
            let said = tokio::select! {
                biased;
                said = self.api.said() => said,
                _ = self.child.wait() => return Outcome::Exited,
            };
            match (said, &outcome) {
                (Said::Answered { request_id: id, answer }, None) if id == request_id => {
                    outcome = Some(answer.map_or_else(Outcome::Failed, Outcome::Answered));
                }
                (Said::Polled, Some(outcome)) => return outcome.clone(),
                (said, _) => panic!("the process broke the protocol: {said:?}"),
            }
        }
    }

    /// Stops the process, and waits until it stands still or is gone.
    async fn freeze(&mut self) {
        const GRAIN: Duration = Duration::from_millis(1);
        self.signal(Signal::STOP);
        while !self.is_frozen() && matches!(self.child.try_wait(), Ok(None)) {
            SystemClock.sleep(GRAIN).await;
        }
    }

    fn is_frozen(&self) -> bool {
        let Some(id) = self.child.id() else { return false };
        // The state follows the name, which is in parentheses.
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            // One that has ended by itself is found out when it does not answer.
            let _ = kill_process(pid, signal);
        }
    }

    async fn kill(mut self) {
        let _ = self.child.kill().await;
        for output in self.output {
            let _ = output.await;
        }
    }
}

/// What starts this binary. A process that is frozen does not notice that a test was killed and would stand still for ever, so
/// where it can be, it is bound to the thread that starts it. Tests' threads and those of their runtimes end with the
/// runtime, and a process with its stack before that: nothing here blocks in place, by which a runtime's thread would be
/// replaced.
fn bound(binary: &Path) -> Command {
    if !Path::new(SETPRIV).is_file() {
        return Command::new(binary);
    }
    let mut command = Command::new(SETPRIV);
    command.args(["--pdeathsig", "KILL", "--"]).arg(binary);
    command
}

fn since(begun: Timestamp) -> Duration {
    Duration::try_from(SystemClock.now().duration_since(begun)).unwrap_or_default()
}

/// A kill that never comes.
pub(crate) fn never() -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(pending())
}
