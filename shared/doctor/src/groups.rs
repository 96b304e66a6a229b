//! The groups that are configured.

use std::collections::BTreeSet;

use domain::{GroupId, UserId};
use graph::{DirectoryUser, GraphError};

use crate::finding::Finding;
use crate::tenant::{LISTING, Tenant};
use crate::token::{GROUPS_ROLE, Roles};

const INCLUDE: &str = "INCLUDE_GROUPS";
const EXCLUDE: &str = "EXCLUDE_GROUPS";

/// What was found, and who is in a group that is included; `None` for everybody, or where that could not be asked.
pub(crate) async fn check(
    tenant: &Tenant<'_>,
    roles: &Roles,
    holders: Option<&[DirectoryUser]>,
) -> (Vec<Finding>, Option<BTreeSet<UserId>>) {
    let (include, exclude) = (&tenant.rules.include_groups, &tenant.rules.exclude_groups);
    if include.is_empty() && exclude.is_empty() {
        return (vec![Finding::not_checked("groups", "none are configured")], None);
    }
    if !roles.may(GROUPS_ROLE) {
        return (vec![Finding::not_checked("groups", format!("needs {GROUPS_ROLE}"))], None);
    }
    let mut findings = Vec::new();
    let (mut included, mut whole) = (BTreeSet::new(), true);
    for (variable, groups) in [(INCLUDE, include), (EXCLUDE, exclude)] {
        for (index, group) in groups.iter().enumerate() {
            let name = format!("{variable} entry {}", index + 1);
            let members = tenant.graph.group_members(*group, tenant.within(LISTING)).await;
            findings.push(judge(name, variable, *group, &members));
            match members {
                Ok(members) if variable == INCLUDE => included.extend(members),
                Err(_) if variable == INCLUDE => whole = false,
                _ => {}
            }
        }
    }
    let holds = |holder: &DirectoryUser| included.contains(&holder.id);
    if !include.is_empty() && whole && holders.is_some_and(|holders| !holders.iter().any(holds)) {
        findings.push(Finding::fix(
            INCLUDE,
            "no member of these groups holds the Copilot plan, so nobody would be archived",
            "give licences to their members, or name the groups of those who have one",
        ));
    }
    (findings, (!include.is_empty()).then_some(included))
}

fn judge(name: String, variable: &str, group: GroupId, members: &Result<BTreeSet<UserId>, GraphError>) -> Finding {
    match members {
        Ok(members) if members.is_empty() => Finding::fix(
            name,
            format!("{group} has no members"),
            format!("Entra admin center > Groups > the group > Members, or take it out of {variable}"),
        ),
        Ok(members) => Finding::good(name, format!("{} members", members.len())),
        Err(GraphError::BadRequest { status: 404, .. }) => Finding::fix(
            name,
            format!("{group} is no group of this tenant"),
            format!("copy the object id (Entra admin center > Groups > the group > Overview) into {variable}"),
        ),
        Err(error) => Finding::of_graph(name, error),
    }
}
