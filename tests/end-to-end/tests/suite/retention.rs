//! Retention: a bucket that lets expire what is old, and the runs, windows and audits beside it.

use std::collections::BTreeMap;

use archive::store::Store as _;
use bytes::Bytes;
use domain::{Timestamp, UserId};
use end_to_end::World;
use evidence::audit::{Request, Whom};
use evidence::{AuditReport, audit};
use graph_simulator::Tenant;
use jiff::SignedDuration;

use super::{ago, hours, now, tenant};

/// The least that suits the overlap.
const DAYS: i64 = 17;

/// How much earlier than a window its question may begin, which is in whole seconds and widened.
const WIDENED: SignedDuration = SignedDuration::from_secs(2);

/// A world whose bucket plays the lifecycle of the template.
struct Bucket {
    world: World,
    /// When each object was seen first as it is: it was put before.
    put: BTreeMap<String, (Timestamp, Bytes)>,
}

impl Bucket {
    fn new(tenant: Tenant) -> Self {
        let mut world = World::new(tenant);
        world.rules.retention = Some(hours(24 * DAYS));
        Self { world, put: BTreeMap::new() }
    }

    /// The bound of a run that begins now.
    fn kept_since(&self) -> Timestamp {
        self.world.now() - hours(24 * DAYS)
    }

    fn look(&mut self) {
        let (now, objects) = (self.world.now(), self.world.store.objects());
        self.put.retain(|key, _| objects.contains_key(key));
        for (key, bytes) in objects {
            if self.put.get(&key).is_none_or(|(_, before)| *before != bytes) {
                self.put.insert(key, (now, bytes));
            }
        }
    }

    /// Time passes, and what is as old as the template's rules say is gone. How many objects are.
    async fn pass(&mut self, time: SignedDuration) -> usize {
        self.look();
        self.world.pass(time).await;
        let expires =
            |key: &str| ["interactions/", "quarantine/", "runs/", "state/"].iter().any(|at| key.starts_with(at));
        let old = |put: Timestamp| put + hours(24 * DAYS) <= self.world.now();
        let gone: Vec<&String> =
            self.put.iter().filter(|(key, (put, _))| expires(key) && old(*put)).map(|(key, _)| key).collect();
        gone.iter().for_each(|key| self.world.store.remove(key));
        gone.len()
    }

    /// A daily and a history run. Neither asks for anything before what is kept.
    async fn runs(&mut self) -> (archive::records::Report, archive::records::Report) {
        let (asked, kept_since) = (self.world.simulator.ledger().interactions().count(), self.kept_since());
        let daily = self.world.daily().await;
        let history = self.world.history().await;
        for report in [&daily, &history] {
            assert!(report.complete, "{report:#?}");
        }
        let begins: Vec<Timestamp> =
            self.world.simulator.ledger().interactions().skip(asked).filter_map(|asked| begin(&asked.target)).collect();
        assert!(!begins.is_empty());
        assert!(begins.iter().all(|begin| *begin >= kept_since - WIDENED), "{:?} of {kept_since}", begins.iter().min());
        // What is open now may be found by whoever asks for all runs, and no more.
        assert_eq!(self.world.reconcile("{}").await["runs"], serde_json::json!([]));
        (daily, history)
    }

    fn audit(&self, days: Option<i64>, whom: Whom) -> AuditReport {
        let request = Request {
            whom,
            from: None,
            to: None,
            explain: true,
            ledger_head: None,
            history_start: self.world.rules.history_start,
            retention_days: days.map(|days| u32::try_from(days).unwrap()),
            read_at: self.world.now(),
            location: "s3://archive".to_owned(),
            program: "copilot-archive".to_owned(),
        };
        audit(&self.world.source(), &request).unwrap()
    }

    /// Every text that is young enough to be kept is archived, and none twice.
    fn expect_kept(&self, users: &[UserId], covered_to: Timestamp) {
        let tenant = self.world.simulator.tenant();
        let held = evidence::contents(&self.world.source(), &tenant.id.to_string()).unwrap();
        let window = domain::Window::new(self.kept_since(), covered_to).unwrap();
        for user in users {
            let held = &held[&user.to_string()];
            for text in tenant.truth_within(*user, window, self.world.now()) {
                assert_eq!(held.iter().filter(|one| *one == text).count(), 1, "{text}");
            }
        }
    }
}

/// Where a question for a window begins.
fn begin(target: &str) -> Option<Timestamp> {
    let (_, from) = target.split_once("createdDateTime%20gt%20")?;
    from.split('%').next()?.parse().ok()
}

/// Three users of very different weight, from a month before the first run until two months after it.
fn quarter() -> (Tenant, Vec<UserId>) {
    let mut tenant = tenant();
    let users = [(1, 4), (2, 31), (3, 90)].map(|(number, every)| {
        let user = tenant.add_licensed(number);
        tenant.add_items(user, 24 * 90 / every as usize, now() + hours(24 * 60), hours(every));
        user
    });
    (tenant, users.into())
}

#[tokio::test(start_paused = true)]
async fn runs_go_on_and_are_proved_while_what_is_old_expires() {
    let (tenant, users) = quarter();
    let mut bucket = Bucket::new(tenant);
    let (_, history) = bucket.runs().await;
    assert_eq!(history.history_remaining, 0);
    let mut gone = 0;
    for day in 1..=40 {
        gone += bucket.pass(hours(24)).await;
        if day == 30 {
            // A log that is read without its checkpoint begins above segment 1 by now.
            bucket.world.store.remove(&format!(
                "state/tenant_id={}/user_id={}.json",
                bucket.world.simulator.tenant().id,
                users[0]
            ));
        }
        let (daily, history) = bucket.runs().await;
        // Whose checkpoint is lost is covered for three days, and history goes back to what is kept once more.
        let lost = u64::from(day == 30);
        let remaining = (daily.history_remaining, history.users.planned, history.history_remaining);
        assert_eq!(remaining, (lost, lost, 0), "day {day}");
        bucket.expect_kept(&users, daily.started_at - hours(3));
        let report = bucket.audit(Some(DAYS), Whom::All);
        assert_eq!(report.answer.exit_code(), 0, "day {day}: {}", report.text());
        // What proved the older part of a coverage may have expired, and what is kept is proved.
        assert_eq!(report.integrity.count(evidence::Code::CoverageUnproven), 0, "day {day}");
    }
    assert!(gone > 40 * 5, "{gone} objects expired");
    let keys = bucket.world.store.objects();
    assert!(!keys.keys().any(|key| key.ends_with("segment-000001.jsonl.zst") && key.contains("=2026-11/")));
    let closed = bucket.world.archive().await.ledger_highest().await.unwrap();
    let report = bucket.audit(Some(DAYS), Whom::Named(vec![users[0].to_string()]));
    let page = report.text();
    for sentence in [
        "    expired by policy: nothing need be kept longer than 17 days, and none of it is a gap\n",
        "gaps        0 open, 0 read by a later run\n",
        &format!(" {closed} ledger entries linked, head "),
        "0 promises found broken\n",
        "verdict     NO OPEN GAP    exit 0\n",
    ] {
        assert!(page.contains(sentence), "{sentence}\n{page}");
    }
    let expired = report.integrity.expired.unwrap();
    let left = bucket.world.archive().await.runs().await.unwrap().len() as u64;
    assert_eq!(expired.runs, closed - left);
    // Who is not told of retention sees damage, and no gap is excused.
    assert_eq!(bucket.audit(None, Whom::All).answer.exit_code(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_young_object_that_is_gone_is_damage_among_all_that_has_expired() {
    let (tenant, users) = quarter();
    let mut bucket = Bucket::new(tenant);
    for _ in 0..25 {
        bucket.runs().await;
        bucket.pass(hours(24)).await;
    }
    assert_eq!(bucket.audit(Some(DAYS), Whom::All).answer.exit_code(), 0);
    bucket.look();
    let young = |bucket: &Bucket, part: &str| {
        let of_part = bucket.put.iter().filter(|(key, _)| key.contains(part));
        let (key, (put, bytes)) = of_part.min_by_key(|(_, (put, _))| *put).unwrap();
        assert!(*put > bucket.kept_since());
        (key.clone(), bytes.clone())
    };
    // The oldest of each kind that is kept.
    for part in ["/segment-", "/roster", "/run.json", "/receipts/", "/users", "/report"] {
        let (key, bytes) = young(&bucket, part);
        bucket.world.store.remove(&key);
        let report = bucket.audit(Some(DAYS), Whom::Named(vec![users[0].to_string()]));
        assert_eq!(report.answer.exit_code(), 2, "{key}");
        assert!(report.text().contains("verdict     INTEGRITY FAILURE"), "{key}");
        bucket.world.store.overwrite(&key, bytes);
    }
    assert_eq!(bucket.audit(Some(DAYS), Whom::All).answer.exit_code(), 0);
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_longer_than_what_is_kept_coverage_begins_anew() {
    let (tenant, users) = quarter();
    let mut bucket = Bucket::new(tenant);
    bucket.runs().await;
    let run = bucket.world.run(r#"{"runId":"by-hand"}"#).await;
    assert!(run.complete);
    assert!(bucket.pass(hours(24 * 30)).await > 0);
    // Checkpoints have expired as well, but for one that somebody has put back.
    let (state, checkpoint) =
        bucket.put.iter().find(|(key, _)| key.ends_with(&format!("user_id={}.json", users[1]))).unwrap();
    bucket.world.store.overwrite(state, checkpoint.1.clone());
    for day in 0..3 {
        let (daily, history) = bucket.runs().await;
        let line = bucket.world.line(&daily.run_id, users[1]).await;
        assert!(line.covered_to.unwrap() > daily.started_at - hours(3), "day {day}: coverage widens again");
        if day == 0 {
            // The whole of what is kept was read at once by whom a checkpoint was left, and by history of the others.
            assert_eq!(line.covered_from, Some(bucket.world.rules.kept_since(daily.started_at)));
            assert_eq!((history.users.planned, history.history_remaining), (users.len() as u64 - 1, 0));
        } else {
            assert_eq!(history.users.planned, 0);
        }
        bucket.expect_kept(&users, daily.started_at - hours(3));
        let report = bucket.audit(Some(DAYS), Whom::All);
        assert_eq!(report.answer.exit_code(), 0, "{}", report.text());
        bucket.pass(hours(24)).await;
    }
    // The run's files are gone, its id is taken.
    let again = bucket.world.fan_out(r#"{"runId":"by-hand"}"#).await.unwrap_err();
    assert!(matches!(again, fan_out::FanOutError::RunReused), "{again}");
    // What has expired is not asked for again, whoever asks.
    let range = format!(r#"{{"runId":"old","from":"{}","to":"{}"}}"#, ago(hours(24 * 20)), ago(hours(24)));
    let refused = bucket.world.fan_out(&range).await.unwrap_err().to_string();
    assert!(refused.contains("to lies before what is kept: RETENTION_DAYS"), "{refused}");
    let asked = bucket.world.simulator.ledger().interactions().count();
    let back = bucket.world.run(r#"{"runId":"deep","lookbackHours":2000}"#).await;
    assert!(back.complete);
    let file = bucket.world.archive().await.run(&back.run_id).await.unwrap().unwrap();
    assert_eq!(file.from, Some(bucket.world.rules.kept_since(file.started_at)));
    assert!(bucket.world.simulator.ledger().interactions().count() > asked);
    assert_eq!(bucket.audit(Some(DAYS), Whom::All).answer.exit_code(), 0);
    assert!(bucket.world.store.list("ledger/").await.unwrap().len() > 7);
}

#[tokio::test(start_paused = true)]
async fn who_was_read_in_a_run_that_expired_unclosed_is_read_in_another_of_its_id() {
    let (tenant, users) = quarter();
    let mut bucket = Bucket::new(tenant);
    let by_hand =
        |asked: domain::Window| format!(r#"{{"runId":"by-hand","from":"{}","to":"{}"}}"#, asked.from(), asked.to());
    let days = |from: i64, to: i64, world: &World| {
        domain::Window::new(world.seconds() - hours(24 * from), world.seconds() - hours(24 * to)).unwrap()
    };
    // Read, and never closed.
    bucket.world.fan_out(&by_hand(days(16, 1, &bucket.world))).await.unwrap();
    bucket.world.drain().await;
    let state = |key: &str| key.starts_with("state/");
    let checkpoints: Vec<_> = bucket.world.store.objects().into_iter().filter(|(key, _)| state(key)).collect();
    bucket.pass(hours(24 * (DAYS + 1))).await;
    // A checkpoint lives as long as something new is noted in it.
    checkpoints.into_iter().for_each(|(key, bytes)| bucket.world.store.overwrite(&key, bytes));
    assert_eq!(bucket.world.archive().await.runs().await.unwrap(), []);

    let asked = days(10, 1, &bucket.world);
    let report = bucket.world.run(&by_hand(asked)).await;
    assert!(report.complete);
    for user in &users {
        let line = bucket.world.line(&report.run_id, *user).await;
        assert_eq!(line.windows, [asked]);
        let shown = bucket.world.simulator.tenant().truth_within(*user, asked, bucket.world.now());
        assert!(line.new >= shown.len() as u64, "{line:#?}");
    }
    let report = bucket.audit(Some(DAYS), Whom::All);
    assert!(report.integrity.is_intact(), "{}", report.text());
}
