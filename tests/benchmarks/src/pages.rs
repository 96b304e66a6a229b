//! Pages of 100 interactions as Graph gives them, 445 kB each, of texts in the forms the simulator writes.

use std::io::Write;

use bytes::Bytes;
use domain::UserId;
use flate2::Compression;
use flate2::write::GzEncoder;
use graph_simulator::{Profile, Tenant};
use jiff::{SignedDuration, Timestamp};

/// Interactions on a page.
pub(crate) const ITEMS: usize = 100;

/// Bytes of a page, which is 4.4 kB an interaction: the planning mean, between a prompt of 0.8 kB and an answer with a card of 7.
pub(crate) const PAGE_BYTES: usize = 445_000;

/// Distinct pages: more than a processor's cache holds.
pub(crate) const PAGES: usize = 32;

/// When the interactions end. They lie in one month, as those of a daily window do.
pub(crate) const NOW: &str = "2026-11-24T03:00:00Z";

/// The items of all pages.
#[derive(Debug)]
pub(crate) struct Pool(Vec<Vec<String>>);

impl Pool {
    /// The same pages every time.
    pub(crate) fn new() -> Self {
        let mut created: Timestamp = NOW.parse().expect("a time");
        let mut texts = Vec::new();
        for seed in 0.. {
            let profile =
                Profile { users: 60, licensed: 60, busy: 4, busy_items: 1_000, hostile: false, ..Profile::contoso() };
            let tenant = Tenant::generate(&profile, seed);
            texts.extend(tenant.users().iter().flat_map(|user| user.items()).map(|item| item.text.to_string()));
            if texts.len() >= 6 * PAGES * ITEMS {
                break;
            }
        }
        let mean = PAGE_BYTES / ITEMS;
        let (mut large, mut small): (Vec<_>, Vec<_>) = texts.into_iter().partition(|text| text.len() > mean);
        let mut page = || {
            let (mut items, mut bytes) = (Vec::with_capacity(ITEMS), 0);
            while items.len() < ITEMS {
                let from = if bytes > items.len() * mean { &mut small } else { &mut large };
                created -= SignedDuration::from_secs(97);
                let item = dated(&from.pop().expect("enough texts"), created);
                bytes += item.len();
                items.push(item);
            }
            items
        };
        Self((0..PAGES).map(|_| page()).collect())
    }

    /// Page number `n` of any user; after the last the first comes again.
    pub(crate) fn items(&self, n: usize) -> &[String] {
        &self.0[n % PAGES]
    }

    /// A page as it goes over the network, before compression.
    pub(crate) fn body(&self, n: usize, next_link: Option<&str>) -> String {
        let link = next_link.map_or(String::new(), |link| format!(r#""@odata.nextLink":"{link}","#));
        let items = self.items(n).join(",");
        format!(
            r##"{{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#Collection(aiInteraction)","@odata.count":{ITEMS},{link}"value":[{items}]}}"##
        )
    }
}

/// The text with another time of creation: a page of a daily window holds one month.
fn dated(text: &str, created: Timestamp) -> String {
    const NAME: &str = r#""createdDateTime":""#;
    let begin = text.find(NAME).expect("every text names its time") + NAME.len();
    let end = begin + text[begin..].find('"').expect("a string ends");
    format!("{}{created}{}", &text[..begin], &text[end..])
}

/// A body as Graph's front ends compress it.
pub(crate) fn gzip(body: &str) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).expect("memory");
    encoder.finish().expect("memory").into()
}

/// The users of a measurement.
pub(crate) fn users(count: u64) -> Vec<UserId> {
    (1..=count).map(graph_simulator::numbered).collect()
}
