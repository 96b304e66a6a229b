//! A run before anything of it is written: its window, and its roster.

use std::collections::{BTreeMap, BTreeSet};

use archive::Archive;
use archive::records::RosterLine;
use domain::{Deadline, Kind, UserId};
use jiff::SignedDuration;

use crate::enumerate::{Enumeration, Names};
use crate::estimate::{Estimate, Known, Reading};
use crate::payload::Request;
use crate::roster::{History, Rules, Tally};
use crate::window::{self, Bounds};
use crate::{Answer, Deps, FanOutError, known};

/// A run before anything of it is written.
#[derive(Debug)]
pub(crate) struct Plan {
    kind: Kind,
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
        deps: &Deps,
        by: Deadline,
    ) -> Result<Self, FanOutError> {
        let Enumeration { users, why, members, excluded } =
            Enumeration::of(request, names, &deps.rules, &deps.graph, by).await?;
        let now = deps.clock.now();
        let now = deps.graph.server_date().map_or(now, |date| date.min(now));
        let bounds = window::bounds(request, now, deps.rules.settle)?;

        let mut rules = Rules { members, excluded, history: None };
        let mut known = BTreeMap::new();
        if let Some(archive) = archive
            && (request.history || request.dry_run)
        {
            let wanted: BTreeSet<UserId> = users
                .iter()
                .filter(|user| rules.exclusion(user.id, why, user.plan_enabled).is_none())
                .map(|user| user.id)
                .collect();
            known = known::newest(archive, wanted, &*deps.clock, by).await?;
        }
        if request.history {
            rules.history = Some(History { start: deps.rules.history_start, known: &known });
        }
        let roster = rules.roster(users, why);
        Ok(Self { kind: request.kind(), bounds, roster, known })
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
                .map_or(SignedDuration::ZERO, |covered_from| covered_from.duration_since(rules.history_start)),
        };
        length.as_secs_f64().max(0.0) / 3600.0
    }
}
