//! Pages, retries, refusals and next links, against a scripted Graph.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use domain::{Deadline, Failure, Unavailability, Window};
use graph::{ApiVersion, ClientSecret, GraphError, PageFault, Question, TransportError};
use support::{GRAPH, PATH, Reply, World, graph_error, page, reply, reply_with, user};

const NEVER: Deadline = Deadline::never();

fn statuses(pages: &graph::Pages) -> String {
    let counts = pages.tally().by_status.iter().map(|(status, count)| format!("{status}:{count}"));
    counts.collect::<Vec<_>>().join(" ")
}

#[tokio::test(start_paused = true)]
async fn pages_are_read_to_the_one_without_a_link() {
    let link = |n: u32| format!("{GRAPH}{PATH}?$top=100&$filter=a+eq+%27b%27&$skiptoken=U2tp%3d{n}|'x'");
    let world = World::new([
        page(&["{\"id\": 1}", "{\"id\":2}"], Some(&link(1))),
        page(&[], Some(&link(2))),
        page(&["{\"id\":3}"], Some(&link(3))),
        page(&["{\"id\":4}"], None),
    ]);
    let mut pages = world.pages();
    let mut items = Vec::new();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next(NEVER).await.unwrap() {
        sizes.push(page.len());
        assert!(page.fetched_at() <= world.clock.now());
        items.extend(page.items().map(str::to_owned));
    }
    assert_eq!(sizes, [2, 0, 1, 1]);
    assert_eq!(items, ["{\"id\": 1}", "{\"id\":2}", "{\"id\":3}", "{\"id\":4}"]);
    assert!(pages.next(NEVER).await.unwrap().is_none());
    assert_eq!(statuses(&pages), "200:4");
    assert_eq!(world.client.requests_sent(), 4);

    let seen = world.seen();
    assert_eq!(seen[0].target, format!("{PATH}?$top=100"));
    for (n, seen) in (1..).zip(&seen[1..]) {
        assert_eq!(format!("{GRAPH}{}", seen.target), link(n));
    }
    let ids: HashSet<_> = seen.iter().map(|seen| seen.header("client-request-id").to_owned()).collect();
    assert_eq!(ids.len(), 4);
    assert!(seen.iter().all(|seen| seen.header("authorization").starts_with("Bearer ")));
    assert!(seen.iter().all(|seen| seen.headers.get("consistencylevel").is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_window_of_the_beta_version_is_asked_closed_and_wider() {
    let world = World::with([], [], |config| config.api_version = ApiVersion::Beta, Arc::new(ClientSecret("x".into())));
    let window = Window::new("2026-03-01T00:00:00Z".parse().unwrap(), "2026-03-02T00:00:00Z".parse().unwrap()).unwrap();
    world.client.interactions(user(), Question::Window(window)).next(NEVER).await.unwrap();
    let path = PATH.replace("v1.0", "beta");
    let filter = "createdDateTime%20gt%202026-02-28T23:59:59Z%20and%20createdDateTime%20lt%202026-03-02T00:00:01Z";
    assert_eq!(world.seen()[0].target, format!("{path}?$top=100&$filter={filter}"));
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again() {
    let cut = || Reply::Pieces(vec![Ok(Bytes::from_static(b"{\"value\":[")), Err(TransportError::Body)]);
    type Make = Box<dyn Fn() -> Reply>;
    let failures: Vec<(&str, Make)> = vec![
        ("408", Box::new(|| reply(408, ""))),
        ("500", Box::new(|| reply(500, ""))),
        ("502", Box::new(|| reply(502, "<html>bad gateway</html>"))),
        ("503", Box::new(|| reply(503, ""))),
        ("504", Box::new(|| reply(504, ""))),
        ("509", Box::new(|| reply(509, ""))),
        ("none", Box::new(|| Reply::Fail(TransportError::Connect))),
        ("none", Box::new(|| Reply::Fail(TransportError::Timeout))),
        ("none", Box::new(|| Reply::Hang)),
        ("none", Box::new(cut)),
        ("403", Box::new(|| reply(403, graph_error("Forbidden", "Invalid S2S auth token")))),
        ("403", Box::new(|| reply(403, "<html>proxy</html>"))),
        ("404", Box::new(|| reply(404, "<html>not here</html>"))),
    ];
    for (status, failure) in failures {
        let mut answers: Vec<_> = (0..7).map(|_| failure()).collect();
        answers.push(page(&["1"], None));
        let world = World::new(answers);
        let mut pages = world.pages();
        assert_eq!(pages.next(NEVER).await.unwrap().unwrap().len(), 1, "{status}");
        assert_eq!(statuses(&pages), format!("200:1 {status}:7"));
        assert_eq!(pages.tally().retries, 7);
        assert!(pages.tally().failed_request_ids.iter().all(|id| id.starts_with("graph-")));
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_end_with_the_last_reason() {
    let eight = |make: fn() -> Reply| World::new((0..8).map(|_| make()));

    let world = eight(|| reply(503, ""));
    let mut pages = world.pages();
    let error = pages.next(NEVER).await.unwrap_err();
    assert!(matches!(&error, GraphError::Server { status: 503, .. }), "{error}");
    assert_eq!((error.request_id(), error.failure()), (Some("graph-503"), Some(Failure::ServerError)));
    assert_eq!(statuses(&pages), "503:8");
    assert_eq!(pages.tally().failed_request_ids.len(), 8);
    // The same page again, if asked again.
    assert!(pages.next(NEVER).await.unwrap().is_some());

    let world = eight(|| Reply::Fail(TransportError::Connect));
    assert!(matches!(world.pages().next(NEVER).await, Err(GraphError::NoAnswer)));
    let world = eight(|| reply(403, graph_error("x", "Invalid S2S auth token")));
    let refused = Err(Unavailability::Refused);
    let error = world.pages().next(NEVER).await.map(|_| ()).map_err(|error| match error {
        GraphError::Unavailable(why) => why,
        other => panic!("{other}"),
    });
    assert_eq!(error, refused);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_is_asked_once() {
    for (status, body, part) in [
        (400, graph_error("BadRequest", "canary"), "HTTP 400 (BadRequest)"),
        (301, String::new(), "HTTP 301"),
        (302, String::new(), "HTTP 302"),
        (307, String::new(), "HTTP 307"),
        (204, String::new(), "HTTP 204"),
        (501, String::new(), "HTTP 501"),
        (403, graph_error("Forbidden", "User 'canary' does not have a valid Copilot license."), "no-licence"),
        (403, graph_error("Forbidden", "UnknownError"), "refused"),
        (403, graph_error("Forbidden", "Missing scope permissions on the request."), "not authorised"),
        (404, graph_error("NotFound", "Requested API is not supported. Please check the path."), "the path"),
        (404, graph_error("NotFound", "canary"), "no-history"),
        (404, graph_error("ResourceNotFound", "canary"), "gone"),
    ] {
        let world = World::new([Reply::Answer(
            status,
            vec![("location", "https://evil.example/".to_owned()), ("request-id", "g-1".to_owned())],
            body.into(),
        )]);
        let error = world.pages().next(NEVER).await.unwrap_err();
        assert!(error.to_string().contains(part), "{status}: {error}");
        assert!(!format!("{error:?}{error}").contains("canary"));
        assert_eq!(world.seen().len(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_parse_is_fetched_three_times_and_kept() {
    let world = World::new([reply(200, "{\"value\":["), reply(200, "<html>"), page(&["1"], None)]);
    assert_eq!(world.pages().next(NEVER).await.unwrap().unwrap().len(), 1);

    let world = World::new((0..3).map(|_| reply(200, "{\"value\":null,\"x\":\"canary\"}")));
    let error = world.pages().next(NEVER).await.unwrap_err();
    let GraphError::BadPage { kind: PageFault::NotAPage, body } = &error else { panic!("{error}") };
    assert_eq!(&body[..], b"{\"value\":null,\"x\":\"canary\"}");
    assert_eq!(world.seen().len(), 3);
    // The kept body is in the budget like any page.
    assert_eq!(world.client.byte_budget().in_use(), body.len());
    drop(error);
    assert_eq!(world.client.byte_budget().in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reset_connection_is_one_free_retry() {
    let world = World::new([Reply::Fail(TransportError::Reset), page(&[], None)]);
    world.pages().next(NEVER).await.unwrap();
    let seen = world.seen();
    assert!(seen[1].at.duration_since(seen[0].at).as_millis() < 150);
}

#[tokio::test(start_paused = true)]
async fn every_form_of_retry_after_is_kept() {
    for (value, least, most) in [
        ("7", 7.0, 8.0),
        ("90", 90.0, 91.0),
        ("0", 1.0, 2.3),
        ("-3", 1.0, 2.3),
        ("soon", 1.0, 2.3),
        ("Mon, 02 Mar 2026 09:00:40 GMT", 39.0, 41.0),
    ] {
        let world = World::new([reply_with(429, "retry-after", value, ""), page(&[], None)]);
        world.pages().next(NEVER).await.unwrap();
        let seen = world.seen();
        let waited = seen[1].at.duration_since(seen[0].at).as_secs_f64();
        assert!(waited >= least && waited <= most, "{value}: {waited}");
    }
    // Also after a 503, where the longer of the server's wait and our own counts.
    let world = World::new([reply_with(503, "retry-after", "20", ""), page(&[], None)]);
    world.pages().next(NEVER).await.unwrap();
    assert!(world.elapsed() >= 20.0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_past_the_deadline_hands_the_work_over() {
    for status in [429, 503] {
        for value in ["3600", "99999999999999999999"] {
            let world = World::new([reply_with(status, "retry-after", value, "")]);
            let mut pages = world.pages();
            let error = pages.next(world.within(60)).await.unwrap_err();
            let GraphError::RetryAfter { until } = error else { panic!("{error}") };
            assert!(until.duration_since(world.clock.now()).as_secs() >= 3598);
            assert!(world.elapsed() < 1.0);
            assert_eq!(statuses(&pages), format!("{status}:1"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_attempt_starts_or_lasts_past_the_deadline() {
    let world = World::new((0..20).map(|_| reply(500, "")));
    let deadline = world.within(5);
    assert!(matches!(world.pages().next(deadline).await, Err(GraphError::DeadlinePassed)));
    assert!(!deadline.passed(world.clock.now()));

    let world = World::new([Reply::Hang]);
    let deadline = world.within(5);
    let mut pages = world.pages();
    assert!(matches!(pages.next(deadline).await, Err(GraphError::DeadlinePassed)));
    assert_eq!(world.clock.now(), deadline.time());
    assert_eq!(statuses(&pages), "none:1");

    let world = World::new([]);
    assert!(matches!(world.pages().next(world.within(0)).await, Err(GraphError::DeadlinePassed)));
    assert!(world.seen().is_empty() && world.token_requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn throttling_pauses_everybody_and_uses_up_no_attempts() {
    let mut answers = vec![page(&[], None)];
    answers.extend((0..12).map(|_| reply_with(429, "retry-after", "30", "")));
    let world = World::new(answers);
    world.pages().next(NEVER).await.unwrap();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let mut pages = world.pages();
            tokio::spawn(async move { pages.next(NEVER).await.map(|_| pages.tally().clone()) })
        })
        .collect();
    let mut refused = 0;
    for task in tasks {
        refused += task.await.unwrap().unwrap().by_status.get("429").copied().unwrap_or_default();
    }
    assert_eq!(refused, 12);
    // Nothing starts between the answer to a refused request, a tenth of a second after it was sent, and its pause's end.
    let seen = world.seen();
    for refused in &seen[1..=12] {
        let after: Vec<_> = seen.iter().map(|seen| seen.at.duration_since(refused.at).as_secs_f64()).collect();
        assert!(!after.iter().any(|after| (0.101..30.099).contains(after)), "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn links_that_leave_the_collection_fail_after_their_page_and_are_never_sent() {
    let other_user = PATH.replace("5ac181d0", "6ac181d0");
    for link in [
        format!("https://evil.example{PATH}"),
        format!("http://graph.microsoft.com{PATH}"),
        format!("https://graph.microsoft.com@evil.example{PATH}"),
        format!("{GRAPH}{other_user}"),
        String::new(),
    ] {
        let world = World::new([page(&["1"], Some(&link))]);
        let mut pages = world.pages();
        assert_eq!(pages.next(NEVER).await.unwrap().unwrap().len(), 1);
        for _ in 0..2 {
            let error = pages.next(NEVER).await.unwrap_err();
            assert_eq!(error.failure(), Some(Failure::ForeignLink), "{link}");
        }
        assert_eq!(world.seen().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn pages_that_go_in_circles_or_on_for_ever_are_a_failure() {
    let links: Vec<_> = (0..3).map(|n| format!("{GRAPH}{PATH}?$skiptoken={n}")).collect();
    for cycle in [vec![0, 0], vec![0, 1, 2, 0]] {
        let world = World::new(cycle.iter().map(|n| page(&["1"], Some(&links[*n]))));
        let mut pages = world.pages();
        for _ in &cycle {
            pages.next(NEVER).await.unwrap().unwrap();
        }
        assert!(matches!(pages.next(NEVER).await, Err(GraphError::LinkLoop)));
    }
    // A link back to the first question.
    let world = World::new([page(&[], Some(&format!("{GRAPH}{PATH}?$top=100")))]);
    let mut pages = world.pages();
    pages.next(NEVER).await.unwrap();
    assert!(matches!(pages.next(NEVER).await, Err(GraphError::LinkLoop)));

    let endless = Box::new(|seen: &support::Seen| {
        page(&[], Some(&format!("{GRAPH}{PATH}?{}", seen.target.len() as u128 + hash(seen))))
    });
    fn hash(seen: &support::Seen) -> u128 {
        seen.at.as_nanosecond() as u128
    }
    let world = World::answering(
        [],
        [],
        |config| config.requests_per_second = 1e6,
        Arc::new(ClientSecret("x".into())),
        endless,
    );
    let mut pages = world.pages();
    let mut read = 0;
    let error = loop {
        match pages.next(world.within(1_000_000)).await {
            Ok(page) => read += usize::from(page.is_some()),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, GraphError::EndlessPages), "{error}");
    assert_eq!(read, 10_000);
}

#[tokio::test(start_paused = true)]
async fn bodies_stop_at_their_cap_and_memory_at_the_budget() {
    const MIB: usize = 1 << 20;
    let spaces = Bytes::from(vec![b' '; MIB]);
    let bomb = |mib: usize| {
        let mut pieces = vec![Ok(Bytes::from_static(b"{\"value\":["))];
        pieces.extend((0..mib).map(|_| Ok(spaces.clone())));
        pieces.push(Ok(Bytes::from_static(b"]}")));
        Reply::Pieces(pieces)
    };
    let world = World::with(
        (0..6).map(|n| bomb(if n % 3 == 0 { 40 } else { 20 })),
        [],
        |config| config.in_flight = 4,
        Arc::new(ClientSecret("x".into())),
    );
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let (mut pages, clock) = (world.pages(), Arc::clone(&world.clock));
            tokio::spawn(async move {
                let page = pages.next(NEVER).await;
                // Work on the page while holding it.
                clock.sleep(std::time::Duration::from_secs(100)).await;
                page.map(|page| page.unwrap().len())
            })
        })
        .collect();
    let mut too_large = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(items) => assert_eq!(items, 0),
            Err(GraphError::TooLarge) => too_large += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(too_large, 2);
    let budget = world.client.byte_budget();
    assert!(budget.peak() > 20 * MIB && budget.peak() <= budget.limit(), "{} of {}", budget.peak(), budget.limit());
    assert_eq!((budget.limit(), budget.in_use()), (36 * MIB, 0));
}

#[tokio::test(start_paused = true)]
async fn the_newest_server_date_is_kept() {
    let dated =
        |value: &str| Reply::Answer(200, vec![("date", value.to_owned())], Bytes::from_static(b"{\"value\":[]}"));
    let world =
        World::new([dated("Mon, 02 Mar 2026 09:00:05 GMT"), dated("Mon, 02 Mar 2026 09:00:01 GMT"), dated("x")]);
    assert_eq!(world.client.server_date(), None);
    for _ in 0..3 {
        world.pages().next(NEVER).await.unwrap();
    }
    assert_eq!(world.client.server_date(), Some("2026-03-02T09:00:05Z".parse().unwrap()));
}
