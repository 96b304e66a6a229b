//! What the functions refuse, and how they say so.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use lambda_harness::{Function, Line, Outcome, Setup, Stack};
use serde_json::Value;

use super::{daily, given_up_after, hours, messages, tenant, user};

/// What an invocation may take that takes no time.
const ENOUGH: Duration = Duration::from_secs(120);

fn errors<'a>(lines: &'a [Line], message: &'a str) -> impl Iterator<Item = Value> + 'a {
    messages(lines, message).filter(|line| line["level"] == "ERROR")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_the_configuration_is_told_to_whoever_invokes_and_logged_once() {
    let setup = Setup::new(tenant())
        .with("GRAPH_TENANT_ID", "canary-tenant")
        .with("GRAPH_BASE_URL", "http://canary.example")
        .with("ARCHIVE_BUCKET", "")
        .with("WORK_QUEUE_URL", "")
        .with("OVERLAP_HOURS", "canary-hours");
    let stack = Stack::new(setup).await;
    let graph = ["GRAPH_BASE_URL"].as_slice();
    let functions: [(&Function, &str, &[&str]); 3] = [
        (&stack.fan_out, r#"{"dryRun":true}"#, graph),
        (&stack.worker, r#"{"Records":[]}"#, graph),
        (&stack.reconcile, "{}", &[]),
    ];
    for (function, event, own) in functions {
        for _ in 0..2 {
            let reported = function.answer(event).await.unwrap_err();
            assert_eq!(reported.error_type, "InvalidConfiguration");
            for name in ["GRAPH_TENANT_ID", "ARCHIVE_BUCKET", "WORK_QUEUE_URL", "OVERLAP_HOURS"].iter().chain(own) {
                assert!(reported.error_message.contains(name), "{name}: {}", reported.error_message);
            }
            assert!(!reported.error_message.contains("canary"), "{}", reported.error_message);
        }
        assert_eq!(function.environments(), 1, "it serves on");
        let lines = function.stop().await;
        assert_eq!(errors(&lines, "the function cannot work as it is configured").count(), 1, "{lines:#?}");
        assert!(lines.iter().all(|line| !line.text.contains("canary")), "{lines:#?}");
    }
    assert!(stack.fake.calls().is_empty(), "nothing is asked with a configuration that is wrong");
    assert!(stack.simulator.ledger().records().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_time_that_was_not_filled_in_is_refused_by_name() {
    let stack = Stack::new(Setup::new(tenant())).await;
    let event = r#"{"scheduledTime":"<aws.scheduler.scheduled-time>"}"#;
    let reported = stack.fan_out.answer(event).await.unwrap_err();
    assert_eq!(reported.error_type, "InvalidPayload");
    assert!(reported.error_message.contains("scheduledTime holds a placeholder"), "{}", reported.error_message);
    let lines = stack.fan_out.stop().await;
    assert_eq!(errors(&lines, "the invocation failed").count(), 1, "logged once: {lines:#?}");
    assert!(stack.objects().is_empty() && stack.simulator.ledger().records().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_reported_without_what_it_says_and_the_process_lives() {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_panics"));
    let function = Function::new("panics", binary, BTreeMap::new(), ENOUGH);
    for _ in 0..2 {
        let reported = function.answer(r#"{"text":"canary-event"}"#).await.unwrap_err();
        assert_eq!(reported.error_type, "Panicked");
        assert!(reported.error_message.contains("panics.rs:"), "{}", reported.error_message);
        assert!(!reported.error_message.contains("canary"), "{}", reported.error_message);
        let alive = function.invoke("{}").await;
        assert_eq!(alive.outcome, Outcome::Answered("\"alive\"".into()));
        assert_eq!(alive.started_in, None, "the same process");
    }
    assert_eq!(function.environments(), 1);
    let lines = function.stop().await;
    assert_eq!(errors(&lines, "the invocation failed").count(), 2, "each logged once: {lines:#?}");
    assert!(lines.iter().all(|line| !line.text.contains("canary")), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_cannot_be_an_environment_ends() {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_panics"));
    let variables = BTreeMap::from([("AWS_LAMBDA_FUNCTION_MEMORY_SIZE".to_owned(), "much".to_owned())]);
    let function = Function::new("panics", binary, variables, ENOUGH);
    assert_eq!(function.invoke("{}").await.outcome, Outcome::Exited);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_fails_alone() {
    let mut tenant = tenant();
    let now = tenant.now;
    let users: Vec<_> = (1..=5).map(|number| user(&mut tenant, number, 4, hours(1), hours(1))).collect();
    let stack = Stack::new(Setup { queue: given_up_after(2), ..Setup::new(tenant) }).await;
    let run = stack.plan(&daily(now)).await;
    let later = format!(r#"{{"v":2,"run_id":"{run}","user_id":"{}"}}"#, users[0]);
    let bad = ["canary-body", later.as_str()];
    for body in bad {
        stack.send(body).await;
    }
    let report = stack.finish(&run).await;
    assert_eq!((&report["complete"], &report["users"]["exported"]), (&true.into(), &5.into()), "{report:#}");
    let mut dead = stack.dead_letters();
    dead.sort_unstable();
    assert_eq!(dead, bad);
    stack.expect_truth(users);
    let lines = stack.worker.stop().await;
    assert_eq!(errors(&lines, "message refused").count(), 4, "each time it came, and nothing of the others");
    assert!(lines.iter().all(|line| !line.text.contains("canary")), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_no_batch_is_refused_whole() {
    let stack = Stack::new(Setup::new(tenant())).await;
    for event in [r#"{"scheduledTime":"canary"}"#, r#"{"Records":[{"body":"canary"}]}"#, r#"["canary"]"#] {
        let reported = stack.worker.answer(event).await.unwrap_err();
        assert_eq!(reported.error_type, "InvalidEvent");
        assert!(!reported.error_message.contains("canary"), "{}", reported.error_message);
    }
    let lines = stack.worker.stop().await;
    assert!(lines.iter().all(|line| !line.text.contains("canary")), "{lines:#?}");
}
