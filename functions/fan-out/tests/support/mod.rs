//! A tenant in memory: a scripted directory, a store, a queue and simulated time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use archive::Stores;
use archive::memory::MemoryStore;
use archive::records::Producer;
use archive::store::{ETag, LegalHold, Object, PutIfMatch, PutNew, Store, StoreError};
use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::{Clock, Deadline, Message, Random, ScaledClock, SeededRandom, TenantId, Timestamp, UserId};
use fan_out::{Answer, Deps, FanOutError, Invocation};
use graph::{ClientSecret, GraphClient, GraphConfig, Response, Transport, TransportError};
use http::{HeaderMap, Method, Request, StatusCode};
use jiff::SignedDuration;
use queue::{Depth, InProcessQueue, Options, Outgoing, Queue, QueueError};
use serde_json::{Value, json};
use tokio::sync::Barrier;

pub(crate) const TENANT: TenantId = TenantId::from_bytes([0xaa; 16]);
pub(crate) const NOW: &str = "2026-11-24T03:00:20Z";
pub(crate) const DAILY: &str = r#"{"scheduledTime":"2026-11-24T03:00:00Z"}"#;
const PLAN: &str = "3f30311c-6b1e-48a4-ab79-725b469da960";
const SKU: &str = "639dec6b-bb19-468b-871c-c5c441c4b0cb";
const OTHER_SKU: &str = "05e9a617-0261-4cee-bb44-138d3ef5d965";

pub(crate) fn user(n: u8) -> UserId {
    UserId::from_bytes([n; 16])
}

pub(crate) fn group(n: u8) -> String {
    UserId::from_bytes([n; 16]).to_string()
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// What the directory knows, and what it was asked.
#[derive(Debug)]
pub(crate) struct Directory {
    clock: Arc<dyn Clock>,
    /// Seconds that Graph's clock is ahead of ours.
    pub(crate) ahead: AtomicI64,
    pub(crate) state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    /// Users by number: whether they hold the licence with the plan on (`Some(true)`), off, or not at all.
    pub(crate) users: BTreeMap<u8, Option<bool>>,
    pub(crate) groups: BTreeMap<u8, Vec<u8>>,
    pub(crate) grants: bool,
    pub(crate) consent: bool,
    /// Path and query of every directory request.
    pub(crate) asked: Vec<String>,
}

impl State {
    fn user(&self, n: u8) -> Value {
        let licences = match self.users.get(&n).copied().flatten() {
            None => json!([]),
            Some(true) => json!([{"skuId": SKU, "disabledPlans": []}]),
            Some(false) => json!([{"skuId": SKU, "disabledPlans": [PLAN]}]),
        };
        json!({
            "id": user(n), "userPrincipalName": format!("user{n}@contoso.com"), "displayName": format!("User {n}"),
            "mail": null, "accountEnabled": true, "userType": "Member", "assignedLicenses": licences,
        })
    }

    fn answer(&mut self, path: &str) -> (StatusCode, Value) {
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            [_, "subscribedSkus"] => {
                let plan = if self.grants { PLAN } else { OTHER_SKU };
                let sku = |id: &str, plan: &str| {
                    json!({"skuId": id, "skuPartNumber": "P", "capabilityStatus": "Enabled",
                        "servicePlans": [{"servicePlanId": plan, "appliesTo": "User", "provisioningStatus": "Success"}]})
                };
                (StatusCode::OK, json!({"value": [sku(SKU, plan), sku(OTHER_SKU, OTHER_SKU)]}))
            }
            [_, "users"] => {
                let holders = self.users.iter().filter(|(_, licence)| licence.is_some()).map(|(n, _)| *n);
                let value: Vec<Value> = holders.map(|n| self.user(n)).collect();
                (StatusCode::OK, json!({"value": value}))
            }
            [_, "users", name] => {
                let name = name.replace("%40", "@");
                let known = self.users.keys().find(|n| {
                    name == user(**n).to_string() || name.eq_ignore_ascii_case(&format!("user{n}@contoso.com"))
                });
                match known {
                    Some(n) => (StatusCode::OK, self.user(*n)),
                    None => not_found(),
                }
            }
            [_, "groups", id, "transitiveMembers", ..] => match self.groups.iter().find(|(n, _)| group(**n) == *id) {
                Some((_, members)) => {
                    let value: Vec<Value> = members.iter().map(|n| json!({"id": user(*n)})).collect();
                    (StatusCode::OK, json!({"value": value}))
                }
                None => not_found(),
            },
            _ => panic!("asked for {path}"),
        }
    }
}

fn not_found() -> (StatusCode, Value) {
    (StatusCode::NOT_FOUND, json!({"error": {"code": "Request_ResourceNotFound", "message": "does not exist"}}))
}

#[async_trait]
impl Transport for Directory {
    async fn send(&self, request: Request<Bytes>) -> Result<Response, TransportError> {
        let path = request.uri().path_and_query().unwrap().as_str().to_owned();
        let mut state = self.state.lock().unwrap();
        let (status, body) = if request.method() == Method::POST {
            assert!(path.ends_with("/oauth2/v2.0/token"), "{path}");
            let roles: &[&str] = if state.consent { &["AiEnterpriseInteraction.Read.All"] } else { &[] };
            let encode = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
            let token = format!("{}.{}.c2ln", encode(json!({"alg": "RS256"})), encode(json!({"roles": roles})));
            (StatusCode::OK, json!({"token_type": "Bearer", "expires_in": 3599, "access_token": token}))
        } else {
            state.asked.push(path.clone());
            state.answer(&path)
        };
        let date = self.clock.now() + SignedDuration::from_secs(self.ahead.load(Ordering::Relaxed));
        let mut headers = HeaderMap::new();
        headers.insert("date", date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string().parse().unwrap());
        headers.insert("content-type", "application/json".parse().unwrap());
        Ok(Response::whole(status, headers, body.to_string()))
    }
}

/// Everything a fan-out works with.
pub(crate) struct World {
    pub(crate) directory: Arc<Directory>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) queue: InProcessQueue,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) deps: Deps,
}

impl World {
    /// A tenant of five users: 1, 2 and 3 licensed, 4 with the plan switched off, 5 unlicensed.
    pub(crate) fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(time(NOW), 1.0));
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(1));
        let state = State {
            users: [(1, Some(true)), (2, Some(true)), (3, Some(true)), (4, Some(false)), (5, None)].into(),
            groups: BTreeMap::new(),
            grants: true,
            consent: true,
            asked: Vec::new(),
        };
        let directory =
            Arc::new(Directory { clock: Arc::clone(&clock), ahead: AtomicI64::new(0), state: Mutex::new(state) });
        let transport: Arc<dyn Transport> = Arc::<Directory>::clone(&directory);
        let graph = GraphClient::new(
            GraphConfig::new(TENANT, "app"),
            Arc::new(ClientSecret("secret".into())),
            transport,
            Arc::clone(&clock),
            Arc::clone(&random),
        )
        .unwrap();
        let store = Arc::new(MemoryStore::new());
        let evidence: Arc<dyn Store> = Arc::<MemoryStore>::clone(&store);
        let queue = InProcessQueue::new(Options::default(), Arc::clone(&clock), Arc::clone(&random));
        let deps = Deps {
            graph,
            stores: Stores { state: Arc::clone(&evidence), evidence },
            tenant: TENANT,
            queue: Arc::new(queue.clone()),
            clock: Arc::clone(&clock),
            random,
            rules: settings::Rules::default(),
            requests_per_second: 24.0,
            producer: producer(),
        };
        Self { directory, store, queue, clock, deps }
    }

    pub(crate) fn directory(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.directory.state.lock().unwrap());
    }

    /// The directory requests since the last look.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.directory.state.lock().unwrap().asked)
    }

    pub(crate) async fn call(&self, payload: &str) -> Result<Answer, FanOutError> {
        let invocation = Invocation {
            request_id: "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
            deadline: Deadline::at(self.clock.now() + SignedDuration::from_mins(14)),
        };
        fan_out::handle(payload.as_bytes(), invocation, &self.deps).await
    }

    /// The answer as JSON.
    pub(crate) async fn answer(&self, payload: &str) -> Value {
        serde_json::to_value(self.call(payload).await.unwrap()).unwrap()
    }

    /// The messages in the queue, by user. They are in flight afterwards.
    pub(crate) async fn messages(&self) -> Vec<Message> {
        let deliveries = self.queue.receive(usize::MAX).await;
        let mut messages: Vec<Message> =
            deliveries.iter().map(|delivery| Message::from_body(&delivery.body).unwrap()).collect();
        messages.sort_by_key(|message| message.user_id);
        messages
    }

    pub(crate) async fn keys(&self) -> Vec<String> {
        self.store.list("").await.unwrap()
    }

    pub(crate) async fn archive(&self) -> archive::Archive {
        archive::Archive::open(
            self.deps.stores.clone(),
            TENANT,
            Arc::clone(&self.deps.clock),
            Arc::clone(&self.deps.random),
        )
        .await
        .unwrap()
        .unwrap()
    }
}

pub(crate) fn producer() -> Producer {
    Producer { name: "fan-out".into(), version: "0.1.0".into(), commit: "test".into() }
}

/// A store in which two callers meet before each put of a key that ends so: both have looked and found nothing.
#[derive(Debug)]
pub(crate) struct Meeting {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) at: &'static str,
    pub(crate) barrier: Barrier,
}

#[async_trait]
impl Store for Meeting {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.store.get(key).await
    }

    async fn put_new_under(&self, key: &str, bytes: Bytes, hold: LegalHold) -> Result<PutNew, StoreError> {
        if key.ends_with(self.at) {
            self.barrier.wait().await;
        }
        self.store.put_new_under(key, bytes, hold).await
    }

    async fn put_if_match(&self, key: &str, bytes: Bytes, etag: &ETag) -> Result<PutIfMatch, StoreError> {
        self.store.put_if_match(key, bytes, etag).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.store.list(prefix).await
    }
}

/// A queue that takes nothing.
#[derive(Debug)]
pub(crate) struct Refusing;

#[async_trait]
impl Queue for Refusing {
    async fn send(&self, _: Vec<Outgoing>) -> Result<(), QueueError> {
        Err(QueueError { operation: "send", source: None })
    }

    async fn delete(&self, _: Vec<String>) -> Result<(), QueueError> {
        Ok(())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        Ok(Depth::default())
    }
}
