//! The forms of interactions.

use domain::UserId;
use jiff::Timestamp;

/// A small text for the `n`-th item of a user.
pub fn plain(user: UserId, n: usize, created: Timestamp) -> String {
    format!(r#"{{"id":"{}","n":{n},"u":"{user}","createdDateTime":"{created}"}}"#, created.as_millisecond())
}

/// An item of about this many bytes.
pub fn huge(user: UserId, created: Timestamp, bytes: usize) -> String {
    let id = created.as_millisecond();
    format!(
        r#"{{"id":"{id}","u":"{user}","createdDateTime":"{created}","body":{{"contentType":"text","content":"{}"}}}}"#,
        "x".repeat(bytes)
    )
}
