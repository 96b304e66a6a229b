//! What an invocation that failed says.

use std::error::Error;
use std::fmt;

use domain::Chain;
use lambda_runtime::Diagnostic;

/// An invocation failed: a stable type to branch on, and the whole chain of causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    error_type: &'static str,
    message: String,
    credential_refused: bool,
}

impl Failure {
    /// A failure of this type, for this error and what caused it.
    pub fn new(error_type: &'static str, error: &dyn Error) -> Self {
        Self { error_type, message: Chain(error).to_string(), credential_refused: false }
    }

    /// A failure without an error behind it.
    pub fn plain(error_type: &'static str, message: impl Into<String>) -> Self {
        Self { error_type, message: message.into(), credential_refused: false }
    }

    /// The same, and whether it was that Entra or Graph did not accept the application.
    pub fn credential_refused(self, refused: bool) -> Self {
        Self { credential_refused: refused, ..self }
    }

    /// The type.
    pub fn error_type(&self) -> &'static str {
        self.error_type
    }

    /// Whether Entra or Graph did not accept the application.
    pub(crate) fn is_credential_refused(&self) -> bool {
        self.credential_refused
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.error_type.to_owned(), error_message: failure.message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the archive cannot be opened")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_chain_is_told_once() {
        let failure = Failure::new("Archive", &Outer(std::io::Error::other("no route")));
        let diagnostic = Diagnostic::from(failure);
        assert_eq!(diagnostic.error_type, "Archive");
        assert_eq!(diagnostic.error_message, "the archive cannot be opened: no route");
    }
}
