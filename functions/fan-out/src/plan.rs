//! A run before anything of it is written: its window, and its roster.

use std::collections::{BTreeMap, BTreeSet};

use archive::Archive;
use archive::records::{RosterLine, Why};
use domain::{Deadline, Kind, Timestamp, UserId};
use graph::DirectoryUser;
use jiff::SignedDuration;

use crate::enumerate::{Enumeration, Names};
use crate::estimate::{Estimate, Known, Reading};
use crate::payload::Request;
use crate::roster::{History, Rules, Tally};
use crate::window::{self, Bounds};
use crate::{Answer, Deps, FanOutError, known, leavers};

/// A run before anything of it is written.
#[derive(Debug)]
pub(crate) struct Plan {
    kind: Kind,
    started_at: Timestamp,
    pub(crate) bounds: Bounds,
    pub(crate) roster: Vec<RosterLine>,
    /// What the archive knows of the users; empty unless that decides something.
    known: BTreeMap<UserId, Known>,
}

impl Plan {
    /// Asks the directory, and of the archive what earlier runs read if that decides something.
    pub(crate) async fn make(
        request: &Request,
        names: &Names,
        archive: Option<&Archive>,
        started_at: Timestamp,
        deps: &Deps,
        by: Deadline,
    ) -> Result<Self, FanOutError> {
        let Enumeration { users, members, excluded } =
            Enumeration::of(request, names, &deps.rules, &deps.graph, by).await?;
        let now = deps.clock.now();
        let now = deps.graph.server_date().map_or(now, |date| date.min(now));
        let kept_since = deps.rules.kept_since(started_at);
        let bounds = window::bounds(request, now, kept_since, deps.rules.settle)?;

        let (mut rules, mut users) = (Rules { members, excluded, ..Rules::default() }, users);
        if let Some(archive) = archive {
            rules.erased = archive.erased().await?;
            if request.users.is_empty() && request.groups.is_empty() && deps.rules.leavers.is_positive() {
                users = with_leavers(users, archive, now, deps, by).await?;
            }
        }
        let mut known = BTreeMap::new();
        if let Some(archive) = archive
            && (request.history || request.dry_run)
        {
            let wanted: BTreeSet<UserId> = users
                .iter()
                .filter(|(user, why)| rules.exclusion(user.id, *why, user.plan_enabled).is_none())
                .map(|(user, _)| user.id)
                .collect();
            known = known::newest(archive, wanted, kept_since, &*deps.clock, by).await?;
        }
        if request.history {
            rules.history = Some(History { start: deps.rules.history_begins(started_at), known: &known });
        }
        let roster = rules.roster(users);
        Ok(Self { kind: request.kind(), started_at, bounds, roster, known })
    }

    /// What the run would take, as the answer to a dry run.
    pub(crate) fn estimate(&self, deps: &Deps) -> Answer {
        let Tally { enumerated, excluded, planned } = Tally::of(&self.roster);
        let planned_users = self.roster.iter().filter(|line| line.planned);
        let readings: Vec<Reading> = planned_users
            .map(|line| {
                let known = self.known.get(&line.user_id).copied();
                Reading { hours: self.hours(known.unwrap_or_default(), &deps.rules), known }
            })
            .collect();
        let history_hours = (self.kind == Kind::History).then_some(deps.rules.history_hours);
        let estimate = Estimate::of(&readings, deps.requests_per_second, history_hours);
        Answer::DryRun { kind: self.kind, enumerated, excluded, planned, estimate }
    }

    /// The hours that would be read of a user.
    fn hours(&self, known: Known, rules: &settings::Rules) -> f64 {
        let length = match self.bounds {
            Bounds { from: Some(from), to: Some(to) } => to.duration_since(from),
            Bounds { from: None, to: Some(to) } => {
                let since = known.covered_to.map_or(SignedDuration::ZERO, |covered_to| to.duration_since(covered_to));
                rules.overlap.saturating_add(since.max(SignedDuration::ZERO))
            }
            _ => known
                .covered_from
                .map_or(SignedDuration::ZERO, |from| from.duration_since(rules.history_begins(self.started_at))),
        };
        length.as_secs_f64().max(0.0) / 3600.0
    }
}

/// These licensed users, and who was one of them until lately. Who still holds the licence with the plan switched off has
/// left just as well.
async fn with_leavers(
    users: Vec<(DirectoryUser, Why)>,
    archive: &Archive,
    now: Timestamp,
    deps: &Deps,
    by: Deadline,
) -> Result<Vec<(DirectoryUser, Why)>, FanOutError> {
    let since = now.checked_sub(deps.rules.leavers).unwrap_or(Timestamp::MIN);
    let licensed = users.iter().filter(|(user, _)| user.plan_enabled).map(|(user, _)| user.id).collect();
    let leavers = leavers::since(archive, since, &licensed, &*deps.clock, by).await?;
    let mut all: BTreeMap<UserId, (DirectoryUser, Why)> = users.into_iter().map(|one| (one.0.id, one)).collect();
    for (id, named) in leavers {
        let user = all.remove(&id).map_or(named, |(user, _)| user);
        all.insert(id, (user, Why::Leaver));
    }
    Ok(all.into_values().collect())
}
