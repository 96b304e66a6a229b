//! How a user's part of a run ended.

use std::fmt;

use crate::OtherReason;

/// Why there is no history that Graph would show; coverage does not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unavailability {
    /// 403: the user does not have a valid Copilot licence.
    NoLicence,
    /// 404: no interaction history.
    NoHistory,
    /// 403 without a reason that is known.
    Refused,
    /// 404: the directory does not know the user, or 410. Of an erased user without asking: the tombstone says so.
    Gone,
}

impl Unavailability {
    /// The name in receipts and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoLicence => "no-licence",
            Self::NoHistory => "no-history",
            Self::Refused => "refused",
            Self::Gone => "gone",
        }
    }

    /// Whether Graph refused, which many times in a row says something of the tenant, not of the users.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::NoLicence | Self::Refused)
    }
}

/// Why a user's window was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Failure {
    /// Refused too often in a row, or the path is not supported: no verdict on the user.
    TenantRefused,
    /// The application lacks consent or its token is not accepted.
    Unauthorised,
    /// Handed over sixteen times without a finished piece.
    NoProgress,
    /// The message's window ends before it begins.
    InvertedWindow,
    /// 5xx, no answer or a broken one, after all attempts.
    ServerError,
    /// 400, or a status nobody expects here.
    BadRequest,
    /// A page that does not parse after all attempts; it is in quarantine.
    BadPage,
    /// A page or an item larger than the cap.
    TooLarge,
    /// A next link that leaves the configured origin or the user's path; it was not followed.
    ForeignLink,
    /// A next link seen before.
    LinkLoop,
    /// Pages without end.
    EndlessPages,
    /// Eight one-second pieces in a row failed.
    GivenUp,
    /// The archive could not be read or written.
    Storage,
    /// A reason that a later version gave. It stands last, and so will every reason that is added: all versions then agree
    /// which of two failures is the better one.
    Other(OtherReason),
}

impl Failure {
    const KNOWN: [Self; 13] = [
        Self::TenantRefused,
        Self::Unauthorised,
        Self::NoProgress,
        Self::InvertedWindow,
        Self::ServerError,
        Self::BadRequest,
        Self::BadPage,
        Self::TooLarge,
        Self::ForeignLink,
        Self::LinkLoop,
        Self::EndlessPages,
        Self::GivenUp,
        Self::Storage,
    ];

    /// The name in receipts.
    pub fn as_str(&self) -> &str {
        match self {
            Self::TenantRefused => "tenant-refused",
            Self::Unauthorised => "unauthorised",
            Self::NoProgress => "no-progress",
            Self::InvertedWindow => "inverted-window",
            Self::ServerError => "server-error",
            Self::BadRequest => "bad-request",
            Self::BadPage => "bad-page",
            Self::TooLarge => "too-large",
            Self::ForeignLink => "foreign-link",
            Self::LinkLoop => "link-loop",
            Self::EndlessPages => "endless-pages",
            Self::GivenUp => "given-up",
            Self::Storage => "storage",
            Self::Other(reason) => reason.as_str(),
        }
    }
}

/// How a user's part of a run ended. The order is the order of merit: the best class of several attempts counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The window was read to its end and showed at least one item.
    Exported,
    /// The window was read to its end and showed none.
    Empty,
    /// Graph said that there is nothing it would show, or the user was erased and is not asked for.
    Unavailable(Unavailability),
    /// History only: the time was over before the first piece was read.
    Deferred,
    /// Not read to its end.
    Failed(Failure),
}

/// A class that this format does not have, or no reason of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no class and reason of this format")]
pub struct ParseClassError;

impl Class {
    /// The class's name in receipts and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::Empty => "empty",
            Self::Unavailable(_) => "unavailable",
            Self::Deferred => "deferred",
            Self::Failed(_) => "failed",
        }
    }

    /// The reason's name, of the classes that have one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Unavailable(reason) => Some(reason.as_str()),
            Self::Failed(reason) => Some(reason.as_str()),
            Self::Exported | Self::Empty | Self::Deferred => None,
        }
    }

    /// The class of these two names. A reason of `failed` that is not known is kept: later versions may add some.
    pub fn from_names(name: &str, reason: Option<&str>) -> Result<Self, ParseClassError> {
        match (name, reason) {
            ("exported", None) => Ok(Self::Exported),
            ("empty", None) => Ok(Self::Empty),
            ("deferred", None) => Ok(Self::Deferred),
            ("unavailable", Some(reason)) => {
                use Unavailability::{Gone, NoHistory, NoLicence, Refused};
                let known = [NoLicence, NoHistory, Refused, Gone];
                known.into_iter().find(|known| known.as_str() == reason).map(Self::Unavailable).ok_or(ParseClassError)
            }
            ("failed", Some(reason)) => {
                let known = Failure::KNOWN.into_iter().find(|known| known.as_str() == reason);
                let failure = known.or_else(|| reason.parse().ok().map(Failure::Other));
                failure.map(Self::Failed).ok_or(ParseClassError)
            }
            _ => Err(ParseClassError),
        }
    }

    /// Whether the window was read to its end.
    pub const fn is_read(self) -> bool {
        matches!(self, Self::Exported | Self::Empty)
    }

    /// Whether it failed.
    pub const fn is_failed(self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            Some(reason) => write!(f, "{}({reason})", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        let unavailable =
            [Unavailability::NoLicence, Unavailability::NoHistory, Unavailability::Refused, Unavailability::Gone];
        let classes = [Class::Exported, Class::Empty, Class::Deferred]
            .into_iter()
            .chain(unavailable.map(Class::Unavailable))
            .chain(Failure::KNOWN.map(Class::Failed));
        for class in classes {
            assert_eq!(Class::from_names(class.name(), class.reason()), Ok(class));
        }
        assert_eq!(Class::from_names("exported", Some("x")), Err(ParseClassError));
        assert_eq!(Class::from_names("failed", None), Err(ParseClassError));
    }

    #[test]
    fn a_later_versions_reason_of_a_failure_is_kept_and_stands_last() {
        let later = Class::from_names("failed", Some("tape-full")).unwrap();
        assert!(later.is_failed() && later > Class::Failed(Failure::Storage));
        assert_eq!(
            (later.name(), later.reason(), later.to_string().as_str()),
            ("failed", Some("tape-full"), "failed(tape-full)")
        );
        for (name, reason) in
            [("failed", "Tape full"), ("failed", ""), ("unavailable", "tape-full"), ("taped", "tape-full")]
        {
            assert_eq!(Class::from_names(name, Some(reason)), Err(ParseClassError), "{name} {reason}");
        }
    }

    #[test]
    fn the_best_class_is_the_least() {
        let worst_first = [
            Class::Failed(Failure::BadPage),
            Class::Deferred,
            Class::Unavailable(Unavailability::Gone),
            Class::Empty,
            Class::Exported,
        ];
        assert!(worst_first.windows(2).all(|pair| pair[1] < pair[0]));
    }
}
