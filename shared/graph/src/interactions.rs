//! A user's interactions, page by page.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use domain::{Deadline, Timestamp, UserId, Window};
use jiff::SignedDuration;

use crate::budget::PAGE_CAP;
use crate::client::{GraphClient, Inner};
use crate::error::GraphError;
use crate::exchange::Get;
use crate::link;
use crate::page::{self, Page};
use crate::refusal::Subject;
use crate::tally::Tally;
use crate::wait::within;

/// The most pages that answer one question, a million interactions: more is a service that goes on for ever.
const PAGES_CAP: usize = 10_000;

/// How many interactions a page is asked to hold: the most the service is known to give.
const TOP: &str = "$top=100";

/// How far a question is widened beyond its whole seconds, on both sides: the operators are strict, and how the service
/// rounds is not known.
const WIDENED: SignedDuration = SignedDuration::from_secs(1);

/// What is asked of a user's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// All of it.
    Everything,
    /// What was created in the window, asked a little wider than it.
    Window(Window),
}

impl Question {
    fn query(self, date_filter: bool) -> String {
        match self {
            Self::Window(window) if date_filter => {
                let (after, before) = (earlier(window.from()), later(window.to()));
                format!("{TOP}&$filter=createdDateTime%20gt%20{after}%20and%20createdDateTime%20lt%20{before}")
            }
            Self::Window(_) | Self::Everything => TOP.to_owned(),
        }
    }
}

/// The whole second before this time, one further down. Years are of four digits.
fn earlier(time: Timestamp) -> Timestamp {
    let floor = time.as_nanosecond().div_euclid(1_000_000_000);
    let earliest = Timestamp::constant(-62_135_596_800, 0);
    whole_second(floor).checked_sub(WIDENED).unwrap_or(Timestamp::MIN).max(earliest)
}

/// The whole second after this time, one further up.
fn later(time: Timestamp) -> Timestamp {
    let ceiling = -(-time.as_nanosecond()).div_euclid(1_000_000_000);
    let latest = whole_second(i128::from(Timestamp::MAX.as_second()));
    whole_second(ceiling).checked_add(WIDENED).unwrap_or(latest).min(latest)
}

fn whole_second(second: i128) -> Timestamp {
    let bound = if second < 0 { Timestamp::MIN } else { Timestamp::MAX };
    i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok()).unwrap_or(bound)
}

/// The pages that answer one question.
///
/// An error does not move: asked again after one, the same page is asked for again.
#[derive(Debug)]
pub struct Pages {
    client: Arc<Inner>,
    /// The path that every link must keep to.
    path: String,
    state: State,
    /// Hashes of the links followed so far; the key is random, so no service can make two collide.
    seen: HashSet<u64>,
    hasher: RandomState,
    pages: usize,
    tally: Tally,
}

#[derive(Debug)]
enum State {
    /// The next page's path and query.
    Next(String),
    /// The last page had a link that is not followed.
    Stopped(GraphError),
    /// The last page had no link.
    Done,
}

impl Pages {
    /// The next page; `None` after the last one, which is the one without a next link.
    ///
    /// A link that is not followed fails the call after the page it stood on: what was shown is there to be kept.
    pub async fn next(&mut self, deadline: Deadline) -> Result<Option<Page>, GraphError> {
        let target = match &self.state {
            State::Next(target) => target,
            State::Stopped(error) => return Err(error.clone()),
            State::Done => return Ok(None),
        };
        let client = Arc::clone(&self.client);
        let inner = &*client;
        let clock = &*inner.exchange.clock;
        let Some(Some(mut share)) = within(clock, deadline, inner.budget.share()).await else {
            return Err(GraphError::DeadlinePassed);
        };
        let pace = &inner.interactions;
        let get = Get { target, subject: Subject::Interactions, pace, cap: PAGE_CAP, deadline };
        let mut parsed = match inner.exchange.get(&get, Some(&mut share), &mut self.tally, page::parse).await {
            Ok(parsed) => parsed,
            Err(error) => return Err(error.holding(share)),
        };
        self.pages += 1;
        self.state = self.after(parsed.next_link.take());
        Ok(Some(Page::new(parsed, clock.now(), share)))
    }

    /// Where a page with this link leads.
    fn after(&mut self, next_link: Option<String>) -> State {
        let Some(next_link) = next_link else { return State::Done };
        match link::target(&next_link, &self.client.exchange.origin, &self.path) {
            Err(error) => State::Stopped(error),
            Ok(target) if !self.seen.insert(self.hasher.hash_one(target)) => State::Stopped(GraphError::LinkLoop),
            Ok(_) if self.pages >= PAGES_CAP => State::Stopped(GraphError::EndlessPages),
            Ok(target) => State::Next(target.to_owned()),
        }
    }

    /// All requests so far, failed ones included.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl GraphClient {
    /// The pages that answer this question; nothing is asked before the first [`Pages::next`].
    pub fn interactions(&self, user: UserId, question: Question) -> Pages {
        let version = self.inner.api_version.as_str();
        let path = format!("/{version}/copilot/users/{user}/interactionHistory/getAllEnterpriseInteractions");
        let target = format!("{path}?{}", question.query(self.inner.date_filter));
        let hasher = RandomState::new();
        let seen = HashSet::from([hasher.hash_one(target.as_str())]);
        let (state, tally) = (State::Next(target), Tally::default());
        Pages { client: Arc::clone(&self.inner), path, state, seen, hasher, pages: 0, tally }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(from: &str, to: &str) -> String {
        let window = Window::new(from.parse().unwrap(), to.parse().unwrap()).unwrap();
        Question::Window(window).query(true).replace("%20", " ")
    }

    #[test]
    fn a_window_is_asked_in_whole_seconds_and_a_little_wider() {
        for (from, to, gt, lt) in [
            ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", "2026-02-28T23:59:59Z", "2026-03-02T00:00:01Z"),
            (
                "2026-03-01T00:00:00.9Z",
                "2026-03-02T00:00:00.000000001Z",
                "2026-02-28T23:59:59Z",
                "2026-03-02T00:00:02Z",
            ),
            ("1969-12-31T23:59:58.5Z", "1969-12-31T23:59:59.5Z", "1969-12-31T23:59:57Z", "1970-01-01T00:00:01Z"),
        ] {
            let filter = format!("$top=100&$filter=createdDateTime gt {gt} and createdDateTime lt {lt}");
            assert_eq!(asked(from, to), filter);
        }
        let ends = Window::new(Timestamp::MIN, Timestamp::MAX).unwrap();
        let query = Question::Window(ends).query(true);
        assert!(query.contains("gt%200001-01-01T00:00:00Z") && query.contains("lt%209999-12-30T22:00:00Z"), "{query}");
    }

    #[test]
    fn without_a_date_filter_everything_is_asked() {
        let window = Window::new(Timestamp::UNIX_EPOCH, Timestamp::MAX).unwrap();
        assert_eq!(Question::Window(window).query(false), "$top=100");
        assert_eq!(Question::Everything.query(true), "$top=100");
    }
}
