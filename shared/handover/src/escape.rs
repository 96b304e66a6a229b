//! Content made harmless: for a page, for a line of text, for a cell.

use std::fmt::Write;

/// Characters that change how those around them are shown, or that nobody sees: overrides and isolates of direction, and
/// tags. They are named instead, so that no text can look like another.
fn is_deceptive(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
}

/// Text as a person may safely see it: newlines and tabs stay, other controls become replacement characters.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => out.push(character),
            '\r' => {}
            _ if character.is_control() => out.push('\u{fffd}'),
            _ if is_deceptive(character) => {
                // Writing to a string does not fail.
                let _ = write!(out, "[U+{:04X}]", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out
}

/// The same on one line.
pub(crate) fn line(text: &str) -> String {
    visible(text).replace(['\n', '\t', '\u{2028}', '\u{2029}'], " ")
}

/// The same for the content of an element or the value of a quoted attribute of a page.
pub(crate) fn html(text: &str) -> String {
    let text = visible(text);
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}

/// Every line behind a bar, so that no text can look like what the transcript itself says.
pub(crate) fn barred(text: &str) -> String {
    let text = visible(text).replace(['\u{2028}', '\u{2029}', '\u{b}', '\u{c}'], "\n");
    text.split('\n').map(|line| format!("  | {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use html5gum::{Token, Tokenizer};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// To a browser, whatever is escaped is text and nothing else, and it is the text that a person may see.
        #[test]
        fn escaped_content_is_text(content in any::<String>(), more in "[<>&\"'a-z!/=;#-]{0,40}") {
            let content = content + &more;
            let mut shown = String::new();
            for Ok(token) in Tokenizer::new(&html(&content)) {
                match token {
                    Token::String(text) => shown.push_str(std::str::from_utf8(&text.value).unwrap()),
                    // Characters that the standard frowns upon are still shown.
                    Token::Error(_) => {}
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            prop_assert_eq!(shown, visible(&content));
        }
    }

    #[test]
    fn what_deceives_is_named() {
        assert_eq!(visible("a\u{202e}b\u{2066}c\u{e0041}d"), "a[U+202E]b[U+2066]c[U+E0041]d");
        assert_eq!(visible("a\0b\u{1b}[31mc\u{9b}d\r\ne\tf"), "a\u{fffd}b\u{fffd}[31mc\u{fffd}d\ne\tf");
        // Right-to-left marks and joiners belong to languages and to emoji.
        assert_eq!(visible("שלום\u{200f} 👩\u{200d}💻"), "שלום\u{200f} 👩\u{200d}💻");
    }

    #[test]
    fn lines_and_markup_cannot_be_made() {
        assert_eq!(line("a\nb\u{2028}c"), "a b c");
        assert_eq!(html("<a href=\"x\" b='y'>&"), "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;");
        assert_eq!(barred("a\nrecord: x\u{2028}y"), "  | a\n  | record: x\n  | y\n");
    }
}
