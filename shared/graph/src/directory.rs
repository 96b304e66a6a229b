//! Who holds a licence, who is in a group, who is this.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use domain::{Deadline, GroupId, UserId};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::client::GraphClient;
use crate::error::GraphError;
use crate::exchange::Get;
use crate::link;
use crate::page::{self, PageFault};
use crate::refusal::Subject;
use crate::tally::Tally;

/// All holders of a licence that grants the Copilot plan.
#[derive(Debug, Clone)]
pub struct Licensed {
    /// The holders, sorted by id, each once; those whose plan is disabled included.
    pub users: Vec<DirectoryUser>,
    /// The SKUs of the tenant that grant the plan; none is no error here.
    pub skus: Vec<GrantingSku>,
    /// How many SKUs the tenant has in all.
    pub total_skus: usize,
}

/// A SKU that grants the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantingSku {
    /// Its id.
    pub sku_id: Uuid,
    /// Its name, such as `Microsoft_365_Copilot`.
    pub part_number: String,
}

/// A licence of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licence {
    /// The SKU.
    pub sku_id: Uuid,
    /// The plans of it that are switched off for this user.
    pub disabled_plans: Vec<Uuid>,
}

/// A user as the directory shows them. `Debug` shows no name.
#[derive(Clone, PartialEq, Eq)]
pub struct DirectoryUser {
    /// The object id.
    pub id: UserId,
    /// The user principal name.
    pub upn: Option<String>,
    /// The display name.
    pub display_name: Option<String>,
    /// The mail address.
    pub mail: Option<String>,
    /// Whether the account may sign in.
    pub account_enabled: Option<bool>,
    /// `Member` or `Guest`.
    pub user_type: Option<String>,
    /// The licences: among licensed users of granting SKUs only, else all.
    pub licences: Vec<Licence>,
    /// Whether one of these licences has the plan switched on.
    pub plan_enabled: bool,
}

impl fmt::Debug for DirectoryUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryUser")
            .field("id", &self.id)
            .field("plan_enabled", &self.plan_enabled)
            .finish_non_exhaustive()
    }
}

/// The service plan that lets a user's interactions be read: Microsoft Copilot with Graph-grounded chat. SKUs come and go,
/// so they are found by the plan and never by name.
const PLAN: Uuid = Uuid::from_u128(0x3f30_311c_6b1e_48a4_ab79_725b_469d_a960);

/// How many SKUs one filter joins: beyond about twenty, requests are known to be refused.
const SKUS_PER_FILTER: usize = 15;

/// How often a listing is begun again because its page token expired: each time costs all of its pages.
const RESTARTS: usize = 5;

/// The most one page of the directory may hold: 999 users with every licence there is need a third.
const DIRECTORY_PAGE_CAP: usize = 16 << 20;

/// The most pages of one listing: ten million users.
const DIRECTORY_PAGES_CAP: usize = 10_000;

/// The longest id or UPN that is looked up; the directory's own limit is 113 characters.
const NAME_LENGTH: usize = 1024;

const SELECT: &str = "$select=id,userPrincipalName,displayName,mail,accountEnabled,userType,assignedLicenses";

/// The directory is asked of this version, whichever interactions are asked of.
const VERSION: &str = "/v1.0";

impl GraphClient {
    /// Every holder of a SKU that grants the Copilot plan.
    pub async fn licensed_users(&self, deadline: Deadline) -> Result<Licensed, GraphError> {
        let all: Vec<WireSku> = self.list("subscribedSkus", "", "SKU", deadline).await?;
        let total_skus = all.len();
        let mut skus: Vec<_> = all.into_iter().filter_map(WireSku::granting).collect();
        skus.sort_by_key(|sku| sku.sku_id);
        skus.dedup_by_key(|sku| sku.sku_id);

        let granting: BTreeSet<Uuid> = skus.iter().map(|sku| sku.sku_id).collect();
        let mut users = BTreeMap::new();
        for chunk in skus.chunks(SKUS_PER_FILTER) {
            let held = |sku: &GrantingSku| format!("assignedLicenses/any(x:x/skuId%20eq%20{})", sku.sku_id);
            let filter = chunk.iter().map(held).collect::<Vec<_>>().join("%20or%20");
            let query = format!("?$count=true&{SELECT}&$filter={filter}&$top=999");
            let found: Vec<WireUser> = self.list("users", &query, "user", deadline).await?;
            // A user can stand on several pages and hold several SKUs.
            users.extend(found.into_iter().map(|user| (user.id, user.user(Some(&granting)))));
        }
        Ok(Licensed { users: users.into_values().collect(), skus, total_skus })
    }

    /// The user with this object id or UPN; `None` if the directory knows nobody by it.
    pub async fn user(&self, id_or_upn: &str, deadline: Deadline) -> Result<Option<DirectoryUser>, GraphError> {
        // Dots alone are no name but a way out of the collection, which no escape prevents.
        if matches!(id_or_upn, "" | "." | "..") || id_or_upn.len() > NAME_LENGTH {
            return Ok(None);
        }
        let target = format!("{VERSION}/users/{}?{SELECT}", escaped(id_or_upn));
        let parse = |body: Vec<u8>| match serde_json::from_slice::<WireUser>(&body) {
            Ok(user) => Ok(user.user(None)),
            Err(_) => Err(GraphError::BadPage { kind: PageFault::NotAPage, body: body.into() }),
        };
        match self.directory(&target, deadline, parse).await {
            Ok(user) => Ok(Some(user)),
            Err(GraphError::BadRequest { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The users in this group or in groups within it.
    pub async fn group_members(&self, group: GroupId, deadline: Deadline) -> Result<BTreeSet<UserId>, GraphError> {
        let path = format!("groups/{group}/transitiveMembers/microsoft.graph.user");
        let query = "?$count=true&$select=id&$top=999";
        let members: Vec<WireMember> = self.list(&path, query, "group member", deadline).await?;
        Ok(members.into_iter().map(|member| member.id).collect())
    }

    /// All elements of a listing, begun again when its page token expires.
    async fn list<T: DeserializeOwned + Send>(
        &self,
        collection: &str,
        query: &str,
        what: &'static str,
        deadline: Deadline,
    ) -> Result<Vec<T>, GraphError> {
        let path = format!("{VERSION}/{collection}");
        for _ in 0..=RESTARTS {
            match self.list_once(&path, format!("{path}{query}"), what, deadline).await {
                Err(GraphError::BadRequest { code: Some(code), .. }) if code == "Directory_ExpiredPageToken" => {
                    tracing::debug!(what, "the listing's page token expired; it begins again");
                }
                other => return other,
            }
        }
        Err(GraphError::ExpiredListing)
    }

    async fn list_once<T: DeserializeOwned + Send>(
        &self,
        path: &str,
        mut target: String,
        what: &'static str,
        deadline: Deadline,
    ) -> Result<Vec<T>, GraphError> {
        let (mut elements, mut position) = (Vec::new(), 0);
        let mut seen = HashSet::new();
        for _ in 0..DIRECTORY_PAGES_CAP {
            let page = self.directory(&target, deadline, page::parse).await?;
            for range in &page.items {
                // A null among the elements is skipped; one without a valid id would be a user silently missing.
                let element: Option<T> = serde_json::from_str(&page.text[range.clone()])
                    .map_err(|_| GraphError::BadElement { what, position })?;
                elements.extend(element);
                position += 1;
            }
            let Some(link) = page.next_link else { return Ok(elements) };
            let next = link::target(&link, &self.inner.exchange.origin, path)?.to_owned();
            if !seen.insert(std::mem::replace(&mut target, next)) || seen.contains(&target) {
                return Err(GraphError::LinkLoop);
            }
        }
        Err(GraphError::EndlessPages)
    }

    async fn directory<T: Send>(
        &self,
        target: &str,
        deadline: Deadline,
        parse: impl Fn(Vec<u8>) -> Result<T, GraphError> + Send + Sync,
    ) -> Result<T, GraphError> {
        let (pace, cap) = (&self.inner.directory, DIRECTORY_PAGE_CAP);
        let get = Get { target, subject: Subject::Directory, pace, cap, deadline };
        self.inner.exchange.get(&get, None, &mut Tally::default(), parse).await
    }
}

/// A path segment in which every character that could mean something is escaped.
fn escaped(segment: &str) -> String {
    let mut escaped = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[derive(Deserialize)]
struct WireMember {
    id: UserId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSku {
    sku_id: Uuid,
    #[serde(default)]
    sku_part_number: Text,
    #[serde(default)]
    service_plans: Option<Vec<Option<WirePlan>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePlan {
    #[serde(default)]
    service_plan_id: Option<Uuid>,
}

impl WireSku {
    /// The SKU, if it grants the plan. Its state is not asked: holders of a suspended one still have a history.
    fn granting(self) -> Option<GrantingSku> {
        let plans = self.service_plans.unwrap_or_default();
        let grants = plans.into_iter().flatten().any(|plan| plan.service_plan_id == Some(PLAN));
        grants.then(|| GrantingSku { sku_id: self.sku_id, part_number: self.sku_part_number.0.unwrap_or_default() })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireUser {
    id: UserId,
    #[serde(default)]
    user_principal_name: Text,
    #[serde(default)]
    display_name: Text,
    #[serde(default)]
    mail: Text,
    #[serde(default)]
    account_enabled: Option<bool>,
    #[serde(default)]
    user_type: Text,
    #[serde(default)]
    assigned_licenses: Option<Vec<Option<WireLicence>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireLicence {
    #[serde(default)]
    sku_id: Option<Uuid>,
    #[serde(default)]
    disabled_plans: Option<Vec<Option<Uuid>>>,
}

impl WireUser {
    /// The user with the licences of these SKUs, or with all.
    fn user(self, of: Option<&BTreeSet<Uuid>>) -> DirectoryUser {
        // Listed as a holder but shown without licences: nothing says that the plan is off, and to leave somebody out
        // takes more than silence.
        let untold = of.is_some() && self.assigned_licenses.is_none();
        let licences: Vec<_> = self
            .assigned_licenses
            .unwrap_or_default()
            .into_iter()
            .flatten()
            .filter_map(|licence| {
                let sku_id = licence.sku_id.filter(|sku| of.is_none_or(|of| of.contains(sku)))?;
                let disabled_plans = licence.disabled_plans.unwrap_or_default().into_iter().flatten().collect();
                Some(Licence { sku_id, disabled_plans })
            })
            .collect();
        DirectoryUser {
            id: self.id,
            upn: self.user_principal_name.0,
            display_name: self.display_name.0,
            mail: self.mail.0,
            account_enabled: self.account_enabled,
            user_type: self.user_type.0,
            plan_enabled: untold || licences.iter().any(|licence| !licence.disabled_plans.contains(&PLAN)),
            licences,
        }
    }
}

/// A name that is only carried along: one that cannot be decoded is none, and no reason to refuse its owner.
#[derive(Default)]
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(raw.get()).unwrap_or_default()))
    }
}
