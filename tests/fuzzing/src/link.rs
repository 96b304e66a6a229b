//! The check of next links, held against another parser of addresses.

use domain::UserId;
use graph::Origin;
use graph::parts::followed;
use url::Url;

/// Origins as they are configured, and as a parser of addresses takes them apart.
const ORIGINS: [(&str, (&str, &str, u16)); 4] = [
    ("https://graph.microsoft.com", ("https", "graph.microsoft.com", 443)),
    ("https://graph.microsoft.us:8443", ("https", "graph.microsoft.us", 8443)),
    ("http://127.0.0.1:8080", ("http", "127.0.0.1", 8080)),
    ("http://[::1]", ("http", "[::1]", 80)),
];

const USER: UserId = UserId::from_bytes([0xab; 16]);

/// A link is followed only to the same origin and collection, read by whom it may; and one in its plain form always is.
///
/// The first byte chooses the origin, the rest is the link.
pub fn link(bytes: &[u8]) {
    let Some((first, link)) = bytes.split_first() else { return };
    let Ok(link) = std::str::from_utf8(link) else { return };
    let (written, expected) = ORIGINS[usize::from(*first) % ORIGINS.len()];
    let Ok(origin) = written.parse::<Origin>() else { panic!("{written} is an origin") };
    let path = format!("/v1.0/copilot/users/{USER}/interactionHistory/getAllEnterpriseInteractions");
    match followed(link, &origin, &path) {
        Some(target) => {
            assert!(link.ends_with(target), "{link}: {target} is no part of it");
            stays(link, expected, &path);
            stays(&format!("{origin}{target}"), expected, &path);
        }
        None => assert!(!is_plain(link, written, &path), "{link} could be followed"),
    }
}

/// Whoever reads this address goes to this origin and collection.
fn stays(address: &str, (scheme, host, port): (&str, &str, u16), path: &str) {
    let url = Url::parse(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    let authority = (url.scheme(), url.host_str().unwrap_or_default(), url.port_or_known_default());
    assert_eq!(authority, (scheme, host, Some(port)), "{address}");
    assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None), "{address}");
    let read = decoded(url.path());
    let read = read.strip_suffix("()").unwrap_or(&read);
    assert!(read.eq_ignore_ascii_case(path), "{address}: {read}");
    // Nothing is left out or repaired on the way, but that an apostrophe is escaped, which reads the same.
    let sent = &url[url::Position::BeforePath..];
    assert!(address.replace('\'', "%27").ends_with(sent), "{address}: {sent}");
}

/// Undoes every escape, once.
fn decoded(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| path.get(at + 1..at + 3)).flatten();
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The form that Graph's own links have.
fn is_plain(link: &str, origin: &str, path: &str) -> bool {
    let query =
        link.strip_prefix(origin).and_then(|rest| rest.strip_prefix(path)).and_then(|rest| rest.strip_prefix('?'));
    query.is_some_and(|query| {
        link.len() <= 1_000 && query.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"$=&%+-_.~".contains(&byte))
    })
}
