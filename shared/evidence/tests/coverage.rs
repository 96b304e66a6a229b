//! What was read, what was not, and why.

#![allow(clippy::unwrap_used, reason = "what does not hold here is a fault of the test")]

mod support;

use evidence::{Coverage, ReadError, Window, coverage, people};
use serde_json::json;
use support::*;

fn window(from: &str, to: &str) -> Window {
    let time = |text: &str| if text.contains('T') { text.to_owned() } else { format!("{text}T01:00:00Z") };
    Window { from: time(from).parse().unwrap(), to: time(to).parse().unwrap() }
}

/// One gap in one line: from, to, the reasons with their runs, and who healed it.
fn gaps(coverage: &Coverage) -> Vec<String> {
    let short = |time: jiff::Timestamp| time.to_string()[5..10].to_owned();
    let each = coverage.gaps.iter().map(|gap| {
        let reasons: Vec<String> = gap
            .reasons
            .iter()
            .map(|(reason, runs)| format!("{reason}{:?}", runs.iter().map(|run| &run[6..8]).collect::<Vec<_>>()))
            .collect();
        let healed = gap.healed_by.as_ref().map_or("open".to_owned(), |run| format!("healed by {}", &run[6..8]));
        format!("{}..{} {} {healed}", short(gap.window.from), short(gap.window.to), reasons.join(" and "))
    });
    each.collect()
}

fn intervals(coverage: &Coverage) -> Vec<(Window, u64, usize)> {
    coverage.intervals.iter().map(|interval| (interval.window, interval.least_reads, interval.proofs.len())).collect()
}

/// Closes one daily run of Adele and Bianca a day; Adele's part is as told, none leaves her out of the roster.
fn daily(builder: &mut Builder, date: &str, adele: Option<(&str, (&str, &str))>) {
    let mut run = Run::daily(date);
    run.roster = vec![roster_line(BIANCA, "bianca@contoso.example", None)];
    let mut lines = vec![line(
        &run.id,
        &attempt(1),
        BIANCA,
        "empty",
        ("2026-11-01T01:00:00Z", &format!("{date}T01:00:00Z")),
        (0, 0),
    )];
    if let Some((class, window)) = adele {
        run.roster.push(roster_line(ADELE, "adele@contoso.example", None));
        let mut adele = line(&run.id, &attempt(1), ADELE, class, window, (0, 0));
        adele["request_ids"] = if class.starts_with("failed") { json!([format!("request-{date}")]) } else { json!([]) };
        lines.push(adele);
    }
    run.receipts = vec![(attempt(1), lines)];
    builder.close(&run);
}

const NOTHING: (&str, &str) = ("", "");

#[test]
fn windows_unite_and_count_how_often_each_instant_was_read() {
    let mut builder = Builder::new();
    daily(&mut builder, "2026-11-10", Some(("empty", ("2026-11-07T01:00:00Z", "2026-11-10T01:00:00Z"))));
    daily(&mut builder, "2026-11-11", Some(("empty", ("2026-11-07T01:00:00Z", "2026-11-11T01:00:00Z"))));
    daily(&mut builder, "2026-11-12", Some(("empty", ("2026-11-08T01:00:00Z", "2026-11-12T01:00:00Z"))));
    let whole = coverage(&builder.memory, ADELE, window("2026-11-07", "2026-11-12")).unwrap();
    assert_eq!(intervals(&whole), [(window("2026-11-07", "2026-11-12"), 1, 3)]);
    assert_eq!(gaps(&whole), [""; 0]);
    let proof = &whole.intervals[0].proofs[1];
    assert_eq!((proof.key.as_str(), proof.line), ("runs/20261111T030000Z/users.jsonl.zst", 1));
    let part = coverage(&builder.memory, ADELE, window("2026-11-08", "2026-11-10")).unwrap();
    assert_eq!(intervals(&part), [(window("2026-11-08", "2026-11-10"), 3, 3)]);
}

#[test]
fn what_no_run_was_to_read_is_no_run() {
    let mut builder = Builder::new();
    daily(&mut builder, "2026-11-10", Some(("empty", ("2026-11-07T01:00:00Z", "2026-11-10T01:00:00Z"))));
    let found = coverage(&builder.memory, ADELE, window("2026-11-01", "2026-11-20")).unwrap();
    assert_eq!(gaps(&found), ["11-01..11-07 no run[] open", "11-10..11-20 no run[] open"]);
    assert_eq!(found.open().count(), 2);
    let nobody = coverage(&builder.memory, CARLO, window("2026-11-01", "2026-11-20")).unwrap();
    assert_eq!(
        gaps(&nobody),
        ["11-01..11-07 no run[] open", "11-07..11-10 not in roster[\"10\"] open", "11-10..11-20 no run[] open"]
    );
}

#[test]
fn failures_that_a_later_run_made_good_are_healed_and_say_so() {
    let mut builder = Builder::new();
    daily(&mut builder, "2026-11-10", Some(("empty", ("2026-11-07T01:00:00Z", "2026-11-10T01:00:00Z"))));
    daily(&mut builder, "2026-11-11", Some(("failed(server-error)", NOTHING)));
    daily(&mut builder, "2026-11-12", Some(("unavailable(no-licence)", NOTHING)));
    daily(&mut builder, "2026-11-13", Some(("empty", ("2026-11-07T01:00:00Z", "2026-11-13T01:00:00Z"))));
    daily(&mut builder, "2026-11-14", None);
    let found = coverage(&builder.memory, ADELE, window("2026-11-08", "2026-11-14")).unwrap();
    assert_eq!(
        gaps(&found),
        [
            "11-10..11-12 failed(server-error)[\"11\"] and unavailable(no-licence)[\"12\"] healed by 13",
            "11-13..11-14 not in roster[\"14\"] open"
        ]
    );
    assert_eq!(found.gaps[0].request_ids.iter().collect::<Vec<_>>(), ["request-2026-11-11"]);
    assert_eq!(found.open().count(), 1);
}

#[test]
fn a_look_back_after_an_outage_leaves_the_days_between_open() {
    let mut builder = Builder::new();
    daily(&mut builder, "2026-11-10", Some(("empty", ("2026-11-07T01:00:00Z", "2026-11-10T01:00:00Z"))));
    daily(&mut builder, "2026-11-12", Some(("", NOTHING)));
    daily(&mut builder, "2026-11-15", Some(("empty", ("2026-11-14T01:00:00Z", "2026-11-15T01:00:00Z"))));
    let found = coverage(&builder.memory, ADELE, window("2026-11-08", "2026-11-15")).unwrap();
    assert_eq!(gaps(&found), ["11-10..11-12 missing[\"12\"] open", "11-12..11-14 no run[] open"]);
    assert_eq!(found.intervals.len(), 2);
}

#[test]
fn pieces_read_before_a_failure_are_covered() {
    let mut builder = Builder::new();
    daily(&mut builder, "2026-11-10", Some(("empty", ("2026-11-07T01:00:00Z", "2026-11-10T01:00:00Z"))));
    daily(&mut builder, "2026-11-12", Some(("failed(given-up)", ("2026-11-07T01:00:00Z", "2026-11-11T01:00:00Z"))));
    let found = coverage(&builder.memory, ADELE, window("2026-11-07", "2026-11-12")).unwrap();
    assert_eq!(gaps(&found), ["11-11..11-12 failed(given-up)[\"12\"] open"]);
}

#[test]
fn history_owes_what_lies_before_everything_read() {
    let mut builder = Builder::new();
    let history = |date: &str, class: &str, read| {
        let mut run = Run::daily(date);
        run.id.push_str("-history");
        (run.kind, run.to) = ("history".to_owned(), None);
        run.roster = vec![roster_line(ADELE, "adele@contoso.example", None)];
        run.receipts = vec![(attempt(1), vec![line(&run.id, &attempt(1), ADELE, class, read, (0, 0))])];
        run
    };
    daily(&mut builder, "2026-11-10", Some(("empty", ("2026-11-07T01:00:00Z", "2026-11-10T01:00:00Z"))));
    builder.close(&history("2026-11-11", "deferred", NOTHING));
    let asked = window("2026-11-01", "2026-11-10");
    assert_eq!(gaps(&coverage(&builder.memory, ADELE, asked).unwrap()), ["11-01..11-07 deferred[\"11\"] open"]);
    builder.close(&history("2026-11-12", "empty", ("2026-11-03T01:00:00Z", "2026-11-07T01:00:00Z")));
    assert_eq!(
        gaps(&coverage(&builder.memory, ADELE, asked).unwrap()),
        ["11-01..11-03 deferred[\"11\"] open", "11-03..11-07 deferred[\"11\"] healed by 12"]
    );
}

#[test]
fn a_run_of_others_owes_nothing() {
    let mut builder = Builder::new();
    let mut run = Run::daily("2026-11-10");
    (run.id, run.kind) = ("case-4711".to_owned(), "on-demand".to_owned());
    run.asked = json!({"users": [BIANCA]});
    run.roster = vec![roster_line(BIANCA, "bianca@contoso.example", None)];
    run.receipts =
        vec![(attempt(1), vec![line("case-4711", &attempt(1), BIANCA, "failed(bad-page)", NOTHING, (0, 0))])];
    builder.close(&run);
    let asked = window("2026-11-08", "2026-11-10");
    assert_eq!(gaps(&coverage(&builder.memory, ADELE, asked).unwrap()), ["11-08..11-10 no run[] open"]);
    assert_eq!(coverage(&builder.memory, BIANCA, asked).unwrap().gaps[0].reasons.len(), 1);
}

#[test]
fn an_excluded_user_is_told_as_such() {
    let found = coverage(&sample(), CARLO, window("2026-11-20", "2026-11-24")).unwrap();
    assert_eq!(gaps(&found), ["11-20..11-24 excluded(plan-disabled)[\"23\", \"24\"] open"]);
}

#[test]
fn an_open_run_proves_nothing_and_a_damaged_one_is_an_error() {
    let mut builder = Builder::new();
    let mut run = Run { roster: vec![roster_line(ADELE, "a", None)], ..Run::daily("2026-11-10") };
    let read = ("2026-11-07T01:00:00Z", "2026-11-10T01:00:00Z");
    run.receipts = vec![(attempt(1), vec![line(&run.id, &attempt(1), ADELE, "empty", read, (0, 0))])];
    builder.open(&run);
    let asked = window("2026-11-07", "2026-11-10");
    assert!(coverage(&builder.memory, ADELE, asked).unwrap().intervals.is_empty());
    builder.close(&run);
    assert!(coverage(&builder.memory, ADELE, asked).unwrap().gaps.is_empty());
    builder.memory.objects.insert(format!("runs/{}/users.jsonl.zst", run.id), b"damaged".to_vec());
    assert!(matches!(coverage(&builder.memory, ADELE, asked), Err(ReadError::Damaged { .. })));
    builder.memory.objects.remove("archive.json");
    assert!(matches!(coverage(&builder.memory, ADELE, asked), Err(ReadError::NotAnArchive)));
}

#[test]
fn people_keep_their_former_names_and_their_licence_days() {
    let mut builder = Builder::new();
    for (date, upn) in [
        ("2026-11-10", Some("a.vance@contoso.example")),
        ("2026-11-11", Some("adele@contoso.example")),
        ("2026-11-12", None),
        ("2026-11-13", Some("adele@contoso.example")),
    ] {
        let mut run = Run::daily(date);
        run.roster = upn.map(|upn| roster_line(ADELE, upn, None)).into_iter().collect();
        run.roster.push(roster_line(CARLO, "carlo@contoso.example", Some("plan-disabled")));
        builder.open(&run);
    }
    let people = people(&builder.memory, None).unwrap();
    assert_eq!(people.daily_rosters, 4);
    let adele = &people.persons[ADELE];
    assert_eq!(adele.current().unwrap().upn.as_deref(), Some("adele@contoso.example"));
    assert_eq!(adele.names.len(), 2);
    assert_eq!(adele.names[0].until.to_string(), "2026-11-10T03:00:05Z");
    assert_eq!(adele.licensed.iter().map(|span| span.rosters).collect::<Vec<_>>(), [2, 1]);
    let carlo = &people.persons[CARLO];
    assert_eq!((carlo.planned, carlo.rosters_licensed()), (false, 0));
    for name in [ADELE, "A.Vance@contoso.example", "adele@contoso.example", "a.vance"] {
        assert_eq!(people.find(name), [adele], "{name}");
    }
    assert!(people.find("bianca").is_empty());
}
