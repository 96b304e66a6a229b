//! A simulated Microsoft Graph: tenant, truth, token endpoint, faults and limits.
//!
//! A [`Tenant`] is the truth: it is made before any HTTP exists, and what an exporter should have archived is read from it
//! alone. A [`Simulator`] answers requests about it, in the same process or behind [`serve()`], on whatever clock it is given;
//! [`Switches`] say how, from the strongest evidence to the worst day, and a [`Ledger`] keeps what was asked.

#![expect(clippy::result_large_err, reason = "a refusal is an answer like any other, moved once a request")]

mod answer;
mod directory;
mod fault;
mod forms;
mod generate;
mod grading;
mod hostile;
mod interactions;
mod ledger;
mod limiter;
mod login;
mod query;
mod route;
mod serve;
mod shapes;
mod simulator;
mod switches;
mod tenant;
mod words;

pub use answer::{Answer, Transport};
pub use fault::{Fault, Matcher, Rule};
pub use forms::{Form, forms};
pub use generate::Profile;
pub use grading::{Script, Step, write_forms, write_truth};
pub use ledger::{Ledger, Record, RequestKind};
pub use serve::{Server, serve};
pub use shapes::{huge, plain};
pub use simulator::Simulator;
pub use switches::{
    Bounds, DeletedUsers, FilterOn, GROUPS_ROLE, INTERACTIONS_ROLE, LICENCES_ROLE, Order, Quota, QuotaStep, RetryAfter,
    Switches, TopAbove, USERS_ROLE,
};
pub use tenant::{
    Application, CHAT_PLAN, Certificate, Edit, Facts, Federation, Folder, Group, Item, Licence, Plan, Sku, Tenant,
    User, UserState, numbered,
};
