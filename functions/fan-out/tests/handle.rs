//! What a fan-out asks, writes and sends.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use archive::records::{Counts, Exclusion, UserLine, Why};
use archive::store::Store;
use archive::{Stores, layout};
use domain::{Deadline, Kind, RunId, Window};
use fan_out::{FanOutError, Invocation};
use jiff::SignedDuration;
use queue::Queue;
use serde_json::json;
use tokio::sync::Barrier;

use support::{DAILY, Meeting, Refusing, TENANT, World, group, producer, time, user};

const HISTORY: &str = r#"{"scheduledTime":"2026-11-24T03:00:00Z","history":true}"#;

fn run(id: &str) -> RunId {
    id.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_daily_run_plans_everybody_licensed() {
    let world = World::new();
    let answer = world.answer(DAILY).await;
    assert_eq!(
        answer,
        json!({"runId": "20261124T030000Z", "kind": "daily", "enumerated": 4, "excluded": {"plan-disabled": 1}, "planned": 3})
    );

    let messages = world.messages().await;
    assert_eq!(messages.iter().map(|message| message.user_id).collect::<Vec<_>>(), [user(1), user(2), user(3)]);
    for message in messages {
        assert_eq!(message.run_id, run("20261124T030000Z"));
        assert_eq!((message.from, message.to), (None, Some(time("2026-11-24T01:00:00Z"))));
        assert_eq!((message.not_after, message.hops), (None, 0));
    }

    let archive = world.archive().await;
    let file = archive.run(&run("20261124T030000Z")).await.unwrap().unwrap();
    assert_eq!((file.kind, file.from, file.to), (Kind::Daily, None, Some(time("2026-11-24T01:00:00Z"))));
    assert_eq!(file.asked.scheduled_time, Some(time("2026-11-24T03:00:00Z")));
    assert_eq!(file.deadline, file.started_at + SignedDuration::from_hours(23));
    assert_eq!((file.enumerated, file.planned, file.overlap_hours), (4, 3, 72));
    assert_eq!(file.producer, producer());

    let roster = archive.roster(&file.run_id).await.unwrap().unwrap();
    assert_eq!(roster.iter().map(|line| line.user_id).collect::<Vec<_>>(), [1, 2, 3, 4].map(user));
    assert_eq!(roster[0].upn.as_deref(), Some("user1@contoso.com"));
    assert!(roster.iter().all(|line| line.why == Why::Licensed && line.planned == line.excluded.is_none()));
    assert_eq!(roster[3].excluded, Some(Exclusion::PlanDisabled));
}

#[tokio::test(start_paused = true)]
async fn names_are_in_the_roster_alone() {
    let world = World::new();
    world.call(r#"{"runId":"case","users":["USER1@contoso.com"],"exclude":["user2@contoso.com"]}"#).await.unwrap();
    let run_file = world.archive().await.get(&layout::run_file(&run("case"))).await.unwrap().unwrap();
    let delivery = &world.queue.receive(1).await[0];
    for text in [String::from_utf8(run_file.to_vec()).unwrap(), delivery.body.clone()] {
        assert!(text.contains(&user(1).to_string()), "{text}");
        assert!(!text.to_lowercase().contains("contoso"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn groups_and_lists_exclude() {
    let mut world = World::new();
    world.directory(|state| state.groups = [(0x11, vec![1, 2, 5]), (0x12, vec![2, 3]), (0x13, vec![3])].into());
    world.deps.rules.include_groups = vec![group(0x11).parse().unwrap(), group(0x12).parse().unwrap()];
    world.deps.rules.exclude_groups = vec![group(0x13).parse().unwrap()];

    let answer = world.answer("{}").await;
    assert_eq!(answer["runId"], "od-8476a536-e9f4-11e8-9739-2dfe598c3fcd");
    assert_eq!(answer["excluded"], json!({"plan-disabled": 1, "exclude": 1}));
    let payload = format!(r#"{{"runId":"b","groups":["{}"]}}"#, group(0x11));
    assert_eq!(world.answer(&payload).await["excluded"], json!({"plan-disabled": 1, "not-in-groups": 1}));
    let payload = format!(r#"{{"runId":"c","exclude":["user1@contoso.com","{}"]}}"#, user(2));
    let answer = world.answer(&payload).await;
    assert_eq!((&answer["planned"], &answer["excluded"]), (&json!(0), &json!({"plan-disabled": 1, "exclude": 3})));
    // The configuration does not bind a run that names its users.
    let payload = format!(r#"{{"runId":"d","users":["{}"]}}"#, user(3));
    assert_eq!(world.answer(&payload).await["planned"], 1);
    let asked = world.archive().await.run(&run("d")).await.unwrap().unwrap().asked;
    assert_eq!((asked.include_groups, asked.exclude_groups), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_plans_nobody_is_written_and_sends_nothing() {
    let world = World::new();
    world.directory(|state| {
        state.groups.insert(0x11, vec![]);
    });
    let answer = world.answer(&format!(r#"{{"runId":"a","groups":["{}"]}}"#, group(0x11))).await;
    assert_eq!((&answer["enumerated"], &answer["planned"]), (&json!(4), &json!(0)));
    assert!(world.archive().await.run(&run("a")).await.unwrap().is_some());
    assert!(world.queue.depth().await.unwrap().is_quiet());
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_for_is_planned_whatever_the_directory_says() {
    let world = World::new();
    let payload = format!(r#"{{"runId":"a","users":["{}","{}","user5@contoso.com","{}"]}}"#, user(9), user(4), user(5));
    let answer = world.answer(&payload).await;
    assert_eq!((&answer["enumerated"], &answer["planned"]), (&json!(3), &json!(3)));
    let roster = world.archive().await.roster(&run("a")).await.unwrap().unwrap();
    assert!(roster.iter().all(|line| line.why == Why::Asked));
    assert_eq!(roster[2].user_id, user(9));
    assert_eq!(roster[2].upn, None);
    assert!(world.asked().iter().all(|path| !path.contains("subscribedSkus")), "only these are looked up");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_resolved_is_refused_by_position_and_nothing_is_written() {
    let world = World::new();
    let payload = r#"{"users":["user1@contoso.com","nobody@contoso.com"],"exclude":["noone@contoso.com"]}"#;
    let error = world.call(payload).await.unwrap_err();
    assert_eq!(error.error_type(), "InvalidPayload");
    let unknown = "is not known to the directory: give the object id";
    assert_eq!(error.to_string(), format!("the payload is refused: users[1] {unknown}; exclude[0] {unknown}"));

    let error = world.call(&format!(r#"{{"groups":["{}"]}}"#, group(0x11))).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the payload is refused: groups[0] is no group that the directory shows to this application"
    );
    let mut world = world;
    world.deps.rules.exclude_groups = vec![group(0x11).parse().unwrap()];
    let error = world.call(DAILY).await.unwrap_err();
    assert_eq!(error.error_type(), "InvalidConfiguration");
    assert!(error.to_string().contains("EXCLUDE_GROUPS[0]"), "{error}");
    assert_eq!(world.keys().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_without_licences_or_consent_is_an_error_that_writes_nothing() {
    let world = World::new();
    world.directory(|state| state.grants = false);
    let error = world.call(DAILY).await.unwrap_err();
    assert!(matches!(error, FanOutError::NoGrantingSku { skus: 2 }), "{error}");
    world.directory(|state| {
        state.grants = true;
        state.users.clear();
    });
    assert!(matches!(world.call(DAILY).await.unwrap_err(), FanOutError::NobodyEnumerated));
    assert_eq!(world.keys().await, [""; 0]);

    let world = World::new();
    world.directory(|state| state.consent = false);
    let error = world.call(DAILY).await.unwrap_err();
    assert!(matches!(&error, FanOutError::Graph(graph::GraphError::MissingRole { .. })), "{error:?}");
    assert_eq!(world.asked(), [""; 0], "consent is checked before anything is asked");
    assert_eq!(world.keys().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_fires_twice_makes_one_run() {
    let world = World::new();
    let first = world.answer(DAILY).await;
    world.messages().await;
    world.asked();
    world.directory(|state| {
        state.users.insert(7, Some(true));
    });
    let before = world.keys().await;
    assert_eq!(world.answer(DAILY).await, first);
    assert_eq!(world.messages().await.len(), 3, "open: the planned users of the roster that lies there");
    assert_eq!(world.asked(), [""; 0], "nothing has to be asked");
    assert_eq!(world.keys().await, before);
}

#[tokio::test(start_paused = true)]
async fn a_closed_run_sends_nothing_and_answers_as_before() {
    let world = World::new();
    let first = world.answer(DAILY).await;
    world.messages().await;
    world.archive().await.append_ledger(&run("20261124T030000Z"), vec![], producer()).await.unwrap();
    assert_eq!(world.answer(DAILY).await, first);
    assert_eq!(world.messages().await, []);
}

/// What a run at this time plans, and why; the run is closed.
async fn planned_on(world: &World, date: &str) -> Vec<(domain::UserId, Why)> {
    let id = run(&format!("{}T030000Z", date.replace('-', "")));
    world.call(&format!(r#"{{"scheduledTime":"{date}T03:00:00Z"}}"#)).await.unwrap();
    let archive = world.archive().await;
    archive.append_ledger(&id, vec![], producer()).await.unwrap();
    let roster = archive.roster(&id).await.unwrap().unwrap();
    assert!(roster.iter().map(|line| line.user_id).is_sorted());
    roster.iter().filter(|line| line.planned).map(|line| (line.user_id, line.why)).collect()
}

#[tokio::test(start_paused = true)]
async fn who_lost_the_licence_is_read_for_some_days_and_then_dropped() {
    let mut world = World::new();
    world.deps.rules.leavers = SignedDuration::from_hours(48);
    let licensed = |numbers: &[u8]| numbers.iter().map(|n| (user(*n), Why::Licensed)).collect::<Vec<_>>();
    assert_eq!(planned_on(&world, "2026-11-24").await, licensed(&[1, 2, 3]));
    // One is deleted, one keeps the licence and loses the plan. Who never had the plan is no leaver.
    world.directory(|state| {
        state.users.remove(&1);
        state.users.insert(2, Some(false));
    });
    for (date, leavers) in [("2026-11-25", true), ("2026-11-26", true), ("2026-11-27", false)] {
        let day = time(&format!("{date}T03:00:20Z"));
        world.clock.sleep(day.duration_since(world.clock.now()).unsigned_abs()).await;
        let left: Vec<_> = [1, 2].iter().filter(|_| leavers).map(|n| (user(*n), Why::Leaver)).collect();
        assert_eq!(planned_on(&world, date).await, [left, licensed(&[3])].concat(), "{date}");
    }
    let roster = world.archive().await.roster(&run("20261125T030000Z")).await.unwrap().unwrap();
    assert_eq!(roster[0].upn.as_deref(), Some("user1@contoso.com"), "the names are the last known");
    assert_eq!(roster[0].licences, []);
    // With the licence back, the user is one like any other.
    world.directory(|state| {
        state.users.insert(2, Some(true));
    });
    world.clock.sleep(std::time::Duration::from_secs(86_400)).await;
    assert_eq!(planned_on(&world, "2026-11-28").await, licensed(&[2, 3]));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_a_leaver_of_a_run_of_some_or_without_days() {
    let mut world = World::new();
    planned_on(&world, "2026-11-24").await;
    world.directory(|state| {
        state.users.remove(&1);
        state.groups.insert(0x11, vec![2, 3]);
    });
    let of_group = world.answer(&format!(r#"{{"runId":"a","groups":["{}"]}}"#, group(0x11))).await;
    assert_eq!((&of_group["enumerated"], &of_group["planned"]), (&json!(3), &json!(2)));
    assert_eq!(world.answer(&format!(r#"{{"runId":"b","users":["{}"]}}"#, user(2))).await["enumerated"], 1);
    assert_eq!(world.answer(r#"{"runId":"c"}"#).await["enumerated"], 4, "a leaver among them");
    world.deps.rules.leavers = SignedDuration::ZERO;
    assert_eq!(world.answer(r#"{"runId":"d"}"#).await["enumerated"], 3);
}

#[tokio::test(start_paused = true)]
async fn nobody_plans_who_was_erased() {
    let world = World::new();
    planned_on(&world, "2026-11-24").await;
    world.messages().await;
    let tombstone = layout::erased(TENANT, user(2));
    world.archive().await.put_once(&tombstone, bytes::Bytes::from_static(b"{}")).await.unwrap();
    let asked = format!(r#"{{"runId":"b","users":["{}","{}"]}}"#, user(2), user(3));
    for (payload, planned) in [(r#"{"runId":"a"}"#, [1, 3].as_slice()), (&asked, &[3])] {
        assert_eq!(world.answer(payload).await["excluded"]["erased"], 1);
        let messages = world.messages().await;
        let users: Vec<_> = messages.iter().map(|message| message.user_id).collect();
        assert_eq!(users, planned.iter().map(|n| user(*n)).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_id_belongs_to_one_request() {
    let world = World::new();
    let ask = |users: &str| format!(r#"{{"runId":"case","users":[{users}]}}"#);
    let two = format!(r#""{}","user2@contoso.com""#, user(1));
    world.call(&ask(&two)).await.unwrap();
    // The same request in other words: names resolved, order and repetition aside.
    let same = format!(r#""{}","user1@contoso.com","user2@contoso.com""#, user(2));
    assert!(world.call(&ask(&same)).await.is_ok());
    world.messages().await;
    for other in [
        ask(&format!(r#""{}""#, user(1))),
        r#"{"runId":"case"}"#.to_owned(),
        ask(&two).replace('}', r#","history":true}"#),
    ] {
        let error = world.call(&other).await.unwrap_err();
        assert_eq!(error.error_type(), "RunReused", "{other}");
    }
    assert_eq!(world.messages().await, []);
    // A schedule's own id with another look-back.
    let scheduled = |hours| format!(r#"{{"scheduledTime":"2026-11-24T03:00:00Z","lookbackHours":{hours}}}"#);
    assert_eq!(world.answer(&scheduled(24)).await["runId"], "20261124T030000Z-lookback");
    assert_eq!(world.call(&scheduled(48)).await.unwrap_err().error_type(), "RunReused");
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_after_the_configuration_was_changed() {
    let mut world = World::new();
    let first = world.answer(DAILY).await;
    world.directory(|state| {
        state.groups.insert(0x11, vec![1]);
    });
    world.deps.rules.include_groups = vec![group(0x11).parse().unwrap()];
    assert_eq!(world.answer(DAILY).await, first);
}

#[tokio::test(start_paused = true)]
async fn who_was_killed_after_the_roster_is_gone_on_from() {
    let world = World::new();
    world.call(DAILY).await.unwrap();
    world.messages().await;
    world.store.remove(&layout::run_file(&run("20261124T030000Z")));
    world.directory(|state| {
        state.users.insert(7, Some(true));
    });
    let answer = world.answer(DAILY).await;
    assert_eq!(
        (&answer["enumerated"], &answer["planned"]),
        (&json!(4), &json!(3)),
        "the roster that lies there counts"
    );
    assert_eq!(world.messages().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_roster_of_another_request_is_not_gone_on_from() {
    let world = World::new();
    world.call(&format!(r#"{{"runId":"case","users":["{}"]}}"#, user(1))).await.unwrap();
    world.store.remove(&layout::run_file(&run("case")));
    for other in [format!(r#"{{"runId":"case","users":["{}"]}}"#, user(2)), r#"{"runId":"case"}"#.to_owned()] {
        assert_eq!(world.call(&other).await.unwrap_err().error_type(), "RunReused");
    }
    assert!(!world.keys().await.contains(&layout::run_file(&run("case"))));
}

#[tokio::test(start_paused = true)]
async fn a_roster_that_excludes_others_is_not_gone_on_from() {
    let world = World::new();
    let excluding = format!(r#"{{"runId":"case","exclude":["{}"]}}"#, user(1));
    world.call(&excluding).await.unwrap();
    world.store.remove(&layout::run_file(&run("case")));
    assert_eq!(world.call(r#"{"runId":"case"}"#).await.unwrap_err().error_type(), "RunReused");
    assert!(world.call(&excluding).await.is_ok(), "the same request goes on");
}

/// Two fan-outs of one run meet before the put of the roster, of run.json or of the archive's own file.
#[tokio::test(start_paused = true)]
async fn of_two_at_once_the_second_goes_on_from_the_first() {
    for at in ["archive.json", "roster.jsonl.zst", "run.json"] {
        let world = World::new();
        let meeting: Arc<dyn Store> =
            Arc::new(Meeting { store: Arc::clone(&world.store), at, barrier: Barrier::new(2) });
        let mut deps = world.deps.clone();
        deps.stores = Stores { evidence: Arc::clone(&meeting), state: meeting };
        let invocation = Invocation { request_id: "a", deadline: Deadline::never() };
        let late = async {
            // Later by a second, and with another user: what it would write differs in every file.
            deps.clock.sleep(std::time::Duration::from_secs(1)).await;
            world.directory(|state| {
                state.users.insert(7, Some(true));
            });
            fan_out::handle(DAILY.as_bytes(), invocation, &deps).await
        };
        let (a, b) = tokio::join!(fan_out::handle(DAILY.as_bytes(), invocation, &deps), late);
        assert_eq!(a.unwrap(), b.unwrap(), "{at}");
        let archive = world.archive().await;
        let file = archive.run(&run("20261124T030000Z")).await.unwrap().unwrap();
        let roster = archive.roster(&file.run_id).await.unwrap().unwrap();
        assert_eq!(file.enumerated as usize, roster.len(), "{at}");
        let planned = roster.iter().filter(|line| line.planned).count();
        assert_eq!(file.planned as usize, planned, "{at}");
        assert_eq!(world.messages().await.len(), 2 * planned, "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_requests_at_once_with_one_run_id_one_is_refused() {
    let world = World::new();
    let barrier = Barrier::new(2);
    let meeting: Arc<dyn Store> = Arc::new(Meeting { store: Arc::clone(&world.store), at: "run.json", barrier });
    let mut deps = world.deps.clone();
    deps.stores = Stores { evidence: Arc::clone(&meeting), state: meeting };
    let invocation = Invocation { request_id: "a", deadline: Deadline::never() };
    let ask = async |hours| {
        fan_out::handle(format!(r#"{{"runId":"case","lookbackHours":{hours}}}"#).as_bytes(), invocation, &deps).await
    };
    let (a, b) = tokio::join!(ask(24), ask(48));
    let refused: Vec<_> = [a, b].into_iter().filter_map(Result::err).map(|error| error.error_type()).collect();
    assert_eq!(refused, ["RunReused"]);
    let file = world.archive().await.run(&run("case")).await.unwrap().unwrap();
    let messages = world.messages().await;
    assert_eq!(messages.len(), 3);
    assert!(messages.iter().all(|message| message.from == file.from));
}

#[tokio::test(start_paused = true)]
async fn the_earlier_of_two_clocks_decides() {
    let world = World::new();
    world.directory.ahead.store(-3600, Ordering::Relaxed);
    world.call(r#"{"runId":"a"}"#).await.unwrap();
    assert_eq!(world.messages().await[0].to, Some(time("2026-11-24T00:00:20Z")));
    let error = world.call(DAILY).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the payload is refused: scheduledTime lies more than five minutes ahead of the clock"
    );
    world.directory.ahead.store(3600, Ordering::Relaxed);
    world.clock.sleep(std::time::Duration::from_secs(10)).await;
    world.call(r#"{"runId":"b"}"#).await.unwrap();
    assert_eq!(world.messages().await[0].to, Some(time("2026-11-24T01:00:30Z")));
}

#[tokio::test(start_paused = true)]
async fn what_the_clock_refuses_is_not_asked() {
    let world = World::new();
    let error = world.call(r#"{"scheduledTime":"2026-11-24T03:05:21Z"}"#).await.unwrap_err();
    assert_eq!(error.error_type(), "InvalidPayload");
    let error = world.call(r#"{"from":"2026-11-24T02:00:00Z"}"#).await.unwrap_err();
    assert!(error.to_string().contains("from leaves an empty window"), "{error}");
    assert_eq!(world.asked(), [""; 0]);
    assert_eq!(world.keys().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn without_time_nothing_is_sent_and_a_repeat_sends() {
    let world = World::new();
    world.call(DAILY).await.unwrap();
    world.messages().await;
    let late = Invocation { request_id: "a", deadline: Deadline::at(world.clock.now()) };
    let error = fan_out::handle(DAILY.as_bytes(), late, &world.deps).await.unwrap_err();
    assert!(matches!(error, FanOutError::DeadlinePassed), "{error}");
    assert_eq!(world.messages().await, []);
    world.call(DAILY).await.unwrap();
    assert_eq!(world.messages().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_did_not_take_is_sent_by_a_repeat() {
    let world = World::new();
    let mut deps = world.deps.clone();
    deps.queue = Arc::new(Refusing);
    let invocation = Invocation { request_id: "a", deadline: Deadline::never() };
    let error = fan_out::handle(DAILY.as_bytes(), invocation, &deps).await.unwrap_err();
    assert_eq!(error.error_type(), "Queue");
    assert!(world.archive().await.run(&run("20261124T030000Z")).await.unwrap().is_some());
    world.call(DAILY).await.unwrap();
    assert_eq!(world.messages().await.len(), 3);
}

/// Closes a run with these users' lines: user, first covered instant, items received in the window of a day.
async fn close(world: &World, id: &str, users: &[(u8, Option<&str>, u64)]) {
    let archive = world.archive().await;
    let lines: Vec<UserLine> = users
        .iter()
        .map(|(n, covered_from, received)| UserLine {
            user_id: user(*n),
            run_id: run(id),
            class: Some(domain::Class::Empty),
            windows: vec![Window::new(time("2026-11-23T01:00:00Z"), time("2026-11-24T01:00:00Z")).unwrap()],
            pages: 2,
            received: *received,
            new: *received,
            already_held: 0,
            segments: vec![],
            quarantine: vec![],
            covered_from: covered_from.map(time),
            covered_to: covered_from.map(|_| time("2026-11-24T01:00:00Z")),
            requests: Counts::new(),
            retries: 0,
            request_ids: vec![],
            lateness: Counts::new(),
        })
        .collect();
    archive.put_users(&run(id), &lines).await.unwrap();
    archive.append_ledger(&run(id), vec![], producer()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn history_plans_by_the_newest_line_of_each_user() {
    let world = World::new();
    assert_eq!(
        world.answer(HISTORY).await,
        json!({"runId": "20261124T030000Z-history", "kind": "history", "enumerated": 4,
            "excluded": {"plan-disabled": 1, "not-covered": 3}, "planned": 0})
    );
    world.directory(|state| {
        state.users.insert(6, Some(true));
    });
    let (start, recent) = (Some("2023-11-01T00:00:00Z"), Some("2026-11-20T01:00:00Z"));
    close(&world, "a", &[(1, recent, 0), (2, recent, 0), (3, start, 0)]).await;
    close(&world, "b", &[(2, start, 0)]).await;
    world.clock.sleep(std::time::Duration::from_secs(60)).await;

    let answer = world.answer(&HISTORY.replace("03:00:00", "03:01:00")).await;
    assert_eq!(answer["excluded"], json!({"plan-disabled": 1, "history-done": 2, "not-covered": 1}));
    let messages = world.messages().await;
    assert_eq!(messages.iter().map(|message| message.user_id).collect::<Vec<_>>(), [user(1)]);
    let file = world.archive().await.run(&run("20261124T030100Z-history")).await.unwrap().unwrap();
    assert_eq!((file.from, file.to, messages[0].from, messages[0].to), (None, None, None, None));
    assert_eq!(file.not_after, Some(file.started_at + SignedDuration::from_hours(6)));
    assert_eq!(messages[0].not_after, file.not_after);
    assert_eq!(file.deadline, file.started_at + SignedDuration::from_hours(7));

    let on_demand = world.answer(r#"{"history":true}"#).await;
    assert_eq!(on_demand["runId"], "od-8476a536-e9f4-11e8-9739-2dfe598c3fcd");
    assert_eq!((&on_demand["kind"], &on_demand["planned"]), (&json!("history"), &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_estimates_and_leaves_no_trace() {
    let world = World::new();
    let answer = world.answer(r#"{"scheduledTime":"2026-11-24T03:00:00Z","dryRun":true}"#).await;
    assert_eq!(
        answer,
        json!({"kind": "daily", "enumerated": 4, "excluded": {"plan-disabled": 1}, "planned": 3,
            "requests": 6, "minutes": 1, "usd": answer["usd"], "runs": 1})
    );
    assert!(answer["usd"].as_f64().unwrap() > 0.0);
    assert_eq!(world.keys().await, [""; 0]);
    assert!(world.queue.depth().await.unwrap().is_quiet());
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_counts_what_earlier_runs_read() {
    let world = World::new();
    world.call(DAILY).await.unwrap();
    world.messages().await;
    let recent = Some("2026-11-21T01:00:00Z");
    close(&world, "20261124T030000Z", &[(1, recent, 2_400), (2, recent, 0), (3, recent, 0)]).await;
    let before = world.keys().await;
    // 100 items an hour, so a page an hour, for ten hours; two requests of each user.
    let answer = world.answer(r#"{"lookbackHours":10,"dryRun":true}"#).await;
    assert_eq!((&answer["kind"], &answer["requests"]), (&json!("on-demand"), &json!(16)));
    let answer = world.answer(r#"{"history":true,"dryRun":true}"#).await;
    assert_eq!((&answer["planned"], answer["runs"].as_u64().unwrap() >= 2), (&json!(3), true));
    // At least the pages that this rate would fill.
    let hours = (time("2026-11-21T01:00:00Z") - time("2023-11-01T00:00:00Z")).as_hours();
    assert!(answer["requests"].as_i64().unwrap() > hours, "{answer}");
    assert_eq!(world.keys().await, before);
    assert_eq!(world.messages().await, []);
}

#[tokio::test(start_paused = true)]
async fn an_archive_of_another_tenant_is_refused_before_anything_is_asked() {
    let world = World::new();
    world.call(DAILY).await.unwrap();
    world.asked();
    let mut deps = world.deps.clone();
    deps.tenant = domain::TenantId::from_bytes([0xbb; 16]);
    assert_ne!(deps.tenant, TENANT);
    let invocation = Invocation { request_id: "a", deadline: Deadline::never() };
    let error = fan_out::handle(b"{}", invocation, &deps).await.unwrap_err();
    assert_eq!(error.error_type(), "Archive");
    assert_eq!(world.asked(), [""; 0]);
}
