//! The switch: which planted bug this process has. In no source that is released; `tests/planted-bugs` puts it into its copy.

use std::sync::LazyLock;

static PLANTED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("PLANTED_BUG").ok());

/// Whether the bug of this name is on. At most one is.
pub fn is(bug: &str) -> bool {
    PLANTED.as_deref() == Some(bug)
}
