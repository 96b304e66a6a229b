//! The messages of a person, read month by month, and the pages they belong to.

use std::collections::{BTreeMap, HashMap};

use evidence::coverage::Window;
use evidence::{ReadError, Source, Stored};
use jiff::civil::Date;
use jiff::tz::Offset;
use views::{Fetched, Interaction, PairedBy, Place, Role, TextSource, arrange};

/// How much of a stored item is shown where the rules do not understand it. Whoever needs more has the record itself.
const MAX_RAW_BYTES: usize = 64 * 1024;

/// Where a text lies in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) run: String,
    pub(crate) segment: String,
    pub(crate) line: u64,
    pub(crate) sha256: String,
}

/// One text of an item.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) row: Interaction,
    pub(crate) fetched_at: jiff::Timestamp,
    pub(crate) origin: Origin,
    /// The stored item, cut, where it is not understood.
    pub(crate) raw: Option<String>,
    /// Earlier texts of the same item, oldest first.
    pub(crate) earlier: Vec<Self>,
    /// Why it is folded: a rule's name, of its own or of its turn.
    pub(crate) folded: Option<&'static str>,
    /// The id of the message that it repeats.
    pub(crate) repeats: Option<String>,
    /// How it was paired, if it belongs to a turn.
    pub(crate) paired_by: Option<PairedBy>,
}

impl Message {
    pub(crate) fn of(stored: &Stored<'_>, segment: &str) -> Self {
        let row = Interaction::read(stored.item);
        let raw = (row.text_source == TextSource::Unparsed).then(|| cut(stored.item));
        let origin = Origin {
            run: stored.run_id.to_owned(),
            segment: segment.to_owned(),
            line: stored.line,
            sha256: evidence::sha256(stored.bytes),
        };
        Self {
            row,
            fetched_at: stored.fetched_at,
            origin,
            raw,
            earlier: Vec::new(),
            folded: None,
            repeats: None,
            paired_by: None,
        }
    }

    /// Whether it belongs to what was asked for: within the range as audits count it, or without a time.
    pub(crate) fn is_asked(&self, asked: Window) -> bool {
        self.row.created_at.is_none_or(|created| created > asked.from && created <= asked.to)
    }

    /// The text and those before it.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.earlier)
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(MAX_RAW_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let rest = text.len() - end;
    if rest == 0 { text.to_owned() } else { format!("{} … and {rest} bytes more, see the record", &text[..end]) }
}

/// A conversation on one UTC day; without a day what names no time.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) session: Option<String>,
    pub(crate) day: Option<Date>,
    pub(crate) messages: Vec<Message>,
}

/// Reads every segment of a month; `each` sees every line that was asked for. Logs are by month of creation, so a
/// conversation's day is in one of them, and a month at a time bounds what is in memory. (An item whose texts name different
/// months is shown in each.)
pub(crate) fn read_month<E: From<ReadError>>(
    source: &dyn Source,
    segments: &[String],
    asked: Window,
    mut each: impl FnMut(&Stored<'_>, &Message) -> Result<(), E>,
) -> Result<Vec<Page>, E> {
    let mut messages = Vec::new();
    let mut failed = None;
    for key in segments {
        evidence::records(source, key, |stored| {
            let message = Message::of(&stored, key);
            if failed.is_none() && message.is_asked(asked) {
                failed = each(&stored, &message).err();
            }
            messages.push(message);
        })?;
    }
    failed.map_or_else(|| Ok(pages(messages, asked)), Err)
}

fn pages(mut messages: Vec<Message>, asked: Window) -> Vec<Page> {
    let rows: Vec<Fetched<'_>> =
        messages.iter().map(|message| Fetched { interaction: &message.row, fetched_at: message.fetched_at }).collect();
    let arranged = arrange(&rows);
    let repeats = arranged.places.iter().map(|place| {
        let other = rows.get(place.near_duplicate_of?)?.interaction;
        Some(other.id.clone().unwrap_or_default())
    });
    let repeats: Vec<Option<String>> = repeats.collect();
    for ((message, place), repeats) in messages.iter_mut().zip(&arranged.places).zip(repeats) {
        let turn = place.turn.and_then(|turn| arranged.turns.get(turn));
        let interim = message.row.is_interim.then_some("interim");
        let of_turn = turn.and_then(|turn| turn.automatic_reason);
        message.folded = message.row.automatic_reason.or(of_turn).or(interim);
        message.paired_by = turn.map(|turn| turn.paired_by);
        message.repeats = repeats;
    }
    group(with_earlier(messages, &arranged.places), asked)
}

/// Session and id.
type Key = (Option<String>, Option<String>);

/// The latest texts, each with those before it.
fn with_earlier(messages: Vec<Message>, places: &[Place]) -> Vec<Message> {
    let mut earlier: HashMap<Key, Vec<(usize, Message)>> = HashMap::new();
    let mut latest = Vec::new();
    for (message, place) in messages.into_iter().zip(places) {
        if place.is_latest {
            latest.push(message);
        } else {
            let key = (message.row.session_id.clone(), message.row.id.clone());
            earlier.entry(key).or_default().push((place.version_no, message));
        }
    }
    for message in &mut latest {
        let key = (message.row.session_id.clone(), message.row.id.clone());
        if let Some(mut texts) = earlier.remove(&key) {
            texts.sort_by_key(|(number, _)| *number);
            message.earlier = texts.into_iter().map(|(_, text)| text).collect();
        }
    }
    latest
}

fn group(mut messages: Vec<Message>, asked: Window) -> Vec<Page> {
    // An item is asked for if any of its texts is: what is counted as a record is on a page.
    messages.retain(|message| message.texts().any(|text| text.is_asked(asked)));
    messages.sort_by_key(|message| {
        let id = message.row.id.clone().unwrap_or_default();
        (message.row.created_at, message.row.role, id.len(), id, message.fetched_at)
    });
    let mut pages: BTreeMap<(Option<Date>, Option<String>), Vec<Message>> = BTreeMap::new();
    for message in messages {
        let day = message.row.created_at.map(|time| Offset::UTC.to_datetime(time).date());
        pages.entry((day, message.row.session_id.clone())).or_default().push(message);
    }
    let pages = pages.into_iter().map(|((day, session), messages)| Page { session, day, messages });
    pages.collect()
}

impl Page {
    /// The applications, each once, in the order they appear.
    pub(crate) fn apps(&self) -> String {
        let mut apps: Vec<&str> = Vec::new();
        for app in self.messages.iter().filter_map(|message| message.row.app.as_deref()) {
            if !apps.contains(&app) {
                apps.push(app);
            }
        }
        apps.join(", ")
    }

    pub(crate) fn day_text(&self) -> String {
        self.day.map_or_else(|| "undated".to_owned(), |day| day.to_string())
    }

    /// The times of the first and the last message.
    pub(crate) fn times(&self) -> Option<(jiff::Timestamp, jiff::Timestamp)> {
        let times = || self.messages.iter().filter_map(|message| message.row.created_at);
        Some((times().min()?, times().max()?))
    }

    pub(crate) fn session_text(&self) -> &str {
        self.session.as_deref().unwrap_or("no conversation is named")
    }
}

/// Who speaks, as a heading says it.
pub(crate) fn speaker<'a>(message: &'a Message, custodian: &'a str) -> &'a str {
    match message.row.role {
        Role::Prompt => custodian,
        Role::Response => message.row.assistant_name.as_deref().unwrap_or("Copilot"),
        Role::Other => "neither prompt nor answer",
    }
}

/// What is to be said of a message beside its text.
pub(crate) fn notes(message: &Message) -> Vec<String> {
    let row = &message.row;
    let mut notes = Vec::new();
    if let Some(reason) = message.folded {
        notes.push(match reason {
            "interim" => "interim: says only that an answer is being looked for".to_owned(),
            rule => format!("automatic by rule {rule}"),
        });
    }
    if let Some(id) = &message.repeats {
        notes.push(format!("near duplicate of the message with id {id}"));
    }
    match row.text_source {
        TextSource::Unparsed => notes.push(format!(
            "not understood by the rules of version {}; below stands the item as it is stored",
            views::RULE_VERSION
        )),
        TextSource::Empty => notes.push("sent without any text".to_owned()),
        source => {
            if source != TextSource::Body {
                notes.push(format!("text taken from {}", source.as_str()));
            }
        }
    }
    if row.skipped_elements > 0 {
        notes.push(format!("{} elements of cards are not understood; see the record", row.skipped_elements));
    }
    if row.role == Role::Response && message.paired_by == Some(PairedBy::Adjacency) {
        notes.push("paired with the prompt before it by time, since it names no request".to_owned());
    }
    if !message.earlier.is_empty() {
        notes.push(format!("the latest of {} texts", message.earlier.len() + 1));
    }
    notes
}

/// What a message points to: a heading and lines for each kind.
pub(crate) fn references(row: &Interaction) -> [(&'static str, Vec<String>); 3] {
    let lines = |references: &[views::Reference]| {
        let line = |one: &views::Reference| {
            let parts = [&one.kind, &one.name, &one.url].into_iter().flatten();
            parts.map(String::as_str).collect::<Vec<_>>().join("  ")
        };
        references.iter().map(line).collect()
    };
    [("cited", lines(&row.links)), ("context", lines(&row.contexts)), ("attached", lines(&row.attachments))]
}

/// Where a text lies, as a footer says it.
pub(crate) fn footer(message: &Message) -> String {
    let Origin { run, segment, line, sha256 } = &message.origin;
    let id = message.row.id.as_deref().unwrap_or("none");
    format!("id {id}, run {run}, {segment} line {line}, record sha256 {sha256}")
}
