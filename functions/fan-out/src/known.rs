//! What earlier runs proved of each user: the newest line of a users file.

use std::collections::{BTreeMap, BTreeSet};

use archive::Archive;
use archive::records::UserLine;
use domain::{Clock, Deadline, Timestamp, UserId};

use crate::FanOutError;
use crate::estimate::Known;

/// The most lines looked through: sixteen runs of 300,000 users, three years of 5,000. A user with none in there is as
/// good as new, and gets one from the next daily run.
const MAX_LINES: usize = 5_000_000;

/// The newest users-file line of each of these users that has one, by walking the ledger backwards until everybody is
/// found, or the files of the runs have expired.
pub(crate) async fn newest(
    archive: &Archive,
    mut wanted: BTreeSet<UserId>,
    kept_since: Timestamp,
    clock: &dyn Clock,
    by: Deadline,
) -> Result<BTreeMap<UserId, Known>, FanOutError> {
    let mut known = BTreeMap::new();
    let mut looked_through = 0;
    let mut n = archive.ledger_highest().await?;
    while n > 0 && !wanted.is_empty() && looked_through < MAX_LINES {
        let (_, entry) = archive.ledger_entry(n).await?;
        n -= 1;
        // Entries are in the order of closing.
        if entry.closed_at < kept_since {
            break;
        }
        if by.passed(clock.now()) {
            return Err(FanOutError::DeadlinePassed);
        }
        let lines = archive.users(&entry.run_id).await?.unwrap_or_default();
        looked_through += lines.len();
        for line in lines {
            if wanted.remove(&line.user_id) {
                known.insert(line.user_id, of_line(&line));
            }
        }
    }
    Ok(known)
}

fn of_line(line: &UserLine) -> Known {
    Known {
        covered_from: line.covered_from,
        covered_to: line.covered_to,
        received: line.received as f64,
        hours: line.windows.iter().map(|window| window.length().as_secs_f64() / 3600.0).sum(),
    }
}
