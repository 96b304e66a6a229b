//! Bodies that no client should have to read: each with the class that the user ends in, and within the memory of pages.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Deadline, OsRandom, ScaledClock, Timestamp, UserId};
use end_to_end::{InProcess, Log, World};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt;
use graph::{ClientSecret, GraphClient, GraphConfig, Question, Response, Transport, TransportError};
use graph_simulator::{Item, Tenant, plain};
use http::header::{CONTENT_ENCODING, HeaderValue};
use jiff::SignedDuration;

use crate::canaries::expect_silence;
use crate::{now, prompt, tenant_id};

/// In the text of the one item whose pages are spoilt.
const POISON: &str = "\"poison\":1";

/// What becomes of a page: its encoding by name, and its body.
type Spoilt = (Option<&'static str>, Vec<u8>);

/// Spoils pages, given the address and the body.
type Spoil = Box<dyn Fn(&http::Uri, &[u8]) -> Spoilt + Send + Sync>;

/// Graph, and something on the way that spoils every page with the poison in it.
struct Spoiling {
    graph: InProcess,
    spoil: Spoil,
    mended: AtomicBool,
}

impl fmt::Debug for Spoiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spoiling")
    }
}

async fn whole(response: Response) -> (Response, Vec<u8>) {
    let Response { status, headers, mut body } = response;
    let mut bytes = Vec::new();
    while let Some(Ok(piece)) = body.next().await {
        bytes.extend_from_slice(&piece);
    }
    (Response::whole(status, headers, bytes.clone()), bytes)
}

fn page((encoding, body): Spoilt) -> Response {
    let encoding = encoding.map(|encoding| (CONTENT_ENCODING, HeaderValue::from_static(encoding)));
    Response::whole(http::StatusCode::OK, encoding.into_iter().collect(), body)
}

#[async_trait]
impl Transport for Spoiling {
    async fn send(&self, request: http::Request<Bytes>) -> Result<Response, TransportError> {
        let uri = request.uri().clone();
        if uri.query().is_some_and(|query| query.contains("spoilt-")) {
            // A page that only a spoilt one leads to.
            return Ok(page((self.spoil)(&uri, b"")));
        }
        let (response, body) = whole(self.graph.send(request).await?).await;
        let spoilt = !self.mended.load(Relaxed) && String::from_utf8_lossy(&body).contains(POISON);
        Ok(if spoilt { page((self.spoil)(&uri, &body)) } else { response })
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A page that leads on to the n-th of some that nobody ever wrote.
fn leads_to(uri: &http::Uri, n: u64) -> Spoilt {
    let (scheme, host) =
        (uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |authority| authority.as_str()));
    let link = format!("{scheme}://{host}{}?$skiptoken=spoilt-{n}", uri.path());
    (None, format!(r#"{{"value":[],"@odata.nextLink":"{link}"}}"#).into_bytes())
}

/// Which of them this is; none for the page that led there.
fn number(uri: &http::Uri) -> Option<u64> {
    uri.query().and_then(|query| query.split("spoilt-").nth(1)).and_then(|number| number.parse().ok())
}

/// Every way to spoil a page, and the reason that the user fails for.
fn spoils() -> Vec<(&'static str, &'static str, Spoil)> {
    let mut all: Vec<(&'static str, &'static str, Spoil)> = Vec::new();
    let mut add = |name, reason, spoil: Spoil| all.push((name, reason, spoil));
    let text = |text: &str| -> Spoil {
        let body = text.as_bytes().to_vec();
        Box::new(move |_, _| (None, body.clone()))
    };
    // Too much.
    let bomb = gzip(&[b"{\"value\":[", &vec![b' '; 48 << 20][..], b"]}"].concat());
    assert!(bomb.len() < 1 << 20);
    add("a gzip bomb", "too-large", Box::new(move |_, _| (Some("gzip"), bomb.clone())));
    let padded = |body: &[u8]| [&body[..1], &vec![b' '; 33 << 20][..], &body[1..]].concat();
    add("a page of 33 MB", "too-large", Box::new(move |_, body| (None, padded(body))));
    let countless = format!(r#"{{"value":[{}0]}}"#, "0,".repeat(100_000));
    add("a page of 100,001 items", "too-large", text(&countless));
    // Compressed in a way that nobody asked for, or not as it says.
    for encoding in ["br", "zstd", "deflate", "compress", "gzip, gzip"] {
        add(encoding, "server-error", Box::new(move |_, body| (Some(encoding), gzip(body))));
    }
    add("plain and called gzip", "server-error", Box::new(|_, body| (Some("gzip"), body.to_vec())));
    let cut = |body: &[u8]| {
        let packed = gzip(body);
        packed[..packed.len() - 4].to_vec()
    };
    add("gzip without its end", "server-error", Box::new(move |_, body| (Some("gzip"), cut(body))));
    // No JSON.
    for (name, body) in [
        ("nothing", ""),
        ("HTML", "<!DOCTYPE html><html><body>Sign in to your account</body></html>"),
        ("two documents", r#"{"value":[]}{"value":[]}"#),
        ("a comment", "/* */{\"value\":[]}"),
        ("a number that is none", r#"{"value":[01]}"#),
        ("a trailing comma", r#"{"value":[1,]}"#),
        ("NaN", r#"{"value":[NaN]}"#),
    ] {
        add(name, "bad-page", text(body));
    }
    let within_a_string = |body: &[u8], bytes: &[u8]| {
        let quote = body.iter().position(|byte| *byte == b'"').map_or(0, |quote| quote + 1);
        [&body[..quote], bytes, &body[quote..]].concat()
    };
    for (name, bytes) in [
        ("NUL", &b"\0"[..]),
        ("invalid UTF-8", b"\xff"),
        ("a surrogate in UTF-8", b"\xed\xa0\x80"),
        ("overlong", b"\xc0\xaf"),
    ] {
        add(name, "bad-page", Box::new(move |_, body| (None, within_a_string(body, bytes))));
    }
    add("a byte-order mark", "bad-page", Box::new(|_, body| (None, [b"\xef\xbb\xbf", body].concat())));
    let utf16 = |body: &[u8]| String::from_utf8_lossy(body).encode_utf16().flat_map(u16::to_le_bytes).collect();
    add("UTF-16", "bad-page", Box::new(move |_, body| (None, utf16(body))));
    add("two thirds of it", "bad-page", Box::new(|_, body| (None, body[..body.len() * 2 / 3].to_vec())));
    // JSON that is no page.
    for (name, body) in [
        ("no value", r#"{"@odata.context":"x"}"#),
        ("value null", r#"{"value":null}"#),
        ("value an object", r#"{"value":{"0":{}}}"#),
        ("value a string", r#"{"value":"[]"}"#),
        ("value twice", r#"{"value":[],"value":[]}"#),
        ("value twice, once escaped", r#"{"value":[],"\u0076alue":[]}"#),
        ("an array", "[[]]"),
        ("an array of what would be members", "[null,[]]"),
        ("null", "null"),
        ("a link that is a number", r#"{"value":[],"@odata.nextLink":7}"#),
        ("two links", r#"{"value":[],"@odata.nextLink":"a","@odata.nextLink":"b"}"#),
        ("an error with status 200", r#"{"error":{"code":"UnknownError","message":""}}"#),
        ("an error beside a value", r#"{"value":[],"error":{"code":"x"}}"#),
    ] {
        add(name, "bad-page", text(body));
    }
    // Links without end.
    add("a loop of one", "link-loop", Box::new(|uri, _| leads_to(uri, 0)));
    add("a loop of three", "link-loop", Box::new(|uri, _| leads_to(uri, number(uri).map_or(0, |n| (n + 1) % 3))));
    add("links for ever", "endless-pages", Box::new(|uri, _| leads_to(uri, number(uri).map_or(0, |n| n + 1))));
    all
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// A user with an item a second, and the poison in the middle.
fn poisoned() -> (Tenant, UserId, Timestamp) {
    let mut tenant = Tenant::new(tenant_id(), now());
    let user = tenant.add_licensed(1);
    let middle = now() - SignedDuration::from_hours(5);
    for n in -8..=8 {
        let created = middle + seconds(n);
        let text = prompt(user, n.unsigned_abs() as usize, created);
        let text = if n == 0 { text.replacen('{', &format!("{{{POISON},"), 1) } else { text };
        assert!(tenant.add_item(user, Item::new(text, created)));
    }
    (tenant, user, middle)
}

#[tokio::test(start_paused = true)]
async fn a_spoilt_page_ends_in_its_class_and_costs_nothing_but_its_seconds() {
    for (name, reason, spoil) in spoils() {
        let (tenant, user, middle) = poisoned();
        let mut world = World::new(tenant);
        let graph = InProcess(Arc::clone(&world.simulator));
        let spoiling = Arc::new(Spoiling { graph, spoil, mended: AtomicBool::new(false) });
        world.transport = Arc::clone(&spoiling) as Arc<dyn Transport>;
        // So that links for ever come to their end.
        world.share(1, |config| config.requests_per_second = 1e6);
        let asked = |run: &str| {
            let (from, to) = (middle - seconds(9), middle + seconds(9));
            format!(r#"{{"runId":"{run}","from":"{from}","to":"{to}"}}"#)
        };
        let log = Log::default();
        let guard = tracing::subscriber::set_default(log.subscriber());
        let report = world.run(&asked("spoilt")).await;
        drop(guard);
        expect_silence(&world, &log);
        let line = world.line(&report.run_id, user).await;
        assert_eq!((report.complete, report.users.failed), (false, 1), "{name}");
        assert_eq!(line.class.as_ref().and_then(|class| class.reason()), Some(reason), "{name}");
        assert!(!line.windows.iter().any(|read| read.holds(middle)), "{name}: what was not read counts as read");
        // Questions are widened by a second or two on both sides, so that the poison spoils five seconds.
        assert!(world.held(user) >= 17 - 5 && world.held(user) < 17, "{name}: {}", world.held(user));
        assert_eq!(report.quarantined_pages > 0, reason == "bad-page", "{name}");
        let client = world.worker(0).graph;
        let budget = client.byte_budget();
        assert!(budget.peak() <= budget.limit(), "{name}: {} of {} bytes", budget.peak(), budget.limit());
        world.verify();

        spoiling.mended.store(true, Relaxed);
        assert!(world.run(&asked("mended")).await.complete, "{name}");
        world.expect_truth([user]);
    }
}

#[tokio::test(start_paused = true)]
async fn odd_pages_that_are_pages_are_read() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let members = move |more: &str| -> Spoil {
        let more = more.to_owned();
        Box::new(move |_, body| (None, [b"{", more.as_bytes(), &body[1..]].concat()))
    };
    let spoils: Vec<(&str, Spoil)> = vec![
        ("a count that lies", members("\"@odata.count\":7,")),
        ("a count that is none", members("\"@odata.count\":\"-1\",")),
        ("deep nesting beside the items", members(&format!("\"x\":{deep},"))),
        ("an error that is null", members("\"error\":null,")),
        ("names twice", members("\"a\":1,\"a\":{},")),
        ("a value within", members("\"x\":{\"value\":[7],\"@odata.nextLink\":\"https://evil.example\"},")),
        ("a megabyte of space", Box::new(|_, body| (None, [&vec![b'\n'; 1 << 20][..], body].concat()))),
        ("gzip of two members", Box::new(|_, body| (Some("gzip"), [gzip(&body[..9]), gzip(&body[9..])].concat()))),
        ("gzip by its old name", Box::new(|_, body| (Some("X-Gzip"), gzip(body)))),
    ];
    for (name, spoil) in spoils {
        let (tenant, user, _) = poisoned();
        let mut world = World::new(tenant);
        let graph = InProcess(Arc::clone(&world.simulator));
        world.transport = Arc::new(Spoiling { graph, spoil, mended: AtomicBool::new(false) });
        world.share(1, |_| {});
        assert!(world.daily().await.complete, "{name}");
        world.expect_truth([user]);
    }
}

#[tokio::test(start_paused = true)]
async fn huge_and_odd_items_are_archived_as_they_came() {
    let mut tenant = Tenant::new(tenant_id(), now());
    let user = tenant.add_licensed(1);
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let members = [
        format!("\"huge\":\"{}\"", "x".repeat(10 << 20)),
        format!("\"deep\":{deep}"),
        r#""lone":"\ud800 \udc00""#.to_owned(),
        r#""nul":"\u0000""#.to_owned(),
        r#""a":1,"a":2,"a":{"a":1,"a":2}"#.to_owned(),
        r#""n":[1e400,-0.0,12345678901234567890123456789]"#.to_owned(),
    ];
    for (n, members) in members.into_iter().enumerate() {
        let created = now() - SignedDuration::from_hours(3 + n as i64);
        let text = plain(user, n, created).replacen('{', &format!("{{{members},"), 1);
        assert!(tenant.add_item(user, Item::new(text, created)));
    }
    let world = World::new(tenant);
    let report = world.daily().await;
    assert!(report.complete, "{report:#?}");
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_items_of_a_megabyte_are_read_in_pieces_within_the_memory_of_one_page() {
    let mut tenant = Tenant::new(tenant_id(), now());
    let user = tenant.add_licensed(1);
    for n in 0..100 {
        let created = now() - SignedDuration::from_mins(180 + 40 * n);
        let text = graph_simulator::huge(user, created, 1 << 20);
        assert!(tenant.add_item(user, Item::new(text, created)));
    }
    let world = World::new(tenant);
    let report = world.daily().await;
    assert!(report.complete, "{report:#?}");
    let client = world.worker(0).graph;
    let budget = client.byte_budget();
    assert!(budget.peak() > 16 << 20 && budget.peak() <= budget.limit(), "{} of {}", budget.peak(), budget.limit());
    let bytes: usize = world.simulator.tenant().truth(user).into_iter().map(str::len).sum();
    assert!(budget.peak() < bytes / 2, "{} of {bytes}", budget.peak());
    world.expect_truth([user]);
}

/// Answers the first question for a page with as much of it as said, and every other with all of it.
#[derive(Debug)]
struct CutOnce {
    page: Bytes,
    packed: bool,
    first: std::sync::Mutex<Option<Vec<Result<Bytes, TransportError>>>>,
}

#[async_trait]
impl Transport for CutOnce {
    async fn send(&self, request: http::Request<Bytes>) -> Result<Response, TransportError> {
        if request.uri().path().ends_with("/token") {
            let token = r#"{"token_type":"Bearer","expires_in":3600,"access_token":"t"}"#;
            return Ok(page((None, token.into())));
        }
        let mut response = page((self.packed.then_some("gzip"), self.page.to_vec()));
        if let Some(pieces) = self.first.lock().unwrap().take() {
            response.body = Box::pin(futures_util::stream::iter(pieces));
        }
        Ok(response)
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_cut_at_any_kilobyte_is_never_read_in_part() {
    let user = graph_simulator::numbered(1);
    let items: Vec<String> = (0..100).map(|n| plain(user, n, now())).collect();
    let body = Bytes::from(format!(r#"{{"value":[{}]}}"#, items.join(",")));
    for packed in [false, true] {
        let sent = if packed { Bytes::from(gzip(&body)) } else { body.clone() };
        for cut in (0..sent.len()).step_by(1_024).chain([sent.len() - 1]) {
            for end in [None, Some(TransportError::Body)] {
                let mut pieces = vec![Ok(sent.slice(..cut))];
                pieces.extend(end.map(Err));
                let transport = CutOnce { page: sent.clone(), packed, first: Some(pieces).into() };
                let config = GraphConfig::new(tenant_id(), "client");
                let auth = Arc::new(ClientSecret("s".into()));
                let client = GraphClient::new(
                    config,
                    auth,
                    Arc::new(transport),
                    Arc::new(ScaledClock::new(now(), 1.0)),
                    Arc::new(OsRandom),
                )
                .unwrap();
                let mut pages = client.interactions(user, Question::Everything);
                let read = pages.next(Deadline::never()).await.unwrap().unwrap();
                assert_eq!(read.items().collect::<Vec<_>>(), items, "cut at {cut}, then {end:?}");
                assert_eq!(pages.tally().requests(), 2, "cut at {cut}, then {end:?}");
            }
        }
    }
}
