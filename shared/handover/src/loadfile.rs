//! Load files for review platforms: a row for each page, as CSV and as Concordance DAT.

use crate::escape::line;
use crate::pages::{Case, Listed};

const COLUMNS: [&str; 10] = [
    "DOCID",
    "CUSTODIAN",
    "CONVERSATIONID",
    "APP",
    "BEGDATE",
    "ENDDATE",
    "MSGCOUNT",
    "NATIVEPATH",
    "TEXTPATH",
    "SHA256",
];

/// Review platforms tell UTF-8 from older encodings by this.
const BYTE_ORDER_MARK: &str = "\u{feff}";

fn rows(case: &Case, listed: &[Listed]) -> Vec<[String; 10]> {
    let row = |one: &Listed| {
        let [begin, end] = one.times.map_or([const { String::new() }; 2], |(a, b)| [a.to_string(), b.to_string()]);
        [
            one.id.clone(),
            case.custodian.clone(),
            one.session.clone(),
            one.apps.clone(),
            begin,
            end,
            one.messages.to_string(),
            one.html_path(),
            one.text_path(),
            one.sha256.clone(),
        ]
        .map(|cell| line(&cell))
    };
    listed.iter().map(row).collect()
}

/// RFC 4180, every cell quoted. A cell that a spreadsheet would take for a formula begins with an apostrophe.
pub(crate) fn csv(case: &Case, listed: &[Listed]) -> String {
    let cell = |cell: &str| {
        let guard = if cell.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
        format!("\"{guard}{}\"", cell.replace('"', "\"\""))
    };
    table(COLUMNS.map(str::to_owned), rows(case, listed), ",", cell)
}

/// Concordance's own form: cells between thorns, and a control character between them. Neither can stand in a cell: controls
/// are gone, and a thorn is spelled.
pub(crate) fn dat(case: &Case, listed: &[Listed]) -> String {
    let cell = |cell: &str| format!("þ{}þ", cell.replace('þ', "th"));
    table(COLUMNS.map(str::to_owned), rows(case, listed), "\u{14}", cell)
}

fn table(head: [String; 10], rows: Vec<[String; 10]>, between: &str, cell: impl Fn(&str) -> String) -> String {
    let mut out = BYTE_ORDER_MARK.to_owned();
    for row in std::iter::once(head).chain(rows) {
        let cells: Vec<String> = row.iter().map(|text| cell(text)).collect();
        out.push_str(&cells.join(between));
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(session: &str) -> Vec<Listed> {
        vec![Listed {
            id: "5ac181d0-000001".to_owned(),
            day: "2026-11-02".to_owned(),
            apps: "BizChat".to_owned(),
            session: session.to_owned(),
            messages: 2,
            times: Some(("2026-11-02T09:14:07Z".parse().unwrap(), "2026-11-02T09:14:09.5Z".parse().unwrap())),
            sha256: "ab".to_owned(),
        }]
    }

    fn case() -> Case {
        Case { custodian: "Þóra \"T\" <t@contoso.example>".to_owned(), ..Case::default() }
    }

    #[test]
    fn the_csv_quotes_every_cell_and_holds_no_formula() {
        let csv = csv(&case(), &listed("=HYPERLINK(\"x\")\n"));
        let mut lines = csv.split("\r\n");
        assert!(lines.next().unwrap().starts_with("\u{feff}\"DOCID\",\"CUSTODIAN\",\"CONVERSATIONID\",\"APP\","));
        assert_eq!(
            lines.next().unwrap(),
            "\"5ac181d0-000001\",\"Þóra \"\"T\"\" <t@contoso.example>\",\"'=HYPERLINK(\"\"x\"\") \",\"BizChat\",\
             \"2026-11-02T09:14:07Z\",\"2026-11-02T09:14:09.5Z\",\"2\",\"transcripts/2026-11-02-5ac181d0-000001.html\",\
             \"transcripts/2026-11-02-5ac181d0-000001.txt\",\"ab\""
        );
        assert_eq!(lines.collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn the_dat_has_as_many_cells_in_every_row_whatever_stands_in_them() {
        let dat = dat(&case(), &listed("19:þ\u{14}a\r\nb"));
        let rows: Vec<&str> = dat.trim_start_matches('\u{feff}').trim_end().split("\r\n").collect();
        assert_eq!(rows.len(), 2);
        for row in rows {
            let cells: Vec<&str> = row.split('\u{14}').collect();
            assert_eq!(cells.len(), COLUMNS.len());
            assert!(
                cells.iter().all(|cell| cell.starts_with('þ') && cell.ends_with('þ') && cell.matches('þ').count() == 2)
            );
        }
    }
}
