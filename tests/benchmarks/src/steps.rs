//! What each step of a page takes on one thread, through the program's own code.

use std::collections::VecDeque;
use std::hint::black_box;
use std::io::Read as _;
use std::sync::{Arc, Mutex};

use alloc_tracker::Session;
use archive::store::Store;
use archive::{Archive, CheckpointHandle, ItemHash, Month, sha256_hex};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{AttemptId, Clock, Deadline, OsRandom, Random, SystemClock};
use flate2::bufread::GzDecoder;
use graph::{ClientSecret, GraphClient, GraphConfig, Question, Response, Transport, TransportError};
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;

use crate::measure::{figure, median, thread_cpu, title};
use crate::pages::{NOW, PAGE_BYTES, PAGES, Pool, gzip, users};
use crate::sink::Sink;
use crate::worker_process::{TENANT, run_file};

/// Passes over all pages, of which the middle one counts.
const PASSES: usize = 15;

/// The level and the length of the frames that segments are made of.
const LEVEL: i32 = 3;
const FRAME_BYTES: usize = 256 << 10;

/// Measures the steps and returns the bytes that a page takes in the archive.
pub(crate) fn measure(pool: &Pool) -> f64 {
    title("CPU of a page of 100 interactions by step, microseconds");
    let bodies: Vec<String> = (0..PAGES).map(|n| pool.body(n, None)).collect();
    let packed: Vec<Bytes> = bodies.iter().map(|body| gzip(body)).collect();
    let mean = |sizes: &mut dyn Iterator<Item = usize>| sizes.sum::<usize>() as f64 / PAGES as f64;
    let (body, gzip) = (mean(&mut bodies.iter().map(String::len)), mean(&mut packed.iter().map(Bytes::len)));
    assert!((body / PAGE_BYTES as f64 - 1.0).abs() < 0.03, "a page has {body} bytes");
    println!(
        "   {PAGES} pages of {body:.0} bytes, {gzip:.0} compressed; thread CPU time; median of {PASSES} passes over all pages"
    );

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (lines, segments) = runtime.block_on(stored(pool));
    let mut sum = 0.0;
    let mut step = |name: &str, pass: &mut dyn FnMut()| {
        let taken = middle(pass);
        sum += taken;
        figure(name, taken, "us", None);
        taken
    };
    let mut buffer = Vec::new();
    step("gunzip (streamed, the decoder that the HTTP client uses)", &mut || {
        for page in &packed {
            buffer.clear();
            GzDecoder::new(&page[..]).read_to_end(&mut buffer).expect("gzip");
        }
    });
    let session = Session::new().no_stdout().no_file();
    let (splitting, writing) = (session.operation("splitting"), session.operation("writing"));
    step("ask for a page and split it (no network)", &mut || {
        let _span = splitting.measure_thread().iterations(PAGES as u64);
        runtime.block_on(split(&bodies));
    });
    step("  writer: month of each item", &mut || {
        items(pool).for_each(|item| _ = black_box(Month::of(item)));
    });
    step("  writer: SHA-256 of each item, its identity", &mut || {
        items(pool).for_each(|item| _ = black_box(ItemHash::of(item)));
    });
    let mut compressor = zstd::bulk::Compressor::new(LEVEL).expect("zstd");
    step("  writer: zstd of the lines", &mut || {
        lines.chunks(FRAME_BYTES).for_each(|chunk| _ = black_box(compressor.compress(chunk).expect("zstd")));
    });
    step("  writer: SHA-256 of the segments", &mut || {
        segments.iter().for_each(|segment| _ = black_box(sha256_hex(segment)));
    });
    let parts = sum;
    let whole = middle(&mut || {
        let _span = writing.measure_thread().iterations(PAGES as u64);
        runtime.block_on(write(pool));
    });
    figure("  writer: all of it (append and flush, to no store)", whole, "us", None);
    let before: f64 = middle_of_first_two(&packed, &bodies, &runtime);
    figure("  writer: the rest of it (lines, sets, buffers)", (whole + before - parts).max(0.0), "us", None);
    figure("sum", before + whole, "us", None);
    let report = session.to_report();
    for (name, operation) in report.operations() {
        figure(&format!("allocations a page, {name}"), operation.allocations().expect("measured"), "", None);
    }
    let stored = segments.iter().map(Bytes::len).sum::<usize>() as f64 / PAGES as f64;
    figure("bytes a page takes in the archive", stored, "B", None);
    stored
}

fn middle_of_first_two(packed: &[Bytes], bodies: &[String], runtime: &tokio::runtime::Runtime) -> f64 {
    let mut buffer = Vec::new();
    middle(&mut || {
        for page in packed {
            buffer.clear();
            GzDecoder::new(&page[..]).read_to_end(&mut buffer).expect("gzip");
        }
        runtime.block_on(split(bodies));
    })
}

/// Microseconds a page: the median of several passes over all pages.
fn middle(pass: &mut dyn FnMut()) -> f64 {
    median((0..PASSES).map(|_| {
        let begun = thread_cpu();
        pass();
        thread_cpu().saturating_sub(begun).as_secs_f64() * 1e6 / PAGES as f64
    }))
}

fn items(pool: &Pool) -> impl Iterator<Item = &str> {
    (0..PAGES).flat_map(|n| pool.items(n)).map(String::as_str)
}

/// Answers with these bodies, one after the other, at once.
#[derive(Debug)]
struct Canned(Mutex<VecDeque<Bytes>>);

#[async_trait]
impl Transport for Canned {
    async fn send(&self, request: http::Request<Bytes>) -> Result<Response, TransportError> {
        let body = if request.method() == http::Method::POST {
            Bytes::from_static(br#"{"token_type":"Bearer","expires_in":3599,"access_token":"e30.e30.sig"}"#)
        } else {
            self.0.lock().expect("no panic").pop_front().ok_or(TransportError::Reset)?
        };
        Ok(Response::whole(StatusCode::OK, HeaderMap::new(), body))
    }
}

async fn split(bodies: &[String]) {
    let canned = bodies.iter().map(|body| Bytes::copy_from_slice(body.as_bytes())).collect();
    let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) = (Arc::new(SystemClock), Arc::new(OsRandom));
    let mut config = GraphConfig::new(TENANT, "benchmark");
    config.requests_per_second = 1e9;
    let auth = Arc::new(ClientSecret(SecretString::from("secret")));
    let client = GraphClient::new(config, auth, Arc::new(Canned(Mutex::new(canned))), clock, random).expect("a client");
    for user in users(bodies.len() as u64) {
        let mut pages = client.interactions(user, Question::Everything);
        let page = pages.next(Deadline::never()).await.expect("answered").expect("a page");
        black_box(page.items().map(str::len).sum::<usize>());
    }
}

async fn write(pool: &Pool) {
    let (sink, stores) = Sink::stores();
    append(pool, stores).await;
    assert!(sink.segment_bytes() > 0, "something was put");
}

async fn append(pool: &Pool, stores: archive::Stores) {
    let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) = (Arc::new(SystemClock), Arc::new(OsRandom));
    let archive = Archive::open_or_create(stores, TENANT, clock, Arc::clone(&random)).await.expect("new");
    let user = graph_simulator::numbered(1);
    let attempt = AttemptId::random(&*random);
    let mut log = archive.log_writer(user, &run_file().run_id, &attempt, &CheckpointHandle::absent(user));
    for n in 0..PAGES {
        log.append(pool.items(n).iter().map(String::as_str), NOW.parse().expect("a time")).await.expect("kept");
    }
    log.flush().await.expect("put");
    assert_eq!(log.counts().new, (PAGES * crate::pages::ITEMS) as u64);
}

/// The lines as the archive holds them, and the segments.
async fn stored(pool: &Pool) -> (Vec<u8>, Vec<Bytes>) {
    let store = Arc::new(archive::memory::MemoryStore::new());
    append(pool, archive::Stores { evidence: Arc::clone(&store) as _, state: Arc::clone(&store) as _ }).await;
    let keys = store.list("interactions/").await.expect("memory");
    let objects = store.objects();
    let segments: Vec<Bytes> = keys.iter().map(|key| objects[key].clone()).collect();
    let lines = segments.iter().flat_map(|segment| zstd::stream::decode_all(&segment[..]).expect("zstd")).collect();
    (lines, segments)
}
