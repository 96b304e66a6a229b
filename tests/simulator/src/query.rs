//! Query strings, as the service reads them: options, the filter on interactions, skip tokens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::switches::Switches;
use crate::tenant::Folder;

/// Why a query is refused: the message of the 400.
pub(crate) type Refusal = String;

/// The options of a query string, decoded, in the order received.
pub(crate) fn options(query: &str) -> Vec<(String, String)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// Undoes percent escapes, and `+` for a space.
pub(crate) fn decode(text: &str) -> String {
    let pair = format!("x={}", text.replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes()).next().map_or_else(String::new, |(_, value)| value.into_owned())
}

/// Encodes the way the service writes next links: `+` for a space, escapes in lower case.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + text.len() / 4);
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'(' | b')' | b'*' | b'!' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02x}")),
        }
    }
    encoded
}

/// What is asked of a user's interactions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) top: Option<usize>,
    pub(crate) filter: Option<String>,
    pub(crate) range: Option<Range>,
    pub(crate) classes: Vec<String>,
    pub(crate) token: Option<SkipToken>,
}

/// A date range. A bound may only be missing if the switches allow an open range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) after: Option<(Timestamp, bool)>,
    pub(crate) before: Option<(Timestamp, bool)>,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SkipToken {
    pub(crate) skip: usize,
    pub(crate) folder: Folder,
    /// Seconds since 1970, written only if tokens expire.
    pub(crate) issued: Option<i64>,
    /// Counts pages that a fault put in.
    pub(crate) pass: u32,
}

impl SkipToken {
    pub(crate) fn start(folder: Folder) -> Self {
        Self { skip: 0, folder, issued: None, pass: 0 }
    }

    pub(crate) fn to_wire(self) -> String {
        let mut text = format!("SkipValue={}#MailboxFolder=MailFolders/{}", self.skip, self.folder.name());
        if let Some(issued) = self.issued {
            text.push_str(&format!("#Issued={issued}"));
        }
        if self.pass > 0 {
            text.push_str(&format!("#Pass={}", self.pass));
        }
        encode(&STANDARD.encode(text))
    }

    fn parse(wire: &str) -> Option<Self> {
        let text = String::from_utf8(STANDARD.decode(wire).ok()?).ok()?;
        let mut parts = text.split('#');
        let skip = parts.next()?.strip_prefix("SkipValue=")?.parse().ok()?;
        let folder = match parts.next()?.strip_prefix("MailboxFolder=MailFolders/")? {
            "TeamsMessagesData" => Folder::TeamsMessagesData,
            "TeamChat" => Folder::TeamChat,
            _ => return None,
        };
        let mut token = Self { skip, folder, issued: None, pass: 0 };
        for part in parts {
            match part.split_once('=')? {
                ("Issued", at) => token.issued = Some(at.parse().ok()?),
                ("Pass", pass) => token.pass = pass.parse().ok()?,
                _ => return None,
            }
        }
        Some(token)
    }
}

/// Reads the query of a request for interactions.
pub(crate) fn asked(query: &str, switches: &Switches, now: Timestamp) -> Result<Asked, Refusal> {
    let mut asked = Asked::default();
    for (name, value) in options(query) {
        match name.as_str() {
            "$top" if asked.top.is_none() => asked.top = Some(top(&value, switches)?),
            "$filter" if asked.filter.is_none() => {
                (asked.range, asked.classes) = filter(&value, switches)?;
                asked.filter = Some(value);
            }
            "$skiptoken" if asked.token.is_none() => {
                let token = SkipToken::parse(&value).ok_or_else(|| "Invalid skip token.".to_owned())?;
                let age = token.issued.map_or(0, |issued| now.as_second() - issued);
                if switches.skip_token_seconds.is_some_and(|limit| age > i64::from(limit)) {
                    return Err("The skip token has expired.".to_owned());
                }
                asked.token = Some(token);
            }
            _ if switches.unknown_options_ignored => {}
            _ => return Err(format!("The query option '{name}' is not supported or given twice.")),
        }
    }
    Ok(asked)
}

fn top(value: &str, switches: &Switches) -> Result<usize, Refusal> {
    use crate::switches::TopAbove;
    let asked = value.parse::<usize>().ok().filter(|top| *top > 0);
    let asked = asked.ok_or_else(|| "Invalid value for $top.".to_owned())?;
    match switches.top_above {
        TopAbove::Refused if asked > 100 => Err("The limit of 100 for $top is exceeded.".to_owned()),
        TopAbove::Clamped => Ok(asked.min(100)),
        TopAbove::Honoured | TopAbove::Refused => Ok(asked),
    }
}

#[derive(Debug, PartialEq)]
enum Expression {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Compare { field: String, operator: String, value: String },
}

/// A filter's parts joined by `and`: classes joined by `or`, and bounds on the creation.
fn filter(text: &str, switches: &Switches) -> Result<(Option<Range>, Vec<String>), Refusal> {
    let tokens = tokens(text).ok_or_else(|| "Syntax error in $filter.".to_owned())?;
    let mut rest = tokens.as_slice();
    let expression = alternatives(&mut rest).filter(|_| rest.is_empty());
    let expression = expression.ok_or_else(|| "Syntax error in $filter.".to_owned())?;
    let mut range = Range { after: None, before: None };
    let mut classes = None;
    conjuncts(&expression, &mut |part| match part {
        Expression::Compare { field, operator, value } if field == "createdDateTime" => {
            bound(&mut range, operator, value, switches)
        }
        part => {
            let mut found = Vec::new();
            alternatives_of_class(part, &mut found)?;
            if classes.replace(found).is_some() {
                return Err("Filter on appClass is given twice.".to_owned());
            }
            Ok(())
        }
    })?;
    let bounds = usize::from(range.after.is_some()) + usize::from(range.before.is_some());
    if bounds > 0 && !switches.date_filter {
        return Err("Filter on 'createdDateTime' is not supported.".to_owned());
    }
    if bounds == 1 && !switches.open_range {
        return Err("filterTransformer: Missing 'createdDateTime' value. Both bounds are required.".to_owned());
    }
    if bounds > 0 && classes.is_some() && !switches.combined_filter {
        return Err("Filters on 'appClass' and 'createdDateTime' cannot be combined.".to_owned());
    }
    Ok(((bounds > 0).then_some(range), classes.unwrap_or_default()))
}

fn bound(range: &mut Range, operator: &str, value: &str, switches: &Switches) -> Result<(), Refusal> {
    let refused =
        || format!("filterTransformer: Missing 'createdDateTime' value. Operator '{operator}' is not supported.");
    if value.contains('.') && !switches.fractions {
        return Err("Invalid literal in filter on 'createdDateTime'.".to_owned());
    }
    let time: Timestamp = value.parse().map_err(|_| "Invalid literal in filter on 'createdDateTime'.".to_owned())?;
    let (side, inclusive) = match operator {
        "gt" => (&mut range.after, false),
        "lt" => (&mut range.before, false),
        "ge" if switches.ge_le => (&mut range.after, true),
        "le" if switches.ge_le => (&mut range.before, true),
        _ => return Err(refused()),
    };
    if side.replace((time, inclusive)).is_some() { Err(refused()) } else { Ok(()) }
}

fn conjuncts(
    expression: &Expression,
    each: &mut impl FnMut(&Expression) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    match expression {
        Expression::And(left, right) => {
            conjuncts(left, each)?;
            conjuncts(right, each)
        }
        part => each(part),
    }
}

fn alternatives_of_class(expression: &Expression, found: &mut Vec<String>) -> Result<(), Refusal> {
    match expression {
        Expression::Or(left, right) => {
            alternatives_of_class(left, found)?;
            alternatives_of_class(right, found)
        }
        Expression::Compare { field, operator, value } if field == "appClass" && operator == "eq" => {
            let value = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
            found.push(value.ok_or_else(|| "Syntax error in $filter.".to_owned())?.replace("''", "'"));
            Ok(())
        }
        Expression::Compare { field, operator, .. } => {
            Err(format!("Filter on '{field}' with operator '{operator}' is not supported."))
        }
        Expression::And(..) => Err("This combination of filters is not supported.".to_owned()),
    }
}

fn tokens(text: &str) -> Option<Vec<String>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' => 1,
            '\'' => {
                let mut end = 1;
                loop {
                    end += rest[end..].find('\'')? + 1;
                    if !rest[end..].starts_with('\'') {
                        break end;
                    }
                    end += 1; // a doubled quote is a quote
                }
            }
            _ => rest.find(|c: char| c.is_whitespace() || "()'".contains(c)).unwrap_or(rest.len()),
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}

fn alternatives(rest: &mut &[String]) -> Option<Expression> {
    let mut left = sequence(rest)?;
    while rest.first().is_some_and(|token| token == "or") {
        *rest = &rest[1..];
        left = Expression::Or(Box::new(left), Box::new(sequence(rest)?));
    }
    Some(left)
}

fn sequence(rest: &mut &[String]) -> Option<Expression> {
    let mut left = comparison(rest)?;
    while rest.first().is_some_and(|token| token == "and") {
        *rest = &rest[1..];
        left = Expression::And(Box::new(left), Box::new(comparison(rest)?));
    }
    Some(left)
}

fn comparison(rest: &mut &[String]) -> Option<Expression> {
    match *rest {
        [open, after @ ..] if open == "(" => {
            *rest = after;
            let inner = alternatives(rest)?;
            let (close, after) = rest.split_first()?;
            *rest = after;
            (close == ")").then_some(inner)
        }
        [field, operator, value, after @ ..] => {
            *rest = after;
            Some(Expression::Compare { field: field.clone(), operator: operator.clone(), value: value.clone() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn ask(query: &str) -> Result<Asked, Refusal> {
        asked(query, &Switches::default(), Timestamp::UNIX_EPOCH)
    }

    const RANGE: &str = "createdDateTime+gt+2026-03-01T00:00:00Z+and+createdDateTime+lt+2026-03-02T00%3a00%3a00Z";

    #[test]
    fn the_documented_forms_are_read() {
        let range = Range {
            after: Some((at("2026-03-01T00:00:00Z"), false)),
            before: Some((at("2026-03-02T00:00:00Z"), false)),
        };
        assert_eq!(ask(&format!("$top=100&$filter={RANGE}")).unwrap().range, Some(range));
        assert_eq!(ask(&format!("%24filter=({})", RANGE.replace('+', "%20"))).unwrap().range, Some(range));
        assert_eq!(ask("$filter=appClass eq 'a''b' or appClass eq 'c'").unwrap().classes, ["a'b", "c"]);
        let both = ask(&format!("$filter=(appClass eq 'a' or appClass eq 'b') and {RANGE}")).unwrap();
        assert_eq!((both.range, both.classes.len()), (Some(range), 2));
        assert_eq!(ask("").unwrap(), Asked::default());
    }

    #[test]
    fn everything_else_is_refused() {
        for filter in [
            "createdDateTime gt 2026-03-01T00:00:00Z",
            "createdDateTime ge 2026-03-01T00:00:00Z and createdDateTime le 2026-03-02T00:00:00Z",
            "createdDateTime gt 2026-03-01T00:00:00Z and createdDateTime gt 2026-03-02T00:00:00Z",
            "createdDateTime gt 2026-03-01T00:00:00Z or createdDateTime lt 2026-03-02T00:00:00Z",
            "createdDateTime gt '2026-03-01' and createdDateTime lt '2026-03-02'",
            "startswith(appClass,'x')",
            "appClass ne 'x'",
            "sessionId eq 'x'",
            "appClass eq 'a' or appClass eq 'b' and createdDateTime gt 2026-03-01T00:00:00Z",
            "appClass eq 'a' and appClass eq 'b'",
            "appClass eq 'a",
            "(appClass eq 'a'",
            "appClass eq 'a' appClass",
            "",
        ] {
            assert!(ask(&format!("$filter={filter}")).is_err(), "{filter}");
        }
        for query in
            ["$top=0", "$top=-1", "$top=x", "$orderby=id", "$select=id", "model=A", "$count=true", "$top=1&$top=2"]
        {
            assert!(ask(query).is_err(), "{query}");
        }
        assert!(
            ask("$filter=createdDateTime gt 2026-03-01T00:00:00Z")
                .unwrap_err()
                .contains("Missing 'createdDateTime' value")
        );
    }

    #[test]
    fn top_is_clamped_unless_switched() {
        use crate::switches::TopAbove;
        let top = |top_above| asked("$top=200", &Switches { top_above, ..Switches::default() }, Timestamp::UNIX_EPOCH);
        assert_eq!(top(TopAbove::Clamped).unwrap().top, Some(100));
        assert_eq!(top(TopAbove::Honoured).unwrap().top, Some(200));
        assert!(top(TopAbove::Refused).is_err());
    }

    #[test]
    fn switches_widen_and_narrow_the_filter() {
        let with = |change: fn(&mut Switches), filter: &str| {
            let mut switches = Switches::default();
            change(&mut switches);
            asked(&format!("$filter={filter}"), &switches, Timestamp::UNIX_EPOCH)
        };
        let closed = "createdDateTime ge 2026-03-01T00:00:00Z and createdDateTime le 2026-03-02T00:00:00Z";
        assert!(with(|s| s.ge_le = true, closed).unwrap().range.unwrap().after.unwrap().1);
        assert!(with(|s| s.open_range = true, "createdDateTime gt 2026-03-01T00:00:00Z").is_ok());
        assert!(with(|s| s.date_filter = false, RANGE).is_err());
        assert!(with(|s| s.combined_filter = false, &format!("appClass eq 'a' and {RANGE}")).is_err());
        let micro = RANGE.replace("00:00:00Z", "00:00:00.000001Z");
        assert!(with(|s| s.fractions = true, &micro).is_ok());
        assert!(with(|s| s.fractions = false, &micro).is_err());
        assert!(
            asked(
                "$x=1",
                &Switches { unknown_options_ignored: true, ..Switches::default() },
                at("2026-01-01T00:00:00Z")
            )
            .is_ok()
        );
    }

    #[test]
    fn skip_tokens_are_those_that_were_captured_and_expire_if_switched() {
        let token = SkipToken { skip: 10, folder: Folder::TeamsMessagesData, issued: None, pass: 0 };
        let wire = "U2tpcFZhbHVlPTEwI01haWxib3hGb2xkZXI9TWFpbEZvbGRlcnMvVGVhbXNNZXNzYWdlc0RhdGE%3d";
        assert_eq!(token.to_wire(), wire);
        assert_eq!(ask(&format!("$skiptoken={wire}")).unwrap().token, Some(token));
        assert_eq!(
            SkipToken::start(Folder::TeamChat).to_wire(),
            "U2tpcFZhbHVlPTAjTWFpbGJveEZvbGRlcj1NYWlsRm9sZGVycy9UZWFtQ2hhdA%3d%3d"
        );
        assert!(ask("$skiptoken=xyz").is_err());
        let old = SkipToken { issued: Some(-100), ..token };
        let switches = Switches { skip_token_seconds: Some(60), ..Switches::default() };
        assert!(asked(&format!("$skiptoken={}", old.to_wire()), &switches, Timestamp::UNIX_EPOCH).is_err());
    }
}
