//! Readable rows and turns from verbatim interactions, by named and versioned rules.
//!
//! An archive keeps what Graph sent and interprets nothing. This crate is the interpretation: it takes the JSON text of an
//! interaction and says who speaks, in which application, and what a person read ([`Interaction::read`]), and what the
//! interactions of one user are to each other ([`arrange`](fn@arrange)). It reads and writes nothing, and no text makes it
//! fail: what it does not understand is `unparsed`, never an empty answer. The rules stand in docs/VIEWS.md; when one of
//! them changes, [`RULE_VERSION`] does.

mod arrange;
mod card;
mod interaction;
mod json;
mod markup;
mod rules;

pub use arrange::{Arrangement, Fetched, NEAR_DUPLICATE, PairedBy, Place, Turn, arrange};
pub use interaction::{Interaction, Reference, Role, TextSource};
pub use rules::{AUTOMATIC, Rule, Words};

/// The version of the rules; it stands on everything that is made by them.
pub const RULE_VERSION: u32 = 1;
