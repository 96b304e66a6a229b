//! Log lines that CloudWatch also counts: JSON lines, to which those that say a metric get what makes them embedded metric
//! format, <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.

use std::fmt;
use std::sync::Arc;

use domain::{Clock, Metric};
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

/// Writes an event as a line. Its fields stand at the top of the line, where CloudWatch looks for the values of metrics, so a
/// line that says one needs only to be told which of its members are some, and that is added at its end.
#[derive(Debug)]
pub(crate) struct Lines {
    json: Format<Json>,
    namespace: Option<String>,
    clock: Arc<dyn Clock>,
}

impl Lines {
    /// Lines whose metrics are counted in this namespace; `None` for nowhere.
    pub(crate) fn new(namespace: Option<String>, clock: Arc<dyn Clock>) -> Self {
        Self { json: format().json().flatten_event(true), namespace, clock }
    }

    /// What the specification calls the metadata of these metrics. No dimension: the set of them is there, and is empty. No unit:
    /// CloudWatch would keep what is counted apart from the values that earlier versions left.
    fn metadata(&self, namespace: &str, metrics: &[Metric]) -> Value {
        let metrics: Vec<Value> = metrics.iter().map(|metric| json!({ "Name": metric.name() })).collect();
        json!({
            "Timestamp": self.clock.now().as_millisecond(),
            "CloudWatchMetrics": [{ "Namespace": namespace, "Dimensions": [[]], "Metrics": metrics }],
        })
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let (Some(namespace), false) = (&self.namespace, said.0.is_empty()) else {
            return self.json.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.json.format_event(context, Writer::new(&mut line), event)?;
        let members = line.trim_end().strip_suffix('}').ok_or(fmt::Error)?;
        writeln!(writer, r#"{members},"_aws":{}}}"#, self.metadata(namespace, &said.0))
    }
}

/// The metrics of which an event has a value.
#[derive(Debug, Default)]
struct Said(Vec<Metric>);

impl Visit for Said {
    fn record_u64(&mut self, field: &Field, _: u64) {
        self.0.extend(Metric::ALL.into_iter().find(|metric| metric.name() == field.name()));
    }

    // What is no count is no value of a metric.
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Mutex, PoisonError};

    use domain::Timestamp;
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::fmt::format::JsonFields;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    const NOW: &str = "2026-11-24T03:00:00.25Z";

    #[derive(Debug)]
    struct Stopped(Timestamp);

    #[async_trait::async_trait]
    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            self.0
        }

        async fn sleep(&self, _: std::time::Duration) {}
    }

    #[derive(Debug, Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Output {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// What is written while this is done, line by line.
    fn written(namespace: Option<&str>, work: impl FnOnce()) -> Vec<Value> {
        let output = Output::default();
        let lines = Lines::new(namespace.map(str::to_owned), Arc::new(Stopped(NOW.parse().unwrap())));
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(lines)
            .with_ansi(false)
            .with_writer(output.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let bytes = output.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.ends_with('\n') || text.is_empty(), "{text}");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A line that says two metrics, and not a third.
    fn closed() {
        tracing::info_span!("invocation", request_id = "r-1").in_scope(|| {
            tracing::warn!(
                run_id = "a \"run\"}",
                { Metric::RunsIncomplete.name() } = Metric::once(true),
                { Metric::DailyRunsClosed.name() } = Metric::once(false),
                { Metric::UsersFailed.name() } = 7_u64,
                "run closed"
            );
        });
    }

    #[test]
    fn a_line_that_says_metrics_names_those_that_have_a_value() {
        let lines = written(Some("CopilotArchive/a-stack"), closed);
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(
            line["_aws"],
            json!({
                "Timestamp": NOW.parse::<Timestamp>().unwrap().as_millisecond(),
                "CloudWatchMetrics": [{
                    "Namespace": "CopilotArchive/a-stack",
                    "Dimensions": [[]],
                    "Metrics": [{ "Name": "RunsIncomplete" }, { "Name": "UsersFailed" }],
                }],
            })
        );
        assert_eq!((&line["RunsIncomplete"], &line["UsersFailed"]), (&json!(1), &json!(7)));
        assert_eq!(line.get("DailyRunsClosed"), None);
    }

    #[test]
    fn nothing_else_about_the_line_changes() {
        let without_time = |namespace| {
            let mut lines = written(namespace, closed);
            let members = lines[0].as_object_mut().unwrap();
            assert_eq!(members.remove("_aws").is_some(), namespace.is_some());
            assert!(members.remove("timestamp").is_some());
            lines
        };
        let plain = without_time(None);
        assert_eq!((&plain[0]["level"], &plain[0]["message"]), (&json!("WARN"), &json!("run closed")));
        assert_eq!((&plain[0]["run_id"], &plain[0]["span"]["request_id"]), (&json!("a \"run\"}"), &json!("r-1")));
        assert_eq!(without_time(Some("CopilotArchive/a-stack")), plain);
    }

    #[test]
    fn a_line_without_a_metric_is_a_log_line_only() {
        let lines = written(Some("CopilotArchive/a-stack"), || {
            tracing::info!(waiting = 3_u64, "run open");
            tracing::info!({ Metric::UsersFailed.name() } = "seven", "no count");
        });
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.get("_aws").is_none()), "{lines:?}");
    }
}
