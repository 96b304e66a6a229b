//! What was asked and answered: the record by which an exporter's manners are judged.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::UserId;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What a request was for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestKind {
    /// A token, or the discovery before it.
    Token,
    /// SKUs, users, groups.
    Directory,
    /// A page of interactions: what the quota counts.
    #[default]
    Interactions,
    /// Anything else.
    Other,
}

/// One request and its answer.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// When it was received.
    pub started: Timestamp,
    /// When the answer was handed out; `None` while it is in flight or if it was dropped.
    pub delivered: Option<Timestamp>,
    /// The method.
    pub method: String,
    /// Path and query as received.
    pub target: String,
    /// What it was for.
    pub kind: RequestKind,
    /// The user whose interactions were asked for.
    pub user: Option<UserId>,
    /// The status; `None` for an answer that never came.
    pub status: Option<u16>,
    /// The `Retry-After` that was told, as a length of time.
    pub retry_after: Option<Duration>,
    /// Whether a bearer token came along.
    pub authorization: bool,
    /// The `ConsistencyLevel` that came along.
    pub consistency_level: Option<String>,
    /// The `client-request-id` that came along.
    pub client_request_id: Option<String>,
    #[serde(skip)]
    started_order: u64,
    #[serde(skip)]
    delivered_order: u64,
}

/// Every request, in the order received.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    records: Vec<Record>,
    order: u64,
}

/// What is known of a request when it arrives.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) authorization: bool,
    pub(crate) consistency_level: Option<String>,
    pub(crate) client_request_id: Option<String>,
}

impl Ledger {
    pub(crate) fn start(&mut self, at: Timestamp, kind: RequestKind, user: Option<UserId>, arrival: Arrival) -> usize {
        self.order += 1;
        self.records.push(Record {
            started: at,
            delivered: None,
            method: arrival.method,
            target: arrival.target,
            kind,
            user,
            status: None,
            retry_after: None,
            authorization: arrival.authorization,
            consistency_level: arrival.consistency_level,
            client_request_id: arrival.client_request_id,
            started_order: self.order,
            delivered_order: u64::MAX,
        });
        self.records.len() - 1
    }

    pub(crate) fn deliver(&mut self, index: usize, at: Timestamp, status: Option<u16>, retry_after: Option<Duration>) {
        self.order += 1;
        let order = self.order;
        if let Some(record) = self.records.get_mut(index) {
            record.delivered = Some(at);
            record.status = status;
            record.retry_after = retry_after;
            record.delivered_order = order;
        }
    }

    /// All requests.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The requests for interactions.
    pub fn interactions(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.kind == RequestKind::Interactions)
    }

    /// How many requests of a kind ended in each status; 0 stands for no answer.
    pub fn statuses(&self, kind: RequestKind) -> BTreeMap<u16, usize> {
        let mut counts = BTreeMap::new();
        for record in self.records.iter().filter(|record| record.kind == kind) {
            *counts.entry(record.status.unwrap_or(0)).or_default() += 1;
        }
        counts
    }

    /// The most requests for interactions within any second.
    pub fn max_per_second(&self) -> usize {
        self.max_within(SignedDuration::from_secs(1))
    }

    /// The most requests for interactions within any minute.
    pub fn max_per_minute(&self) -> usize {
        self.max_within(SignedDuration::from_secs(60))
    }

    /// The most requests for interactions within any window of this length, its end excluded.
    pub fn max_within(&self, length: SignedDuration) -> usize {
        let mut times: Vec<Timestamp> = self.interactions().map(|record| record.started).collect();
        times.sort_unstable();
        let mut first = 0;
        let mut most = 0;
        for (last, time) in times.iter().enumerate() {
            while time.duration_since(times[first]) >= length {
                first += 1;
            }
            most = most.max(last + 1 - first);
        }
        most
    }

    /// How many requests for interactions started after a 429 was delivered and before its `Retry-After` was over. One that
    /// was received before the 429 was delivered was in flight and does not count.
    pub fn requests_before_retry_after(&self) -> usize {
        self.requests_before_retry_after_with_grace(Duration::ZERO)
    }

    /// The same, not counting what starts within `grace` of the 429: over a real network the answer is on its way for a
    /// while after it was handed out.
    pub fn requests_before_retry_after_with_grace(&self, grace: Duration) -> usize {
        let grace = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
        let mut pauses: Vec<(Timestamp, u64, Timestamp)> = Vec::new();
        for record in self.interactions().filter(|record| record.status == Some(429)) {
            if let (Some(delivered), Some(wait)) = (record.delivered, record.retry_after) {
                let until = delivered.checked_add(wait).unwrap_or(Timestamp::MAX);
                pauses.push((delivered, record.delivered_order, until));
            }
        }
        let early = |record: &&Record| {
            pauses.iter().any(|(delivered, order, until)| {
                record.started_order > *order
                    && record.started.duration_since(*delivered) >= grace
                    && record.started < *until
            })
        };
        self.interactions().filter(early).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + millis).unwrap()
    }

    fn ask(ledger: &mut Ledger, millis: i64) -> usize {
        ledger.start(at(millis), RequestKind::Interactions, None, Arrival::default())
    }

    #[test]
    fn a_sliding_second_finds_the_burst_across_whole_seconds() {
        let mut ledger = Ledger::default();
        for millis in [0, 900, 950, 1_100, 1_899, 1_900, 3_000] {
            ask(&mut ledger, millis);
        }
        ledger.start(at(950), RequestKind::Directory, None, Arrival::default());
        assert_eq!(ledger.max_per_second(), 4);
        assert_eq!(ledger.max_per_minute(), 7);
    }

    #[test]
    fn only_requests_begun_after_the_429_and_before_its_end_count_as_early() {
        let mut ledger = Ledger::default();
        let refused = ask(&mut ledger, 0);
        ask(&mut ledger, 40); // in flight
        ledger.deliver(refused, at(50), Some(429), Some(Duration::from_secs(2)));
        ask(&mut ledger, 50); // at the same instant, but after
        ask(&mut ledger, 2_049); // a moment too early
        ask(&mut ledger, 2_050);
        assert_eq!(ledger.requests_before_retry_after(), 2);
        assert_eq!(ledger.requests_before_retry_after_with_grace(Duration::from_millis(10)), 1);
        assert_eq!(ledger.statuses(RequestKind::Interactions), BTreeMap::from([(0, 4), (429, 1)]));
    }
}
