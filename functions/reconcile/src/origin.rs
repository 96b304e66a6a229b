//! Which receipts a users file was made from.
//!
//! The users file is put before the ledger entry. Between the two a reconcile may be killed and a receipt may arrive, or a
//! second reconcile may have listed one receipt more or less. The entry has to name the receipts that the users file adds
//! up to, no matter who puts it, so whoever finds a users file that lies there already takes away receipts until the rest
//! unite to exactly that file. Where receipts say nothing new (a message delivered again after the end) several choices
//! do; each of them keeps every equation, because all of these follow from the users file.

use std::collections::{BTreeMap, BTreeSet};

use archive::records::{Counts, ReceiptLine, UserLine};
use domain::{RunId, UserId};
use jiff::SignedDuration;

use crate::share::Share;

/// How many users' lines are compared before the search is given up. In practice every late receipt is told by its first
/// line that does not fit and the search proper never begins; this bounds it to about a second for archives made to defeat it.
const MAX_COMPARISONS: u32 = 100_000;

/// A receipt, as far as it matters to the search.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Its lines of users whose line differs or whom an optional receipt names.
    pub(crate) lines: Vec<ReceiptLine>,
    /// Whether the users file may have been made without it: only of a receipt that names a user whose line differs.
    pub(crate) optional: bool,
}

/// Of these receipts, those that unite to the lines given; `None` if no choice does, or none was found in bounded time.
///
/// `targets` are the lines, as they lie in the archive, of all users whose line differs or whom an optional receipt names.
pub(crate) fn made_from(
    run: &RunId,
    targets: &BTreeMap<UserId, UserLine>,
    candidates: &[Candidate],
    overlap: SignedDuration,
) -> Option<Vec<bool>> {
    let mut search =
        Search { run, targets, candidates, overlap, state: vec![State::In; candidates.len()], left: MAX_COMPARISONS };
    for (index, candidate) in candidates.iter().enumerate() {
        if candidate.optional {
            let fits = candidate.lines.iter().all(|line| search.fits(line));
            search.state[index] = if fits { State::Open } else { State::Out };
        }
    }
    let differing = search.differing(targets.keys().copied(), BTreeSet::new())?;
    search.run(differing).then(|| search.state.iter().map(|state| *state != State::Out).collect())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Counts, and may be taken away.
    Open,
    /// Counts.
    In,
    /// Does not count.
    Out,
}

struct Search<'a> {
    run: &'a RunId,
    targets: &'a BTreeMap<UserId, UserLine>,
    candidates: &'a [Candidate],
    overlap: SignedDuration,
    state: Vec<State>,
    left: u32,
}

impl Search<'_> {
    /// Whether a line can be a part of its user's line.
    fn fits(&self, line: &ReceiptLine) -> bool {
        let mut share = Share::none(self.run, line.user_id);
        share.take(line.clone());
        let alone = share.into_line(self.overlap);
        self.targets.get(&line.user_id).is_some_and(|target| covers(target, &alone))
    }

    /// Which users' lines differ after a change that concerns `changed`, where before it those of `before` did; `None` if
    /// one now shows less than it must, or the time is up.
    fn differing(
        &mut self,
        changed: impl Iterator<Item = UserId>,
        mut before: BTreeSet<UserId>,
    ) -> Option<BTreeSet<UserId>> {
        for user in changed {
            self.left = self.left.checked_sub(1)?;
            let Some(target) = self.targets.get(&user) else { continue };
            let mut share = Share::none(self.run, user);
            for (candidate, state) in self.candidates.iter().zip(&self.state) {
                if *state != State::Out {
                    for line in candidate.lines.iter().filter(|line| line.user_id == user) {
                        share.take(line.clone());
                    }
                }
            }
            let united = share.into_line(self.overlap);
            if united == *target {
                before.remove(&user);
            } else if covers(&united, target) {
                before.insert(user);
            } else {
                return None;
            }
        }
        Some(before)
    }

    /// Takes receipts away until no line differs. Depth first: the first user who shows too much loses one of the receipts
    /// that name the user, each in turn; a receipt whose loss led nowhere stays.
    fn run(&mut self, differing: BTreeSet<UserId>) -> bool {
        let Some(user) = differing.first() else { return true };
        let names = |candidate: &Candidate| candidate.lines.iter().any(|line| line.user_id == *user);
        let mut tried = Vec::new();
        for index in 0..self.candidates.len() {
            if self.state[index] != State::Open || !names(&self.candidates[index]) {
                continue;
            }
            self.state[index] = State::Out;
            let changed: BTreeSet<UserId> = self.candidates[index].lines.iter().map(|line| line.user_id).collect();
            if let Some(differing) = self.differing(changed.into_iter(), differing.clone())
                && self.run(differing)
            {
                return true;
            }
            self.state[index] = State::In;
            tried.push(index);
            if self.left == 0 {
                break;
            }
        }
        for index in tried {
            self.state[index] = State::Open;
        }
        false
    }
}

/// Whether `whole` shows all that `part` shows. Coverage is left out: it does not only grow with what is added.
fn covers(whole: &UserLine, part: &UserLine) -> bool {
    let class = match (whole.class, part.class) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(whole), Some(part)) => whole <= part,
    };
    class
        && whole.pages >= part.pages
        && whole.received >= part.received
        && whole.new >= part.new
        && whole.already_held >= part.already_held
        && whole.retries >= part.retries
        && counts_cover(&whole.requests, &part.requests)
        && counts_cover(&whole.lateness, &part.lateness)
        && part.quarantine.iter().all(|page| whole.quarantine.contains(page))
        && part.request_ids.iter().all(|id| whole.request_ids.contains(id))
        && part.windows.iter().all(|p| whole.windows.iter().any(|w| w.from() <= p.from() && p.to() <= w.to()))
        && part.segments.iter().all(|p| {
            whole
                .segments
                .iter()
                .any(|w| (&w.key, w.lines, &w.sha256) == (&p.key, p.lines, &p.sha256) && (!w.adopted || p.adopted))
        })
}

fn counts_cover(whole: &Counts, part: &Counts) -> bool {
    part.iter().all(|(name, n)| whole.get(name).copied().unwrap_or_default() >= *n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{line, run_id, segment, user};
    use domain::{Class, Failure};
    use proptest::prelude::*;

    const OVERLAP: SignedDuration = SignedDuration::from_hours(72);

    type Receipts = Vec<Vec<ReceiptLine>>;

    fn unite(receipts: &[&Vec<ReceiptLine>], users: u8) -> BTreeMap<UserId, UserLine> {
        let mut shares: BTreeMap<UserId, Share> =
            (1..=users).map(|n| (user(n), Share::none(&run_id(), user(n)))).collect();
        for line in receipts.iter().copied().flatten() {
            shares.get_mut(&line.user_id).unwrap().take(line.clone());
        }
        shares.into_iter().map(|(user, share)| (user, share.into_line(OVERLAP))).collect()
    }

    fn candidates(receipts: &Receipts) -> Vec<Candidate> {
        receipts.iter().map(|lines| Candidate { lines: lines.clone(), optional: true }).collect()
    }

    fn read(user: u8, attempt: u8, new: u64, held: u64) -> ReceiptLine {
        let segments = if new > 0 { vec![segment(u64::from(attempt), new, false)] } else { Vec::new() };
        ReceiptLine {
            received: new + held,
            new,
            already_held: held,
            pages: 1,
            segments,
            ..line(user, attempt, Some(Class::Exported))
        }
    }

    #[test]
    fn a_late_receipt_that_shows_more_is_taken_away() {
        let on_time = vec![read(1, 1, 5, 0), line(2, 1, Some(Class::Failed(Failure::ServerError)))];
        let late = vec![read(2, 2, 3, 0)];
        let target = unite(&[&on_time], 2);
        assert_eq!(made_from(&run_id(), &target, &candidates(&vec![late, on_time]), OVERLAP), Some(vec![false, true]));
    }

    #[test]
    fn of_two_receipts_that_fit_the_one_that_leaves_the_sums_right_is_kept() {
        // The second attempt read the same five items again: its line alone would fit, both together do not.
        let (first, second) = (vec![read(1, 1, 5, 0)], vec![read(1, 2, 0, 5)]);
        let target = unite(&[&first], 1);
        assert_eq!(made_from(&run_id(), &target, &candidates(&vec![second, first]), OVERLAP), Some(vec![false, true]));
    }

    #[test]
    fn a_receipt_that_others_need_stays() {
        // Both receipts say the same of user 1, but only the first names user 2.
        let (first, second) = (vec![read(1, 1, 0, 5), read(2, 1, 0, 1)], vec![read(1, 2, 0, 5)]);
        let target = unite(&[&first], 2);
        for (receipts, expected) in
            [(vec![first.clone(), second.clone()], vec![true, false]), (vec![second, first], vec![false, true])]
        {
            assert_eq!(made_from(&run_id(), &target, &candidates(&receipts), OVERLAP), Some(expected));
        }
    }

    #[test]
    fn a_users_file_that_no_receipts_make_is_told() {
        let receipts = vec![vec![read(1, 1, 5, 0)]];
        let target = unite(&[&vec![read(1, 1, 4, 0)]], 1);
        assert_eq!(made_from(&run_id(), &target, &candidates(&receipts), OVERLAP), None);
    }

    fn receipts() -> impl Strategy<Value = Receipts> {
        let line = (1_u8..5, 0_u64..3, 0_u64..3, any::<bool>());
        proptest::collection::vec(proptest::collection::vec(line, 0..4), 0..7).prop_map(|receipts| {
            let lines = |(attempt, lines): (u8, Vec<(u8, u64, u64, bool)>)| {
                let made = (0_u64..).zip(lines).map(|(index, (user, new, held, handed_over))| {
                    let line = read(user, attempt, new, held);
                    let own = segment(u64::from(attempt) * 10 + index, new, false);
                    ReceiptLine {
                        class: line.class.filter(|_| !handed_over),
                        segments: if new > 0 { vec![own] } else { Vec::new() },
                        ..line
                    }
                });
                made.collect()
            };
            (1_u8..).zip(receipts).map(lines).collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_found_unites_to_what_lies_there(receipts in receipts(), present in any::<u8>()) {
            let chosen: Vec<&Vec<ReceiptLine>> =
                receipts.iter().enumerate().filter(|(i, _)| present >> i & 1 == 1).map(|(_, r)| r).collect();
            let target = unite(&chosen, 4);
            let found = made_from(&run_id(), &target, &candidates(&receipts), OVERLAP).unwrap();
            let kept: Vec<&Vec<ReceiptLine>> =
                receipts.iter().zip(&found).filter(|(_, kept)| **kept).map(|(r, _)| r).collect();
            prop_assert_eq!(unite(&kept, 4), target);
        }
    }
}
