//! Every key of the archive, in one place. Keys are relative to the archive's root and hold no name.

use domain::{AttemptId, RunId, TenantId, UserId};

use crate::Month;

/// What makes a store an archive.
pub const ARCHIVE_FILE: &str = "archive.json";

/// What the keys of all runs begin with.
pub const RUNS_PREFIX: &str = "runs/";

/// What the keys of all interactions begin with.
pub const INTERACTIONS_PREFIX: &str = "interactions/";

/// What the keys of all pages in quarantine begin with.
const QUARANTINE_PREFIX: &str = "quarantine/";

/// What the keys of all tombstones begin with.
pub const ERASED_PREFIX: &str = "erased/";

/// What the keys of all holds begin with.
pub const HOLDS_PREFIX: &str = "holds/";

/// What the keys begin with that may be replaced: caches and working state.
pub const STATE_PREFIX: &str = "state/";

/// What the months of all logs begin with.
pub fn months_prefix(tenant: TenantId) -> String {
    format!("{INTERACTIONS_PREFIX}tenant_id={tenant}/")
}

/// What the segments of a user's log of a month begin with.
pub fn segment_prefix(tenant: TenantId, month: &Month, user: UserId) -> String {
    log_prefix(&format!("{}created_month={month}/", months_prefix(tenant)), user)
}

/// What the segments of a user's log begin with in what a month's logs begin with.
pub fn log_prefix(month: &str, user: UserId) -> String {
    format!("{month}user_id={user}/")
}

/// Segment `n` of a user's log of a month; the first is 1.
pub fn segment(tenant: TenantId, month: &Month, user: UserId, n: u64) -> String {
    format!("{}segment-{n:06}.jsonl.zst", segment_prefix(tenant, month, user))
}

/// The number in a segment's key.
pub fn segment_number(key: &str) -> Option<u64> {
    number(key, "segment-", ".jsonl.zst")
}

/// Everybody a run enumerated.
pub fn roster(run: &RunId) -> String {
    format!("{RUNS_PREFIX}{run}/roster.jsonl.zst")
}

/// What a run was asked to do.
pub fn run_file(run: &RunId) -> String {
    format!("{RUNS_PREFIX}{run}/run.json")
}

/// The run of a `run.json` key.
pub fn run_of_run_file(key: &str) -> Option<RunId> {
    key.strip_prefix(RUNS_PREFIX)?.strip_suffix("/run.json")?.parse().ok()
}

/// The run of a roster's key.
pub fn run_of_roster(key: &str) -> Option<RunId> {
    key.strip_prefix(RUNS_PREFIX)?.strip_suffix("/roster.jsonl.zst")?.parse().ok()
}

/// What the receipts of a run begin with.
pub fn receipts_prefix(run: &RunId) -> String {
    format!("{RUNS_PREFIX}{run}/receipts/")
}

/// Receipt `n` of an attempt in a run.
pub fn receipt(run: &RunId, attempt: &AttemptId, n: u64) -> String {
    format!("{}{attempt}-{n}.jsonl.zst", receipts_prefix(run))
}

/// A line for every planned user of a closed run.
pub fn users(run: &RunId) -> String {
    format!("{RUNS_PREFIX}{run}/users.jsonl.zst")
}

/// The numbers of a closed run.
pub fn report(run: &RunId) -> String {
    format!("{RUNS_PREFIX}{run}/report.json")
}

/// What the ledger's entries begin with.
pub fn ledger_prefix(tenant: TenantId) -> String {
    format!("ledger/tenant_id={tenant}/")
}

/// Entry `n` of the ledger; the first is 1.
pub fn ledger_entry(tenant: TenantId, n: u64) -> String {
    format!("{}entry-{n:06}.json", ledger_prefix(tenant))
}

/// The number in a ledger entry's key.
pub fn ledger_number(key: &str) -> Option<u64> {
    number(key, "entry-", ".json")
}

/// A page that did not parse, by the hash of its content as decoded.
pub fn quarantine(tenant: TenantId, user: UserId, sha256: &str) -> String {
    format!("{}page-{sha256}.zst", quarantine_prefix(tenant, user))
}

/// What a user's pages in quarantine begin with.
pub fn quarantine_prefix(tenant: TenantId, user: UserId) -> String {
    format!("{QUARANTINE_PREFIX}tenant_id={tenant}/user_id={user}/")
}

/// What the tombstones of erased users begin with.
pub fn erased_prefix(tenant: TenantId) -> String {
    format!("{ERASED_PREFIX}tenant_id={tenant}/")
}

/// The tombstone of an erased user.
pub fn erased(tenant: TenantId, user: UserId) -> String {
    format!("{}user_id={user}.json", erased_prefix(tenant))
}

/// The user of a tombstone's key.
pub fn user_of_tombstone(key: &str) -> Option<UserId> {
    key.rsplit('/').next()?.strip_prefix("user_id=")?.strip_suffix(".json")?.parse().ok()
}

/// What the entries of all holds begin with.
pub fn holds_prefix(tenant: TenantId) -> String {
    format!("{HOLDS_PREFIX}tenant_id={tenant}/")
}

/// What the entries of a user's holds begin with.
pub fn user_holds_prefix(tenant: TenantId, user: UserId) -> String {
    format!("{}user_id={user}/", holds_prefix(tenant))
}

/// Entry `n` of a user's holds; the first is 1. Odd ones hold, even ones release.
pub fn hold(tenant: TenantId, user: UserId, n: u64) -> String {
    format!("{}entry-{n:06}.json", user_holds_prefix(tenant, user))
}

/// The user and the number of a hold's key.
pub fn user_of_hold(key: &str) -> Option<(UserId, u64)> {
    let user = key.rsplit('/').nth(1)?.strip_prefix("user_id=")?.parse().ok()?;
    Some((user, number(key, "entry-", ".json")?))
}

/// A user's checkpoint.
pub fn checkpoint(tenant: TenantId, user: UserId) -> String {
    format!("{STATE_PREFIX}tenant_id={tenant}/user_id={user}.json")
}

/// The working state of an open run.
pub fn run_state(tenant: TenantId, run: &RunId) -> String {
    format!("{STATE_PREFIX}tenant_id={tenant}/run_id={run}.json")
}

/// The number of a key's last component, written with at least six digits and no other way: one number, one key.
fn number(key: &str, before: &str, after: &str) -> Option<u64> {
    let name = key.rsplit('/').next()?;
    let digits = name.strip_prefix(before)?.strip_suffix(after)?;
    let n = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())??;
    (n > 0 && format!("{n:06}") == digits).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_the_format_says() {
        let tenant = TenantId::from_bytes([0xab; 16]);
        let user = UserId::from_bytes([0xcd; 16]);
        let run: RunId = "20261124T030000Z".parse().unwrap();
        let attempt: AttemptId = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let (t, u) = ("abababab-abab-abab-abab-abababababab", "cdcdcdcd-cdcd-cdcd-cdcd-cdcdcdcdcdcd");
        for (key, expected) in [
            (
                segment(tenant, &Month::UNKNOWN, user, 12),
                format!("interactions/tenant_id={t}/created_month=unknown/user_id={u}/segment-000012.jsonl.zst"),
            ),
            (roster(&run), "runs/20261124T030000Z/roster.jsonl.zst".to_owned()),
            (run_file(&run), "runs/20261124T030000Z/run.json".to_owned()),
            (receipt(&run, &attempt, 1), format!("runs/20261124T030000Z/receipts/{attempt}-1.jsonl.zst")),
            (users(&run), "runs/20261124T030000Z/users.jsonl.zst".to_owned()),
            (report(&run), "runs/20261124T030000Z/report.json".to_owned()),
            (ledger_entry(tenant, 1), format!("ledger/tenant_id={t}/entry-000001.json")),
            (quarantine(tenant, user, "00ff"), format!("quarantine/tenant_id={t}/user_id={u}/page-00ff.zst")),
            (checkpoint(tenant, user), format!("state/tenant_id={t}/user_id={u}.json")),
            (erased(tenant, user), format!("erased/tenant_id={t}/user_id={u}.json")),
            (hold(tenant, user, 2), format!("holds/tenant_id={t}/user_id={u}/entry-000002.json")),
        ] {
            assert_eq!(key, expected);
        }
        assert_eq!(run_of_roster(&roster(&run)), Some(run.clone()));
        assert_eq!(run_of_run_file(&run_file(&run)), Some(run));
        assert_eq!(run_of_run_file("runs/a/b/run.json"), None);
        assert_eq!(user_of_tombstone(&erased(tenant, user)), Some(user));
        assert_eq!(user_of_tombstone("erased/user_id=nobody.json"), None);
        assert_eq!(user_of_hold(&hold(tenant, user, 7)), Some((user, 7)));
        for key in ["holds/entry-000001.json", &format!("holds/user_id={u}/entry-1.json"), "entry-000001.json"] {
            assert_eq!(user_of_hold(key), None, "{key}");
        }
    }

    #[test]
    fn a_number_has_one_spelling() {
        for n in [1, 999_999, 1_000_000] {
            assert_eq!(segment_number(&format!("a/segment-{n:06}.jsonl.zst")), Some(n));
        }
        for name in
            ["segment-000000.jsonl.zst", "segment-1.jsonl.zst", "segment-0000001.jsonl.zst", "segment-+00001.jsonl.zst"]
        {
            assert_eq!(segment_number(name), None, "{name}");
        }
        assert_eq!(ledger_number("ledger/x/entry-000007.json"), Some(7));
    }
}
