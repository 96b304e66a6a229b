//! Pages each user's interactions into the archive.
//!
//! A batch holds one message per user and run. Each user's window is read in pieces ([`pieces`]); every page goes into the
//! user's log as it comes, and a piece that was read to its end moves the checkpoint ([`user`]). When the users are through,
//! one receipt names what each of them came to, unfinished work is sent again, and only then is anything acknowledged
//! ([`batch`]). So whatever is killed, whenever, is read again, and the log drops what it holds.

mod batch;
mod pieces;
mod refusals;
mod user;
mod window;

use std::fmt;
use std::sync::Arc;

use domain::{Class, Clock, Random, TenantId};
use graph::GraphClient;
use queue::Queue;
use settings::Rules;

pub use batch::handle;

/// What the handler works with.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Microsoft Graph. Its pace and its byte budget are those of this process.
    pub graph: GraphClient,
    /// Where the archive lies.
    pub stores: archive::Stores,
    /// The tenant the archive must hold.
    pub tenant: TenantId,
    /// Where unfinished work is sent again, and what the messages came from.
    pub queue: Arc<dyn Queue>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Attempt ids, and the order of users that are suspected to kill the process.
    pub random: Arc<dyn Random>,
    /// How windows are made.
    pub rules: Rules,
    /// Who watches.
    pub progress: Arc<dyn Progress>,
}

/// Watches the work of a process, for a screen. Is told no content.
pub trait Progress: Send + Sync + fmt::Debug {
    /// A page with so many items was read.
    fn page(&self, items: usize) {
        let _ = items;
    }

    /// A user's message was read with this class, which the receipt may turn to a failure yet, or is handed over.
    fn user(&self, class: Option<Class>) {
        let _ = class;
    }
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {}
