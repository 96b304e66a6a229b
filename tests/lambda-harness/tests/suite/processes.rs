//! What befalls a process and what it is started with: standing still inside a call, a secret that is rotated, services that
//! refuse or do not answer.

use std::fs;
use std::time::Duration;

use aws_fake::{Effect, Fault as AwsFault, Service};
use domain::{Clock, SystemClock};
use graph_simulator::{Fault, RequestKind, Rule, Switches};
use lambda_harness::{Gate, Setup, Stack};
use rustix::process::{Pid, Signal, kill_process};

use super::{NEVER, daily, given_up_after, hours, tenant, user};

/// The process of this stack's function: by its environment, in which the ports are the stack's own.
fn process_of(function: &str, address: &str) -> Option<(Pid, String)> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    processes.filter_map(|id| id.parse().ok()).find_map(|id: i32| {
        let environment = fs::read(format!("/proc/{id}/environ")).ok()?;
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let name = format!("AWS_LAMBDA_FUNCTION_NAME={function}\0");
        (environment.contains(&name) && environment.contains(address))
            .then(|| (Pid::from_raw(id).unwrap(), environment))
    })
}

/// The address at which a stack's processes reach its queue: no other stack has it.
fn address(stack: &Stack) -> String {
    stack.queue_url().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stands_still_inside_a_call_goes_on_with_a_new_connection_and_a_new_token() {
    /// How long a token lives. It is renewed at half of it.
    const TOKEN: i64 = 8;
    let mut tenant = tenant();
    let now = tenant.now;
    let users: Vec<_> = (1..=6).map(|number| user(&mut tenant, number, 3, hours(1), hours(1))).collect();
    let gate = Gate::new(None);
    // It never comes, since the connection is cut before.
    let slow = Rule::always(Fault::Slow { millis: NEVER }).user(users[3]).first(1);
    let switches = Switches { token_seconds: TOKEN, ..Switches::with_rules([slow]) };
    let setup = Setup { switches, workers: 1, gate: Some(gate.clone()), ..Setup::new(tenant) };
    let stack = Stack::new(setup).await;
    let run = stack.plan(&daily(now)).await;
    let begun = SystemClock.now();
    let standstill = async {
        Stack::asked(std::sync::Arc::clone(&stack.simulator), users[3], begun).await;
        let (worker, _) = process_of("worker", &address(&stack)).unwrap();
        kill_process(worker, Signal::STOP).unwrap();
        // Longer than the token lives; meanwhile whoever it spoke with has closed.
        SystemClock.sleep(Duration::from_secs(TOKEN as u64 + 1)).await;
        gate.cut();
        let thawed = SystemClock.now();
        kill_process(worker, Signal::CONT).unwrap();
        thawed
    };
    let (thawed, ()) = tokio::join!(standstill, stack.source.step());
    let report = stack.finish(&run).await;
    assert_eq!((&report["complete"], &report["users"]["exported"]), (&true.into(), &6.into()), "{report:#}");
    assert_eq!(stack.source.batches().len(), 1, "the invocation that stood still did all of it");
    let ledger = stack.simulator.ledger();
    let renewed = |one: &&graph_simulator::Record| one.kind == RequestKind::Token && one.started >= thawed;
    assert!(ledger.records().iter().find(renewed).is_some(), "a token of its own after the standstill");
    assert!(ledger.interactions().any(|one| one.started >= thawed), "there was something left to ask");
    stack.expect_truth(users);
    stack.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_rotated_is_read_again_by_a_process_that_runs() {
    let mut tenant = tenant();
    let now = tenant.now;
    let users: Vec<_> = (1..=3).map(|number| user(&mut tenant, number, 3, hours(1), hours(1))).collect();
    let stack = Stack::new(Setup { workers: 1, ..Setup::new(tenant) }).await;
    assert_eq!(stack.run(&daily(now - hours(24))).await["complete"], true);
    // The old secret buys nothing any more, and what it bought is revoked.
    stack.rotate_secret("canary-rotated-secret");
    let report = stack.run(&daily(now)).await;
    assert_eq!((&report["complete"], &report["users"]["exported"]), (&true.into(), &3.into()), "{report:#}");
    assert_eq!((stack.fan_out.environments(), stack.worker.environments()), (1, 1), "the same processes");
    let secrets = stack.fake.calls().iter().filter(|call| call.action == "GetSecretValue").count();
    assert_eq!(secrets, 4, "each process of two read it once, and once again");
    assert!(stack.dead_letters().is_empty());
    stack.expect_truth(users);
    stack.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_stands_in_the_environment_or_command_line_of_a_process() {
    let mut tenant = tenant();
    let now = tenant.now;
    let users = [user(&mut tenant, 1, 3, hours(1), hours(1))];
    let stack = Stack::new(Setup { workers: 1, ..Setup::new(tenant) }).await;
    assert_eq!(stack.run(&daily(now)).await["complete"], true);
    let secret = &stack.simulator.tenant().application.secret;
    for function in ["fan-out", "worker", "reconcile"] {
        let (id, environment) = process_of(function, &address(&stack)).unwrap();
        let arguments = fs::read(format!("/proc/{}/cmdline", id.as_raw_nonzero())).unwrap();
        let seen = environment + &String::from_utf8_lossy(&arguments);
        assert!(seen.contains("GRAPH_SECRET_ID="), "the name of the secret is there");
        for word in [secret.as_str(), "eyJ", "Bearer"] {
            assert!(!seen.contains(word), "{function}: {word}");
        }
    }
    stack.expect_truth(users);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_whose_answer_was_lost_may_double_messages_and_loses_none() {
    /// The most that SQS takes at once.
    const BATCH: usize = 10;
    let mut tenant = tenant();
    let now = tenant.now;
    let users: Vec<_> = (1..=2 * BATCH as u64).map(|number| user(&mut tenant, number, 2, hours(1), hours(1))).collect();
    let stack = Stack::new(Setup { workers: 1, ..Setup::new(tenant) }).await;
    stack.fake.plan(AwsFault::new(Effect::LoseAnswer).service(Service::Sqs).action("SendMessageBatch"));
    stack.fake.plan(AwsFault::new(Effect::FailEntries(vec![2, 6])).service(Service::Sqs).action("SendMessageBatch"));
    let report = stack.run(&daily(now)).await;
    assert_eq!(stack.fake.faults_left(), 0);
    assert_eq!((&report["complete"], &report["users"]["exported"]), (&true.into(), &20.into()), "{report:#}");
    assert_eq!((&report["interactions"]["new"], &report["interactions"]["recovered"]), (&40.into(), &0.into()));
    let messages: usize = stack.source.batches().iter().map(|batch| batch.messages.len()).sum();
    assert_eq!(messages, users.len() + BATCH, "the batch that was not known to be taken came twice");
    stack.expect_truth(users);
    stack.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_refuses_fails_the_run_and_is_not_stormed() {
    for (status, code) in [(403, "AccessDenied"), (404, "NoSuchBucket"), (400, "KMS.DisabledException")] {
        let mut tenant = tenant();
        let now = tenant.now;
        let users: Vec<_> = (1..=3).map(|number| user(&mut tenant, number, 3, hours(1), hours(1))).collect();
        let stack = Stack::new(Setup { workers: 1, queue: given_up_after(2), ..Setup::new(tenant) }).await;
        let run = stack.plan(&daily(now)).await;
        let refused = AwsFault::new(Effect::answer(status, code)).action("PutObject").resource("/segment-");
        stack.fake.plan(refused.times(usize::MAX));
        let report = stack.finish(&run).await;
        assert_eq!((&report["complete"], &report["users"]["empty"]), (&false.into(), &0.into()), "{code}: {report:#}");
        assert_eq!(report["users"]["failed"], 3, "{code}: {report:#}");
        let puts = stack.fake.calls().iter().filter(|call| call.resource.contains("/segment-")).count();
        let deliveries: usize = stack.source.batches().iter().map(|batch| batch.messages.len()).sum();
        assert_eq!(puts, deliveries, "{code}: one each time a user is tried, and no more");
        assert_eq!(stack.dead().len(), 3, "{code}: nothing is acknowledged");
        // Once the bucket takes puts again, the dead letters make everything good.
        stack.fake.clear_faults();
        stack.redrive().await;
        stack.source.drain().await;
        stack.expect_truth(users);
        stack.expect_silence().await;
    }
}
