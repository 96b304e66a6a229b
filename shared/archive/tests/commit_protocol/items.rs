//! What Graph shows of the one user, and when it was created.

use domain::{TenantId, Timestamp, UserId};
use jiff::SignedDuration;

pub(crate) const TENANT: TenantId = TenantId::from_bytes([0xaa; 16]);
pub(crate) const USER: UserId = UserId::from_bytes([0xbb; 16]);

/// How much of what is covered every daily window reads again.
pub(crate) const OVERLAP: SignedDuration = SignedDuration::from_hours(72);

/// An interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Item {
    pub(crate) text: &'static str,
    created: &'static str,
    /// Whether it shows only when the scheduler says so, long after it was created.
    pub(crate) late: bool,
}

impl Item {
    /// When it was created, also if the text does not tell.
    pub(crate) fn created(&self) -> Timestamp {
        time(self.created)
    }
}

/// Two of the first day, one of them late; two of the second day, one of them in a log of its own.
pub(crate) const ITEMS: [Item; 4] = [
    Item {
        text: r#"{"id":"first day","createdDateTime":"2026-11-23T10:00:00Z"}"#,
        created: "2026-11-23T10:00:00Z",
        late: false,
    },
    Item {
        text: r#"{"id":"late","createdDateTime":"2026-11-23T11:00:00Z"}"#,
        created: "2026-11-23T11:00:00Z",
        late: true,
    },
    Item { text: r#"{"id":"without a time"}"#, created: "2026-11-24T12:00:00Z", late: false },
    Item {
        text: r#"{"id":"second day","createdDateTime":"2026-11-24T10:00:00Z"}"#,
        created: "2026-11-24T10:00:00Z",
        late: false,
    },
];

/// The last instants of the two days' windows.
pub(crate) const FIRST_DAY: &str = "2026-11-24T01:00:00Z";
pub(crate) const SECOND_DAY: &str = "2026-11-25T01:00:00Z";

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}
