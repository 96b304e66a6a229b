//! Who is planned, and who is not and why: every enumerated user is one line.

use std::collections::{BTreeMap, BTreeSet};

use archive::records::{Counts, Exclusion, Licence, RosterLine, Why};
use domain::{Timestamp, UserId};
use graph::DirectoryUser;

use crate::estimate::Known;

/// What keeps an enumerated user from being planned, beside the licence.
#[derive(Debug, Default)]
pub(crate) struct Rules<'a> {
    /// A user must be in each of these, each the members of a list of groups.
    pub(crate) members: Vec<BTreeSet<UserId>>,
    /// Nobody of these.
    pub(crate) excluded: BTreeSet<UserId>,
    /// Who was erased from the archive: nobody asks for them again.
    pub(crate) erased: BTreeSet<UserId>,
    /// Only users whose coverage can be extended backwards.
    pub(crate) history: Option<History<'a>>,
}

/// What decides in a history run.
#[derive(Debug)]
pub(crate) struct History<'a> {
    /// How far back history runs read.
    pub(crate) start: Timestamp,
    /// The newest users-file line of each user that has one.
    pub(crate) known: &'a BTreeMap<UserId, Known>,
}

impl Rules<'_> {
    /// Why this user is not planned, the first reason that applies.
    ///
    /// Who was asked for by name is read whatever the licence: Graph says itself whether there is something to show. Who left
    /// is read whatever the groups that include: the directory takes whom it deletes out of them.
    pub(crate) fn exclusion(&self, user: UserId, why: Why, plan_enabled: bool) -> Option<Exclusion> {
        if self.erased.contains(&user) {
            return Some(Exclusion::Erased);
        }
        if why == Why::Licensed && !plan_enabled {
            return Some(Exclusion::PlanDisabled);
        }
        if why != Why::Leaver && !self.members.iter().all(|members| members.contains(&user)) {
            return Some(Exclusion::NotInGroups);
        }
        if self.excluded.contains(&user) {
            return Some(Exclusion::Exclude);
        }
        let history = self.history.as_ref()?;
        match history.known.get(&user).and_then(|known| known.covered_from) {
            None => Some(Exclusion::NotCovered),
            Some(covered_from) if covered_from <= history.start => Some(Exclusion::HistoryDone),
            Some(_) => None,
        }
    }

    /// The roster of these users, who are sorted by id.
    pub(crate) fn roster(&self, users: Vec<(DirectoryUser, Why)>) -> Vec<RosterLine> {
        let line = |(user, why): (DirectoryUser, Why)| {
            let excluded = self.exclusion(user.id, why, user.plan_enabled);
            let licence = |licence: graph::Licence| Licence {
                sku_id: licence.sku_id.to_string(),
                disabled_plans: licence.disabled_plans.iter().map(ToString::to_string).collect(),
            };
            RosterLine {
                user_id: user.id,
                upn: user.upn,
                display_name: user.display_name,
                mail: user.mail,
                account_enabled: user.account_enabled,
                user_type: user.user_type,
                licences: user.licences.into_iter().map(licence).collect(),
                why,
                planned: excluded.is_none(),
                excluded,
            }
        };
        users.into_iter().map(line).collect()
    }
}

/// A roster in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) enumerated: u64,
    pub(crate) excluded: Counts,
    pub(crate) planned: u64,
}

impl Tally {
    pub(crate) fn of(roster: &[RosterLine]) -> Self {
        let mut tally = Self { enumerated: roster.len() as u64, ..Self::default() };
        for line in roster {
            match line.excluded {
                Some(reason) => *tally.excluded.entry(reason.as_str().to_owned()).or_default() += 1,
                None => tally.planned += 1,
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u8, plan_enabled: bool) -> DirectoryUser {
        DirectoryUser {
            id: UserId::from_bytes([n; 16]),
            upn: Some(format!("u{n}@contoso.com")),
            display_name: None,
            mail: None,
            account_enabled: Some(true),
            user_type: Some("Member".into()),
            licences: vec![],
            plan_enabled,
        }
    }

    fn ids(numbers: &[u8]) -> BTreeSet<UserId> {
        numbers.iter().map(|n| UserId::from_bytes([*n; 16])).collect()
    }

    fn all(users: &[DirectoryUser], why: Why) -> Vec<(DirectoryUser, Why)> {
        users.iter().map(|user| (user.clone(), why)).collect()
    }

    fn reasons(roster: &[RosterLine]) -> Vec<Option<&str>> {
        roster.iter().map(|line| line.excluded.as_ref().map(Exclusion::as_str)).collect()
    }

    #[test]
    fn each_user_is_planned_or_excluded_for_the_first_reason() {
        let members = vec![ids(&[1, 2, 3]), ids(&[1, 2, 4])];
        let rules = Rules { members, excluded: ids(&[2, 3]), ..Rules::default() };
        let users = vec![user(1, true), user(2, true), user(3, true), user(4, true), user(5, false)];
        let roster = rules.roster(all(&users, Why::Licensed));
        let expected = [None, Some("exclude"), Some("not-in-groups"), Some("not-in-groups"), Some("plan-disabled")];
        assert_eq!(reasons(&roster), expected);
        let tally = Tally::of(&roster);
        assert_eq!((tally.enumerated, tally.planned), (5, 1));
        assert_eq!(tally.excluded.values().sum::<u64>() + tally.planned, tally.enumerated);
        // The licence is no reason for who was asked for.
        assert_eq!(reasons(&Rules::default().roster(all(&users, Why::Asked))), [None; 5]);
        // Who left is in no group any more and holds no licence; a list that excludes still holds.
        let leavers = rules.roster(all(&users, Why::Leaver));
        assert_eq!(reasons(&leavers), [None, Some("exclude"), Some("exclude"), None, None]);
        // Nothing brings back who was erased.
        let rules = Rules { erased: ids(&[1]), ..Rules::default() };
        for why in [Why::Licensed, Why::Asked, Why::Leaver] {
            assert_eq!(reasons(&rules.roster(all(&users[..2], why))), [Some("erased"), None], "{why:?}");
        }
    }

    #[test]
    fn history_plans_who_is_covered_but_not_to_its_start() {
        let start: Timestamp = "2023-11-01T00:00:00Z".parse().unwrap();
        let known = |seconds: Option<i64>| Known {
            covered_from: seconds.map(|seconds| start + jiff::SignedDuration::from_secs(seconds)),
            ..Known::default()
        };
        let lines = [(1, known(Some(1))), (2, known(Some(0))), (3, known(Some(-1))), (4, known(None))];
        let known = &lines.into_iter().map(|(n, known)| (UserId::from_bytes([n; 16]), known)).collect();
        let rules = Rules { history: Some(History { start, known }), ..Rules::default() };
        let users = (1..=5).map(|n| (user(n, true), Why::Licensed)).collect();
        assert_eq!(
            reasons(&rules.roster(users)),
            [None, Some("history-done"), Some("history-done"), Some("not-covered"), Some("not-covered")]
        );
    }
}
