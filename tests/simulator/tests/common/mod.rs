//! A client that follows links and knows nothing else, over a simulator on simulated time.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    reason = "shared by tests that each use a part"
)]

use std::sync::Arc;

use bytes::Bytes;
use domain::{ScaledClock, UserId};
use graph_simulator::{Answer, Item, Profile, Rule, Simulator, Switches, Tenant};
use http::Request;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

pub const ORIGIN: &str = "https://graph.microsoft.com";

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A tenant of one licensed user with `count` items, one a minute.
pub fn one_user(count: usize) -> (Tenant, UserId) {
    let now = at("2026-11-24T03:00:00Z");
    let mut tenant = Tenant::new(domain::TenantId::from_bytes([7; 16]), now);
    let user = tenant.add_licensed(1);
    tenant.add_items(user, count, at("2026-11-23T12:00:00Z"), SignedDuration::from_mins(1));
    (tenant, user)
}

pub fn simulator(tenant: Tenant, switches: Switches) -> Simulator {
    let clock = ScaledClock::new(tenant.now, 1.0);
    Simulator::new(Arc::new(tenant), switches, Arc::new(clock))
}

/// A user with 25 items and these rules.
pub fn faulty(rules: impl IntoIterator<Item = Rule>) -> (Simulator, UserId) {
    let (tenant, user) = one_user(25);
    (simulator(tenant, Switches::with_rules(rules)), user)
}

pub fn small() -> Tenant {
    Tenant::generate(&Profile::small(), 42)
}

pub fn first_page(user: UserId, query: &str) -> String {
    format!("{ORIGIN}/v1.0/copilot/users/{user}/interactionHistory/getAllEnterpriseInteractions{query}")
}

pub async fn get(simulator: &Simulator, url: &str) -> Answer {
    get_with(simulator, url, &[]).await
}

pub async fn get_with(simulator: &Simulator, url: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(url).header("authorization", format!("Bearer {}", simulator.token()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    simulator.answer(request.body(Bytes::new()).unwrap()).await
}

#[derive(Deserialize)]
pub struct Page<'a> {
    #[serde(rename = "@odata.nextLink")]
    pub next: Option<String>,
    #[serde(borrow)]
    pub value: Vec<&'a RawValue>,
}

pub fn texts(answer: &Answer) -> Vec<String> {
    let page: Page<'_> = serde_json::from_slice(&answer.body).unwrap();
    page.value.iter().map(|item| item.get().to_owned()).collect()
}

pub fn next(answer: &Answer) -> Option<String> {
    serde_json::from_slice::<Page<'_>>(&answer.body).unwrap().next
}

/// Pages to the end; panics after 1,000 pages or at an answer that is not 200.
pub async fn read(simulator: &Simulator, user: UserId, query: &str) -> Vec<String> {
    let mut url = first_page(user, query);
    let mut all = Vec::new();
    for _ in 0..1_000 {
        let answer = get(simulator, &url).await;
        assert_eq!(answer.status, 200, "{url}");
        all.extend(texts(&answer));
        match next(&answer) {
            Some(link) => url = link,
            None => return all,
        }
    }
    panic!("pages without end");
}

pub fn sorted<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut texts: Vec<String> = texts.into_iter().map(|text| text.as_ref().to_owned()).collect();
    texts.sort_unstable();
    texts
}

pub fn item(id: &str, created: &str) -> Item {
    Item::new(format!(r#"{{"id":"{id}","createdDateTime":"{created}","appClass":"c-{id}"}}"#), at(created))
}
