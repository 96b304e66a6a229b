//! What a page, a run and a month cost, beside the goals.
//!
//! Run by hand, on a machine that is otherwise idle: `cargo run --release -p benchmarks`. Each figure says how it was taken;
//! those of time are CPU time where work is meant, medians of several passes, and what is compared is measured in one run.

#![expect(clippy::print_stdout, reason = "figures go to the screen")]
#![expect(clippy::expect_used, reason = "a benchmark stops at what it did not expect")]

mod audit;
mod bill;
mod end_to_end_page;
mod measure;
mod pages;
mod server;
mod sink;
mod start;
mod steps;
mod week;
mod worker_process;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Counts what the program allocates. Costs some nanoseconds an allocation.
#[global_allocator]
static ALLOCATOR: alloc_tracker::Allocator<std::alloc::System> = alloc_tracker::Allocator::system();

/// Measures; all but the audit of a year if nothing is named.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// CPU of a page by step.
    Steps,
    /// CPU and memory of a worker over sockets, and the obvious Python.
    Page,
    /// Makespan, operations and the bill of simulated weeks.
    Bill,
    /// Start and size of the functions' binaries in this folder.
    Start {
        /// The folder.
        functions: PathBuf,
    },
    /// The audit of a year of 5,000 users on a folder: takes minutes and some hundred megabytes of the temporary folder.
    Audit,
    /// An audit that is measured by itself.
    #[command(hide = true)]
    AuditProcess {
        /// The archive.
        folder: PathBuf,
        /// The user; everybody if none is named.
        user: Option<String>,
    },
    /// A worker that is measured from outside.
    #[command(hide = true)]
    WorkerProcess {
        /// Where Graph is.
        origin: String,
        /// How many users.
        users: u64,
    },
}

fn main() {
    let profile =
        if cfg!(debug_assertions) { "with debug assertions: figures of time say nothing" } else { "optimised" };
    match Options::parse().part {
        Some(Part::WorkerProcess { origin, users }) => worker_process::main(&origin, users),
        Some(Part::AuditProcess { folder, user }) => audit::process(&folder, user.as_deref()),
        Some(part) => {
            println!("build: {profile}");
            match part {
                Part::Steps => _ = steps::measure(&pages::Pool::new()),
                Part::Page => end_to_end_page::measure(&pages::Pool::new()),
                Part::Start { functions } => start::measure(&functions),
                Part::Audit => audit::measure(),
                Part::Bill | Part::WorkerProcess { .. } | Part::AuditProcess { .. } => bill::measure(None),
            }
        }
        None => {
            println!("build: {profile}");
            let pool = pages::Pool::new();
            let stored = steps::measure(&pool);
            end_to_end_page::measure(&pool);
            bill::measure(Some(stored));
            match domain::Env::var(&domain::ProcessEnv, "FUNCTIONS_DIR") {
                Some(functions) => start::measure(&PathBuf::from(functions)),
                None => println!(
                    "\nstart and size: not measured, FUNCTIONS_DIR names no folder with the functions' binaries"
                ),
            }
        }
    }
}
