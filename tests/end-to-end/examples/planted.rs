//! Writes the archive of a planted history into a folder, and what the plan says was read, a line of JSON for each user: for
//! whoever reads archives by other means.
//!
//! ```sh
//! cargo run -p end-to-end --example planted -- ARCHIVE READ.jsonl
//! ```

#![expect(clippy::unwrap_used, reason = "a tool of the tests fails loudly")]

use std::fs;
use std::path::PathBuf;

use end_to_end::planted::{Planted, asked, begin, derive};
use jiff::SignedDuration;
use serde_json::json;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (root, read) = (arguments.next().unwrap(), arguments.next().unwrap());
    let planted = Planted::carried_out().await;
    for (key, bytes) in planted.world.source().objects {
        let path = root.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let tenant = planted.world.simulator.tenant();
    let at = |hour: i64| (begin() + SignedDuration::from_hours(hour)).to_string();
    let lines = planted.plans.iter().map(|(user, days)| {
        let by_day = derive(days, asked()).intervals.into_iter().map(|(from, to, _)| (from, to));
        let read = planted.ranges.get(user).into_iter().flatten().copied().chain(by_day);
        let windows: Vec<[String; 2]> = read.map(|(from, to)| [at(from), at(to)]).collect();
        let upn = tenant.user(*user).map(|user| user.upn.clone());
        json!({"user_id": user.to_string(), "upn": upn, "read": windows}).to_string() + "\n"
    });
    fs::write(read, lines.collect::<String>()).unwrap();
}
