//! Runs the functions' binaries through good and bad days and writes down what they did: each call of AWS, each line of the
//! logs, each answer. What the template grants, what its alarms look for, and what docs/LOGGING.md says is held against it.
//!
//! `record FILE`, with FUNCTIONS_DIR as `tests/functions` prints it.

#![expect(clippy::expect_used, clippy::panic, reason = "a test's world fails loudly")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use aws_fake::{Call, Effect, Fault as AwsFault, Identity};
use domain::{Clock, SystemClock, TenantId, Timestamp, UserId};
use graph_simulator::{Fault, Federation, Item, RequestKind, Rule, Tenant, plain};
use jiff::SignedDuration;
use lambda_harness::{Fate, Setup, Stack, named};
use queue::Options;
use serde_json::{Value, json};

/// Longer than anything waits, in milliseconds.
const NEVER: u64 = 3_600_000;

fn tenant() -> Tenant {
    let now = Timestamp::from_second(SystemClock.now().as_second()).expect("it is now");
    Tenant::new(TenantId::from_bytes([7; 16]), now)
}

fn user(tenant: &mut Tenant, number: u64, count: usize) -> UserId {
    let user = tenant.add_licensed(number);
    let mut created = tenant.now - SignedDuration::from_hours(1);
    for n in 0..count {
        assert!(tenant.add_item(user, Item::new(plain(user, n, created), created)), "each item is another");
        created -= SignedDuration::from_mins(2);
    }
    user
}

fn daily(at: Timestamp) -> String {
    format!(r#"{{"scheduledTime":"{at}"}}"#)
}

/// What a stack did, and how it was asked to.
async fn recorded(name: &str, stack: &Stack) -> Value {
    let depth = stack.dead_letters().len();
    let mut lines = Vec::new();
    let mut answers = BTreeMap::new();
    for (function, of) in [("fan-out", &stack.fan_out), ("worker", &*stack.worker), ("reconcile", &stack.reconcile)] {
        for line in of.stop().await {
            lines.push(json!({ "function": function, "text": line.text }));
        }
        answers.insert(function, of.said());
    }
    let calls = stack.fake.calls().into_iter().flat_map(|call| {
        let function = call.access_key.rsplit_once('-').map_or("", |(function, _)| function).to_owned();
        let (actions, resource, status) = (call.iam_actions(), call.resource, call.status);
        actions.into_iter().map(
            move |action| json!({ "function": function, "action": action, "resource": resource, "status": status }),
        )
    });
    let calls: Vec<Value> = calls.collect();
    let items: usize = stack.simulator.tenant().users().iter().map(|user| user.items().len()).sum();
    json!({ "name": name, "items": items, "dead_letters": depth, "calls": calls, "lines": lines, "answers": answers })
}

/// Everything that the schedules start, without a fault and with a token of the role.
async fn good_days() -> Value {
    let mut tenant = tenant();
    let now = tenant.now;
    for number in 1..=8 {
        user(&mut tenant, number, 6);
    }
    let identity = Identity::default();
    tenant.application.federation = Some(Federation {
        issuer: identity.issuer,
        subject: identity.subject,
        audience: "api://AzureADTokenExchange".to_owned(),
    });
    let stack = Stack::new(Setup::new(tenant).with("GRAPH_CREDENTIAL", "federated").with("GRAPH_SECRET_ID", "")).await;
    stack.run(&daily(now - SignedDuration::from_hours(24))).await;
    stack.run(&format!(r#"{{"scheduledTime":"{now}","history":true}}"#)).await;
    stack.run(&format!(r#"{{"scheduledTime":"{now}","lookbackHours":48}}"#)).await;
    // As the schedules do: planned twice, and closed by who looks for what is open.
    stack.plan(&daily(now)).await;
    stack.plan(&daily(now)).await;
    stack.source.drain().await;
    stack.reconcile.answer("{}").await.expect("it answers");
    stack.plan(&daily(now)).await;
    recorded("good days", &stack).await
}

/// All that makes functions look again and send again; in the end somebody failed, and somebody is missing. What is killed is
/// killed when what must be seen of it was seen, however slow the machine.
async fn bad_day() -> Value {
    let mut tenant = tenant();
    let now = tenant.now;
    let [killer, garbled, forgotten] = [1, 2, 3].map(|number| user(&mut tenant, number, 4));
    for number in 4..=7 {
        user(&mut tenant, number, 4);
    }
    let setup = Setup { queue: Options { max_receive_count: 4, ..Options::default() }, ..Setup::new(tenant) };
    let stack = Stack::new(setup).await;
    stack.run(&daily(now - SignedDuration::from_hours(24))).await;
    stack.lose_checkpoint(forgotten);
    // One whose new items are archived, and one whose page is kept as it came.
    [forgotten, garbled].into_iter().for_each(|user| stack.mark(user, 1));
    let kills = || Rule::always(Fault::Slow { millis: NEVER }).user(killer);
    stack.simulator.change(|switches| switches.rules = vec![kills(), Rule::always(Fault::Garbage).user(garbled)]);
    stack.fake.plan(AwsFault::new(Effect::HangDone).action("PutObject").resource("/segment-"));
    stack.fake.plan(AwsFault::new(Effect::LoseAnswer).action("PutObject").resource("/receipts/"));
    stack.fake.plan(AwsFault::new(Effect::LoseAnswer).action("PutObject").resource("/entry-"));
    stack.fake.plan(AwsFault::new(Effect::LoseAnswer).action("PutObject").resource("quarantine/"));
    let (fake, simulator) = (stack.fake.clone(), Arc::clone(&stack.simulator));
    let (before, first) = (fake.calls().len(), AtomicBool::new(true));
    stack.source.decide(move |messages| {
        let (fake, simulator, users) = (fake.clone(), Arc::clone(&simulator), named(messages));
        if first.swap(false, Relaxed) {
            // After a segment that its writer does not know to be there, and before the receipt that would name it.
            let kill = async move { fake.until(|calls| segment(&calls[before..]).is_some_and(|put| put.done)).await };
            return Fate { kill: Box::pin(kill), ..Fate::default() };
        }
        if !users.contains(&killer) {
            return Fate::default();
        }
        if messages.iter().any(|one| one.receive_count > 2) {
            // The killer has killed once more and is well again. By now each is read alone, and deleted before the next.
            simulator.change(|switches| switches.rules.retain(|rule| rule.when.user != Some(killer)));
            return Fate::default();
        }
        let kill = async move {
            Stack::asked(simulator, killer, SystemClock.now()).await;
            fake.until(|calls| {
                let calls = &calls[before..];
                // Whoever put the first segment meets it and looks into it; the page is kept, and who is held is archived.
                let done = |action: &str, part: &str, user: &UserId| {
                    let made = |one: &Call| one.action == action && one.done && one.resource.contains(part);
                    calls.iter().any(|one| made(one) && one.resource.contains(&user.to_string()))
                };
                users.iter().all(|user| {
                    let meets = segment(calls).is_some_and(|put| put.resource.contains(&user.to_string()));
                    (!meets || done("GetObject", "/segment-", user))
                        && (*user != garbled || done("PutObject", "quarantine/", user))
                        && (*user != forgotten || done("PutObject", "/segment-", user))
                })
            })
            .await;
        };
        Fate { kill: Box::pin(kill), ..Fate::default() }
    });
    stack.run(&daily(now)).await;
    // Alone, so that nobody else depends on when it kills: each time, and it is missing in the end.
    stack.simulator.change(|switches| switches.rules.push(kills()));
    let simulator = Arc::clone(&stack.simulator);
    stack.source.decide(move |_| {
        let kill = Stack::asked(Arc::clone(&simulator), killer, SystemClock.now());
        Fate { kill: Box::pin(kill), ..Fate::default() }
    });
    stack.run(&format!(r#"{{"runId":"alone","users":["{killer}"]}}"#)).await;
    recorded("bad day", &stack).await
}

/// The first of these calls that puts a segment.
fn segment(calls: &[Call]) -> Option<&Call> {
    calls.iter().find(|one| one.action == "PutObject" && one.resource.contains("/segment-"))
}

/// A user whose pages do not fit into one invocation: handed over, and read to the end by others.
async fn long_day() -> Value {
    /// What a worker is given while a page does not come; twice as much each time the message comes again.
    const GIVEN: Duration = Duration::from_secs(4);
    let mut tenant = tenant();
    let now = tenant.now;
    let heavy = user(&mut tenant, 1, 300);
    for number in 2..=3 {
        user(&mut tenant, number, 4);
    }
    let stack = Stack::new(Setup::new(tenant)).await;
    let held_back = Rule::always(Fault::Slow { millis: NEVER }).user(heavy).page(2);
    stack.simulator.change(|switches| switches.rules = vec![held_back]);
    let simulator = Arc::clone(&stack.simulator);
    stack.source.decide(move |messages| {
        let of_heavy: Vec<_> = messages.iter().filter(|one| one.body.contains(&heavy.to_string())).collect();
        if of_heavy.iter().any(|one| !one.body.contains("\"hops\":0")) {
            simulator.change(|switches| switches.rules.clear());
        }
        let received = of_heavy.iter().map(|one| one.receive_count).max();
        let timeout = received.filter(|_| of_heavy.iter().all(|one| one.body.contains("\"hops\":0")));
        Fate { timeout: timeout.map(|received| GIVEN * 2_u32.pow(received - 1)), ..Fate::default() }
    });
    stack.run(&daily(now)).await;
    recorded("long day", &stack).await
}

/// The stack, planned by today's daily run.
async fn planned(setup: Setup, now: Timestamp) -> Stack {
    let stack = Stack::new(setup).await;
    stack.plan(&daily(now)).await;
    stack
}

/// Entra gives no token: at the start of a run, or in the middle of it.
async fn refused(at_work: bool) -> Value {
    let mut tenant = tenant();
    let now = tenant.now;
    user(&mut tenant, 1, 4);
    let setup = Setup { queue: Options { max_receive_count: 2, ..Options::default() }, ..Setup::new(tenant) };
    let refuse = Rule::always(Fault::Aadsts(7_000_222)).kind(RequestKind::Token);
    if at_work {
        let stack = planned(setup, now).await;
        stack.simulator.change(|switches| switches.rules = vec![refuse]);
        stack.source.drain().await;
        return recorded("refused at work", &stack).await;
    }
    let stack = Stack::new(setup).await;
    stack.simulator.change(|switches| switches.rules = vec![refuse]);
    let reported = stack.fan_out.answer(&daily(now)).await.expect_err("Entra gives no token");
    assert_eq!(reported.error_type, "Unauthorised", "{reported:?}");
    recorded("refused at the start", &stack).await
}

/// A variable that cannot be understood.
async fn misconfigured() -> Value {
    let stack = Stack::new(Setup::new(tenant()).with("OVERLAP_HOURS", "three days")).await;
    stack.fan_out.answer("{}").await.expect_err("the configuration is wrong");
    recorded("misconfigured", &stack).await
}

/// The event source is off: whatever is planned waits.
async fn nobody_works() -> Value {
    let mut tenant = tenant();
    let now = tenant.now;
    user(&mut tenant, 1, 4);
    let stack = planned(Setup::new(tenant), now).await;
    stack.reconcile.answer("{}").await.expect("it answers");
    recorded("nobody works", &stack).await
}

#[tokio::main]
async fn main() {
    let Some(path) = std::env::args().nth(1) else { panic!("usage: record FILE") };
    let scenarios = [
        good_days().await,
        bad_day().await,
        long_day().await,
        refused(false).await,
        refused(true).await,
        misconfigured().await,
        nobody_works().await,
    ];
    let record = json!({ "tenant_id": TenantId::from_bytes([7; 16]).to_string(), "scenarios": scenarios });
    std::fs::write(&path, serde_json::to_vec(&record).expect("it is JSON")).expect("it can be written");
}
