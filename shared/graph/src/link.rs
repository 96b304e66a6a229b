//! Next links: where they may lead.
//!
//! A next link is sent with the token attached, so it is followed only within the collection that was asked for. It is
//! taken apart by hand and strictly: a parser that repairs addresses would judge another one than is sent.

use crate::cloud::Origin;
use crate::error::GraphError;

/// The longest link that is followed. Graph's are a few hundred bytes; the wire allows 64 kB.
const LINK_LENGTH: usize = 16 << 10;

/// Path and query of the link, byte for byte, if it stays in the collection at `path` of this origin.
///
/// `path` is compared without regard to case, and with or without the `()` of a function call.
pub(crate) fn target<'a>(link: &'a str, origin: &Origin, path: &str) -> Result<&'a str, GraphError> {
    stays(link, origin, path).ok_or(GraphError::ForeignLink)
}

fn stays<'a>(link: &'a str, origin: &Origin, path: &str) -> Option<&'a str> {
    // No space, control or non-ASCII character, and no fragment: none of them can be sent as it stands.
    if link.len() > LINK_LENGTH || !link.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>\\".contains(&byte)) {
        return None;
    }
    let (scheme, rest) = link.split_once("://")?;
    if !scheme.eq_ignore_ascii_case(origin.scheme()) {
        return None;
    }
    let target = &rest[rest.find('/')?..];
    let authority = &rest[..rest.len() - target.len()];
    // A question mark before the path would end the authority early; a userinfo is not in an authority of ours.
    if !origin.is_authority(authority) {
        return None;
    }
    let (linked_path, _) = target.split_once('?').unwrap_or((target, ""));
    let decoded = decoded(linked_path)?;
    let plain = decoded.strip_suffix("()").unwrap_or(&decoded);
    plain.eq_ignore_ascii_case(path).then_some(target)
}

/// The path with its escapes undone, if each stands for a character that needs no escape anywhere in our paths: one that
/// hides a separator or a dot may be read differently by whoever routes the request.
fn decoded(path: &str) -> Option<String> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, escape)) = rest.split_once('%') {
        decoded.push_str(before);
        let digits = escape.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let byte = u8::from_str_radix(digits, 16).ok()?;
        if !byte.is_ascii_graphic() || b"/.\\%?#@:;".contains(&byte) {
            return None;
        }
        decoded.push(char::from(byte));
        rest = &escape[2..];
    }
    decoded.push_str(rest);
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Cloud;

    const PATH: &str =
        "/v1.0/copilot/users/5ac181d0-c896-435a-a745-ac948db1d59a/interactionHistory/getAllEnterpriseInteractions";

    #[test]
    fn links_within_the_collection_are_kept_byte_for_byte() {
        let origin = Cloud::Global.graph_origin();
        let queries = [
            "?$top=100&$filter=createdDateTime+gt+2026-03-01T00%3a00%3a00Z&$skiptoken=U2tpcA%3d%3d",
            "?$skiptoken=X'44'/../..//@evil.example:80;a|b{}[]^`~!*()",
            "?",
            "",
        ];
        for query in queries {
            for path in [
                PATH.to_owned(),
                PATH.to_ascii_lowercase(),
                PATH.to_ascii_uppercase(),
                format!("{PATH}()"),
                format!("{PATH}%28%29"),
                PATH.replace("copilot", "%63opilot"),
            ] {
                for start in
                    ["https://graph.microsoft.com", "HTTPS://Graph.Microsoft.Com", "https://graph.microsoft.com:443"]
                {
                    let link = format!("{start}{path}{query}");
                    assert_eq!(target(&link, &origin, PATH).unwrap(), format!("{path}{query}"), "{link}");
                }
            }
        }
    }

    #[test]
    fn hostile_links_are_refused() {
        let origin = Cloud::Global.graph_origin();
        let host = "https://graph.microsoft.com";
        let other_user = PATH.replace("5ac181d0", "6ac181d0");
        for link in [
            String::new(),
            PATH.to_owned(),
            format!("//graph.microsoft.com{PATH}"),
            format!("http://graph.microsoft.com{PATH}"),
            format!("ftp://graph.microsoft.com{PATH}"),
            format!("https:graph.microsoft.com{PATH}"),
            format!("https:/graph.microsoft.com{PATH}"),
            format!("https:///graph.microsoft.com{PATH}"),
            format!("https:\\\\graph.microsoft.com{PATH}"),
            format!(" {host}{PATH}"),
            format!("{host}{PATH} "),
            format!("{host}{PATH}\r\nHost: evil.example"),
            format!("{host}\t{PATH}"),
            format!("https://graph.microsoft.com.evil.example{PATH}"),
            format!("https://graph.microsoft.com.{PATH}"),
            format!("https://evil.example/graph.microsoft.com{PATH}"),
            format!("https://evilgraph.microsoft.com{PATH}"),
            format!("https://graph.microsoft.com@evil.example{PATH}"),
            format!("https://user@graph.microsoft.com{PATH}"),
            format!("https://user:secret@graph.microsoft.com{PATH}"),
            format!("https://@graph.microsoft.com{PATH}"),
            format!("https://evil.example#@graph.microsoft.com{PATH}"),
            format!("https://evil.example\\@graph.microsoft.com{PATH}"),
            format!("https://evil.example?@graph.microsoft.com{PATH}"),
            format!("https://graph.microsoft.com?{PATH}"),
            format!("https://graph.microsoft.com:444{PATH}"),
            format!("https://graph.microsoft.com:0443{PATH}"),
            format!("https://graph.microsoft.com:{PATH}"),
            format!("https://graph.microsoft.com:443:443{PATH}"),
            format!("https://gr\u{430}ph.microsoft.com{PATH}"),
            format!("https://xn--grph-53d.microsoft.com{PATH}"),
            format!("https://graph%2emicrosoft.com{PATH}"),
            format!("https://20.190.128.1{PATH}"),
            format!("{host}{other_user}"),
            format!("{host}/v1.0/users"),
            format!("{host}{}", PATH.replace("v1.0", "beta")),
            format!("{host}/{PATH}"),
            format!("{host}{PATH}/"),
            format!("{host}{PATH}()()"),
            format!("{host}{PATH}/../getAllEnterpriseInteractions"),
            format!("{host}/v1.0/./{}", &PATH[6..]),
            format!("{host}{}", PATH.replace("/interactionHistory", "%2finteractionHistory")),
            format!("{host}{}", PATH.replace("/interactionHistory", "%5cinteractionHistory")),
            format!("{host}{}", PATH.replace("/interactionHistory", "\\interactionHistory")),
            format!("{host}{}", PATH.replace("v1.0", "v1%2e0")),
            format!("{host}/v1.0/%2e%2e{PATH}"),
            format!("{host}{}", PATH.replace("copilot", "%2563opilot")),
            format!("{host}{PATH}%00"),
            format!("{host}{PATH}%3f"),
            format!("{host}{PATH}%"),
            format!("{host}{PATH}%2"),
            format!("{host}{PATH}%zz"),
            format!("{host}{PATH}%+1"),
            format!("{host}{PATH};a=b"),
            format!("{host}{PATH}?$skiptoken=a#b"),
            format!("{host}{PATH}?$skiptoken=\u{e4}"),
            format!("{host}{PATH}?$skiptoken={}", "a".repeat(LINK_LENGTH)),
        ] {
            assert!(matches!(target(&link, &origin, PATH), Err(GraphError::ForeignLink)), "{link}");
        }
    }
}
