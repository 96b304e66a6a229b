//! Writes what this version leaves in the middle of its runs into a folder, for `tests/archives` and for another version to
//! finish: `cargo run -p end-to-end --example in-flight -- FOLDER`.
#![expect(clippy::expect_used, reason = "what cannot be made is not to be kept")]

use std::path::PathBuf;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let folder = std::env::args_os().nth(1).expect("a folder");
    end_to_end::half_way::half_way().await.save(&PathBuf::from(folder));
}
