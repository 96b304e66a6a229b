//! The service on a network: HTTP/1.1 and HTTP/2 without TLS, with its connections broken as the answers say.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::answer::Transport;
use crate::simulator::Simulator;

/// The largest request body that is read: a token request with an assertion has a few kilobytes.
const REQUEST_LIMIT: usize = 64 * 1024;

/// A running server. Dropping it ends it and all its connections.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Scheme, host and port, for both Graph and login.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes no more connections, and returns when the answers under way are out.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(accepting) = self.accepting.take() {
            // It only ends by itself or by an abort, which this is not.
            let _ = accepting.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

/// Serves on this listener.
pub fn serve(simulator: Arc<Simulator>, listener: TcpListener) -> io::Result<Server> {
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let accepting = tokio::spawn(accept(simulator, listener, stopped));
    Ok(Server { address, stop, accepting: Some(accepting) })
}

async fn accept(simulator: Arc<Simulator>, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
    // The connections are in a set, so that they end with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An accept fails for reasons of the other side, or for want of descriptors: the next may go through.
                let Ok((stream, _)) = accepted else { continue };
                let (simulator, mut stopped) = (Arc::clone(&simulator), stopped.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request| respond(Arc::clone(&simulator), request));
                    let builder = Builder::new(TokioExecutor::new());
                    let connection = builder.serve_connection(TokioIo::new(stream), service);
                    tokio::pin!(connection);
                    // A connection ends with an error whenever a fault breaks it.
                    tokio::select! {
                        _ = connection.as_mut() => {}
                        () = asked_to_stop(&mut stopped) => {
                            connection.as_mut().graceful_shutdown();
                            let _ = connection.as_mut().await;
                        }
                    }
                });
            }
            Some(_) = connections.join_next() => {}
            () = asked_to_stop(&mut stopped) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn asked_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error says that the server is gone, which is a reason to stop as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn respond(simulator: Arc<Simulator>, request: Request<Incoming>) -> io::Result<Response<FaultyBody>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, REQUEST_LIMIT).collect().await;
    let body = body.map_err(|_| io::Error::other("the request body is cut or too long"))?.to_bytes();
    let answer = simulator.answer(Request::from_parts(head, body)).await;
    let breaks_after = match answer.transport {
        Transport::Whole => None,
        Transport::ResetBefore => return Err(io::ErrorKind::ConnectionReset.into()),
        Transport::ResetAfter(bytes) => Some(bytes),
    };
    let mut response = Response::new(FaultyBody { rest: Some(answer.body), breaks_after, flushed: false });
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

/// A body that may break off.
#[derive(Debug)]
struct FaultyBody {
    rest: Option<Bytes>,
    breaks_after: Option<usize>,
    flushed: bool,
}

impl Body for FaultyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(mut bytes) = self.rest.take() {
            if let Some(limit) = self.breaks_after {
                bytes.truncate(limit);
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match self.breaks_after {
            None => Poll::Ready(None),
            Some(_) if self.flushed => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            Some(_) => {
                // One turn's rest lets the connection send what it has before it breaks.
                self.flushed = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.breaks_after.is_none()
    }
}
