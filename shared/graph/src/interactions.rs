//! A user's interactions, page by page.

use domain::{Deadline, UserId, Window};

use crate::client::GraphClient;
use crate::error::GraphError;
use crate::page::Page;
use crate::tally::Tally;

/// What is asked of a user's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// All of it.
    Everything,
    /// What was created in the window, asked a little wider than it.
    Window(Window),
}

/// The pages that answer one question.
#[derive(Debug)]
pub struct Pages {
    tally: Tally,
}

impl Pages {
    /// The next page; `None` after the last one, which is the one without a next link.
    pub async fn next(&mut self, deadline: Deadline) -> Result<Option<Page>, GraphError> {
        let _ = deadline;
        Err(GraphError::NoAnswer)
    }

    /// All requests so far, failed ones included.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl GraphClient {
    /// The pages that answer this question; nothing is asked before the first [`Pages::next`].
    pub fn interactions(&self, user: UserId, question: Question) -> Pages {
        let _ = (user, question);
        Pages { tally: Tally::default() }
    }
}
