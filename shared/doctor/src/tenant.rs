//! The tenant: everything that is asked of Entra and Graph.

use domain::{Clock, Deadline, TenantId};
use graph::{GraphClient, Origin, Transport};
use jiff::SignedDuration;
use settings::Rules;

use crate::finding::Finding;
use crate::{directory, groups, interactions, origins, token};

/// How long one question may take with all its repeats: as long as a server's restart, and no patience beyond it.
const PATIENCE: SignedDuration = SignedDuration::from_secs(90);
/// How long listings may take: the holders of the largest tenant stand on three hundred pages.
pub(crate) const LISTING: SignedDuration = SignedDuration::from_mins(10);

/// A tenant as the program asks it.
#[derive(Debug, Clone, Copy)]
pub struct Tenant<'a> {
    /// Its id.
    pub id: TenantId,
    /// The client that would read it.
    pub graph: &'a GraphClient,
    /// What the client asks by.
    pub transport: &'a dyn Transport,
    /// Where tokens come from.
    pub login_origin: &'a Origin,
    /// Where Graph is.
    pub graph_origin: &'a Origin,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// Which groups are archived.
    pub rules: &'a Rules,
}

impl Tenant<'_> {
    pub(crate) fn patience(&self) -> Deadline {
        self.within(PATIENCE)
    }

    pub(crate) fn within(&self, time: SignedDuration) -> Deadline {
        Deadline::at(self.clock.now().checked_add(time).unwrap_or(domain::Timestamp::MAX))
    }
}

/// Asks the tenant everything that a run depends on.
pub async fn tenant(tenant: &Tenant<'_>) -> Vec<Finding> {
    let (mut findings, reached) = origins::check(tenant).await;
    if !reached.login {
        findings.push(Finding::not_checked("token", "nothing reaches the login origin"));
        return findings;
    }
    let (token, roles) = token::check(tenant).await;
    findings.extend(token);
    let Some(roles) = roles else {
        findings.push(Finding::not_checked("directory, groups, first page, quota", "there is no token"));
        return findings;
    };
    if !reached.graph {
        findings.push(Finding::not_checked("directory, groups, first page, quota", "nothing reaches Graph's origin"));
        return findings;
    }
    let (directory, holders) = directory::check(tenant, &roles).await;
    findings.extend(directory);
    let (groups, members) = groups::check(tenant, &roles, holders.as_deref()).await;
    findings.extend(groups);
    findings.extend(interactions::check(tenant, &roles, holders.as_deref(), members.as_ref()).await);
    findings
}
