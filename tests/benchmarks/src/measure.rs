//! CPU time, medians, and how a figure is printed.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// CPU time of this thread so far.
pub(crate) fn thread_cpu() -> Duration {
    duration(clock_gettime(ClockId::ThreadCPUTime))
}

/// CPU time of all threads of this process so far, the kernel's work for it included.
pub(crate) fn process_cpu() -> Duration {
    duration(clock_gettime(ClockId::ProcessCPUTime))
}

/// A clock that only goes forward.
pub(crate) fn monotonic() -> Duration {
    duration(clock_gettime(ClockId::Monotonic))
}

fn duration(time: Timespec) -> Duration {
    let nanoseconds = u32::try_from(time.tv_nsec).expect("less than a second");
    Duration::new(u64::try_from(time.tv_sec).expect("since a start"), nanoseconds)
}

/// The middle one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The load of the machine, which every figure of time depends on.
pub(crate) fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").expect("Linux");
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Prints a part's title.
pub(crate) fn title(text: &str) {
    println!("\n== {text}\n   load {}", load());
}

/// Prints a figure and its goal, if it has one.
pub(crate) fn figure(name: &str, value: f64, unit: &str, goal: Option<f64>) {
    let digits = if value < 100.0 { 2 } else { 0 };
    let verdict = goal.map_or(String::new(), |goal| {
        let missed = value > goal;
        format!(
            "   goal {goal} {unit}: {}",
            if missed { format!("missed by {:.2}", value - goal) } else { "met".into() }
        )
    });
    println!("{name:<58} {value:>10.digits$} {unit}{verdict}");
}
