//! Who holds a licence, who is in a group, who is this.

use std::collections::BTreeSet;
use std::fmt;

use domain::{Deadline, GroupId, UserId};
use uuid::Uuid;

use crate::client::GraphClient;
use crate::error::GraphError;

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

impl GraphClient {
    /// Every holder of a SKU that grants the Copilot plan.
    pub async fn licensed_users(&self, deadline: Deadline) -> Result<Licensed, GraphError> {
        let _ = deadline;
        Err(GraphError::NoAnswer)
    }

    /// The user with this object id or UPN; `None` if the directory knows nobody by it.
    pub async fn user(&self, id_or_upn: &str, deadline: Deadline) -> Result<Option<DirectoryUser>, GraphError> {
        let _ = (id_or_upn, deadline);
        Err(GraphError::NoAnswer)
    }

    /// The users in this group or in groups within it.
    pub async fn group_members(&self, group: GroupId, deadline: Deadline) -> Result<BTreeSet<UserId>, GraphError> {
        let _ = (group, deadline);
        Err(GraphError::NoAnswer)
    }
}
