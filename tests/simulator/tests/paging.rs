//! What is paged is the truth, and each switch about pages changes what it says.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod common;

use common::{at, faulty, first_page, get, get_with, item, next, one_user, read, simulator, small, sorted, texts};
use graph_simulator::{
    Bounds, DeletedUsers, Fault, FilterOn, Folder, Item, Order, Rule, Switches, TopAbove, User, UserState, numbered,
};
use jiff::SignedDuration;

const RANGE: &str = "$filter=createdDateTime+gt+2026-11-23T11:50:00Z+and+createdDateTime+lt+2026-11-23T12:00:00Z";

fn unlimited() -> Switches {
    let mut switches = Switches::default();
    switches.quota.enforced = false;
    switches
}

#[tokio::test(start_paused = true)]
async fn every_readable_history_pages_to_its_truth() {
    let simulator = simulator(small(), unlimited());
    let tenant = simulator.tenant();
    let mut read_users = 0;
    for user in tenant.users() {
        let readable = tenant.is_licensed(user) && user.state == UserState::Normal;
        if !readable {
            assert_ne!(get(&simulator, &first_page(user.id, "?$top=100")).await.status, 200);
            continue;
        }
        read_users += 1;
        assert_eq!(sorted(read(&simulator, user.id, "?$top=100").await), sorted(tenant.truth(user.id)));
    }
    assert!(read_users > 30);
}

#[tokio::test(start_paused = true)]
async fn windows_partition_a_history() {
    let simulator = simulator(small(), unlimited());
    let tenant = simulator.tenant();
    let user = tenant.users().iter().max_by_key(|user| user.items().len()).unwrap().id;
    let edge = "2025-11-01T00:00:00Z";
    let window = |from: &str, to: &str| {
        format!("?$top=100&$filter=createdDateTime gt {from} and createdDateTime lt {to}").replace(' ', "%20")
    };
    let mut both = read(&simulator, user, &window("2020-01-01T00:00:00Z", edge)).await;
    assert!(both.len() > 10);
    both.extend(read(&simulator, user, &window(edge, "2030-01-01T00:00:00Z")).await);
    assert_eq!(sorted(both), sorted(tenant.truth(user)));
}

#[tokio::test(start_paused = true)]
async fn links_are_those_that_were_captured() {
    let (tenant, user) = one_user(25);
    let simulator = simulator(tenant, Switches::default());
    let answer = get(&simulator, &first_page(user, &format!("?$top=10&{RANGE}"))).await;
    // Nine items: four or five in each folder, newest first; the first folder leads to the second.
    let filter = "$filter=createdDateTime+gt+2026-11-23T11%3a50%3a00Z+and+createdDateTime+lt+2026-11-23T12%3a00%3a00Z";
    let token = "U2tpcFZhbHVlPTAjTWFpbGJveEZvbGRlcj1NYWlsRm9sZGVycy9UZWFtQ2hhdA%3d%3d";
    assert_eq!(next(&answer).unwrap(), first_page(user, &format!("?$top=10&{filter}&$skiptoken={token}")));
    assert_eq!(texts(&answer).len(), 4);
    let created = |text: &String| text.split("createdDateTime\":\"").nth(1).unwrap()[..20].to_owned();
    let order: Vec<String> = texts(&answer).iter().map(created).collect();
    assert!(order.windows(2).all(|pair| pair[0] > pair[1]), "{order:?}");
    let last = get(&simulator, &next(&answer).unwrap()).await;
    assert_eq!((texts(&last).len(), next(&last)), (5, None));
}

#[tokio::test(start_paused = true)]
async fn page_sizes_follow_the_switches() {
    let sizes = |switches: Switches, query: &'static str| async move {
        let (tenant, user) = one_user(500);
        let simulator = simulator(tenant, switches);
        let answer = get(&simulator, &first_page(user, query)).await;
        if answer.status != 200 {
            return (answer.status.as_u16() as usize, false);
        }
        (texts(&answer).len(), next(&answer).unwrap().contains("$top"))
    };
    let with = |change: fn(&mut Switches)| {
        let mut switches = Switches::default();
        change(&mut switches);
        switches
    };
    assert_eq!(sizes(Switches::default(), "").await, (10, false));
    assert_eq!(sizes(with(|s| s.default_top = 25), "").await, (25, false));
    assert_eq!(sizes(Switches::default(), "?$top=200").await, (100, true));
    assert_eq!(sizes(with(|s| s.top_above = TopAbove::Honoured), "?$top=200").await, (200, true));
    assert_eq!(sizes(with(|s| s.top_above = TopAbove::Refused), "?$top=200").await, (400, false));
    assert_eq!(sizes(with(|s| s.link_echoes_top = false), "?$top=100").await, (100, false));
}

#[tokio::test(start_paused = true)]
async fn the_truth_survives_every_harmless_switch() {
    let changes: [fn(&mut Switches); 7] = [
        |s| s.order = Order::OldestFirst,
        |s| s.order = Order::Shuffled,
        |s| s.two_folders = false,
        |s| s.link_echoes_top = false,
        |s| s.count = false,
        |s| s.skip_token_seconds = Some(60),
        |s| s.rules = vec![Rule::always(Fault::EmptyPage).every(2)],
    ];
    for change in changes {
        let (tenant, user) = one_user(45);
        let mut switches = Switches::default();
        change(&mut switches);
        assert_ne!(switches, Switches::default());
        let simulator = simulator(tenant, switches);
        let read = read(&simulator, user, "?$top=10").await;
        assert_eq!(sorted(read.clone()), sorted(simulator.tenant().truth(user)));
        let reference = common::simulator(one_user(45).0, Switches::default());
        if simulator.switches().order != Order::NewestFirst {
            assert_ne!(read, common::read(&reference, user, "?$top=10").await);
        }
    }
    let (simulator, user) = faulty([]);
    let pages = |simulator: &graph_simulator::Simulator| simulator.ledger().interactions().count();
    read(&simulator, user, "?$top=100").await;
    assert_eq!(pages(&simulator), 2);
    simulator.change(|s| s.two_folders = false);
    read(&simulator, user, "?$top=100").await;
    assert_eq!(pages(&simulator), 3);
}

#[tokio::test(start_paused = true)]
async fn skip_tokens_expire_if_switched() {
    let (tenant, user) = one_user(25);
    let simulator = simulator(tenant, Switches { skip_token_seconds: Some(60), ..Switches::default() });
    let link = next(&get(&simulator, &first_page(user, "")).await).unwrap();
    assert_eq!(get(&simulator, &link).await.status, 200);
    simulator.clock().sleep(std::time::Duration::from_secs(61)).await;
    assert_eq!(get(&simulator, &link).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn pretty_pages_differ_by_newlines_only() {
    let (tenant, user) = one_user(25);
    let simulator = simulator(tenant, Switches::default());
    let plain = get(&simulator, &first_page(user, "")).await.body;
    simulator.change(|s| s.pretty = true);
    let pretty = get(&simulator, &first_page(user, "")).await.body;
    assert!(pretty.windows(2).filter(|pair| pair == b"\r\n").count() > 100);
    let stripped: Vec<u8> = pretty.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
    assert_eq!(stripped, plain);
}

#[tokio::test(start_paused = true)]
async fn the_bounds_of_a_window_follow_the_switches() {
    let shown = |change: fn(&mut Switches)| async move {
        let (mut tenant, user) = one_user(0);
        for created in ["11:49:59.9", "11:50:00", "11:50:00.5", "11:59:59.9", "12:00:00"] {
            tenant.add_item(user, item(created, &format!("2026-11-23T{created}Z")));
        }
        let late = item("late", "2026-11-20T00:00:00Z").visible_from(at("2026-11-23T11:55:00Z"));
        tenant.add_item(user, late);
        let mut switches = Switches::default();
        change(&mut switches);
        let simulator = simulator(tenant, switches);
        let mut ids: Vec<String> = Vec::new();
        for text in read(&simulator, user, &format!("?{RANGE}")).await {
            ids.push(text.split('"').nth(3).unwrap().to_owned());
        }
        ids.sort_unstable();
        ids
    };
    assert_eq!(shown(|_| {}).await, ["11:50:00.5", "11:59:59.9"]);
    assert_eq!(shown(|s| s.bounds = Bounds::WholeSeconds).await, ["11:59:59.9"]);
    assert_eq!(shown(|s| s.bounds = Bounds::Inclusive).await, ["11:50:00", "11:50:00.5", "11:59:59.9", "12:00:00"]);
    assert_eq!(shown(|s| s.filter_on = FilterOn::Stored).await, ["11:50:00.5", "11:59:59.9", "late"]);
}

#[tokio::test(start_paused = true)]
async fn classes_are_filtered() {
    let (mut tenant, user) = one_user(0);
    for id in ["a", "b", "c"] {
        tenant.add_item(user, item(id, "2026-11-23T11:55:00Z"));
    }
    let simulator = simulator(tenant, Switches::default());
    let filter = "?$filter=(appClass+eq+'c-a'+or+appClass+eq+'c-c')";
    assert_eq!(read(&simulator, user, filter).await.len(), 2);
    let date = RANGE.trim_start_matches("$filter=");
    assert_eq!(read(&simulator, user, &format!("{filter}+and+{date}")).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn refused_queries_are_400_and_options_can_be_ignored() {
    let (simulator, user) = faulty([]);
    for query in
        ["?$filter=createdDateTime+gt+2026-11-23T00:00:00Z", "?$orderby=createdDateTime", "?$top=0", "?$skiptoken=abc"]
    {
        let answer = get(&simulator, &first_page(user, query)).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    simulator.change(|s| s.unknown_options_ignored = true);
    assert_eq!(get(&simulator, &first_page(user, "?$orderby=createdDateTime")).await.status, 200);
    simulator.change(|s| s.date_filter = false);
    assert_eq!(get(&simulator, &first_page(user, &format!("?{RANGE}"))).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn what_is_visible_follows_the_clock_and_retention() {
    let (mut tenant, user) = one_user(1);
    let late = item("late", "2026-11-01T00:00:00Z").visible_from(at("2026-11-24T04:00:00Z"));
    let gone = item("gone", "2026-10-01T00:00:00Z").removed_at(at("2026-11-24T04:00:00Z"));
    let edited = item("edited", "2026-11-22T00:00:00Z").edited(at("2026-11-24T04:00:00Z"), "{\"id\":\"after\"}");
    for item in [late, gone, edited] {
        assert!(tenant.add_item(user, item));
    }
    let simulator = simulator(tenant, Switches::default());
    let has = |texts: &[String], id: &str| texts.iter().any(|text| text.contains(&format!("\"{id}\"")));
    let before = read(&simulator, user, "").await;
    assert!(has(&before, "gone") && has(&before, "edited") && !has(&before, "late") && !has(&before, "after"));
    simulator.clock().sleep(std::time::Duration::from_secs(3_600)).await;
    let after = read(&simulator, user, "").await;
    assert!(!has(&after, "gone") && !has(&after, "edited") && has(&after, "late") && has(&after, "after"));
    simulator.change(|s| s.retention_days = Some(7));
    assert!(!has(&read(&simulator, user, "").await, "late"));
}

#[tokio::test(start_paused = true)]
async fn users_are_refused_each_in_their_own_way() {
    let (mut tenant, _) = one_user(1);
    let licence = tenant.licence();
    let states = [UserState::LicenceNotSeen, UserState::NoHistory, UserState::Refused, UserState::SoftDeleted];
    for (number, state) in (2..).zip(states) {
        let mut user = User::new(numbered(number));
        user.licences.push(licence.clone());
        user.state = state;
        user.add_item(Item::new("{}", at("2026-11-01T00:00:00Z")).in_folder(Folder::TeamChat));
        tenant.add_user(user);
    }
    tenant.add_user(User::new(numbered(6)));
    let simulator = simulator(tenant, Switches::default());
    let said = |number| {
        let simulator = &simulator;
        async move {
            let answer = get(simulator, &first_page(numbered(number), "")).await;
            (answer.status.as_u16(), String::from_utf8(answer.body.to_vec()).unwrap())
        }
    };
    for (number, status, part) in [
        (2, 403, "does not have a valid Copilot license."),
        (3, 404, "no interaction history"),
        (4, 403, "UnknownError"),
        (5, 403, "does not have a valid Copilot license."),
        (6, 403, "does not have a valid Copilot license."),
        (7, 404, "Request_ResourceNotFound"),
    ] {
        let (found, body) = said(number).await;
        assert!(found == status && body.contains(part), "{number}: {found} {body}");
    }
    simulator.change(|s| s.deleted_users = DeletedUsers::Served);
    assert_eq!(said(5).await.0, 200);
    simulator.change(|s| s.deleted_users = DeletedUsers::NotFound);
    assert_eq!(said(5).await.0, 404);
    simulator.change(|s| s.no_history_code = "itemNotFound".to_owned());
    assert!(said(3).await.1.contains("itemNotFound"));
    let tenant_wide = format!("{}/v1.0/copilot/interactionHistory/getAllEnterpriseInteractions", common::ORIGIN);
    assert_eq!(get(&simulator, &tenant_wide).await.status, 404);
    let by_name = |name: &str| first_page(numbered(1), "").replace(&numbered(1).to_string(), name);
    let name = simulator.tenant().user(numbered(1)).unwrap().upn.clone();
    assert_eq!(get(&simulator, &by_name(&name)).await.status, 200);
    simulator.change(|s| s.upn_accepted = false);
    assert_eq!(get(&simulator, &by_name(&name)).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn answers_carry_the_headers_that_support_asks_for() {
    let (simulator, user) = faulty([]);
    let url = first_page(user, "").replace("v1.0", "beta").replace("interactionHistory", "interactionhistory");
    let answer = get_with(&simulator, &url, &[("client-request-id", "abc"), ("accept-encoding", "gzip")]).await;
    let header = |name: &str| answer.headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(
        (header("date"), header("client-request-id")),
        ("Tue, 24 Nov 2026 03:00:00 GMT".to_owned(), "abc".to_owned())
    );
    assert_eq!((header("content-encoding"), header("request-id").len()), ("gzip".to_owned(), 36));
    assert!(header("x-ms-ags-diagnostic").contains("ServerInfo"));
    simulator.change(|s| s.gzip = false);
    let plain = get_with(&simulator, &url, &[("accept-encoding", "gzip")]).await;
    assert!(!plain.headers.contains_key("content-encoding") && plain.body.starts_with(b"{"));
    let ledger = simulator.ledger();
    let record = &ledger.records()[0];
    assert!(record.authorization && record.user == Some(user) && record.client_request_id.as_deref() == Some("abc"));
}

#[tokio::test(start_paused = true)]
async fn latency_passes_on_the_clock() {
    let (tenant, user) = one_user(1);
    let simulator = simulator(tenant, Switches { latency_ms: 150, ..Switches::default() });
    let before = simulator.clock().now();
    get(&simulator, &first_page(user, "")).await;
    assert_eq!(simulator.clock().now().duration_since(before), SignedDuration::from_millis(150));
}

#[tokio::test(start_paused = true)]
async fn jitter_is_by_chance_within_its_bound() {
    let (tenant, user) = one_user(1);
    let simulator = simulator(tenant, Switches { latency_jitter_ms: 100, ..Switches::default() });
    let mut waited = std::collections::HashSet::new();
    for _ in 0..10 {
        let before = simulator.clock().now();
        get(&simulator, &first_page(user, "")).await;
        waited.insert(simulator.clock().now().duration_since(before).as_millis());
    }
    assert!(waited.len() > 3 && waited.iter().all(|millis| *millis <= 102), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_page_says_how_many_items_it_holds_unless_switched_off() {
    let (simulator, user) = faulty([]);
    let says = |answer: graph_simulator::Answer| {
        String::from_utf8(answer.body.to_vec()).unwrap().contains("\"@odata.count\":10,")
    };
    assert!(says(get(&simulator, &first_page(user, "")).await));
    simulator.change(|s| s.count = false);
    assert!(!says(get(&simulator, &first_page(user, "")).await));
}
