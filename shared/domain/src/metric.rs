//! What the functions measure of themselves.

/// A number that an alarm or the dashboard asks for. It is a field of the log line that says what happened, under the metric's
/// name and with what the line adds to it; where it does not apply or is not known, the field has no value. Whoever writes the
/// lines decides what becomes of it.
///
/// All are counts, and none has a dimension: each stays one metric, and is paid once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Daily runs that were closed.
    DailyRunsClosed,
    /// Runs that were closed incomplete.
    RunsIncomplete,
    /// Times that Entra or Graph did not accept the application.
    CredentialRefused,
    /// Users of closed runs who failed.
    UsersFailed,
    /// Users of closed runs of whom nothing is known.
    UsersMissing,
    /// Interactions that closed runs brought into the archive.
    InteractionsArchived,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 6] = [
        Self::DailyRunsClosed,
        Self::RunsIncomplete,
        Self::CredentialRefused,
        Self::UsersFailed,
        Self::UsersMissing,
        Self::InteractionsArchived,
    ];

    /// Its name: in a log line, and for alarms.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DailyRunsClosed => "DailyRunsClosed",
            Self::RunsIncomplete => "RunsIncomplete",
            Self::CredentialRefused => "CredentialRefused",
            Self::UsersFailed => "UsersFailed",
            Self::UsersMissing => "UsersMissing",
            Self::InteractionsArchived => "InteractionsArchived",
        }
    }

    /// One, if it happened; no value if not.
    pub fn once(happened: bool) -> Option<u64> {
        happened.then_some(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_is_called_as_it_is_written() {
        for metric in Metric::ALL {
            assert_eq!(metric.name(), format!("{metric:?}"));
        }
    }
}
