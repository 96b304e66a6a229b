//! A finding, and all of them as a report.

use std::fmt::Write as _;

use graph::GraphError;
use serde::Serialize;

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it should.
    Good,
    /// To be fixed.
    Fix,
    /// It could not be looked at, or there is nothing to look at.
    NotChecked,
}

impl State {
    /// The word for it on the screen.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Fix => "FIX",
            Self::NotChecked => "not checked",
        }
    }
}

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The thing.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// What was seen, or why nothing was.
    pub says: String,
    /// What to do, where there is something to do.
    pub fix: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub fn good(name: impl Into<String>, says: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Good, says: says.into(), fix: None }
    }

    /// It has to be fixed, and this is how.
    pub fn fix(name: impl Into<String>, says: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Fix, says: says.into(), fix: Some(fix.into()) }
    }

    /// It was not looked at, for this reason.
    pub fn not_checked(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::NotChecked, says: why.into(), fix: None }
    }

    /// Graph or Entra refused; the error's own advice is the fix.
    pub(crate) fn of_graph(name: impl Into<String>, error: &GraphError) -> Self {
        let told = error.to_string();
        let (says, advice) = told.split_once(": ").unwrap_or((&told, "try again; if it stays, report it as a bug"));
        match error {
            GraphError::Token { .. } | GraphError::MissingRole { .. } | GraphError::Unauthorised { .. } => {
                Self::fix(name, says, advice)
            }
            GraphError::RetryAfter { .. } | GraphError::DeadlinePassed => {
                Self::fix(name, "Graph gave no answer in time", "try again later; see Microsoft's service health")
            }
            _ => Self::fix(name, format!("Graph {says}"), advice),
        }
    }

    fn line(&self) -> String {
        let fix = self.fix.as_ref().map_or_else(String::new, |fix| format!(" -> {fix}"));
        format!("{:<11}  {:<36}  {}{fix}\n", self.state.word(), self.name, self.says)
    }
}

/// All findings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order in which things depend on each other.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many things stand so.
    pub fn count(&self, state: State) -> usize {
        self.findings.iter().filter(|finding| finding.state == state).count()
    }

    /// A line for each finding, and one that counts them.
    pub fn text(&self) -> String {
        let mut text: String = self.findings.iter().map(Finding::line).collect();
        let [good, fix, not_checked] = [State::Good, State::Fix, State::NotChecked].map(|state| self.count(state));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{fix} to fix, {good} ok, {not_checked} not checked");
        text
    }

    /// The same for machines.
    pub fn json(&self) -> String {
        // Strings only: writing them cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_with_its_fix_in_it() {
        let report = Report {
            findings: vec![
                Finding::good("a", "stands"),
                Finding::fix("b", "is torn", "sew it"),
                Finding::not_checked("c", "too dark"),
            ],
        };
        let text = report.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), report.findings.len() + 1);
        assert!(lines[0].starts_with("ok ") && lines[1].starts_with("FIX ") && lines[2].starts_with("not checked "));
        assert!(lines[1].ends_with("is torn -> sew it"), "{text}");
        assert_eq!(lines[3], "1 to fix, 1 ok, 1 not checked");
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!((&json["findings"][1]["state"], &json["findings"][1]["fix"]), (&"fix".into(), &"sew it".into()));
    }

    #[test]
    fn the_advice_of_a_graph_error_is_the_fix() {
        let error = GraphError::Token { code: Some(7_000_222), advice: "create a new one" };
        let finding = Finding::of_graph("token", &error);
        assert_eq!(finding.says, "Entra issues no token (AADSTS7000222)");
        assert_eq!(finding.fix.as_deref(), Some("create a new one"));
        assert!(Finding::of_graph("x", &GraphError::PathNotSupported).says.starts_with("Graph does not support"));
        assert!(Finding::of_graph("x", &GraphError::TooLarge).fix.is_some());
    }
}
