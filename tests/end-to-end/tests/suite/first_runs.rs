//! The first days of an archive: daily runs, twice the same run, tenants that do not fit.

use std::sync::Arc;

use archive::Stores;
use domain::{Kind, RunId, TenantId};
use end_to_end::World;
use fan_out::{Answer, FanOutError};
use graph_simulator::{Profile, Tenant, UserState};
use queue::Queue;

use super::{ago, hours, item, now, one_user, tenant};

#[tokio::test(start_paused = true)]
async fn a_simulated_company_is_archived_item_by_item_and_byte_by_byte() {
    let tenant = Tenant::generate(&Profile::contoso(), 42);
    let world = World::new(tenant);
    let daily = world.daily().await;
    assert!(daily.complete, "{daily:#?}");
    assert_eq!(
        daily.users.planned,
        daily.users.exported + daily.users.empty + daily.users.unavailable.values().sum::<u64>()
    );
    assert!(daily.users.unavailable.len() >= 2, "licence and history missing: {daily:#?}");
    for _ in 0..8 {
        let history = world.history().await;
        assert!(history.complete, "{history:#?}");
        if history.history_remaining == 0 {
            break;
        }
    }
    let tenant = Arc::clone(world.simulator.tenant());
    let readable = tenant.users().iter().filter(|user| tenant.is_licensed(user) && user.state == UserState::Normal);
    world.expect_truth(readable.map(|user| user.id));
    world.expect_quota_kept();

    let again = world.daily().await;
    assert!(again.complete);
    assert_eq!(again.interactions.new, 0, "a second run adds nothing");
    assert_eq!(again.interactions.received, again.interactions.already_held);
}

#[tokio::test(start_paused = true)]
async fn a_first_daily_run_covers_the_overlap_and_no_more() {
    let (tenant, user) = one_user(200);
    let world = World::new(tenant);
    let report = world.daily().await;
    assert_eq!((report.users.exported, report.complete), (1, true));
    let line = world.line(&report.run_id, user).await;
    assert_eq!(line.covered_to, Some(ago(hours(2))));
    assert_eq!(line.covered_from, Some(ago(hours(74))));
    world.verify();
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_fires_twice_makes_one_run() {
    let (tenant, user) = one_user(30);
    let world = World::new(tenant);
    let payload = format!(r#"{{"scheduledTime":"{}"}}"#, now());
    let first = world.fan_out(&payload).await.unwrap();
    let second = world.fan_out(&payload).await.unwrap();
    assert_eq!(first, second);
    let run = RunId::scheduled(now(), Kind::Daily);
    let report = world.finish(&run).await;
    assert_eq!((report.complete, report.interactions.new), (true, 30));
    assert_eq!(world.archive().await.ledger().await.unwrap().len(), 1);

    let third = world.fan_out(&payload).await.unwrap();
    assert_eq!(first, third, "a closed run answers as before");
    assert!(world.queue.depth().await.unwrap().is_quiet(), "and sends nothing");
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn two_schedules_at_once_make_one_run() {
    let (tenant, user) = one_user(30);
    let world = World::new(tenant);
    let payload = format!(r#"{{"scheduledTime":"{}"}}"#, now());
    let (first, second) = tokio::join!(world.fan_out(&payload), world.fan_out(&payload));
    assert_eq!(first.unwrap(), second.unwrap());
    let report = world.finish(&RunId::scheduled(now(), Kind::Daily)).await;
    assert_eq!((report.complete, report.users.planned), (true, 1));
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn a_run_id_is_not_used_for_another_request() {
    let mut tenant = tenant();
    let (ann, bob) = (tenant.add_licensed(1), tenant.add_licensed(2));
    let world = World::new(tenant);
    let payload = |user| format!(r#"{{"runId":"case-7","users":["{user}"]}}"#);
    world.fan_out(&payload(ann)).await.unwrap();
    assert!(matches!(world.fan_out(&payload(bob)).await, Err(FanOutError::RunReused)));
    assert!(world.fan_out(&payload(ann)).await.is_ok(), "the same request resumes");
}

#[tokio::test(start_paused = true)]
async fn another_tenant_is_refused_and_changes_nothing() {
    let (tenant, _) = one_user(10);
    let world = World::new(tenant);
    world.daily().await;
    let before = world.store.objects();

    let mut foreign = Tenant::new(TenantId::from_bytes([8; 16]), now());
    foreign.add_licensed(9);
    let mut other = World::new(foreign);
    other.stores = Stores { evidence: Arc::clone(&world.store) as _, state: Arc::clone(&world.store) as _ };
    let payload = format!(r#"{{"scheduledTime":"{}"}}"#, now());
    assert!(matches!(other.fan_out(&payload).await, Err(FanOutError::Open(_))));
    assert!(other.try_reconcile("{}").await.is_err());
    assert_eq!(world.store.objects(), before);
    assert!(other.queue.depth().await.unwrap().is_quiet());
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_writes_and_sends_nothing() {
    let (tenant, _) = one_user(10);
    let world = World::new(tenant);
    let answer = world.fan_out(r#"{"dryRun":true}"#).await.unwrap();
    assert!(matches!(answer, Answer::DryRun { planned: 1, .. }), "{answer:?}");
    assert!(world.store.objects().is_empty());
    assert!(world.queue.depth().await.unwrap().is_quiet());
}

#[tokio::test(start_paused = true)]
async fn two_reconciles_at_once_make_one_ledger_entry() {
    let (tenant, _) = one_user(10);
    let world = World::new(tenant);
    world.fan_out(&format!(r#"{{"scheduledTime":"{}"}}"#, now())).await.unwrap();
    world.drain().await;
    let payload = format!(r#"{{"runId":"{}"}}"#, RunId::scheduled(now(), Kind::Daily));
    let (first, second) = tokio::join!(world.reconcile(&payload), world.reconcile(&payload));
    let entries = world.archive().await.ledger().await.unwrap();
    assert_eq!(entries.len(), 1);
    let sha256 = &entries[0].0.sha256;
    for answer in [first, second] {
        assert_eq!(answer["ledger"]["sha256"].as_str(), Some(sha256.as_str()), "{answer}");
    }
    world.verify();
}

#[tokio::test(start_paused = true)]
async fn on_demand_reads_only_who_was_asked_for() {
    let mut tenant = tenant();
    let (ann, bob) = (tenant.add_licensed(1), tenant.add_licensed(2));
    for user in [ann, bob] {
        assert!(tenant.add_item(user, item(user, 0, ago(hours(5)))));
    }
    let upn = tenant.user(ann).unwrap().upn.clone();
    let world = World::new(tenant);
    let report = world.run(&format!(r#"{{"users":["{upn}"]}}"#)).await;
    assert_eq!((report.kind, report.users.planned, report.complete), (Kind::OnDemand, 1, true));
    assert_eq!((world.held(ann), world.held(bob)), (1, 0));
}
