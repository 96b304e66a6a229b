//! The audit of a year: one custodian, and everybody, on a folder of 365 daily runs of 5,000 users.
//!
//! Each audit runs in a process of its own, so that its memory is its own and not that of whoever made the archive.

mod year;

use std::path::Path;
use std::process::Command;

use domain::{Clock, SystemClock};
use evidence::audit::{Request, Whom};
use evidence::{Answer, Folder};
use serde_json::{Value, json};

use crate::measure::{figure, monotonic, process_cpu, title};

/// What the audit of one person may take.
const ONE_SECONDS: f64 = 10.0;

/// What the audit of everybody may hold. It grows with the segments (the key of each, its hash and who put it), with the users
/// (the names of each, and the outcomes in every run of 1,024 at a time) and with the largest runs (four are read at once); with
/// the interactions it does not grow.
const ALL_MEGABYTES: f64 = 256.0;

/// Makes the archive, audits it twice, and removes it.
pub(crate) fn measure() {
    title("audit of a year");
    let place = std::env::temp_dir().join(format!("audit-benchmark-{}", std::process::id()));
    let begun = monotonic();
    let made = year::write(&place);
    let seconds = (monotonic() - begun).as_secs_f64();
    println!(
        "{} runs of {} users, {} segments, {:.0} MB in {}, made in {seconds:.0} s",
        year::DAYS,
        year::USERS,
        made.segments,
        made.bytes as f64 / 1e6,
        place.display()
    );
    for (name, user, goal, most) in [
        ("one custodian", Some(year::custodian()), Some(ONE_SECONDS), None),
        ("everybody (--all)", None, None, Some(ALL_MEGABYTES)),
    ] {
        let taken = run(&place, user.as_deref());
        figure(&format!("{name}: time"), taken["seconds"].as_f64().expect("a number"), "s", goal);
        figure(&format!("{name}: CPU"), taken["cpu"].as_f64().expect("a number"), "s", None);
        figure(
            &format!("{name}: peak resident memory"),
            taken["peak_kb"].as_f64().expect("a number") / 1024.0,
            "MB",
            most,
        );
        assert_eq!(taken["segments"].as_u64(), user.map_or(Some(made.segments), |_| Some(made.of_custodian)));
    }
    std::fs::remove_dir_all(&place).expect("the archive is ours");
}

fn run(folder: &Path, user: Option<&str>) -> Value {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).arg("audit-process").arg(folder).args(user).output().expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Audits the archive in this folder and says what it took.
pub(crate) fn process(folder: &Path, user: Option<&str>) {
    let request = Request {
        whom: user.map_or(Whom::All, |user| Whom::Named(vec![user.to_owned()])),
        from: Some(year::first_covered()),
        to: None,
        explain: false,
        ledger_head: None,
        history_start: year::first_covered(),
        retention_days: None,
        read_at: SystemClock.now(),
        location: folder.display().to_string(),
        program: "benchmarks".to_owned(),
    };
    let begun = monotonic();
    let report = evidence::audit(&Folder::new(folder), &request).expect("an archive");
    let page = report.text();
    let seconds = (monotonic() - begun).as_secs_f64();
    assert_eq!(report.answer, Answer::NoOpenGap, "{page}");
    let users = if user.is_some() { 1 } else { year::USERS };
    assert_eq!(report.summary.users, users, "{page}");
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: u64 = peak.and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("a peak");
    let taken = json!({"seconds": seconds, "cpu": process_cpu().as_secs_f64(), "peak_kb": peak,
        "segments": report.integrity.numbers.segments});
    println!("{taken}");
}
