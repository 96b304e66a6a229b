//! The audit, from the question to the page.

#![allow(clippy::unwrap_used, reason = "what does not hold here is a fault of the test")]

mod support;

use evidence::audit::{Request, Summary, Whom, parse_head};
use evidence::coverage::Reason;
use evidence::{Answer, AuditError, AuditReport, Code, Expectation, Memory, ReadError, audit, verify};
use serde_json::json;
use support::*;

fn request(whom: Whom) -> Request {
    Request {
        whom,
        from: Some("2026-11-20T01:00:00Z".parse().unwrap()),
        to: None,
        explain: false,
        ledger_head: None,
        history_start: "2023-11-01T00:00:00Z".parse().unwrap(),
        retention_days: None,
        read_at: "2026-11-24T10:02:00Z".parse().unwrap(),
        location: "./archive".to_owned(),
        program: "copilot-archive 0.1.0".to_owned(),
    }
}

fn named(name: &str) -> Request {
    request(Whom::Named(vec![name.to_owned()]))
}

/// The page with runs of blanks made one.
fn page(report: &AuditReport) -> String {
    report.text().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[track_caller]
fn assert_line(page: &str, line: &str) {
    assert!(page.lines().any(|known| known == line), "no line {line:?} in\n{page}");
}

#[test]
fn a_user_whose_time_was_read_has_no_gap() {
    let report = audit(&sample(), &named("Adele@contoso.example")).unwrap();
    assert_eq!((report.answer, report.answer.exit_code()), (Answer::NoOpenGap, 0));
    let page = page(&report);
    assert_line(&page, &format!("custodian adele <adele@contoso.example>, {ADELE}"));
    assert_line(
        &page,
        &format!(
            "asked 2026-11-20T01:00:00Z … 2026-11-24T01:00:00Z archive ./archive of tenant {TENANT}, read 2026-11-24T10:02:00Z by copilot-archive 0.1.0"
        ),
    );
    assert_line(&page, "licence licensed in 2 of 2 daily rosters; 2026-11-23 … 2026-11-24");
    assert_line(
        &page,
        "coverage 2026-11-20T01:00:00Z … 2026-11-24T01:00:00Z 2 windows read to the last page, by 2 runs; each instant at least 1 times",
    );
    assert_line(&page, "gaps 0 open, 0 read by a later run");
    assert_line(
        &page,
        "contents 3 texts = 3 prompts + 0 answers + 0 others; 0 items in several texts, 1 texts without a time, 0 outside the range",
    );
    assert_line(&page, "10 run files and 3 segments hashed again, 0 segments of others not read");
    assert_line(&page, "4 lines = 3 new by receipts + 1 of attempts that left none or of runs not closed");
    assert_line(&page, "0 promises found broken");
    assert_line(&page, "verdict NO OPEN GAP exit 0");
    assert!(!page.contains("explained"));
    assert_eq!(page.lines().filter(|line| line.contains("who typed")).count(), 1);
}

#[test]
fn a_gap_is_named_with_its_reason() {
    let mut asked = named(ADELE);
    asked.to = Some("2026-11-30T00:00:00Z".parse().unwrap());
    let report = audit(&sample(), &asked).unwrap();
    assert_eq!((report.answer, report.answer.exit_code()), (Answer::OpenGap, 1));
    let page = page(&report);
    assert_line(&page, "2026-11-24T01:00:00Z … 2026-11-30T00:00:00Z GAP 1 no run; OPEN");
    assert_line(&page, "gaps 1 open, 0 read by a later run");
    assert_line(&page, "verdict OPEN GAP exit 1");
    asked.from = None;
    let report = audit(&sample(), &asked).unwrap();
    assert_eq!(report.asked.from, asked.history_start);
    assert_eq!(report.users[0].coverage.open().count(), 2);
}

#[test]
fn explained_intervals_name_the_line_that_proves_them() {
    let report = audit(&sample(), &Request { explain: true, ..named(ADELE) }).unwrap();
    assert_line(
        &page(&report),
        &format!(
            "2026-11-20T01:00:00Z … 2026-11-24T01:00:00Z run {DAY_2}, runs/{DAY_2}/users.jsonl.zst line 1, {} line 1",
            receipt_key(DAY_2, &attempt(3), 1)
        ),
    );
    // A receipt that came after the close proves nothing.
    let mut memory = sample();
    let late = line(DAY_2, &attempt(9), ADELE, "exported", ("2026-11-20T01:00:00Z", "2026-11-24T01:00:00Z"), (0, 0));
    memory.objects.insert(receipt_key(DAY_2, &attempt(9), 1), json_lines(&[late]));
    let page = page(&audit(&memory, &Request { explain: true, ..named(ADELE) }).unwrap());
    assert!(!page.contains(&attempt(9)), "{page}");
}

#[test]
fn what_was_read_again_and_what_came_late_is_told() {
    let mut builder = Builder::new();
    let kept = |id: u32, created: &str| item(id, created).replace("\"id\"", "\"sessionId\":\"19:a\",\"id\"");
    let days: [(&str, &str, Vec<String>, u64, serde_json::Value); 2] = [
        ("2026-11-23", "2026-11-20T01:00:00Z", vec![kept(1, "2026-11-22T10:00:00Z")], 0, json!({"<=24": 1})),
        (
            "2026-11-24",
            "2026-11-20T01:00:00Z",
            vec![
                // In time; late; another text of what was there.
                kept(2, "2026-11-23T10:00:00Z"),
                kept(3, "2026-11-22T23:00:00Z"),
                kept(1, "2026-11-22T10:00:00Z").replace('}', ",\"edited\":true}"),
            ],
            1,
            json!({"<=24": 1, "<=48": 2, ">168": 0}),
        ),
    ];
    for (number, (date, from, items, held, lateness)) in (1..).zip(days) {
        let mut run = Run { roster: vec![roster_line(ADELE, "adele@contoso.example", None)], ..Run::daily(date) };
        let attempt = attempt(number);
        let segment = builder.segment(ADELE, "2026-11", number, &run.id, &attempt, &items);
        let window = (from, &*format!("{date}T01:00:00Z"));
        let mut adele = line(&run.id, &attempt, ADELE, "exported", window, (items.len() as u64, held));
        adele["segments"] = json!([segment]);
        adele["lateness"] = lateness;
        run.receipts = vec![(attempt, vec![adele])];
        builder.close(&run);
    }
    let report = audit(&builder.memory, &named(ADELE)).unwrap();
    assert_eq!(report.answer, Answer::NoOpenGap, "{:?}", report.integrity.findings);
    let page = page(&report);
    assert_line(
        &page,
        "re-reads what was read, at least 1 times each instant; all runs were shown 5 texts = 4 new + 1 held already",
    );
    assert_line(&page, "lateness new texts by hours from creation to reading: <=24 2, <=48 2, >168 0");
    // Records of these archives were all fetched on the 24th at five.
    assert_line(
        &page,
        "late 1 items found only when their time was read again, the latest 30 hours after its creation",
    );
    assert_eq!(serde_json::to_value(&report).unwrap()["users"][0]["items"]["late"], 1);
}

#[test]
fn a_broken_promise_comes_before_any_gap() {
    let mut memory = sample();
    edit_json(&mut memory, &format!("runs/{DAY_1}/report.json"), |report| report["complete"] = json!(false));
    let mut asked = named(ADELE);
    asked.to = Some("2026-11-30T00:00:00Z".parse().unwrap());
    let report = audit(&memory, &asked).unwrap();
    assert_eq!((report.answer, report.answer.exit_code()), (Answer::IntegrityFailure, 2));
    let page = page(&report);
    assert!(page.contains("! report-complete "), "{page}");
    assert!(page.contains("! ledger-file-hash "), "{page}");
    assert!(page.contains("INTEGRITY FAILURE"), "{page}");
}

#[test]
fn damage_that_hides_the_people_is_still_an_answer() {
    for key in [
        format!("runs/{DAY_1}/roster.jsonl.zst"),
        format!("runs/{DAY_2}/users.jsonl.zst"),
        ledger_key(1),
        "archive.json".to_owned(),
    ] {
        let mut memory = sample();
        memory.objects.insert(key.clone(), b"damaged".to_vec());
        let report = audit(&memory, &named(ADELE)).unwrap();
        assert_eq!(report.answer, Answer::IntegrityFailure, "{key}");
        assert!(report.users.is_empty() && page(&report).contains("exit 2"), "{key}");
    }
}

#[test]
fn an_archive_whose_name_was_taken_away_is_damaged_and_one_without_a_ledger_is_none() {
    let mut memory = sample();
    memory.objects.remove("archive.json");
    for whom in [Whom::All, Whom::Named(vec![ADELE.to_owned()])] {
        let report = audit(&memory, &request(whom)).unwrap();
        assert_eq!((report.answer, report.answer.exit_code()), (Answer::IntegrityFailure, 2));
        assert_eq!(report.integrity.count(Code::ArchiveMissing), 1);
        assert!(report.users.is_empty());
    }
    memory.objects.retain(|key, _| !key.starts_with("ledger/"));
    let refused = audit(&memory, &named(ADELE));
    assert!(matches!(refused, Err(AuditError::Read(ReadError::NotAnArchive))), "{refused:?}");
}

#[test]
fn an_archive_of_a_later_format_is_not_audited_and_not_called_broken() {
    let whole = sample();
    let named: serde_json::Value = serde_json::from_slice(&whole.objects["archive.json"]).unwrap();
    let later = named["format"].as_u64().unwrap() + 1;
    // Whether or not it looks like one of ours.
    for archive in [json!({"format": later, "archive_id": 7}), {
        let mut archive = named;
        archive["format"] = json!(later);
        archive
    }] {
        let mut memory = whole.clone();
        memory.objects.insert("archive.json".to_owned(), archive.to_string().into_bytes());
        let refused = audit(&memory, &request(Whom::All));
        assert!(
            matches!(refused, Err(AuditError::Read(ReadError::NewerFormat { found })) if found == later),
            "{refused:?}"
        );
        let verdict = verify(&memory, &Expectation::default()).unwrap();
        assert_eq!(verdict.findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), [Code::ArchiveFormat]);
    }
}

#[test]
fn a_damaged_segment_does_not_hide_the_rest_of_the_audit() {
    let mut memory = sample();
    memory.objects.insert(segment_key(ADELE, "2026-11", 1), b"damaged".to_vec());
    let report = audit(&memory, &named(ADELE)).unwrap();
    assert_eq!(report.answer, Answer::IntegrityFailure);
    assert_eq!(report.users[0].items.texts, 1);
}

#[test]
fn the_head_noted_outside_is_held_against_the_ledger() {
    let (number, hash) = verify(&sample(), &evidence::Expectation::default()).unwrap().numbers.ledger_head.unwrap();
    let head = parse_head(&format!("{number}:{hash}")).unwrap();
    let report = audit(&sample(), &Request { ledger_head: Some(head), ..named(ADELE) }).unwrap();
    assert_eq!(report.answer, Answer::NoOpenGap);
    let head = parse_head(&format!("{number}:{}", "0".repeat(64))).unwrap();
    let report = audit(&sample(), &Request { ledger_head: Some(head), ..named(ADELE) }).unwrap();
    assert_eq!(report.answer, Answer::IntegrityFailure);
    for text in ["", "2", "x:00", "2:xyz", ":"] {
        assert!(matches!(parse_head(text), Err(AuditError::Head)), "{text}");
    }
}

#[test]
fn what_cannot_be_asked_is_refused_without_repeating_a_name() {
    let unknown =
        audit(&sample(), &request(Whom::Named(vec![ADELE.to_owned(), "secret name".to_owned()]))).unwrap_err();
    assert!(matches!(unknown, AuditError::Unknown { position: 1 }));
    assert!(!unknown.to_string().contains("secret"));
    let mut memory = sample();
    edit_lines(&mut memory, &format!("runs/{DAY_1}/roster.jsonl.zst"), |lines| {
        lines[1]["display_name"] = json!("adele")
    });
    assert!(matches!(audit(&memory, &named("ADELE")), Err(AuditError::Ambiguous { position: 0, persons: 2 })));
    let mut inverted = named(ADELE);
    inverted.to = inverted.from;
    assert!(matches!(audit(&sample(), &inverted), Err(AuditError::Range)));
    assert!(matches!(audit(&Memory::default(), &named(ADELE)), Err(AuditError::Read(_))));
    let mut newer = sample();
    edit_json(&mut newer, "archive.json", |file| file["format"] = json!(2));
    assert!(matches!(audit(&newer, &named(ADELE)), Err(AuditError::Read(_))));
}

#[test]
fn an_audit_of_all_lists_only_those_with_an_open_gap() {
    let report = audit(&sample(), &request(Whom::All)).unwrap();
    assert_eq!(report.answer, Answer::NoOpenGap);
    assert!(report.users.is_empty());
    assert_eq!(report.summary, Summary { users: 2, ..Summary::default() });
    let mut early = request(Whom::All);
    early.from = Some("2026-11-19T00:00:00Z".parse().unwrap());
    let report = audit(&sample(), &early).unwrap();
    assert_eq!((report.answer, report.users.len(), report.summary.with_open_gap), (Answer::OpenGap, 2, 2));
    assert_line(
        &page(&report),
        "users 2 users = 0 without a gap + 0 with gaps read later + 2 with an open gap; 0 in no run at the end, asked up to their last",
    );
}

#[test]
fn open_gaps_that_are_graphs_own_answer_are_counted_as_such() {
    let mut builder = Builder::new();
    for date in ["2026-11-23", "2026-11-24"] {
        let mut run = Run::daily(date);
        run.roster = vec![roster_line(ADELE, "a", None), roster_line(BIANCA, "b", None)];
        let lines = [(ADELE, "unavailable(no-licence)"), (BIANCA, "failed(server-error)")];
        let lines = lines.map(|(user, class)| line(&run.id, &attempt(1), user, class, ("", ""), (0, 0)));
        run.receipts = vec![(attempt(1), lines.to_vec())];
        builder.close(&run);
    }
    let mut early = request(Whom::All);
    early.from = Some("2026-11-19T00:00:00Z".parse().unwrap());
    let report = audit(&builder.memory, &early).unwrap();
    assert!(report.integrity.is_intact(), "{:?}", report.integrity.findings);
    assert_eq!(report.answer, Answer::OpenGap);
    assert_eq!(report.summary, Summary { users: 2, with_open_gap: 2, unavailable: 1, ..Summary::default() });
    assert_line(
        &page(&report),
        "of the 2 with an open gap 1 are unavailable: Graph said so, in every run that should have read them",
    );
    // No run was to read what lies before the first one, and history goes back from what was covered: nothing was.
    assert!(report.users[0].coverage.open().any(|gap| gap.reasons.contains_key(&Reason::NoRun)));
}

#[test]
fn whoever_left_is_asked_up_to_the_last_run() {
    let mut builder = Builder::new();
    for (date, users) in [("2026-11-23", &[ADELE, BIANCA][..]), ("2026-11-24", &[BIANCA])] {
        let mut run = Run::daily(date);
        run.roster = users.iter().map(|user| roster_line(user, "x", None)).collect();
        let window = ("2026-11-20T01:00:00Z", &*format!("{date}T01:00:00Z"));
        let lines = users.iter().map(|user| line(&run.id, &attempt(1), user, "empty", window, (0, 0))).collect();
        run.receipts = vec![(attempt(1), lines)];
        builder.close(&run);
    }
    let report = audit(&builder.memory, &request(Whom::All)).unwrap();
    assert_eq!(
        (report.answer, report.summary),
        (Answer::NoOpenGap, Summary { users: 2, left: 1, ..Summary::default() })
    );
    let report = audit(&builder.memory, &named(ADELE)).unwrap();
    assert_eq!(report.answer, Answer::OpenGap);
    assert_line(
        &page(&report),
        &format!("2026-11-23T01:00:00Z … 2026-11-24T01:00:00Z GAP 1 not in roster in 1 runs ({DAY_2}); OPEN"),
    );
}

#[test]
fn names_cannot_write_lines_of_their_own() {
    let mut memory = sample();
    edit_lines(&mut memory, &format!("runs/{DAY_2}/roster.jsonl.zst"), |lines| {
        lines[0]["display_name"] = json!("x\nverdict     NO OPEN GAP\u{1b}[2J");
    });
    let page = audit(&memory, &named(ADELE)).unwrap().text();
    assert_eq!(page.lines().filter(|line| line.starts_with("verdict")).count(), 1);
    assert!(!page.contains('\u{1b}'));
}

#[test]
fn the_json_form_holds_what_the_page_says() {
    let report = audit(&sample(), &named(ADELE)).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["answer"], "no-open-gap");
    assert_eq!(json["users"][0]["person"]["user_id"], ADELE);
    assert_eq!(json["users"][0]["coverage"]["intervals"][0]["proofs"][0]["run"], DAY_1);
    assert_eq!(json["integrity"]["numbers"]["ledger_entries"], 2);
    assert_eq!(json["integrity"]["findings"][0]["code"], "attempts-lost");
    assert_eq!(json["limits"].as_array().unwrap().len(), 5);
}
