//! A small tenant in the middle of two runs.
//!
//! On the first day everybody is read. On the second a daily and a history run are planned, and then
//!
//! - Ann's window is read to its end, and her history is not begun;
//! - an item of Bob's breaks its pages, so that his window is read before and after it and he has failed for now;
//! - the process that reads Cid is killed with a segment put, and neither a checkpoint nor a receipt of it;
//! - Graph asks not to be asked for Gus for three hours, and he is handed over, in both runs;
//! - Dee has lost her licence since the first day: a leaver;
//! - Eve's plan is switched off;
//! - and nobody has looked at Fay, who is new, and has no history run yet.

use std::sync::Arc;
use std::time::Duration;

use archive::faults::{Fault as StoreFault, FaultStore, Operation};
use domain::{Message, TenantId, Timestamp};
use graph_simulator::{CHAT_PLAN, Fault, Item, RetryAfter, Rule, Tenant, User, numbered, plain};
use jiff::SignedDuration;
use queue::Delivery;

use crate::{BATCH, InFlight, World};

/// Read to the end.
pub const ANN: u64 = 1;
/// Failed for now.
pub const BOB: u64 = 2;
/// Killed.
pub const CID: u64 = 3;
/// A leaver.
pub const DEE: u64 = 4;
const EVE: u64 = 5;
const FAY: u64 = 6;
/// Handed over.
pub const GUS: u64 = 7;

/// What an item holds that breaks its page.
const BROKEN: &str = "\"broken\":1";

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn first_day() -> Timestamp {
    "2026-11-24T03:00:00Z".parse().unwrap()
}

/// The tenant, on the first or the second day. Items lie between 400 hours before the first day and a few after it.
fn tenant(second: bool) -> Tenant {
    let now = if second { first_day() + hours(24) } else { first_day() };
    let mut tenant = Tenant::new(TenantId::from_bytes([7; 16]), now);
    for number in [ANN, BOB, CID, DEE, EVE, FAY, GUS] {
        let mut user = User::new(numbered(number));
        let mut licence = tenant.licence();
        match number {
            DEE if second => {}
            FAY if !second => {}
            EVE => {
                licence.disabled_plans.push(CHAT_PLAN);
                user.licences.push(licence);
            }
            _ => user.licences.push(licence),
        }
        let (count, every) = match number {
            DEE => (4, 6),
            EVE => (0, 1),
            BOB => (16, 9),
            _ => (8, 30),
        };
        for n in 0..count {
            let created = first_day() + hours(20 - if number == DEE { 30 } else { 0 }) - hours(every * n);
            let text = plain(user.id, usize::try_from(n).unwrap(), created);
            assert!(user.add_item(Item::new(text, created)));
        }
        if number == BOB {
            let created = first_day() - hours(4);
            let text = plain(user.id, 99, created).replace("\"etag\"", &format!("{BROKEN},\"etag\""));
            assert!(text.contains(BROKEN) && user.add_item(Item::new(text, created)));
        }
        tenant.add_user(user);
    }
    tenant
}

fn message(delivery: &Delivery) -> Message {
    Message::from_body(&delivery.body).unwrap()
}

/// Takes the messages of the daily run of these users out of those that wait.
fn daily_of(waiting: &mut Vec<Delivery>, numbers: &[u64]) -> Vec<Delivery> {
    let is_meant = |delivery: &mut Delivery| {
        let message = message(delivery);
        message.not_after.is_none() && numbers.iter().any(|number| numbered(*number) == message.user_id)
    };
    waiting.extract_if(.., is_meant).collect()
}

/// Leaves the tenant half-way.
pub async fn half_way() -> InFlight {
    let first = World::new(tenant(false));
    assert!(first.daily().await.complete);
    let mut after = InFlight::of(first).await;
    after.tenant = tenant(true);

    let mut world = after.world(11).await;
    let at = world.seconds();
    for payload in [format!(r#"{{"scheduledTime":"{at}"}}"#), format!(r#"{{"scheduledTime":"{at}","history":true}}"#)] {
        world.fan_out(&payload).await.unwrap();
    }
    let wait = Fault::Throttle { retry_after: RetryAfter::Seconds, seconds: 10_800 };
    world.simulator.change(|switches| {
        switches.rules.push(Rule::always(Fault::Garbage).containing(BROKEN));
        switches.rules.push(Rule::always(wait).user(numbered(GUS)));
    });
    let mut waiting = world.queue.receive(BATCH).await;

    let clean = world.stores.clone();
    let state = FaultStore::new(Arc::clone(&world.store) as _);
    for _ in 0..50 {
        state.fail_next(Operation::Put, "state/", StoreFault::Lost);
    }
    world.stores.state = Arc::new(state);
    let killed = tokio::time::timeout(Duration::from_secs(8), world.invoke(0, daily_of(&mut waiting, &[CID]))).await;
    assert!(killed.is_err(), "the process was to be killed");
    world.stores = clean;

    world.invoke(0, daily_of(&mut waiting, &[ANN, BOB])).await;
    // Last, since a process keeps the wait for everybody.
    let (gus, rest): (_, Vec<_>) = waiting.into_iter().partition(|delivery| message(delivery).user_id == numbered(GUS));
    world.invoke(0, gus).await;

    // The others were received by a process that did not get to them. All come back when they are visible again.
    assert!(!rest.is_empty());
    world.pass(hours(2)).await;
    InFlight::of(world).await
}
