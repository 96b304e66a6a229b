//! What this crate makes of an archive's records, as JSON: for whoever implements the rules a second time.
//!
//! Takes the lines of segments on the standard input, in any order of users, and writes a line per record and a line per turn.
//!
//! ```sh
//! zstd -dcq interactions/*/*/*/segment-*.jsonl.zst | cargo run -p views --example arranged
//! ```

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write as _};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use views::{Fetched, Interaction, PairedBy, Place, RULE_VERSION, arrange};

#[derive(Debug, Deserialize)]
struct Record<'a> {
    user_id: &'a str,
    fetched_at: Timestamp,
    #[serde(borrow)]
    interaction: &'a RawValue,
}

/// A record: the line of the input, from 1, what it says, and what it is to the others.
#[derive(Debug, Serialize)]
struct Row<'a> {
    line: usize,
    rule_version: u32,
    #[serde(flatten)]
    interaction: &'a Interaction,
    #[serde(flatten)]
    place: &'a Place,
    /// The line of the interaction that this one repeats.
    near_duplicate_line: Option<usize>,
}

/// A turn, its interactions by their lines.
#[derive(Debug, Serialize)]
struct Turn<'a> {
    user_id: &'a str,
    turn_id: Option<&'a str>,
    paired_by: PairedBy,
    prompts: Vec<usize>,
    answers: Vec<usize>,
    prompted_at: Option<Timestamp>,
    answered_at: Option<Timestamp>,
    automatic_reason: Option<&'static str>,
}

fn main() -> io::Result<()> {
    let lines = io::stdin().lines().collect::<io::Result<Vec<String>>>()?;
    let mut users: BTreeMap<&str, Vec<(usize, Timestamp, Interaction)>> = BTreeMap::new();
    for (number, line) in (1..).zip(&lines) {
        let record: Record<'_> = serde_json::from_str(line)?;
        let read = (number, record.fetched_at, Interaction::read(record.interaction.get()));
        users.entry(record.user_id).or_default().push(read);
    }
    let mut out = BufWriter::new(io::stdout().lock());
    for (user_id, rows) in &users {
        let fetched: Vec<Fetched<'_>> =
            rows.iter().map(|(_, fetched_at, interaction)| Fetched { interaction, fetched_at: *fetched_at }).collect();
        let arranged = arrange(&fetched);
        let lines = |at: &[usize]| at.iter().map(|at| rows[*at].0).collect();
        for ((line, _, interaction), place) in rows.iter().zip(&arranged.places) {
            let near_duplicate_line = place.near_duplicate_of.map(|at| rows[at].0);
            let row = Row { line: *line, rule_version: RULE_VERSION, interaction, place, near_duplicate_line };
            writeln!(out, "{}", serde_json::to_string(&row)?)?;
        }
        for turn in &arranged.turns {
            let turn = Turn {
                user_id,
                turn_id: turn.turn_id.as_deref(),
                paired_by: turn.paired_by,
                prompts: lines(&turn.prompts),
                answers: lines(&turn.answers),
                prompted_at: turn.prompted_at,
                answered_at: turn.answered_at,
                automatic_reason: turn.automatic_reason,
            };
            writeln!(out, "{}", serde_json::to_string(&turn)?)?;
        }
    }
    out.flush()
}
