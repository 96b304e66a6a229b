//! One licensed user's first page, and what it says of the quota.

use std::collections::BTreeSet;

use domain::{Unavailability, UserId, Window};
use graph::{DirectoryUser, GraphError, INTERACTIONS_ROLE, Question, Tally};
use jiff::SignedDuration;

use crate::finding::Finding;
use crate::tenant::Tenant;
use crate::token::Roles;

const PAGE: &str = "first page";
const QUOTA: &str = "quota";

/// How many users are asked before their answers count as the tenant's: one who never used Copilot proves little.
const ASKED: usize = 5;

/// How much of a user is asked: what it holds is of no interest here.
const LOOKED_AT: SignedDuration = SignedDuration::from_hours(1);

/// How long a page may take: less than a throttle that lasts, which is then told instead of waited for.
const PATIENCE: SignedDuration = SignedDuration::from_secs(20);

pub(crate) async fn check(
    tenant: &Tenant<'_>,
    roles: &Roles,
    holders: Option<&[DirectoryUser]>,
    included: Option<&BTreeSet<UserId>>,
) -> Vec<Finding> {
    let not_checked = |why: String| vec![Finding::not_checked(PAGE, why.clone()), Finding::not_checked(QUOTA, why)];
    if !roles.may(INTERACTIONS_ROLE) {
        return not_checked(format!("needs {INTERACTIONS_ROLE}"));
    }
    let wanted = |user: &&DirectoryUser| included.is_none_or(|included| included.contains(&user.id));
    let mut users: Vec<&DirectoryUser> = holders.into_iter().flatten().filter(wanted).collect();
    if users.is_empty() {
        return not_checked("there is no licensed user to ask for".to_owned());
    }
    // Whoever may sign in is likelier to have a history.
    users.sort_by_key(|user| user.account_enabled != Some(true));
    users.truncate(ASKED);

    let (mut tally, mut refusals) = (Tally::default(), Vec::new());
    for user in users {
        let now = tenant.clock.now();
        let before = now.checked_sub(LOOKED_AT).unwrap_or(now);
        let question = Window::new(before, now).map_or(Question::Everything, Question::Window);
        let mut pages = tenant.graph.interactions(user.id, question);
        let answer = pages.next(tenant.within(PATIENCE)).await;
        tally.merge(pages.tally());
        match answer {
            Err(GraphError::Unavailable(why)) => refusals.push(why),
            Ok(_) => return vec![Finding::good(PAGE, "Graph shows a licensed user's"), quota(&tally)],
            Err(error) => return vec![failed(&error), quota(&tally)],
        }
    }
    vec![refused(&refusals), quota(&tally)]
}

fn failed(error: &GraphError) -> Finding {
    match error {
        // The quota says what is to be done.
        GraphError::RetryAfter { .. } => Finding::not_checked(PAGE, "Graph says to ask later"),
        _ => Finding::of_graph(PAGE, error),
    }
}

fn refused(refusals: &[Unavailability]) -> Finding {
    let asked = refusals.len();
    if refusals.iter().any(|why| matches!(why, Unavailability::NoHistory | Unavailability::Gone)) {
        return Finding::good(PAGE, format!("Graph answers; the {asked} users asked for have no history yet"));
    }
    if refusals.iter().all(|why| *why == Unavailability::NoLicence) {
        return Finding::fix(
            PAGE,
            format!("Graph sees no licence of the {asked} users asked for, though the directory shows one"),
            "wait: an assignment takes up to a day; then look whether the licence's other plans are switched on",
        );
    }
    Finding::fix(
        PAGE,
        format!("Graph refuses all {asked} users asked for (HTTP 403), though the role is there"),
        "grant admin consent again and wait some minutes; then look for a policy on the application: Entra admin center > \
         Conditional Access > Workload identities",
    )
}

fn quota(tally: &Tally) -> Finding {
    match tally.by_status.get("429") {
        None => Finding::good(QUOTA, "no request was throttled"),
        Some(throttled) => Finding::fix(
            QUOTA,
            format!("Graph throttled {throttled} of {} requests: somebody else uses this quota", tally.requests()),
            "give this program an application of its own, end the other program, or lower GRAPH_REQUESTS_PER_SECOND",
        ),
    }
}
