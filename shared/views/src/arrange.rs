//! What interactions are to each other: texts of one item, near duplicates, prompts and their answers.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::interaction::{Interaction, Role};

/// How far apart in time near duplicates are at most: the service sends them one or two seconds apart.
pub const NEAR_DUPLICATE: SignedDuration = SignedDuration::from_secs(5);

/// An interaction and when it was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched<'a> {
    /// The interaction.
    pub interaction: &'a Interaction,
    /// When it was.
    pub fetched_at: Timestamp,
}

/// How the prompt and the answers of a turn were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PairedBy {
    /// They name the same request.
    RequestId,
    /// An answer that names no request follows the latest prompt before it in the conversation.
    Adjacency,
    /// There is nothing to pair.
    None,
}

/// What an interaction is to the others of its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The number of this text among those of its key, oldest first, from 1.
    pub version_no: usize,
    /// Whether it is the latest of them.
    pub is_latest: bool,
    /// The position of the interaction that this one repeats.
    pub near_duplicate_of: Option<usize>,
    /// The position of the turn it belongs to: none for earlier texts and for what is neither prompt nor answer.
    pub turn: Option<usize>,
}

/// A prompt and what answers it, by their positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// The request, or the id of the first interaction of the turn.
    pub turn_id: Option<String>,
    /// How it was put together; by the weakest pairing in it.
    pub paired_by: PairedBy,
    /// The prompts in the order of time.
    pub prompts: Vec<usize>,
    /// The answers in the order of time, interim ones included.
    pub answers: Vec<usize>,
    /// When the first prompt was made.
    pub prompted_at: Option<Timestamp>,
    /// When the first answer that is not interim was; else the first.
    pub answered_at: Option<Timestamp>,
    /// The rule by which its prompts are automatic; `None` if one of them is not.
    pub automatic_reason: Option<&'static str>,
}

impl Turn {
    /// How long the answer took.
    pub fn latency(&self) -> Option<SignedDuration> {
        Some(self.answered_at?.duration_since(self.prompted_at?))
    }
}

/// The places of a user's interactions, in their order, and the turns in the order of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrangement {
    /// One place for each interaction.
    pub places: Vec<Place>,
    /// The turns.
    pub turns: Vec<Turn>,
}

/// Arranges the interactions of one user.
pub fn arrange(items: &[Fetched<'_>]) -> Arrangement {
    let mut places = versions(items);
    let mut order: Vec<usize> = (0..items.len()).filter(|at| places[*at].is_latest).collect();
    order.sort_by(|a, b| time_order(items, *a).cmp(&time_order(items, *b)));
    near_duplicates(items, &order, &mut places);
    let turns = turns(items, &order, &mut places);
    Arrangement { places, turns }
}

/// Undated interactions first, then by time; at one time prompts first, then by id.
fn time_order<'a>(items: &[Fetched<'a>], at: usize) -> (Option<Timestamp>, Role, usize, &'a str, usize) {
    let item = items[at].interaction;
    let id = item.id.as_deref().unwrap_or_default();
    (item.created_at, item.role, id.len(), id, at)
}

/// Texts with one session and id are versions of one item; without both, a text is an item of its own.
fn versions(items: &[Fetched<'_>]) -> Vec<Place> {
    let mut keys: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    let mut places = vec![Place { version_no: 1, is_latest: true, near_duplicate_of: None, turn: None }; items.len()];
    for (at, item) in items.iter().enumerate() {
        if let (Some(session), Some(id)) = (&item.interaction.session_id, &item.interaction.id) {
            keys.entry((session, id)).or_default().push(at);
        }
    }
    for mut versions in keys.into_values() {
        versions.sort_by_key(|at| {
            let etag = items[*at].interaction.etag.as_deref().unwrap_or_default();
            (etag.len(), etag, items[*at].fetched_at, *at)
        });
        let latest = versions.len();
        for (number, at) in (1..).zip(versions) {
            places[at].version_no = number;
            places[at].is_latest = number == latest;
        }
    }
    places
}

fn near_duplicates(items: &[Fetched<'_>], order: &[usize], places: &mut [Place]) {
    let mut last: HashMap<(&str, Role, &str), (usize, Timestamp)> = HashMap::new();
    for at in order {
        let item = items[*at].interaction;
        let (Some(session), Some(text), Some(time)) = (&item.session_id, &item.text, item.created_at) else { continue };
        if text.is_empty() {
            continue;
        }
        let before = last.insert((session, item.role, text), (*at, time));
        places[*at].near_duplicate_of = before
            .filter(|(other, then)| {
                time.duration_since(*then) <= NEAR_DUPLICATE && items[*other].interaction.id != item.id
            })
            .map(|(other, _)| other);
    }
}

fn turns(items: &[Fetched<'_>], order: &[usize], places: &mut [Place]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    let mut by_request: HashMap<&str, usize> = HashMap::new();
    for at in order.iter().filter(|at| items[**at].interaction.role == Role::Prompt) {
        let item = items[*at].interaction;
        let known = item.request_id.as_deref().and_then(|request| by_request.get(request)).copied();
        let turn = known.unwrap_or_else(|| begin(&mut turns, item));
        if let Some(request) = &item.request_id {
            by_request.insert(request, turn);
        }
        turns[turn].prompts.push(*at);
        places[*at].turn = Some(turn);
    }
    // The latest prompt before, in the order of time.
    let mut latest: HashMap<&str, usize> = HashMap::new();
    for at in order {
        let item = items[*at].interaction;
        let session = item.session_id.as_deref();
        match item.role {
            Role::Prompt => {
                if let (Some(session), Some(turn)) = (session, places[*at].turn) {
                    latest.insert(session, turn);
                }
            }
            Role::Response => {
                let (known, by) = match item.request_id.as_deref() {
                    Some(request) => (by_request.get(request), PairedBy::RequestId),
                    None => (session.and_then(|session| latest.get(session)), PairedBy::Adjacency),
                };
                let known = known.copied();
                let turn = known.unwrap_or_else(|| begin(&mut turns, item));
                if known.is_some() {
                    let paired = &mut turns[turn].paired_by;
                    *paired = if *paired == PairedBy::None { by } else { (*paired).max(by) };
                }
                turns[turn].answers.push(*at);
                places[*at].turn = Some(turn);
            }
            Role::Other => {}
        }
    }
    for turn in &mut turns {
        finish(items, turn);
    }
    in_order_of_time(items, turns, places)
}

fn begin(turns: &mut Vec<Turn>, first: &Interaction) -> usize {
    turns.push(Turn {
        turn_id: first.request_id.clone().or_else(|| first.id.clone()),
        paired_by: PairedBy::None,
        prompts: Vec::new(),
        answers: Vec::new(),
        prompted_at: None,
        answered_at: None,
        automatic_reason: None,
    });
    turns.len() - 1
}

fn finish(items: &[Fetched<'_>], turn: &mut Turn) {
    let item = |at: &usize| items[*at].interaction;
    turn.prompted_at = turn.prompts.iter().find_map(|at| item(at).created_at);
    let answer = turn.answers.iter().find(|at| !item(at).is_interim).or(turn.answers.first());
    turn.answered_at = answer.and_then(|at| item(at).created_at);
    let own = if turn.prompts.is_empty() { &turn.answers } else { &turn.prompts };
    let reasons: Option<Vec<_>> = own.iter().map(|at| item(at).automatic_reason).collect();
    turn.automatic_reason = reasons.and_then(|reasons| reasons.first().copied());
}

fn in_order_of_time(items: &[Fetched<'_>], turns: Vec<Turn>, places: &mut [Place]) -> Vec<Turn> {
    let first = |turn: &Turn| turn.prompts.first().or(turn.answers.first()).copied().unwrap_or_default();
    let mut sorted: Vec<(usize, Turn)> = turns.into_iter().enumerate().collect();
    sorted.sort_by(|(_, a), (_, b)| time_order(items, first(a)).cmp(&time_order(items, first(b))));
    let mut moved = vec![0; sorted.len()];
    for (new, (old, _)) in sorted.iter().enumerate() {
        moved[*old] = new;
    }
    for place in places.iter_mut() {
        place.turn = place.turn.map(|turn| moved[turn]);
    }
    sorted.into_iter().map(|(_, turn)| turn).collect()
}
