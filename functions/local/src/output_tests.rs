//! What stands on the screen, character by character.

use std::collections::BTreeMap;

use archive::records::{ReportInteractions, ReportRequests, ReportUsers};
use domain::{Failure, Unavailability};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn counts(pairs: &[(&str, u64)]) -> Counts {
    pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
}

fn daily() -> Closed {
    Closed {
        report: Report {
            run_id: "20261124T030000Z".parse().unwrap(),
            kind: Kind::Daily,
            complete: true,
            users: ReportUsers {
                enumerated: 412,
                leavers: 0,
                excluded: counts(&[("exclude", 3), ("plan-disabled", 15)]),
                planned: 394,
                exported: 301,
                empty: 74,
                unavailable: counts(&[("no-history", 8), ("no-licence", 11)]),
                deferred: 0,
                failed: 0,
                missing: 0,
            },
            interactions: ReportInteractions { received: 1_310, new: 1_310, already_held: 0, recovered: 0 },
            quarantined_pages: 0,
            requests: ReportRequests { sent: 812, throttled: 6, retried: 9 },
            attempts_lost: 0,
            history_remaining: 375,
            lateness: BTreeMap::new(),
            started_at: at("2026-11-24T03:00:00Z"),
            closed_at: at("2026-11-24T03:00:35.2Z"),
        },
        entry: 1,
        sha256: "5d41".to_owned(),
        segments: 301,
        lines: 1_310,
        bytes: Some(1_149_000),
        history_start: at("2023-11-01T00:00:00Z"),
        timed: true,
        unread: Vec::new(),
        history_seconds: 0,
    }
}

#[test]
fn a_complete_daily_run_is_a_list_of_sums() {
    let expected = "\
run 20261124T030000Z  daily  COMPLETE     every equation holds
  users         412 enumerated = 18 excluded (exclude 3, plan-disabled 15) + 394 planned
                394 planned = 301 exported + 74 empty + 19 unavailable (no-history 8, no-licence 11) + 0 failed + 0 missing
  interactions  1,310 received = 1,310 new + 0 already held
  written       1,310 lines in 301 segments = 1,310 new + 0 recovered   (1.1 MB)
  requests      812 sent, 6 throttled, 9 retried
  time          35.2 s = 1.08 x the quota floor (812 requests / 24.9 per second)
  ledger entry 1 sha256 5d41  (keep this line: it pins everything above)
";
    assert_eq!(daily().render(Style::PLAIN), expected);
}

#[test]
fn an_incomplete_history_run_names_who_is_missing_and_what_remains() {
    let mut closed = daily();
    let user: UserId = "5ac181d0-c896-435a-a745-ac948db1d59a".parse().unwrap();
    closed.report.kind = Kind::History;
    closed.report.run_id = "20261124T030500Z-history".parse().unwrap();
    closed.report.complete = false;
    closed.report.quarantined_pages = 1;
    closed.report.users.exported = 298;
    closed.report.users.failed = 1;
    closed.report.users.missing = 2;
    closed.report.users.leavers = 3;
    closed.report.history_remaining = 3;
    closed.timed = false;
    closed.unread = vec![(user, Some(Class::Failed(Failure::BadPage))), (user, None)];
    let expected = "\
run 20261124T030500Z-history  history  INCOMPLETE   1 failed, 2 missing
  users         412 enumerated (3 leavers) = 18 excluded (exclude 3, plan-disabled 15) + 394 planned
                394 planned = 298 exported + 74 empty + 19 unavailable (no-history 8, no-licence 11) + 0 deferred + 1 failed + 2 missing
                5ac181d0-c896-435a-a745-ac948db1d59a failed(bad-page)
                5ac181d0-c896-435a-a745-ac948db1d59a missing
                … all of them in runs/20261124T030500Z-history/users.jsonl.zst
  interactions  1,310 received = 1,310 new + 0 already held
  written       1,310 lines in 301 segments = 1,310 new + 0 recovered   (1.1 MB)
  quarantine    1 pages that did not parse
  requests      812 sent, 6 throttled, 9 retried
  history       3 users not yet covered back to 2023-11-01
  ledger entry 1 sha256 5d41  (keep this line: it pins everything above)
";
    assert_eq!(closed.render(Style::PLAIN), expected);
}

#[test]
fn colour_is_only_added() {
    let coloured = daily().render(Style { colour: true });
    assert!(coloured.contains("\x1b[1;32mCOMPLETE\x1b[0m"));
    assert_eq!(coloured.replace("\x1b[1;32m", "").replace("\x1b[0m", ""), daily().render(Style::PLAIN));
}

#[test]
fn the_first_lines_say_loudly_that_a_tenant_is_simulated() {
    let simulated = SimulatedBanner { seed: 42, factor: 10.0, starts_at: at("2026-11-24T03:00:00Z") };
    let mut banner = Banner {
        version: "0.1.0",
        tenant: "contoso".to_owned(),
        simulated: Some(simulated),
        archive: "./archive".to_owned(),
    };
    assert_eq!(
        banner.render(Style::PLAIN),
        "\
Copilot Interaction Archive 0.1.0   SIMULATED tenant \"contoso\" (seed 42), no account needed
time     runs 10 x faster than real, from 2026-11-24T03:00:00Z; the quota dips once, to show throttling
archive  ./archive
"
    );
    banner.simulated = None;
    assert_eq!(banner.render(Style::PLAIN), "Copilot Interaction Archive 0.1.0   tenant contoso\narchive  ./archive\n");
}

#[test]
fn progress_shows_the_rate_beside_the_budget() {
    let progress = Progress { done: 120, planned: 394, interactions: 5_310, rate: 24.36, budget: 24.0 };
    assert_eq!(progress.line(), "users    120/394   interactions 5,310   rate 24.4/s of 24\n");
}

#[test]
fn a_dry_run_says_what_it_would_take() {
    let estimate = Estimate {
        kind: Kind::Daily,
        enumerated: 412,
        excluded: counts(&[("plan-disabled", 18)]),
        planned: 394,
        requests: 1_182,
        minutes: 1,
        runs: 1,
    };
    assert_eq!(
        estimate.render(),
        "\
daily dry run: nothing was written
  users         412 enumerated = 18 excluded (plan-disabled 18) + 394 planned
  at most       1,182 requests, 1 minutes, 1 runs
"
    );
}

fn place(location: &str) -> Location {
    location.parse().unwrap()
}

#[test]
fn the_next_commands_name_the_archive_unless_it_is_the_usual_one() {
    assert_eq!(
        next("cargo local", &place("./archive"), "", Some("adele@contoso.com")),
        "
next
  cargo local                                  again: nothing is archived twice
  cargo local audit --user adele@contoso.com   prove what is there
  (cd ./archive && duckdb -init duckdb.sql)    query it: interaction, person, run, run_user, ...
"
    );
    let elsewhere = next("copilot-archive", &place("/tmp/a"), " --seed 7", None);
    assert!(elsewhere.contains("  copilot-archive --archive /tmp/a --seed 7 "), "{elsewhere}");
    assert!(elsewhere.contains("  copilot-archive audit --archive /tmp/a --all "), "{elsewhere}");
    let bucket = next("copilot-archive", &place("s3://acme-archive/a/"), "", None);
    assert!(bucket.contains("  copilot-archive audit --archive s3://acme-archive/a/ --all "), "{bucket}");
    assert!(bucket.contains("  aws s3 cp s3://acme-archive/a/README.txt - ") && !bucket.contains("cd "), "{bucket}");
}

#[test]
fn a_run_begins_and_is_stopped_in_a_line_each() {
    assert_eq!(
        began("20261124T030000Z", Kind::Daily, 1_412, 1_394),
        "\nrun 20261124T030000Z  daily  1,394 of 1,412 users are to be read\n"
    );
    assert_eq!(
        stopped("cargo local", "a", " --seed 7"),
        "\nstopped; nothing that was read is lost. To go on:\n  cargo local --archive a --seed 7\n"
    );
    let seen = Seen { requests: 1_734, per_second: 26, early: 0 };
    assert_eq!(
        seen.render(),
        "\nthe simulated Graph counted 1,734 requests, at most 26 in any second, 0 of them before Retry-After\n"
    );
}

#[test]
fn a_shell_reads_a_word_as_it_is_meant() {
    assert_eq!(word("adele@contoso.com"), "adele@contoso.com");
    assert_eq!(word("my archive"), "'my archive'");
    assert_eq!(word("o'neill_f.com#EXT#"), r"'o'\''neill_f.com#EXT#'");
}

#[test]
fn figures_are_written_for_people() {
    assert_eq!([0, 999, 1_000, 21_846, 1_234_567].map(number), ["0", "999", "1,000", "21,846", "1,234,567"]);
    assert_eq!([0, 1_500, 1_100_000, 7_200_000_000].map(size), ["0 B", "1.5 kB", "1.1 MB", "7.2 GB"]);
    let seconds = |n: i64| duration(SignedDuration::from_secs(n));
    assert_eq!([5, 119, 125, 7_325].map(seconds), ["5.0 s", "119.0 s", "2 min 05 s", "2 h 02 min"]);
    let none = by_reason("unavailable", &counts(&[(Unavailability::Gone.as_str(), 0)]));
    assert_eq!(none, "0 unavailable");
}
