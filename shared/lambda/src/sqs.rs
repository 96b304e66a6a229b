//! A batch of SQS messages, in and out.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use queue::Delivery;
use serde_json::value::RawValue;

use crate::Failure;

/// The messages of an event. One without an id fails the whole event: a batch response cannot name it, and leaving it out
/// would acknowledge it.
pub fn batch(payload: &RawValue) -> Result<Vec<Delivery>, Failure> {
    let event: SqsEvent = serde_json::from_str(payload.get()).map_err(|_| {
        Failure::plain("InvalidEvent", "the event is no batch of SQS messages: check what invokes this function")
    })?;
    event.records.into_iter().map(delivery).collect()
}

fn delivery(message: SqsMessage) -> Result<Delivery, Failure> {
    let named = |part: Option<String>, name: &str| {
        part.filter(|part| !part.is_empty())
            .ok_or_else(|| Failure::plain("InvalidEvent", format!("a message of the batch has no {name}")))
    };
    Ok(Delivery {
        message_id: named(message.message_id, "messageId")?,
        receipt_handle: named(message.receipt_handle, "receiptHandle")?,
        receive_count: message
            .attributes
            .get("ApproximateReceiveCount")
            .and_then(|count| count.parse().ok())
            .unwrap_or(1),
        // A body that is missing is no message, and fails alone.
        body: message.body.unwrap_or_default(),
    })
}

/// The answer that names exactly these messages as failed.
pub fn response(failed: Vec<String>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.set_failures(failed);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_record_becomes_a_delivery() {
        let event = r#"{"Records":[{"messageId":"m-1","receiptHandle":"r-1","body":"{}","attributes":{"ApproximateReceiveCount":"3"}}]}"#;
        let expected = Delivery {
            message_id: "m-1".to_owned(),
            receipt_handle: "r-1".to_owned(),
            receive_count: 3,
            body: "{}".to_owned(),
        };
        assert_eq!(batch(&raw(event)).unwrap(), [expected]);
    }

    #[test]
    fn a_record_that_cannot_be_named_fails_the_event_and_shows_no_body() {
        let event = r#"{"Records":[{"receiptHandle":"r-1","body":"canary","attributes":{}}]}"#;
        let failure = batch(&raw(event)).unwrap_err();
        assert_eq!(failure.error_type(), "InvalidEvent");
        assert!(!failure.to_string().contains("canary"));
        assert!(batch(&raw(r#"{"scheduledTime":"x"}"#)).is_err() || batch(&raw("{}")).is_err());
    }

    #[test]
    fn the_answer_names_exactly_the_failed() {
        let answer = serde_json::to_string(&response(vec!["m-1".to_owned(), "m-3".to_owned()])).unwrap();
        assert_eq!(answer, r#"{"batchItemFailures":[{"itemIdentifier":"m-1"},{"itemIdentifier":"m-3"}]}"#);
        assert_eq!(serde_json::to_string(&response(vec![])).unwrap(), r#"{"batchItemFailures":[]}"#);
    }
}
