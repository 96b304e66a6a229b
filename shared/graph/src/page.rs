//! A page: its bytes once, and where in them the items are.

use std::fmt;
use std::ops::Range;

use domain::Timestamp;

use crate::budget::Share;

/// What is wrong with an answer that is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageFault {
    /// It begins with a byte-order mark.
    #[error("it begins with a byte-order mark")]
    ByteOrderMark,
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// Not JSON, or JSON that ends early.
    #[error("it is not JSON")]
    NotJson,
    /// JSON without exactly one `value` array, or with more than one next link.
    #[error("it has no `value` array, or a member twice")]
    NotAPage,
}

/// One page of interactions. Its share of the byte budget is free again when it is dropped: drop it before asking for
/// the next one.
pub struct Page {
    text: String,
    items: Vec<Range<usize>>,
    fetched_at: Timestamp,
    _share: Share,
}

impl Page {
    /// Each element of `value`, verbatim, without the whitespace around it.
    pub fn items(&self) -> impl ExactSizeIterator<Item = &str> {
        self.items.iter().map(|range| &self.text[range.clone()])
    }

    /// How many items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none, which says nothing about the pages to come.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// When the whole page had been received.
    pub const fn fetched_at(&self) -> Timestamp {
        self.fetched_at
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("items", &self.len()).field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}
