//! The parts that read what a server says, one by one: for tests that give them anything.

use std::ops::Range;

use crate::cloud::Origin;
use crate::error::GraphError;
use crate::{link, page};

/// A body taken apart.
#[derive(Debug)]
pub struct Split {
    /// The body.
    pub text: String,
    /// Where in it the items are.
    pub items: Vec<Range<usize>>,
    /// The next link, whatever it is.
    pub next_link: Option<String>,
}

/// Takes the body of a page apart.
pub fn take_apart(body: Vec<u8>) -> Result<Split, GraphError> {
    let page::Parsed { text, items, next_link } = page::parse(body)?;
    Ok(Split { text, items, next_link })
}

/// What would be asked of the origin to follow the link; none if it leaves the collection at `path`.
pub fn followed<'a>(link: &'a str, origin: &Origin, path: &str) -> Option<&'a str> {
    link::target(link, origin, path).ok()
}
