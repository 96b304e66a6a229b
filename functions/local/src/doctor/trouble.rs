//! What an answer of AWS that is no answer means, and what mends it. What AWS says in words stays behind: it names who
//! asked.

use std::error::Error;

use ::doctor::Trouble;
use aws::{CallError, ErrorAnswer};

/// What became of a call that needs this right.
pub(super) fn trouble(error: &(dyn Error + 'static), right: &str) -> Trouble {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(call) = error.downcast_ref() {
            return of_call(call, right);
        }
        cause = error.source();
    }
    one("AWS could not be asked", "try again".to_owned())
}

fn of_call(error: &CallError, right: &str) -> Trouble {
    match error {
        CallError::Answered(answer) => of_answer(answer, right),
        CallError::NoCredentials { .. } => {
            all("there are no AWS credentials", "sign in as for the AWS command line: aws sso login, AWS_PROFILE")
        }
        CallError::NoAnswer { .. } => all(
            "AWS gives no answer",
            "open outbound TLS to the region's S3, SQS and STS, or correct AWS_REGION and AWS_ENDPOINT_URL",
        ),
        CallError::Unreadable { .. } | CallError::NotSent => {
            all("what answers is not AWS", "correct AWS_REGION and AWS_ENDPOINT_URL, or take the proxy out of the way")
        }
        CallError::TooMuch { .. } => one("more is answered than this program takes", "see what lies there".to_owned()),
    }
}

fn of_answer(answer: &ErrorAnswer, right: &str) -> Trouble {
    let code = answer.code.as_deref().unwrap_or_default();
    let speaks_of_key = answer.message.as_deref().is_some_and(|message| message.contains("kms:"));
    match (answer.status, code) {
        (
            _,
            "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "InvalidToken",
        ) => all(
            &format!("AWS does not accept these credentials ({code})"),
            "sign in again (aws sso login), or correct AWS_PROFILE",
        ),
        (_, "RequestTimeTooSkewed") => {
            all("AWS finds this machine's clock wrong", "let the machine keep time: timedatectl set-ntp true")
        }
        (301, _) | (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
            all("the bucket lies in another region", "set AWS_REGION to it: aws s3api get-bucket-location")
        }
        (404, "NoSuchBucket") => all(
            "there is no such bucket",
            "give the stack's outputs ArchiveBucket and StateBucket, and look at the account: aws sts \
             get-caller-identity",
        ),
        (_, "QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue") => {
            all("there is no such queue", "give the stack's output WorkQueueUrl, and set AWS_REGION to its region")
        }
        (403, _) if speaks_of_key => one(
            "the key refuses these credentials",
            "let them use the stack's KmsKeyArn through S3 (kms:Decrypt, kms:GenerateDataKey), as the readers' \
             policies do"
                .to_owned(),
        ),
        (_, code) if code.starts_with("KMS.") => one(
            &format!("the key cannot be used ({code})"),
            "aws kms describe-key says why; aws kms enable-key, or cancel-key-deletion before its time is over"
                .to_owned(),
        ),
        (401 | 403, _) => {
            one("access is denied", format!("grant {right}: the role's policy, its boundary, the resource's policy"))
        }
        (status, code) => one(
            &format!("AWS answers HTTP {status} {code}"),
            "try again later; see the AWS Health Dashboard".to_owned(),
        ),
    }
}

fn one(says: &str, fix: String) -> Trouble {
    Trouble { says: says.to_owned(), fix, in_everything: false }
}

fn all(says: &str, fix: &str) -> Trouble {
    Trouble { says: says.to_owned(), fix: fix.to_owned(), in_everything: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_refuses_is_told_from_a_bucket_that_does_and_who_asked_is_not_told() {
        let denied = |message: &str| {
            let message =
                Some(format!("User: arn:aws:sts::1:assumed-role/canary is not authorized to perform: {message}"));
            let answer = ErrorAnswer { status: 403, code: Some("AccessDenied".to_owned()), message, request_id: None };
            trouble(&CallError::Answered(answer), "s3:GetObject")
        };
        let (key, bucket) = (denied("kms:Decrypt"), denied("s3:GetObject"));
        assert!(key.fix.contains("KmsKeyArn") && !bucket.fix.contains("KmsKeyArn"), "{key:?} {bucket:?}");
        assert!(bucket.fix.contains("grant s3:GetObject"), "{bucket:?}");
        assert!(!format!("{key:?}{bucket:?}").contains("canary"));
    }

    #[test]
    fn what_every_call_would_meet_is_told_from_what_one_did() {
        let credentials = CallError::NoCredentials { reason: "canary".to_owned() };
        for error in [credentials, CallError::NoAnswer { reason: "canary".to_owned() }, CallError::NotSent] {
            let trouble = trouble(&error, "");
            assert!(trouble.in_everything && !format!("{trouble:?}").contains("canary"), "{trouble:?}");
        }
        assert!(!trouble(&CallError::TooMuch { limit: String::new() }, "").in_everything);
        assert!(!trouble(&std::io::Error::other("canary"), "").says.contains("canary"));
    }
}
