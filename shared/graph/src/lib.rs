//! Microsoft Graph and Entra: tokens, licensed users, interactions.
//!
//! One [`GraphClient`] per process asks everything. It owns the token, the pace and the byte budget; every request goes
//! through one retry loop that reads the whole body before it counts as answered. Nothing here knows where interactions
//! are kept: an item is a slice of the page's text, as received.

mod auth;
mod body;
mod budget;
mod certificate;
mod client;
mod cloud;
mod directory;
mod error;
mod exchange;
mod http;
mod interactions;
mod link;
mod pace;
mod page;
#[cfg(feature = "parts")]
pub mod parts;
mod reach;
mod refusal;
mod retry;
mod tally;
mod token;
mod transport;
mod wait;

pub use auth::{AssertionSource, AuthError, Certificate, ClientAuth, ClientSecret, Federated, ProofRequest};
pub use budget::ByteBudget;
pub use client::{ConfigError, GraphClient, GraphConfig, INTERACTIONS_ROLE};
pub use cloud::{ApiVersion, Cloud, Origin, OriginError, ParseCloudError, ParseVersionError};
pub use directory::{DirectoryUser, GrantingSku, Licence, Licensed};
pub use error::GraphError;
pub use http::{HttpTransport, HttpTransportError};
pub use interactions::{Pages, Question};
pub use page::{Page, PageFault};
pub use reach::{Reached, reach};
pub use tally::Tally;
pub use transport::{Body, Response, Transport, TransportError};

#[cfg(test)]
mod tests {
    use super::*;

    fn is_send<T: Send>(_: T) {}

    /// Callers spawn these; that the compiler accepts the functions is the proof.
    #[test]
    fn every_future_can_be_spawned() {
        let _ = |client: &GraphClient, mut pages: Pages, group| {
            let deadline = domain::Deadline::never();
            is_send(pages.next(deadline));
            is_send(client.check_consent(deadline));
            is_send(client.licensed_users(deadline));
            is_send(client.user("x", deadline));
            is_send(client.group_members(group, deadline));
        };
    }
}
