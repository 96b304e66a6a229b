//! A queue that delivers at least once and in any order.

use std::collections::BTreeMap;

use domain::{Message, UserId};
use lambda_harness::{Setup, Stack};
use queue::Options;

use super::{daily, hours, tenant, user};

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_come_twice_and_out_of_order_change_nothing() {
    const ITEMS: usize = 5;
    let mut tenant = tenant();
    let now = tenant.now;
    let users: Vec<UserId> = (1..=40).map(|number| user(&mut tenant, number, ITEMS, hours(1), hours(1))).collect();
    let queue = Options { shuffle: true, duplicates_percent: 50, ..Options::default() };
    let stack = Stack::new(Setup { queue, batch: 10, ..Setup::new(tenant) }).await;
    let report = stack.run(&daily(now)).await;

    let batches = stack.source.batches();
    let delivered: Vec<_> = batches.iter().flat_map(|batch| &batch.messages).collect();
    let mut times = BTreeMap::new();
    delivered.iter().for_each(|one| *times.entry((&one.message_id, one.receive_count)).or_insert(0) += 1);
    assert!(times.values().any(|times| *times > 1), "some came twice");
    let order: Vec<UserId> =
        delivered.iter().map(|message| Message::from_body(&message.body).unwrap().user_id).collect();
    assert!(!order.is_sorted(), "they were sent in the order of the roster");

    let count = |of: &str| report["users"][of].as_u64().unwrap() as usize;
    assert_eq!(report["complete"], true, "{report:#}");
    assert_eq!((count("planned"), count("exported")), (users.len(), users.len()), "{report:#}");
    // Of two workers that read the same user at once one may find what the other has archived.
    let items = &report["interactions"];
    assert_eq!(items["new"].as_u64().unwrap() + items["recovered"].as_u64().unwrap(), (users.len() * ITEMS) as u64);
    assert!(stack.dead_letters().is_empty());
    stack.expect_quota_kept();
    stack.expect_truth(users);
    stack.expect_silence().await;
}
