//! A Graph that means harm: links and redirects that lead elsewhere, and bodies that no client should have to read.
//!
//! "Nothing leaves" is counted: by listeners on other origins of this machine, to which every name leads.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the tests' own helpers fail loudly")]

mod bodies;
mod links;
mod redirects;
mod trap;

use domain::{TenantId, Timestamp, UserId};
use graph_simulator::Tenant;
use jiff::SignedDuration;

/// What is asked of Graph besides interactions.
const PAGES_OF_ALL: [&str; 3] = ["/v1.0/users", "/v1.0/subscribedSkus", "/v1.0/groups"];

fn now() -> Timestamp {
    "2026-11-24T03:00:00Z".parse().unwrap()
}

fn tenant_id() -> TenantId {
    TenantId::from_bytes([7; 16])
}

/// A tenant with one user who holds `count` items, one an hour, the newest of 3 hours ago.
fn one_user(count: usize) -> (Tenant, UserId) {
    let mut tenant = Tenant::new(tenant_id(), now());
    let user = tenant.add_licensed(1);
    tenant.add_items(user, count, now() - SignedDuration::from_hours(3), SignedDuration::from_hours(1));
    (tenant, user)
}
