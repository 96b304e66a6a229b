//! Listeners on other origins of this machine, which count what reaches them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

/// A server on real sockets that answers every request of a connection's own: one, and the connection is closed.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    bytes: AtomicU64,
    stop: AtomicBool,
}

impl Server {
    /// Answers with what `answer` makes of the request's first line.
    pub(crate) fn start(at: &str, answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind(at).unwrap_or_else(|error| panic!("{at}: {error}"));
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if counted.stop.load(Relaxed) {
                    return;
                }
                // One that breaks off was counted all the same.
                let _ = connection.and_then(|connection| serve(connection, &counted, &answer));
            }
        });
        Self { address, counts, thread: Some(thread) }
    }

    /// Connections and bytes so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.counts.connections.load(Relaxed), self.counts.bytes.load(Relaxed))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.counts.stop.store(true, Relaxed);
        // Wakes it up.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut connection: TcpStream, counts: &Counts, answer: &impl Fn(&str) -> String) -> std::io::Result<()> {
    counts.connections.fetch_add(1, Relaxed);
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = connection.read(&mut piece)?;
        counts.bytes.fetch_add(read as u64, Relaxed);
        request.extend_from_slice(&piece[..read]);
        // TLS is answered by its end; a request when its head is there, and the body if it has one.
        if read == 0 || request[0] == 0x16 {
            return Ok(());
        }
        let Some(head) = request.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
        if request.len() >= head + 4 + length.unwrap_or(0) {
            break;
        }
    }
    let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
    connection.write_all(answer(&line).as_bytes())
}

/// An answer's text.
pub(crate) fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The listener on IPv6, which some machines do not have.
fn six(answer: impl Fn(&str) -> String + Send + 'static) -> Option<Server> {
    let at = "[::1]:0";
    if let Err(error) = TcpListener::bind(at) {
        eprintln!("NOT TESTED: nothing can listen at {at} ({error}), so no link leads there");
        return None;
    }
    Some(Server::start(at, answer))
}

/// The other origins: another address, another port, and IPv6 where the machine has it.
#[derive(Debug)]
pub(crate) struct Trap {
    /// Where every name leads, too.
    pub(crate) elsewhere: Server,
    pub(crate) other_port: Server,
    pub(crate) six: Option<Server>,
}

impl Trap {
    pub(crate) fn new() -> Self {
        let empty = |_: &str| answer("200 OK", "");
        Self {
            elsewhere: Server::start("127.0.0.2:0", empty),
            other_port: Server::start("127.0.0.1:0", empty),
            six: six(empty),
        }
    }

    /// Connections and bytes of all of them.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let all = [&self.elsewhere, &self.other_port].into_iter().chain(&self.six).map(Server::counts);
        all.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// A client that goes wherever it is sent, in the same world of names.
    pub(crate) fn credulous(&self) -> reqwest::Client {
        let to = self.elsewhere.address;
        reqwest::Client::builder().dns_resolver(Arc::new(Pin(to))).build().unwrap()
    }
}

struct Pin(SocketAddr);

impl reqwest::dns::Resolve for Pin {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let addresses: reqwest::dns::Addrs = Box::new(std::iter::once(self.0));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}
