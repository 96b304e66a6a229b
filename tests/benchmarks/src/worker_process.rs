//! The worker's own handler in a process of its own, over real sockets: what it takes in CPU and memory is the worker's alone.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use alloc_tracker::Session;
use archive::Archive;
use archive::records::{Asked, FORMAT, Producer, RunFile};
use domain::{Clock, Deadline, Kind, Message, OsRandom, Random, SystemClock, TenantId, Timestamp, UserId};
use graph::{ClientSecret, GraphClient, GraphConfig, HttpTransport};
use jiff::SignedDuration;
use queue::{Delivery, InProcessQueue, Options};
use secrecy::SecretString;
use serde_json::{Value, json};
use settings::Rules;

use crate::measure::process_cpu;
use crate::pages::{ITEMS, NOW, users};
use crate::sink::Sink;

pub(crate) const TENANT: TenantId = TenantId::from_bytes([7; 16]);

/// What one process of the worker took.
#[derive(Debug)]
pub(crate) struct Taken {
    /// CPU microseconds a page, kernel included, from the first request to the receipt.
    pub(crate) cpu: f64,
    /// The most memory the process ever had resident, in MB, code and libraries included.
    pub(crate) peak_mb: f64,
    /// The same before the first request.
    pub(crate) idle_mb: f64,
    /// Allocations a page.
    pub(crate) allocations: f64,
    /// Bytes allocated a page.
    pub(crate) allocated: f64,
}

/// Runs this program once more, as a worker of these users.
pub(crate) fn run(origin: &str, users: u64, pages: usize) -> Taken {
    let program = std::env::current_exe().expect("this program");
    let users_text = users.to_string();
    let output = Command::new(program).args(["worker-process", origin, &users_text]).output().expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let number = |name: &str| said[name].as_f64().expect("a number");
    let read = users as f64 * pages as f64;
    assert_eq!((number("pages"), number("items")), (read, read * ITEMS as f64), "everything was read");
    Taken {
        cpu: number("cpu_us") / read,
        peak_mb: number("peak_kb") / 1024.0,
        idle_mb: number("idle_kb") / 1024.0,
        allocations: number("allocations") / read,
        allocated: number("allocated") / read,
    }
}

/// Counts what the worker read.
#[derive(Debug, Default)]
struct Read {
    pages: AtomicU64,
    items: AtomicU64,
}

impl worker::Progress for Read {
    fn page(&self, items: usize) {
        self.pages.fetch_add(1, Relaxed);
        self.items.fetch_add(items as u64, Relaxed);
    }
}

/// The child: reads these users' pages and prints what it took.
pub(crate) fn main(origin: &str, count: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) = (Arc::new(SystemClock), Arc::new(OsRandom));
        let (_, stores) = Sink::stores();
        let archive = Archive::open_or_create(stores.clone(), TENANT, Arc::clone(&clock), Arc::clone(&random))
            .await
            .expect("new");
        let run = run_file();
        archive.put_run(&run).await.expect("put");
        let mut config = GraphConfig::new(TENANT, "benchmark");
        config.graph_origin = Some(origin.parse().expect("an origin"));
        config.login_origin = config.graph_origin.clone();
        // No quota: all users are in flight all the time, which is the worst that memory can meet.
        config.requests_per_second = 100_000.0;
        let auth = Arc::new(ClientSecret(SecretString::from("secret")));
        let transport = Arc::new(HttpTransport::new("benchmark/1").expect("HTTP"));
        let read = Arc::new(Read::default());
        let deps = worker::Deps {
            graph: GraphClient::new(config, auth, transport, Arc::clone(&clock), Arc::clone(&random))
                .expect("a client"),
            stores,
            tenant: TENANT,
            queue: Arc::new(InProcessQueue::new(Options::default(), Arc::clone(&clock), Arc::clone(&random))),
            clock,
            random,
            rules: Rules::default(),
            progress: Arc::clone(&read) as _,
        };
        let batch = users(count).into_iter().map(|user| delivery(&run, user)).collect();
        let idle_kb = status("VmHWM:");
        let session = Session::new().no_stdout().no_file();
        let operation = session.operation("read");
        let span = operation.measure_process().iterations(1);
        let begun = process_cpu();
        let failed = worker::handle(batch, Deadline::never(), &deps).await;
        let cpu = process_cpu().saturating_sub(begun);
        drop(span);
        assert!(failed.is_empty(), "every user was read");
        let report = session.to_report();
        let (_, counted) = report.operations().next().expect("one operation");
        let said = json!({
            "pages": read.pages.load(Relaxed),
            "items": read.items.load(Relaxed),
            "cpu_us": cpu.as_secs_f64() * 1e6,
            "idle_kb": idle_kb,
            "peak_kb": status("VmHWM:"),
            "allocations": counted.total_allocations_count(),
            "allocated": counted.total_bytes_allocated(),
        });
        println!("{said}");
    });
}

pub(crate) fn run_file() -> RunFile {
    let to: Timestamp = NOW.parse().expect("a time");
    RunFile {
        format: FORMAT,
        run_id: "20261124T030000Z".parse().expect("a run id"),
        tenant_id: TENANT,
        kind: Kind::Daily,
        asked: Asked::default(),
        from: None,
        to: Some(to),
        not_after: None,
        deadline: to + SignedDuration::from_hours(23),
        overlap_hours: 72,
        enumerated: 0,
        excluded: Default::default(),
        planned: 0,
        started_at: to,
        producer: Producer { name: "benchmarks".to_owned(), version: "0".to_owned(), commit: "none".to_owned() },
    }
}

fn delivery(run: &RunFile, user: UserId) -> Delivery {
    let message =
        Message { run_id: run.run_id.clone(), user_id: user, from: None, to: run.to, not_after: None, hops: 0 };
    Delivery {
        message_id: user.to_string(),
        receipt_handle: user.to_string(),
        receive_count: 1,
        body: message.to_body(),
    }
}

/// A line of this process's status, in kB.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a line of it");
    line.split_ascii_whitespace().nth(1).expect("a value").parse().expect("a number")
}
