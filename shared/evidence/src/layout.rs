//! The keys of the format.

/// What a key names. Everything else is no key of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    Archive,
    /// `README.txt`, `duckdb.sql`, `duckdb-2.sql`: help for readers, no evidence.
    Help,
    Segment {
        tenant: &'a str,
        month: &'a str,
        user: &'a str,
        number: u64,
    },
    Run {
        run: &'a str,
        file: RunFile,
    },
    Receipt {
        run: &'a str,
        attempt: &'a str,
    },
    Ledger {
        tenant: &'a str,
        number: u64,
    },
    Quarantine {
        tenant: &'a str,
        user: &'a str,
        sha256: &'a str,
    },
    /// A tombstone: nobody asks for this user again.
    Erased {
        tenant: &'a str,
        user: &'a str,
    },
    /// An entry of a user's holds.
    Hold {
        tenant: &'a str,
        user: &'a str,
        number: u64,
    },
    /// A checkpoint or the state of an open run: caches, never evidence, so only their place is of the format.
    State {
        tenant: &'a str,
    },
}

/// The files that a closed run has once each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum RunFile {
    Roster,
    Run,
    Users,
    Report,
}

impl RunFile {
    pub(crate) const ALL: [Self; 4] = [Self::Roster, Self::Run, Self::Users, Self::Report];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Roster => "roster.jsonl.zst",
            Self::Run => "run.json",
            Self::Users => "users.jsonl.zst",
            Self::Report => "report.json",
        }
    }

    pub(crate) fn key(self, run: &str) -> String {
        format!("runs/{run}/{}", self.name())
    }
}

pub(crate) const ARCHIVE: &str = "archive.json";

#[cfg(test)]
pub(crate) fn ledger_key(tenant: &str, number: u64) -> String {
    format!("ledger/tenant_id={tenant}/entry-{number:06}.json")
}

pub(crate) fn parse(key: &str) -> Option<Key<'_>> {
    let parts: Vec<&str> = key.split('/').collect();
    match parts.as_slice() {
        ["archive.json"] => Some(Key::Archive),
        ["README.txt"] => Some(Key::Help),
        [name] => is_help(name).then_some(Key::Help),
        ["interactions", tenant, month, user, segment] => Some(Key::Segment {
            tenant: guid_of(tenant, "tenant_id=")?,
            month: month.strip_prefix("created_month=").filter(|month| is_month(month))?,
            user: guid_of(user, "user_id=")?,
            number: numbered(segment, "segment-", ".jsonl.zst")?,
        }),
        ["runs", run, "receipts", receipt] if is_run_id(run) => {
            let (attempt, number) = receipt.strip_suffix(".jsonl.zst")?.split_once('-')?;
            let number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            (number && is_hex(attempt, 32)).then_some(Key::Receipt { run, attempt })
        }
        ["runs", run, name] if is_run_id(run) => {
            RunFile::ALL.into_iter().find(|file| file.name() == *name).map(|file| Key::Run { run, file })
        }
        ["ledger", tenant, entry] => {
            Some(Key::Ledger { tenant: guid_of(tenant, "tenant_id=")?, number: numbered(entry, "entry-", ".json")? })
        }
        ["quarantine", tenant, user, page] => Some(Key::Quarantine {
            tenant: guid_of(tenant, "tenant_id=")?,
            user: guid_of(user, "user_id=")?,
            sha256: page.strip_prefix("page-")?.strip_suffix(".zst").filter(|hash| is_hex(hash, 64))?,
        }),
        ["erased", tenant, name] => Some(Key::Erased {
            tenant: guid_of(tenant, "tenant_id=")?,
            user: guid_of(name.strip_suffix(".json")?, "user_id=")?,
        }),
        ["holds", tenant, user, entry] => Some(Key::Hold {
            tenant: guid_of(tenant, "tenant_id=")?,
            user: guid_of(user, "user_id=")?,
            number: numbered(entry, "entry-", ".json")?,
        }),
        ["state", tenant, name] if name.ends_with(".json") => {
            Some(Key::State { tenant: guid_of(tenant, "tenant_id=")? })
        }
        _ => None,
    }
}

fn is_help(name: &str) -> bool {
    let version = name.strip_prefix("duckdb").and_then(|rest| rest.strip_suffix(".sql"));
    version.is_some_and(|version| {
        version.is_empty()
            || version.strip_prefix('-').is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

fn guid_of<'a>(part: &'a str, prefix: &str) -> Option<&'a str> {
    part.strip_prefix(prefix).filter(|guid| is_guid(guid))
}

/// A number of six digits, or of more if it needs them; numbers begin at 1.
fn numbered(part: &str, prefix: &str, suffix: &str) -> Option<u64> {
    let digits = part.strip_prefix(prefix)?.strip_suffix(suffix)?;
    let plain = digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let shortest = digits.len() == 6 || !digits.starts_with('0');
    if plain && shortest { digits.parse().ok().filter(|number| *number > 0) } else { None }
}

/// A GUID in lower case.
pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

pub(crate) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

pub(crate) fn is_run_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn is_month(text: &str) -> bool {
    let bytes = text.as_bytes();
    text == "unknown"
        || (bytes.len() == 7
            && bytes[4] == b'-'
            && bytes[..4].iter().chain(&bytes[5..]).all(u8::is_ascii_digit)
            && ("01"..="12").contains(&&text[5..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "5ac181d0-c896-435a-a745-ac948db1d59a";

    #[test]
    fn keys_of_the_layout_are_known() {
        let segment =
            format!("interactions/tenant_id={GUID}/created_month=2026-11/user_id={GUID}/segment-000012.jsonl.zst");
        assert_eq!(parse(&segment), Some(Key::Segment { tenant: GUID, month: "2026-11", user: GUID, number: 12 }));
        let attempt = "0".repeat(32);
        let receipt = format!("runs/20261124T030000Z-history/receipts/{attempt}-2.jsonl.zst");
        assert_eq!(parse(&receipt), Some(Key::Receipt { run: "20261124T030000Z-history", attempt: &attempt }));
        let page = format!("quarantine/tenant_id={GUID}/user_id={GUID}/page-{}.zst", "a".repeat(64));
        assert!(matches!(parse(&page), Some(Key::Quarantine { .. })));
        for key in [
            "archive.json",
            "README.txt",
            "duckdb.sql",
            "duckdb-2.sql",
            "runs/case-1/report.json",
            &ledger_key(GUID, 1),
            &ledger_key(GUID, 1_234_567),
            &format!("state/tenant_id={GUID}/user_id={GUID}.json"),
            &format!("erased/tenant_id={GUID}/user_id={GUID}.json"),
            &format!("holds/tenant_id={GUID}/user_id={GUID}/entry-000002.json"),
        ] {
            assert!(parse(key).is_some(), "{key}");
        }
    }

    #[test]
    fn other_keys_are_not() {
        let upper = GUID.to_uppercase();
        for key in [
            "",
            "archive.json.bak",
            "duckdb-.sql",
            "runs/a.b/run.json",
            "runs/a/other.json",
            "runs/a/receipts/xyz-1.jsonl.zst",
            &format!("ledger/tenant_id={GUID}/entry-1.json"),
            &format!("erased/tenant_id={GUID}/user_id=somebody.json"),
            &format!("holds/tenant_id={GUID}/user_id={GUID}/entry-2.json"),
            &format!("holds/tenant_id={GUID}/entry-000002.json"),
            &format!("ledger/tenant_id={GUID}/entry-000000.json"),
            &format!("ledger/tenant_id={GUID}/entry-0000001.json"),
            &format!("ledger/tenant_id={upper}/entry-000001.json"),
            &format!("interactions/tenant_id={GUID}/created_month=2026-13/user_id={GUID}/segment-000001.jsonl.zst"),
            &format!("interactions/tenant_id={GUID}/created_month=2026-1é/user_id={GUID}/segment-000001.jsonl.zst"),
        ] {
            assert_eq!(parse(key), None, "{key}");
        }
    }
}
