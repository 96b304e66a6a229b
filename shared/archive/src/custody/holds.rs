//! Who is held: a hold and its release in turn, each put once, so that what once held stays on record.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::error::ArchiveError;
use crate::runs::decode_json;
use crate::store::LegalHold;
use crate::{Archive, Stored, layout};

/// An entry of a user's holds. Its number says what it is: odd ones hold, even ones release, so that a listing of the keys
/// tells who is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldEntry {
    /// Who is held, or is no longer.
    pub user_id: UserId,
    /// When the entry was made.
    pub at: Timestamp,
    /// What the operator said of why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What the entry of this number makes of its user; 0 stands for no entry.
const fn of_number(n: u64) -> LegalHold {
    if n % 2 == 1 { LegalHold::On } else { LegalHold::Off }
}

impl Archive {
    /// Who is held, by the keys alone: whose newest entry holds.
    pub async fn held(&self) -> Result<BTreeSet<UserId>, ArchiveError> {
        let mut newest: BTreeMap<UserId, u64> = BTreeMap::new();
        for key in self.list(&layout::holds_prefix(self.tenant())).await? {
            if let Some((user, n)) = layout::user_of_hold(&key) {
                let newest = newest.entry(user).or_default();
                *newest = n.max(*newest);
            }
        }
        Ok(newest.into_iter().filter(|(_, n)| of_number(*n) == LegalHold::On).map(|(user, _)| user).collect())
    }

    /// A user's newest entry: whether it holds, and what it says.
    pub async fn newest_hold(&self, user: UserId) -> Result<Option<(LegalHold, HoldEntry)>, ArchiveError> {
        match self.highest_hold(user).await? {
            0 => Ok(None),
            n => Ok(Some((of_number(n), self.hold_entry(user, n).await?))),
        }
    }

    /// Puts the entry that makes this of its user. If it is so already, the entry counts that made it so: nothing is put then,
    /// and for a release of somebody who never was held there is none.
    pub async fn put_hold(&self, hold: LegalHold, entry: HoldEntry) -> Result<Option<Stored<HoldEntry>>, ArchiveError> {
        let n = self.highest_hold(entry.user_id).await?;
        if of_number(n) != hold {
            // Who else puts this number puts the same turn: whichever entry is there makes it so.
            return Ok(Some(self.put_json(&layout::hold(self.tenant(), entry.user_id, n + 1), &entry).await?));
        }
        if n == 0 {
            return Ok(None);
        }
        Ok(Some(Stored { value: self.hold_entry(entry.user_id, n).await?, created: false }))
    }

    async fn highest_hold(&self, user: UserId) -> Result<u64, ArchiveError> {
        let number = |key: &str| layout::user_of_hold(key).map(|(_, n)| n);
        self.highest(&layout::user_holds_prefix(self.tenant(), user), number).await
    }

    async fn hold_entry(&self, user: UserId, n: u64) -> Result<HoldEntry, ArchiveError> {
        let key = layout::hold(self.tenant(), user, n);
        decode_json(&key, &self.get_known(&key).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custody::Custody;
    use crate::error::Integrity;
    use crate::faults::{Fault, Operation};
    use crate::testing::{USER, World, time};

    const OTHER: UserId = UserId::from_bytes([0xcc; 16]);

    fn entry(day: u32, reason: Option<&str>) -> HoldEntry {
        HoldEntry { user_id: USER, at: time(&format!("2026-11-{day:02}T08:00:00Z")), reason: reason.map(str::to_owned) }
    }

    #[tokio::test(start_paused = true)]
    async fn holds_and_releases_take_turns_and_the_keys_say_who_is_held() {
        let world = World::new();
        let archive = world.archive().await;
        let key = |n| layout::hold(archive.tenant(), USER, n);
        assert!(archive.put_hold(LegalHold::Off, entry(1, None)).await.unwrap().is_none(), "nobody was held");
        assert_eq!((archive.held().await.unwrap().len(), archive.newest_hold(USER).await.unwrap()), (0, None));
        assert!(world.evidence.objects().keys().all(|key| !key.starts_with(layout::HOLDS_PREFIX)));

        for (n, hold) in (1..).zip([LegalHold::On, LegalHold::Off, LegalHold::On]) {
            let made = entry(10 + n, Some("case 7"));
            let put = archive.put_hold(hold, made.clone()).await.unwrap().unwrap();
            assert!(put.created);
            // Said again it changes nothing, and answers of the first.
            let again = archive.put_hold(hold, entry(20 + n, None)).await.unwrap().unwrap();
            assert_eq!((again.value, again.created), (made.clone(), false));
            assert_eq!(archive.newest_hold(USER).await.unwrap(), Some((hold, made)));
            let held: BTreeSet<UserId> = if hold == LegalHold::On { [USER].into() } else { BTreeSet::new() };
            let custody = archive.custody().await.unwrap();
            assert_eq!((custody.hold_on(USER), custody.hold_on(OTHER)), (hold, LegalHold::Off));
            assert_eq!(custody, Custody { held, ..Custody::default() });
        }
        let expected: Vec<String> = (1..=3).map(key).collect();
        assert_eq!(archive.list(layout::HOLDS_PREFIX).await.unwrap(), expected);
        let text = format!("{{\"user_id\":\"{USER}\",\"at\":\"2026-11-11T08:00:00Z\",\"reason\":\"case 7\"}}\n");
        assert_eq!(world.evidence.objects()[&expected[0]], text);
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_operators_at_once_one_puts_the_entry_and_both_answer_of_it() {
        let world = World::new();
        let archive = world.archive().await;
        for fault in [Fault::Unanswered, Fault::Lost] {
            world.evidence_faults.fail_next(Operation::Put, layout::HOLDS_PREFIX, fault);
        }
        let (a, b) = tokio::join!(
            archive.put_hold(LegalHold::On, entry(10, Some("a"))),
            archive.put_hold(LegalHold::On, entry(11, Some("b")))
        );
        let (a, b) = (a.unwrap().unwrap(), b.unwrap().unwrap());
        assert_eq!(a.value, b.value);
        assert_eq!(archive.list(layout::HOLDS_PREFIX).await.unwrap(), [layout::hold(archive.tenant(), USER, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_is_told_and_nobody_s_entry_says_anything_of_another() {
        let world = World::new();
        let archive = world.archive().await;
        for (user, n) in [(USER, 1), (USER, 3), (OTHER, 1), (OTHER, 2)] {
            world.evidence.overwrite(&layout::hold(archive.tenant(), user, n), "x");
        }
        assert_eq!(archive.held().await.unwrap(), [USER].into(), "what an entry says is not looked at");
        let gap = archive.put_hold(LegalHold::Off, entry(10, None)).await.unwrap_err();
        assert!(matches!(gap, ArchiveError::Integrity(Integrity::Gap { number: 2, .. })), "{gap:?}");
        world.evidence_faults.fail_next(Operation::List, layout::HOLDS_PREFIX, Fault::Denied);
        assert!(archive.custody().await.is_err(), "who may not look does not know that nobody is held");
    }
}
