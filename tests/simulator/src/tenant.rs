//! The truth: what a tenant holds. Its bytes exist before any HTTP does; the server only serves slices of them, so what an
//! exporter should have archived is read from here and from nothing the server did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::{GroupId, TenantId, UserId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The service plan that makes a user's interactions readable: Microsoft Copilot with Graph-grounded chat.
pub const CHAT_PLAN: Uuid = Uuid::from_u128(0x3f30_311c_6b1e_48a4_ab79_725b_469d_a960);

/// The hidden mailbox folder an item lies in. The service pages through the first, then through the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Folder {
    /// `MailFolders/TeamsMessagesData`, paged first.
    TeamsMessagesData,
    /// `MailFolders/TeamChat`, paged second.
    TeamChat,
}

impl Folder {
    /// The name in skip tokens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TeamsMessagesData => "TeamsMessagesData",
            Self::TeamChat => "TeamChat",
        }
    }
}

/// A later text of the same item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// From when on the service shows this text.
    pub at: Timestamp,
    /// The text.
    pub text: Arc<str>,
}

/// One interaction: a raw JSON text and what the service knows about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The element of a page's `value`, byte for byte.
    pub text: Arc<str>,
    /// The instant the date filter works on. The text may say something else, or nothing.
    pub created: Timestamp,
    /// Where it lies.
    pub folder: Folder,
    /// From when on the service shows it; later than `created` for a late item.
    pub visible_from: Timestamp,
    /// From when on the service does not show it any more.
    pub removed_at: Option<Timestamp>,
    /// Later texts, oldest first.
    pub edits: Vec<Edit>,
    /// What a person read on the screen, where the generator knows it: answers hide it in cards.
    pub expected_text: Option<String>,
}

impl Item {
    /// An item that is visible from its creation on, in the first folder.
    pub fn new(text: impl Into<Arc<str>>, created: Timestamp) -> Self {
        Self {
            text: text.into(),
            created,
            folder: Folder::TeamsMessagesData,
            visible_from: created,
            removed_at: None,
            edits: Vec::new(),
            expected_text: None,
        }
    }

    /// The same item in another folder.
    pub fn in_folder(mut self, folder: Folder) -> Self {
        self.folder = folder;
        self
    }

    /// The same item, shown only from this time on.
    pub fn visible_from(mut self, at: Timestamp) -> Self {
        self.visible_from = at;
        self
    }

    /// The same item, gone from this time on.
    pub fn removed_at(mut self, at: Timestamp) -> Self {
        self.removed_at = Some(at);
        self
    }

    /// The same item with a further text from this time on.
    pub fn edited(mut self, at: Timestamp, text: impl Into<Arc<str>>) -> Self {
        self.edits.push(Edit { at, text: text.into() });
        self.edits.sort_by_key(|edit| edit.at);
        self
    }

    /// The text that the service shows at this time, if any.
    pub fn shown(&self, at: Timestamp) -> Option<&Arc<str>> {
        if at < self.visible_from || self.removed_at.is_some_and(|removed| at >= removed) {
            return None;
        }
        Some(self.edits.iter().rev().find(|edit| edit.at <= at).map_or(&self.text, |edit| &edit.text))
    }

    fn texts(&self) -> impl Iterator<Item = &Arc<str>> {
        std::iter::once(&self.text).chain(self.edits.iter().map(|edit| &edit.text))
    }
}

/// A licence a user holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// The SKU.
    pub sku: Uuid,
    /// Plans of the SKU that are switched off for this user.
    #[serde(default)]
    pub disabled_plans: Vec<Uuid>,
}

/// How the interaction endpoint answers for a user, beyond what the licences say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserState {
    /// With the items, if licensed.
    #[default]
    Normal,
    /// 403, no valid licence, although the directory shows one.
    LicenceNotSeen,
    /// 404: never used Copilot, no mailbox.
    NoHistory,
    /// 403 `UnknownError`.
    Refused,
    /// Deleted within the last 30 days: the directory does not list the user; see `Switches::deleted_users`.
    SoftDeleted,
}

/// A user of the directory.
#[derive(Debug, Clone)]
pub struct User {
    /// The object id.
    pub id: UserId,
    /// The principal name.
    pub upn: String,
    /// The name.
    pub display_name: String,
    /// The mail address.
    pub mail: Option<String>,
    /// Whether sign-in is allowed.
    pub account_enabled: bool,
    /// `Member` or `Guest`.
    pub user_type: String,
    /// The licences.
    pub licences: Vec<Licence>,
    /// How the interaction endpoint answers.
    pub state: UserState,
    items: Vec<Item>,
    /// Ordered, since comparing texts is much cheaper than hashing them in a build that is not optimised.
    texts: BTreeSet<Arc<str>>,
}

impl User {
    /// An enabled member without licences and items, named after its id.
    pub fn new(id: UserId) -> Self {
        let short = &id.to_string()[..8];
        Self {
            id,
            upn: format!("user-{short}@contoso.com"),
            display_name: format!("User {short}"),
            mail: Some(format!("user-{short}@contoso.com")),
            account_enabled: true,
            user_type: "Member".to_owned(),
            licences: Vec::new(),
            state: UserState::Normal,
            items: Vec::new(),
            texts: BTreeSet::new(),
        }
    }

    /// The items in the order they were added.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Adds an item; `false` and nothing is added if one of its texts is there already: a text is an item, so the truth
    /// cannot hold one twice.
    pub fn add_item(&mut self, item: Item) -> bool {
        let distinct: BTreeSet<&Arc<str>> = item.texts().collect();
        if distinct.len() != 1 + item.edits.len() || distinct.iter().any(|text| self.texts.contains(*text)) {
            return false;
        }
        self.texts.extend(item.texts().map(Arc::clone));
        self.items.push(item);
        true
    }
}

/// A group; members are users, directly or through other groups.
#[derive(Debug, Clone)]
pub struct Group {
    /// The object id.
    pub id: GroupId,
    /// The name.
    pub display_name: String,
    /// The transitive members.
    pub members: Vec<UserId>,
}

/// A plan within a SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The service plan.
    pub id: Uuid,
    /// Its name.
    pub name: String,
}

/// A SKU the tenant has subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sku {
    /// The SKU.
    pub id: Uuid,
    /// Its part number.
    pub part_number: String,
    /// `Enabled`, `Warning`, `Suspended`, `Deleted` or `LockedOut`.
    pub capability_status: String,
    /// Its plans.
    pub plans: Vec<Plan>,
}

impl Sku {
    /// Whether it holds the plan that makes interactions readable.
    pub fn grants(&self) -> bool {
        self.plans.iter().any(|plan| plan.id == CHAT_PLAN)
    }
}

/// A certificate that is registered on the application.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The RSA public key, PEM, with which assertions must verify.
    pub public_key_pem: String,
}

/// A federated identity credential of the application.
#[derive(Debug, Clone)]
pub struct Federation {
    /// The issuer of the assertion.
    pub issuer: String,
    /// Its subject, compared with case.
    pub subject: String,
    /// Its audience.
    pub audience: String,
}

/// The application registration that exports.
#[derive(Debug, Clone)]
pub struct Application {
    /// The application (client) id.
    pub client_id: Uuid,
    /// The client secret.
    pub secret: String,
    /// Without one, every assertion of the right shape is accepted.
    pub certificate: Option<Certificate>,
    /// Without one, assertions of other issuers are refused.
    pub federation: Option<Federation>,
}

/// What is known of a user, for a grader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Holds a SKU that contains the plan.
    pub holds_sku: bool,
    /// The plan is on in at least one of these SKUs: the user is to be exported.
    pub licensed: bool,
    /// The state at the interaction endpoint.
    pub state: UserState,
    /// How many texts the truth holds.
    pub items: usize,
}

/// A tenant: directory, application and everybody's interactions.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// The tenant id.
    pub id: TenantId,
    /// The name.
    pub name: String,
    /// The time at which the tenant is to be looked at: nothing changes within two hours before it.
    pub now: Timestamp,
    /// Who exports.
    pub application: Application,
    /// What was bought.
    pub skus: Vec<Sku>,
    /// Groups of users.
    pub groups: Vec<Group>,
    users: Vec<User>,
    by_id: BTreeMap<UserId, usize>,
}

impl Tenant {
    /// A tenant with one SKU that grants the plan (`Tenant::sku`) and nobody in it.
    pub fn new(id: TenantId, now: Timestamp) -> Self {
        Self {
            id,
            name: "Contoso".to_owned(),
            now,
            application: Application {
                client_id: Uuid::from_u128(0xb5e1_d2c3_0000_4000_8000_0000_0000_0001),
                secret: "simulated-secret".to_owned(),
                certificate: None,
                federation: None,
            },
            skus: vec![Sku {
                id: Uuid::from_u128(0x639d_ec6b_bb19_468b_871c_c5c4_41c4_b0cb),
                part_number: "Microsoft_365_Copilot".to_owned(),
                capability_status: "Enabled".to_owned(),
                plans: vec![Plan { id: CHAT_PLAN, name: "M365_COPILOT_BUSINESS_CHAT".to_owned() }],
            }],
            groups: Vec::new(),
            users: Vec::new(),
            by_id: BTreeMap::new(),
        }
    }

    /// A licence of the first SKU with every plan on.
    pub fn licence(&self) -> Licence {
        Licence { sku: self.skus.first().map_or(Uuid::nil(), |sku| sku.id), disabled_plans: Vec::new() }
    }

    /// Adds a user; one of the same id is replaced.
    pub fn add_user(&mut self, user: User) -> UserId {
        let id = user.id;
        if let Some(&index) = self.by_id.get(&id) {
            self.users[index] = user;
        } else {
            self.by_id.insert(id, self.users.len());
            self.users.push(user);
        }
        id
    }

    /// Adds a licensed user with an id made of this number.
    pub fn add_licensed(&mut self, number: u64) -> UserId {
        let mut user = User::new(numbered(number));
        user.licences.push(self.licence());
        self.add_user(user)
    }

    /// Adds an item to a user; `false` if there is no such user, or the text is there already.
    pub fn add_item(&mut self, user: UserId, item: Item) -> bool {
        self.user_mut(user).is_some_and(|user| user.add_item(item))
    }

    /// Adds `count` small prompts and answers, one every `every` back from `newest`, alternating between the folders;
    /// returns how many were added.
    pub fn add_items(&mut self, user: UserId, count: usize, newest: Timestamp, every: jiff::SignedDuration) -> usize {
        let mut created = newest;
        let mut added = 0;
        for n in 0..count {
            let folder = if n % 2 == 0 { Folder::TeamsMessagesData } else { Folder::TeamChat };
            let text = crate::shapes::plain(user, n, created);
            added += usize::from(self.add_item(user, Item::new(text, created).in_folder(folder)));
            created = created.checked_sub(every).unwrap_or(Timestamp::MIN);
        }
        added
    }

    /// The users in the order of the directory.
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// The user of this id.
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.by_id.get(&id).map(|&index| &self.users[index])
    }

    /// The user of this id, to change.
    pub fn user_mut(&mut self, id: UserId) -> Option<&mut User> {
        self.by_id.get(&id).map(|&index| &mut self.users[index])
    }

    /// Where the user stands among the users.
    pub(crate) fn index_of(&self, id: UserId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// The user of this id or, without regard to case, principal name.
    pub fn find(&self, name: &str) -> Option<&User> {
        match name.parse() {
            Ok(id) => self.user(id),
            Err(_) => self.users.iter().find(|user| user.upn.eq_ignore_ascii_case(name)),
        }
    }

    /// Every text the user's history ever holds.
    pub fn truth(&self, user: UserId) -> Vec<&str> {
        let items = self.user(user).map_or(&[][..], User::items);
        items.iter().flat_map(|item| item.texts().map(AsRef::as_ref)).collect()
    }

    /// The texts that the service shows at this time, whether or not the user can be read.
    pub fn truth_visible(&self, user: UserId, at: Timestamp) -> Vec<&str> {
        let items = self.user(user).map_or(&[][..], User::items);
        items.iter().filter_map(|item| item.shown(at).map(AsRef::as_ref)).collect()
    }

    /// The texts shown at `at` of items created in `(from, to]`.
    pub fn truth_within(&self, user: UserId, window: domain::Window, at: Timestamp) -> Vec<&str> {
        let items = self.user(user).map_or(&[][..], User::items);
        let items = items.iter().filter(|item| window.holds(item.created));
        items.filter_map(|item| item.shown(at).map(AsRef::as_ref)).collect()
    }

    /// What is known of the user.
    pub fn facts(&self, user: UserId) -> Option<Facts> {
        let user = self.user(user)?;
        Some(Facts {
            holds_sku: self.granting(user).next().is_some(),
            licensed: self.is_licensed(user),
            state: user.state,
            items: user.items.iter().map(|item| 1 + item.edits.len()).sum(),
        })
    }

    /// Whether some SKU of the user grants the plan and the plan is not switched off in it.
    pub fn is_licensed(&self, user: &User) -> bool {
        self.granting(user).any(|licence| !licence.disabled_plans.contains(&CHAT_PLAN))
    }

    fn granting<'a>(&'a self, user: &'a User) -> impl Iterator<Item = &'a Licence> {
        user.licences.iter().filter(|licence| self.skus.iter().any(|sku| sku.id == licence.sku && sku.grants()))
    }
}

/// The user id made of this number, for tenants made by hand.
pub fn numbered(number: u64) -> UserId {
    UserId::from_bytes(Uuid::from_u64_pair(0x0000_0000_0000_4000, 0x8000_0000_0000_0000 | number).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn tenant() -> Tenant {
        Tenant::new(TenantId::from_bytes([7; 16]), at("2026-11-24T03:00:00Z"))
    }

    #[test]
    fn a_text_is_in_a_users_truth_once() {
        let mut tenant = tenant();
        let (ann, bob) = (tenant.add_licensed(1), tenant.add_licensed(2));
        let created = at("2026-11-01T00:00:00Z");
        assert!(tenant.add_item(ann, Item::new("{}", created)));
        assert!(!tenant.add_item(ann, Item::new("{}", created)));
        assert!(!tenant.add_item(ann, Item::new("{ }", created).edited(created, "{}")));
        assert!(tenant.add_item(bob, Item::new("{}", created)));
        assert_eq!((tenant.truth(ann), tenant.truth(bob)), (vec!["{}"], vec!["{}"]));
    }

    #[test]
    fn what_is_visible_depends_on_the_time() {
        let mut tenant = tenant();
        let user = tenant.add_licensed(1);
        let item = Item::new("1", at("2026-11-01T00:00:00Z"))
            .visible_from(at("2026-11-02T00:00:00Z"))
            .edited(at("2026-11-03T00:00:00Z"), "2")
            .removed_at(at("2026-11-04T00:00:00Z"));
        tenant.add_item(user, item);
        let shown = |day: &str| tenant.truth_visible(user, at(&format!("2026-11-{day}T00:00:00Z")));
        assert_eq!([shown("01"), shown("02"), shown("03"), shown("04")], [vec![], vec!["1"], vec!["2"], vec![]]);
        assert_eq!(tenant.truth(user), ["1", "2"]);
    }

    #[test]
    fn a_licence_counts_if_its_plan_is_on_in_one_sku() {
        let mut tenant = tenant();
        let user = tenant.add_licensed(1);
        tenant.user_mut(user).unwrap().licences[0].disabled_plans.push(CHAT_PLAN);
        let facts = tenant.facts(user).unwrap();
        assert_eq!((facts.holds_sku, facts.licensed), (true, false));
    }
}
