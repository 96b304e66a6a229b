//! A Graph and an Entra on loopback that answer from memory: a token, and each user's pages, compressed beforehand.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use bytes::Bytes;
use domain::UserId;

use crate::pages::{Pool, gzip};

const TOKEN: &str = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"e30.e30.sig"}"#;

/// The finished answers by user and page.
type Answers = HashMap<(String, usize), Bytes>;

/// Serves so many pages to each of these users, on threads of its own, until the process ends. Returns the origin.
pub(crate) fn serve(pool: &Pool, users: &[UserId], pages: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("bound"));
    let mut answers = Answers::new();
    for user in users {
        for n in 0..pages {
            let path = format!("/v1.0/copilot/users/{user}/interactionHistory/getAllEnterpriseInteractions");
            let link = (n + 1 < pages).then(|| format!("{origin}{path}?$top=100&$skiptoken={}", n + 1));
            let body = gzip(&pool.body(n, link.as_deref()));
            answers.insert((user.to_string(), n), answer("content-encoding: gzip\r\n", &body));
        }
    }
    let answers = Arc::new(answers);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answers = Arc::clone(&answers);
            std::thread::spawn(move || converse(stream, &answers));
        }
    });
    origin
}

fn answer(header: &str, body: &[u8]) -> Bytes {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{header}request-id: 0\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat().into()
}

/// One request after the other on one connection, until it ends.
fn converse(stream: TcpStream, answers: &Answers) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    let token = answer("", TOKEN.as_bytes());
    loop {
        let (mut target, mut line, mut length) = (String::new(), String::new(), 0);
        reader.read_line(&mut target).ok().filter(|read| *read > 0)?;
        loop {
            line.clear();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
        let answer = if target.starts_with("POST") { &token } else { answers.get(&asked(&target)?)? };
        writer.write_all(answer).ok()?;
    }
}

/// User and page of a request line.
fn asked(target: &str) -> Option<(String, usize)> {
    let user = target.split("/users/").nth(1)?.split('/').next()?;
    let page = target.split("skiptoken=").nth(1).and_then(|rest| rest.split(' ').next());
    Some((user.to_owned(), page.map_or(Some(0), |page| page.parse().ok())?))
}
