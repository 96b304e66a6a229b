//! Watches everything that leaves Graph and everything that lands in the store, and notes each broken promise as it breaks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use archive::memory::MemoryStore;
use archive::store::{ETag, LegalHold, Object, PutIfMatch, PutNew, Store, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{Clock, Message, Timestamp, UserId};
use graph_simulator::Tenant;
use jiff::SignedDuration;
use queue::Delivery;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Watches one world.
#[derive(Debug)]
pub(crate) struct Judge {
    tenant: String,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    people: BTreeMap<UserId, Person>,
    /// By process and user: the question whose pages are being read.
    open: BTreeMap<(u64, UserId), Question>,
    /// By process and user: what this invocation was shown.
    shown: BTreeMap<(u64, UserId), BTreeSet<usize>>,
    runs: BTreeMap<String, Value>,
    secrets: BTreeSet<String>,
    messages: BTreeSet<String>,
    /// Every version of every object under `state/`.
    versions: BTreeMap<String, Vec<Bytes>>,
    broken: Vec<String>,
    trace: Vec<String>,
    /// What happened, and how often.
    happened: BTreeMap<&'static str, u64>,
    /// What was delivered: the message and its receive count.
    delivered: BTreeSet<(String, u32)>,
    /// Who is being read by how many invocations.
    reading: BTreeMap<UserId, u64>,
}

/// A user: what could be shown, what was, and what is archived.
#[derive(Debug, Default)]
struct Person {
    index: HashMap<String, usize>,
    created: Vec<Timestamp>,
    months: Vec<String>,
    held: Vec<bool>,
    returned: Vec<bool>,
    /// By month: segments.
    logs: BTreeMap<String, u64>,
    questions: Vec<Question>,
    /// What is special about a text.
    special: Vec<Option<&'static str>>,
    /// When an item shows, changes or goes, and which of these it is.
    changes: Vec<(Timestamp, &'static str)>,
}

/// A question that was answered to its last page, or is being answered.
#[derive(Debug, Clone)]
struct Question {
    after: Timestamp,
    before: Timestamp,
    shown: BTreeSet<usize>,
    asked_at: Timestamp,
    pages: u64,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    value: Vec<&'a RawValue>,
    #[serde(rename = "@odata.nextLink", default)]
    next_link: Option<String>,
}

/// An item's text as the archive stores it.
fn stored(text: &str) -> String {
    let text = text.trim();
    // One character at a time is searched for fast even in a build that is not optimised.
    if text.contains('\n') || text.contains('\r') { text.replace(['\r', '\n'], "") } else { text.to_owned() }
}

impl Judge {
    /// A judge over this tenant.
    pub(crate) fn new(tenant: &Tenant, clock: Arc<dyn Clock>) -> Self {
        let mut state = State::default();
        for user in tenant.users() {
            let mut person = Person::default();
            for item in user.items() {
                for text in std::iter::once(&item.text).chain(item.edits.iter().map(|edit| &edit.text)) {
                    person.index.insert(stored(text), person.created.len());
                    person.created.push(item.created);
                    person.months.push(item.created.strftime("%Y-%m").to_string());
                    person.special.push(Some("an edited item"));
                }
                let first = person.special.len() - 1 - item.edits.len();
                person.special[first] = (item.visible_from > item.created).then_some("a late item");
            }
            for item in user.items() {
                let late = (item.visible_from > item.created).then_some((item.visible_from, "an insert while paging"));
                let gone = item.removed_at.map(|at| (at, "a delete while paging"));
                let edited = item.edits.iter().map(|edit| (edit.at, "an edit while paging"));
                person.changes.extend(late.into_iter().chain(gone).chain(edited));
            }
            person.held = vec![false; person.created.len()];
            person.returned = vec![false; person.created.len()];
            state.people.insert(user.id, person);
        }
        Self { tenant: tenant.id.to_string(), clock, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds an event to the trace.
    pub(crate) fn note(&self, event: impl FnOnce() -> String) {
        let now = self.clock.now();
        self.state().trace.push(format!("{now:.3} {}", event()));
    }

    /// Counts something that happened.
    pub(crate) fn count(&self, what: &'static str, times: u64) {
        *self.state().happened.entry(what).or_default() += times;
    }

    /// What happened, and how often.
    pub(crate) fn happened(&self) -> BTreeMap<&'static str, u64> {
        self.state().happened.clone()
    }

    /// A batch is given to a worker; until [`Judge::put_down`] it reads these users.
    pub(crate) fn taken_up(&self, batch: &[Delivery]) {
        let mut state = self.state();
        let state = &mut *state;
        for one in batch {
            let happened = &mut state.happened;
            let mut count = |what, happens: bool| *happened.entry(what).or_default() += u64::from(happens);
            let again = !state.delivered.insert((one.message_id.clone(), one.receive_count));
            count("a duplicate", again);
            count("a message that failed or was given up comes again", one.receive_count > 1);
            let Ok(message) = Message::from_body(&one.body) else { continue };
            count("a hand-over", message.hops > 0);
            let readers = state.reading.entry(message.user_id).or_default();
            *readers += 1;
            count("two workers on one user", *readers > 1);
        }
    }

    /// Nobody works at this batch any more.
    pub(crate) fn put_down(&self, batch: &[Delivery]) {
        let mut state = self.state();
        for message in batch.iter().filter_map(|one| Message::from_body(&one.body).ok()) {
            *state.reading.entry(message.user_id).or_insert(1) -= 1;
        }
    }

    /// Notes a broken promise.
    pub(crate) fn broken(&self, what: String) {
        let now = self.clock.now();
        let mut state = self.state();
        state.trace.push(format!("{now:.3} BROKEN: {what}"));
        state.broken.push(what);
    }

    /// The broken promises so far.
    pub(crate) fn verdict(&self) -> Vec<String> {
        self.state().broken.clone()
    }

    /// The windows of a user that were read to their last page.
    pub(crate) fn windows(&self, user: UserId) -> Vec<(Timestamp, Timestamp)> {
        self.state().people[&user].questions.iter().map(|question| (question.after, question.before)).collect()
    }

    /// What happened.
    pub(crate) fn trace(&self) -> Vec<String> {
        self.state().trace.clone()
    }

    /// Every secret seen on its way, and every message sent.
    pub(crate) fn secrets_and_messages(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let state = self.state();
        (state.secrets.clone(), state.messages.clone())
    }

    /// The versions that an object under `state/` has had.
    pub(crate) fn versions(&self, key: &str) -> Vec<Bytes> {
        self.state().versions.get(key).cloned().unwrap_or_default()
    }

    /// A message is sent.
    pub(crate) fn message(&self, by: &str, body: &str) {
        self.note(|| format!("{by} sends {body}"));
        self.state().messages.insert(body.to_owned());
    }

    /// A request carries this.
    pub(crate) fn authorization(&self, headers: &http::HeaderMap) {
        if let Some(value) = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok()) {
            self.state().secrets.insert(value.trim_start_matches("Bearer ").to_owned());
        }
    }

    /// An answer to this path: a token, perhaps.
    pub(crate) fn issued(&self, path: &str, body: &[u8]) {
        if path.ends_with("/token")
            && let Ok(Value::Object(body)) = serde_json::from_slice(body)
            && let Some(Value::String(token)) = body.get("access_token")
        {
            self.state().secrets.insert(token.clone());
        }
    }

    /// An invocation of this process begins: what earlier ones were shown is theirs.
    pub(crate) fn begins(&self, process: u64) {
        let mut state = self.state();
        state.open.retain(|(of, _), _| *of != process);
        state.shown.retain(|(of, _), _| *of != process);
    }

    /// A process asks for a page. One without a skip token begins a question.
    pub(crate) fn asked(&self, process: u64, user: UserId, target: &str) {
        if target.contains("skiptoken") {
            return;
        }
        let bound = |name: &str, otherwise: Timestamp| {
            let part = format!("createdDateTime%20{name}%20");
            let Some((_, rest)) = target.split_once(&part) else { return otherwise };
            rest.split(['%', '&']).next().unwrap().parse().unwrap()
        };
        let question = Question {
            after: bound("gt", Timestamp::MIN),
            before: bound("lt", Timestamp::MAX),
            shown: BTreeSet::new(),
            asked_at: self.clock.now(),
            pages: 0,
        };
        self.state().open.insert((process, user), question);
    }

    /// Graph's whole answer reached a process.
    pub(crate) fn answered(&self, process: u64, user: UserId, status: u16, body: &[u8]) {
        let page = std::str::from_utf8(body).ok().and_then(|body| serde_json::from_str::<Page<'_>>(body).ok());
        let Some(page) = page.filter(|_| status == 200) else {
            self.note(|| format!("process {process} gets {status} of {user}, {} bytes", body.len()));
            return;
        };
        self.note(|| {
            let more = if page.next_link.is_some() { " and more" } else { "" };
            format!("process {process} gets {} items{more} of {user}", page.value.len())
        });
        let now = self.clock.now();
        let mut state = self.state();
        let State { people, open, shown, broken, happened, .. } = &mut *state;
        let Some(person) = people.get_mut(&user) else { return };
        let (question, shown) = (open.get_mut(&(process, user)), shown.entry((process, user)).or_default());
        let Some(question) = question else { return };
        let mut months = BTreeSet::new();
        for item in page.value {
            match person.index.get(&stored(item.get())) {
                Some(&item) => {
                    person.returned[item] = true;
                    months.insert(&person.months[item]);
                    question.shown.insert(item);
                    shown.insert(item);
                }
                None => broken.push("the simulator shows what is in no truth".to_owned()),
            }
        }
        *happened.entry("a page over two months").or_default() += u64::from(months.len() > 1);
        question.pages += 1;
        if page.next_link.is_none() {
            let during = question.asked_at..now;
            let changes = person.changes.iter().filter(|(at, _)| question.pages > 1 && during.contains(at));
            changes.for_each(|(_, what)| *happened.entry(*what).or_default() += 1);
            person.questions.push(question.clone());
        }
    }

    /// An invocation of a worker answered: everything it was shown of a user whose messages did not fail is archived.
    pub(crate) fn ended(&self, process: u64, batch: &[Delivery], failed: &[String]) {
        let user = |one: &Delivery| Message::from_body(&one.body).unwrap().user_id;
        let failures: BTreeSet<UserId> =
            batch.iter().filter(|one| failed.contains(&one.message_id)).map(user).collect();
        let lost: Vec<String> = {
            let state = self.state();
            let of_process = state.shown.iter().filter(|((of, user), _)| *of == process && !failures.contains(user));
            of_process
                .flat_map(|((_, user), shown)| shown.iter().map(move |item| (user, *item)))
                .filter(|(user, item)| !state.people[user].held[*item])
                .map(|(user, item)| {
                    format!("item {item} of {user} was shown to process {process}, which is done, and is not archived")
                })
                .collect()
        };
        lost.into_iter().for_each(|lost| self.broken(lost));
    }

    /// An object was put.
    fn landed(&self, key: &str, bytes: &Bytes, replaced: bool) {
        self.note(|| format!("    {} {key}", if replaced { "replaced" } else { "landed" }));
        if replaced && !key.starts_with("state/") {
            self.broken(format!("{key} was replaced"));
        }
        if key.starts_with("state/") {
            self.state().versions.entry(key.to_owned()).or_default().push(bytes.clone());
        }
        let parts: Vec<&str> = key.split('/').collect();
        match parts.as_slice() {
            ["interactions", _, month, user, segment] => self.segment(month, user, segment, key, bytes),
            ["state", _, user] if user.starts_with("user_id=") => self.checkpoint(user, bytes),
            ["runs", run, "run.json"] => {
                let run_file = serde_json::from_slice(bytes).unwrap();
                self.state().runs.insert((*run).to_owned(), run_file);
            }
            ["runs", run, "users.jsonl.zst"] => self.lines(run, "the users file", bytes, true),
            ["runs", run, "receipts", _] => self.lines(run, "a receipt", bytes, false),
            _ => {}
        }
    }

    fn segment(&self, month: &str, user: &str, segment: &str, key: &str, bytes: &Bytes) {
        let user: UserId = user.trim_start_matches("user_id=").parse().unwrap();
        let alone = evidence::Memory { objects: [(key.to_owned(), bytes.to_vec())].into() };
        let contents = match evidence::contents(&alone, &self.tenant) {
            Ok(contents) => contents,
            Err(error) => return self.broken(format!("{key} cannot be read: {error}")),
        };
        let mut broken = Vec::new();
        {
            let mut state = self.state();
            let State { people, happened, .. } = &mut *state;
            let person = people.get_mut(&user).unwrap();
            let number = person.logs.entry(month.to_owned()).or_default();
            *number += 1;
            if *segment != format!("segment-{number:06}.jsonl.zst") {
                broken.push(format!("{key} is not segment {number}"));
            }
            for text in contents.get(&user.to_string()).into_iter().flatten() {
                match person.index.get(text) {
                    Some(&item) if !person.returned[item] => broken.push(format!("{key} holds what was never shown")),
                    Some(&item) if person.held[item] => broken.push(format!("{key} holds item {item} a second time")),
                    Some(&item) => {
                        person.held[item] = true;
                        if let Some(what) = person.special[item] {
                            *happened.entry(what).or_default() += 1;
                        }
                    }
                    None => broken.push(format!("{key} holds what Graph does not know")),
                }
            }
        }
        broken.into_iter().for_each(|broken| self.broken(broken));
    }

    fn checkpoint(&self, user: &str, bytes: &Bytes) {
        let user: UserId = user.trim_start_matches("user_id=").trim_end_matches(".json").parse().unwrap();
        let file: Value = serde_json::from_slice(bytes).unwrap();
        self.note(|| format!("      claims {}", file["coverage"]));
        self.window(user, &file["coverage"], "a checkpoint's coverage");
        for run in file["runs"].as_array().into_iter().flatten() {
            let of = format!("a checkpoint's line of {}", run["run_id"]);
            self.window(user, &run["read"], &of);
            run["other_windows"].as_array().into_iter().flatten().for_each(|other| self.window(user, other, &of));
        }
    }

    fn lines(&self, run: &str, file: &str, bytes: &Bytes, closes: bool) {
        let of = format!("{file} of {run}");
        let run_file = self.state().runs.get(run).cloned().unwrap_or_default();
        let text = zstd::decode_all(&bytes[..]).unwrap();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Value = serde_json::from_slice(line).unwrap();
            let user: UserId = line["user_id"].as_str().unwrap().parse().unwrap();
            let windows = line["windows"].as_array().cloned().unwrap_or_default();
            self.note(|| {
                format!(
                    "      {user} {} {} new {} held {}",
                    line["class"], line["reason"], line["new"], line["already_held"]
                )
            });
            windows.iter().for_each(|window| self.window(user, window, &of));
            if !line["covered_from"].is_null() {
                let covered = serde_json::json!({"from": line["covered_from"], "to": line["covered_to"]});
                self.window(user, &covered, &of);
            }
            let read = matches!(line["class"].as_str(), Some("exported" | "empty"));
            if closes && read && run_file["kind"] != "history" {
                let to = time(&run_file["to"]);
                let from = match &run_file["from"] {
                    Value::Null => to - SignedDuration::from_hours(run_file["overlap_hours"].as_i64().unwrap()),
                    from => time(from),
                };
                let covers = windows.iter().any(|window| time(&window["from"]) <= from && time(&window["to"]) >= to);
                if !covers {
                    self.broken(format!("{of} has {user} as read without the window of the run"));
                }
            }
        }
    }

    /// Somebody claims that a window was read: then questions over all of it were answered to their last page, and what
    /// each of them showed is archived.
    fn window(&self, user: UserId, window: &Value, of: &str) {
        if window.is_null() {
            return;
        }
        let (from, to) = (time(&window["from"]), time(&window["to"]));
        let broken = {
            let state = self.state();
            let person = &state.people[&user];
            let mut questions: Vec<&Question> = person.questions.iter().collect();
            questions.sort_by_key(|question| question.after);
            let mut read_to = from;
            for question in questions {
                // Open at both ends: what holds the next instant begins before it.
                if question.after < read_to || (question.after <= read_to && read_to == from) {
                    read_to = read_to.max(question.before);
                }
            }
            let unread =
                (read_to <= to).then(|| format!("{of} claims {from} to {to} of {user}, read only to {read_to}"));
            let basis = |item: usize| {
                let created = person.created[item];
                let holding = |question: &&Question| question.after < created && created < question.before;
                let mut questions = person.questions.iter().filter(holding).peekable();
                questions.peek().is_some() && questions.all(|question| question.shown.contains(&item))
            };
            let lost = (0..person.created.len())
                .filter(|&item| from < person.created[item] && person.created[item] <= to)
                .find(|&item| !person.held[item] && basis(item))
                .map(|item| format!("{of} claims {from} to {to} of {user}, and item {item} of it is not archived"));
            unread.or(lost)
        };
        broken.into_iter().for_each(|broken| self.broken(broken));
    }

    /// At the end, nothing fails any more: everything that these users show now of this time is archived.
    pub(crate) fn expect_everything(&self, tenant: &Tenant, users: &[UserId], from: Timestamp, to: Timestamp) {
        let now = self.clock.now();
        for user in users {
            let items = tenant.user(*user).unwrap().items().iter();
            for item in items.filter(|item| from < item.created && item.created <= to) {
                let Some(text) = item.shown(now) else { continue };
                let held = {
                    let state = self.state();
                    let person = &state.people[user];
                    person.held[person.index[&stored(text)]]
                };
                if !held {
                    let (created, visible) = (item.created, item.visible_from);
                    self.broken(format!(
                        "an item of {user} of {created}, visible since {visible}, is not archived at the end"
                    ));
                }
            }
        }
    }
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// The store itself, below every fault: whatever lands, and whenever, the judge sees it at once.
#[derive(Debug)]
pub(crate) struct Watched {
    /// The objects.
    pub(crate) memory: Arc<MemoryStore>,
    /// Who watches.
    pub(crate) judge: Arc<Judge>,
}

#[async_trait]
impl Store for Watched {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.memory.get(key).await
    }

    async fn put_new_under(&self, key: &str, bytes: Bytes, hold: LegalHold) -> Result<PutNew, StoreError> {
        let put = self.memory.put_new_under(key, bytes.clone(), hold).await?;
        if matches!(put, PutNew::Created(_)) {
            self.judge.landed(key, &bytes, false);
        }
        Ok(put)
    }

    async fn put_if_match(&self, key: &str, bytes: Bytes, etag: &ETag) -> Result<PutIfMatch, StoreError> {
        let put = self.memory.put_if_match(key, bytes.clone(), etag).await?;
        if matches!(put, PutIfMatch::Replaced(_)) {
            self.judge.landed(key, &bytes, true);
        }
        Ok(put)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.memory.list(prefix).await
    }
}
