//! A page end to end: the worker's handler in a process of its own, over loopback, and the obvious Python beside it.

use std::path::Path;
use std::process::Command;

use crate::measure::{figure, median, title};
use crate::pages::{Pool, users};
use crate::server::serve;
use crate::worker_process::{self, Taken};

/// Users in flight, which is what a worker has.
const USERS: u64 = 32;

/// Pages of each.
const PAGES: usize = 8;

/// Users that Python reads: it is slow.
const PYTHON_USERS: usize = 2;

/// Passes, Rust and Python in turn, of which the middle one counts.
const PASSES: usize = 5;

/// Microseconds of CPU that a page may take.
const CPU_GOAL: f64 = 2_500.0;

/// Megabytes that a worker may hold.
const MEMORY_GOAL: f64 = 32.0;

/// Measures and prints.
pub(crate) fn measure(pool: &Pool) {
    title("a page end to end: the worker over HTTP/1.1 on loopback, gzip, no TLS, to no store");
    println!(
        "   {USERS} users in flight with {PAGES} pages each; CPU of the whole process, kernel included; median of {PASSES} runs"
    );
    let users = users(USERS);
    let origin = serve(pool, &users, PAGES);
    let (mut taken, mut python): (Vec<Taken>, Vec<f64>) = (Vec::new(), Vec::new());
    for _ in 0..PASSES {
        taken.push(worker_process::run(&origin, USERS, PAGES));
        python.extend(obvious(&origin, &users.iter().take(PYTHON_USERS).map(ToString::to_string).collect::<Vec<_>>()));
    }
    let middle = |value: fn(&Taken) -> f64| median(taken.iter().map(value));
    let cpu = middle(|taken| taken.cpu);
    figure("CPU of a page, end to end", cpu, "us", Some(CPU_GOAL));
    if python.is_empty() {
        println!("the obvious Python: not measured, no python3 with requests (see tests/tools)");
    } else {
        let python = median(python.iter().copied());
        figure("the same by the obvious Python (requests, json, gzip)", python, "us", None);
        figure("Python / this", python / cpu, "times", None);
    }
    figure("allocations a page, end to end", middle(|taken| taken.allocations), "", None);
    figure("bytes allocated a page, end to end", middle(|taken| taken.allocated), "B", None);
    figure("peak resident memory, 32 in flight", middle(|taken| taken.peak_mb), "MB", Some(MEMORY_GOAL));
    let most = taken.iter().map(|taken| taken.peak_mb).fold(0.0, f64::max);
    figure("  the largest of all runs", most, "MB", Some(MEMORY_GOAL));
    figure("  before the first request", middle(|taken| taken.idle_mb), "MB", None);
}

/// CPU microseconds a page, if there is a Python that can.
fn obvious(origin: &str, users: &[String]) -> Option<f64> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = root.join("../../.tools/venv/bin/python");
    let python = if own.exists() { own } else { "python3".into() };
    let folder = std::env::temp_dir().join(format!("obvious-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let output =
        Command::new(python).arg(root.join("src/obvious.py")).arg(origin).arg(&folder).args(users).output().ok()?;
    std::fs::remove_dir_all(&folder).expect("own folder");
    let seconds: f64 = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    Some(seconds * 1e6 / (users.len() * PAGES) as f64)
}
