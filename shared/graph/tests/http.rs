//! The transport over a real socket on this machine.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt;
use graph::{HttpTransport, Response, Transport, TransportError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that writes these bytes to each connection in turn, and keeps what it read and how much it could write.
struct Server {
    origin: String,
    requests: Arc<Mutex<Vec<String>>>,
    written: Arc<Mutex<usize>>,
}

async fn serve(answers: Vec<Vec<u8>>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let (requests, written) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
    let (log, sum) = (Arc::clone(&requests), Arc::clone(&written));
    tokio::spawn(async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut piece = [0; 4096];
                let read = socket.read(&mut piece).await.unwrap();
                request.extend_from_slice(&piece[..read]);
            }
            log.lock().unwrap().push(String::from_utf8(request).unwrap());
            for piece in answer.chunks(64 << 10) {
                if socket.write_all(piece).await.is_err() {
                    break;
                }
                *sum.lock().unwrap() += piece.len();
            }
            drop(socket);
        }
    });
    Server { origin, requests, written }
}

async fn get(origin: &str, target: &str) -> Result<Response, TransportError> {
    let transport = HttpTransport::new("archive-test/1").unwrap();
    let request = http::Request::get(format!("{origin}{target}")).body(Bytes::new()).unwrap();
    transport.send(request).await
}

async fn whole(response: Response) -> Result<Vec<u8>, TransportError> {
    let pieces: Vec<_> = response.body.collect().await;
    pieces.into_iter().try_fold(Vec::new(), |mut sum, piece| {
        sum.extend_from_slice(&piece?);
        Ok(sum)
    })
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn targets_go_out_as_they_are_and_bodies_come_in_as_they_are() {
    let body = b"packed by the server";
    let server = serve(vec![answer("200 OK\r\ncontent-encoding: gzip\r\nrequest-id: r-1", body)]).await;
    // Every character that a next link may hold, the apostrophe aside.
    let all: String = ('!'..='~').filter(|c| !"#\"<>\\'".contains(*c)).collect();
    let target = format!("/v1.0/Users/%63()/x?$filter=a+gt+2026-03-01T00%3a00Z%20and%27&$skiptoken=U2tp%3D{all}");
    let response = get(&server.origin, &target).await.unwrap();
    assert_eq!(response.headers.get("request-id").unwrap(), "r-1");
    assert_eq!(response.headers.get("content-encoding").unwrap(), "gzip");
    assert_eq!(whole(response).await.unwrap(), body);
    let request = server.requests.lock().unwrap()[0].clone();
    assert!(request.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{request}");
    assert!(request.contains("accept-encoding: gzip") && request.contains("user-agent: archive-test/1"), "{request}");
}

#[tokio::test]
async fn an_apostrophe_is_escaped_and_what_would_change_otherwise_is_not_sent() {
    let server = serve(vec![answer("200 OK", b"")]).await;
    get(&server.origin, "/users('x')?$skiptoken=X'44'").await.unwrap();
    assert!(server.requests.lock().unwrap()[0].starts_with("GET /users('x')?$skiptoken=X%2744%27 HTTP/1.1"));
    for target in ["/a/../b", "/a/%2e%2E/b", "/./b"] {
        assert_eq!(get(&server.origin, target).await.unwrap_err(), TransportError::Other, "{target}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let trap = serve(vec![answer("200 OK", b"")]).await;
    let server = serve(vec![answer(&format!("302 Found\r\nlocation: {}/trap", trap.origin), b"")]).await;
    assert_eq!(get(&server.origin, "/").await.unwrap().status, 302);
    assert!(trap.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_body_that_is_dropped_stops_coming() {
    const LENGTH: usize = 64 << 20;
    let server = serve(vec![answer("200 OK", &vec![b' '; LENGTH])]).await;
    let mut response = get(&server.origin, "/").await.unwrap();
    let first = response.body.next().await.unwrap().unwrap();
    assert!(first.len() < 1 << 20);
    drop(response);
    tokio::task::yield_now().await;
    assert!(*server.written.lock().unwrap() < LENGTH / 2);
}

#[tokio::test]
async fn broken_answers_have_their_kind() {
    let full = answer("200 OK", b"{\"value\":[]}");
    let server = serve(vec![full[..full.len() - 3].to_vec()]).await;
    let response = get(&server.origin, "/").await.unwrap();
    assert_eq!(whole(response).await, Err(TransportError::Body));
    let server = serve(vec![Vec::new()]).await;
    assert_eq!(get(&server.origin, "/").await.unwrap_err(), TransportError::Reset);
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    assert_eq!(get(&closed, "/").await.unwrap_err(), TransportError::Connect);
}

#[tokio::test]
async fn plain_http_leaves_this_machine_under_no_name() {
    for origin in ["http://graph.microsoft.com", "http://localhost.evil.example", "http://10.0.0.1"] {
        assert_eq!(get(origin, "/").await.unwrap_err(), TransportError::Other, "{origin}");
    }
}
