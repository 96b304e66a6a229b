//! Each fault does what its name says, and nothing else.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod common;

use std::io::Read as _;

use common::{faulty, first_page, get, get_with, next, one_user, read, simulator, sorted, texts};
use graph_simulator::{Answer, Fault, Item, RequestKind, RetryAfter, Rule, Switches, Transport, numbered};
use serde_json::Value;

async fn first(fault: Fault) -> Answer {
    let (simulator, user) = faulty([Rule::always(fault)]);
    get_with(&simulator, &first_page(user, ""), &[("accept-encoding", "gzip")]).await
}

async fn plain(fault: Fault) -> Answer {
    let (simulator, user) = faulty([Rule::always(fault)]);
    get(&simulator, &first_page(user, "")).await
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[tokio::test(start_paused = true)]
async fn faults_that_take_the_place_of_the_answer() {
    let own = Fault::Answer {
        status: 509,
        content_type: "text/plain".to_owned(),
        body: "full".to_owned(),
        retry_after: Some("7".to_owned()),
    };
    for (fault, status, part) in [
        (Fault::Status(503), 503, "error"),
        (own.clone(), 509, "full"),
        (Fault::BadGateway, 502, "<html>"),
        (Fault::Refused, 403, "UnknownError"),
        (Fault::LicenceLost, 403, "valid Copilot license"),
        (Fault::InvalidS2s, 403, "S2S"),
        (Fault::TokenExpired, 401, "expired"),
    ] {
        let answer = plain(fault).await;
        assert!(answer.status == status && text(&answer).contains(part), "{status} {}", text(&answer));
    }
    assert_eq!(plain(own).await.headers["retry-after"], "7");
    let answer = plain(Fault::Redirect("https://example.org/".to_owned())).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["location"]), (302, &"https://example.org/".parse().unwrap()));
    let answer = plain(Fault::Throttle { retry_after: RetryAfter::Date, seconds: 9 }).await;
    assert_eq!(
        (answer.status.as_u16(), answer.headers["retry-after"].to_str().unwrap()),
        (429, "Tue, 24 Nov 2026 03:00:09 GMT")
    );
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_transport() {
    assert_eq!(plain(Fault::Reset).await.transport, Transport::ResetBefore);
    let answer = plain(Fault::ResetWithinBody).await;
    assert_eq!(answer.transport, Transport::ResetAfter(answer.body.len() / 2));
    let answer = plain(Fault::ContentLength(10)).await;
    assert_eq!(answer.headers["content-length"].to_str().unwrap(), (answer.body.len() + 10).to_string());
    let (simulator, user) = faulty([Rule::always(Fault::Reset)]);
    get(&simulator, &first_page(user, "")).await;
    assert_eq!(simulator.ledger().statuses(RequestKind::Interactions).get(&0), Some(&1));
    let (simulator, user) = faulty([Rule::always(Fault::Slow { millis: 9_000 })]);
    let before = simulator.clock().now();
    get(&simulator, &first_page(user, "")).await;
    assert_eq!(simulator.clock().now().duration_since(before).as_secs(), 9);
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_bytes() {
    let is_json = |answer: &Answer| serde_json::from_slice::<Value>(&answer.body).is_ok();
    for fault in [Fault::Truncate, Fault::Garbage, Fault::NotUtf8, Fault::Bom] {
        let answer = plain(fault.clone()).await;
        assert!(answer.status == 200 && !is_json(&answer), "{fault:?}");
        assert_eq!(answer.headers["content-length"].to_str().unwrap(), answer.body.len().to_string());
    }
    assert!(std::str::from_utf8(&plain(Fault::NotUtf8).await.body).is_err());
    assert!(plain(Fault::Bom).await.body.starts_with(b"\xef\xbb\xbf{"));
    let value = |answer: &Answer| serde_json::from_slice::<Value>(&answer.body).unwrap().get("value").cloned();
    assert_eq!(value(&plain(Fault::MissingValue).await), None);
    assert_eq!(value(&plain(Fault::NullValue).await), Some(Value::Null));
    let huge = plain(Fault::HugePage(1_000_000)).await;
    assert!(huge.body.len() > 1_000_000 && texts(&huge).len() == 10);
    let huge = plain(Fault::HugeItem(1_000_000)).await;
    assert!(huge.body.len() > 1_000_000 && texts(&huge).len() == 11);
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_compression() {
    let unpack = |answer: &Answer| {
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut out).map(|_| out)
    };
    let bomb = first(Fault::GzipBomb(5_000_000)).await;
    assert!(bomb.headers["content-encoding"] == "gzip" && bomb.body.len() < 100_000);
    assert!(unpack(&bomb).unwrap().len() > 5_000_000);
    let bad = first(Fault::BadGzip).await;
    assert!(bad.headers["content-encoding"] == "gzip" && unpack(&bad).is_err());
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_next_link() {
    let link = |fault: Fault| async move { next(&plain(fault).await).unwrap() };
    let user = numbered(1);
    let (simulator, _) = faulty([]);
    let proper = next(&get(&simulator, &first_page(user, "")).await).unwrap();
    assert_eq!(link(Fault::LinkToSelf).await, first_page(user, ""));
    assert!(link(Fault::LinkToFirst).await.ends_with("%3d") && link(Fault::LinkToFirst).await != proper);
    assert!(link(Fault::ForeignLink("evil.example".to_owned())).await.starts_with("https://evil.example/v1.0/"));
    assert_eq!(link(Fault::NextLink("{link}&x=1".to_owned())).await, format!("{proper}&x=1"));
    assert_eq!(link(Fault::NextLink("{origin}/v1.0/me".to_owned())).await, "https://graph.microsoft.com/v1.0/me");
    let doubled = text(&plain(Fault::DuplicateNextLink).await);
    assert_eq!(doubled.matches("@odata.nextLink").count(), 2);
    assert!(doubled.contains(&proper));
}

#[tokio::test(start_paused = true)]
async fn links_without_end_are_all_different() {
    let (simulator, user) = faulty([Rule::always(Fault::EndlessLinks)]);
    simulator.change(|s| s.quota.enforced = false);
    let mut url = first_page(user, "?$top=100");
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        assert!(seen.insert(url.clone()), "{url}");
        url = next(&get(&simulator, &url).await).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_page_in_the_middle_loses_nothing() {
    let (simulator, user) = faulty([Rule::always(Fault::EmptyPage).page(2)]);
    let all = read(&simulator, user, "").await;
    assert_eq!(sorted(all), sorted(simulator.tenant().truth(user)));
    // 13 and 12 items make four pages of ten, and one is empty.
    assert_eq!(simulator.ledger().interactions().count(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_insert_repeats_and_a_delete_skips() {
    let (inserting, user) = faulty([Rule::always(Fault::HideNewest(2)).page(1)]);
    let read_first = read(&inserting, user, "").await;
    let unique: std::collections::HashSet<&String> = read_first.iter().collect();
    assert_eq!((read_first.len(), unique.len()), (25, 23));
    let (deleting, user) = faulty([Rule::always(Fault::HideNewest(2)).page(2)]);
    assert_eq!(read(&deleting, user, "").await.len(), 23);
}

#[tokio::test(start_paused = true)]
async fn pages_and_items_repeat() {
    let (simulator, user) = faulty([Rule::always(Fault::RepeatPage).page(2)]);
    let first_again = read(&simulator, user, "").await;
    assert_eq!(first_again[..10], first_again[10..20]);
    let (simulator, user) = faulty([Rule::always(Fault::RepeatItems).page(2)]);
    let more = read(&simulator, user, "").await;
    assert_eq!((more.len(), &more[..10]), (35, &more[10..20]));
    assert!(simulator.tenant().truth(user).iter().all(|text| more.iter().any(|read| read == text)));
}

#[tokio::test(start_paused = true)]
async fn a_bad_item_spoils_every_page_that_would_show_it() {
    let (mut tenant, user) = one_user(25);
    tenant.add_item(user, Item::new(r#"{"id":"poison"}"#, common::at("2026-11-23T11:55:30Z")));
    let other = tenant.add_licensed(2);
    let simulator = simulator(tenant, Switches::with_rules([Rule::always(Fault::Garbage).containing("poison")]));
    let window = |from: &str, to: &str| {
        format!("?$filter=createdDateTime+gt+2026-11-23T{from}Z+and+createdDateTime+lt+2026-11-23T{to}Z")
    };
    for (from, to, good) in
        [("00:00:00", "11:55:00", true), ("11:55:29", "11:55:31", false), ("11:00:00", "12:00:00", false)]
    {
        let answer = get(&simulator, &first_page(user, &window(from, to))).await;
        assert_eq!(serde_json::from_slice::<Value>(&answer.body).is_ok(), good, "{from}");
    }
    assert!(read(&simulator, other, "").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn rules_fall_by_user_page_time_and_count_and_change_at_run_time() {
    let (simulator, user) = faulty([Rule::always(Fault::Status(500)).user(numbered(9))]);
    assert_eq!(get(&simulator, &first_page(user, "")).await.status, 200);
    simulator.change(|s| s.rules = vec![Rule::always(Fault::Status(500)).first(1)]);
    assert_eq!(get(&simulator, &first_page(user, "")).await.status, 500);
    assert_eq!(get(&simulator, &first_page(user, "")).await.status, 200);
    let later = common::at("2026-11-24T03:10:00Z");
    simulator.schedule(later, |s| s.refuse_everybody());
    assert_eq!(get(&simulator, &first_page(user, "")).await.status, 200);
    simulator.clock().sleep_until(later).await;
    assert_eq!(get(&simulator, &first_page(user, "")).await.status, 403);
    simulator.change(|s| {
        s.rules.clear();
        s.lose_licence_after(user, 1);
    });
    let page = get(&simulator, &first_page(user, "")).await;
    assert_eq!(page.status, 200);
    assert_eq!(get(&simulator, &next(&page).unwrap()).await.status, 403);
}
