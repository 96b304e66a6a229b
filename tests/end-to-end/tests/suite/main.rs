//! The main job, end to end, on simulated time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the tests' own helpers fail loudly")]

mod coverage;
mod custody;
mod documents;
mod faults;
mod first_runs;
mod gaps;
mod history;
mod holds;
mod matrix;
mod origins;
mod quota;
mod regressions;
mod retention;
mod storage;
mod upgrades;
mod verbatim;

use domain::{TenantId, Timestamp, UserId};
use graph_simulator::{Item, Tenant, plain};
use jiff::SignedDuration;

/// When every test's world begins.
fn now() -> Timestamp {
    "2026-11-24T03:00:00Z".parse().unwrap()
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn ago(time: SignedDuration) -> Timestamp {
    now() - time
}

/// A tenant with nobody in it.
fn tenant() -> Tenant {
    Tenant::new(TenantId::from_bytes([7; 16]), now())
}

/// A tenant with one user who holds `count` items, one an hour, the newest of 3 hours ago.
fn one_user(count: usize) -> (Tenant, UserId) {
    let mut tenant = tenant();
    let user = tenant.add_licensed(1);
    tenant.add_items(user, count, ago(hours(3)), hours(1));
    (tenant, user)
}

/// An item like any other, created at this time.
fn item(user: UserId, number: usize, created: Timestamp) -> Item {
    Item::new(plain(user, number, created), created)
}
