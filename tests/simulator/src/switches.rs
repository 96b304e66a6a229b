//! Everything about the service that is not certain, as switches. The defaults follow the strongest evidence.

use domain::UserId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fault::Rule;
use crate::tenant::{User, UserState};

/// The application role without which interactions are refused.
pub const INTERACTIONS_ROLE: &str = "AiEnterpriseInteraction.Read.All";
/// The application role without which users are refused.
pub const USERS_ROLE: &str = "User.Read.All";
/// The application role without which SKUs are refused.
pub const LICENCES_ROLE: &str = "LicenseAssignment.Read.All";
/// The application role without which groups are refused.
pub const GROUPS_ROLE: &str = "GroupMember.Read.All";

/// What a `$top` above 100 does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TopAbove {
    /// Counts as 100.
    #[default]
    Clamped,
    /// Is honoured.
    Honoured,
    /// Is refused with 400.
    Refused,
}

/// How a 429 says when to come back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryAfter {
    /// In whole seconds, as long as it takes.
    #[default]
    Seconds,
    /// Not at all.
    Absent,
    /// As an HTTP date.
    Date,
    /// With this value, whatever it takes: `0`, `3600`, `-1`, `soon`.
    Text(String),
}

/// Which items a date filter shows at its bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bounds {
    /// Strictly between them.
    #[default]
    Strict,
    /// The creation is cut to whole seconds before it is compared.
    WholeSeconds,
    /// The bounds themselves as well.
    Inclusive,
}

/// Which instant a date filter compares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterOn {
    /// The creation.
    #[default]
    Created,
    /// When the item became visible.
    Stored,
}

/// The order within a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Newest first.
    #[default]
    NewestFirst,
    /// Oldest first.
    OldestFirst,
    /// In no order a client could name.
    Shuffled,
}

/// What the interaction endpoint says of a deleted user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeletedUsers {
    /// 403: the licence went with the user.
    #[default]
    LicenceGone,
    /// The items: the documentation says that deleted users are supported.
    Served,
    /// 404.
    NotFound,
}

/// From when on how many requests a second are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QuotaStep {
    /// From when on.
    pub from: Timestamp,
    /// How many.
    pub per_second: f64,
}

/// The limiter's numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Whether there is a limit at all.
    pub enforced: bool,
    /// Requests a second of one application in one tenant; also the size of a burst.
    pub per_second: f64,
    /// Requests a second of one application in all its tenants.
    pub app_per_second: usize,
    /// The share of it that is allowed over the longer window.
    pub sustained_share: f64,
    /// The longer window.
    pub sustained_seconds: u32,
    /// Changes over time; the last one begun counts.
    pub steps: Vec<QuotaStep>,
    /// Requests a second that something else takes out of the same quota.
    pub stolen_per_second: f64,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            enforced: true,
            per_second: 30.0,
            app_per_second: 1_500,
            sustained_share: 0.83,
            sustained_seconds: 60,
            steps: Vec::new(),
            stolen_per_second: 0.0,
        }
    }
}

impl Quota {
    /// The requests a second that are left to the application at this time.
    pub fn at(&self, time: Timestamp) -> f64 {
        let step = self.steps.iter().filter(|step| step.from <= time).max_by_key(|step| step.from);
        (step.map_or(self.per_second, |step| step.per_second) - self.stolen_per_second).max(0.0)
    }
}

/// The switches. Deserialises from an object with any part of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// How long every answer takes.
    pub latency_ms: u64,
    /// How much longer it may take, by chance.
    pub latency_jitter_ms: u64,
    /// Whether bodies are compressed for a client that accepts it.
    pub gzip: bool,
    /// The page size without `$top`.
    pub default_top: usize,
    /// What a `$top` above 100 does.
    pub top_above: TopAbove,
    /// Whether a next link repeats `$top`.
    pub link_echoes_top: bool,
    /// Whether there are two folders to page through, or all items lie in the first.
    pub two_folders: bool,
    /// How long a skip token is accepted; for ever if absent.
    pub skip_token_seconds: Option<u32>,
    /// The order within a folder.
    pub order: Order,
    /// Whether a page says how many items it holds, in `@odata.count`.
    pub count: bool,
    /// Whether newlines (CRLF) stand between all the parts of a page, inside the items too.
    pub pretty: bool,
    /// Whether a date filter is accepted at all.
    pub date_filter: bool,
    /// Whether a date filter with one bound is accepted.
    pub open_range: bool,
    /// Whether `ge` and `le` are accepted.
    pub ge_le: bool,
    /// Whether fractions of a second are accepted in a date filter.
    pub fractions: bool,
    /// Whether classes and dates may be filtered together.
    pub combined_filter: bool,
    /// Which items a date filter shows at its bounds.
    pub bounds: Bounds,
    /// Which instant a date filter compares.
    pub filter_on: FilterOn,
    /// Whether query options that no document names are ignored instead of refused.
    pub unknown_options_ignored: bool,
    /// Whether a principal name is accepted in place of the object id.
    pub upn_accepted: bool,
    /// What the interaction endpoint says of a deleted user.
    pub deleted_users: DeletedUsers,
    /// Users who are deleted for now, whatever their state: who has not joined yet, or has left.
    pub deleted: Vec<UserId>,
    /// The code of the 404 for a user without a history.
    pub no_history_code: String,
    /// Items older than this many days are purged.
    pub retention_days: Option<u32>,
    /// The limiter's numbers.
    pub quota: Quota,
    /// How a 429 says when to come back.
    pub retry_after: RetryAfter,
    /// The roles in the tokens that are issued.
    pub roles: Vec<String>,
    /// How long a token lives.
    pub token_seconds: i64,
    /// Tokens issued before this time are refused.
    pub tokens_revoked_before: Option<Timestamp>,
    /// Further tokens that are accepted for ever, with all roles: for clients that bring a fixed one.
    pub static_tokens: Vec<String>,
    /// The secret that is accepted instead of the tenant's: a rotation.
    pub secret: Option<String>,
    /// Whether the second page of a filtered user list demands `ConsistencyLevel: eventual` and `$count=true`.
    pub expired_page_token: bool,
    /// Whether every further page of the directory begins with the last entry of the one before it.
    pub directory_repeats: bool,
    /// The page size of the directory without `$top`.
    pub directory_top: usize,
    /// What goes wrong, and when. All rules that match apply, in this order. When they change, the
    /// first that differs and those after it begin their counts anew.
    pub rules: Vec<Rule>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            seed: 42,
            latency_ms: 0,
            latency_jitter_ms: 0,
            gzip: true,
            default_top: 10,
            top_above: TopAbove::default(),
            link_echoes_top: true,
            two_folders: true,
            skip_token_seconds: None,
            order: Order::default(),
            count: true,
            pretty: false,
            date_filter: true,
            open_range: false,
            ge_le: false,
            fractions: true,
            combined_filter: true,
            bounds: Bounds::default(),
            filter_on: FilterOn::default(),
            unknown_options_ignored: false,
            upn_accepted: true,
            deleted_users: DeletedUsers::default(),
            deleted: Vec::new(),
            no_history_code: "NotFound".to_owned(),
            retention_days: None,
            quota: Quota::default(),
            retry_after: RetryAfter::default(),
            roles: [INTERACTIONS_ROLE, USERS_ROLE, LICENCES_ROLE, GROUPS_ROLE].map(str::to_owned).to_vec(),
            token_seconds: 3_599,
            tokens_revoked_before: None,
            static_tokens: Vec::new(),
            secret: None,
            expired_page_token: true,
            directory_repeats: false,
            directory_top: 100,
            rules: Vec::new(),
        }
    }
}

impl Switches {
    /// The defaults with these rules.
    pub fn with_rules(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { rules: rules.into_iter().collect(), ..Self::default() }
    }

    /// These switches with the members of a JSON object put in their place.
    pub fn patched(&self, patch: &serde_json::Value) -> Result<Self, serde_json::Error> {
        let mut whole = serde_json::to_value(self)?;
        merge(&mut whole, patch);
        serde_json::from_value(whole)
    }

    /// Refuses every user of the tenant although the role is there.
    pub fn refuse_everybody(&mut self) {
        self.rules.push(Rule::always(crate::Fault::Refused));
    }

    /// The user's state as it is now.
    pub fn state_of(&self, user: &User) -> UserState {
        if self.deleted.contains(&user.id) { UserState::SoftDeleted } else { user.state }
    }

    /// Takes the user's licence away after so many pages of each paging.
    pub fn lose_licence_after(&mut self, user: UserId, pages: u32) {
        self.rules.push(Rule::always(crate::Fault::LicenceLost).user(user).from_page(pages + 1));
    }
}

fn merge(whole: &mut serde_json::Value, patch: &serde_json::Value) {
    match (whole, patch) {
        (serde_json::Value::Object(whole), serde_json::Value::Object(patch)) => {
            for (name, value) in patch {
                merge(whole.entry(name.clone()).or_insert(serde_json::Value::Null), value);
            }
        }
        (whole, patch) => *whole = patch.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_the_switches_reads_and_a_misspelt_one_does_not() {
        let switches: Switches = serde_json::from_str(r#"{"ge_le":true,"quota":{"per_second":3}}"#).unwrap();
        assert!(switches.ge_le && switches.quota.per_second == 3.0 && switches.quota.sustained_share == 0.83);
        assert!(serde_json::from_str::<Switches>(r#"{"ge_lee":true}"#).is_err());
        let patched = switches.patched(&serde_json::json!({"quota": {"sustained_share": 1.0}})).unwrap();
        assert!(patched.ge_le && patched.quota.per_second == 3.0 && patched.quota.sustained_share == 1.0);
    }

    #[test]
    fn the_quota_follows_its_steps() {
        let at = |hour: i64| Timestamp::from_second(1_790_000_000 + 3_600 * hour).unwrap();
        let steps = vec![QuotaStep { from: at(1), per_second: 3.0 }, QuotaStep { from: at(2), per_second: 15.0 }];
        let quota = Quota { steps, stolen_per_second: 1.0, ..Quota::default() };
        assert_eq!([quota.at(at(0)), quota.at(at(1)), quota.at(at(9))], [29.0, 2.0, 14.0]);
    }
}
