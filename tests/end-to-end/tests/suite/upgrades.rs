//! Two versions side by side: what one has begun, the other finishes.
//!
//! `tests/archives/v1-in-flight` was left by the first version in the middle of two runs. It is finished as it is; with what a
//! later version may add; and without what an earlier one did not write yet. The other way round, what is written today has
//! every member that the kept files have, so that a version which knows no more goes on from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use archive::records::FORMAT;
use archive::{ArchiveError, OpenError};
use domain::{Env, Kind, ProcessEnv, RunId, UserId};
use end_to_end::half_way::{ANN, BOB, CID, DEE, GUS, half_way};
use end_to_end::{BATCH, InFlight, World};
use fan_out::FanOutError;
use graph_simulator::{UserState, numbered};
use queue::{Delivery, Outgoing, Queue};
use reconcile::ReconcileError;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{ago, hours, one_user};

/// Objects whose members are names that count, or months: what a later version adds there is no unknown member.
const MAPS: [&str; 5] = ["excluded", "requests", "lateness", "unavailable", "months"];

/// The kept one; with `IN_FLIGHT`, one that another version left.
fn kept() -> InFlight {
    let folder = ProcessEnv
        .var("IN_FLIGHT")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../archives/v1-in-flight"), PathBuf::from);
    InFlight::load(&folder)
}

/// The two runs in flight.
fn runs(kept: &InFlight) -> BTreeSet<RunId> {
    let of_message = |body: &String| serde_json::from_str::<Value>(body).unwrap()["run_id"].as_str().unwrap().parse();
    kept.messages.iter().map(|body| of_message(body).unwrap()).collect()
}

/// Closes both runs, reads on until there is nothing left, and holds the archive against the truth of the tenant.
async fn finish(kept: InFlight) -> World {
    let runs = runs(&kept);
    assert_eq!(runs.len(), 2, "a daily run and a history run");
    let world = kept.world(23).await;
    // One that counts as absent would cost requests only, and nobody would notice.
    for number in [ANN, BOB, CID, DEE, GUS] {
        assert!(world.archive().await.checkpoint(numbered(number)).await.unwrap().is_stored(), "of user {number}");
    }
    for run in runs {
        let report = world.finish(&run).await;
        assert!(report.complete, "{report:#?}");
        if report.kind == Kind::Daily {
            let leavers = (report.users.leavers, report.users.unavailable.get("no-licence").copied());
            assert_eq!(leavers, (1, Some(1)), "who left is planned, and Graph refuses");
            assert_eq!((report.attempts_lost, report.interactions.recovered), (1, 1), "the killed attempt's segment");
            assert_eq!(report.quarantined_pages, 1, "the page that was broken for a while");
        }
    }
    while !world.history().await.users.excluded.contains_key("history-done") {
        world.pass(hours(1)).await;
    }
    world.pass(hours(1)).await;
    assert!(world.daily().await.complete);
    let tenant = world.simulator.tenant();
    assert!(tenant.users().iter().all(|user| user.state == UserState::Normal));
    world.expect_truth(tenant.users().iter().map(|user| user.id));
    world
}

#[tokio::test(start_paused = true)]
async fn runs_that_the_first_version_left_in_flight_are_finished() {
    finish(kept()).await;
}

/// The files and messages, each JSON object in them changed. What a changed file's hash stands in is made to fit.
fn changed(mut kept: InFlight, change: &dyn Fn(&str, &mut Map<String, Value>)) -> InFlight {
    let keys: Vec<String> = kept.objects.keys().cloned().collect();
    // The ledger last: it names the others.
    for key in keys
        .iter()
        .filter(|key| !key.starts_with("ledger/"))
        .chain(keys.iter().filter(|key| key.starts_with("ledger/")))
    {
        let Some(kind) = kind_of(key) else { continue };
        let mut lines = lines_of(key, &kept.objects[key]);
        for line in &mut lines {
            everywhere(line, &|object| change(kind, object));
            for file in line.get_mut("files").and_then(Value::as_array_mut).into_iter().flatten() {
                let bytes = &kept.objects[file["key"].as_str().unwrap()];
                file["sha256"] =
                    json!(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>());
                file["bytes"] = json!(bytes.len());
            }
        }
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let is_compressed = key.ends_with(".zst");
        let bytes = if is_compressed { zstd::encode_all(text.as_bytes(), 3).unwrap() } else { text.into_bytes() };
        kept.objects.insert(key.clone(), bytes);
    }
    for body in &mut kept.messages {
        let mut message: Value = serde_json::from_str(body).unwrap();
        everywhere(&mut message, &|object| change("message", object));
        *body = message.to_string();
    }
    kept
}

/// What the object of a key is; none for content, which has no member to add, and for help.
fn kind_of(key: &str) -> Option<&'static str> {
    let kinds = [
        ("archive.json", "archive"),
        ("/roster.jsonl.zst", "roster"),
        ("/run.json", "run"),
        ("/users.jsonl.zst", "users"),
        ("/report.json", "report"),
    ];
    match kinds.into_iter().find(|(end, _)| key.ends_with(end)) {
        Some((_, kind)) => Some(kind),
        None if key.contains("/receipts/") => Some("receipt"),
        None if key.starts_with("ledger/") => Some("ledger"),
        None if key.starts_with("state/") && key.contains("user_id=") => Some("checkpoint"),
        None => None,
    }
}

fn lines_of(key: &str, bytes: &[u8]) -> Vec<Value> {
    let text = if key.ends_with(".zst") { zstd::decode_all(bytes).unwrap() } else { bytes.to_vec() };
    std::str::from_utf8(&text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn everywhere(value: &mut Value, change: &dyn Fn(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            for (name, member) in object.iter_mut() {
                if !MAPS.contains(&name.as_str()) {
                    everywhere(member, change);
                } else if name == "months" {
                    member.as_object_mut().unwrap().values_mut().for_each(|log| everywhere(log, change));
                }
            }
            change(object);
        }
        Value::Array(list) => list.iter_mut().for_each(|member| everywhere(member, change)),
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn runs_that_a_later_version_left_in_flight_are_finished() {
    // First and last in the order in which they are written here: readers rely on no order.
    let later = changed(kept(), &|_, object| {
        object.insert("Later".to_owned(), json!({"user_id": [null], "format": 9}));
        object.insert("zz_later".to_owned(), json!("a later version's"));
    });
    let world = finish(later).await;
    // What this version has to write again has its own members only.
    let state = world.store.objects();
    let state = |user| state[&format!("state/tenant_id={}/user_id={user}.json", world.simulator.tenant().id)].clone();
    assert!(!String::from_utf8(state(numbered(BOB)).to_vec()).unwrap().contains("later"));
}

#[tokio::test(start_paused = true)]
async fn runs_that_an_earlier_version_left_in_flight_are_finished() {
    finish(changed(kept(), &|kind, object| {
        object.retain(|_, value| !value.is_null());
        // These came later than the format.
        match kind {
            "checkpoint" => object.retain(|name, _| name != "failed" && name != "not_before"),
            "report" => object.retain(|name, _| name != "leavers"),
            _ => {}
        }
    }))
    .await;
}

/// The members of a value with the types that they take: what a reader relies on.
fn members(value: &Value, at: &str, found: &mut BTreeMap<String, BTreeSet<&'static str>>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    found.entry(at.to_owned()).or_default().insert(kind);
    match value {
        Value::Array(list) => list.iter().for_each(|member| members(member, &format!("{at}[]"), found)),
        Value::Object(object) if at != "report.requests" && MAPS.iter().any(|map| at.ends_with(&format!(".{map}"))) => {
            object.values().for_each(|member| members(member, &format!("{at}.*"), found));
        }
        Value::Object(object) => {
            object.iter().for_each(|(name, member)| members(member, &format!("{at}.{name}"), found));
        }
        _ => {}
    }
}

fn all_members(left: &InFlight) -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut found = BTreeMap::new();
    for (key, bytes) in &left.objects {
        if let Some(kind) = kind_of(key) {
            lines_of(key, bytes).iter().for_each(|line| members(line, kind, &mut found));
        }
    }
    for body in &left.messages {
        members(&serde_json::from_str(body).unwrap(), "message", &mut found);
    }
    found
}

#[tokio::test(start_paused = true)]
async fn what_this_version_leaves_in_flight_an_earlier_one_can_read() {
    let (before, today) = (all_members(&kept()), all_members(&half_way().await));
    for kind in ["archive", "roster", "run", "receipt", "users", "report", "ledger", "checkpoint", "message"] {
        assert!(before.contains_key(kind), "the kept set has no {kind}");
    }
    for (member, types) in before {
        let now = today.get(&member).unwrap_or_else(|| panic!("{member} is not written any more"));
        assert!(now.is_subset(&types), "{member} was {types:?} and is {now:?}");
    }
}

/// Two users, of whom the second's message is of a later version.
async fn with_a_later_message() -> (World, RunId, [UserId; 2]) {
    let (mut tenant, first) = one_user(9);
    let second = tenant.add_licensed(2);
    tenant.add_items(second, 9, ago(hours(3)), hours(1));
    let world = World::new(tenant);
    let at = world.seconds();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
    let batch = world.queue.receive(BATCH).await;
    world.queue.delete(batch.iter().map(|delivery| delivery.receipt_handle.clone()).collect()).await.unwrap();
    for Delivery { body, .. } in batch {
        let is_later = body.contains(&second.to_string());
        let body = if is_later { body.replace(r#"{"v":1,"#, r#"{"v":2,"shard":"a","#) } else { body };
        world.queue.send(vec![Outgoing { body, delay: Duration::ZERO }]).await.unwrap();
    }
    (world, RunId::scheduled(at, Kind::Daily), [first, second])
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_later_version_is_refused_alone_and_stays_as_it_is_for_a_worker_that_reads_it() {
    let (world, run, [first, second]) = with_a_later_message().await;
    world.invoke(0, world.queue.receive(BATCH).await).await;
    assert_eq!((world.held(first), world.held(second)), (9, 0), "the others of its batch are read");
    let depth = world.queue.depth().await.unwrap();
    assert_eq!((depth.in_flight, depth.visible), (1, 0), "it comes again by itself, while a newer worker is deployed");

    world.drain().await;
    let dead = world.queue.dead_letters();
    assert_eq!(dead.len(), 1, "after as many receives as any message");
    assert!(dead[0].body.starts_with(r#"{"v":2,"shard":"a","#), "as it was sent: {}", dead[0].body);

    // Nothing is lost meanwhile: who is missing is sent again by this version's reconcile.
    let report = world.finish(&run).await;
    assert!(report.complete, "{report:#?}");
    world.expect_truth([first, second]);
    // The newer worker takes it from the dead letters and finds the user done; an older one refuses it once more.
    assert_eq!(world.queue.redrive(), 1);
    world.invoke(0, world.queue.receive(BATCH).await).await;
    world.expect_truth([first, second]);
}

#[tokio::test(start_paused = true)]
async fn an_archive_of_a_later_format_is_refused_untouched_by_every_function() {
    let kept = kept();
    let messages = kept.messages.len();
    let mut later = kept;
    let archive = &later.objects["archive.json"];
    let mut archive: Value = serde_json::from_slice(archive).unwrap();
    archive["format"] = json!(FORMAT + 1);
    later.objects.insert("archive.json".to_owned(), archive.to_string().into_bytes());
    let world = later.world(23).await;
    let before = world.store.objects();
    let payload = format!(r#"{{"scheduledTime":"{}"}}"#, world.seconds());
    let refused = |error: &OpenError| matches!(error, OpenError::NewerFormat { found } if *found == FORMAT + 1);
    assert!(matches!(world.fan_out(&payload).await, Err(FanOutError::Open(error)) if refused(&error)));
    assert!(matches!(world.try_reconcile("{}").await, Err(ReconcileError::Open(error)) if refused(&error)));
    let batch = world.queue.receive(BATCH).await;
    assert_eq!(batch.len(), messages);
    world.invoke(0, batch).await;
    assert_eq!(world.queue.depth().await.unwrap().in_flight, messages as u64, "every message comes again");
    assert_eq!(world.store.objects(), before);
    assert!(world.simulator.ledger().records().is_empty(), "and Graph is not asked");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_later_format_planned_waits_for_it_and_others_go_on() {
    let (tenant, user) = one_user(9);
    let world = World::new(tenant);
    let at = world.seconds();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
    let run = RunId::scheduled(at, Kind::Daily);
    let key = format!("runs/{run}/run.json");
    let ours = world.store.objects()[&key].clone();
    let mut later: Value = serde_json::from_slice(&ours).unwrap();
    later["format"] = json!(FORMAT + 1);
    world.store.overwrite(&key, later.to_string());
    world.fan_out(&format!(r#"{{"runId":"other","users":["{user}"]}}"#)).await.unwrap();
    world.invoke(0, world.queue.receive(BATCH).await).await;
    let refused = world.try_reconcile("{}").await;
    assert!(
        matches!(refused, Err(ReconcileError::Archive(ArchiveError::NewerFormat { found, .. })) if found == FORMAT + 1),
        "{refused:?}"
    );
    let archive = world.archive().await;
    let other: RunId = "other".parse().unwrap();
    assert!(archive.closed(&other).await.unwrap().is_some(), "the other run is read and closed");
    assert!(archive.receipts(&run).await.unwrap().is_empty(), "nobody reads on by a plan that may mean something else");
    // Its program is there.
    world.store.overwrite(&key, ours);
    assert!(world.finish(&run).await.complete);
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_counts_whatever_a_later_version_says_in_it() {
    let (mut tenant, user) = one_user(9);
    let other = tenant.add_licensed(2);
    let world = World::new(tenant);
    world.run(&format!(r#"{{"users":["{other}"]}}"#)).await;
    let key = format!("erased/tenant_id={}/user_id={user}.json", world.simulator.tenant().id);
    let tombstone = json!({"user_id": user, "erased_at": world.now(), "reason": null, "later": [user]});
    world.store.overwrite(&key, tombstone.to_string());
    let report = world.daily().await;
    assert_eq!((report.users.planned, report.users.excluded.get("erased")), (1, Some(&1)));
    world.expect_truth([]);
}
