//! The message of the queue.

use domain::Message;

/// A body that is read is written again as one that reads the same; one that is not is not shown in the error.
pub fn message(bytes: &[u8]) {
    let Ok(body) = std::str::from_utf8(bytes) else { return };
    match Message::from_body(body) {
        Ok(message) => {
            let written = message.to_body();
            assert_eq!(Message::from_body(&written).as_ref(), Ok(&message), "{written}");
            assert_eq!(message.to_body(), written, "a message is written in one way");
        }
        Err(error) => {
            // Of the body at most a number is shown: its version.
            let text = error.to_string().replace(char::is_numeric, "");
            assert!(text.is_ascii() && text.len() < 100, "{text}");
        }
    }
}
