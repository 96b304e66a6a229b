//! Makes the archive `v1-late` of tests/archives, and writes what an audit says of it: a user who leaves, an item that only a
//! scheduled look-back finds, and a receipt that comes after its run was closed.
//!
//! ```sh
//! cargo run -p end-to-end --example late -- FOLDER AUDIT.json
//! ```

#![expect(clippy::unwrap_used, reason = "a tool of the tests fails loudly")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use domain::{TenantId, Timestamp, UserId};
use end_to_end::World;
use evidence::audit::{Request, Whom};
use graph_simulator::{Item, Tenant, plain};
use jiff::SignedDuration;
use queue::{Outgoing, Queue as _};
use serde_json::json;

const DAYS: u8 = 6;

/// On this day the user who leaves is away, and the receipts of the run before come once more.
const DAY_OF_TROUBLE: u8 = 3;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (root, audit) = (arguments.next().unwrap(), arguments.next().unwrap());
    let begin: Timestamp = "2026-11-24T03:00:00Z".parse().unwrap();
    let hours = SignedDuration::from_hours;
    let mut tenant = Tenant::new(TenantId::from_bytes([7; 16]), begin);
    let users: Vec<UserId> = (1..=3).map(|number| tenant.add_licensed(number)).collect();
    let [stays, leaves, ..] = users[..] else { unreachable!("three users") };
    for user in &users {
        tenant.add_items(*user, 6, begin + hours(96), hours(20));
    }
    // It shows when no daily run looks back so far any more.
    let created = begin - hours(5);
    assert!(tenant.add_item(stays, Item::new(plain(stays, 900, created), created).visible_from(begin + hours(110))));
    let mut world = World::new(tenant);
    world.rules.leavers = hours(36);

    for day in 0..DAYS {
        if day == DAY_OF_TROUBLE {
            world.simulator.change(|switches| switches.deleted = [leaves].into());
        }
        let scheduled = world.seconds();
        let report = world.daily().await;
        if day == DAY_OF_TROUBLE {
            let to = scheduled - hours(2);
            let again = json!({"v": 1, "run_id": report.run_id, "user_id": stays, "from": null, "to": to, "not_after": null, "hops": 0});
            let again = Outgoing { body: again.to_string(), delay: Duration::ZERO };
            world.queue.send(vec![again]).await.unwrap();
            world.drain().await;
        }
        world.pass(hours(24)).await;
    }
    let lookback = world.run(&json!({"scheduledTime": world.seconds(), "lookbackHours": 240}).to_string()).await;
    assert_eq!(lookback.interactions.new, 1, "the look-back finds what came late");

    let source = world.source();
    for (key, bytes) in source.objects.iter().filter(|(key, _)| !key.starts_with("state/")) {
        let path = root.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let history_start = begin - hours(72);
    let request = Request {
        whom: Whom::All,
        from: None,
        to: None,
        explain: true,
        ledger_head: None,
        history_start,
        retention_days: None,
        read_at: "2026-12-01T00:00:00Z".parse().unwrap(),
        location: String::new(),
        program: String::new(),
    };
    let report = evidence::audit(&source, &request).unwrap();
    let (n, sha256) = report.integrity.numbers.ledger_head.clone().unwrap();
    let found = json!({"history_start": history_start, "head": {"n": n, "sha256": sha256}, "report": report});
    fs::write(audit, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
}
