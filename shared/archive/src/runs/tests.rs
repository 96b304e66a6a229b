//! Tests of the files of a run.

use domain::{Class, Failure, Kind, Timestamp, Window};

use super::*;
use crate::faults::{Fault, Operation};
use crate::records::{
    Asked, Counts, Exclusion, FORMAT, Licence, Producer, ReportInteractions, ReportRequests, ReportUsers, SegmentRef,
    Why,
};
use crate::store::{LegalHold, Store as _};
use crate::testing::{TENANT, USER, World, attempt, time};

const T: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
const U: &str = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb";

fn run() -> RunId {
    "20261125T030000Z".parse().unwrap()
}

fn counts(pairs: &[(&str, u64)]) -> Counts {
    pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
}

pub(crate) fn run_file(run: &RunId, started_at: Timestamp) -> RunFile {
    RunFile {
        format: FORMAT,
        run_id: run.clone(),
        tenant_id: TENANT,
        kind: Kind::Daily,
        asked: Asked { users: Some(vec![USER]), ..Asked::default() },
        from: None,
        to: Some(started_at),
        not_after: None,
        deadline: started_at,
        overlap_hours: 72,
        enumerated: 2,
        excluded: counts(&[(Exclusion::PlanDisabled.as_str(), 1)]),
        planned: 1,
        started_at,
        producer: Producer { name: "fan-out".to_owned(), version: "1.0.0".to_owned(), commit: "abc".to_owned() },
    }
}

fn roster_line() -> RosterLine {
    RosterLine {
        user_id: USER,
        upn: Some("adele@contoso.com".to_owned()),
        display_name: Some("Adele".to_owned()),
        mail: None,
        account_enabled: Some(true),
        user_type: Some("Member".to_owned()),
        licences: vec![Licence { sku_id: T.to_owned(), disabled_plans: Vec::new() }],
        why: Why::Licensed,
        planned: false,
        excluded: Some(Exclusion::PlanDisabled),
    }
}

fn receipt_line(class: Option<Class>) -> ReceiptLine {
    ReceiptLine {
        user_id: USER,
        run_id: run(),
        attempt_id: attempt(1),
        class,
        windows: vec![Window::new(time("2026-11-22T00:00:00Z"), time("2026-11-25T00:00:00.5Z")).unwrap()],
        pages: 2,
        received: 3,
        new: 1,
        already_held: 2,
        segments: vec![SegmentRef { key: "k".to_owned(), lines: 1, sha256: "h".to_owned(), adopted: false }],
        quarantine: vec![QuarantineRef { key: "q".to_owned(), sha256: "s".to_owned() }],
        covered_from: None,
        covered_to: Some(time("2026-11-25T00:00:00Z")),
        requests: counts(&[("200", 2), ("429", 1)]),
        retries: 1,
        request_ids: vec!["i".to_owned()],
        lateness: counts(&[("<=1", 1)]),
    }
}

const RECEIPT: &str = concat!(
    r#"{"user_id":"bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb","run_id":"20261125T030000Z","#,
    r#""attempt_id":"00000000000000000000000000000001","class":"failed","reason":"bad-page","#,
    r#""windows":[{"from":"2026-11-22T00:00:00Z","to":"2026-11-25T00:00:00.5Z"}],"pages":2,"#,
    r#""received":3,"new":1,"already_held":2,"segments":[{"key":"k","lines":1,"sha256":"h","adopted":false}],"#,
    r#""quarantine":[{"key":"q","sha256":"s"}],"covered_from":null,"covered_to":"2026-11-25T00:00:00Z","#,
    r#""requests":{"200":2,"429":1},"retries":1,"request_ids":["i"],"lateness":{"<=1":1}}"#
);

#[test]
fn lines_have_the_members_of_the_format_in_its_order() {
    let line = receipt_line(Some(Class::Failed(Failure::BadPage)));
    assert_eq!(serde_json::to_string(&line).unwrap(), RECEIPT);
    let open = serde_json::to_string(&receipt_line(None)).unwrap();
    assert!(open.contains(r#""class":null,"reason":null"#));
    for (text, line) in [(RECEIPT, line), (open.as_str(), receipt_line(None))] {
        let later = text.replacen("{\"user_id\"", "{\"since\":{\"a\":[1.5,null]},\"user_id\"", 1);
        assert_eq!(serde_json::from_str::<ReceiptLine>(&later).unwrap(), line, "unknown members do not matter");
    }
    let user_line: UserLine = serde_json::from_str(RECEIPT).unwrap();
    let without_attempt = RECEIPT.replace(r#""attempt_id":"00000000000000000000000000000001","#, "");
    assert_eq!(serde_json::to_string(&user_line).unwrap(), without_attempt);
    assert!(serde_json::from_str::<UserLine>(&without_attempt.replace("failed", "vanished")).is_err());

    assert_eq!(
        serde_json::to_string(&roster_line()).unwrap(),
        format!(
            concat!(
                r#"{{"user_id":"{}","upn":"adele@contoso.com","display_name":"Adele","mail":null,"account_enabled":true,"#,
                r#""user_type":"Member","licences":[{{"sku_id":"{}","disabled_plans":[]}}],"why":"licensed","#,
                r#""planned":false,"excluded":"plan-disabled"}}"#
            ),
            U, T
        )
    );
    let shown = format!("{:?}", roster_line());
    assert!(!shown.contains("adele") && !shown.contains("Adele"), "{shown}");
}

#[test]
fn files_have_the_members_of_the_format_in_its_order() {
    let file = run_file(&run(), time("2026-11-25T03:00:00Z"));
    assert_eq!(
        serde_json::to_string(&file).unwrap(),
        format!(
            concat!(
                r#"{{"format":1,"run_id":"20261125T030000Z","tenant_id":"{}","kind":"daily","asked":{{"users":["{}"]}},"#,
                r#""from":null,"to":"2026-11-25T03:00:00Z","not_after":null,"deadline":"2026-11-25T03:00:00Z","#,
                r#""overlap_hours":72,"enumerated":2,"excluded":{{"plan-disabled":1}},"planned":1,"#,
                r#""started_at":"2026-11-25T03:00:00Z","#,
                r#""producer":{{"name":"fan-out","version":"1.0.0","commit":"abc"}}}}"#
            ),
            T, U
        )
    );
    assert_eq!(
        serde_json::to_string(&report()).unwrap(),
        concat!(
            r#"{"run_id":"20261125T030000Z","kind":"daily","complete":true,"users":{"enumerated":0,"excluded":{},"planned":0,"#,
            r#""exported":0,"empty":0,"unavailable":{},"deferred":0,"failed":0,"missing":0},"#,
            r#""interactions":{"received":0,"new":0,"already_held":0,"recovered":0},"quarantined_pages":0,"#,
            r#""requests":{"sent":0,"throttled":0,"retried":0},"attempts_lost":0,"history_remaining":0,"lateness":{},"#,
            r#""started_at":"2026-11-25T03:00:00Z","closed_at":"2026-11-25T04:00:00Z"}"#
        )
    );
}

fn report() -> Report {
    Report {
        run_id: run(),
        kind: Kind::Daily,
        complete: true,
        users: ReportUsers::default(),
        interactions: ReportInteractions::default(),
        quarantined_pages: 0,
        requests: ReportRequests::default(),
        attempts_lost: 0,
        history_remaining: 0,
        lateness: Counts::new(),
        started_at: time("2026-11-25T03:00:00Z"),
        closed_at: time("2026-11-25T04:00:00Z"),
    }
}

#[tokio::test(start_paused = true)]
async fn files_are_put_once_and_who_comes_second_gets_what_is_there() {
    let world = World::new();
    let archive = world.archive().await;
    let roster = vec![roster_line()];
    world.evidence_faults.fail_next(Operation::Put, "roster", Fault::Unanswered);
    assert_eq!(
        archive.put_roster(&run(), roster.clone()).await.unwrap(),
        Stored { value: roster.clone(), created: true }
    );
    let second = archive.put_roster(&run(), Vec::new()).await.unwrap();
    assert_eq!(second, Stored { value: roster.clone(), created: false });
    assert_eq!(archive.roster(&run()).await.unwrap(), Some(roster));

    let file = run_file(&run(), time("2026-11-25T03:00:00Z"));
    assert_eq!(archive.run(&run()).await.unwrap(), None);
    assert!(archive.put_run(&file).await.unwrap().created);
    let other = RunFile { planned: 7, ..file.clone() };
    assert_eq!(archive.put_run(&other).await.unwrap(), Stored { value: file.clone(), created: false });
    assert_eq!(archive.run(&run()).await.unwrap(), Some(file));

    let late = Report { complete: false, ..report() };
    assert!(archive.put_report(&report()).await.unwrap().created);
    assert_eq!(archive.put_report(&late).await.unwrap().value, report());
    assert_eq!(archive.report(&run()).await.unwrap(), Some(report()));

    let user_line: UserLine = serde_json::from_str(RECEIPT).unwrap();
    assert!(archive.put_users(&run(), std::slice::from_ref(&user_line)).await.unwrap().created);
    assert_eq!(archive.users(&run()).await.unwrap(), Some(vec![user_line]));
}

#[tokio::test(start_paused = true)]
async fn receipts_and_runs_are_found_by_listing() {
    let world = World::new();
    let archive = world.archive().await;
    assert!(archive.receipts(&run()).await.unwrap().is_empty());
    let line = receipt_line(None);
    for (number, n) in [(2, 1), (1, 2), (1, 1)] {
        archive.put_receipt(&run(), &attempt(number), n, std::slice::from_ref(&line)).await.unwrap();
    }
    let receipts = archive.receipts(&run()).await.unwrap();
    let keys: Vec<String> = [(1, 1), (1, 2), (2, 1)].map(|(a, n)| layout::receipt(&run(), &attempt(a), n)).into();
    assert_eq!(receipts.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), keys);
    assert!(receipts.iter().all(|(_, lines)| *lines == [line.clone()]));

    assert!(archive.runs().await.unwrap().is_empty(), "a run without run.json is none yet");
    for name in ["b", "a-b", "a"] {
        archive.put_run(&run_file(&name.parse().unwrap(), archive.clock().now())).await.unwrap();
    }
    assert_eq!(archive.runs().await.unwrap().iter().map(RunId::as_str).collect::<Vec<_>>(), ["a", "a-b", "b"]);

    world.evidence.overwrite(&keys[1], "no zstd");
    assert!(matches!(archive.receipts(&run()).await, Err(ArchiveError::Integrity(_))));
}

#[tokio::test(start_paused = true)]
async fn what_the_ledger_names_can_be_checked_with_ordinary_tools() {
    let world = World::new();
    let archive = world.archive().await;
    archive.put_roster(&run(), &[roster_line(), roster_line()]).await.unwrap();
    archive.put_report(&report()).await.unwrap();
    for (key, lines) in [(layout::roster(&run()), Some(2)), (layout::report(&run()), None)] {
        let stored = world.evidence.get(&key).await.unwrap().unwrap().bytes;
        let file = archive.file_ref(&key).await.unwrap();
        let expected = FileRef { key, sha256: jsonl::sha256_hex(&stored), bytes: stored.len() as u64, lines };
        assert_eq!(file, expected);
    }
    assert!(matches!(archive.file_ref("gone").await, Err(ArchiveError::Integrity(_))));
}

#[tokio::test(start_paused = true)]
async fn a_page_in_quarantine_is_kept_as_decoded_and_once() {
    let world = World::new();
    let archive = world.archive().await;
    let page = b"{\"value\":[\xff";
    let first = archive.quarantine(USER, page, LegalHold::Off).await.unwrap();
    assert_eq!(first, archive.quarantine(USER, page, LegalHold::On).await.unwrap());
    assert!(world.evidence.held().is_empty(), "what is there stays as it is");
    let held = archive.quarantine(USER, b"{", LegalHold::On).await.unwrap();
    assert_eq!(world.evidence.held(), [held.key].into());
    assert_eq!(first.key, layout::quarantine(TENANT, USER, &jsonl::sha256_hex(page)));
    let stored = world.evidence.get(&first.key).await.unwrap().unwrap().bytes;
    assert_eq!(first.sha256, jsonl::sha256_hex(&stored));
    assert_eq!(zstd::decode_all(&stored[..]).unwrap(), page);
    assert_eq!(world.evidence.list("quarantine/").await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_a_later_format_is_refused_and_not_called_damage() {
    let world = World::new();
    let archive = world.archive().await;
    let ours = run_file(&run(), time("2026-11-25T03:00:00Z"));
    archive.put_run(&ours).await.unwrap();
    let key = layout::run_file(&run());
    let text = String::from_utf8(archive.get(&key).await.unwrap().unwrap().to_vec()).unwrap();
    let later = text.replace(&format!("\"format\":{FORMAT}"), &format!("\"format\":{}", FORMAT + 1));
    for later in [later.clone(), later.replace("\"kind\":\"daily\"", "\"kind\":[\"hourly\"]")] {
        world.evidence.overwrite(&key, later);
        for refused in [archive.run(&run()).await.map(|_| ()), archive.put_run(&ours).await.map(|_| ())] {
            assert!(
                matches!(refused, Err(ArchiveError::NewerFormat { found, .. }) if found == FORMAT + 1),
                "{refused:?}"
            );
        }
    }
}
