//! Configuration from the environment, every fault at once.
//!
//! What is configured comes in parts by concern ([`Rules`], [`GraphSettings`], [`AwsSettings`], ...). A program names the
//! parts it needs as a type and gets them all, or one error that lists what is wrong with any of them:
//!
//! ```
//! # use domain::MapEnv;
//! use settings::{Place, Rules, Pace};
//!
//! # let environment = MapEnv::from([("OVERLAP_HOURS", "three"), ("QUIET_SECONDS", "-1")]);
//! let error = settings::from_env::<(Rules, Pace)>(&environment, Place::Lambda).unwrap_err();
//! assert_eq!(error.faults.len(), 2);
//! ```

mod aws;
mod graph;
mod reader;
mod rules;
mod variables;

use std::fmt;

pub use aws::AwsSettings;
pub use graph::{ApiVersion, Cloud, Credential, GraphSettings, Pace, Secret};
pub use reader::Reader;
pub use rules::Rules;
pub use variables::{VARIABLES, Variable};

use domain::{Env, TenantId};

/// Where the program runs: some variables differ there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// As a Lambda function: the secret lies in Secrets Manager.
    Lambda,
    /// On somebody's machine: the secret is given by hand.
    Local,
}

/// Something that is configured as a whole. A tuple of parts is a part.
pub trait Part: Sized {
    /// Reads the variables of this part and reports every fault to the reader; `None` if there was one.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
}

/// The parts, or every fault of all of them.
pub fn from_env<P: Part>(env: &dyn Env, place: Place) -> Result<P, InvalidConfiguration> {
    let mut reader = Reader::new(env, place);
    let part = P::read(&mut reader);
    let faults = reader.into_faults();
    match part {
        Some(part) if faults.is_empty() => Ok(part),
        _ => Err(InvalidConfiguration { faults }),
    }
}

/// The environment is not one this program can work in. Names every variable that is wrong, never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidConfiguration {
    /// What is wrong: each variable at most once.
    pub faults: Vec<Fault>,
}

impl fmt::Display for InvalidConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is invalid: ")?;
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

/// What is wrong with one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The variable's name.
    pub variable: &'static str,
    /// What is wrong, to be read after the name. Never holds the value: it may be a secret.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.variable, self.problem)
    }
}

impl Part for TenantId {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.required(&variables::GRAPH_TENANT_ID, "a GUID", |text| text.parse().ok())
    }
}

impl<A: Part, B: Part> Part for (A, B) {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // Each part is read before any is looked at: a fault in one must not hide those of another.
        let (a, b) = (A::read(reader), B::read(reader));
        Some((a?, b?))
    }
}

impl<A: Part, B: Part, C: Part> Part for (A, B, C) {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (a, b, c) = (A::read(reader), B::read(reader), C::read(reader));
        Some((a?, b?, c?))
    }
}
