//! The fault plan: which request meets which fault.

use domain::UserId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ledger::RequestKind;
use crate::switches::RetryAfter;
use crate::tenant::Folder;

/// Which requests a rule means. What is absent does not matter; everything that is there must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Matcher {
    /// What the request is for.
    pub kind: RequestKind,
    /// Whose interactions.
    pub user: Option<UserId>,
    /// The page, counted from 1 through both folders, as if every page had this request's size.
    pub page: Option<u32>,
    /// This page and all after it.
    pub from_page: Option<u32>,
    /// The folder.
    pub folder: Option<Folder>,
    /// A text that one of the page's items contains: such an item is never shown.
    pub contains: Option<String>,
    /// A text that path and query as received contain.
    pub target_contains: Option<String>,
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Only the n-th request that meets the rest, counted from 1.
    pub nth: Option<u64>,
    /// Only the first so many requests that meet the rest.
    pub first: Option<u64>,
    /// Every n-th request that meets the rest.
    pub every: Option<u64>,
    /// By chance, with the switches' seed.
    pub probability: Option<f64>,
}

/// What a fault is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// This status with a Graph error body.
    Status(u16),
    /// This status with this body, its type and possibly a `Retry-After`.
    Answer {
        /// The status.
        status: u16,
        /// The content type.
        content_type: String,
        /// The body.
        body: String,
        /// The `Retry-After`.
        retry_after: Option<String>,
    },
    /// 429 that says this; `Seconds` are this many.
    Throttle {
        /// How.
        retry_after: RetryAfter,
        /// How long.
        seconds: u32,
    },
    /// 502 with a gateway's HTML page.
    BadGateway,
    /// 302 to this place.
    Redirect(String),
    /// 403 `UnknownError`: the whole tenant's refusal looks like this for every user.
    Refused,
    /// 403: no valid licence.
    LicenceLost,
    /// 403 `Invalid S2S auth token`, which goes away by itself.
    InvalidS2s,
    /// 401: the token has expired.
    TokenExpired,
    /// The token endpoint's error of this AADSTS code.
    Aadsts(u32),
    /// The answer takes this much longer.
    Slow {
        /// How much.
        millis: u64,
    },
    /// The connection is reset before any byte of the answer.
    Reset,
    /// The connection is reset within the body.
    ResetWithinBody,
    /// The body ends early, and its length says so: half a JSON text.
    Truncate,
    /// `Content-Length` is off by this much.
    ContentLength(i64),
    /// The body is no JSON.
    Garbage,
    /// A byte of the body is not UTF-8.
    NotUtf8,
    /// A byte order mark precedes the body.
    Bom,
    /// The page has no `value`.
    MissingValue,
    /// The page's `value` is null.
    NullValue,
    /// The page has two next links; the first leads nowhere.
    DuplicateNextLink,
    /// The next link is this text; `{link}` stands for the true one, `{origin}` for scheme and host of the request.
    NextLink(String),
    /// The next link leads to another host, else it is the true one.
    ForeignLink(String),
    /// The next link leads to the page itself.
    LinkToSelf,
    /// The next link leads to the first page.
    LinkToFirst,
    /// There is always a next link, always another one.
    EndlessLinks,
    /// An empty page comes first; its next link leads to the page asked for.
    EmptyPage,
    /// The items of the page before it come again, instead of its own, which are then lost to this paging.
    RepeatPage,
    /// The items of the page before it come again, besides its own.
    RepeatItems,
    /// The newest so many items of the folder are not there: on page 1 an insert during paging, on later ones a delete.
    HideNewest(usize),
    /// The page holds an unknown member of this many bytes.
    HugePage(usize),
    /// The page holds an item of this many bytes that is in no truth.
    HugeItem(usize),
    /// The page is compressed and unpacks to this many bytes more.
    GzipBomb(usize),
    /// The page says that it is gzip and is not.
    BadGzip,
}

/// A fault and the requests that meet it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which requests.
    #[serde(default)]
    pub when: Matcher,
    /// What happens.
    pub fault: Fault,
}

impl Rule {
    /// The fault at every request for interactions.
    pub fn always(fault: Fault) -> Self {
        Self { when: Matcher::default(), fault }
    }

    /// Only for requests of this kind.
    pub fn kind(mut self, kind: RequestKind) -> Self {
        self.when.kind = kind;
        self
    }

    /// Only for this user.
    pub fn user(mut self, user: UserId) -> Self {
        self.when.user = Some(user);
        self
    }

    /// Only on this page.
    pub fn page(mut self, page: u32) -> Self {
        self.when.page = Some(page);
        self
    }

    /// Only from this page on.
    pub fn from_page(mut self, page: u32) -> Self {
        self.when.from_page = Some(page);
        self
    }

    /// Only on pages that would show an item with this text in it.
    pub fn containing(mut self, text: impl Into<String>) -> Self {
        self.when.contains = Some(text.into());
        self
    }

    /// Only from this time on and before that.
    pub fn between(mut self, from: Timestamp, until: Timestamp) -> Self {
        self.when.from = Some(from);
        self.when.until = Some(until);
        self
    }

    /// Only the n-th time.
    pub fn nth(mut self, nth: u64) -> Self {
        self.when.nth = Some(nth);
        self
    }

    /// Only the first so many times.
    pub fn first(mut self, first: u64) -> Self {
        self.when.first = Some(first);
        self
    }

    /// Every n-th time.
    pub fn every(mut self, every: u64) -> Self {
        self.when.every = Some(every);
        self
    }

    /// Only by chance.
    pub fn probability(mut self, probability: f64) -> Self {
        self.when.probability = Some(probability);
        self
    }
}

/// A request, as rules see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) kind: RequestKind,
    pub(crate) target: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) user: Option<UserId>,
    pub(crate) page: Option<u32>,
    pub(crate) folder: Option<Folder>,
    pub(crate) items: &'a [&'a str],
}

/// How often each rule was met.
#[derive(Debug, Default)]
pub(crate) struct Counts(Vec<u64>);

impl Counts {
    /// Forgets all but the first so many rules.
    pub(crate) fn keep(&mut self, rules: usize) {
        self.0.truncate(rules);
    }

    /// The faults that this request meets, in the order of the rules.
    pub(crate) fn matching(&mut self, rules: &[Rule], seen: &Seen<'_>, seed: u64) -> Vec<Fault> {
        self.0.resize(rules.len(), 0);
        let mut faults = Vec::new();
        for (index, (rule, count)) in rules.iter().zip(&mut self.0).enumerate() {
            if !rule.when.holds(seen) {
                continue;
            }
            *count += 1;
            if rule.when.falls_on(*count, seed ^ (index as u64) << 32) {
                faults.push(rule.fault.clone());
            }
        }
        faults
    }
}

impl Matcher {
    fn holds(&self, seen: &Seen<'_>) -> bool {
        fn is<T: PartialEq>(wanted: &Option<T>, seen: &Option<T>) -> bool {
            wanted.is_none() || wanted == seen
        }
        self.kind == seen.kind
            && is(&self.user, &seen.user)
            && is(&self.page, &seen.page)
            && is(&self.folder, &seen.folder)
            && self.from_page.is_none_or(|from| seen.page.is_some_and(|page| page >= from))
            && self.from.is_none_or(|from| seen.now >= from)
            && self.until.is_none_or(|until| seen.now < until)
            && self.target_contains.as_ref().is_none_or(|part| seen.target.contains(part.as_str()))
            && self.contains.as_ref().is_none_or(|part| seen.items.iter().any(|item| item.contains(part.as_str())))
    }

    fn falls_on(&self, count: u64, seed: u64) -> bool {
        self.nth.is_none_or(|nth| count == nth)
            && self.first.is_none_or(|first| count <= first)
            && self.every.is_none_or(|every| every > 0 && count.is_multiple_of(every))
            && self.probability.is_none_or(|probability| chance(seed, count) < probability)
    }
}

/// A number in `0..1` that depends on nothing but its arguments.
pub(crate) fn chance(seed: u64, count: u64) -> f64 {
    use domain::Random;
    let drawn = domain::SeededRandom::new(seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15))).u64();
    (drawn >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(rule: Rule, seen: &Seen<'_>, times: usize) -> Vec<bool> {
        let mut counts = Counts::default();
        let rules = [rule];
        (0..times).map(|_| !counts.matching(&rules, seen, 42).is_empty()).collect()
    }

    fn seen(page: u32) -> Seen<'static> {
        Seen {
            kind: RequestKind::Interactions,
            target: "/v1.0/x",
            now: Timestamp::UNIX_EPOCH,
            user: None,
            page: Some(page),
            folder: Some(Folder::TeamChat),
            items: &["{\"id\":\"7\"}"],
        }
    }

    #[test]
    fn a_rule_falls_on_the_requests_it_names() {
        let rule = || Rule::always(Fault::Reset);
        assert_eq!(hits(rule().nth(2), &seen(1), 3), [false, true, false]);
        assert_eq!(hits(rule().first(2), &seen(1), 3), [true, true, false]);
        assert_eq!(hits(rule().every(2), &seen(1), 4), [false, true, false, true]);
        assert_eq!(hits(rule().from_page(2), &seen(1), 1), [false]);
        assert_eq!(hits(rule().from_page(2), &seen(3), 1), [true]);
        assert_eq!(hits(rule().page(2), &seen(3), 1), [false]);
        assert_eq!(hits(rule().containing("\"7\""), &seen(1), 1), [true]);
        assert_eq!(hits(rule().containing("\"8\""), &seen(1), 1), [false]);
        let when = |matcher: Matcher| Rule { when: matcher, fault: Fault::Reset };
        for (folder, hit) in [(Folder::TeamChat, true), (Folder::TeamsMessagesData, false)] {
            assert_eq!(hits(when(Matcher { folder: Some(folder), ..Matcher::default() }), &seen(1), 1), [hit]);
        }
        for (part, hit) in [("/x", true), ("/y", false)] {
            let target_contains = Some(part.to_owned());
            assert_eq!(hits(when(Matcher { target_contains, ..Matcher::default() }), &seen(1), 1), [hit]);
        }
        assert_eq!(hits(rule().kind(RequestKind::Token), &seen(1), 1), [false]);
        assert_eq!(hits(rule().between(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH), &seen(1), 1), [false]);
    }

    #[test]
    fn chance_keeps_its_share_and_repeats() {
        let rule = || Rule::always(Fault::Reset).probability(0.1);
        let fallen = hits(rule(), &seen(1), 2_000);
        let share = fallen.iter().filter(|hit| **hit).count();
        assert!((150..250).contains(&share), "{share}");
        assert_eq!(fallen, hits(rule(), &seen(1), 2_000));
    }

    #[test]
    fn a_rule_reads_from_json() {
        let rule: Rule =
            serde_json::from_str(r#"{"when":{"page":2},"fault":{"throttle":{"retry_after":"date","seconds":3}}}"#)
                .unwrap();
        assert_eq!(rule, Rule::always(Fault::Throttle { retry_after: RetryAfter::Date, seconds: 3 }).page(2));
        let plain: Rule = serde_json::from_str(r#"{"fault":"reset"}"#).unwrap();
        assert_eq!(plain, Rule::always(Fault::Reset));
    }
}
