//! The ledger: numbers, links, and each entry's files.

use std::collections::{BTreeMap, HashSet};

use super::{Check, FileFact, RunCheck, first_gap};
use crate::decode;
use crate::finding::Code;
use crate::form::LedgerEntry;
use crate::layout::{self, Key, RunFile};
use crate::source::SourceError;

impl Check<'_> {
    /// Reads the entries in order; their files are checked with their runs.
    pub(super) fn read_ledger(&mut self) -> Result<(), SourceError> {
        let keys = self.inventory.ledger.clone();
        if let Some(number) = first_gap(keys.keys())
            && let Some(key) = keys.values().next_back()
        {
            self.found.verdict.add(Code::LedgerGap, key, format!("the ledger has no entry {number}, and later ones"));
        }
        let mut before: Option<(u64, String)> = None;
        let mut runs: HashSet<String> = HashSet::new();
        let mut head_found = self.expectation.ledger_head.is_none();
        for (number, key) in keys {
            let Some(bytes) = self.source.read(&key)? else {
                self.found.verdict.add(Code::LedgerGap, &key, "was listed and is not there any more");
                continue;
            };
            let sha256 = decode::sha256(&bytes);
            head_found |= self.expectation.ledger_head.as_ref() == Some(&(number, sha256.clone()));
            let entry = decode::value::<LedgerEntry>(&bytes);
            match &entry {
                Err(error) => self.found.verdict.add(Code::LedgerInvalid, &key, error.to_string()),
                Ok(entry) if entry.n != number || !layout::is_run_id(&entry.run_id) => {
                    self.found.verdict.add(
                        Code::LedgerInvalid,
                        &key,
                        "has another number than its key, or no valid run id",
                    );
                }
                Ok(entry) => {
                    let linked = match &before {
                        None => number > 1 || entry.previous.is_none(),
                        // Across a gap, which is its own finding, there is no entry to compare with.
                        Some((last, hash)) => last + 1 != number || entry.previous.as_ref() == Some(hash),
                    };
                    if !linked {
                        self.found.verdict.add(Code::LedgerLink, &key, "does not name the hash of the entry before it");
                    }
                    if !runs.insert(entry.run_id.clone()) {
                        self.found.verdict.add(
                            Code::LedgerRunTwice,
                            &key,
                            "names a run that an entry before it closed",
                        );
                    }
                }
            }
            before = Some((number, sha256));
            if let Ok(entry) = entry {
                self.ledger.push((key, entry));
            }
        }
        if !head_found && let Some((number, _)) = &self.expectation.ledger_head {
            let sentence = format!("entry {number} is not there with the hash that was noted outside");
            self.found.verdict.add(Code::LedgerHead, "ledger/", sentence);
        }
        self.found.verdict.numbers.ledger_entries = self.inventory.ledger.len() as u64;
        self.found.verdict.numbers.ledger_head = before;
        Ok(())
    }
}

impl RunCheck<'_, '_> {
    /// Compares the files that an entry names with those that lie there, and with those that a closed run has.
    /// Of a run that is past, what is missing has expired.
    pub(super) fn check_entry(
        &mut self,
        key: &str,
        entry: &LedgerEntry,
        files: &BTreeMap<String, FileFact>,
        past: bool,
    ) {
        let verdict = &mut self.found.verdict;
        let mut seen = HashSet::new();
        for file in &entry.files {
            let own = match layout::parse(&file.key) {
                Some(Key::Run { run, .. } | Key::Receipt { run, .. }) => run == entry.run_id,
                _ => false,
            };
            if !own || !seen.insert(file.key.as_str()) {
                verdict.add(Code::LedgerFiles, key, "names a file twice, or one that is not of its run");
                continue;
            }
            let Some(fact) = files.get(&file.key) else {
                if past {
                    self.found.past.run_files += 1;
                    continue;
                }
                verdict.add(Code::LedgerFileMissing, &file.key, format!("is named by {key} and is not there"));
                continue;
            };
            verdict.numbers.run_files += 1;
            if fact.sha256 != file.sha256 {
                verdict.add(Code::LedgerFileHash, &file.key, format!("is not the file that {key} names: another hash"));
            } else if fact.bytes != file.bytes || fact.lines != file.lines {
                verdict.add(
                    Code::LedgerFileSize,
                    &file.key,
                    format!("has another size or count of lines than {key} says"),
                );
            }
        }
        for file in RunFile::ALL {
            if !seen.contains(file.key(&entry.run_id).as_str()) {
                verdict.add(Code::LedgerFiles, key, format!("does not name the run's {}", file.name()));
            }
        }
    }
}
