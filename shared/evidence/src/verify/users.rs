//! The users file of a run against its roster and its receipts.

use std::borrow::Cow;
use std::collections::HashMap;

use super::run::RunView;
use super::{RunCheck, add_windows};
use crate::archive::user_of;
use crate::coverage::Window;
use crate::decode::{self, DecodeError, Lines};
use crate::finding::Code;
use crate::form::{Line, Text};
use crate::layout::{self, RunFile};
use crate::unite::United;

/// The length of an attempt's id.
const ATTEMPT_DIGITS: usize = 32;

/// A user's lines of the receipts that count: of a closed run those the ledger names, of an open one all.
#[derive(Debug)]
pub(super) struct Receipts<'t> {
    pub(super) lines: Vec<Line<'t>>,
    /// The first of them as it is written.
    pub(super) first: &'t [u8],
}

/// By user.
pub(super) type ReceiptsByUser<'t> = HashMap<Text<'t>, Receipts<'t>>;

impl RunCheck<'_, '_> {
    /// Compares the users file with the roster and the receipts; `None` if it is none that can be compared.
    pub(super) fn check_users<'r, 't>(
        &mut self,
        view: &mut RunView<'t>,
        receipts: &'r ReceiptsByUser<'t>,
        text: &'t Lines,
    ) -> Option<Vec<Cow<'r, Line<'t>>>> {
        let key = RunFile::Users.key(&view.id);
        let mut lines = Vec::with_capacity(usize::try_from(text.len()).unwrap_or_default());
        let read = text.iter().zip(1_u64..).try_for_each(|(line, number)| {
            lines.push(match copied(line, &view.id, receipts) {
                Some(receipt) => Cow::Borrowed(receipt),
                None => Cow::Owned(decode::value(line).map_err(|_| DecodeError::Line(number))?),
            });
            Ok(())
        });
        if !self.end_of_lines(view, &key, text, read) {
            return None;
        }
        let verdict = &mut self.found.verdict;
        let mut users: Vec<&str> = lines.iter().map(|line| &*line.user_id).collect();
        if !users.is_sorted_by(|a, b| a < b) {
            verdict.add(Code::UsersOrder, &key, "is not sorted by user, each once");
        }
        users.sort_unstable();
        users.dedup();
        let planned = users.iter().filter(|user| view.roster.get(**user) == Some(&true)).count();
        let (absent, extra) = (view.planned() - planned as u64, users.len() - planned);
        if view.has_roster && (absent > 0 || extra > 0) {
            let sentence = format!("{absent} planned users have no line, {extra} lines are of users not planned");
            verdict.add(Code::UsersPlanned, &key, sentence);
        }
        for (line, number) in lines.iter().zip(1_u64..) {
            let of_user = receipts.get(&line.user_id).map(|receipts| receipts.lines.as_slice()).unwrap_or_default();
            let mut members =
                if view.closed && view.receipts_whole { United::differences(of_user, line) } else { Vec::new() };
            if *line.run_id != view.id {
                members.push("run_id");
            }
            // Read to its end means that a window was, and empty that it showed nothing.
            let empty = line.class.as_deref() == Some("empty");
            if (line.is_read() && line.windows.is_empty()) || (empty && line.received > 0) {
                verdict.add(
                    Code::UsersClass,
                    &key,
                    format!("line {number} has a class that its own numbers contradict"),
                );
            }
            if !members.is_empty() {
                let sentence =
                    format!("line {number} differs from what its receipts unite to in {}", members.join(", "));
                verdict.add(Code::UsersDiffer, &key, sentence);
            }
            if let (Some(from), Some(to)) = (line.covered_from, line.covered_to)
                && self.check.expectation.wants(&line.user_id)
            {
                let (claimed, run) = self.found.claimed.entry(line.user_id.to_string()).or_default();
                add_windows(claimed, &[Window { from, to }]);
                run.clone_from(&view.id);
            }
        }
        Some(lines)
    }
}

/// The user's one receipt, if a line of the users file is written as it is but for the attempt: what holds of nearly all.
/// Then it says what the receipt says, and need not be parsed to be known.
fn copied<'r, 't>(line: &[u8], run: &str, receipts: &'r ReceiptsByUser<'t>) -> Option<&'r Line<'t>> {
    let user = user_of(line)?;
    let of_user = receipts.get(user)?;
    let [receipt] = of_user.lines.as_slice() else { return None };
    let rest = after_run(of_user.first, user, run)?.strip_prefix(br#""attempt_id":""#)?;
    let (attempt, rest) = rest.split_at_checked(ATTEMPT_DIGITS)?;
    let is_attempt = layout::is_hex(std::str::from_utf8(attempt).ok()?, ATTEMPT_DIGITS);
    (is_attempt && rest.strip_prefix(br#"","#)? == after_run(line, user, run)?).then_some(receipt)
}

/// What follows the user and the run that a line begins with: two members, and nothing of a third.
fn after_run<'l>(line: &'l [u8], user: &str, run: &str) -> Option<&'l [u8]> {
    let after_user = line.strip_prefix(br#"{"user_id":""#)?.strip_prefix(user.as_bytes())?;
    after_user.strip_prefix(br#"","run_id":""#)?.strip_prefix(run.as_bytes())?.strip_prefix(br#"","#)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "5ac181d0-0000-4000-8000-00000000000a";
    const RUN: &str = "20261124T030000Z";

    fn written(attempt: &str, rest: &str) -> String {
        format!(r#"{{"user_id":"{USER}","run_id":"{RUN}",{attempt}{rest}}}"#)
    }

    /// Receipts of one user: these lines.
    fn receipts(texts: &[String]) -> ReceiptsByUser<'_> {
        let lines: Vec<Line<'_>> = texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        let user = lines.first().unwrap().user_id.clone();
        HashMap::from([(user, Receipts { lines, first: texts.first().unwrap().as_bytes() })])
    }

    #[test]
    fn a_line_is_a_copy_if_only_the_attempt_is_left_out() {
        let attempt = format!(r#""attempt_id":"{}","#, "0a".repeat(16));
        let rest = r#""class":"empty","reason":null,"pages":1,"received":0,"new":0,"already_held":0"#;
        let one = [written(&attempt, rest)];
        let line = written("", rest);
        let by_user = receipts(&one);
        let copy = copied(line.as_bytes(), RUN, &by_user).unwrap();
        // What it stands for is what parsing would have given, but for the attempt.
        let parsed: Line<'_> = serde_json::from_str(&line).unwrap();
        assert_eq!(format!("{copy:?}").replace(&format!("{:?}", copy.attempt_id), "None"), format!("{parsed:?}"));

        for other in [
            written("", &rest.replace(r#""pages":1"#, r#""pages":2"#)),
            written("", &format!("{rest} ")),
            written("", rest).replace(RUN, "20261125T030000Z"),
            written("", rest).replace("00a\"", "00b\""),
            written(" ", rest),
            written(&attempt, rest),
            written(r#""reason":"x","#, rest),
            format!("[{line}]"),
            String::new(),
        ] {
            assert!(copied(other.as_bytes(), RUN, &by_user).is_none(), "{other}");
        }
        // An attempt that is none, one that stands elsewhere, and two receipts are for the long way.
        let odd = r#""attempt_id":"","x":"0123456789012345678901234","#;
        for receipts_of_user in [
            vec![written(odd, rest)],
            vec![written("", &format!("{rest},{}", attempt.trim_end_matches(',')))],
            vec![one[0].clone(), one[0].clone()],
        ] {
            assert!(copied(line.as_bytes(), RUN, &receipts(&receipts_of_user)).is_none(), "{receipts_of_user:?}");
        }
    }
}
