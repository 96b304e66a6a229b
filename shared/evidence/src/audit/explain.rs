//! The receipts behind what was read, for whoever wants to see every line that a figure rests on.

use std::collections::{HashMap, HashSet};

use super::UserAudit;
use crate::archive::{self, Archive, ReadError};
use crate::coverage::{Place, Proof};
use crate::decode;
use crate::form::Line;
use crate::source::Source;

/// Names at each window of a users file the receipts' lines that it is made of. Receipts are read a run at a time.
pub(super) fn name_receipts(source: &dyn Source, archive: &Archive, users: &mut [UserAudit]) -> Result<(), ReadError> {
    for closed in &archive.closed {
        let run = closed.run.run_id.as_str();
        let mut proofs: HashMap<&str, Vec<&mut Proof>> = HashMap::new();
        for user in &mut *users {
            let all = user.coverage.intervals.iter_mut().flat_map(|interval| &mut interval.proofs);
            let own: Vec<&mut Proof> = all.filter(|proof| proof.run == run).collect();
            if !own.is_empty() {
                proofs.insert(&user.person.user_id, own);
            }
        }
        let of_run: HashSet<String> = proofs.keys().map(|user| (*user).to_owned()).collect();
        for key in closed.receipts.iter().filter(|_| !of_run.is_empty()) {
            archive::for_each_line_of(source, key, &of_run, |number, line| {
                let line: Line<'_> = decode::value(line)?;
                for proof in proofs.get_mut(&*line.user_id).into_iter().flatten() {
                    proof.receipts.push(Place { key: key.clone(), line: number });
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}
