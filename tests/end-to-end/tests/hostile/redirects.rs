//! Redirects, on real sockets: of pages, tokens and the directory.

use std::sync::Arc;

use domain::{Deadline, OsRandom, ScaledClock};
use graph::{ClientSecret, GraphClient, GraphConfig, HttpTransport, Question};
use graph_simulator::numbered;

use crate::tenant_id;
use crate::trap::{Server, Trap, answer};

/// How much faster the client's clock runs, so that the waits between its attempts are short.
const FASTER: f64 = 100.0;

/// What is redirected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Pages,
    Tokens,
    Directory,
}

/// Graph and Entra, where everything of one kind is redirected.
fn redirecting(what: What, status: u16, location: String) -> Server {
    Server::start("127.0.0.1:0", move |line| {
        let kind = if line.contains("/token ") {
            What::Tokens
        } else if line.contains("getAllEnterpriseInteractions") {
            What::Pages
        } else {
            What::Directory
        };
        if kind == what {
            return answer(&format!("{status} Elsewhere\r\nlocation: {location}"), "");
        }
        let token = r#"{"token_type":"Bearer","expires_in":3600,"access_token":"canary-token"}"#;
        answer("200 OK", if kind == What::Tokens { token } else { r#"{"value":[]}"# })
    })
}

fn locations(trap: &Trap) -> Vec<String> {
    let [elsewhere, other_port] = [&trap.elsewhere, &trap.other_port].map(|server| server.address);
    let six = trap.six.iter().map(|six| format!("http://{}/", six.address));
    let others = [
        format!("http://{elsewhere}/"),
        format!("http://{other_port}/"),
        format!("//{elsewhere}/"),
        format!("http://user@{elsewhere}/"),
        format!("http://localhost:{}/", elsewhere.port()),
        "https://evil.example/".to_owned(),
    ];
    others.into_iter().chain(six).collect()
}

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

#[tokio::test]
async fn no_byte_follows_a_redirect() {
    let trap = Trap::new();
    for what in [What::Pages, What::Tokens, What::Directory] {
        for (status, location) in
            STATUSES.into_iter().flat_map(|status| locations(&trap).into_iter().map(move |to| (status, to)))
        {
            let server = redirecting(what, status, location.clone());
            let origin = format!("http://{}", server.address);
            let mut config = GraphConfig::new(tenant_id(), "client");
            config.graph_origin = Some(origin.parse().unwrap());
            config.login_origin = Some(origin.parse().unwrap());
            config.requests_per_second = 1e6;
            let auth = Arc::new(ClientSecret("canary-secret".into()));
            let transport = Arc::new(HttpTransport::pinned("archive-test/1", trap.elsewhere.address).unwrap());
            let clock = Arc::new(ScaledClock::new("2026-11-24T03:00:00Z".parse().unwrap(), FASTER));
            let client = GraphClient::new(config, auth, transport, clock, Arc::new(OsRandom)).unwrap();
            let failed = match what {
                What::Pages => {
                    client.interactions(numbered(1), Question::Everything).next(Deadline::never()).await.is_err()
                }
                What::Tokens => client.check_consent(Deadline::never()).await.is_err(),
                What::Directory => client.licensed_users(Deadline::never()).await.is_err(),
            };
            assert!(failed, "{what:?} {status} {location}: a redirect is no answer");
            assert!(server.counts().0 > 0);
            assert_eq!(trap.counts(), (0, 0), "{what:?} {status} {location}");
        }
    }
}

#[tokio::test]
async fn the_trap_counts_a_client_that_is_redirected() {
    let trap = Trap::new();
    for (status, location) in
        STATUSES.into_iter().flat_map(|status| locations(&trap).into_iter().map(move |to| (status, to)))
    {
        let server = redirecting(What::Directory, status, location.clone());
        let before = trap.counts();
        drop(trap.credulous().get(format!("http://{}/", server.address)).send().await);
        assert!(trap.counts().0 > before.0 && trap.counts().1 > before.1, "{status} {location}");
    }
}
