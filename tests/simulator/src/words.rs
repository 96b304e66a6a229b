//! Chance and prose for generated tenants.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Random as _, SeededRandom};
use uuid::Uuid;

const ADJECTIVES: [&str; 24] = [
    "quarterly",
    "revised",
    "northern",
    "pending",
    "signed",
    "open",
    "early",
    "detailed",
    "shared",
    "final",
    "missing",
    "weekly",
    "external",
    "joint",
    "renewed",
    "formal",
    "recent",
    "minor",
    "regional",
    "annual",
    "critical",
    "draft",
    "internal",
    "combined",
];
const NOUNS: [&str; 40] = [
    "contract",
    "forecast",
    "supplier",
    "invoice",
    "roadmap",
    "budget",
    "meeting",
    "customer",
    "delivery",
    "audit",
    "warehouse",
    "licence",
    "schedule",
    "proposal",
    "policy",
    "campaign",
    "incident",
    "release",
    "interview",
    "travel plan",
    "quarter",
    "factory",
    "product line",
    "board paper",
    "survey",
    "workshop",
    "pipeline",
    "market",
    "risk register",
    "press note",
    "training",
    "migration",
    "agreement",
    "estimate",
    "margin",
    "shipment",
    "milestone",
    "handbook",
    "team",
    "order book",
];
const VERBS: [&str; 22] = [
    "covers",
    "delays",
    "replaces",
    "explains",
    "supports",
    "changes",
    "follows",
    "precedes",
    "limits",
    "extends",
    "confirms",
    "summarises",
    "contradicts",
    "describes",
    "funds",
    "improves",
    "reopens",
    "settles",
    "affects",
    "closes",
    "mentions",
    "outlines",
];
const LINKS: [&str; 10] = [
    "after",
    "before",
    "because of",
    "together with",
    "in spite of",
    "according to",
    "for",
    "without",
    "beside",
    "under",
];
const REQUESTS: [&str; 16] = [
    "Summarise",
    "List the open points of",
    "Draft a reply about",
    "Compare",
    "Translate",
    "Who owns",
    "What changed in",
    "Write an agenda for",
    "Explain",
    "Find the latest",
    "Rewrite",
    "Turn into a table:",
    "Shorten",
    "Check the numbers of",
    "Prepare me for",
    "When is",
];
pub(crate) const FIRST_NAMES: [&str; 32] = [
    "Adele", "Bruno", "Chidi", "Daria", "Emil", "Farah", "Gustav", "Hana", "Iker", "Jana", "Kofi", "Lena", "Mateo",
    "Nadia", "Olga", "Pavel", "Quinn", "Rosa", "Sven", "Tariq", "Uma", "Viktor", "Wanda", "Xenia", "Yusuf", "Zoe",
    "Anton", "Bella", "Cem", "Dora", "Elif", "Fritz",
];
pub(crate) const LAST_NAMES: [&str; 29] = [
    "Vance",
    "Okafor",
    "Lindqvist",
    "Moreau",
    "Haas",
    "Petrov",
    "Silva",
    "Tanaka",
    "Brandt",
    "Novak",
    "Keller",
    "Owusu",
    "Farkas",
    "Greco",
    "Ibsen",
    "Jansen",
    "Kowalski",
    "Larsen",
    "Meyer",
    "Nilsson",
    "Ortega",
    "Peeters",
    "Quist",
    "Rossi",
    "Sato",
    "Toth",
    "Ulrich",
    "Varga",
    "Weber",
];

/// How many sentences a tenant's prose is made of. Sentences are drawn whole, since writing every word anew would make most
/// of the time that a tenant takes.
const SENTENCES: usize = 700;

/// A reproducible source of choices.
#[derive(Debug)]
pub(crate) struct Dice(SeededRandom);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(SeededRandom::new(seed))
    }

    /// A source of its own, so that one user's data do not depend on how much another's took.
    pub(crate) fn of(seed: u64, number: u64) -> Self {
        Self::new(SeededRandom::new(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95)).u64())
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound as u64) as usize
    }

    /// A number in `from..=to`.
    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        from + self.0.below((to - from + 1).unsigned_abs()) as i64
    }

    pub(crate) fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.below(of.len())).copied()
    }

    pub(crate) fn word(&mut self, of: &[&'static str]) -> &'static str {
        self.pick(of).unwrap_or_default()
    }

    pub(crate) fn guid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.0.bytes16()).into_uuid()
    }

    /// The form of a conversation's id: 43 characters of base64url and a 1.
    pub(crate) fn session(&mut self) -> String {
        let bytes = [self.0.bytes16(), self.0.bytes16()].concat();
        format!("19:{}1@thread.v2", URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// Prose of a tenant.
#[derive(Debug)]
pub(crate) struct Prose(Vec<String>);

impl Prose {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        Self((0..SENTENCES).map(|_| sentence(dice)).collect())
    }

    /// What somebody asks.
    pub(crate) fn request(&self, dice: &mut Dice) -> String {
        let mut text = format!("{} the {} {}", dice.word(&REQUESTS), dice.word(&ADJECTIVES), dice.word(&NOUNS));
        if dice.percent(40) {
            let _ = write!(text, " {} the {}", dice.word(&LINKS), dice.word(&NOUNS));
        }
        text.push_str(if dice.percent(50) { "?" } else { "." });
        for _ in 0..dice.below(4) {
            text.push(' ');
            text.push_str(self.sentence(dice));
        }
        text
    }

    /// An answer of so many sentences, in paragraphs.
    pub(crate) fn answer(&self, dice: &mut Dice, sentences: usize) -> String {
        let mut text = String::with_capacity(sentences * 80);
        for n in 0..sentences {
            if n > 0 {
                text.push_str(if n % 5 == 0 { "\n\n- " } else { " " });
            }
            text.push_str(self.sentence(dice));
        }
        text
    }

    fn sentence(&self, dice: &mut Dice) -> &str {
        self.0.get(dice.below(self.0.len())).map_or("", String::as_str)
    }
}

fn sentence(dice: &mut Dice) -> String {
    let mut text = format!("The {} {} {}", dice.word(&ADJECTIVES), dice.word(&NOUNS), dice.word(&VERBS));
    let _ = write!(text, " the {}", dice.word(&NOUNS));
    for _ in 0..1 + dice.below(2) {
        let _ = write!(text, " {} the {} {}", dice.word(&LINKS), dice.word(&ADJECTIVES), dice.word(&NOUNS));
    }
    if dice.percent(30) {
        let _ = write!(text, ", by {} %", 2 + dice.below(40));
    }
    text.push('.');
    text
}
