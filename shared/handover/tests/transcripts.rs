//! What people read: everything that was asked for stands on a page, once, with where it is from.

#![allow(clippy::unwrap_used, reason = "what does not hold here is a fault of the test")]

mod support;

use std::fs;

use handover::{Summary, write_transcripts};
use serde_json::{Value, json};
use support::*;

struct Pages {
    place: tempfile::TempDir,
    summary: Summary,
}

impl Pages {
    fn of(items: &[Value]) -> Self {
        let memory = archive(items);
        let place = tempfile::tempdir().unwrap();
        let summary = write_transcripts(&memory, &audit_of(&memory, &[ADELE]), &place.path().join("out")).unwrap();
        Self { place, summary }
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.place.path().join("out").join(path)).unwrap()
    }

    fn transcripts(&self, extension: &str) -> Vec<String> {
        let mut paths: Vec<_> = fs::read_dir(self.place.path().join("out/transcripts"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|known| known == extension))
            .collect();
        paths.sort();
        paths
            .iter()
            .filter(|path| !path.ends_with(format!("00-cover.{extension}")))
            .map(|path| fs::read_to_string(path).unwrap())
            .collect()
    }
}

#[test]
fn every_record_of_the_range_stands_on_a_page_once_with_its_hash() {
    let memory = archive(&sample());
    let pages = Pages::of(&sample());
    for extension in ["html", "txt"] {
        let all = pages.transcripts(extension).concat();
        let mut shown = 0;
        for (key, bytes) in memory.objects.iter().filter(|(key, _)| key.contains(&format!("user_id={ADELE}/segment"))) {
            let lines = String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap();
            for (number, line) in (1..).zip(lines.lines()) {
                let footer = format!("{key} line {number}, record sha256 {}", sha256(line.as_bytes()));
                let expected = usize::from(!line.contains("the range\""));
                assert_eq!(all.matches(&footer).count(), expected, "{extension} {line}");
                shown += expected;
            }
        }
        assert_eq!((shown as u64, all.matches("record sha256").count()), (pages.summary.records, shown));
    }
}

#[test]
fn the_text_reads_as_a_conversation() {
    let pages = Pages::of(&sample());
    let page = pages.read("transcripts/2026-11-05-5ac181d0-000001.txt");
    let expected = [
        "custodian      Adele Vance <adele@contoso.example>",
        "conversation   19:one@thread.v2",
        "day (UTC)      2026-11-05",
        "messages       5",
        "--- 2026-11-05T09:00:00Z  Adele Vance <adele@contoso.example>  prompt  BizChat",
        "  (the latest of 2 texts)",
        "  | Which contracts end in March?",
        "  an earlier text, fetched 2026-11-23T05:00:00Z:",
        "  | Which contracts end soon?",
        "--- 2026-11-05T09:00:03Z  Microsoft 365 Chat  response  BizChat",
        "  (interim: says only that an answer is being looked for)",
        "  | Searching…",
        "--- 2026-11-05T09:00:05Z  Microsoft 365 Chat  response  BizChat",
        "  | Two end: Orchid",
        "  | and Birch.",
        "  cited: File  orchid.docx  https://contoso.example/orchid.docx",
        "  (near duplicate of the message with id 14)",
    ];
    let mut lines = page.lines();
    for line in expected {
        assert!(lines.any(|known| known == line), "{line:?} is missing or out of order in\n{page}");
    }
}

#[test]
fn automatic_and_interim_traffic_is_folded_and_stays() {
    let pages = Pages::of(&sample());
    assert_eq!(pages.summary.folded, 3, "the interim answer, the automatic prompt and its answer");
    let page = pages.read("transcripts/2026-11-06-5ac181d0-000003.html");
    let folded = page.split("<details>").nth(1).unwrap();
    assert!(folded.contains("folded: auto-generated</summary>") && folded.contains("Summarize this document</pre>"));
    let page = pages.read("transcripts/2026-11-06-5ac181d0-000003.txt");
    assert!(page.contains("  (automatic by rule auto-generated)\n"));
}

#[test]
fn what_is_not_understood_is_shown_as_it_is_stored() {
    let pages = Pages::of(&sample());
    assert_eq!(pages.summary.unparsed, 1);
    let page = pages.read("transcripts/2026-11-06-5ac181d0-000003.txt");
    assert!(page.contains("  (not understood by the rules of version 1; below stands the item as it is stored)\n"));
    assert!(page.contains("\"requestId\":\"request-20\""), "{page}");
    let mut large = prompt("2026-11-05T10:00:00Z", "s", "1", "");
    large["body"] = json!({"contentType": "html", "content": format!("<img src=\"data:{}\">", "ä".repeat(100_000))});
    let page = Pages::of(&[large]).transcripts("txt").concat();
    assert!(page.len() < 70_000 && page.contains(" bytes more, see the record\n"), "{}", page.len());
}

#[test]
fn the_cover_has_the_verdict_and_names_every_transcript() {
    let pages = Pages::of(&sample());
    for cover in [pages.read("transcripts/00-cover.txt"), pages.read("transcripts/00-cover.html")] {
        for part in [
            "no open gap",
            "NO OPEN GAP",
            "who typed",
            "10, of which 1 name no time and are included",
            "rules of version 1",
        ] {
            assert!(cover.contains(part), "{part}");
        }
        for number in 1..=4 {
            assert!(cover.contains(&format!("5ac181d0-{number:06}")));
        }
        assert!(!cover.contains("contracts"), "a cover has no content");
    }
}

#[test]
fn the_load_files_have_a_row_for_each_transcript_with_its_hash() {
    let pages = Pages::of(&sample());
    let csv = pages.read("loadfile.csv");
    let rows: Vec<Vec<&str>> =
        csv.trim_end().lines().skip(1).map(|row| row.trim_matches('"').split("\",\"").collect()).collect();
    assert_eq!(rows.len() as u64, pages.summary.documents);
    for row in &rows {
        assert_eq!(row.len(), 10, "{row:?}");
        assert_eq!(sha256(pages.read(row[7]).as_bytes()), row[9]);
        assert!(pages.read(row[8]).starts_with(&format!("TRANSCRIPT {}\n", row[0])));
    }
    assert_eq!(
        rows[0][1..7],
        [
            "Adele Vance <adele@contoso.example>",
            "19:one@thread.v2",
            "BizChat",
            "2026-11-05T09:00:00Z",
            "2026-11-05T09:10:02Z",
            "5"
        ]
    );
    assert_eq!(rows[3][4..7], ["", "", "1"]);
    assert_eq!(pages.read("loadfile.dat").lines().count(), rows.len() + 1);
}
