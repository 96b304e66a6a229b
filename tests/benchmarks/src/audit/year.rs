//! An archive of a year in a folder, of the archive's own record types, written as fast as the disk takes it.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use archive::records::{
    ArchiveFile, Asked, Counts, FORMAT, FileRef, LedgerEntry, Licence, Producer, ReceiptLine, Report,
    ReportInteractions, ReportRequests, ReportUsers, RosterLine, RunFile, SegmentRef, UserLine, Why,
};
use archive::{Month, layout, sha256_hex};
use domain::{ArchiveId, AttemptId, Class, Kind, Random, RunId, SeededRandom, TenantId, Timestamp, UserId, Window};
use jiff::SignedDuration;
use serde::Serialize;

pub(crate) const DAYS: u64 = 365;
pub(crate) const USERS: u64 = 5_000;

/// One user of so many has a segment on a day, as many as a disk of 3 GB holds at a block a file; the custodian always has.
const ACTIVE_OF: u64 = 25;

/// Interactions of an active user's day.
const ITEMS: u64 = 20;

/// From one who has a new name to the next.
const RENAMED_STEP: u64 = 13;

/// Users of a receipt: a batch of the queue.
const BATCH: usize = 500;

const TENANT: TenantId = TenantId::from_bytes([7; 16]);

const OVERLAP_HOURS: u32 = 72;

/// What was made.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) segments: u64,
    pub(crate) of_custodian: u64,
    pub(crate) bytes: u64,
}

/// The id of the one who is audited.
pub(crate) fn custodian() -> String {
    user(0).to_string()
}

/// Where the coverage of everybody begins.
pub(crate) fn first_covered() -> Timestamp {
    to(0) - SignedDuration::from_hours(i64::from(OVERLAP_HOURS))
}

fn user(number: u64) -> UserId {
    let mut bytes = [0x5a; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    UserId::from_bytes(bytes)
}

fn scheduled(day: u64) -> Timestamp {
    let first: Timestamp = "2025-11-24T03:00:00Z".parse().expect("a time");
    first + SignedDuration::from_hours(24 * i64::try_from(day).expect("few"))
}

fn to(day: u64) -> Timestamp {
    scheduled(day) - SignedDuration::from_hours(2)
}

fn is_active(user: u64, day: u64) -> bool {
    user == 0 || (user + day).is_multiple_of(ACTIVE_OF)
}

/// Writes the archive into a new folder.
pub(crate) fn write(root: &Path) -> Made {
    let mut year = Year {
        root,
        random: SeededRandom::new(7),
        numbers: HashMap::new(),
        roster: (0..USERS).map(roster_line).collect(),
        previous: None,
        made: Made::default(),
    };
    let archive_id = ArchiveId::from_bytes([9; 16]);
    let file = ArchiveFile { format: FORMAT, archive_id, tenant_id: TENANT, created_at: scheduled(0) };
    year.put(layout::ARCHIVE_FILE, json(&file), None);
    (0..DAYS).for_each(|day| year.run(day));
    year.made
}

struct Year<'r> {
    root: &'r Path,
    random: SeededRandom,
    /// The next segment of each user's month.
    numbers: HashMap<(u64, String), u64>,
    /// Nobody joins or leaves; every day somebody has a new name, so that no roster is the one before.
    roster: Vec<RosterLine>,
    previous: Option<String>,
    made: Made,
}

impl Year<'_> {
    fn run(&mut self, day: u64) {
        let run = RunId::scheduled(scheduled(day), Kind::Daily);
        let renamed = &mut self.roster[usize::try_from(day * RENAMED_STEP % USERS).expect("few")];
        renamed.display_name = Some(format!("Named On Day {day}"));
        let roster = lines(&self.roster);
        let back = i64::from(OVERLAP_HOURS) + if day == 0 { 0 } else { 24 };
        let window = Window::new(to(day) - SignedDuration::from_hours(back), to(day)).expect("a window");
        let mut files = vec![
            self.put(&layout::run_file(&run), json(&run_file(&run, day)), None),
            self.put(&layout::roster(&run), roster, Some(USERS)),
        ];
        let numbers: Vec<u64> = (0..USERS).collect();
        let mut users = Vec::new();
        for batch in numbers.chunks(BATCH) {
            let attempt = AttemptId::random(&self.random);
            let receipt: Vec<ReceiptLine> =
                batch.iter().map(|user| self.receipt_line(*user, day, &run, &attempt, window)).collect();
            users.extend(receipt.iter().map(user_line));
            let key = layout::receipt(&run, &attempt, 1);
            files.push(self.put(&key, lines(&receipt), Some(receipt.len() as u64)));
        }
        files.push(self.put(&layout::users(&run), lines(&users), Some(USERS)));
        files.push(self.put(&layout::report(&run), json(&report(&run, day, &users)), None));
        let entry = LedgerEntry {
            n: day + 1,
            previous: self.previous.take(),
            run_id: run,
            files,
            closed_at: scheduled(day),
            producer: producer(),
        };
        let file = self.put(&layout::ledger_entry(TENANT, day + 1), json(&entry), None);
        self.previous = Some(file.sha256);
    }

    fn receipt_line(&mut self, number: u64, day: u64, run: &RunId, attempt: &AttemptId, window: Window) -> ReceiptLine {
        let active = is_active(number, day);
        let segments: Vec<SegmentRef> = if active { vec![self.segment(number, day, run, attempt)] } else { Vec::new() };
        let new = if active { ITEMS } else { 0 };
        ReceiptLine {
            user_id: user(number),
            run_id: run.clone(),
            attempt_id: attempt.clone(),
            class: Some(if active { Class::Exported } else { Class::Empty }),
            windows: vec![window],
            pages: 1,
            received: new,
            new,
            already_held: 0,
            segments,
            quarantine: Vec::new(),
            covered_from: Some(first_covered()),
            covered_to: Some(window.to()),
            requests: Counts::from([("200".to_owned(), 2)]),
            retries: 0,
            request_ids: Vec::new(),
            lateness: if active { Counts::from([("<=24".to_owned(), ITEMS)]) } else { Counts::new() },
        }
    }

    fn segment(&mut self, number: u64, day: u64, run: &RunId, attempt: &AttemptId) -> SegmentRef {
        let user = user(number);
        let morning = to(day) - SignedDuration::from_hours(15);
        let month = Month::at(morning);
        let next = self.numbers.entry((number, month.to_string())).or_insert(0);
        *next += 1;
        let key = layout::segment(TENANT, &month, user, *next);
        let mut text = String::new();
        for item in 0..ITEMS {
            let created = morning + SignedDuration::from_mins(20 * i64::try_from(item).expect("few"));
            let kind = if item % 2 == 0 { "userPrompt" } else { "aiResponse" };
            let words: Vec<String> = (0..40).map(|_| format!("{:x}", self.random.u64() % 0xfff)).collect();
            text.push_str(&format!(
                "{{\"tenant_id\":\"{TENANT}\",\"user_id\":\"{user}\",\"run_id\":\"{run}\",\"attempt_id\":\"{attempt}\",\
                 \"fetched_at\":\"{}\",\"interaction\":{{\"id\":\"{day}-{item}\",\"sessionId\":\"19:{day}\",\
                 \"createdDateTime\":\"{created}\",\"interactionType\":\"{kind}\",\"body\":{{\"contentType\":\"text\",\
                 \"content\":\"{}\"}}}}}}\n",
                scheduled(day),
                words.join(" ")
            ));
        }
        let file = self.put(&key, frame(text.as_bytes()), Some(ITEMS));
        self.made.segments += 1;
        self.made.of_custodian += u64::from(number == 0);
        SegmentRef { key, lines: ITEMS, sha256: file.sha256, adopted: false }
    }

    fn put(&mut self, key: &str, bytes: Vec<u8>, lines: Option<u64>) -> FileRef {
        let path = self.root.join(key);
        fs::create_dir_all(path.parent().expect("in the folder")).expect("a folder");
        fs::write(path, &bytes).expect("a file");
        self.made.bytes += bytes.len() as u64;
        FileRef { key: key.to_owned(), sha256: sha256_hex(&bytes), bytes: bytes.len() as u64, lines }
    }
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory")
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("JSON");
    bytes.push(b'\n');
    bytes
}

fn lines(values: &[impl Serialize]) -> Vec<u8> {
    frame(&values.iter().flat_map(json).collect::<Vec<_>>())
}

fn producer() -> Producer {
    Producer { name: "benchmarks".to_owned(), version: "0".to_owned(), commit: String::new() }
}

fn roster_line(number: u64) -> RosterLine {
    RosterLine {
        user_id: user(number),
        upn: Some(format!("user{number:05}@contoso.example")),
        display_name: Some(format!("User Number {number}")),
        mail: Some(format!("user{number:05}@contoso.example")),
        account_enabled: Some(true),
        user_type: Some("Member".to_owned()),
        licences: vec![Licence {
            sku_id: "639dec6b-bb19-468b-871c-c5c441c4b0cb".to_owned(),
            disabled_plans: Vec::new(),
        }],
        why: Why::Licensed,
        planned: true,
        excluded: None,
    }
}

fn run_file(run: &RunId, day: u64) -> RunFile {
    RunFile {
        format: FORMAT,
        run_id: run.clone(),
        tenant_id: TENANT,
        kind: Kind::Daily,
        asked: Asked { scheduled_time: Some(scheduled(day)), ..Asked::default() },
        from: None,
        to: Some(to(day)),
        not_after: None,
        deadline: scheduled(day) + SignedDuration::from_hours(23),
        overlap_hours: OVERLAP_HOURS,
        enumerated: USERS,
        excluded: Counts::new(),
        planned: USERS,
        started_at: scheduled(day),
        producer: producer(),
    }
}

fn user_line(line: &ReceiptLine) -> UserLine {
    UserLine {
        user_id: line.user_id,
        run_id: line.run_id.clone(),
        class: line.class,
        windows: line.windows.clone(),
        pages: line.pages,
        received: line.received,
        new: line.new,
        already_held: line.already_held,
        segments: line.segments.clone(),
        quarantine: Vec::new(),
        covered_from: line.covered_from,
        covered_to: line.covered_to,
        requests: line.requests.clone(),
        retries: line.retries,
        request_ids: Vec::new(),
        lateness: line.lateness.clone(),
    }
}

fn report(run: &RunId, day: u64, users: &[UserLine]) -> Report {
    let exported = users.iter().filter(|line| line.new > 0).count() as u64;
    let new = users.iter().map(|line| line.new).sum();
    Report {
        run_id: run.clone(),
        kind: Kind::Daily,
        complete: true,
        users: ReportUsers {
            enumerated: USERS,
            planned: USERS,
            exported,
            empty: USERS - exported,
            ..ReportUsers::default()
        },
        interactions: ReportInteractions { received: new, new, ..ReportInteractions::default() },
        quarantined_pages: 0,
        requests: ReportRequests { sent: 2 * USERS, ..ReportRequests::default() },
        attempts_lost: 0,
        history_remaining: 0,
        lateness: Counts::from([("<=24".to_owned(), new)]),
        started_at: scheduled(day),
        closed_at: scheduled(day),
    }
}
