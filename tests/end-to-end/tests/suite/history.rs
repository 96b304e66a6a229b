//! History: backwards, in bounded runs, beside the daily runs.

use domain::{Kind, Message, RunId};
use end_to_end::{BATCH, World};
use fan_out::Answer;
use graph_simulator::Tenant;
use jiff::SignedDuration;
use queue::{Outgoing, Queue};

use super::{ago, hours, now, tenant};

/// Three years of history for some, of very different weight.
fn three_years() -> (Tenant, Vec<domain::UserId>) {
    let mut tenant = tenant();
    let mut users = Vec::new();
    for (number, items) in [(1, 9_000), (2, 2_500), (3, 700), (4, 40), (5, 0), (6, 350)] {
        let user = tenant.add_licensed(number);
        let every = SignedDuration::from_secs(3 * 365 * 86_400 / items.max(1) as i64);
        tenant.add_items(user, items, ago(hours(3)), every);
        users.push(user);
    }
    (tenant, users)
}

async fn back_fill(history: SignedDuration) -> u64 {
    let (tenant, users) = three_years();
    let mut world = World::new(tenant);
    world.rules.history_hours = history;
    let daily = world.daily().await;
    assert!(daily.complete, "complete for the present after the first run");
    let answer = world.fan_out(r#"{"history":true,"dryRun":true}"#).await.unwrap();
    let Answer::DryRun { estimate, .. } = answer else { panic!("{answer:?}") };
    let promised = estimate.runs;
    let mut runs = 0;
    loop {
        world.pass(hours(1)).await;
        let report = world.history().await;
        runs += 1;
        assert!(report.complete, "{report:#?}");
        assert_eq!(report.kind, Kind::History);
        if report.history_remaining == 0 {
            break;
        }
        assert!(runs < promised, "promised {promised} runs, {} users remain", report.history_remaining);
    }
    world.expect_truth(users);
    world.expect_quota_kept();
    runs
}

#[tokio::test(start_paused = true)]
async fn three_years_are_back_filled_within_the_runs_that_were_promised() {
    let in_long_runs = back_fill(SignedDuration::from_secs(80)).await;
    let in_short_runs = back_fill(SignedDuration::from_secs(20)).await;
    assert!(in_short_runs > in_long_runs, "{in_short_runs} and {in_long_runs} runs");
}

#[tokio::test(start_paused = true)]
async fn history_is_planned_only_for_who_lacks_it() {
    let (tenant, users) = three_years();
    let world = World::new(tenant);
    let nobody = world.history().await;
    assert_eq!((nobody.users.planned, nobody.users.excluded.get("not-covered")), (0, Some(&(users.len() as u64))));
    world.pass(hours(1)).await;
    world.daily().await;
    world.pass(hours(1)).await;
    assert_eq!(world.history().await.history_remaining, 0);
    world.pass(hours(1)).await;
    let done = world.history().await;
    assert_eq!((done.users.planned, done.users.excluded.get("history-done")), (0, Some(&(users.len() as u64))));
    assert!(done.complete);
}

#[tokio::test(start_paused = true)]
async fn a_light_users_history_takes_two_requests() {
    let mut tenant = tenant();
    let user = tenant.add_licensed(1);
    tenant.add_items(user, 40, ago(hours(100)), hours(500));
    let world = World::new(tenant);
    world.daily().await;
    world.pass(hours(1)).await;
    let report = world.history().await;
    assert_eq!((report.requests.sent, report.history_remaining), (2, 0));
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn a_daily_and_a_history_message_of_one_user_in_one_batch() {
    let (tenant, users) = three_years();
    let world = World::new(tenant);
    world.daily().await;
    world.pass(hours(24)).await;
    let at = world.seconds();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}"}}"#)).await.unwrap();
    world.fan_out(&format!(r#"{{"scheduledTime":"{at}","history":true}}"#)).await.unwrap();
    let batch = world.queue.receive(BATCH).await;
    assert_eq!(batch.len(), 2 * users.len());
    world.invoke(0, batch).await;
    for kind in [Kind::Daily, Kind::History] {
        let report = world.finish(&RunId::scheduled(at, kind)).await;
        assert!(report.complete, "{report:#?}");
    }
    world.expect_truth(users);
}

#[tokio::test(start_paused = true)]
async fn history_without_a_checkpoint_is_deferred_and_goes_on_after_the_next_daily_run() {
    let (tenant, users) = three_years();
    let world = World::new(tenant);
    world.daily().await;
    for user in &users {
        world.store.remove(&format!("state/tenant_id={}/user_id={user}.json", world.simulator.tenant().id));
    }
    world.pass(hours(1)).await;
    let deferred = world.history().await;
    assert_eq!((deferred.users.deferred, deferred.complete), (users.len() as u64, true));
    world.pass(hours(22)).await;
    world.daily().await;
    world.pass(hours(1)).await;
    assert_eq!(world.history().await.history_remaining, 0);
    world.expect_truth(users);
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_window_is_inverted_is_failed_and_never_empty() {
    let (tenant, users) = three_years();
    let world = World::new(tenant);
    let Answer::Planned { run_id, .. } =
        world.fan_out(&format!(r#"{{"users":["{}"],"runId":"inverted"}}"#, users[3])).await.unwrap()
    else {
        panic!("a run");
    };
    let received = world.queue.receive(BATCH).await;
    world.queue.delete(received.into_iter().map(|delivery| delivery.receipt_handle).collect()).await.unwrap();
    let message = Message {
        run_id: run_id.clone(),
        user_id: users[3],
        from: Some(now()),
        to: Some(ago(hours(1))),
        not_after: None,
        hops: 0,
    };
    world.queue.send(vec![Outgoing { body: message.to_body(), delay: std::time::Duration::ZERO }]).await.unwrap();
    let report = world.finish(&run_id).await;
    assert_eq!((report.users.failed, report.users.empty, report.complete), (1, 0, false));
    assert_eq!(world.line(&run_id, users[3]).await.class.unwrap().reason(), Some("inverted-window"));
}
