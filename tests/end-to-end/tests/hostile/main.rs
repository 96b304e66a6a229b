//! A Graph that means harm: links and redirects that lead elsewhere, and bodies that no client should have to read.
//!
//! "Nothing leaves" is counted: by listeners on other origins of this machine, to which every name leads.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "the tests' own helpers fail loudly, and tell what was not tested"
)]

mod bodies;
mod canaries;
mod links;
mod redirects;
mod trap;

use domain::{TenantId, Timestamp, UserId};
use graph_simulator::{Folder, Item, Tenant, plain};
use jiff::SignedDuration;

/// What is asked of Graph besides interactions.
const PAGES_OF_ALL: [&str; 3] = ["/v1.0/users", "/v1.0/subscribedSkus", "/v1.0/groups"];

fn now() -> Timestamp {
    "2026-11-24T03:00:00Z".parse().unwrap()
}

fn tenant_id() -> TenantId {
    TenantId::from_bytes([7; 16])
}

/// The text of a user's item.
fn prompt(user: UserId, n: usize, created: Timestamp) -> String {
    plain(user, n, created).replace("\"Item", &format!("\"{}", canaries::PROMPT))
}

/// A tenant with one user who holds `count` items, one an hour, the newest of 3 hours ago.
fn one_user(count: usize) -> (Tenant, UserId) {
    let mut tenant = Tenant::new(tenant_id(), now());
    let user = tenant.add_licensed(1);
    for n in 0..count {
        let created = now() - SignedDuration::from_hours(3 + n as i64);
        let folder = if n % 2 == 0 { Folder::TeamsMessagesData } else { Folder::TeamChat };
        assert!(tenant.add_item(user, Item::new(prompt(user, n, created), created).in_folder(folder)));
    }
    (tenant, user)
}
