//! The environment.

use settings::InvalidConfiguration;

use crate::finding::Finding;

/// What the settings make of the environment: each fault is a finding of its own.
pub fn configuration(faults: Option<&InvalidConfiguration>) -> Vec<Finding> {
    const NAME: &str = "configuration";
    let Some(invalid) = faults else {
        return vec![Finding::good(NAME, "every variable is one that the program takes")];
    };
    let finding =
        |fault: &settings::Fault| Finding::fix(NAME, format!("{} is wrong", fault.variable), fault.to_string());
    invalid.faults.iter().map(finding).collect()
}

/// A credential that cannot be used before anybody is asked: why, and what to do.
pub fn credential(reason: &str) -> Finding {
    let (says, fix) = reason.split_once("; ").unwrap_or((reason, "give the credential again as the README says"));
    Finding::fix("credential", says, fix)
}
