//! The pages of a person: transcripts, cover sheet and load files, written as they are read.

use std::fmt;
use std::path::Path;

use evidence::audit::Answer;
use evidence::coverage::Window;
use evidence::{AuditReport, Names, Person, Source, Stored};
use jiff::Timestamp;

use crate::folder::Folder;
use crate::message::{Message, Page, read_month};
use crate::{HandoverError, Summary, html, loadfile, text};

/// Whose pages they are and where they are from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Case {
    /// As people call the person.
    pub(crate) custodian: String,
    pub(crate) user_id: String,
    pub(crate) tenant_id: String,
    pub(crate) asked: Option<Window>,
    pub(crate) location: String,
    pub(crate) read_at: Timestamp,
    pub(crate) program: String,
    pub(crate) verdict: &'static str,
    pub(crate) summary: Summary,
}

impl Case {
    /// The one person of an audit.
    pub(crate) fn of(report: &AuditReport) -> Result<Self, HandoverError> {
        let [user] = report.users.as_slice() else { return Err(HandoverError::Persons(report.users.len())) };
        Ok(Self {
            custodian: custodian(&user.person),
            user_id: user.person.user_id.clone(),
            tenant_id: report.tenant_id.clone(),
            asked: Some(user.coverage.asked),
            location: report.location.clone(),
            read_at: report.read_at,
            program: report.program.clone(),
            verdict: match report.answer {
                Answer::NoOpenGap => "no open gap",
                Answer::OpenGap => "open gap",
                Answer::IntegrityFailure => "integrity failure",
            },
            summary: Summary::default(),
        })
    }

    pub(crate) fn range(&self) -> String {
        self.asked.map(|asked| format!("after {} up to {}", asked.from, asked.to)).unwrap_or_default()
    }

    /// What a transcript's heading says.
    pub(crate) fn heading(&self, page: &Page) -> Vec<(&'static str, String)> {
        vec![
            ("custodian", self.custodian.clone()),
            ("object id", self.user_id.clone()),
            ("conversation", page.session_text().to_owned()),
            ("application", page.apps()),
            ("day (UTC)", page.day_text()),
            ("messages", page.messages.len().to_string()),
            ("range asked", self.range()),
        ]
    }

    /// What the cover sheet says before the audit.
    pub(crate) fn cover(&self, listed: &[Listed]) -> Vec<(&'static str, String)> {
        let Summary { records, undated, messages, earlier_texts, unparsed, folded, .. } = self.summary;
        vec![
            ("custodian", self.custodian.clone()),
            ("object id", self.user_id.clone()),
            ("tenant", self.tenant_id.clone()),
            ("archive", format!("{}, read {}", self.location, self.read_at)),
            ("range asked", self.range()),
            ("verdict", self.verdict.to_owned()),
            ("records", format!("{records}, of which {undated} name no time and are included")),
            (
                "transcripts",
                format!("{} of {messages} messages with {earlier_texts} earlier texts of them", listed.len()),
            ),
            ("folded", format!("{folded} messages that rules call automatic or interim; none is left out")),
            ("not understood", format!("{unparsed} texts, shown as they are stored")),
        ]
    }

    /// How the pages were made.
    pub(crate) fn colophon(&self) -> String {
        format!(
            "Made from the archive by {} with the rules of version {}. The stored record is the evidence; this page is a \
             rendering of it.",
            self.program,
            views::RULE_VERSION
        )
    }
}

fn custodian(person: &Person) -> String {
    let named = |names: &Names| match (&names.display_name, &names.upn) {
        (Some(name), Some(upn)) => format!("{name} <{upn}>"),
        (Some(name), None) | (None, Some(name)) => name.clone(),
        (None, None) => person.user_id.clone(),
    };
    person.current().map_or_else(|| person.user_id.clone(), named)
}

/// A time, or that there is none.
#[derive(Debug)]
pub(crate) struct Time(pub(crate) Option<Timestamp>);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => write!(f, "{time}"),
            None => f.write_str("undated"),
        }
    }
}

/// A transcript that was written.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) day: String,
    pub(crate) apps: String,
    pub(crate) session: String,
    pub(crate) messages: u64,
    pub(crate) times: Option<(Timestamp, Timestamp)>,
    pub(crate) sha256: String,
}

impl Listed {
    pub(crate) fn html_path(&self) -> String {
        format!("transcripts/{}-{}.html", self.day, self.id)
    }

    pub(crate) fn text_path(&self) -> String {
        format!("transcripts/{}-{}.txt", self.day, self.id)
    }
}

/// Writes the transcripts, the cover sheet and the load files of the one person of the audit into an empty folder.
pub fn write_transcripts(source: &dyn Source, report: &AuditReport, dir: &Path) -> Result<Summary, HandoverError> {
    let mut case = Case::of(report)?;
    let mut folder = Folder::new(dir)?;
    write_pages(source, report, &mut case, &mut folder, "", |_, _| Ok(()))?;
    Ok(finished(case.summary, &folder))
}

pub(crate) fn finished(summary: Summary, folder: &Folder) -> Summary {
    let bytes = folder.files.iter().map(|file| file.bytes).sum();
    Summary { files: folder.files.len() as u64, bytes, ..summary }
}

/// The same under a prefix; `each` sees every record that was asked for.
pub(crate) fn write_pages(
    source: &dyn Source,
    report: &AuditReport,
    case: &mut Case,
    folder: &mut Folder,
    prefix: &str,
    mut each: impl FnMut(&Stored<'_>, &Message) -> Result<(), HandoverError>,
) -> Result<(), HandoverError> {
    let Some(asked) = case.asked else { return Err(HandoverError::Persons(0)) };
    let segments = evidence::segments(source, &case.tenant_id, &case.user_id)?;
    let mut listed = Vec::new();
    for month in segments.chunk_by(|a, b| log(a) == log(b)) {
        let summary = &mut case.summary;
        let pages = read_month(source, month, asked, |stored, message| {
            summary.records += 1;
            summary.undated += u64::from(message.row.created_at.is_none());
            each(stored, message)
        })?;
        for page in pages {
            count(&mut case.summary, &page);
            listed.push(write_page(case, folder, prefix, listed.len() + 1, &page)?);
        }
    }
    case.summary.documents = listed.len() as u64;
    let audit = report.text();
    folder.write(&format!("{prefix}transcripts/00-cover.html"), html::cover(case, &listed, &audit).as_bytes())?;
    folder.write(&format!("{prefix}transcripts/00-cover.txt"), text::cover(case, &listed, &audit).as_bytes())?;
    folder.write(&format!("{prefix}loadfile.csv"), loadfile::csv(case, &listed).as_bytes())?;
    folder.write(&format!("{prefix}loadfile.dat"), loadfile::dat(case, &listed).as_bytes())?;
    Ok(())
}

/// The folder of a segment: its log.
fn log(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(log, _)| log)
}

fn count(summary: &mut Summary, page: &Page) {
    for message in &page.messages {
        summary.messages += 1;
        summary.earlier_texts += message.earlier.len() as u64;
        summary.folded += u64::from(message.folded.is_some());
        summary.unparsed += message.texts().filter(|text| text.row.text.is_none()).count() as u64;
    }
}

fn write_page(
    case: &Case,
    folder: &mut Folder,
    prefix: &str,
    number: usize,
    page: &Page,
) -> Result<Listed, HandoverError> {
    let mut listed = Listed {
        // Numbers of several people stay apart in one review.
        id: format!("{}-{number:06}", case.user_id.get(..8).unwrap_or_default()),
        day: page.day_text(),
        apps: page.apps(),
        session: page.session.clone().unwrap_or_default(),
        messages: page.messages.len() as u64,
        times: page.times(),
        sha256: String::new(),
    };
    let path = format!("{prefix}{}", listed.html_path());
    listed.sha256 = folder.write(&path, html::transcript(case, &listed.id, page).as_bytes())?;
    folder.write(&format!("{prefix}{}", listed.text_path()), text::transcript(case, &listed.id, page).as_bytes())?;
    Ok(listed)
}
