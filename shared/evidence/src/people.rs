//! Who the users are: from all rosters, names that were given up included.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::archive::{self, ReadError};
use crate::form::{RosterLine, Run};
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
    #[serde(skip)]
    last_licensed: Option<u64>,
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
    let mut people = People::default();
    let read = |run: &Run| {
        let mut roster = Vec::new();
        archive::for_each_on_roster(source, &run.run_id, |line| roster.push(line))?;
        Ok::<_, ReadError>(roster)
    };
    in_order(&archive::begun(source, retention)?, read, |run, roster| {
        let daily = run.kind == "daily" && run.asked.is_whole_tenant();
        if daily {
            people.daily_rosters += 1;
        }
        add_roster(&mut people, run, roster, daily);
    })?;
    Ok(people)
}

fn add_roster(people: &mut People, run: &Run, lines: Vec<RosterLine>, daily: bool) {
    let (at, roster) = (run.started_at, people.daily_rosters);
    for line in lines {
        let licensed = line.why == "licensed" && line.excluded.as_deref() != Some("plan-disabled");
        let names = Names { upn: line.upn, display_name: line.display_name, mail: line.mail, since: at, until: at };
        let person = people.persons.entry(line.user_id.clone()).or_insert_with(|| Person {
            user_id: line.user_id,
            names: Vec::new(),
            licensed: Vec::new(),
            planned: false,
            last_licensed: None,
        });
        person.planned |= line.planned;
        match person.names.last_mut() {
            Some(last) if last.same(&names) => last.until = at,
            _ => person.names.push(names),
        }
        if daily && licensed {
            let follows = person.last_licensed.is_some_and(|last| last + 1 == roster);
            match person.licensed.last_mut() {
                Some(span) if follows => (span.last, span.rosters) = (at, span.rosters + 1),
                _ => person.licensed.push(Licensed { first: at, last: at, rosters: 1 }),
            }
            person.last_licensed = Some(roster);
        }
    }
}
