//! What processes wrote to their standard output and error.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// A line, and who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The environment: `worker-1`.
    pub environment: String,
    /// The line.
    pub text: String,
}

/// All lines of some processes. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Line>>>);

impl Log {
    /// The lines so far.
    pub fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes every line that is written here, until its writer is gone.
    pub(crate) async fn read(self, environment: String, from: impl AsyncRead + Unpin) {
        let mut from = BufReader::new(from);
        let mut bytes = Vec::new();
        while let Ok(1..) = from.read_until(b'\n', &mut bytes).await {
            let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            let line = Line { environment: environment.clone(), text };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            bytes.clear();
        }
    }
}
