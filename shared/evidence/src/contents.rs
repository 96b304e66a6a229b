//! What the archive holds of each user, and how it differs from the truth.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::ReadError;
use crate::decode::{DecodeError, MAX_DECODED_BYTES, for_each_line};
use crate::layout::{self, Key};
use crate::record::Record;
use crate::source::{Source, SourceError};

/// Every item of every user of the tenant, in the order of the logs, duplicates included. All of it is in memory: for
/// tests and small archives.
pub fn contents(source: &dyn Source, tenant: &str) -> Result<BTreeMap<String, Vec<String>>, ReadError> {
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (user, logs) in logs(source, tenant)? {
        let texts = users.entry(user).or_default();
        for key in logs {
            for_each_item(source, &key, |_, _, record| texts.push(record.text().to_owned()))?;
        }
    }
    Ok(users)
}

/// The segments of each user, by month and number.
pub(crate) fn logs(source: &dyn Source, tenant: &str) -> Result<BTreeMap<String, Vec<String>>, SourceError> {
    let mut users: BTreeMap<String, Vec<(String, u64, String)>> = BTreeMap::new();
    for key in source.list(&format!("interactions/tenant_id={tenant}/"))? {
        if let Some(Key::Segment { month, user, number, .. }) = layout::parse(&key) {
            let place = (month.to_owned(), number, key.clone());
            users.entry(user.to_owned()).or_default().push(place);
        }
    }
    let sorted = users.into_iter().map(|(user, mut places)| {
        places.sort();
        (user, places.into_iter().map(|(_, _, key)| key).collect())
    });
    Ok(sorted.collect())
}

/// Calls `each` with the number, the bytes and the record of every line of a segment.
pub(crate) fn for_each_item(
    source: &dyn Source,
    key: &str,
    mut each: impl FnMut(u64, &[u8], &Record<'_>),
) -> Result<(), ReadError> {
    let damaged = |_| ReadError::Damaged { key: key.to_owned() };
    let bytes = source.read(key)?.ok_or(DecodeError::Zstd).map_err(damaged)?;
    let mut fault = None;
    for_each_line(&bytes, MAX_DECODED_BYTES, |number, line| match Record::parse(line) {
        Some(record) => each(number, line, &record),
        None => fault = Some(DecodeError::Line(number)),
    })
    .map_err(damaged)?;
    fault.map_or(Ok(()), |fault| Err(damaged(fault)))
}

/// How the archive of each user differs from the truth. Users that do not differ are not named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Items that the truth has and the archive has not.
    pub missing: BTreeMap<String, BTreeSet<String>>,
    /// Items that the archive has and the truth has not.
    pub extra: BTreeMap<String, BTreeSet<String>>,
    /// Items that the archive has more than once, with how often.
    pub duplicate: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Differences {
    /// Whether archive and truth are the same.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty() && self.duplicate.is_empty()
    }
}

/// Compares the archive of the tenant with what Graph is known to have shown of each user.
pub fn compare(
    source: &dyn Source,
    tenant: &str,
    truth: &BTreeMap<String, BTreeSet<String>>,
) -> Result<Differences, ReadError> {
    let held = contents(source, tenant)?;
    let mut differences = Differences::default();
    let nothing = (Vec::new(), BTreeSet::new());
    for user in held.keys().chain(truth.keys()).collect::<BTreeSet<_>>() {
        let held = held.get(user).unwrap_or(&nothing.0);
        let truth = truth.get(user).unwrap_or(&nothing.1);
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for text in held {
            *counts.entry(text.clone()).or_insert(0) += 1;
        }
        let missing: BTreeSet<_> = truth.iter().filter(|text| !counts.contains_key(*text)).cloned().collect();
        let extra: BTreeSet<_> = counts.keys().filter(|text| !truth.contains(*text)).cloned().collect();
        counts.retain(|_, count| *count > 1);
        if !missing.is_empty() {
            differences.missing.insert(user.clone(), missing);
        }
        if !extra.is_empty() {
            differences.extra.insert(user.clone(), extra);
        }
        if !counts.is_empty() {
            differences.duplicate.insert(user.clone(), counts);
        }
    }
    Ok(differences)
}
