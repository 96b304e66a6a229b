//! What must not leave a process: prompts, secrets, tokens and names.

use graph_simulator::{Tenant, User};

/// Part of every prompt and answer of a harness tenant.
pub const CANARY: &str = "canary-prompt";

/// What JSON Web Tokens begin with, by which member is first: Graph's and those of STS.
const TOKENS: [&str; 2] = ["eyJhbGciOi", "eyJ0eXAiOi"];

/// Searches for what must not be found.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Nowhere at all.
    secrets: Vec<String>,
    /// Nowhere but in the roster.
    names: Vec<String>,
    found: Vec<String>,
}

impl Watch {
    /// The secret key of the role that functions run as.
    pub(crate) const AWS_KEY: &str = "canary-aws-key";
    /// The token of its session.
    pub(crate) const AWS_TOKEN: &str = "canary-aws-token";

    /// Knows this tenant's secrets and names, and that its items hold the canary.
    pub(crate) fn new(tenant: &Tenant) -> Self {
        let items = tenant.users().iter().flat_map(User::items);
        assert!(items.into_iter().all(|item| item.text.contains(CANARY)), "items without the canary hide leaks");
        let secrets = [&tenant.application.secret, Self::AWS_KEY, Self::AWS_TOKEN, TOKENS[0], TOKENS[1], "Bearer "];
        let names = tenant.users().iter().flat_map(|user| [&user.upn, &user.display_name]);
        Self { secrets: secrets.map(str::to_owned).into(), names: names.cloned().collect(), found: Vec::new() }
    }

    /// Whether this is what would be found.
    pub(crate) fn knows(&self, secret: &str) -> bool {
        self.secrets.iter().any(|known| secret.contains(known.as_str()))
    }

    /// Searches a text in which nothing may stand.
    pub(crate) fn search(&mut self, place: &str, text: &str) {
        self.look(place, text, true, true);
    }

    /// Searches an object: content may stand in the log and in quarantine, names in the roster.
    pub(crate) fn search_object(&mut self, key: &str, bytes: &[u8]) {
        self.look("a key", key, true, true);
        let unpacked = zstd::decode_all(bytes).unwrap_or_else(|_| bytes.to_vec());
        let content = key.starts_with("interactions/") || key.starts_with("quarantine/");
        self.look(key, &String::from_utf8_lossy(&unpacked), !content, !key.ends_with("/roster.jsonl.zst"));
    }

    /// Nothing was found.
    pub(crate) fn expect_nothing(self) {
        assert!(self.found.is_empty(), "{:#?}", self.found);
    }

    fn look(&mut self, place: &str, text: &str, content: bool, names: bool) {
        let canary = [CANARY.to_owned()];
        let forbidden =
            (self.secrets.iter()).chain(canary.iter().filter(|_| content)).chain(self.names.iter().filter(|_| names));
        let found: Vec<String> = forbidden.filter(|one| text.contains(one.as_str())).cloned().collect();
        self.found.extend(found.into_iter().map(|one| format!("{one} in {place}: {}", excerpt(text, &one))));
    }
}

/// Some of the text around what was found: a line of the log may be long.
fn excerpt(text: &str, found: &str) -> String {
    const AROUND: usize = 120;
    let at = text.find(found).map_or(0, |at| text[..at].chars().count());
    text.chars().skip(at.saturating_sub(AROUND)).take(2 * AROUND + found.len()).collect()
}

#[cfg(test)]
mod tests {
    use domain::TenantId;
    use graph_simulator::{Item, plain};

    use super::*;

    #[test]
    fn what_stands_where_it_must_not_is_found() {
        let now = "2026-11-24T03:00:00Z".parse().unwrap();
        let mut tenant = Tenant::new(TenantId::from_bytes([7; 16]), now);
        let user = tenant.add_licensed(1);
        let text = plain(user, 0, now).replace("Item", CANARY);
        tenant.add_item(user, Item::new(text.clone(), now));
        let name = tenant.user(user).unwrap().upn.clone();
        for (key, bytes, finds) in [
            ("interactions/x", text.as_str(), 0),
            ("runs/x/report.json", &text, 1),
            ("runs/x/roster.jsonl.zst", &name, 0),
            ("runs/x/users.jsonl.zst", &name, 1),
            ("interactions/x", &tenant.application.secret, 1),
            ("interactions/x", "a eyJhbGciOiJSUzI1NiJ9", 1),
        ] {
            let packed = zstd::encode_all(bytes.as_bytes(), 0).unwrap();
            for bytes in [bytes.as_bytes(), &packed] {
                let mut watch = Watch::new(&tenant);
                watch.search_object(key, bytes);
                assert_eq!(watch.found.len(), finds, "{key}: {:?}", watch.found);
            }
        }
        let mut watch = Watch::new(&tenant);
        watch.search("a line", &format!("{text} {name}"));
        assert_eq!(watch.found.len(), 2);
    }
}
