//! What a grader needs on disk, and what the ledger says in words.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::forms::forms;
use crate::ledger::{Ledger, RequestKind};
use crate::switches::Switches;
use crate::tenant::Tenant;

/// What the service does and when that changes: the form of a switches file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// The switches at the start.
    pub switches: Switches,
    /// What is set later, oldest first.
    pub schedule: Vec<Step>,
}

/// A change of switches at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When, on the simulator's clock.
    pub at: jiff::Timestamp,
    /// The switches that change, as in `Switches`.
    pub set: serde_json::Value,
}

impl Script {
    /// Reads a script, and tries every step of its schedule.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        let script: Self = serde_json::from_str(json)?;
        for step in &script.schedule {
            script.switches.patched(&step.set)?;
        }
        Ok(script)
    }
}

#[derive(Serialize)]
struct UserLine<'a> {
    user_id: domain::UserId,
    upn: &'a str,
    #[serde(flatten)]
    facts: crate::tenant::Facts,
    /// Whether Graph shows the history under the default switches.
    readable: bool,
}

/// Writes what an exporter should have: `users.jsonl` with a line per user, for every user with items `<user id>.jsonl` with an
/// item per line, and `expected-text.jsonl` with what a person read, by user and line.
pub fn write_truth(tenant: &Tenant, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let create = |name: &str| File::create(folder.join(name)).map(BufWriter::new);
    let (mut users, mut expected) = (create("users.jsonl")?, create("expected-text.jsonl")?);
    for user in tenant.users() {
        let Some(facts) = tenant.facts(user.id) else { continue };
        let readable = facts.licensed && facts.state == crate::UserState::Normal;
        let line = UserLine { user_id: user.id, upn: &user.upn, facts, readable };
        serde_json::to_writer(&mut users, &line)?;
        users.write_all(b"\n")?;
        if user.items().is_empty() {
            continue;
        }
        let mut items = create(&format!("{}.jsonl", user.id))?;
        for text in tenant.truth(user.id) {
            // A newline can only stand between the parts of a text: a line without it is the same item.
            match text.find('\n').or_else(|| text.find('\r')) {
                Some(_) => items.write_all(text.replace(['\r', '\n'], "").as_bytes())?,
                None => items.write_all(text.as_bytes())?,
            }
            items.write_all(b"\n")?;
        }
        items.flush()?;
        // An item's texts follow each other in the file: its later ones move the lines of those after it.
        let mut number = 1;
        for item in user.items() {
            if let Some(text) = &item.expected_text {
                let line = serde_json::json!({ "user_id": user.id, "line": number, "text": text });
                writeln!(expected, "{line}")?;
            }
            number += 1 + item.edits.len();
        }
    }
    users.flush()?;
    expected.flush()
}

/// Writes every form of item, one a line as JSON: name, item, and what a reader should make of it.
pub fn write_forms(file: &Path) -> io::Result<()> {
    let mut lines = BufWriter::new(File::create(file)?);
    for form in forms() {
        serde_json::to_writer(&mut lines, &form)?;
        lines.write_all(b"\n")?;
    }
    lines.flush()
}

impl Ledger {
    /// The ledger in a few lines, with the numbers a grader looks at first. `grace` is how long an answer may be under way.
    pub fn summary(&self, grace: Duration) -> String {
        let mut text = String::new();
        for (kind, name) in [
            (RequestKind::Token, "token"),
            (RequestKind::Directory, "directory"),
            (RequestKind::Interactions, "interactions"),
            (RequestKind::Other, "other"),
        ] {
            let statuses = self.statuses(kind);
            let total: usize = statuses.values().sum();
            let parts = statuses.iter().map(|(status, count)| match status {
                0 => format!("no answer {count}"),
                status => format!("{status}: {count}"),
            });
            let _ = writeln!(text, "{name:<13} {total:>7} requests   {}", parts.collect::<Vec<_>>().join("   "));
        }
        let _ = writeln!(
            text,
            "most requests for interactions within a second {}, within a minute {}, before a Retry-After was over {}",
            self.max_per_second(),
            self.max_per_minute(),
            self.requests_before_retry_after_with_grace(grace)
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_refused_as_a_whole() {
        let good = r#"{"switches":{"ge_le":true},"schedule":[{"at":"2026-11-24T04:00:00Z","set":{"quota":{"per_second":3}}}]}"#;
        assert_eq!(Script::from_json(good).unwrap().schedule.len(), 1);
        assert!(Script::from_json(&good.replace("per_second", "per_sec")).is_err());
        assert!(Script::from_json(&good.replace("set", "sets")).is_err());
    }
}
