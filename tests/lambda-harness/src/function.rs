//! A function: as many environments as are needed at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::environment::{Environment, Invoked, Outcome, Program, never};
use crate::log::{Line, Log};
use crate::runtime_api::Reported;

/// A function and its environments.
#[derive(Debug)]
pub struct Function {
    program: Arc<Program>,
    timeout: Duration,
    log: Log,
    idle: Mutex<Vec<Environment>>,
    said: Mutex<Vec<String>>,
    made: AtomicUsize,
}

impl Function {
    /// A function that runs this binary with these variables, and may take this long for an invocation.
    pub fn new(name: &str, binary: PathBuf, variables: BTreeMap<String, String>, timeout: Duration) -> Self {
        Self {
            program: Arc::new(Program { name: name.to_owned(), binary, variables }),
            timeout,
            log: Log::default(),
            idle: Mutex::default(),
            said: Mutex::default(),
            made: AtomicUsize::new(0),
        }
    }

    /// Invokes it.
    pub async fn invoke(&self, event: &str) -> Invoked {
        self.invoke_within(event, self.timeout, never()).await
    }

    /// Invokes it with a timeout of its own, in a process that is killed as soon as `kill` is ready.
    pub async fn invoke_within(&self, event: &str, timeout: Duration, kill: impl Future<Output = ()>) -> Invoked {
        let idle = self.idle().pop();
        let mut environment = idle.unwrap_or_else(|| {
            let number = self.made.fetch_add(1, Relaxed) + 1;
            Environment::new(Arc::clone(&self.program), number, self.log.clone())
        });
        let invoked = environment.invoke(event, timeout, kill).await;
        self.idle().push(environment);
        let said = match &invoked.outcome {
            Outcome::Answered(body) => String::from_utf8_lossy(body).into_owned(),
            Outcome::Failed(reported) => format!("{reported:?}"),
            Outcome::Exited | Outcome::TimedOut | Outcome::Killed => String::new(),
        };
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push(said);
        invoked
    }

    /// The answer to this event.
    pub async fn answer(&self, event: &str) -> Result<Value, Reported> {
        match self.invoke(event).await.outcome {
            Outcome::Answered(body) => Ok(serde_json::from_slice(&body).expect("an answer is JSON")),
            Outcome::Failed(reported) => Err(reported),
            outcome => panic!("{} did not answer: {outcome:?}", self.program.name),
        }
    }

    /// How long an invocation may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How many environments there are.
    pub fn environments(&self) -> usize {
        self.made.load(Relaxed)
    }

    /// Ends all processes and gives everything they wrote. The next invocation is a cold start.
    pub async fn stop(&self) -> Vec<Line> {
        let mut environments = std::mem::take(&mut *self.idle());
        for environment in &mut environments {
            environment.stop().await;
        }
        *self.idle() = environments;
        self.log.lines()
    }

    /// Everything it ever answered.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Environment>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
