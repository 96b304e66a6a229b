//! Invocations, one after the other.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use domain::{Clock, Deadline, Env, Metric, ProcessEnv, SystemClock};
use futures_util::FutureExt;
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::value::RawValue;
use settings::{MetricNamespace, Place};
use tracing::Instrument;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::metrics::Lines;
use crate::{Failure, SetUpError};

/// Where the last panic happened. Its message is not kept: it may quote what was being worked on.
static PANICKED_AT: Mutex<Option<String>> = Mutex::new(None);

/// One invocation.
#[derive(Debug)]
pub struct Invocation {
    /// The event, as it came.
    pub payload: Box<RawValue>,
    /// Lambda's id of it.
    pub request_id: String,
    /// When work has to stop, well before Lambda kills the process.
    pub deadline: Deadline,
}

/// Starts the process's logs: JSON lines, of which CloudWatch makes our metrics, and only of our own crates.
pub fn start_logs() {
    let level = wiring::logs::level(ProcessEnv.var("AWS_LAMBDA_LOG_LEVEL").as_deref(), LevelFilter::INFO);
    // A fault in it is told with all others, by which the function cannot work.
    let namespace =
        settings::from_env::<MetricNamespace>(&ProcessEnv, Place::Lambda).ok().and_then(|namespace| namespace.0);
    let lines = Lines::new(namespace, Arc::new(SystemClock));
    let lines = tracing_subscriber::fmt::layer().fmt_fields(JsonFields::new()).event_format(lines).with_ansi(false);
    // A second start changes nothing.
    let _ = tracing_subscriber::registry().with(wiring::logs::filter(level)).with(lines).try_init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        *PANICKED_AT.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    }));
}

/// Logs why a function could not be put together, once, at its start. It serves all the same, and answers every invocation
/// with that: whoever invokes it is told what to mend.
pub fn logged<T>(parts: Result<T, SetUpError>) -> Result<T, SetUpError> {
    if let Err(error) = &parts {
        tracing::error!(target: "lambda", error = %Failure::from(error), "the function cannot work as it is configured");
    }
    parts
}

/// Serves invocations until the sandbox ends. An error is logged once, with its chain, and answered with its type; a
/// panic is one too, and the process lives.
pub async fn serve<H, F, A>(handle: H) -> Result<(), lambda_runtime::Error>
where
    H: Fn(Invocation) -> F,
    F: Future<Output = Result<A, Failure>>,
    A: Serialize,
{
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        let LambdaEvent { payload, context } = event;
        let killed_at = i64::try_from(context.deadline).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        let deadline = Deadline::before(killed_at.unwrap_or(Timestamp::MIN), SystemClock.now());
        let span = tracing::info_span!(target: "lambda", "invocation", request_id = context.request_id);
        let invocation = Invocation { payload, request_id: context.request_id, deadline };
        let answer = AssertUnwindSafe(async { handle(invocation).await }).catch_unwind();
        async {
            answer.await.unwrap_or_else(|panic| Err(panicked(panic))).map_err(|failure| {
                let error_type = failure.error_type();
                tracing::error!(
                    target: "lambda",
                    error_type,
                    error = %failure,
                    { Metric::CredentialRefused.name() } = Metric::once(failure.is_credential_refused()),
                    "the invocation failed"
                );
                Diagnostic::from(failure)
            })
        }
        .instrument(span)
        .await
    }))
    .await
}

fn panicked(panic: Box<dyn Any + Send>) -> Failure {
    drop(panic);
    let place = PANICKED_AT.lock().unwrap_or_else(PoisonError::into_inner).take();
    let place = place.unwrap_or_else(|| "an unknown place".to_owned());
    Failure::plain("Panicked", format!("the handler panicked at {place}: this is a mistake in the program, report it"))
}
