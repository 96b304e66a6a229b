//! The receipts of a run, added up.

use std::collections::{BTreeMap, BTreeSet};

use archive::records::{FileRef, ReceiptLine, RosterLine, UserLine};
use archive::{Archive, ArchiveError, layout};
use domain::{AttemptId, Class, RunId, UserId};
use jiff::SignedDuration;

use crate::numbers::Roster;
use crate::origin::{Candidate, made_from};
use crate::share::Share;

/// A receipt that was read.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    /// What the ledger says of it.
    pub(crate) file: FileRef,
    /// The attempt that wrote it; none if it has no line.
    pub(crate) attempt: Option<AttemptId>,
    /// Whether its lines keep their equations, name one attempt, this run and planned users only, and agree with those of
    /// other receipts.
    pub(crate) sound: bool,
}

/// The receipts of a run, added up by user.
///
/// One receipt object is in memory at a time. What stays is one [`Share`] per planned user, about 0.8 kB for a user with
/// nothing new and 1.6 kB for one with a segment, and the lines are held a second time while the users file is put: 0.7 GB at
/// the peak for 300,000 users of whom a third had something new.
#[derive(Debug)]
pub(crate) struct Tally {
    shares: BTreeMap<UserId, Share>,
    receipts: Vec<Receipt>,
}

/// Reads a run's roster; none if it has none.
pub(crate) async fn read_roster(archive: &Archive, run: &RunId) -> Result<Option<Roster>, ArchiveError> {
    let mut roster = Roster::default();
    let file = archive.read_lines(&layout::roster(run), |line: RosterLine| roster.take(&line)).await?;
    Ok(file.map(|_| roster.sorted()))
}

impl Tally {
    /// Adds up the receipts that a run has now.
    pub(crate) async fn read(archive: &Archive, run: &RunId, planned: &[UserId]) -> Result<Self, ArchiveError> {
        let shares = planned.iter().map(|&user| (user, Share::none(run, user))).collect();
        let mut tally = Self { shares, receipts: Vec::new() };
        for key in archive.list(&layout::receipts_prefix(run)).await? {
            let (mut attempt, mut sound) = (None, true);
            let take = |line| sound &= tally.take(run, &mut attempt, line);
            // Listed and gone is an error of the archive that its audit names; without the object nothing can be added.
            if let Some(file) = archive.read_lines(&key, take).await? {
                tally.receipts.push(Receipt { file, attempt, sound });
            }
        }
        Ok(tally)
    }

    fn take(&mut self, run: &RunId, attempt: &mut Option<AttemptId>, line: ReceiptLine) -> bool {
        let own = line.run_id == *run && *attempt.get_or_insert_with(|| line.attempt_id.clone()) == line.attempt_id;
        match self.shares.get_mut(&line.user_id) {
            Some(share) => share.take(line) && own,
            // Not planned: the line counts for nobody, and the run is not proved.
            None => false,
        }
    }

    /// Users without any class.
    pub(crate) fn missing(&self) -> impl Iterator<Item = UserId> {
        self.shares.iter().filter(|(_, share)| share.class().is_none()).map(|(user, _)| *user)
    }

    /// How many users keep the run open: those without any class, and those that failed, whom a message delivered again may
    /// still read.
    pub(crate) fn waiting(&self) -> u64 {
        let waits = |share: &&Share| share.class().is_none_or(Class::is_failed);
        u64::try_from(self.shares.values().filter(waits).count()).unwrap_or(u64::MAX)
    }

    /// The lines of the users file, sorted by user, and the receipts they were made from.
    pub(crate) fn into_lines(self, overlap: SignedDuration) -> (Vec<UserLine>, Vec<Receipt>) {
        (self.shares.into_values().map(|share| share.into_line(overlap)).collect(), self.receipts)
    }
}

/// Of the receipts read, those that the users file which lies `there` was made from; `None` if they cannot be found. The
/// receipts now unite to `united`.
///
/// Reads every receipt twice more, so that only lines matter to memory that matter to the search.
pub(crate) async fn receipts_of(
    archive: &Archive,
    run: &RunId,
    there: &[UserLine],
    united: &[UserLine],
    receipts: Vec<Receipt>,
    overlap: SignedDuration,
) -> Result<Option<Vec<Receipt>>, ArchiveError> {
    let there: BTreeMap<UserId, &UserLine> = there.iter().map(|line| (line.user_id, line)).collect();
    if !there.keys().eq(united.iter().map(|line| &line.user_id)) {
        return Ok(None);
    }
    let differs = |line: &&UserLine| there.get(&line.user_id) != Some(line);
    let differing: BTreeSet<UserId> = united.iter().filter(differs).map(|line| line.user_id).collect();
    let (mut optional, mut concerned) = (Vec::new(), differing.clone());
    for receipt in &receipts {
        let mut users = BTreeSet::new();
        archive.read_lines(&receipt.file.key, |line: ReceiptLine| _ = users.insert(line.user_id)).await?;
        optional.push(!users.is_disjoint(&differing));
        if !users.is_disjoint(&differing) {
            concerned.append(&mut users);
        }
    }
    let targets: BTreeMap<UserId, UserLine> =
        concerned.iter().filter_map(|user| Some((*user, UserLine::clone(there.get(user)?)))).collect();
    let mut candidates = Vec::new();
    for (receipt, optional) in receipts.iter().zip(optional) {
        let mut lines = Vec::new();
        let take = |line: ReceiptLine| {
            if targets.contains_key(&line.user_id) {
                lines.push(line);
            }
        };
        archive.read_lines(&receipt.file.key, take).await?;
        candidates.push(Candidate { lines, optional });
    }
    let kept = made_from(run, &targets, &candidates, overlap);
    Ok(kept.map(|kept| receipts.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(receipt, _)| receipt).collect()))
}
