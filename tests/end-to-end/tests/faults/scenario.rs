//! What a seed makes: a tenant, how everything misbehaves, and what is asked for when.

use std::time::Duration;

use domain::{Random, SeededRandom, TenantId, Timestamp, UserId};
use graph_simulator::{Fault, Folder, Item, Order, RequestKind, RetryAfter, Rule, Switches, Tenant};
use jiff::SignedDuration;
use queue::Options;
use settings::Rules;

use crate::bed::Made;
use crate::canaries;
use crate::process::Rates;

/// The first day begins where a daily window reaches across two months.
pub(crate) fn start() -> Timestamp {
    "2026-11-02T03:00:00Z".parse().unwrap()
}

/// How far back the tenant's history begins.
pub(crate) const HISTORY: SignedDuration = SignedDuration::from_hours(40 * 24);

/// The longest from an item's creation until it shows its last text: less than what every daily window reads again, since
/// what comes later is not promised.
const LATEST: i64 = 60 * 3600;

/// Chance, with the few shapes of it that a scenario takes.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) SeededRandom);

impl Dice {
    /// A number in this range, both ends included.
    pub(crate) fn between(&self, from: u64, to: u64) -> u64 {
        from + self.0.below(to - from + 1)
    }

    /// Whether something of this many percent comes true.
    pub(crate) fn percent(&self, percent: u64) -> bool {
        self.0.below(100) < percent
    }

    /// One of these.
    pub(crate) fn of<T: Clone>(&self, all: &[T]) -> T {
        all[self.0.below(all.len() as u64) as usize].clone()
    }

    /// So many seconds at most.
    pub(crate) fn seconds(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.between(from * 1_000, to * 1_000))
    }
}

/// What a seed makes.
pub(crate) struct Scenario {
    /// The world.
    pub(crate) made: Made,
    /// Whom it archives.
    pub(crate) users: Vec<UserId>,
    /// How many days pass while things fail.
    pub(crate) days: i64,
    /// How many workers there are.
    pub(crate) workers: u64,
    /// Of a hundred invocations so many end badly.
    pub(crate) doomed: u64,
    /// Whether somebody tampers with checkpoints.
    pub(crate) tampers: bool,
    /// Whether Graph hides items while it is paged, or shows others in their place: what it hid in a range that is read
    /// once is nobody's to find.
    pub(crate) hides: bool,
}

impl Scenario {
    /// The scenario of this seed.
    pub(crate) fn new(seed: u64, dice: &Dice) -> Self {
        let days = dice.between(1, 3) as i64;
        let mut tenant = Tenant::new(TenantId::from_bytes([7; 16]), start());
        let users: Vec<UserId> = (1..=dice.between(1, 4)).map(|number| tenant.add_licensed(number)).collect();
        canaries::name(&mut tenant, &users);
        for user in &users {
            items(&mut tenant, *user, days, dice);
        }
        let queue = Options {
            visibility: dice.of(&[120, 900, 5_400]).into_seconds(),
            max_receive_count: 5,
            shuffle: dice.percent(50),
            duplicates_percent: dice.of(&[0, 10, 40]),
        };
        let switches = switches(seed, &users, days, dice);
        let hides = |rule: &Rule| matches!(rule.fault, Fault::HideNewest(_) | Fault::RepeatPage);
        let hides = switches.rules.iter().any(hides);
        let rates = Rates { queue_fails: dice.of(&[0, 20, 150]), messages_lost: dice.of(&[0, 0, 50]) };
        let rules = Rules { history_start: start() - HISTORY, ..Rules::default() };
        Self {
            made: Made {
                seed,
                tenant,
                switches,
                queue,
                store_fails: dice.of(&[0, 30, 120]),
                store_millis: dice.of(&[5, 100, 2_000]),
                page_size: dice.of(&[1, 2, 5, 20, 100]),
                rates,
                rules,
            },
            users,
            days,
            workers: dice.between(1, 3),
            doomed: dice.of(&[0, 10, 40]),
            tampers: dice.percent(40),
            hides,
        }
    }
}

trait IntoSeconds {
    fn into_seconds(self) -> Duration;
}

impl IntoSeconds for u64 {
    fn into_seconds(self) -> Duration {
        Duration::from_secs(self)
    }
}

/// A user's items: old ones, recent ones, bursts within a second, late ones, edited ones, ones that go away.
fn items(tenant: &mut Tenant, user: UserId, days: i64, dice: &Dice) {
    let seconds = |from: SignedDuration, to: SignedDuration| {
        let from = from.as_secs();
        SignedDuration::from_millis(from * 1_000 + dice.0.below((to.as_secs() - from) as u64 * 1_000) as i64)
    };
    let hour = SignedDuration::from_hours(1);
    let count = dice.of(&[0, 3, 15, 30]);
    let mut burst = None;
    for n in 0..count {
        let ago = match dice.between(0, 9) {
            0..=2 => seconds(hour * 96, HISTORY),
            3..=6 => seconds(SignedDuration::ZERO, hour * 96),
            _ => seconds(hour * -24 * days as i32, SignedDuration::ZERO),
        };
        let created = *burst.take().get_or_insert(start() - ago);
        if dice.percent(20) {
            burst = Some(created);
        }
        let text = |version: &str| {
            let id = format!("{}{n}", created.as_millisecond());
            let content = canaries::prompt(&user, n, version);
            match dice.between(0, 19) {
                0 => format!(r#"{{"id":null,"body":{{"content":"{content}"}}}}"#),
                1 => {
                    format!(r#"{{"id":"{id}","createdDateTime":"2026-09-30T23:59:59Z","x":1e999,"body":"{content}"}}"#)
                }
                2 => format!(r#"{{"createdDateTime":"{created}","createdDateTime":null,"id":"7","body":"{content}"}}"#),
                _ => format!(
                    r#"{{"id":"{id}","sessionId":"19:s","createdDateTime":"{created}","etag":"{version}","body":{{"contentType":"text","content":"{content}"}}}}"#
                ),
            }
        };
        let mut item =
            Item::new(text("first"), created).in_folder(dice.of(&[Folder::TeamsMessagesData, Folder::TeamChat]));
        if dice.percent(25) {
            item = item.visible_from(created + SignedDuration::from_secs(dice.between(60, LATEST as u64) as i64));
        }
        if dice.percent(10) {
            let hidden = item.visible_from.duration_since(created).as_secs();
            let at = created + SignedDuration::from_secs(dice.between(hidden as u64, LATEST as u64) as i64 + 1);
            item = item.edited(at, text("second"));
        }
        if dice.percent(10) {
            let at = item.visible_from + seconds(hour, hour * 72);
            item = item.removed_at(at);
        }
        tenant.add_item(user, item);
    }
    while_paged(tenant, user, days, dice);
}

/// Items that show, change or go in the minutes after a schedule, when a user is most likely being paged: of changes at any
/// time of a day nearly none would meet a worker between two pages.
fn while_paged(tenant: &mut Tenant, user: UserId, days: i64, dice: &Dice) {
    for n in 0..dice.of(&[0, 0, 4, 12]) {
        let schedule = start() + SignedDuration::from_hours(24 * dice.between(0, days as u64 - 1) as i64);
        let at = schedule + SignedDuration::from_secs(dice.between(5, 900) as i64);
        let created = at - SignedDuration::from_secs(dice.between(3 * 3_600, 50 * 3_600) as i64);
        let text = |version: &str| {
            let content = canaries::prompt(&user, 500 + n, version);
            format!(r#"{{"id":"busy-{n}","createdDateTime":"{created}","body":{{"content":"{content}"}}}}"#)
        };
        let item = Item::new(text("first"), created).in_folder(dice.of(&[Folder::TeamsMessagesData, Folder::TeamChat]));
        let item = match dice.between(0, 2) {
            0 => item.visible_from(at),
            1 => item.edited(at, text("second")),
            _ => item.removed_at(at),
        };
        tenant.add_item(user, item);
    }
}

fn switches(seed: u64, users: &[UserId], days: i64, dice: &Dice) -> Switches {
    let end = start() + SignedDuration::from_hours(24 * days);
    let mut rules = Vec::new();
    let mut add = |rule: Rule| rules.push(rule.between(start(), end));
    let often = dice.of(&[0.0, 0.03, 0.15]);
    let hostile = canaries::error_body();
    let faults = [
        Fault::Reset,
        Fault::ResetWithinBody,
        Fault::Truncate,
        Fault::BadGateway,
        Fault::Status(503),
        Fault::InvalidS2s,
        Fault::TokenExpired,
        Fault::Garbage,
        Fault::NotUtf8,
        Fault::Answer {
            status: 500,
            content_type: "application/json".to_owned(),
            body: hostile.clone(),
            retry_after: None,
        },
        Fault::Answer { status: 200, content_type: "text/html".to_owned(), body: hostile, retry_after: None },
        Fault::Throttle { retry_after: RetryAfter::Seconds, seconds: 20 },
        Fault::Throttle { retry_after: RetryAfter::Absent, seconds: 0 },
        Fault::Throttle { retry_after: RetryAfter::Text("soon".to_owned()), seconds: 0 },
        Fault::Slow { millis: 70_000 },
    ];
    if often > 0.0 {
        for fault in faults {
            if dice.percent(40) {
                add(Rule::always(fault).probability(often / 3.0));
            }
        }
        for fault in
            [Fault::EmptyPage, Fault::RepeatPage, Fault::RepeatItems, Fault::HideNewest(1), Fault::HideNewest(3)]
        {
            if dice.percent(25) {
                add(Rule::always(fault).probability(0.2));
            }
        }
        if dice.percent(20) {
            add(Rule::always(Fault::Status(503)).kind(RequestKind::Token).probability(0.3));
        }
        if dice.percent(20) {
            add(Rule::always(Fault::Status(503)).kind(RequestKind::Directory).probability(0.2));
        }
        if dice.percent(20) {
            add(Rule::always(Fault::Throttle { retry_after: RetryAfter::Seconds, seconds: 3_600 }).probability(0.01));
        }
    }
    // One user whose licence is lost for a while, or between two pages; one whose first page is broken for hours.
    let during = |rule: Rule| {
        let from = start() + SignedDuration::from_secs(dice.between(0, 24 * 3_600 * days as u64) as i64);
        rule.between(from, (from + SignedDuration::from_hours(dice.between(1, 20) as i64)).min(end))
    };
    if dice.percent(15) {
        let rule = Rule::always(Fault::LicenceLost).user(dice.of(users));
        rules.push(during(if dice.percent(50) { rule.from_page(2) } else { rule }));
    }
    if dice.percent(10) {
        rules.push(during(Rule::always(Fault::Garbage).user(dice.of(users)).page(1)));
    }
    if dice.percent(10) {
        rules.push(during(Rule::always(Fault::Reset).user(dice.of(users))));
    }
    Switches {
        seed,
        latency_ms: dice.of(&[50, 600, 4_000]),
        latency_jitter_ms: dice.of(&[0, 300, 3_000]),
        two_folders: dice.percent(80),
        order: dice.of(&[Order::NewestFirst, Order::NewestFirst, Order::OldestFirst, Order::Shuffled]),
        pretty: dice.percent(10),
        token_seconds: dice.of(&[3_599, 600]),
        rules,
        ..Switches::default()
    }
}
