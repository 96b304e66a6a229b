//! The makespan of a simulated week's runs, and a month's bill from the operations counted in it.

use std::collections::BTreeMap;

use crate::measure::{figure, median, title};
use crate::week::{Day, USERS, simulate};

// AWS list prices in us-east-1, 2026, free tiers ignored.

/// Lambda on arm64, a gigabyte-second.
const GB_SECOND: f64 = 0.000_013_333_4;
/// Lambda, a request.
const INVOCATION: f64 = 0.20 / 1e6;
/// S3 Standard, a PUT or LIST.
const PUT: f64 = 0.005 / 1e3;
/// S3 Standard, a GET.
const GET: f64 = 0.000_4 / 1e3;
/// S3 Standard, a gigabyte for a month.
const GB_MONTH: f64 = 0.023;
/// SQS standard queue, a request.
const QUEUE_CALL: f64 = 0.40 / 1e6;
/// KMS, a key for a month, and a request. Bucket keys save about 99 of 100 of those.
const KEY: f64 = 1.00;
const KEY_CALL: f64 = 0.03 / 1e4;
const KEY_CALLS_PER_STORE_CALL: f64 = 0.01;
/// Secrets Manager, a secret for a month. With a federated credential there is none.
const SECRET: f64 = 0.40;
/// CloudWatch, a gigabyte of logs taken in, and what an invocation logs (Lambda's own three lines and ours).
const LOG_GB: f64 = 0.50;
const LOG_BYTES: f64 = 2_000.0;
/// CloudWatch, an alarm for a month.
const ALARM: f64 = 0.10;
/// CloudWatch, a metric for a month, charged by the hours in which it has a value.
const METRIC: f64 = 0.30;
/// Runs that are closed in a day, if all that is scheduled runs: a daily, a history, and one look-back a week.
const RUNS_A_DAY: f64 = 2.0 + 1.0 / WEEK;
/// Metrics of which each closed run has a value: users who failed, users missing, interactions archived.
const VALUES_OF_A_RUN: f64 = 3.0;
/// Hours of a day in which metrics have a value, the one of daily runs among them; the others have none while all is well.
const METRIC_HOURS: f64 = 1.0 + RUNS_A_DAY * VALUES_OF_A_RUN;

/// What Lambda's event source asks of an empty queue: five pollers, three long polls a minute each.
const IDLE_POLLS: f64 = 5.0 * 3.0 * 60.0 * 24.0 * 30.0;

/// Gigabytes of a worker, and of fan-out and reconcile: the template's defaults.
const WORKER_GB: f64 = 256.0 / 1024.0;
const PLANNING_GB: f64 = 512.0 / 1024.0;

/// Days of a month, and of what was simulated.
const MONTH: f64 = 30.0;
const WEEK: f64 = 7.0;

/// The alarms that the template deploys by default.
const ALARMS: &str = include_str!("../../../infra/alarms.yaml");

/// Bytes that 100 interactions of 4.4 kB take in the archive, if that was not measured in this run.
const STORED: f64 = 75_000.0;

/// The sustained quota, requests a second.
const SUSTAINED: f64 = 24.9;

/// How many times the least possible time a run may take.
const MAKESPAN_GOAL: f64 = 1.15;

/// Dollars a month, by users; what lies between is for whoever grows.
const SIZES: [(u64, Option<f64>); 4] = [(5_000, Some(3.0)), (25_000, None), (100_000, None), (300_000, Some(60.0))];

/// Simulates, measures and prints. `stored`: what a page takes in the archive.
pub(crate) fn measure(stored: Option<f64>) {
    title("a week of daily runs on simulated time: 5,000 users, medium usage, two workers, quota enforced");
    println!(
        "   batches of 500, 600 to 840 ms an answer of Graph, 30 ms one of S3 or SQS; the first run ever is not in it"
    );
    let days = simulate();
    let ratio = |day: &Day| day.makespan / (day.requests as f64 / SUSTAINED);
    for (n, day) in days.iter().enumerate() {
        println!(
            "   day {}: {} requests in {:.1} s (least: {:.1}), {} refused, {} new items",
            n + 2,
            day.requests,
            day.makespan,
            day.requests as f64 / SUSTAINED,
            day.refused,
            day.items
        );
    }
    figure("makespan / (requests / 24.9), the middle day", median(days.iter().map(ratio)), "", Some(MAKESPAN_GOAL));
    figure("  the worst day", days.iter().map(ratio).fold(0.0, f64::max), "", Some(MAKESPAN_GOAL));
    title("operations counted, as a month of 30 days of 5,000 users, and the bill");
    let month = month(&days);
    for ((operation, kind), calls) in &month.store {
        println!("   {operation:<5} {:<14} {calls:>12.0}", if kind.is_empty() { "(all)" } else { kind });
    }
    println!("   calls of SQS for messages {:>10.0}, polls of the empty queue {IDLE_POLLS:.0}", month.queue);
    println!("   worker {:.0} s, fan-out and reconcile {:.0} s", month.worker_seconds, month.planning_seconds);
    // The middle day: what a user costs the quota in a daily run.
    let requests = median(days.iter().map(|day| day.requests as f64)) / USERS as f64;
    for (users, goal) in SIZES {
        bill(&month, users, stored.unwrap_or(STORED), goal);
        figure("  requests of a daily run", requests * users as f64, "", None);
        figure("  minutes of a daily run, at the least", requests * users as f64 / SUSTAINED / 60.0, "min", None);
    }
}

#[derive(Debug, Default)]
struct Month {
    store: BTreeMap<(&'static str, String), f64>,
    queue: f64,
    invocations: f64,
    worker_seconds: f64,
    planning_seconds: f64,
    items: f64,
}

fn month(days: &[Day]) -> Month {
    let times = MONTH / WEEK;
    let mut month = Month::default();
    for day in days {
        for (name, calls) in &day.store {
            *month.store.entry(name.clone()).or_default() += *calls as f64 * times;
        }
        month.queue += day.queue as f64 * times;
        month.invocations += day.invocations as f64 * times;
        month.worker_seconds += day.worker_seconds * times;
        month.planning_seconds += day.planning_seconds * times;
        month.items += day.items as f64 * times;
    }
    month
}

/// Everything counted grows with the users, save what costs the same for any number of them.
fn bill(month: &Month, users: u64, stored: f64, goal: Option<f64>) {
    let times = users as f64 / USERS as f64;
    let calls = |puts: bool| {
        let these = month.store.iter().filter(|((operation, _), _)| (*operation != "get") == puts);
        these.map(|(_, calls)| calls * times).sum::<f64>()
    };
    let (puts, gets) = (calls(true), calls(false));
    let gb = month.items * times / 100.0 * stored / 1e9;
    let invocations = month.invocations * times;
    let alarms = ALARMS.matches("Type: AWS::CloudWatch::Alarm\n").count() as f64;
    let lines = [
        ("Lambda, worker", month.worker_seconds * times * WORKER_GB * GB_SECOND),
        ("Lambda, fan-out and reconcile", month.planning_seconds * times * PLANNING_GB * GB_SECOND),
        ("Lambda, requests", invocations * INVOCATION),
        ("S3 PUT and LIST", puts * PUT),
        ("S3 GET", gets * GET),
        ("S3 storage, of the month's items, a whole month", gb * GB_MONTH),
        ("SQS, messages", month.queue * times * QUEUE_CALL),
        ("SQS, polls of the empty queue", IDLE_POLLS * QUEUE_CALL),
        ("KMS key and calls", KEY + (puts + gets) * KEY_CALLS_PER_STORE_CALL * KEY_CALL),
        ("CloudWatch logs", invocations * LOG_BYTES / 1e9 * LOG_GB),
        ("CloudWatch alarms and metrics", alarms * ALARM + METRIC * METRIC_HOURS / 24.0),
    ];
    println!("\n   {users} users:");
    for (name, usd) in lines {
        println!("   {name:<50} {usd:>8.2}");
    }
    let sum = lines.iter().map(|(_, usd)| usd).sum::<f64>();
    figure(&format!("a month of {users} users"), sum, "USD", goal);
    figure("  with a secret instead of a federated credential", sum + SECRET, "USD", goal);
}
