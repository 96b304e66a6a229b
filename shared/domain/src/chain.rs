//! An error with what caused it.

use std::error::Error;
use std::fmt;

/// An error and its causes in one line. What is logged is wrapped in it: a log of JSON lines shows of an error only its own
/// text, which leaves the cause to `source()`.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // An error that shows its cause as its own text would say it twice.
            if !last.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            last = text;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Layer {
        #[error("the archive could not be reached")]
        Outer(#[source] Box<Self>),
        #[error("not now")]
        Transparent(#[source] std::io::Error),
    }

    #[test]
    fn every_cause_is_told_once() {
        let error = |cause: &str| Layer::Outer(Box::new(Layer::Transparent(std::io::Error::other(cause))));
        assert_eq!(Chain(&error("no route")).to_string(), "the archive could not be reached: not now: no route");
        assert_eq!(Chain(&error("now")).to_string(), "the archive could not be reached: not now");
    }
}
