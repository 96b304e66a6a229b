//! What requests were made of whom, for the receipts.

use std::collections::BTreeMap;

/// How many of Graph's request ids of failures are kept: enough for a support case, and a bounded receipt line.
const KEPT_REQUEST_IDS: usize = 16;

/// The longest request id that is kept; Graph's are GUIDs of 36 characters.
const REQUEST_ID_LENGTH: usize = 64;

/// The status of requests without a complete answer.
const NO_ANSWER: &str = "none";

/// The requests of one task, failed ones included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests by status (`"200"`, `"429"`); `"none"` for those without a complete answer.
    pub by_status: BTreeMap<String, u64>,
    /// Requests that repeated an earlier one.
    pub retries: u64,
    /// Graph's ids of requests that failed, the first 16.
    pub failed_request_ids: Vec<String>,
}

impl Tally {
    /// Adds another task's requests.
    pub fn merge(&mut self, other: &Self) {
        for (status, count) in &other.by_status {
            let sum = self.by_status.entry(status.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.retries = self.retries.saturating_add(other.retries);
        for id in &other.failed_request_ids {
            self.failed(Some(id));
        }
    }

    /// Counts a request that goes out. It has no complete answer until one is counted: it may be abandoned at any moment.
    pub(crate) fn sent(&mut self, again: bool) {
        *self.by_status.entry(NO_ANSWER.to_owned()).or_default() += 1;
        self.retries += u64::from(again);
    }

    /// Counts the complete answer to the request sent last.
    pub(crate) fn answered(&mut self, status: u16) {
        if let Some(open) = self.by_status.get_mut(NO_ANSWER) {
            *open -= 1;
            if *open == 0 {
                self.by_status.remove(NO_ANSWER);
            }
        }
        *self.by_status.entry(status.to_string()).or_default() += 1;
    }

    /// Keeps the id of a failed request.
    pub(crate) fn failed(&mut self, request_id: Option<&str>) {
        if let Some(id) = request_id
            && self.failed_request_ids.len() < KEPT_REQUEST_IDS
        {
            self.failed_request_ids.push(id.to_owned());
        }
    }

    /// All requests.
    pub fn requests(&self) -> u64 {
        self.by_status.values().sum()
    }
}

/// A request id from a header, if it looks like one: what a server writes there must not become log content.
pub(crate) fn request_id(headers: &http::HeaderMap) -> Option<String> {
    let id = headers.get("request-id")?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    ((1..=REQUEST_ID_LENGTH).contains(&id.len()) && id.bytes().all(plain)).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up_and_keep_the_first_sixteen_ids() {
        let mut a = Tally::default();
        a.sent(false);
        a.answered(200);
        a.sent(false);
        let mut b = Tally { retries: 1, ..Tally::default() };
        b.sent(true);
        b.answered(200);
        for n in 0..20 {
            b.failed(Some(&format!("id-{n}")));
        }
        b.failed(None);
        a.merge(&b);
        assert_eq!(a.by_status, BTreeMap::from([("200".to_owned(), 2), ("none".to_owned(), 1)]));
        assert_eq!((a.requests(), a.retries, a.failed_request_ids.len()), (3, 2, 16));
        assert_eq!(a.failed_request_ids[15], "id-15");
    }

    #[test]
    fn only_what_looks_like_an_id_is_kept() {
        let mut headers = http::HeaderMap::new();
        assert_eq!(request_id(&headers), None);
        headers.insert("request-id", "889d2653-8e3a-43f7-9542-b7574571316c".parse().unwrap());
        assert_eq!(request_id(&headers).as_deref(), Some("889d2653-8e3a-43f7-9542-b7574571316c"));
        for odd in ["", "a b", "<script>", &"a".repeat(65)] {
            headers.insert("request-id", odd.parse().unwrap());
            assert_eq!(request_id(&headers), None, "{odd}");
        }
    }
}
