//! The functions' real binaries, end to end. `tests/functions` builds them and prints what to set FUNCTIONS_DIR to.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "the tests' own helpers fail loudly, and tell how"
)]

mod deliveries;
mod ends;
mod holds;
mod landings;
mod one_run;
mod processes;

mod refusals;
mod sweep;
mod timeouts;

use std::time::Duration;

use domain::{Clock, SystemClock, TenantId, Timestamp, UserId};
use graph_simulator::{Folder, Item, Tenant, plain};
use jiff::SignedDuration;
use lambda_harness::{CANARY, Line};
use queue::{Delivery, Options};
use serde_json::Value;

/// How long an answer may be on its way to a process: longer than a busy machine stands still.
const GRACE: Duration = Duration::from_secs(6);

/// Longer than any test waits, in milliseconds.
const NEVER: u64 = 3_600_000;

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// A tenant at the machine's time, with nobody in it.
fn tenant() -> Tenant {
    let now = Timestamp::from_second(SystemClock.now().as_second()).unwrap();
    Tenant::new(TenantId::from_bytes([7; 16]), now)
}

/// A licensed user with `count` items, one every `every` back from `newest` before the tenant's now.
fn user(tenant: &mut Tenant, number: u64, count: usize, newest: SignedDuration, every: SignedDuration) -> UserId {
    let user = tenant.add_licensed(number);
    let mut created = tenant.now - newest;
    for n in 0..count {
        let folder = if n % 2 == 0 { Folder::TeamsMessagesData } else { Folder::TeamChat };
        let text = plain(user, n, created).replace("\"Item", &format!("\"{CANARY}"));
        assert!(tenant.add_item(user, Item::new(text, created).in_folder(folder)));
        created -= every;
    }
    user
}

/// A queue that gives a message up after so many receptions.
fn given_up_after(max_receive_count: u32) -> Options {
    Options { max_receive_count, ..Options::default() }
}

/// What a batch is given where the time is to be up for these of its messages: twice as much each time they come again, since on
/// a busy machine the margin that is left of it may be over before anybody could look.
fn more_each_time<'a>(first: Duration, messages: impl IntoIterator<Item = &'a Delivery>) -> Duration {
    let received = messages.into_iter().map(|message| message.receive_count).max().unwrap_or(1);
    first * 2_u32.saturating_pow(received - 1)
}

/// A daily run scheduled for this time.
fn daily(at: Timestamp) -> String {
    format!(r#"{{"scheduledTime":"{at}"}}"#)
}

/// The lines with this message.
fn messages<'a>(lines: &'a [Line], message: &'a str) -> impl Iterator<Item = Value> + 'a {
    let lines = lines.iter().map(|line| serde_json::from_str::<Value>(&line.text).unwrap());
    lines.filter(move |line| line["message"] == message)
}
