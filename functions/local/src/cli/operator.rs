//! The options of the operator's commands.

use clap::{ArgGroup, Args};
use domain::{Timestamp, UserId};

use super::time;
use crate::location::Location;

/// The options of `coverage`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["from", "to", "drop"]))]
pub struct CoverageArgs {
    /// The folder of the archive, or s3://BUCKET/PREFIX; STATE_BUCKET names the bucket of the state if it has its own.
    #[arg(long, value_name = "DIR", default_value = "./archive")]
    pub archive: Location,

    /// The person's object id.
    #[arg(long, value_name = "ID")]
    pub user: UserId,

    /// Keep only what is covered after this time: RFC 3339, or a date for its midnight in UTC.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Timestamp>,

    /// Keep only what is covered up to this one.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<Timestamp>,

    /// Keep nothing: the next daily run begins with the person as with a new one.
    #[arg(long, conflicts_with_all = ["from", "to"])]
    pub drop: bool,

    /// Do it. Without this it is only said.
    #[arg(long)]
    pub yes: bool,
}

/// The options of `erase`.
#[derive(Debug, Clone, Args)]
pub struct EraseArgs {
    /// The folder of the archive, or s3://BUCKET/PREFIX; STATE_BUCKET has to name the bucket of the state then, which may be
    /// the same.
    #[arg(long, value_name = "DIR", default_value = "./archive")]
    pub archive: Location,

    /// The person's object id.
    #[arg(long, value_name = "ID")]
    pub user: UserId,

    /// Why, in one short line without a name: it stands in the tombstone, which stays.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,

    /// Set GOVERNANCE retentions aside, which needs a permission of its own.
    #[arg(long)]
    pub bypass_governance: bool,

    /// Do it. Without this it is only said.
    #[arg(long)]
    pub yes: bool,
}

/// The options of `hold`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["on", "off", "list"]))]
pub struct HoldArgs {
    /// The bucket of the archive, as s3://BUCKET/PREFIX. A folder holds nothing.
    #[arg(long, value_name = "DIR", default_value = "./archive")]
    pub archive: Location,

    /// The person's object id.
    #[arg(long, value_name = "ID", required_unless_present = "list", conflicts_with = "list")]
    pub user: Option<UserId>,

    /// Hold the person: whatever is archived from now on, and everything that is there.
    #[arg(long)]
    pub on: bool,

    /// Release the hold, on all of it.
    #[arg(long)]
    pub off: bool,

    /// Say who is held since when, and how much of it is not; changes nothing.
    #[arg(long)]
    pub list: bool,

    /// Why, in one short line without a name: it stands beside the hold or its release, and stays.
    #[arg(long, value_name = "TEXT", value_parser = reason, conflicts_with = "list")]
    pub reason: Option<String>,

    /// Do it. Without this it is only said.
    #[arg(long)]
    pub yes: bool,
}

fn reason(text: &str) -> Result<String, &'static str> {
    if custody::erase::is_reason(text) { Ok(text.to_owned()) } else { Err("is no short line of text") }
}
