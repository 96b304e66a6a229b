//! Whole runs without a fault, from each credential.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use graph_simulator::{Federation, RequestKind};
use lambda_harness::{Environment, Log, Outcome, Program, Setup, Stack};

use super::{daily, hours, tenant, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_daily_and_a_history_run_end_equal_to_the_truth() {
    let mut tenant = tenant();
    let now = tenant.now;
    let users: Vec<_> =
        (1..=45).map(|number| user(&mut tenant, number, 3 * number as usize, hours(1), hours(2))).collect();
    let idle = user(&mut tenant, 100, 0, hours(1), hours(1));
    let stack = Stack::new(Setup::new(tenant)).await;

    let report = stack.run(&daily(now)).await;
    assert_eq!(report["complete"], true, "{report:#}");
    assert_eq!((&report["users"]["exported"], &report["users"]["empty"]), (&45.into(), &1.into()));
    assert_eq!(report["interactions"]["already_held"], 0, "{report:#}");
    let history = stack.run(&format!(r#"{{"scheduledTime":"{now}","history":true}}"#)).await;
    assert_eq!((&history["complete"], &history["history_remaining"]), (&true.into(), &0.into()), "{history:#}");

    stack.expect_truth(users.iter().copied().chain([idle]));
    stack.expect_quota_kept();
    assert!(stack.source.batches().len() >= 4, "several batches");
    assert_eq!(stack.worker.environments(), 2, "two at once");
    let secrets = stack.fake.calls().iter().filter(|call| call.action == "GetSecretValue").count();
    assert_eq!(secrets, 3, "once a process: it stays warm");
    stack.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_role_stands_in_for_a_secret() {
    let mut tenant = tenant();
    let identity = aws_fake::Identity::default();
    tenant.application.federation = Some(Federation {
        issuer: identity.issuer,
        subject: identity.subject,
        audience: "api://AzureADTokenExchange".to_owned(),
    });
    let now = tenant.now;
    let user = user(&mut tenant, 1, 7, hours(1), hours(1));
    let setup = Setup::new(tenant).with("GRAPH_CREDENTIAL", "federated").with("GRAPH_SECRET_ID", "");
    let stack = Stack::new(setup).await;
    let report = stack.run(&daily(now)).await;
    assert_eq!(report["complete"], true, "{report:#}");
    stack.expect_truth([user]);
    let calls = stack.fake.calls();
    assert_eq!(calls.iter().filter(|call| call.action == "GetWebIdentityToken").count(), 2, "one a process");
    assert!(calls.iter().all(|call| call.action != "GetSecretValue"));
    assert!(stack.simulator.ledger().records().iter().any(|one| one.kind == RequestKind::Token));
    stack.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_stands_still_between_two_invocations() {
    let program =
        Program { name: "panics".to_owned(), binary: env!("CARGO_BIN_EXE_panics").into(), variables: BTreeMap::new() };
    let mut environment = Environment::new(Arc::new(program), 1, Log::default());
    assert!(!environment.is_frozen());
    for cold in [true, false] {
        let invoked = environment.invoke("{}", Duration::from_secs(10), std::future::pending()).await;
        assert_eq!(invoked.outcome, Outcome::Answered("\"alive\"".into()));
        assert_eq!(invoked.started_in.is_some(), cold);
        assert!(environment.is_frozen());
    }
    environment.stop().await;
    assert!(environment.invoke("{}", Duration::from_secs(10), std::future::pending()).await.started_in.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_each_function_takes_to_its_first_poll() {
    let stack = Stack::new(Setup::new(tenant())).await;
    for (name, function) in [("fan-out", &stack.fan_out), ("worker", &*stack.worker), ("reconcile", &stack.reconcile)] {
        for _ in 0..3 {
            // Whatever it answers to this, it has started.
            let started = function.invoke("{}").await.started_in.unwrap();
            // Shown, not judged: the machine may be busy.
            println!("{name}: {} ms from start to first poll", started.as_millis());
            function.stop().await;
        }
    }
}
