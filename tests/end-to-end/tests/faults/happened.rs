//! What happened in seeded runs: a promise that was kept while nothing went wrong proves little.

use std::collections::BTreeMap;

use archive::faults::Fault;

use crate::bed::Bed;

/// How often each kind of thing happened.
pub(crate) type Happened = BTreeMap<&'static str, u64>;

/// What somebody does to a checkpoint.
pub(crate) const TAMPERED: [&str; 4] =
    ["a lost checkpoint", "a stale checkpoint", "a foreign checkpoint", "a broken checkpoint"];

/// What has to happen in the ordinary runs, besides what is done to checkpoints.
const KINDS: [&str; 29] = [
    "a call of the queue that fails",
    "a call of the store that is refused",
    "a call of the store that is lost",
    "a dead letter driven back",
    "a delete while paging",
    "a duplicate",
    "a hand-over",
    "a kill",
    "a late item",
    "a late put",
    "a late put that lands",
    "a look-back beside a schedule",
    "a lost answer of the store",
    "a message that failed or was given up comes again",
    "a message that is lost",
    "a page or a token without an answer",
    "a page over two months",
    "a plan sent twice",
    "a run that was not throttled",
    "a run that was throttled",
    "a server error",
    "a throttled request",
    "a token refused",
    "a zombie",
    "an edit while paging",
    "an edited item",
    "an insert while paging",
    "an invocation out of time",
    "two workers on one user",
];

/// What happened in a run.
pub(crate) fn of(bed: &Bed) -> Happened {
    let mut sum = bed.judge.happened();
    let mut count = |what, times: u64| *sum.entry(what).or_default() += times;
    for (fault, times) in bed.store.struck() {
        let what = match fault {
            Fault::Lost => "a call of the store that is lost",
            Fault::Unanswered => "a lost answer of the store",
            Fault::Late => "a late put",
            Fault::Denied | Fault::Refused => "a call of the store that is refused",
        };
        count(what, times);
    }
    count("a late put that lands", bed.store.landed());
    let ledger = bed.simulator.ledger();
    let throttled = ledger.interactions().any(|record| record.status == Some(429));
    count(if throttled { "a run that was throttled" } else { "a run that was not throttled" }, 1);
    for record in ledger.records() {
        match record.status {
            None => count("a page or a token without an answer", 1),
            Some(401) => count("a token refused", 1),
            Some(429) => count("a throttled request", 1),
            Some(500..) => count("a server error", 1),
            Some(_) => {}
        }
    }
    sum
}

/// Adds what happened in one run to what happened in others.
pub(crate) fn add(sum: &mut Happened, more: Happened) {
    more.into_iter().for_each(|(what, times)| *sum.entry(what).or_default() += times);
}

/// What never happened.
pub(crate) fn missing(sum: &Happened) -> Vec<&'static str> {
    let expected = KINDS.into_iter().chain(TAMPERED);
    expected.filter(|what| sum.get(what).copied().unwrap_or_default() == 0).collect()
}
