//! The token, and the roles in it.

use graph::{GraphError, INTERACTIONS_ROLE};

use crate::finding::Finding;
use crate::tenant::Tenant;

pub(crate) const USERS_ROLE: &str = "User.Read.All";
pub(crate) const LICENCES_ROLE: &str = "LicenseAssignment.Read.All";
pub(crate) const GROUPS_ROLE: &str = "GroupMember.Read.All";

/// What holds every role of the directory, and more than is needed.
const WHOLE_DIRECTORY: &str = "Directory.Read.All";

/// Where the application stands.
const APPLICATION: &str = "Entra admin center > App registrations > the application";

/// The roles of a token; a token that cannot be read may hold any.
pub(crate) struct Roles(Option<Vec<String>>);

impl Roles {
    fn names(&self, role: &str) -> bool {
        self.0.as_ref().is_some_and(|roles| roles.iter().any(|granted| granted == role))
    }

    /// Whether the token may do what this role allows.
    pub(crate) fn may(&self, role: &str) -> bool {
        self.0.is_none() || self.names(role) || (role != INTERACTIONS_ROLE && self.names(WHOLE_DIRECTORY))
    }
}

/// What was found, and the roles if there is a token.
pub(crate) async fn check(tenant: &Tenant<'_>) -> (Vec<Finding>, Option<Roles>) {
    const NAME: &str = "token";
    match tenant.graph.token_roles(tenant.patience()).await {
        Ok(roles) => {
            let roles = Roles(roles);
            let mut findings = vec![Finding::good(NAME, "Entra issues one")];
            findings.extend(needed(tenant).into_iter().map(|role| judge(role, &roles)));
            (findings, Some(roles))
        }
        Err(error) => (vec![refused(NAME, &error)], None),
    }
}

fn needed(tenant: &Tenant<'_>) -> Vec<&'static str> {
    let groups = !tenant.rules.include_groups.is_empty() || !tenant.rules.exclude_groups.is_empty();
    let mut roles = vec![INTERACTIONS_ROLE, USERS_ROLE, LICENCES_ROLE];
    roles.extend(groups.then_some(GROUPS_ROLE));
    roles
}

fn judge(role: &'static str, roles: &Roles) -> Finding {
    let name = format!("role {role}");
    if roles.0.is_none() {
        Finding::not_checked(name, "the token cannot be read, which is its issuer's right")
    } else if roles.names(role) {
        Finding::good(name, "in the token")
    } else if roles.may(role) {
        Finding::good(name, format!("covered by {WHOLE_DIRECTORY}, which is more than is needed"))
    } else {
        let advice = Finding::of_graph(name, &GraphError::MissingRole { role });
        at(
            advice,
            "API permissions > Add a permission > Microsoft Graph > Application permissions, then Grant admin consent",
        )
    }
}

fn refused(name: &str, error: &GraphError) -> Finding {
    match error {
        GraphError::Token { code, .. } => {
            let page = match code {
                Some(700_016 | 90_002) => "Overview, which shows both ids",
                Some(70_021 | 700_211..=700_213 | 7_002_138) => "Certificates & secrets > Federated credentials",
                _ => "Certificates & secrets",
            };
            at(Finding::of_graph(name, error), page)
        }
        GraphError::Credential(source) => {
            Finding::fix(name, "no proof can be made of the application's credential", source.to_string())
        }
        _ => Finding::of_graph(name, error),
    }
}

/// The fix with the page of the application where it is made.
fn at(mut finding: Finding, page: &str) -> Finding {
    finding.fix = finding.fix.map(|fix| format!("{fix}; {APPLICATION} > {page}"));
    finding
}
