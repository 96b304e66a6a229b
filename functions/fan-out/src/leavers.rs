//! Who lost the licence lately. Their last questions may lie after the newest window that was read, so they are read on
//! for some days; Graph says itself when it has nothing to show any more.

use std::collections::{BTreeMap, BTreeSet};

use archive::records::{RosterLine, Why};
use archive::{Archive, layout};
use domain::{Clock, Deadline, Kind, Timestamp, UserId};
use graph::DirectoryUser;

use crate::FanOutError;

/// The most lines looked through: sixteen rosters of 300,000 users, three years of 5,000. Beyond that, somebody who left is
/// dropped earlier than was asked for, which the log says.
const MAX_LINES: usize = 5_000_000;

/// The users whom a closed run that began since then planned for their licence and who are not among these any more, each
/// as the newest such roster names them.
pub(crate) async fn since(
    archive: &Archive,
    since: Timestamp,
    licensed: &BTreeSet<UserId>,
    clock: &dyn Clock,
    by: Deadline,
) -> Result<BTreeMap<UserId, DirectoryUser>, FanOutError> {
    let mut leavers = BTreeMap::new();
    let mut looked_through = 0;
    let mut n = archive.ledger_highest().await?;
    while n > 0 {
        if by.passed(clock.now()) {
            return Err(FanOutError::DeadlinePassed);
        }
        let (_, entry) = archive.ledger_entry(n).await?;
        n -= 1;
        // Entries are in the order of closing, and a run closes after it begins.
        if entry.closed_at < since {
            break;
        }
        let Some(run) = archive.run(&entry.run_id).await? else { continue };
        // The other kinds plan whom the daily ones found.
        if run.started_at < since || !matches!(run.kind, Kind::Daily | Kind::OnDemand) {
            continue;
        }
        if looked_through >= MAX_LINES {
            tracing::warn!(run_id = %run.run_id, "leavers are looked for back to this run, not over all of LEAVER_DAYS");
            break;
        }
        let take = |line: RosterLine| {
            looked_through += 1;
            if line.why == Why::Licensed && line.planned && !licensed.contains(&line.user_id) {
                leavers.entry(line.user_id).or_insert_with(|| as_named(line));
            }
        };
        archive.read_lines(&layout::roster(&run.run_id), take).await?;
    }
    Ok(leavers)
}

/// Names and kind are the last known; of the account and its licences nothing is known now.
fn as_named(line: RosterLine) -> DirectoryUser {
    DirectoryUser {
        id: line.user_id,
        upn: line.upn,
        display_name: line.display_name,
        mail: line.mail,
        account_enabled: None,
        user_type: line.user_type,
        licences: Vec::new(),
        plan_enabled: false,
    }
}
