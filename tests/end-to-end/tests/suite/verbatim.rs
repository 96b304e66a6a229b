//! Byte for byte: whatever Graph shows is what the archive holds.

use domain::{Timestamp, UserId};
use end_to_end::World;
use graph_simulator::{Folder, Item, Switches, Tenant};
use jiff::SignedDuration;

use super::{ago, hours, tenant};

/// Texts that a parser would change, refuse or lose; `{t}` stands for a creation time.
const HOSTILE: &[&str] = &[
    r#"{"id":"1","createdDateTime":"{t}","n":1e400}"#,
    r#"{"id":"1","createdDateTime":"{t}","n":1.10,"m":1E2,"k":-0.0,"big":123456789012345678901234567890}"#,
    r#"{"id":"2","createdDateTime":"{t}","text":"\u0041\/ \ud800 \u0000"}"#,
    r#"{"id":"3","id":"3","createdDateTime":"2020-01-01T00:00:00Z","createdDateTime":"{t}"}"#,
    r#"{"id":"4","sessionId":"19:a@thread.v2","createdDateTime":"{t}","requestId":null}"#,
    r#"{"id":"4","sessionId":"19:b@thread.v2","createdDateTime":"{t}","requestId":null}"#,
    r#"{"id":"4","sessionId":null,"createdDateTime":"{t}"}"#,
    r#"{"createdDateTime":"{t}"}"#,
    r#"{"id":17,"etag":[],"createdDateTime":"{t}","appClass":"IPM.Unheard.Of","new":{"a":{"b":[[[]]]}}}"#,
    r#"{"id":"5","createdDateTime":null}"#,
    r#"{"id":"6"}"#,
    r#"{"id":"7","createdDateTime":5}"#,
    r#"{"id":"8","createdDateTime":"yesterday"}"#,
    r#"{ "id" : "9" , "createdDateTime" : "{t}" , "space" : [ 1 , 2 ] }"#,
    r#"{"\u0063reatedDateTime":"{t}","id":"10"}"#,
    "null",
    "true",
    "17",
    r#""a text""#,
    "[]",
    "{}",
    r#"{"id":"11","createdDateTime":"{t}","emoji":"😀 ﷽","ctl":"\u001f"}"#,
];

fn add_hostile(tenant: &mut Tenant, user: UserId, created: Timestamp) {
    for (n, text) in HOSTILE.iter().enumerate() {
        let created = created + SignedDuration::from_mins(n as i64);
        let folder = if n % 2 == 0 { Folder::TeamsMessagesData } else { Folder::TeamChat };
        let text = text.replace("{t}", &created.to_string());
        assert!(tenant.add_item(user, Item::new(text, created).in_folder(folder)), "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn hostile_items_are_archived_as_they_came() {
    for pretty in [false, true] {
        let mut tenant = tenant();
        // The same texts in two histories: an item belongs to its user.
        let users = [tenant.add_licensed(1), tenant.add_licensed(2)];
        for user in users {
            add_hostile(&mut tenant, user, ago(hours(40)));
        }
        let world = World::with(tenant, Switches { pretty, ..Switches::default() });
        let report = world.daily().await;
        assert!(report.complete, "{report:#?}");
        assert_eq!(report.interactions.new, 2 * HOSTILE.len() as u64);
        world.expect_truth(users);
        world.pass(hours(24)).await;
        assert_eq!(world.daily().await.interactions.new, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn times_with_up_to_seven_digits_and_on_every_edge_are_in_one_place() {
    let mut tenant = tenant();
    let user = tenant.add_licensed(1);
    let edges = [ago(hours(2)), ago(hours(74)), ago(hours(26)), "2026-11-23T00:00:00Z".parse().unwrap()];
    let mut expected_now = 0;
    for (e, edge) in edges.iter().enumerate() {
        for digits in 0..=7 {
            for (d, nanos) in [(0, 0), (1, -1), (2, 1), (3, 999_999_900), (4, -999_999_900)] {
                let created = *edge + SignedDuration::from_nanos(nanos);
                let text = format!(
                    r#"{{"id":"{e}-{digits}-{d}","createdDateTime":"{}"}}"#,
                    created.strftime(&format!("%Y-%m-%dT%H:%M:%S%.{digits}fZ"))
                );
                assert!(tenant.add_item(user, Item::new(text, created)));
                expected_now += usize::from(created > edges[1] && created <= edges[0]);
            }
        }
    }
    let world = World::new(tenant);
    assert!(world.daily().await.complete);
    assert!(world.held(user) >= expected_now, "{} of {expected_now}", world.held(user));
    world.pass(hours(24)).await;
    assert!(world.daily().await.complete);
    world.pass(hours(1)).await;
    assert!(world.history().await.complete);
    world.expect_truth([user]);
}

#[tokio::test(start_paused = true)]
async fn a_page_across_two_months_lands_in_two_logs() {
    let mut tenant = Tenant::new(domain::TenantId::from_bytes([7; 16]), "2026-12-02T03:00:00Z".parse().unwrap());
    let user = tenant.add_licensed(1);
    let newest = tenant.now - hours(3);
    tenant.add_items(user, 60, newest, hours(1));
    let world = World::new(tenant);
    assert!(world.daily().await.complete);
    let months: Vec<String> = world
        .store
        .objects()
        .into_keys()
        .filter(|key| key.starts_with("interactions/"))
        .map(|key| key.split('/').nth(2).unwrap().to_owned())
        .collect();
    assert_eq!(months, ["created_month=2026-11", "created_month=2026-12"]);
    world.expect_truth([user]);
}

/// The two responses of the reference page of getAllEnterpriseInteractions, member by member and indented as there, with
/// texts and identities of our own.
#[tokio::test(start_paused = true)]
async fn the_sample_interactions_of_the_reference_page_pass_through_the_whole_job() {
    #[derive(serde::Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        value: Vec<&'a serde_json::value::RawValue>,
    }
    #[derive(serde::Deserialize)]
    struct Created {
        #[serde(rename = "createdDateTime")]
        at: Timestamp,
    }
    let pages = [include_str!("../../data/reference-teams.json"), include_str!("../../data/reference-bizchat.json")];
    let mut tenant = tenant();
    let user = tenant.add_licensed(1);
    let mut samples = 0;
    for page in pages {
        for text in serde_json::from_str::<Response<'_>>(page).unwrap().value {
            let Created { at } = serde_json::from_str(text.get()).unwrap();
            assert!(tenant.add_item(user, Item::new(text.get(), at)));
            samples += 1;
        }
    }
    let world = World::new(tenant);
    let report = world.daily().await;
    assert_eq!((report.complete, report.interactions.new), (true, samples));
    world.expect_truth([user]);
}
