//! SKUs, users and groups.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::answer::Answer;
use crate::query::{encode, options};
use crate::route::Route;
use crate::simulator::{Exchange, Reply, State};
use crate::switches::{GROUPS_ROLE, LICENCES_ROLE, USERS_ROLE};
use crate::tenant::{Tenant, User, UserState};

/// Graph's largest page of directory objects.
const LARGEST_TOP: usize = 999;

/// What a user's representation holds if nothing is selected: no licence, no type, no `accountEnabled`.
const DEFAULT_PROPERTIES: [&str; 11] = [
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
];

/// The options of a listing.
#[derive(Default)]
struct Listing {
    top: Option<usize>,
    select: Option<Vec<String>>,
    filter: Option<String>,
    count: bool,
    skip: usize,
    continued: bool,
    /// The query without its skip token, as next links repeat it.
    echoed: String,
}

impl Listing {
    fn of(query: &str) -> Result<Self, Answer> {
        let mut listing = Self::default();
        for (name, value) in options(query) {
            match name.as_str() {
                "$top" => {
                    let top = value.parse().ok().filter(|top| (1..=LARGEST_TOP).contains(top));
                    listing.top = Some(
                        top.ok_or_else(|| unsupported("Invalid page size specified: must be between 1 and 999."))?,
                    );
                }
                "$select" => {
                    listing.select = Some(value.split(',').map(|part| part.trim().to_owned()).collect());
                }
                "$filter" => listing.filter = Some(value.clone()),
                "$count" => listing.count = value.eq_ignore_ascii_case("true"),
                "$skiptoken" => {
                    let skip = URL_SAFE_NO_PAD.decode(&value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                    let skip = skip.and_then(|text| text.parse().ok());
                    listing.skip = skip.ok_or_else(|| unsupported("The skip token is invalid."))?;
                    listing.continued = true;
                    continue;
                }
                _ => return Err(unsupported(&format!("The query option '{name}' is not supported."))),
            }
            listing.echoed.push_str(&format!("{name}={}&", encode(&value)));
        }
        Ok(listing)
    }
}

impl State {
    pub(crate) fn directory(&mut self, exchange: &Exchange<'_>, route: &Route) -> Reply {
        let faults = self.faults(exchange, None);
        let (answer, told) = exchange
            .instead(&faults)
            .unwrap_or_else(|| (self.directory_answer(exchange, route).unwrap_or_else(|refusal| refusal), None));
        Reply { answer, told, faults }
    }

    fn directory_answer(&self, exchange: &Exchange<'_>, route: &Route) -> Result<Answer, Answer> {
        let query = exchange.request.uri().query().unwrap_or_default();
        let tenant = exchange.tenant;
        let role = match route {
            Route::Skus { .. } => LICENCES_ROLE,
            Route::Group { .. } | Route::Members { .. } => GROUPS_ROLE,
            _ => USERS_ROLE,
        };
        exchange.authorised(&self.tokens, &self.switches, role)?;
        match route {
            Route::Skus { version } => {
                let skus: Vec<Value> = tenant.skus.iter().map(|sku| sku_json(tenant, sku)).collect();
                let context = format!("{}/{version}/$metadata#subscribedSkus", exchange.origin());
                Ok(Answer::json(json!({ "@odata.context": context, "value": skus }).to_string()))
            }
            Route::Users { version } => {
                let listing = Listing::of(query)?;
                let predicate = listing.filter.as_deref().map(Predicate::parse).transpose()?;
                let users = tenant.users().iter().filter(|user| self.switches.state_of(user) != UserState::SoftDeleted);
                let users = users.filter(|user| predicate.as_ref().is_none_or(|wanted| wanted.holds(user, tenant)));
                self.list(exchange, &format!("{version}/users"), &listing, &users.collect::<Vec<_>>())
            }
            Route::User { version, user: name } => {
                let select = Listing::of(query)?.select;
                let user = tenant.find(name).filter(|user| self.switches.state_of(user) != UserState::SoftDeleted);
                let user = user.ok_or_else(|| not_found(name))?;
                let mut object = user_json(user, tenant, select.as_deref())?;
                let context = format!("{}/{version}/$metadata#users/$entity", exchange.origin());
                object.insert("@odata.context".to_owned(), context.into());
                Ok(Answer::json(Value::Object(object).to_string()))
            }
            Route::Group { group, .. } => {
                let group = find_group(tenant, group)?;
                Ok(Answer::json(json!({ "id": group.id, "displayName": group.display_name }).to_string()))
            }
            Route::Members { version, group, cast } => {
                let listing = Listing::of(query)?;
                if *cast && !advanced(exchange, &listing) {
                    return Err(Answer::error(400, "Request_UnsupportedQuery", ADVANCED));
                }
                let path = format!("{version}/groups/{group}/transitiveMembers/microsoft.graph.user");
                let members = find_group(tenant, group)?.members.iter().filter_map(|id| tenant.user(*id));
                let members = members.filter(|user| self.switches.state_of(user) != UserState::SoftDeleted);
                self.list(exchange, &path, &listing, &members.collect::<Vec<_>>())
            }
            _ => Err(Answer::error(404, "NotFound", "Requested API is not supported. Please check the path.")),
        }
    }

    fn list(&self, exchange: &Exchange<'_>, path: &str, listing: &Listing, users: &[&User]) -> Result<Answer, Answer> {
        let advanced = advanced(exchange, listing);
        if listing.continued && listing.filter.is_some() && self.switches.expired_page_token && !advanced {
            return Err(Answer::error(
                400,
                "Directory_ExpiredPageToken",
                "The specified page token value has expired and can no longer be included in your request.",
            ));
        }
        if listing.count && !advanced {
            return Err(unsupported("$count is not currently supported."));
        }
        let top = listing.top.unwrap_or(self.switches.directory_top).max(1);
        let from = listing.skip.min(users.len());
        let to = (from + top).min(users.len());
        let repeated = usize::from(self.switches.directory_repeats && from > 0);
        let page = users[from - repeated..to].iter();
        let value: Result<Vec<_>, _> =
            page.map(|user| user_json(user, exchange.tenant, listing.select.as_deref())).collect();
        let mut object = Map::new();
        let context = format!("{}/{path}", exchange.origin());
        object.insert("@odata.context".to_owned(), context.clone().into());
        if listing.count && !listing.continued {
            object.insert("@odata.count".to_owned(), users.len().into());
        }
        if to < users.len() {
            let token = URL_SAFE_NO_PAD.encode(to.to_string());
            object
                .insert("@odata.nextLink".to_owned(), format!("{context}?{}$skiptoken={token}", listing.echoed).into());
        }
        object.insert("value".to_owned(), value?.into_iter().map(Value::Object).collect::<Vec<_>>().into());
        Ok(Answer::json(Value::Object(object).to_string()))
    }
}

const ADVANCED: &str = "Operator is not supported because the required parameters might be missing. Try adding $count=true query parameter and ConsistencyLevel:eventual header.";

fn advanced(exchange: &Exchange<'_>, listing: &Listing) -> bool {
    let level = exchange.request.headers().get("consistencylevel").and_then(|value| value.to_str().ok());
    listing.count && level.is_some_and(|level| level.eq_ignore_ascii_case("eventual"))
}

fn unsupported(message: &str) -> Answer {
    Answer::error(400, "Request_BadRequest", message)
}

fn not_found(name: &str) -> Answer {
    let message =
        format!("Resource '{name}' does not exist or one of its queried reference-property objects are not present.");
    Answer::error(404, "Request_ResourceNotFound", &message)
}

fn find_group<'a>(tenant: &'a Tenant, name: &str) -> Result<&'a crate::Group, Answer> {
    let id = name.parse::<domain::GroupId>().ok();
    tenant.groups.iter().find(|group| Some(group.id) == id).ok_or_else(|| not_found(name))
}

fn sku_json(tenant: &Tenant, sku: &crate::Sku) -> Value {
    let holders =
        tenant.users().iter().filter(|user| user.licences.iter().any(|licence| licence.sku == sku.id)).count();
    let plans = sku.plans.iter().map(|plan| {
        json!({ "servicePlanId": plan.id, "servicePlanName": plan.name, "provisioningStatus": "Success", "appliesTo": "User" })
    });
    json!({
        "accountName": tenant.name, "accountId": tenant.id, "appliesTo": "User",
        "capabilityStatus": sku.capability_status, "consumedUnits": holders,
        "id": format!("{}_{}", tenant.id, sku.id),
        "prepaidUnits": { "enabled": holders + 25, "lockedOut": 0, "suspended": 0, "warning": 0 },
        "servicePlans": plans.collect::<Vec<_>>(),
        "skuId": sku.id, "skuPartNumber": sku.part_number, "subscriptionIds": [sku.id],
    })
}

fn user_json(user: &User, tenant: &Tenant, select: Option<&[String]>) -> Result<Map<String, Value>, Answer> {
    let mut object = Map::new();
    let mut put = |name: &str| -> Result<(), Answer> {
        let value = match name {
            "id" => user.id.to_string().into(),
            "userPrincipalName" => user.upn.clone().into(),
            "displayName" => user.display_name.clone().into(),
            "mail" => user.mail.clone().map_or(Value::Null, Value::from),
            "accountEnabled" => user.account_enabled.into(),
            "userType" => user.user_type.clone().into(),
            "assignedLicenses" => {
                let licences = user.licences.iter();
                licences.map(|held| json!({ "skuId": held.sku, "disabledPlans": held.disabled_plans })).collect::<Vec<_>>().into()
            }
            "assignedPlans" => plans(user, tenant)
                .map(|(plan, status)| json!({ "assignedDateTime": "2025-01-01T00:00:00Z", "capabilityStatus": status, "service": "exchange", "servicePlanId": plan }))
                .collect::<Vec<_>>()
                .into(),
            "businessPhones" => json!([]),
            _ if DEFAULT_PROPERTIES.contains(&name) => Value::Null,
            _ => return Err(unsupported(&format!("Could not find a property named '{name}' on type 'microsoft.graph.user'."))),
        };
        object.insert(name.to_owned(), value);
        Ok(())
    };
    match select {
        Some(names) => names.iter().try_for_each(|name| put(name))?,
        None => DEFAULT_PROPERTIES.iter().try_for_each(|name| put(name))?,
    }
    Ok(object)
}

/// The plans of a user; one that was switched off stays, with the status `Deleted`.
fn plans<'a>(user: &'a User, tenant: &'a Tenant) -> impl Iterator<Item = (Uuid, &'static str)> + 'a {
    user.licences.iter().flat_map(move |licence| {
        let sku = tenant.skus.iter().find(|sku| sku.id == licence.sku);
        sku.into_iter()
            .flat_map(|sku| &sku.plans)
            .map(|plan| (plan.id, if licence.disabled_plans.contains(&plan.id) { "Deleted" } else { "Enabled" }))
    })
}

/// A filter on users: terms joined by `or`.
struct Predicate(Vec<Term>);

enum Term {
    Sku(Uuid),
    EnabledPlan(Uuid),
    Id(String),
    Upn(String),
}

impl Predicate {
    fn parse(filter: &str) -> Result<Self, Answer> {
        let terms: Option<Vec<Term>> = filter.split(" or ").map(Term::parse).collect();
        terms.map(Self).ok_or_else(|| {
            Answer::error(400, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified.")
        })
    }

    fn holds(&self, user: &User, tenant: &Tenant) -> bool {
        self.0.iter().any(|term| match term {
            Term::Sku(sku) => user.licences.iter().any(|licence| licence.sku == *sku),
            Term::EnabledPlan(plan) => plans(user, tenant).any(|(id, status)| id == *plan && status == "Enabled"),
            Term::Id(id) => user.id.to_string().eq_ignore_ascii_case(id),
            Term::Upn(upn) => user.upn.eq_ignore_ascii_case(upn),
        })
    }
}

impl Term {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let quoted = |text: &str| Some(text.strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'"));
        if let Some(value) = text.strip_prefix("id eq ") {
            return quoted(value).map(Self::Id);
        }
        if let Some(value) = text.strip_prefix("userPrincipalName eq ") {
            return quoted(value).map(Self::Upn);
        }
        let (collection, lambda) = text.strip_suffix(')')?.split_once("/any(")?;
        let (variable, condition) = lambda.split_once(':')?;
        let variable = format!("{}/", variable.trim());
        let condition = condition.trim();
        match collection {
            "assignedLicenses" => {
                let sku = condition.strip_prefix(&variable)?.strip_prefix("skuId eq ")?;
                Uuid::try_parse(sku.trim()).ok().map(Self::Sku)
            }
            "assignedPlans" => {
                let (plan, status) = condition.split_once(" and ")?;
                let enabled = status.trim().strip_prefix(&variable)? == "capabilityStatus eq 'Enabled'";
                let plan = plan.trim().strip_prefix(&variable)?.strip_prefix("servicePlanId eq ")?;
                Uuid::try_parse(plan.trim()).ok().filter(|_| enabled).map(Self::EnabledPlan)
            }
            _ => None,
        }
    }
}
