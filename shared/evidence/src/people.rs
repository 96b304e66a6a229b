//! Who the users are: from all rosters, names that were given up included.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;

use crate::archive::{self, ReadError};
use crate::decode::{self, DecodeError};
use crate::form::{RosterLine, Run, Text};
use crate::layout::RunFile;
use crate::parallel::in_order;
use crate::retention::Retention;
use crate::source::Source;

/// The names of a person from one roster to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Names {
    /// User principal name.
    pub upn: Option<String>,
    /// Display name.
    pub display_name: Option<String>,
    /// Mail address.
    pub mail: Option<String>,
    /// When the first roster with these names was made.
    pub since: Timestamp,
    /// When the last one was.
    pub until: Timestamp,
}

impl Names {
    fn of(line: &RosterLine<'_>, at: Timestamp) -> Self {
        let owned = |name: &Option<Text<'_>>| name.as_deref().map(str::to_owned);
        let (upn, display_name, mail) = (owned(&line.upn), owned(&line.display_name), owned(&line.mail));
        Self { upn, display_name, mail, since: at, until: at }
    }

    fn same(&self, other: &Self) -> bool {
        (&self.upn, &self.display_name, &self.mail) == (&other.upn, &other.display_name, &other.mail)
    }

    fn is(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        [&self.upn, &self.display_name, &self.mail].into_iter().flatten().any(|known| known.to_lowercase() == name)
    }
}

/// Daily rosters in a row that have the person as licensed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Licensed {
    /// When the first of them was made.
    pub first: Timestamp,
    /// When the last of them was.
    pub last: Timestamp,
    /// How many they are.
    pub rosters: u64,
}

/// A person on a roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The object id.
    pub user_id: String,
    /// All names, the current ones last.
    pub names: Vec<Names>,
    /// When the licence was held, as the daily rosters of the whole tenant saw it.
    pub licensed: Vec<Licensed>,
    /// Whether any run planned the person.
    pub planned: bool,
}

impl Person {
    /// The names of the last roster.
    pub fn current(&self) -> Option<&Names> {
        self.names.last()
    }

    /// How many daily rosters have the person as licensed.
    pub fn rosters_licensed(&self) -> u64 {
        self.licensed.iter().map(|span| span.rosters).sum()
    }
}

/// Everybody on any roster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct People {
    /// The persons by object id.
    pub persons: BTreeMap<String, Person>,
    /// How many daily rosters of the whole tenant there are.
    pub daily_rosters: u64,
}

impl People {
    /// The persons of this object id, UPN, display name or mail address, now or formerly; case does not matter.
    pub fn find(&self, name: &str) -> Vec<&Person> {
        if let Some(person) = self.persons.get(&name.to_lowercase()) {
            return vec![person];
        }
        self.persons.values().filter(|person| person.names.iter().any(|names| names.is(name))).collect()
    }
}

/// Everybody on the rosters of all runs, closed or not.
/// Those whose rosters have expired are not there any more.
pub fn people(source: &dyn Source, retention: Option<Retention>) -> Result<People, ReadError> {
    let mut seen = HashMap::new();
    let mut daily_rosters = 0;
    let mut damaged = None;
    let read = |run: &Run| archive::lines(source, &RunFile::Roster.key(&run.run_id));
    in_order(&archive::begun(source, retention)?, read, |run, lines| {
        let daily = run.kind == "daily" && run.asked.is_whole_tenant();
        daily_rosters += u64::from(daily);
        let roster = Roster { at: run.started_at, daily: daily.then_some(daily_rosters) };
        if lines.iter().try_for_each(|line| roster.add(&mut seen, line)).is_err() {
            damaged.get_or_insert_with(|| RunFile::Roster.key(&run.run_id));
        }
    })?;
    match damaged {
        Some(key) => Err(ReadError::Damaged { key }),
        None => Ok(People { persons: seen.into_iter().map(|(id, seen)| (id, seen.person)).collect(), daily_rosters }),
    }
}

/// A person, and what the last roster with the person says.
#[derive(Debug)]
struct Seen {
    person: Person,
    /// The last line as it stands there: most rosters have the line that the roster before has.
    line: Vec<u8>,
    is_licensed: bool,
    /// The number of the last daily roster that has the person as licensed.
    last_licensed: Option<u64>,
}

/// The roster that is being read.
#[derive(Debug)]
struct Roster {
    at: Timestamp,
    /// Its number among the daily rosters of the whole tenant, if it is one.
    daily: Option<u64>,
}

impl Roster {
    fn add(&self, seen: &mut HashMap<String, Seen>, line: &[u8]) -> Result<(), DecodeError> {
        if let Some(known) = archive::user_of(line).and_then(|user| seen.get_mut(user))
            && known.line == line
            && let Some(names) = known.person.names.last_mut()
        {
            names.until = self.at;
            self.count(known);
            return Ok(());
        }
        let parsed: RosterLine<'_> = decode::value(line)?;
        let names = Names::of(&parsed, self.at);
        let known = seen.entry(parsed.user_id.to_string()).or_insert_with_key(|user_id| Seen {
            person: Person { user_id: user_id.clone(), names: Vec::new(), licensed: Vec::new(), planned: false },
            line: Vec::new(),
            is_licensed: false,
            last_licensed: None,
        });
        line.clone_into(&mut known.line);
        known.is_licensed = &*parsed.why == "licensed" && parsed.excluded.as_deref() != Some("plan-disabled");
        known.person.planned |= parsed.planned;
        match known.person.names.last_mut() {
            Some(last) if last.same(&names) => last.until = self.at,
            _ => known.person.names.push(names),
        }
        self.count(known);
        Ok(())
    }

    /// Licence days are counted by the daily rosters.
    fn count(&self, known: &mut Seen) {
        let Some(number) = self.daily.filter(|_| known.is_licensed) else { return };
        let follows = known.last_licensed.is_some_and(|last| last + 1 == number);
        match known.person.licensed.last_mut() {
            Some(span) if follows => (span.last, span.rosters) = (self.at, span.rosters + 1),
            _ => known.person.licensed.push(Licensed { first: self.at, last: self.at, rosters: 1 }),
        }
        known.last_licensed = Some(number);
    }
}
