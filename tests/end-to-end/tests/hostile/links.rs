//! Next links that lead elsewhere.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Deadline, Failure, OsRandom, SystemClock, UserId};
use end_to_end::{InProcess, Log, World};
use graph::{ClientSecret, GraphClient, GraphConfig, HttpTransport, Question, Response, Transport, TransportError};
use graph_simulator::{Fault, Rule, Switches};
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::canaries::{LINK, expect_silence};
use crate::trap::Trap;
use crate::{PAGES_OF_ALL, one_user, tenant_id};

const GRAPH: &str = "https://graph.microsoft.com";
const LOGIN: &str = "https://login.microsoftonline.com";

/// What a client that repairs addresses makes of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leads {
    /// Out: to another origin, or to another place of the same.
    Out,
    /// Nowhere that HTTP knows.
    Nowhere,
}

/// Links that must not be followed from a page of this user.
fn hostile(trap: &Trap, user: UserId) -> Vec<(String, Leads)> {
    let collection = path(user);
    let query = &format!("?$skiptoken={LINK}");
    let (out, nowhere) = (|text: String| (text, Leads::Out), |text: &str| (text.to_owned(), Leads::Nowhere));
    let [elsewhere, other_port] = [&trap.elsewhere, &trap.other_port].map(|server| server.address.port());
    let to = |start: &str| out(format!("{start}{collection}{query}"));
    let within = |path: String| out(format!("{GRAPH}{path}{query}"));
    let other = user.to_string().replace('0', "1");
    let mut links = vec![
        to("https://evil.example"),
        to("HTTPS://EVIL.EXAMPLE"),
        to("https://graph.microsoft.com.evil.example"),
        to("https://evilgraph.microsoft.com"),
        to("https://evil.example/graph.microsoft.com"),
        to("https://graph.microsoft.com."),
        to("https://login.microsoftonline.com"),
        // Userinfo.
        to("https://graph.microsoft.com@evil.example"),
        to("https://graph.microsoft.com:secret@evil.example"),
        to("https://user:secret@graph.microsoft.com"),
        to("https://@graph.microsoft.com"),
        to(&format!("http://graph.microsoft.com@127.0.0.2:{elsewhere}")),
        // Scheme and port.
        to("http://graph.microsoft.com"),
        to(&format!("http://graph.microsoft.com:{elsewhere}")),
        to(&format!("https://graph.microsoft.com:{elsewhere}")),
        to("https://graph.microsoft.com:0443"),
        to("https://graph.microsoft.com:"),
        // Addresses in all their spellings.
        to(&format!("http://127.0.0.2:{elsewhere}")),
        to(&format!("http://127.0.0.1:{other_port}")),
        to(&format!("http://localhost:{elsewhere}")),
        to(&format!("http://[::ffff:127.0.0.2]:{elsewhere}")),
        to(&format!("http://2130706434:{elsewhere}")),
        to(&format!("http://0x7f000002:{elsewhere}")),
        to(&format!("http://0177.0.0.2:{elsewhere}")),
        to(&format!("http://127.2:{elsewhere}")),
        // Letters that look alike or are folded into others.
        to("https://gr\u{430}ph.microsoft.com"),
        to("https://xn--grph-53d.microsoft.com"),
        to("https://graph.microsoft.com\u{3002}evil.example"),
        to("https://\u{ff47}raph.microsoft.com"),
        to("https://graph\u{ad}.microsoft.com"),
        to("https://graph%2emicrosoft.com"),
        // What repairing parsers drop or turn round.
        to("https:\\\\evil.example"),
        to("https://evil.example\\@graph.microsoft.com"),
        to("https:/evil.example"),
        to("https:evil.example"),
        to("https:///evil.example"),
        to("//evil.example"),
        to("\\\\evil.example"),
        to(" https://evil.example"),
        to("\thttps://evil.example"),
        to("ht\ntps://evil.example"),
        to("https://graph.microsoft.com\t.evil.example"),
        to("https://graph.microsoft.com\r\n.evil.example"),
        to("https://evil.example#@graph.microsoft.com"),
        to("https://evil.example?@graph.microsoft.com"),
        // The right origin, and another place.
        within(collection.replace(&user.to_string(), &other)),
        within(collection.replace("/v1.0/", "/beta/")),
        within("/v1.0/users".to_owned()),
        within(String::new()),
        within(format!("/{collection}")),
        within(format!("{collection}/")),
        within(format!("{collection};a=b")),
        within(format!("{collection}/../../../{other}/interactionHistory/getAllEnterpriseInteractions")),
        within(format!("/v1.0/%2e%2e{collection}")),
        within(collection.replace("/interactionHistory", "%2finteractionHistory")),
        within(collection.replace("/interactionHistory", "\\interactionHistory")),
        within(collection.replace("copilot", "%2563opilot")),
        within(format!("{collection}%00")),
        within(format!("{collection}#")),
        within(format!("{collection}?$skiptoken=1\r\nHost: evil.example")),
        // Relative links are Graph's to write out.
        out(format!("{collection}{query}")),
        out(query.clone()),
    ];
    let six = trap.six.iter().map(|server| server.address.port());
    links.extend(six.flat_map(|six| ["::1", "0:0:0:0:0:0:0:1"].map(|one| to(&format!("http://[{one}]:{six}")))));
    links.extend(
        [
            "data:application/json,{\"value\":[]}",
            "file:///etc/passwd",
            "javascript:0",
            "ftp://evil.example/",
            "ws://evil.example/",
            "mailto:a@evil.example",
            "https://",
            "https://:443/",
            "https://graph.microsoft.com:65536/",
            "https://[::1/",
            "https://a b/",
        ]
        .map(nowhere),
    );
    links
}

fn path(user: UserId) -> String {
    format!("/v1.0/copilot/users/{user}/interactionHistory/getAllEnterpriseInteractions")
}

/// The way out of a process: what goes to Graph's and Entra's own places is answered here, and everything else is really
/// sent, in a world in which every name leads to the trap.
#[derive(Debug)]
struct Door<T> {
    inside: T,
    outside: HttpTransport,
    user: UserId,
    sent: Mutex<Vec<String>>,
}

impl<T> Door<T> {
    fn new(inside: T, trap: &Trap, user: UserId) -> Self {
        let outside = HttpTransport::pinned("archive-test/1", trap.elsewhere.address).unwrap();
        Self { inside, outside, user, sent: Mutex::default() }
    }
}

#[async_trait]
impl<T: Transport> Transport for Door<T> {
    async fn send(&self, request: http::Request<Bytes>) -> Result<Response, TransportError> {
        let address = request.uri().to_string();
        self.sent.lock().unwrap().push(address.clone());
        let own = address.starts_with(&format!("{LOGIN}/"))
            || address.starts_with(&format!("{GRAPH}{}?$top=100", path(self.user)))
            || PAGES_OF_ALL.iter().any(|page| address.starts_with(&format!("{GRAPH}{page}")));
        if own { self.inside.send(request).await } else { self.outside.send(request).await }
    }
}

/// Answers every question for tokens with one, and any other with a page of one item that has this link.
#[derive(Debug)]
struct OnePage(String);

#[async_trait]
impl Transport for OnePage {
    async fn send(&self, request: http::Request<Bytes>) -> Result<Response, TransportError> {
        let body = if request.uri().path().ends_with("/token") {
            r#"{"token_type":"Bearer","expires_in":3600,"access_token":"canary-token"}"#.to_owned()
        } else {
            format!(r#"{{"value":[1],"@odata.nextLink":{}}}"#, serde_json::to_string(&self.0).unwrap())
        };
        Ok(Response::whole(StatusCode::OK, HeaderMap::new(), body))
    }
}

fn client(door: Arc<dyn Transport>) -> GraphClient {
    let mut config = GraphConfig::new(tenant_id(), "client");
    config.requests_per_second = 1e6;
    let auth = Arc::new(ClientSecret("canary-secret".into()));
    GraphClient::new(config, auth, door, Arc::new(SystemClock), Arc::new(OsRandom)).unwrap()
}

fn some_user() -> UserId {
    graph_simulator::numbered(1)
}

#[tokio::test]
async fn no_byte_leaves_for_where_a_hostile_link_leads() {
    let trap = Trap::new();
    let user = some_user();
    let links = hostile(&trap, user);
    assert!(links.len() >= 70, "{}", links.len());
    for (link, _) in links.into_iter().chain([(String::new(), Leads::Nowhere)]) {
        let door = Arc::new(Door::new(OnePage(link.clone()), &trap, user));
        let mut pages = client(Arc::clone(&door) as Arc<dyn Transport>).interactions(user, Question::Everything);
        assert_eq!(pages.next(Deadline::never()).await.unwrap().map(|page| page.len()), Some(1));
        for _ in 0..2 {
            let error = pages.next(Deadline::never()).await.unwrap_err();
            assert_eq!(error.failure(), Some(Failure::ForeignLink), "{link:?}");
            assert!(!format!("{error} {error:?}").contains("evil"), "{error:?}");
        }
        assert_eq!(door.sent.lock().unwrap().len(), 2, "one page and one token: {link:?}");
        assert_eq!(trap.counts(), (0, 0), "{link:?}");
    }
}

#[tokio::test]
async fn the_trap_counts_a_client_that_follows() {
    let trap = Trap::new();
    let user = some_user();
    let base = Url::parse(&format!("{GRAPH}{}", path(user))).unwrap();
    let mut otherwise = Vec::new();
    for (link, leads) in hostile(&trap, user) {
        let before = trap.counts();
        if let Ok(url) = base.join(&link) {
            // What comes of it does not matter: it was sent.
            drop(trap.credulous().get(url).send().await);
        }
        let after = trap.counts();
        let reached = after.0 > before.0 && after.1 > before.1;
        if reached != (leads == Leads::Out) {
            otherwise.push(link);
        }
    }
    assert!(otherwise.is_empty(), "{otherwise:#?}");
}

#[tokio::test]
async fn a_transport_that_is_given_a_foreign_address_is_counted_too() {
    let trap = Trap::new();
    let transport = HttpTransport::pinned("archive-test/1", trap.elsewhere.address).unwrap();
    let request = http::Request::get("https://evil.example/").body(Bytes::new()).unwrap();
    assert!(transport.send(request).await.is_err(), "the trap speaks no TLS");
    assert!(trap.counts().1 > 0);
}

#[tokio::test(start_paused = true)]
async fn a_worker_fails_a_user_whose_link_leads_elsewhere_and_sends_nothing() {
    let trap = Trap::new();
    let (_, user) = one_user(3);
    for (link, _) in hostile(&trap, user) {
        let (tenant, user) = one_user(3);
        let rules = vec![Rule::always(Fault::NextLink(link.clone()))];
        let mut world = World::with(tenant, Switches { rules, ..Switches::default() });
        let door = Arc::new(Door::new(InProcess(Arc::clone(&world.simulator)), &trap, user));
        world.transport = Arc::clone(&door) as Arc<dyn Transport>;
        world.share(1, |_| {});
        let log = Log::default();
        let guard = tracing::subscriber::set_default(log.subscriber());
        let report = world.daily().await;
        drop(guard);
        expect_silence(&world, &log);
        assert_eq!((report.complete, report.users.failed), (false, 1), "{link:?}");
        let line = world.line(&report.run_id, user).await;
        let reason = line.class.and_then(|class| class.reason().map(str::to_owned));
        assert!(matches!(reason.as_deref(), Some("foreign-link" | "given-up")), "{link:?}: {reason:?}");
        assert!(line.covered_to.is_none() && line.new > 0, "what was shown is kept, and nothing is covered: {link:?}");
        assert!(door.sent.lock().unwrap().len() > 2);
        assert_eq!(trap.counts(), (0, 0), "{link:?}");
        world.verify();
    }
}
