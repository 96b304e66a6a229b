//! Misconfigurations, planted one by one: the doctor names each with its fix, and nothing else.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

use std::sync::Arc;

use copilot_archive::doctor::Account;
use domain::{Clock, Env, GroupId, MapEnv, ScaledClock, SystemClock, TenantId, UserId};
use graph_simulator::{
    CHAT_PLAN, Fault, GROUPS_ROLE, Group, INTERACTIONS_ROLE, LICENCES_ROLE, RequestKind, Rule, Server, Simulator,
    Switches, Tenant, USERS_ROLE, UserState, serve,
};
use jiff::SignedDuration;
use tokio::net::TcpListener;

mod support;

use support::{Examined, examined};

/// A certificate and its key.
const CERTIFICATE: &str = include_str!("../../../shared/graph/tests/data/certificate.pem");
const KEY: &str = include_str!("../../../shared/graph/tests/data/key.pem");

/// A tenant in which nothing is wrong, and what the operator gives to reach it.
struct Bed {
    tenant: Tenant,
    switches: Switches,
    /// How far the service's clock is ahead of the operator's.
    ahead: SignedDuration,
    env: MapEnv,
    folder: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        let now = SystemClock.now();
        let mut tenant = Tenant::new(TenantId::from_bytes([9; 16]), now);
        for number in 1..=3 {
            let user = tenant.add_licensed(number);
            tenant.add_items(user, 12, now - SignedDuration::from_mins(5), SignedDuration::from_mins(1));
        }
        let env = MapEnv::default()
            .with("GRAPH_TENANT_ID", tenant.id.to_string())
            .with("GRAPH_CLIENT_ID", tenant.application.client_id.to_string())
            .with("GRAPH_CLIENT_SECRET", &tenant.application.secret);
        let (switches, ahead) = (Switches::default(), SignedDuration::ZERO);
        Self { tenant, switches, ahead, env, folder: tempfile::tempdir().unwrap() }
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.env = std::mem::take(&mut self.env).with(name, value);
    }

    fn users(&self) -> Vec<UserId> {
        self.tenant.users().iter().map(|user| user.id).collect()
    }

    /// A group of these users, by its id.
    fn group(&mut self, number: u8, members: Vec<UserId>) -> String {
        let id = GroupId::from_bytes([number; 16]);
        self.tenant.groups.push(Group { id, display_name: "Canary group".to_owned(), members });
        id.to_string()
    }

    async fn served(&self) -> Server {
        let clock: Arc<dyn Clock> = match self.ahead {
            SignedDuration::ZERO => Arc::new(SystemClock),
            ahead => Arc::new(ScaledClock::new(SystemClock.now() + ahead, 1.0)),
        };
        let simulator = Simulator::new(Arc::new(self.tenant.clone()), self.switches.clone(), clock);
        serve(Arc::new(simulator), TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap()
    }

    fn archive(&self) -> String {
        self.folder.path().join("archive").display().to_string()
    }

    async fn examine_at(&self, archive: &str) -> Examined {
        let server = self.served().await;
        let origins = ["GRAPH_BASE_URL", "GRAPH_LOGIN_URL"].into_iter().filter(|name| self.env.var(name).is_none());
        let env = origins.fold(self.env.clone(), |env, name| env.with(name, server.origin()));
        let found = examined(&["--archive", archive], &env, &Account::default()).await;
        for told in self.not_to_be_told() {
            assert!(!found.text.contains(&told), "{told} in {}", found.text);
        }
        found
    }

    /// Content, names and the secret.
    fn not_to_be_told(&self) -> Vec<String> {
        let mut kept: Vec<String> = self.tenant.groups.iter().map(|group| group.display_name.clone()).collect();
        kept.extend(self.env.var("GRAPH_CLIENT_SECRET").filter(|secret| !secret.is_empty()));
        for user in self.tenant.users() {
            kept.extend([user.upn.clone(), user.display_name.clone()]);
            kept.extend(user.items().iter().map(|item| item.text.to_string()));
        }
        kept
    }

    /// That these and no other things are to be fixed.
    async fn expect(&self, fixes: &[(&str, &str)]) -> Examined {
        let found = self.examine_at(&self.archive()).await;
        found.expect(fixes);
        found
    }
}

/// Refused at the token endpoint.
fn aadsts(code: u32) -> Rule {
    Rule::always(Fault::Aadsts(code)).kind(RequestKind::Token)
}

/// An origin at which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn where_nothing_is_wrong_everything_is_good_and_nothing_is_left_behind() {
    let mut bed = Bed::new();
    let (one, two) = (bed.group(1, bed.users()), bed.group(2, bed.users()[..1].to_vec()));
    bed.set("INCLUDE_GROUPS", one);
    bed.set("EXCLUDE_GROUPS", two);
    let found = bed.expect(&[]).await;
    assert_eq!(
        found.good(),
        [
            "configuration",
            "login origin",
            "Graph origin",
            "clock",
            "token",
            &*format!("role {INTERACTIONS_ROLE}"),
            &*format!("role {USERS_ROLE}"),
            &*format!("role {LICENCES_ROLE}"),
            &*format!("role {GROUPS_ROLE}"),
            "licences of the tenant",
            "licensed users",
            "INCLUDE_GROUPS entry 1",
            "EXCLUDE_GROUPS entry 1",
            "first page",
            "quota",
            "archive folder",
            "archive",
        ]
    );
    assert_eq!(std::fs::read_dir(bed.folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn every_fault_of_the_environment_is_a_finding_and_the_archive_is_looked_at_all_the_same() {
    let mut bed = Bed::new();
    bed.set("GRAPH_CLIENT_ID", "my-app");
    bed.set("OVERLAP_HOURS", "0");
    bed.set("INCLUDE_GROUPS", "sales");
    let found = bed
        .expect(&[
            ("configuration", "GRAPH_CLIENT_ID must be a GUID"),
            ("configuration", "OVERLAP_HOURS must be a whole number"),
            ("configuration", "INCLUDE_GROUPS must be group ids"),
        ])
        .await;
    assert!(found.good().contains(&"archive"));
    let mut bed = Bed::new();
    bed.set("GRAPH_TENANT_ID", "");
    bed.expect(&[("configuration", "GRAPH_TENANT_ID is not set: set it to a GUID")]).await;
}

#[tokio::test]
async fn a_wrong_secret_is_told_from_an_expired_one() {
    let mut bed = Bed::new();
    bed.set("GRAPH_CLIENT_SECRET", "q8~wrong");
    bed.expect(&[("token", "the secret's value, not its id; Entra admin center > App registrations > the application > Certificates & secrets")]).await;
    let mut bed = Bed::new();
    bed.switches.rules.push(aadsts(7_000_222));
    bed.expect(&[("token", "(AADSTS7000222) -> the client secret has expired: create a new one")]).await;
}

#[tokio::test]
async fn an_application_and_a_tenant_that_are_not_known_are_told_apart() {
    let mut bed = Bed::new();
    bed.set("GRAPH_CLIENT_ID", "00000000-0000-4000-8000-0000000000ff");
    bed.expect(&[(
        "token",
        "and GRAPH_TENANT_ID; Entra admin center > App registrations > the application > Overview",
    )])
    .await;
    let mut bed = Bed::new();
    bed.set("GRAPH_TENANT_ID", "00000000-0000-4000-8000-0000000000ff");
    bed.expect(&[("token", "the tenant is not known: check GRAPH_TENANT_ID and GRAPH_CLOUD")]).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_the_registered_one_is_named_and_so_is_a_file_that_holds_none() {
    let mut bed = Bed::new();
    let pem = bed.folder.path().join("app.pem");
    bed.set("GRAPH_CLIENT_SECRET", "");
    bed.set("GRAPH_CERTIFICATE_FILE", pem.display().to_string());
    bed.expect(&[("credential", "GRAPH_CERTIFICATE_FILE cannot be read -> name a PEM file")]).await;
    std::fs::write(&pem, "-----BEGIN").unwrap();
    bed.expect(&[("credential", "the PEM holds no PKCS #8 key: add the PRIVATE KEY section")]).await;
    std::fs::write(&pem, format!("{CERTIFICATE}{KEY}")).unwrap();
    bed.expect(&[]).await;
    let public_key_pem = aws_fake::ISSUER_PUBLIC_KEY.to_owned();
    bed.tenant.application.certificate = Some(graph_simulator::Certificate { public_key_pem });
    bed.expect(&[("token", "the certificate is not registered on the application, or is another one")]).await;
}

#[tokio::test]
async fn each_role_that_lacks_is_named_with_what_hangs_on_it_left_open() {
    let mut bed = Bed::new();
    let group = bed.group(1, bed.users());
    bed.set("INCLUDE_GROUPS", group);
    for role in [INTERACTIONS_ROLE, USERS_ROLE, LICENCES_ROLE, GROUPS_ROLE] {
        bed.switches.roles = Switches::default().roles.into_iter().filter(|granted| granted != role).collect();
        let name = format!("role {role}");
        let found = bed.expect(&[(&name, "API permissions > Add a permission > Microsoft Graph")]).await;
        assert_eq!(found.good().contains(&"first page"), role == GROUPS_ROLE, "{role}");
    }
    // What nothing needs is not missed.
    bed.set("INCLUDE_GROUPS", "");
    bed.expect(&[]).await;
    // Without any role all are named at once.
    bed.switches.roles.clear();
    let names = [INTERACTIONS_ROLE, USERS_ROLE, LICENCES_ROLE].map(|role| format!("role {role}"));
    bed.expect(&names.each_ref().map(|name| (name.as_str(), "Grant admin consent"))).await;
}

#[tokio::test]
async fn a_consent_that_graph_does_not_see_yet_is_named_though_the_token_is_right() {
    let mut bed = Bed::new();
    let denied = Fault::Answer {
        status: 403,
        content_type: "application/json".to_owned(),
        body: r#"{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges"}}"#.to_owned(),
        retry_after: None,
    };
    // The first request is the one without a token.
    bed.switches.rules.push(Rule::always(denied.clone()).kind(RequestKind::Directory).nth(2));
    bed.expect(&[("directory", "check its permissions and their admin consent; a consent may take some minutes")])
        .await;
    bed.switches.rules = vec![Rule::always(denied)];
    bed.expect(&[("first page", "check its permissions and their admin consent")]).await;
}

#[tokio::test]
async fn a_clock_that_is_off_is_named_by_how_much_and_to_which_side() {
    for (minutes, side) in [(7, "seconds behind Microsoft's"), (-7, "seconds ahead of Microsoft's")] {
        let mut bed = Bed::new();
        bed.ahead = SignedDuration::from_mins(minutes);
        let found = bed.examine_at(&bed.archive()).await;
        assert!(found.says("clock").contains(side), "{}", found.text);
        found.expect(&[("clock", "-> let the machine keep time")]);
    }
}

#[tokio::test]
async fn an_origin_that_nobody_answers_at_is_named_with_its_variable() {
    for (variable, name) in [("GRAPH_LOGIN_URL", "login origin"), ("GRAPH_BASE_URL", "Graph origin")] {
        let mut bed = Bed::new();
        bed.set(variable, nobody().await);
        bed.expect(&[(name, &format!("or correct {variable}"))]).await;
    }
}

#[tokio::test]
async fn a_machine_in_between_that_answers_for_microsoft_is_named() {
    let mut bed = Bed::new();
    let page = Fault::Answer {
        status: 200,
        content_type: "text/html".to_owned(),
        body: "<html>Please sign in to the guest network</html>".to_owned(),
        retry_after: None,
    };
    bed.switches.rules.push(Rule::always(page).kind(RequestKind::Directory).nth(1));
    bed.expect(&[("Graph origin", "take the proxy that answers for it out of the way, or correct GRAPH_BASE_URL")])
        .await;
    bed.switches.rules = vec![Rule::always(Fault::Status(503)).kind(RequestKind::Directory).nth(1)];
    bed.expect(&[("Graph origin", "answers HTTP 503 -> try again later")]).await;
}

#[tokio::test]
async fn a_tenant_without_the_plan_or_without_somebody_who_holds_it_is_told() {
    let mut bed = Bed::new();
    bed.tenant.skus[0].plans.clear();
    bed.expect(&[("licences of the tenant", "none of the 1 products includes the Copilot plan -> buy")]).await;

    let mut bed = Bed::new();
    for user in bed.users() {
        bed.tenant.user_mut(user).unwrap().licences[0].disabled_plans.push(CHAT_PLAN);
    }
    bed.expect(&[("licensed users", "switched off for all 3 holders of a licence -> switch on the app")]).await;
    for user in bed.users() {
        bed.tenant.user_mut(user).unwrap().licences.clear();
    }
    bed.expect(&[("licensed users", "-> assign one: Microsoft 365 admin center > Users > Active users")]).await;
}

#[tokio::test]
async fn groups_that_are_not_there_or_empty_or_of_nobody_with_a_licence_are_named_by_their_place() {
    let mut bed = Bed::new();
    let whole = bed.group(1, bed.users());
    let empty = bed.group(2, Vec::new());
    let stranger = "00000000-0000-4000-8000-0000000000ee";
    bed.set("INCLUDE_GROUPS", format!("{whole},{stranger}"));
    bed.set("EXCLUDE_GROUPS", &empty);
    bed.expect(&[
        ("INCLUDE_GROUPS entry 2", "copy the object id (Entra admin center > Groups"),
        ("EXCLUDE_GROUPS entry 1", "or take it out of EXCLUDE_GROUPS"),
    ])
    .await;

    let mut bed = Bed::new();
    let mut nobody = graph_simulator::User::new(graph_simulator::numbered(9));
    nobody.licences.clear();
    let nobody = bed.tenant.add_user(nobody);
    let group = bed.group(3, vec![nobody]);
    bed.set("INCLUDE_GROUPS", group);
    bed.expect(&[("INCLUDE_GROUPS", "no member of these groups holds the Copilot plan")]).await;
}

#[tokio::test]
async fn a_tenant_whose_users_are_all_refused_is_told_from_one_that_has_no_history_yet() {
    for (state, fixes) in [
        (UserState::Refused, vec![("first page", "Graph refuses all 3 users asked for (HTTP 403)")]),
        (UserState::LicenceNotSeen, vec![("first page", "Graph sees no licence of the 3 users asked for")]),
        (UserState::NoHistory, vec![]),
    ] {
        let mut bed = Bed::new();
        for user in bed.users() {
            bed.tenant.user_mut(user).unwrap().state = state;
        }
        bed.expect(&fixes).await;
        // One who can be read is enough.
        let readable = bed.users()[2];
        bed.tenant.user_mut(readable).unwrap().state = UserState::Normal;
        bed.expect(&[]).await;
    }
}

#[tokio::test]
async fn a_path_that_graph_does_not_know_is_no_user_without_history() {
    let mut bed = Bed::new();
    let unknown = Fault::Answer {
        status: 404,
        content_type: "application/json".to_owned(),
        body: r#"{"error":{"code":"NotFound","message":"Requested API is not supported. Please check the path."}}"#
            .to_owned(),
        retry_after: None,
    };
    bed.switches.rules.push(Rule::always(unknown));
    bed.expect(&[("first page", "check GRAPH_API_VERSION, GRAPH_BASE_URL and GRAPH_CLOUD")]).await;
}

#[tokio::test]
async fn a_quota_that_somebody_else_uses_up_is_told_and_not_waited_for() {
    let mut bed = Bed::new();
    bed.switches.quota.stolen_per_second = bed.switches.quota.per_second;
    let found =
        bed.expect(&[("quota", "somebody else uses this quota -> give this program an application of its own")]).await;
    assert_eq!(found.says("first page"), "Graph says to ask later");
}

#[tokio::test]
async fn an_archive_of_another_tenant_a_newer_one_and_what_is_none_are_told_apart() {
    let bed = Bed::new();
    let place = bed.folder.path().join("archive");
    std::fs::create_dir(&place).unwrap();
    let file = |tenant: TenantId, format: u64| {
        let id = domain::ArchiveId::random(&domain::OsRandom);
        let text = serde_json::json!({"format": format, "archive_id": id, "tenant_id": tenant, "created_at": "2026-01-01T00:00:00Z"});
        std::fs::write(place.join("archive.json"), text.to_string()).unwrap();
    };
    let known = archive::records::FORMAT;
    file(bed.tenant.id, known);
    let found = bed.expect(&[]).await;
    assert!(found.says("archive").contains("this tenant's"));
    file(TenantId::from_bytes([8; 16]), known);
    bed.expect(&[("archive", "-> give each tenant an archive of its own")]).await;
    file(bed.tenant.id, known + 1);
    bed.expect(&[("archive", "-> deploy a newer version")]).await;
    std::fs::rename(place.join("archive.json"), place.join("holiday.jpg")).unwrap();
    bed.expect(&[("archive", "-> name an empty place or an archive")]).await;
}

#[tokio::test]
async fn a_folder_that_is_none_or_that_nothing_can_be_written_into_is_named() {
    let bed = Bed::new();
    let file = bed.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let found = bed.examine_at(&file.display().to_string()).await;
    found.expect(&[("archive", "-> name a folder that can be read and written")]);
    // Where not even the superuser makes files.
    let found = bed.examine_at("/proc/copilot-archive").await;
    found.expect(&[("archive folder", "-> let the account that runs this program write there")]);
}

#[cfg(not(feature = "s3"))]
#[tokio::test]
async fn a_bucket_and_a_credential_of_aws_need_a_build_that_knows_them() {
    let bed = Bed::new();
    let found = bed.examine_at("s3://acme-archive").await;
    found.expect(&[("bucket", "-> build it with: cargo build --package copilot-archive --features s3")]);
    let mut bed = Bed::new();
    bed.set("GRAPH_CREDENTIAL", "federated");
    bed.expect(&[("credential", "set GRAPH_CLIENT_SECRET or GRAPH_CERTIFICATE_FILE")]).await;
}
