//! Everything that is asked of the directory.

use std::collections::BTreeSet;

use archive::records::{Asked, Why};
use domain::{Deadline, GroupId, UserId};
use futures_util::{StreamExt, TryStreamExt, stream};
use graph::{DirectoryUser, GraphClient};

use crate::payload::{Principal, Request};
use crate::{FanOutError, Fault, Faults};

/// Look-ups in flight. The directory allows far more, but other programs of the tenant ask it too.
const LOOKUPS: usize = 8;

/// The users a request names, by id. In the order of the payload.
#[derive(Debug, Default)]
pub(crate) struct Names {
    users: Vec<UserId>,
    exclude: Vec<UserId>,
}

impl Names {
    /// Resolves user principal names; all that cannot be are refused at once. Without names nothing is asked.
    pub(crate) async fn resolve(request: &Request, graph: &GraphClient, by: Deadline) -> Result<Self, FanOutError> {
        let mut faults = Vec::new();
        let users = resolve("users", &request.users, graph, by, &mut faults).await?;
        let exclude = resolve("exclude", &request.exclude, graph, by, &mut faults).await?;
        Faults::check(faults)?;
        Ok(Self { users, exclude })
    }

    /// What is asked, as run.json states it: ids only, and the same for every order of a list.
    pub(crate) fn asked(&self, request: &Request, rules: &settings::Rules) -> Asked {
        fn list<T: Ord + Clone>(entries: &[T]) -> Option<Vec<T>> {
            let sorted: BTreeSet<T> = entries.iter().cloned().collect();
            (!sorted.is_empty()).then(|| sorted.into_iter().collect())
        }
        let bound = request.users.is_empty();
        Asked {
            scheduled_time: request.scheduled_time,
            users: list(&self.users),
            groups: list(&request.groups),
            exclude: list(&self.exclude),
            include_groups: list(&rules.include_groups).filter(|_| bound),
            exclude_groups: list(&rules.exclude_groups).filter(|_| bound),
            from: request.from,
            to: request.to,
            lookback_hours: request.lookback_hours,
            history: request.history.then_some(true),
        }
    }
}

/// Whom a run is about, and what the directory says of groups.
#[derive(Debug)]
pub(crate) struct Enumeration {
    /// Sorted by id, each once, and why each is here.
    pub(crate) users: Vec<(DirectoryUser, Why)>,
    /// A user must be in each of these.
    pub(crate) members: Vec<BTreeSet<UserId>>,
    /// Nobody of these.
    pub(crate) excluded: BTreeSet<UserId>,
}

impl Enumeration {
    /// Asks the directory: for the users asked for, or for everybody licensed; then for the groups that bind the run.
    pub(crate) async fn of(
        request: &Request,
        names: &Names,
        rules: &settings::Rules,
        graph: &GraphClient,
        by: Deadline,
    ) -> Result<Self, FanOutError> {
        let mut members = Vec::new();
        let mut excluded: BTreeSet<UserId> = names.exclude.iter().copied().collect();
        let (users, why) = if request.users.is_empty() {
            let users = licensed(graph, by).await?;
            if !rules.include_groups.is_empty() {
                members.push(union(&rules.include_groups, graph, by).await?.map_err(configuration("INCLUDE_GROUPS"))?);
            }
            let of_groups = union(&rules.exclude_groups, graph, by).await?;
            excluded.append(&mut of_groups.map_err(configuration("EXCLUDE_GROUPS"))?);
            (users, Why::Licensed)
        } else {
            (asked_for(&names.users, graph, by).await?, Why::Asked)
        };
        if !request.groups.is_empty() {
            let unknown = |index| FanOutError::InvalidPayload(Fault::at("groups", index, UNKNOWN_GROUP).into());
            members.push(union(&request.groups, graph, by).await?.map_err(unknown)?);
        }
        let users = users.into_iter().map(|user| (user, why)).collect();
        Ok(Self { users, members, excluded })
    }
}

const UNKNOWN_GROUP: &str = "is no group that the directory shows to this application";

fn configuration(variable: &'static str) -> impl Fn(usize) -> FanOutError {
    move |index| FanOutError::InvalidConfiguration(Fault::at(variable, index, UNKNOWN_GROUP).into())
}

async fn resolve(
    field: &str,
    principals: &[Principal],
    graph: &GraphClient,
    by: Deadline,
    faults: &mut Vec<Fault>,
) -> Result<Vec<UserId>, FanOutError> {
    let look_up = async |principal: &Principal| match principal {
        Principal::Id(id) => Ok(Some(*id)),
        Principal::Upn(upn) => graph.user(upn, by).await.map(|user| user.map(|user| user.id)),
    };
    let found: Vec<Option<UserId>> =
        stream::iter(principals).map(look_up).buffered(LOOKUPS).try_collect().await.map_err(FanOutError::Graph)?;
    for index in found.iter().enumerate().filter_map(|(index, id)| id.is_none().then_some(index)) {
        faults.push(Fault::at(field, index, "is not known to the directory: give the object id"));
    }
    Ok(found.into_iter().flatten().collect())
}

/// The users of these ids. One whom the directory does not know is here with nothing but the id: Graph may still have the
/// history of somebody who left.
async fn asked_for(ids: &[UserId], graph: &GraphClient, by: Deadline) -> Result<Vec<DirectoryUser>, FanOutError> {
    let ids: BTreeSet<UserId> = ids.iter().copied().collect();
    let look_up = async |id: UserId| {
        let user = graph.user(&id.to_string(), by).await?;
        Ok(user.unwrap_or_else(|| unknown(id)))
    };
    stream::iter(ids).map(look_up).buffered(LOOKUPS).try_collect().await.map_err(FanOutError::Graph)
}

fn unknown(id: UserId) -> DirectoryUser {
    DirectoryUser {
        id,
        upn: None,
        display_name: None,
        mail: None,
        account_enabled: None,
        user_type: None,
        licences: Vec::new(),
        plan_enabled: false,
    }
}

async fn licensed(graph: &GraphClient, by: Deadline) -> Result<Vec<DirectoryUser>, FanOutError> {
    let licensed = graph.licensed_users(by).await.map_err(FanOutError::Graph)?;
    if licensed.skus.is_empty() {
        return Err(FanOutError::NoGrantingSku { skus: licensed.total_skus });
    }
    if licensed.users.is_empty() {
        return Err(FanOutError::NobodyEnumerated);
    }
    tracing::info!(
        skus = licensed.total_skus,
        granting = licensed.skus.len(),
        users = licensed.users.len(),
        "users with a licence that grants the plan"
    );
    Ok(licensed.users)
}

/// The members of any of these groups, or the position of one that does not exist.
async fn union(
    groups: &[GroupId],
    graph: &GraphClient,
    by: Deadline,
) -> Result<Result<BTreeSet<UserId>, usize>, FanOutError> {
    let mut members = BTreeSet::new();
    for (index, group) in groups.iter().enumerate() {
        match graph.group_members(*group, by).await {
            Ok(mut found) => members.append(&mut found),
            Err(error) if error.status() == Some(404) => return Ok(Err(index)),
            Err(error) => return Err(FanOutError::Graph(error)),
        }
    }
    Ok(Ok(members))
}
