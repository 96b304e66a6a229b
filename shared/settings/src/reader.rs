//! Reads variables and collects what is wrong with them.

use std::fmt;
use std::ops::RangeInclusive;

use domain::Env;

use crate::variables::Variable;
use crate::{Fault, Place};

/// What a [`Part`](crate::Part) reads its variables from.
pub struct Reader<'a> {
    env: &'a dyn Env,
    place: Place,
    faults: Vec<Fault>,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("place", &self.place).field("faults", &self.faults).finish_non_exhaustive()
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(env: &'a dyn Env, place: Place) -> Self {
        Self { env, place, faults: Vec::new() }
    }

    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The variable's value or default. An empty value counts as none: CloudFormation passes empty strings for what was
    /// not given.
    pub(crate) fn text(&self, variable: &Variable) -> Option<String> {
        let default = match self.place {
            Place::Local => variable.local_default.or(variable.default),
            Place::Lambda => variable.default,
        };
        let set = self.env.var(variable.name).filter(|value| !value.is_empty());
        set.or_else(|| default.map(str::to_owned)).filter(|value| !value.is_empty())
    }

    /// The value of a variable that must have one. `expected` is read after "must be".
    pub(crate) fn required<T>(
        &mut self,
        variable: &Variable,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let Some(text) = self.text(variable) else {
            self.fault(variable, format!("is not set: set it to {expected}"));
            return None;
        };
        self.parsed(variable, &text, expected, parse)
    }

    /// The value of a variable that may have none: `Some(None)` then, `None` if it has a fault.
    pub(crate) fn optional<T>(
        &mut self,
        variable: &Variable,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.text(variable) {
            Some(text) => self.parsed(variable, &text, expected, parse).map(Some),
            None => Some(None),
        }
    }

    /// A whole number within bounds.
    pub(crate) fn number(&mut self, variable: &Variable, bounds: RangeInclusive<u32>) -> Option<u32> {
        let expected = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        self.required(variable, &expected, |text| text.parse().ok().filter(|number| bounds.contains(number)))
    }

    pub(crate) fn fault(&mut self, variable: &Variable, problem: String) {
        self.faults.push(Fault { variable: variable.name, problem });
    }

    fn parsed<T>(
        &mut self,
        variable: &Variable,
        text: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = parse(text);
        if value.is_none() {
            self.fault(variable, format!("must be {expected}"));
        }
        value
    }
}
