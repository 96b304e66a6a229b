//! Gaps: the audit of every user equals what was planned to go wrong.

use std::collections::BTreeSet;

use domain::{Timestamp, UserId};
use end_to_end::planted::{Day, Derived, Expected, Planted, asked, begin, derive};
use evidence::{Coverage, Window, coverage};

use super::hours;

fn compare(user: UserId, days: &[Day], derived: &Derived, found: &Coverage) {
    let since = |time: Timestamp| {
        let passed = time.duration_since(begin());
        assert_eq!(passed.as_secs() % 3600, 0, "{user}: {time}");
        passed.as_hours()
    };
    let gaps: Vec<Expected> = found
        .gaps
        .iter()
        .map(|gap| Expected {
            from: since(gap.window.from),
            to: since(gap.window.to),
            reasons: gap.reasons.clone(),
            healed_by: gap.healed_by.clone(),
        })
        .collect();
    assert_eq!(gaps, derived.gaps, "{user}: {days:?}");
    let intervals: Vec<(i64, i64, Vec<String>)> = found
        .intervals
        .iter()
        .map(|interval| {
            let runs = interval.runs().into_iter().map(str::to_owned).collect();
            (since(interval.window.from), since(interval.window.to), runs)
        })
        .collect();
    assert_eq!(intervals, derived.intervals, "{user}: {days:?}");
}

#[tokio::test(start_paused = true)]
async fn gaps_and_intervals_of_every_user_are_those_that_were_planted() {
    let Planted { world, plans, .. } = Planted::carried_out().await;
    world.verify();

    let asked = asked();
    let window = Window { from: begin() + hours(asked.0), to: begin() + hours(asked.1) };
    let source = world.source();
    let mut met: BTreeSet<(String, bool)> = BTreeSet::new();
    for (user, days) in &plans {
        let found = coverage(&source, &user.to_string(), window).unwrap();
        let derived = derive(days, asked);
        compare(*user, days, &derived, &found);
        let reasons = derived.gaps.iter().flat_map(|gap| gap.reasons.keys().map(|reason| (reason, &gap.healed_by)));
        met.extend(reasons.map(|(reason, healed_by)| (reason.to_string(), healed_by.is_some())));
    }
    // The plan is worth something only if it holds every kind, open and healed.
    for reason in ["not in roster", "unavailable(no-licence)", "unavailable(refused)", "failed(bad-request)"] {
        assert!([true, false].iter().all(|healed| met.contains(&(reason.to_owned(), *healed))), "{reason}: {met:?}");
    }
    assert!(met.contains(&("unavailable(no-history)".to_owned(), false)), "{met:?}");
}
