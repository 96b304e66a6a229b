//! Licensed users, look-ups and group members, against a scripted directory.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::sync::Arc;

use domain::{Deadline, UserId};
use graph::{ClientSecret, GraphError};
use support::{GRAPH, Reply, World, graph_error, page, reply, reply_with};
use uuid::Uuid;

const NEVER: Deadline = Deadline::never();
const PLAN: &str = "3f30311c-6b1e-48a4-ab79-725b469da960";
const OTHER_PLAN: &str = "a62f8878-de10-42f3-b68f-6149a25ceb97";

fn id(n: u128) -> String {
    Uuid::from_u128(n).to_string()
}

fn sku(n: u128, plans: &[&str]) -> String {
    let plans: Vec<_> = plans.iter().map(|plan| serde_json::json!({"servicePlanId": plan})).collect();
    serde_json::json!({"skuId": id(n), "skuPartNumber": format!("SKU_{n}"), "servicePlans": plans}).to_string()
}

fn user(n: u128, licences: &[(u128, &[&str])]) -> String {
    let licences: Vec<_> =
        licences.iter().map(|(sku, off)| serde_json::json!({"skuId": id(*sku), "disabledPlans": off})).collect();
    serde_json::json!({
        "id": id(n), "userPrincipalName": format!("canary{n}@contoso.example"), "displayName": format!("Canary {n}"),
        "mail": null, "accountEnabled": true, "userType": "Member", "assignedLicenses": licences,
    })
    .to_string()
}

fn listing(elements: &[String], link: Option<&str>) -> Reply {
    page(&elements.iter().map(String::as_str).collect::<Vec<_>>(), link)
}

#[tokio::test(start_paused = true)]
async fn holders_of_every_sku_with_the_plan_are_listed_once_and_sorted() {
    let next = format!("{GRAPH}/v1.0/users?$count=true&$skiptoken=RFNwdAIA%3d");
    let world = World::new([
        listing(&[sku(1, &[PLAN, OTHER_PLAN]), sku(2, &[OTHER_PLAN]), sku(3, &[PLAN]), "null".to_owned()], None),
        listing(&[user(30, &[(1, &[])]), user(10, &[(1, &[PLAN]), (2, &[])]), "null".to_owned()], Some(&next)),
        listing(
            &[
                user(30, &[(1, &[])]),
                user(20, &[(1, &[PLAN]), (3, &[OTHER_PLAN])]),
                format!(r#"{{"id":"{}","displayName":"\ud800","assignedLicenses":null}}"#, id(40)),
                format!(
                    r#"{{"id":"{}","assignedLicenses":[null,{{"skuId":"{}","disabledPlans":null}}]}}"#,
                    id(50),
                    id(3)
                ),
            ],
            None,
        ),
    ]);
    let licensed = world.client.licensed_users(NEVER).await.unwrap();
    assert_eq!(licensed.total_skus, 3);
    assert_eq!(licensed.skus.iter().map(|sku| sku.part_number.as_str()).collect::<Vec<_>>(), ["SKU_1", "SKU_3"]);
    let shown: Vec<_> =
        licensed.users.iter().map(|user| (user.id.to_string(), user.licences.len(), user.plan_enabled)).collect();
    assert_eq!(shown, [(id(10), 1, false), (id(20), 2, true), (id(30), 1, true), (id(40), 0, true), (id(50), 1, true)]);
    assert_eq!(licensed.users[0].upn.as_deref(), Some("canary10@contoso.example"));
    assert_eq!(licensed.users[3].display_name, None);
    assert!(!format!("{licensed:?}").to_lowercase().contains("canary"));

    let seen = world.seen();
    assert_eq!(seen[0].target, "/v1.0/subscribedSkus");
    let filter = format!(
        "assignedLicenses/any(x:x/skuId%20eq%20{})%20or%20assignedLicenses/any(x:x/skuId%20eq%20{})",
        id(1),
        id(3)
    );
    assert_eq!(
        seen[1].target,
        format!(
            "/v1.0/users?$count=true&$select=id,userPrincipalName,displayName,mail,accountEnabled,userType,\
             assignedLicenses&$filter={filter}&$top=999"
        )
    );
    assert_eq!(format!("{GRAPH}{}", seen[2].target), next);
    assert!(seen.iter().all(|seen| seen.header("consistencylevel") == "eventual"));
}

#[tokio::test(start_paused = true)]
async fn many_skus_are_asked_in_groups_and_none_is_no_error() {
    let skus: Vec<_> = (1..=31).map(|n| sku(n, &[PLAN])).collect();
    let world = World::new([listing(&skus, None)]);
    let licensed = world.client.licensed_users(NEVER).await.unwrap();
    assert_eq!((licensed.skus.len(), licensed.users.len()), (31, 0));
    let asked: Vec<_> = world.seen()[1..].iter().map(|seen| seen.target.matches("skuId").count()).collect();
    assert_eq!(asked, [15, 15, 1]);

    let world = World::new([listing(&[sku(1, &[OTHER_PLAN])], None)]);
    let licensed = world.client.licensed_users(NEVER).await.unwrap();
    assert_eq!((licensed.skus.len(), licensed.total_skus, world.seen().len()), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_expired_page_token_begins_the_listing_again_five_times_at_most() {
    let next = format!("{GRAPH}/v1.0/users?$skiptoken=1");
    let expired = || reply(400, graph_error("Directory_ExpiredPageToken", "expired"));
    let first = || listing(&[user(1, &[(1, &[])])], Some(&next));
    let skus = || listing(&[sku(1, &[PLAN])], None);

    let world = World::new([skus(), first(), expired(), first(), listing(&[user(2, &[(1, &[])])], None)]);
    assert_eq!(world.client.licensed_users(NEVER).await.unwrap().users.len(), 2);

    let mut answers = vec![skus()];
    for _ in 0..6 {
        answers.extend([first(), expired()]);
    }
    let world = World::new(answers);
    assert!(matches!(world.client.licensed_users(NEVER).await, Err(GraphError::ExpiredListing)));
    assert_eq!(world.seen().len(), 13);
}

#[tokio::test(start_paused = true)]
async fn an_element_without_a_valid_id_is_named_by_its_position() {
    for broken in [r#"{"displayName":"canary"}"#, r#"{"id":null}"#, r#"{"id":"canary"}"#, "7"] {
        let world = World::new([
            listing(&[sku(1, &[PLAN])], None),
            listing(&[user(1, &[]), "null".to_owned(), broken.to_owned()], None),
        ]);
        let error = world.client.licensed_users(NEVER).await.unwrap_err();
        assert!(matches!(error, GraphError::BadElement { what: "user", position: 2 }), "{error}");
        assert!(!format!("{error:?}").contains("canary"));
    }
}

#[tokio::test(start_paused = true)]
async fn directory_links_keep_to_their_collection() {
    for link in ["https://evil.example/v1.0/users?$skiptoken=1", "https://graph.microsoft.com/v1.0/groups?x"] {
        let world = World::new([listing(&[sku(1, &[PLAN])], None), listing(&[], Some(link))]);
        assert!(matches!(world.client.licensed_users(NEVER).await, Err(GraphError::ForeignLink)));
        assert_eq!(world.seen().len(), 2);
    }
    let itself = format!("{GRAPH}/v1.0/users?$skiptoken=1");
    let world =
        World::new([listing(&[sku(1, &[PLAN])], None), listing(&[], Some(&itself)), listing(&[], Some(&itself))]);
    assert!(matches!(world.client.licensed_users(NEVER).await, Err(GraphError::LinkLoop)));
}

#[tokio::test(start_paused = true)]
async fn a_user_is_looked_up_by_any_name_without_leaving_the_collection() {
    let world = World::new([
        reply(200, user(7, &[(2, &[])])),
        reply(404, graph_error("Request_ResourceNotFound", "Resource 'x' does not exist")),
        reply(200, user(8, &[(2, &[PLAN])])),
        reply(200, user(9, &[])),
    ]);
    let found = world.client.user("pat@contoso.example", NEVER).await.unwrap().unwrap();
    assert_eq!((found.id, found.licences.len(), found.plan_enabled), (id(7).parse().unwrap(), 1, true));
    assert!(world.client.user("no/../body?x#y", NEVER).await.unwrap().is_none());
    let guest = world.client.user("p_c#EXT#@\u{e4}.example", NEVER).await.unwrap().unwrap();
    assert!(!guest.plan_enabled);
    for nobody in ["", ".", ".."] {
        assert!(world.client.user(nobody, NEVER).await.unwrap().is_none());
    }
    let targets: Vec<_> = world.seen().iter().map(|seen| seen.target.split('?').next().unwrap().to_owned()).collect();
    assert_eq!(
        targets,
        [
            "/v1.0/users/pat%40contoso.example",
            "/v1.0/users/no%2F..%2Fbody%3Fx%23y",
            "/v1.0/users/p_c%23EXT%23%40%C3%A4.example"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn members_of_groups_within_the_group_count() {
    let group = "0b1c2d3e-0000-4000-8000-000000000001";
    let path = format!("/v1.0/groups/{group}/transitiveMembers/microsoft.graph.user");
    let element = |n| format!(r#"{{"id":"{}"}}"#, id(n));
    let world = World::new([
        listing(&[element(2), element(1)], Some(&format!("{GRAPH}{path}?$skiptoken=1"))),
        listing(&[element(2), element(3)], None),
    ]);
    let members = world.client.group_members(group.parse().unwrap(), NEVER).await.unwrap();
    let expected: Vec<UserId> = [1, 2, 3].map(|n| id(n).parse().unwrap()).to_vec();
    assert_eq!(members.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(world.seen()[0].target, format!("{path}?$count=true&$select=id&$top=999"));
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_said_and_throttling_is_waited_out_apart() {
    let denied = graph_error("Authorization_RequestDenied", "Insufficient privileges to complete the operation.");
    let world = World::new([reply(403, denied)]);
    let error = world.client.licensed_users(NEVER).await.unwrap_err();
    assert!(matches!(error, GraphError::Unauthorised { status: 403, .. }), "{error}");

    let world = World::with(
        [reply_with(429, "retry-after", "50", ""), page(&[], None), listing(&[], None)],
        [],
        |config| config.requests_per_second = 0.1,
        Arc::new(ClientSecret("x".into())),
    );
    let (client, mut pages) = (world.client.clone(), world.pages());
    let listing = tokio::spawn(async move { client.licensed_users(NEVER).await.map(|licensed| licensed.total_skus) });
    world.clock.sleep(std::time::Duration::from_secs(5)).await;
    // Interactions go on while the directory pauses.
    pages.next(NEVER).await.unwrap();
    assert!(world.elapsed() < 6.0);
    assert_eq!(listing.await.unwrap().unwrap(), 0);
    assert!(world.elapsed() >= 50.0);
}
