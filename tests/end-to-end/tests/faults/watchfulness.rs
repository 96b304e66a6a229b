//! The judge notices what it is there to notice: each broken promise, planted by hand.

use std::sync::Arc;

use archive::store::Store;
use domain::{TenantId, UserId};
use graph_simulator::{Item, Switches, Tenant};
use jiff::SignedDuration;
use queue::Options;
use settings::Rules;

use crate::bed::{Bed, Made};
use crate::canaries::{self, Log};
use crate::process::Rates;
use crate::scenario::start;

const TENANT: TenantId = TenantId::from_bytes([7; 16]);

/// A user with three items, of which Graph has shown the first two in one question over the last two days.
fn bed() -> (Arc<Bed>, UserId) {
    let mut tenant = Tenant::new(TENANT, start());
    let user = tenant.add_licensed(1);
    for n in 0..3 {
        assert!(tenant.add_item(user, Item::new(text(n), start() - SignedDuration::from_hours(5 + n))));
    }
    let bed = Bed::new(Made {
        seed: 1,
        tenant,
        switches: Switches::default(),
        queue: Options::default(),
        store_fails: 0,
        store_millis: 0,
        page_size: 100,
        rates: Rates::default(),
        rules: Rules::default(),
    });
    let target =
        "?$filter=createdDateTime%20gt%202026-10-31T00:00:00Z%20and%20createdDateTime%20lt%202026-11-02T00:00:00Z";
    bed.judge.asked(1, user, target);
    bed.judge.answered(1, user, 200, format!(r#"{{"value":[{},{}]}}"#, text(0), text(1)).as_bytes());
    (bed, user)
}

fn text(n: i64) -> String {
    format!(r#"{{"id":"{n}"}}"#)
}

/// A segment of these items.
async fn segment(bed: &Bed, user: UserId, number: u64, items: &[i64]) {
    let origin = format!(
        r#""tenant_id":"{TENANT}","user_id":"{user}","run_id":"r","attempt_id":"a","fetched_at":"{}""#,
        start()
    );
    let line = |item: &i64| format!("{{{origin},\"interaction\":{}}}\n", text(*item));
    let lines: String = items.iter().map(line).collect();
    let key =
        format!("interactions/tenant_id={TENANT}/created_month=unknown/user_id={user}/segment-{number:06}.jsonl.zst");
    bed.store.put_new(&key, zstd::encode_all(lines.as_bytes(), 1).unwrap().into()).await.unwrap();
}

async fn checkpoint(bed: &Bed, user: UserId, from: &str, to: &str) {
    let key = format!("state/tenant_id={TENANT}/user_id={user}.json");
    let text = format!(r#"{{"coverage":{{"from":"{from}","to":"{to}"}},"runs":[]}}"#);
    bed.store.put_new(&key, text.into()).await.unwrap();
}

fn expect(bed: &Bed, broken: &[&str]) {
    let found = bed.judge.verdict();
    assert_eq!(found.len(), broken.len(), "{found:#?}");
    for (found, part) in found.iter().zip(broken) {
        assert!(found.contains(part), "{found}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_sees_an_item_a_second_time_or_one_that_was_never_shown() {
    let (bed, user) = bed();
    segment(&bed, user, 1, &[0, 1]).await;
    expect(&bed, &[]);
    segment(&bed, user, 2, &[1]).await;
    segment(&bed, user, 3, &[2]).await;
    segment(&bed, user, 5, &[9]).await;
    let broken =
        ["holds item 1 a second time", "holds what was never shown", "is not segment 4", "Graph does not know"];
    expect(&bed, &broken);
}

#[tokio::test(start_paused = true)]
async fn it_sees_a_claim_that_nothing_backs() {
    // Not everything shown is archived.
    let (bed, user) = self::bed();
    segment(&bed, user, 1, &[0]).await;
    checkpoint(&bed, user, "2026-10-31T01:00:00Z", "2026-11-01T23:00:00Z").await;
    expect(&bed, &["item 1 of it is not archived"]);
    // Everything is, and the claim reaches further than what was read, on either side.
    for (from, to, broken) in [
        ("2026-10-31T00:00:00Z", "2026-11-01T23:59:59Z", false),
        ("2026-10-30T23:59:59Z", "2026-11-01T23:00:00Z", true),
        ("2026-10-31T01:00:00Z", "2026-11-02T00:00:00Z", true),
    ] {
        let (bed, user) = self::bed();
        segment(&bed, user, 1, &[0, 1]).await;
        checkpoint(&bed, user, from, to).await;
        expect(&bed, if broken { &["read only to"] } else { &[] });
    }
}

#[tokio::test(start_paused = true)]
async fn it_sees_an_invocation_that_is_done_before_its_items_are_archived() {
    let (bed, user) = bed();
    segment(&bed, user, 1, &[1]).await;
    bed.judge.ended(1, &[], &[]);
    expect(&bed, &["item 0 of"]);
    bed.judge.begins(1);
    bed.judge.ended(1, &[], &[]);
    expect(&bed, &["item 0 of"]);
}

#[tokio::test(start_paused = true)]
async fn it_sees_a_replaced_object_and_what_is_missing_in_the_end() {
    let (bed, user) = bed();
    let key = "runs/r/report.json";
    let archive::store::PutNew::Created(etag) = bed.store.put_new(key, "{}".into()).await.unwrap() else {
        panic!("nothing was there")
    };
    bed.store.put_if_match(key, "{} ".into(), &etag).await.unwrap();
    expect(&bed, &["was replaced"]);
    segment(&bed, user, 1, &[0, 1]).await;
    let tenant = bed.simulator.tenant();
    let from = start() - SignedDuration::from_hours(24);
    bed.judge.expect_everything(tenant, &[user], from, start() - SignedDuration::from_hours(6));
    expect(&bed, &["was replaced", "is not archived at the end"]);
}

#[tokio::test(start_paused = true)]
async fn canaries_are_found_wherever_they_do_not_belong() {
    let prompt = canaries::prompt(&UserId::from_bytes([1; 16]), 1, "first");
    let places = [
        ("runs/r/report.json", format!("{{\"x\":\"{prompt}\"}}")),
        ("runs/r/run.json", format!("{{\"x\":\"{}\"}}", canaries::SECRET)),
        ("state/x", format!("{{\"x\":\"{}\"}}", canaries::UPN)),
        ("runs/r/roster.jsonl.zst", prompt.clone()),
        ("interactions/x.zst", format!("{{\"x\":\"{}\"}}", canaries::NAME)),
        ("interactions/y.zst", canaries::SECRET.to_owned()),
        ("quarantine/x.zst", canaries::SECRET.to_owned()),
    ];
    for (key, content) in places {
        let (bed, _) = bed();
        let packed = zstd::encode_all(content.as_bytes(), 1).unwrap();
        bed.memory.overwrite(key, if key.ends_with(".zst") { packed } else { content.into_bytes() });
        canaries::search(&bed, &Log::default());
        expect(&bed, &[key]);
    }
    let (bed, user) = bed();
    let packed = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
    bed.memory.overwrite("runs/r/roster.jsonl.zst", packed(canaries::NAME));
    bed.memory.overwrite("interactions/x.zst", packed(&prompt));
    bed.memory.overwrite("quarantine/x.zst", packed(&canaries::error_body()));
    let log = Log::default();
    canaries::search(&bed, &log);
    expect(&bed, &[]);
    tracing::subscriber::with_default(log.subscriber(), || tracing::trace!(user = %user, "{prompt}"));
    bed.judge.message("worker", canaries::UPN);
    bed.keep_error(&std::io::Error::other(canaries::MAIL));
    bed.judge.issued("/tenant/oauth2/v2.0/token", br#"{"access_token":"a-token-of-great-length"}"#);
    bed.memory.overwrite(&format!("quarantine/{}", canaries::MAIL), "");
    bed.memory.overwrite("runs/r/users.jsonl.zst", zstd::encode_all(&b"a-token-of-great-length"[..], 1).unwrap());
    canaries::search(&bed, &log);
    expect(
        &bed,
        &["stands in a key", "users.jsonl.zst", "stands in a message", "stands in an error", "stands in the log"],
    );
}
