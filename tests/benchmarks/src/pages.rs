//! Pages of 100 interactions as Graph gives them, 445 kB each, of texts in the forms the simulator writes.

use std::io::Write;

use bytes::Bytes;
use domain::{Random, SeededRandom, UserId};
use flate2::Compression;
use flate2::write::GzEncoder;
use graph_simulator::{Profile, Tenant};
use jiff::{SignedDuration, Timestamp};

/// Interactions on a page.
pub(crate) const ITEMS: usize = 100;

/// Bytes of a page, which is 4.4 kB an interaction: the planning mean, between a prompt of 0.8 kB and an answer with a card of 7.
pub(crate) const PAGE_BYTES: usize = 445_000;

/// How much more frequent the frequent words are: with 4, a page compresses to the 100 kB that pages of published prose do.
const RARENESS: i32 = 4;

/// Where an item's text begins.
const CONTENT: &str = r#""content":""#;

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
        let profile =
            Profile { users: 60, licensed: 60, busy: 4, busy_items: 1_400, hostile: false, ..Profile::contoso() };
        let tenant = Tenant::generate(&profile, 1);
        let mut texts = tenant.users().iter().flat_map(|user| user.items()).map(|item| &item.text);
        let mut words = Words::new();
        let mut page = || {
            let mut bytes = 0;
            let items = (1..=ITEMS).map(|n| {
                created -= SignedDuration::from_secs(97);
                let mut item = dated(texts.next().expect("enough texts"), created);
                let missing = (n * PAGE_BYTES / ITEMS).saturating_sub(bytes + item.len());
                if item.contains(r#""aiResponse""#) {
                    let content = item.find(CONTENT).expect("every text has a content") + CONTENT.len();
                    item.insert_str(content, &words.prose(missing));
                }
                bytes += item.len();
                item
            });
            items.collect()
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

/// Prose with words as rare as those of people. The simulator's answers are short, and made of few sentences: with these
/// before them a page has the size it should have, and compresses as pages of published prose do.
struct Words {
    random: SeededRandom,
    words: Vec<String>,
}

impl Words {
    const COUNT: u64 = 20_000;

    fn new() -> Self {
        const SYLLABLES: [&str; 16] = [
            "an", "ber", "con", "de", "er", "for", "ing", "lo", "ment", "nor", "pre", "ra", "sti", "tion", "ul", "ver",
        ];
        let random = SeededRandom::new(1);
        let word = || (0..1 + random.below(4)).map(|_| SYLLABLES[random.below(16) as usize]).collect();
        let words = (0..Self::COUNT).map(|_| word()).collect();
        Self { random, words }
    }

    fn prose(&mut self, bytes: usize) -> String {
        let mut prose = String::with_capacity(bytes + 16);
        while prose.len() < bytes {
            // Few words are frequent, most are rare.
            let chance = self.random.below(1 << 20) as f64 / f64::from(1 << 20);
            prose.push_str(&self.words[(chance.powi(RARENESS) * Self::COUNT as f64) as usize]);
            prose.push(' ');
        }
        prose
    }
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
