//! Whether there is a product that grants the plan, and somebody who holds it.

use graph::{DirectoryUser, GraphError};

use crate::finding::Finding;
use crate::tenant::{LISTING, Tenant};
use crate::token::{LICENCES_ROLE, Roles, USERS_ROLE};

const PRODUCT: &str = "licences of the tenant";
const HOLDERS: &str = "licensed users";

/// What was found, and who holds the plan, if that could be asked.
pub(crate) async fn check(tenant: &Tenant<'_>, roles: &Roles) -> (Vec<Finding>, Option<Vec<DirectoryUser>>) {
    if let Some(role) = [LICENCES_ROLE, USERS_ROLE].into_iter().find(|role| !roles.may(role)) {
        return ([PRODUCT, HOLDERS].map(|name| Finding::not_checked(name, format!("needs {role}"))).into(), None);
    }
    let licensed = match tenant.graph.licensed_users(tenant.within(LISTING)).await {
        Ok(licensed) => licensed,
        Err(error) => return (vec![refused(&error)], None),
    };
    if licensed.skus.is_empty() {
        let product = Finding::fix(
            PRODUCT,
            format!("none of the {} products includes the Copilot plan", licensed.total_skus),
            "buy Microsoft 365 Copilot (Microsoft 365 admin center > Marketplace), or correct GRAPH_TENANT_ID",
        );
        return (vec![product, Finding::not_checked(HOLDERS, "no product grants the plan")], None);
    }
    let (skus, of) = (licensed.skus.len(), licensed.total_skus);
    let product = Finding::good(PRODUCT, format!("{skus} of {of} products include the Copilot plan"));
    let held = licensed.users.len();
    let users: Vec<DirectoryUser> = licensed.users.into_iter().filter(|user| user.plan_enabled).collect();
    (vec![product, holders(held, users.len())], Some(users))
}

fn holders(held: usize, enabled: usize) -> Finding {
    const WHERE: &str = "Microsoft 365 admin center > Users > Active users > a user > Licenses and apps";
    match (held, enabled) {
        (0, _) => Finding::fix(HOLDERS, "nobody holds a licence with the Copilot plan", format!("assign one: {WHERE}")),
        (_, 0) => Finding::fix(
            HOLDERS,
            format!("the Copilot plan is switched off for all {held} holders of a licence"),
            format!("switch on the app \"Microsoft Copilot with Graph-grounded chat\": {WHERE} > Apps"),
        ),
        _ => Finding::good(HOLDERS, format!("{held} hold a licence, {enabled} with the plan switched on")),
    }
}

fn refused(error: &GraphError) -> Finding {
    let finding = Finding::of_graph("directory", error);
    match error {
        GraphError::Unauthorised { .. } => {
            Finding { fix: finding.fix.map(|fix| format!("{fix}; a consent may take some minutes")), ..finding }
        }
        _ => finding,
    }
}
