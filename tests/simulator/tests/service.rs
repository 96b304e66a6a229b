//! Tokens, directory, limits, and the service on a real connection.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use common::{ORIGIN, faulty, first_page, get, get_with, one_user, simulator, small};
use domain::{Clock as _, SystemClock};
use graph_simulator::{
    Answer, CHAT_PLAN, Fault, Federation, QuotaStep, RequestKind, RetryAfter, Rule, Script, Simulator, Switches,
    Tenant, serve,
};
use http::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

async fn post_token(simulator: &Simulator, tenant: &str, form: &[(&str, &str)]) -> (u16, Value) {
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let url = format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token");
    let answer = simulator.answer(Request::post(url).body(Bytes::from(form)).unwrap()).await;
    (answer.status.as_u16(), body(&answer))
}

struct Credentials {
    tenant: String,
    client: String,
    secret: String,
}

fn credentials(tenant: &Tenant) -> Credentials {
    let application = &tenant.application;
    Credentials {
        tenant: tenant.id.to_string(),
        client: application.client_id.to_string(),
        secret: application.secret.clone(),
    }
}

fn by_secret<'a>(client: &'a str, secret: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("grant_type", "client_credentials"),
        ("client_id", client),
        ("scope", "https://graph.microsoft.com/.default"),
        ("client_secret", secret),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_secret_buys_a_token_with_roles_that_ends() {
    let (simulator, user) = faulty([]);
    let Credentials { tenant, client, secret } = credentials(simulator.tenant());
    let (status, answer) = post_token(&simulator, &tenant, &by_secret(&client, &secret)).await;
    assert_eq!((status, answer["expires_in"].as_i64()), (200, Some(3599)));
    let token = answer["access_token"].as_str().unwrap().to_owned();
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert!(claims["roles"].as_array().unwrap().contains(&json!("AiEnterpriseInteraction.Read.All")));
    let ask = |token: String| {
        let request = Request::get(first_page(user, "")).header("authorization", format!("Bearer {token}"));
        simulator.answer(request.body(Bytes::new()).unwrap())
    };
    assert_eq!(ask(token.clone()).await.status, 200);
    assert_eq!(ask("nonsense".to_owned()).await.status, 401);
    simulator.clock().sleep(Duration::from_secs(3_600)).await;
    assert_eq!(ask(token).await.status, 401);
    let fresh = simulator.token();
    assert_eq!(ask(fresh.clone()).await.status, 200);
    simulator.clock().sleep(Duration::from_secs(1)).await;
    let now = simulator.clock().now();
    simulator.change(|s| s.tokens_revoked_before = Some(now));
    assert_eq!(ask(fresh).await.status, 401);
    simulator.change(|s| s.static_tokens.push("fixed".to_owned()));
    assert_eq!(ask("fixed".to_owned()).await.status, 200);
    simulator.change(|s| s.token_seconds = 5);
    assert_eq!(post_token(&simulator, &tenant, &by_secret(&client, &secret)).await.1["expires_in"], 5);
}

#[tokio::test(start_paused = true)]
async fn the_token_endpoint_refuses_as_entra_does() {
    let (simulator, _) = faulty([]);
    let Credentials { tenant, client, secret } = credentials(simulator.tenant());
    let code = |answer: (u16, Value)| (answer.0, answer.1["error_codes"][0].as_u64().unwrap_or(0));
    let refused = async |tenant: &str, client: &str, secret: &str| {
        code(post_token(&simulator, tenant, &by_secret(client, secret)).await)
    };
    assert_eq!(refused(&tenant, &client, "wrong").await, (401, 7_000_215));
    assert_eq!(refused(&tenant, "00000000-0000-0000-0000-000000000001", &secret).await, (400, 700_016));
    assert_eq!(refused("common", &client, &secret).await, (400, 90_002));
    let mut form = by_secret(&client, &secret);
    form[2].1 = "openid";
    assert_eq!(code(post_token(&simulator, &tenant, &form).await), (400, 70_011));
    simulator.change(|s| s.secret = Some("rotated".to_owned()));
    assert_eq!(refused(&tenant, &client, &secret).await, (401, 7_000_215));
    assert_eq!(refused(&tenant, &client, "rotated").await.0, 200);
    for aadsts in [7_000_222, 500_011, 700_024, 70_021] {
        let rule = Rule::always(Fault::Aadsts(aadsts)).kind(RequestKind::Token);
        simulator.change(|s| s.rules = vec![rule]);
        assert_eq!(refused(&tenant, &client, "rotated").await.1, u64::from(aadsts));
    }
    for (fault, status) in
        [(Fault::Status(503), 503), (Fault::Throttle { retry_after: RetryAfter::Seconds, seconds: 3 }, 429)]
    {
        simulator.change(|s| s.rules = vec![Rule::always(fault).kind(RequestKind::Token)]);
        assert_eq!(refused(&tenant, &client, "rotated").await.0, status);
    }
    assert!(simulator.ledger().statuses(RequestKind::Token)[&401] >= 3);
}

fn assertion(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode("signature"))
}

#[tokio::test(start_paused = true)]
async fn assertions_are_checked_claim_by_claim() {
    let (mut tenant, _) = one_user(0);
    tenant.application.federation = Some(Federation {
        issuer: "https://issuer.example".to_owned(),
        subject: "arn:aws:iam::1:role/Export".to_owned(),
        audience: "api://AzureADTokenExchange".to_owned(),
    });
    let simulator = simulator(tenant, Switches::default());
    let Credentials { tenant, client, .. } = credentials(simulator.tenant());
    let send = async |assertion: &str| {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &client),
            ("scope", "https://graph.microsoft.com/.default"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ];
        let (status, answer) = post_token(&simulator, &tenant, &form).await;
        if status == 200 { 0 } else { answer["error_codes"][0].as_u64().unwrap() }
    };
    let now = simulator.clock().now().as_second();
    let endpoint = format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token");
    let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": "abc"});
    let own = json!({"aud": endpoint, "iss": client, "sub": client, "jti": "1", "nbf": now, "exp": now + 300});
    let with = |name: &str, value: Value| {
        let mut claims = own.clone();
        claims[name] = value;
        claims
    };
    assert_eq!(send(&assertion(&header, &own)).await, 0);
    assert_eq!(send(&assertion(&json!({"alg": "PS256"}), &own)).await, 700_027);
    assert_eq!(send(&assertion(&header, &with("aud", "https://x.example/".into()))).await, 700_027);
    assert_eq!(send(&assertion(&header, &with("exp", (now - 4_000).into()))).await, 700_024);
    assert_eq!(send(&assertion(&header, &with("nbf", (now + 4_000).into()))).await, 700_024);
    assert_eq!(send("no.assertion").await, 700_027);
    let federated = |issuer: &str, subject: &str, audience: &str| {
        let claims = json!({"iss": issuer, "sub": subject, "aud": [audience], "exp": now + 300});
        assertion(&json!({"alg": "RS256"}), &claims)
    };
    let (issuer, subject, audience) =
        ("https://issuer.example", "arn:aws:iam::1:role/Export", "api://AzureADTokenExchange");
    assert_eq!(send(&federated(issuer, subject, audience)).await, 0);
    assert_eq!(send(&federated("https://other.example", subject, audience)).await, 700_211);
    assert_eq!(send(&federated(issuer, subject, "api://other")).await, 700_212);
    assert_eq!(send(&federated(issuer, "arn:other", audience)).await, 700_213);
    assert_eq!(send(&federated(issuer, &subject.to_lowercase(), audience)).await, 7_002_138);
}

/// Assertions signed for the clock's start: by the registered key with PS256 and with RS256, and by another key.
const ASSERTIONS: &str = include_str!("fixtures/assertions.txt");

#[tokio::test(start_paused = true)]
async fn a_registered_certificate_must_have_signed() {
    let (mut tenant, _) = one_user(0);
    let public_key_pem = include_str!("fixtures/public-key.pem").to_owned();
    tenant.application.certificate = Some(graph_simulator::Certificate { public_key_pem });
    let simulator = simulator(tenant, Switches::default());
    let Credentials { tenant, client, .. } = credentials(simulator.tenant());
    let mut statuses = Vec::new();
    for assertion in ASSERTIONS.lines() {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &client),
            ("scope", "https://graph.microsoft.com/.default"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ];
        statuses.push(post_token(&simulator, &tenant, &form).await.0);
    }
    assert_eq!(statuses, [200, 200, 401]);
}

#[tokio::test(start_paused = true)]
async fn discovery_leads_back_to_the_same_origin() {
    let (simulator, _) = faulty([]);
    let request = Request::get("/t/v2.0/.well-known/openid-configuration").header("host", "127.0.0.1:9");
    let answer = simulator.answer(request.body(Bytes::new()).unwrap()).await;
    assert_eq!(body(&answer)["token_endpoint"], "http://127.0.0.1:9/t/oauth2/v2.0/token");
    let instance = get(&simulator, "https://login.microsoftonline.com/common/discovery/instance?api-version=1.1").await;
    let endpoint = body(&instance)["tenant_discovery_endpoint"].as_str().unwrap().to_owned();
    assert!(endpoint.starts_with("https://login.microsoftonline.com/"));
    assert_eq!(get(&simulator, &endpoint).await.status, 200);
    let keys = body(&get(&simulator, &endpoint).await)["jwks_uri"].as_str().unwrap().to_owned();
    assert!(body(&get(&simulator, &keys).await)["keys"].is_array());
}

#[tokio::test(start_paused = true)]
async fn roles_decide_what_a_token_opens() {
    let (simulator, user) = faulty([]);
    let paths = ["/v1.0/subscribedSkus".to_owned(), "/v1.0/users".to_owned()];
    for path in &paths {
        assert_eq!(get(&simulator, &format!("{ORIGIN}{path}")).await.status, 200);
    }
    simulator.change(|s| s.roles.clear());
    for path in &paths {
        let answer = get(&simulator, &format!("{ORIGIN}{path}")).await;
        assert_eq!(
            (answer.status.as_u16(), body(&answer)["error"]["code"].as_str()),
            (403, Some("Authorization_RequestDenied"))
        );
    }
    let answer = get(&simulator, &first_page(user, "")).await;
    assert!(
        answer.status == 403
            && body(&answer)["error"]["message"].as_str().unwrap().starts_with("Missing scope permissions")
    );
}

async fn list(simulator: &Simulator, path: &str, headers: &[(&str, &str)]) -> Result<Vec<Value>, u16> {
    let mut url = format!("{ORIGIN}/v1.0/{path}");
    let mut all = Vec::new();
    loop {
        let answer = get_with(simulator, &url, headers).await;
        if answer.status != 200 {
            return Err(answer.status.as_u16());
        }
        let mut page = body(&answer);
        all.append(page["value"].as_array_mut().unwrap());
        match page["@odata.nextLink"].as_str() {
            Some(link) => url = link.to_owned(),
            None => return Ok(all),
        }
    }
}

const EVENTUAL: [(&str, &str); 1] = [("ConsistencyLevel", "eventual")];

#[tokio::test(start_paused = true)]
async fn the_directory_lists_who_holds_a_licence() {
    let simulator = simulator(small(), Switches::default());
    let tenant = simulator.tenant();
    let skus = list(&simulator, "subscribedSkus", &[]).await.unwrap();
    let grants = |sku: &&Value| {
        sku["servicePlans"].as_array().unwrap().iter().any(|plan| plan["servicePlanId"] == CHAT_PLAN.to_string())
    };
    let terms: Vec<String> = skus
        .iter()
        .filter(grants)
        .map(|sku| format!("assignedLicenses/any(x:x/skuId+eq+{})", sku["skuId"].as_str().unwrap()))
        .collect();
    assert_eq!((skus.len(), terms.len()), (11, 3));
    let query = format!("$select=id,assignedLicenses,accountEnabled,userType&$top=7&$filter={}", terms.join("+or+"));
    let holders = list(&simulator, &format!("users?$count=true&{query}"), &EVENTUAL).await.unwrap();
    assert_eq!(holders.len(), 36);
    assert!(holders.iter().all(|user| user["assignedLicenses"].is_array() && user.get("displayName").is_none()));
    // Without advanced mode the second page is refused, unless switched.
    assert_eq!(list(&simulator, &format!("users?{query}"), &EVENTUAL).await, Err(400));
    assert_eq!(list(&simulator, &format!("users?$count=true&{query}"), &[]).await, Err(400));
    simulator.change(|s| s.expired_page_token = false);
    assert_eq!(list(&simulator, &format!("users?{query}"), &[]).await.unwrap().len(), 36);
    simulator.change(|s| s.directory_repeats = true);
    assert_eq!(list(&simulator, &format!("users?{query}"), &[]).await.unwrap().len(), 36 + 5);
    simulator.change(|s| s.directory_repeats = false);
    assert_eq!(list(&simulator, "users", &[]).await.unwrap().len(), 40);
    let pages = simulator.ledger().records().len();
    simulator.change(|s| s.directory_top = 20);
    assert_eq!(list(&simulator, "users", &[]).await.unwrap().len(), 40);
    assert_eq!(simulator.ledger().records().len() - pages, 2);
    assert!(list(&simulator, "users", &[]).await.unwrap()[0].get("assignedLicenses").is_none());
    let plans = format!(
        "users?$select=id&$filter=assignedPlans/any(p:p/servicePlanId+eq+{CHAT_PLAN}+and+p/capabilityStatus+eq+'Enabled')"
    );
    let licensed = tenant.users().iter().filter(|user| tenant.is_licensed(user)).count();
    assert_eq!(list(&simulator, &plans, &[]).await.unwrap().len(), licensed);
    for refused in ["users?$filter=startswith(mail,'a')", "users?$top=1000", "users?$skip=1", "users?$select=nothing"] {
        assert_eq!(list(&simulator, refused, &[]).await, Err(400), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn users_and_groups_are_found_one_by_one() {
    let simulator = simulator(small(), Switches::default());
    let tenant = simulator.tenant();
    let user = &tenant.users()[3];
    for name in [user.id.to_string(), user.upn.to_uppercase()] {
        let answer = get(&simulator, &format!("{ORIGIN}/v1.0/users/{name}?$select=id,userPrincipalName")).await;
        assert_eq!(body(&answer)["id"], user.id.to_string());
    }
    let answer = get(&simulator, &format!("{ORIGIN}/v1.0/users/nobody@contoso.example")).await;
    assert_eq!(
        (answer.status.as_u16(), body(&answer)["error"]["code"].as_str()),
        (404, Some("Request_ResourceNotFound"))
    );
    let group = &tenant.groups[0];
    let members = format!("groups/{}/transitiveMembers/microsoft.graph.user?$count=true&$top=2&$select=id", group.id);
    assert_eq!(list(&simulator, &members, &EVENTUAL).await.unwrap().len(), group.members.len());
    assert_eq!(list(&simulator, &members, &[]).await, Err(400));
    assert_eq!(list(&simulator, "groups/00000000-0000-0000-0000-000000000001/transitiveMembers", &[]).await, Err(404));
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_are_refused_and_the_ledger_tells_who_waited() {
    let (simulator, user) = faulty([]);
    let url = first_page(user, "?$top=100");
    for n in 0..31 {
        assert_eq!(get(&simulator, &url).await.status, if n < 30 { 200 } else { 429 });
    }
    assert_eq!(simulator.ledger().requests_before_retry_after(), 0);
    let answer = get(&simulator, &url).await;
    assert_eq!((answer.status.as_u16(), answer.headers["retry-after"].to_str().unwrap()), (429, "1"));
    assert_eq!((simulator.ledger().requests_before_retry_after(), simulator.ledger().max_per_second()), (1, 32));
    simulator.clock().sleep(Duration::from_secs(2)).await;
    assert_eq!(get(&simulator, &url).await.status, 200);
    assert_eq!(simulator.ledger().requests_before_retry_after(), 1);
    let now = simulator.clock().now();
    simulator.change(|s| s.quota.steps = vec![QuotaStep { from: now, per_second: 0.0 }]);
    for (form, told) in [(RetryAfter::Absent, None), (RetryAfter::Text("0".to_owned()), Some("0"))] {
        simulator.change(|s| s.retry_after = form);
        let answer = get(&simulator, &url).await;
        assert_eq!(
            (answer.status.as_u16(), answer.headers.get("retry-after").map(|value| value.to_str().unwrap())),
            (429, told)
        );
    }
    simulator.change(|s| s.quota.enforced = false);
    assert_eq!(get(&simulator, &url).await.status, 200);
    simulator.change(|s| {
        *s = Switches {
            quota: graph_simulator::Quota { stolen_per_second: 29.5, ..Default::default() },
            ..Switches::default()
        }
    });
    assert_eq!(get(&simulator, &url).await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn a_script_changes_the_service_on_time() {
    let (tenant, user) = one_user(1);
    let script = Script::from_json(
        r#"{"switches":{"default_top":5},"schedule":[{"at":"2026-11-24T03:01:00Z","set":{"rules":[{"fault":"bad-gateway"}]}}]}"#,
    );
    let clock = Arc::new(domain::ScaledClock::new(tenant.now, 1.0));
    let simulator = Simulator::scripted(Arc::new(tenant), script.unwrap(), clock);
    assert_eq!(get(&simulator, &first_page(user, "")).await.status, 200);
    simulator.clock().sleep(Duration::from_secs(60)).await;
    assert_eq!(
        (get(&simulator, &first_page(user, "")).await.status.as_u16(), simulator.switches().default_top),
        (502, 5)
    );
}

#[test]
fn what_a_grader_needs_is_written() {
    let (mut tenant, user) = one_user(2);
    tenant
        .add_item(user, graph_simulator::Item::new("{\r\n\"id\":\"pretty\"\r\n}", common::at("2026-11-01T00:00:00Z")));
    let mut read = graph_simulator::Item::new("{\"id\":\"read\"}", common::at("2026-11-01T00:00:00Z"));
    read.expected_text = Some("what was read".to_owned());
    tenant.add_item(user, read);
    let folder = tempfile::tempdir().unwrap();
    graph_simulator::write_truth(&tenant, folder.path()).unwrap();
    let lines = |name: &str| {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let items = lines(&format!("{user}.jsonl"));
    assert_eq!((items.len(), items[2].as_str(), items[3].as_str()), (4, r#"{"id":"pretty"}"#, r#"{"id":"read"}"#));
    let users: Value = serde_json::from_str(&lines("users.jsonl")[0]).unwrap();
    assert_eq!((&users["items"], &users["readable"], &users["user_id"]), (&json!(4), &json!(true), &json!(user)));
    let expected: Value = serde_json::from_str(&lines("expected-text.jsonl")[0]).unwrap();
    assert_eq!((&expected["line"], &expected["text"]), (&json!(4), &json!("what was read")));
}

/// Everything that comes over one connection for one request, and how it ended.
async fn over_tcp(simulator: &Arc<Simulator>, path: &str) -> (String, std::io::Result<usize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = serve(Arc::clone(simulator), listener).unwrap();
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let token = simulator.token();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n",
        server.address()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes).await;
    server.stop().await;
    (String::from_utf8_lossy(&bytes).into_owned(), ended)
}

#[tokio::test]
async fn a_server_serves_and_breaks_connections_for_real() {
    let (tenant, user) = one_user(25);
    let simulator = Arc::new(Simulator::new(Arc::new(tenant), Switches::default(), Arc::new(SystemClock)));
    assert!(SystemClock.now() > jiff::Timestamp::UNIX_EPOCH);
    let path = format!("/v1.0/copilot/users/{user}/interactionHistory/getAllEnterpriseInteractions");
    let (whole, ended) = over_tcp(&simulator, &path).await;
    let (head, received) = whole.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && ended.is_ok());
    assert!(received.contains("\"@odata.nextLink\":\"http://127.0.0.1:"));
    let length = |head: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-length:")).unwrap();
        line.split(':').nth(1).unwrap().trim().parse::<usize>().unwrap()
    };
    assert_eq!(length(head), received.len());
    simulator.change(|s| s.rules = vec![Rule::always(Fault::Reset)]);
    assert_eq!(over_tcp(&simulator, &path).await.0, "");
    for fault in [Fault::ResetWithinBody, Fault::ContentLength(5)] {
        simulator.change(|s| s.rules = vec![Rule::always(fault)]);
        let (part, _) = over_tcp(&simulator, &path).await;
        let (head, received) = part.split_once("\r\n\r\n").unwrap();
        assert!(!received.is_empty() && received.len() < length(head), "{head}");
    }
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let (simulator, _) = faulty([]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = serve(Arc::new(simulator), listener).unwrap();
    let address = server.address();
    let mut open = tokio::net::TcpStream::connect(address).await.unwrap();
    drop(server);
    assert_eq!(open.read(&mut [0; 8]).await.unwrap_or(0), 0);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
