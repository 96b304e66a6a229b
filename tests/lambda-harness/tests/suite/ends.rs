//! Whole runs without a fault, from each credential.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, SystemClock};
use graph_simulator::{Certificate, Federation, Profile, RequestKind, Tenant, UserState};
use jiff::SignedDuration;
use lambda_harness::{Environment, Log, Outcome, Program, Setup, Stack};

use super::{daily, hours, tenant, user};

/// What an invocation may take that takes no time.
const ENOUGH: Duration = Duration::from_secs(120);

/// A function that needs no stack.
fn panics() -> Program {
    Program { name: "panics".to_owned(), binary: env!("CARGO_BIN_EXE_panics").into(), variables: BTreeMap::new() }
}

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
    // Two at once, unless one was done before the other began.
    let workers = stack.worker.environments();
    assert!(workers <= 2, "{workers}");
    let secrets = stack.fake.calls().iter().filter(|call| call.action == "GetSecretValue").count();
    assert_eq!(secrets, stack.fan_out.environments() + workers, "once a process: it stays warm");
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
async fn a_certificate_stands_in_for_a_secret() {
    const KEY: &str = include_str!("../../../../shared/graph/tests/data/key.pem");
    let mut tenant = tenant();
    // What does not verify with it gets no token.
    let public_key_pem = include_str!("../../../../shared/graph/tests/data/public.pem").to_owned();
    tenant.application.certificate = Some(Certificate { public_key_pem });
    let now = tenant.now;
    let user = user(&mut tenant, 1, 7, hours(1), hours(1));
    let stack = Stack::new(Setup::new(tenant).with("GRAPH_CREDENTIAL", "certificate")).await;
    stack.set_secret(&[include_str!("../../../../shared/graph/tests/data/certificate.pem"), KEY].concat());
    let report = stack.run(&daily(now)).await;
    assert_eq!(report["complete"], true, "{report:#}");
    stack.expect_truth([user]);
    let secrets = stack.fake.calls().iter().filter(|call| call.action == "GetSecretValue").count();
    assert_eq!(secrets, 2, "one a process that asks Graph");
    for function in [&stack.fan_out, &*stack.worker] {
        let lines = function.stop().await;
        let mut key = KEY.lines().filter(|line| !line.starts_with('-'));
        assert!(key.all(|part| lines.iter().all(|line| !line.text.contains(part))), "the key stands in a log");
    }
    stack.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_company_is_archived_item_by_item_and_byte_by_byte() {
    let now = tenant().now;
    let tenant = Tenant::generate(&Profile { now, ..Profile::contoso() }, 42);
    let setup = Setup { requests_per_second: 480.0, batch: 100, ..Setup::new(tenant) };
    // Its items hold no canary, so nothing is searched for, and traces of them all would only take time.
    let stack = Stack::new(setup.with("RUST_LOG", "").with("AWS_LAMBDA_LOG_LEVEL", "")).await;
    let first = stack.run(&daily(now)).await;
    let count = |of: &str| first["users"][of].as_u64().unwrap();
    let unavailable = first["users"]["unavailable"].as_object().unwrap();
    let of_them: u64 = unavailable.values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(first["complete"], true, "{first:#}");
    assert_eq!(count("planned"), count("exported") + count("empty") + of_them, "{first:#}");
    assert!(unavailable.len() >= 2, "licence and history missing: {first:#}");

    let mut at = now;
    loop {
        let history = stack.run(&format!(r#"{{"scheduledTime":"{at}","history":true}}"#)).await;
        assert_eq!(history["complete"], true, "{history:#}");
        if history["history_remaining"] == 0 {
            break;
        }
        at += SignedDuration::from_secs(1);
        assert!(at - now < SignedDuration::from_secs(8), "history does not end: {history:#}");
    }
    let tenant = Arc::clone(stack.simulator.tenant());
    let readable = tenant.users().iter().filter(|user| tenant.is_licensed(user) && user.state == UserState::Normal);
    stack.expect_truth(readable.map(|user| user.id));

    let second = stack.run(&daily(now + SignedDuration::from_secs(1))).await;
    assert_eq!(second["complete"], true, "{second:#}");
    let interactions = &second["interactions"];
    assert_eq!(interactions["new"], 0, "a second run adds nothing: {second:#}");
    assert_eq!(interactions["received"], interactions["already_held"]);
    assert_eq!(interactions["received"], first["interactions"]["received"], "it is shown the same again");
    stack.expect_quota_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_stands_still_between_two_invocations() {
    let mut environment = Environment::new(Arc::new(panics()), 1, Log::default());
    assert!(!environment.is_frozen());
    for cold in [true, false] {
        let invoked = environment.invoke("{}", ENOUGH, std::future::pending()).await;
        assert_eq!(invoked.outcome, Outcome::Answered("\"alive\"".into()));
        assert_eq!(invoked.started_in.is_some(), cold);
        assert!(environment.is_frozen());
    }
    environment.stop().await;
    assert!(environment.invoke("{}", ENOUGH, std::future::pending()).await.started_in.is_some());
}

#[test]
fn a_process_does_not_outlive_who_started_it() {
    let started = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut environment = Environment::new(Arc::new(panics()), 1, Log::default());
        runtime.block_on(environment.invoke("{}", ENOUGH, std::future::pending()));
        assert!(environment.is_frozen());
        let id = environment.process_id().unwrap();
        // As if killed: nobody gets to end the process in good order.
        std::mem::forget(environment);
        id
    });
    let stat = format!("/proc/{}/stat", started.join().unwrap());
    let is_there = || {
        let stat = std::fs::read_to_string(&stat).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    };
    let patience = SystemClock.now() + ENOUGH;
    while is_there() {
        assert!(SystemClock.now() < patience, "it stands still for ever");
        std::thread::yield_now();
    }
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
