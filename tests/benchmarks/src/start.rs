//! From the start of a function's process to its first poll, and the size of what is deployed.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::measure::{figure, median, monotonic, title};

/// Starts of each binary, of which the middle one counts.
const STARTS: usize = 21;

/// Milliseconds that a start may take.
const START_GOAL: f64 = 15.0;

/// Megabytes that a zip may have.
const ZIP_GOAL: f64 = 5.0;

/// A configuration as the template gives it.
const VARIABLES: [(&str, &str); 16] = [
    ("GRAPH_TENANT_ID", "2a633e58-0b2c-4d2f-9a53-6f1f0f6b7c11"),
    ("GRAPH_CLIENT_ID", "00000000-0000-4000-8000-000000000001"),
    ("GRAPH_CREDENTIAL", "federated"),
    ("WORK_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/000000000000/work"),
    ("ARCHIVE_BUCKET", "archive"),
    ("STATE_BUCKET", "state"),
    ("AWS_REGION", "eu-central-1"),
    ("AWS_DEFAULT_REGION", "eu-central-1"),
    ("AWS_ACCESS_KEY_ID", "AKIA0000000000000000"),
    ("AWS_SECRET_ACCESS_KEY", "0000000000000000000000000000000000000000"),
    ("AWS_LAMBDA_FUNCTION_NAME", "function"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "group"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
    ("LANG", "C"),
];

/// Measures the binaries in this folder and prints.
pub(crate) fn measure(functions: &Path) {
    title("start to first poll, and size");
    println!("   {STARTS} starts of each binary against a runtime API on loopback, the file in the page cache; median");
    for name in ["fan-out", "worker", "reconcile"] {
        let binary = functions.join(name);
        let Ok(content) = std::fs::read(&binary) else {
            println!("{name}: there is no such binary in the folder");
            continue;
        };
        let starts: Vec<(f64, f64)> = (0..STARTS).map(|_| start(&binary)).collect();
        let (taken, cpu) = (starts.iter().map(|start| start.0), starts.iter().map(|start| start.1));
        figure(&format!("{name}: start to first poll"), median(taken), "ms", Some(START_GOAL));
        figure(&format!("{name}: CPU of it, whatever the load"), median(cpu), "ms", None);
        let mut zip = DeflateEncoder::new(Vec::new(), Compression::default());
        zip.write_all(&content).expect("memory");
        let zipped = zip.finish().expect("memory").len() as f64;
        figure(&format!("{name}: size of the binary"), content.len() as f64 / 1e6, "MB", None);
        figure(&format!("{name}: size of the zip"), zipped / 1e6, "MB", Some(ZIP_GOAL));
    }
}

/// Milliseconds until the process asks for its first invocation, and of CPU until then.
fn start(binary: &Path) -> (f64, f64) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let mut command = Command::new(binary);
    command
        .env_clear()
        .envs(VARIABLES)
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let begun = monotonic();
    let mut child = command.spawn().expect("an executable");
    let (mut stream, _) = listener.accept().expect("a connection");
    let mut request = [0; 4_096];
    let read = stream.read(&mut request).expect("a request");
    let taken = monotonic().saturating_sub(begun);
    assert!(request[..read].starts_with(b"GET /2018-06-01/runtime/invocation/next"), "the first request is a poll");
    let cpu = cpu_milliseconds(child.id());
    child.kill().expect("running");
    child.wait().expect("ended");
    (taken.as_secs_f64() * 1e3, cpu)
}

/// What all threads of a process have used so far.
fn cpu_milliseconds(process: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("running");
    let nanoseconds = threads.flatten().map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).unwrap_or(0.0)
    });
    nanoseconds.sum::<f64>() / 1e6
}
