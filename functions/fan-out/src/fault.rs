//! What is wrong with a payload: a place and a sentence, never a value.

use std::fmt;

/// One thing that is wrong with a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    at: String,
    problem: &'static str,
}

impl Fault {
    /// A fault of this field.
    pub(crate) fn of(field: &str, problem: &'static str) -> Self {
        Self { at: field.to_owned(), problem }
    }

    /// A fault of this entry of a list.
    pub(crate) fn at(field: &str, index: usize, problem: &'static str) -> Self {
        Self { at: format!("{field}[{index}]"), problem }
    }

    /// The field or position: `to`, `users[3]`.
    pub fn field(&self) -> &str {
        &self.at
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &'static str {
        self.problem
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.at, self.problem)
    }
}

/// All that is wrong with a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// These faults; nothing if there are none.
    pub(crate) fn check(faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }

    /// Each fault, in the order of the payload.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
