//! What seeded runs have found, each as the smallest story that shows it.

use std::sync::Arc;
use std::time::Duration;

use archive::records::UserLine;
use domain::{Class, Kind, RunId, TenantId, UserId};
use graph_simulator::{Item, Switches, Tenant, plain};
use jiff::SignedDuration;
use queue::Options;
use queue::source::{self, Again, Answer};
use settings::Rules;

use crate::bed::{Bed, Made};
use crate::process::Rates;
use crate::scenario::start;

/// What a function may take.
const ENOUGH: Duration = Duration::from_secs(900);

fn bed(tenant: Tenant, switches: Switches) -> Arc<Bed> {
    Bed::new(Made {
        seed: 1,
        tenant,
        switches,
        queue: Options::default(),
        store_fails: 0,
        store_millis: 0,
        page_size: 1,
        rates: Rates::default(),
        rules: Rules::default(),
    })
}

/// A daily run whose workers are given this long, one invocation after the other; the user's line at its close.
async fn daily(bed: &Bed, given: &[Duration], user: UserId) -> UserLine {
    let sandbox = bed.sandbox("process", 24.0, Arc::default());
    let payload = format!(r#"{{"scheduledTime":"{}"}}"#, start());
    bed.fan_out(&sandbox, payload, "request".to_owned(), ENOUGH).await.unwrap();
    for given in given {
        let batch = bed.queue.receive(10).await;
        assert!(!batch.is_empty(), "nothing was handed over");
        let failed = bed.work(&sandbox, batch.clone(), *given).await;
        source::settle(&bed.queue, &bed.queue, &batch, Answer::Failed(failed), Again::WhenVisible).await.unwrap();
    }
    bed.reconcile(&sandbox, "{}".to_owned(), ENOUGH).await.unwrap();
    bed.verify();
    assert_eq!(bed.judge.verdict(), Vec::<String>::new());
    let archive = bed.archive().await.unwrap();
    let receipts = archive.receipts(&RunId::scheduled(start(), Kind::Daily)).await.unwrap();
    let last = receipts.iter().flat_map(|(_, lines)| lines).filter_map(|line| line.class);
    assert_eq!(last.collect::<Vec<_>>(), [Class::Exported], "by the attempt that read to the end");
    let lines = archive.users(&RunId::scheduled(start(), Kind::Daily)).await.unwrap().unwrap();
    lines.into_iter().find(|line| line.user_id == user).unwrap()
}

/// An attempt showed an item and ran out of time before the end of its piece; then the item was deleted, and the attempt
/// that read to the end was shown nothing.
#[tokio::test(start_paused = true)]
async fn who_was_shown_an_item_that_is_gone_before_the_end_is_not_empty() {
    let mut tenant = Tenant::new(TenantId::from_bytes([7; 16]), start());
    let user = tenant.add_licensed(1);
    let created = start() - SignedDuration::from_hours(5);
    let gone = start() + SignedDuration::from_secs(20);
    assert!(tenant.add_item(user, Item::new(plain(user, 0, created), created).removed_at(gone)));
    let bed = bed(tenant, Switches { latency_ms: 4_000, ..Switches::default() });
    // Fan-out takes some 12 s; the first page comes after 4 s more, the second of the two folders would after 8.
    let line = daily(&bed, &[Duration::from_secs(7), ENOUGH], user).await;
    assert_eq!((line.class, line.received, line.new), (Some(Class::Exported), 1, 1));
}
