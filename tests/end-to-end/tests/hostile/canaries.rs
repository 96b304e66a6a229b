//! What is searched for in everything that leaves a process whose Graph means harm: prompts, names, the secret, tokens, and
//! the links themselves, in which a server may put what it likes.

use std::sync::Arc;

use domain::{Deadline, OsRandom, ScaledClock};
use end_to_end::{Log, World};
use graph::{ClientSecret, GraphClient, GraphConfig, HttpTransport, Question};
use graph_simulator::numbered;
use queue::InProcessQueue;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

use crate::tenant_id;
use crate::trap::{Server, answer};

/// In every prompt and answer.
pub(crate) const PROMPT: &str = "canary-prompt";
/// In every link that leads elsewhere.
pub(crate) const LINK: &str = "canary-link";

/// What JSON Web Tokens begin with.
const TOKEN: &str = "eyJ";

/// Searches the log, the messages, the keys and the objects. Prompts belong to records, names to rosters, and what a server puts
/// into a page to what is kept of it.
pub(crate) fn expect_silence(world: &World, log: &Log) {
    let tenant = world.simulator.tenant();
    let names = tenant.users().iter().flat_map(|user| [user.upn.as_str(), user.display_name.as_str()]);
    let names: Vec<&str> = names.collect();
    let secrets = [TOKEN, "Bearer ", tenant.application.secret.as_str()];
    assert!(world.simulator.token().starts_with(TOKEN), "tokens have another form than the one that is searched for");
    let look = |place: &str, text: &str, belongs: &[&str]| {
        let mut elsewhere =
            [PROMPT, LINK].iter().chain(&names).filter(|canary| !belongs.contains(canary)).chain(&secrets);
        let found = elsewhere.find(|canary| text.contains(**canary));
        assert!(found.is_none(), "{found:?} stands in {place}");
    };
    let text = log.text();
    assert!(!text.is_empty(), "nothing was logged, so nothing was searched");
    look("the log", &text, &[]);
    messages(&world.queue).iter().for_each(|body| look("a message", body, &[]));
    for (key, bytes) in world.store.objects() {
        look("a key", &key, &[]);
        let bytes = if key.ends_with(".zst") { zstd::decode_all(&bytes[..]).unwrap() } else { bytes.to_vec() };
        let belongs: &[&str] = match key.split('/').next() {
            Some("interactions") => &[PROMPT],
            Some("quarantine") => &[PROMPT, LINK],
            _ if key.ends_with("/roster.jsonl.zst") => &names,
            _ => &[],
        };
        look(&key, &String::from_utf8_lossy(&bytes), belongs);
    }
}

/// What is left in the queue for good; all others have the same form.
fn messages(queue: &InProcessQueue) -> Vec<String> {
    queue.dead_letters().into_iter().map(|letter| letter.body).collect()
}

/// Graph and Entra on a socket, which put canaries wherever they can.
fn loose_tongued() -> Server {
    Server::start("127.0.0.1:0", |line| {
        if line.contains("/token ") {
            return answer("200 OK", r#"{"token_type":"Bearer","expires_in":3600,"access_token":"canary-token"}"#);
        }
        let page = |rest: &str| answer("200 OK", &format!(r#"{{"value":["{PROMPT}"]{rest}}}"#));
        let error =
            format!(r#"{{"error":{{"code":"{PROMPT} x","message":"{PROMPT}","innerError":{{"request-id":"x"}}}}}}"#);
        match line.split("users/").nth(1).and_then(|rest| rest.split('/').next()).and_then(|user| user.chars().last()) {
            Some('1') => page(&format!(r#","@odata.nextLink":"https://evil.example/{LINK}""#)),
            Some('2') => answer("200 OK", &format!("{{\"value\":[\"{PROMPT}\"")),
            Some('3') => {
                answer(&format!("302 Found\r\nlocation: https://evil.example/{LINK}\r\nrequest-id: {PROMPT} x"), "")
            }
            Some('4') => answer(&format!("400 Bad\r\nrequest-id: {PROMPT}/x\r\nx-canary: {PROMPT}"), &error),
            Some('5') => answer(&format!("503 {PROMPT}\r\nretry-after: {PROMPT}"), &error),
            Some('6') => answer("200 OK\r\ncontent-encoding: gzip", PROMPT),
            Some('7') => answer(&format!("200 OK\r\ncontent-encoding: {LINK}"), PROMPT),
            Some('8') => format!("HTTP/1.1 {PROMPT}\r\n\r\n"),
            _ => page(""),
        }
    })
}

/// Everything that the client says, as an error and to its log, while the server does all that.
async fn said() -> String {
    let server = loose_tongued();
    let origin = format!("http://{}", server.address);
    let mut config = GraphConfig::new(tenant_id(), "client");
    config.graph_origin = Some(origin.parse().unwrap());
    config.login_origin = Some(origin.parse().unwrap());
    config.requests_per_second = 1e6;
    let auth = Arc::new(ClientSecret("canary-secret".into()));
    let transport = Arc::new(HttpTransport::pinned("archive-test/1", server.address).unwrap());
    let clock = Arc::new(ScaledClock::new("2026-11-24T03:00:00Z".parse().unwrap(), 100.0));
    let client = GraphClient::new(config, auth, transport, clock, Arc::new(OsRandom)).unwrap();
    let mut said = format!("{client:?}");
    for number in 1..=9 {
        let mut pages = client.interactions(numbered(number), Question::Everything);
        let mut failed = false;
        for _ in 0..2 {
            match pages.next(Deadline::never()).await {
                Ok(page) => said.push_str(&format!("{page:?}{pages:?}{:?}", pages.tally())),
                Err(error) => {
                    failed = true;
                    said.push_str(&format!("{error} {error:?} {:?}", pages.tally()));
                }
            }
        }
        assert_eq!(failed, number < 9, "{number}");
    }
    said
}

#[tokio::test]
async fn a_loose_tongued_server_is_not_repeated_at_the_most_verbose_level() {
    let log = Log::default();
    let filtered = tracing_subscriber::registry().with(wiring::logs::filter(LevelFilter::TRACE)).with(log.layer());
    let guard = tracing::subscriber::set_default(filtered);
    let mut said = said().await;
    foreign();
    drop(guard);
    said.push_str(&log.text());
    assert!(said.contains("answered"), "the client logs: {said}");
    for canary in [PROMPT, LINK, "canary-token", "canary-secret", "Bearer"] {
        assert!(!said.contains(canary), "{canary}: {said}");
    }
}

#[tokio::test]
async fn without_the_filter_the_wire_would_speak() {
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.subscriber());
    said().await;
    let spoken = foreign();
    drop(guard);
    let text = log.text();
    assert!(text.contains("hyper_util"), "the HTTP stack logs when it may: {text}");
    assert_eq!(text.matches(&format!("{PROMPT} of the wire")).count(), spoken);
}

/// What crates would say that log what goes over the wire, some of them with names that begin as ours do.
macro_rules! foreign {
    ($($name:literal),*) => {{
        $(tracing::error!(target: $name, "{PROMPT} of the wire");)*
        [$($name),*].len()
    }};
}

fn foreign() -> usize {
    foreign!(
        "hyper::proto",
        "h2::codec",
        "reqwest::connect",
        "rustls::client",
        "aws_smithy_runtime::client",
        "aws_sdk_s3",
        "aws_config::profile",
        "lambda_runtime",
        "graph_rs_sdk",
        "tower::buffer"
    )
}
