//! From a body to what a person read of it: placeholders out, tags out, escapes decoded.

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{HtmlString, Token, Tokenizer};

/// The longest id of an attachment in a placeholder. The ids seen are 32 digits or a thread's name of some 80 characters; what
/// is longer is text that somebody wrote, and stays.
const MAX_PLACEHOLDER_ID: usize = 256;

/// Elements that a browser sets on lines of their own.
const BLOCKS: [&[u8]; 25] = [
    b"address",
    b"article",
    b"blockquote",
    b"br",
    b"dd",
    b"div",
    b"dl",
    b"dt",
    b"figure",
    b"footer",
    b"h1",
    b"h2",
    b"h3",
    b"h4",
    b"h5",
    b"h6",
    b"header",
    b"hr",
    b"li",
    b"ol",
    b"p",
    b"pre",
    b"section",
    b"tr",
    b"ul",
];

/// The text without `<attachment id="…">` and `</attachment>`, also where they are escaped. Only the tags go: what stands
/// between them stays.
pub(crate) fn without_placeholders(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, candidate) = rest.split_at(at);
        out.push_str(before);
        match after_placeholder(candidate) {
            Some(after) => rest = after,
            None => {
                // Both characters are one byte long.
                let (first, after) = candidate.split_at(1);
                out.push_str(first);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// What follows the placeholder's tag that the text begins with, if it begins with one.
fn after_placeholder(text: &str) -> Option<&str> {
    let (inside, close) = match text.strip_prefix('<') {
        Some(inside) => (inside, ">"),
        None => (text.strip_prefix("&lt;")?, "&gt;"),
    };
    if let Some(inside) = inside.strip_prefix("/attachment") {
        return inside.trim_start().strip_prefix(close);
    }
    let inside = inside.strip_prefix("attachment")?;
    let value = inside.trim_start().strip_prefix("id=").filter(|_| inside.starts_with(char::is_whitespace))?;
    let quote = ["\"", "&quot;", "'"].into_iter().find(|quote| value.starts_with(quote))?;
    // The end is looked for no further than an id is long, so that a text full of beginnings is read in one pass.
    let value = &value[quote.len()..];
    let length =
        value.as_bytes().windows(quote.len()).take(MAX_PLACEHOLDER_ID + 1).position(|at| at == quote.as_bytes())?;
    let after = value[length + quote.len()..].trim_start();
    after.strip_prefix('/').unwrap_or(after).strip_prefix(close)
}

/// A body of type `html` as text: blocks on lines of their own, pictures by their alternative text, comments left out.
pub(crate) fn html_text(html: &str) -> String {
    let mut emitter = DefaultEmitter::default();
    // Inside of `script`, `style` and the like a browser sees no tags, so there are none to remove.
    emitter.naively_switch_states(true);
    let mut out = String::with_capacity(html.len());
    for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
        match token {
            Token::String(text) => out.push_str(&text.value.lossy()),
            Token::StartTag(tag) => {
                line_break(&mut out, &tag.name);
                if let Some(alternative) = tag.attributes.get(b"alt".as_slice()) {
                    out.push_str(&alternative.value.lossy());
                }
                if [b"td".as_slice(), b"th"].contains(&tag.name.as_slice()) {
                    space(&mut out);
                }
            }
            Token::EndTag(tag) if tag.name.as_slice() != b"br" => line_break(&mut out, &tag.name),
            _ => {}
        }
    }
    tidy(&out)
}

/// A body of type `text`: only the escapes that a whole text is given, so that an address like `?a=1&param=2` stays.
pub(crate) fn plain_text(text: &str) -> String {
    const ESCAPES: [(&str, &str); 7] = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&nbsp;", " "),
    ];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, candidate) = rest.split_at(at);
        out.push_str(before);
        let (escape, character) =
            ESCAPES.into_iter().find(|(escape, _)| candidate.starts_with(escape)).unwrap_or(("&", "&"));
        out.push_str(character);
        rest = &candidate[escape.len()..];
    }
    out.push_str(rest);
    tidy(&out)
}

/// One kind of line end, ordinary spaces, and no blank at the ends.
pub(crate) fn tidy(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\u{a0}', " ").trim().to_owned()
}

fn line_break(out: &mut String, name: &[u8]) {
    if name == b"br" || (BLOCKS.contains(&name) && !out.is_empty() && !out.ends_with('\n')) {
        out.push('\n');
    }
}

fn space(out: &mut String) {
    if !out.is_empty() && !out.ends_with(char::is_whitespace) {
        out.push(' ');
    }
}

trait Lossy {
    fn lossy(&self) -> std::borrow::Cow<'_, str>;
}

impl Lossy for HtmlString {
    fn lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_go_and_what_looks_like_one_stays() {
        for (text, expected) in [
            (r#"Recap<attachment id="a1"></attachment>"#, "Recap"),
            (r#"Recap&lt;attachment id="19:m@thread.v2"&gt;&lt;/attachment&gt; so far"#, "Recap so far"),
            ("a&lt;attachment id=&quot;x&quot;&gt;&lt;/attachment&gt;", "a"),
            ("a<attachment id='x' />b", "ab"),
            (r#"<attachment id="x">kept</attachment>"#, "kept"),
            ("a <attachment> b", "a <attachment> b"),
            ("<attachments id=\"x\">", "<attachments id=\"x\">"),
            ("<attachment id=\"x\" note=\"y\">", "<attachment id=\"x\" note=\"y\">"),
            ("a < b && c &lt; d", "a < b && c &lt; d"),
            ("&lt;attachment id=\"x\">", "&lt;attachment id=\"x\">"),
            ("<attachment id=\"x", "<attachment id=\"x"),
        ] {
            assert_eq!(without_placeholders(text), expected, "{text}");
        }
        let long = format!("<attachment id=\"{}\">", "x".repeat(MAX_PLACEHOLDER_ID + 1));
        assert_eq!(without_placeholders(&long), long);
    }

    #[test]
    fn html_is_read_as_a_browser_shows_it() {
        for (html, expected) in [
            ("<p>I drafted it.</p>", "I drafted it."),
            ("<p>one</p><p>two<br>three</p>", "one\ntwo\nthree"),
            ("a &amp; b &lt;c&gt; &#x1f600; &eacute;&nbsp;&copy", "a & b <c> 😀 é ©"),
            ("<ul><li>x</li><li>y</li></ul>z", "x\ny\nz"),
            ("<table><tr><td>1</td><td>2</td></tr></table>", "1 2"),
            (r#"hi <img alt="🙂" src="x">"#, "hi 🙂"),
            ("<!-- hidden -->shown", "shown"),
            (r#"<img src="data:image/png;base64,AAAA">"#, ""),
            ("<script>if (a<b) c()</script>", "if (a<b) c()"),
            ("<b>un<i>closed", "unclosed"),
            ("a < b", "a < b"),
            ("&#0;&#xD800;<", "\u{fffd}\u{fffd}<"),
        ] {
            assert_eq!(html_text(html), expected, "{html}");
        }
    }

    #[test]
    fn plain_text_keeps_tags_and_addresses() {
        for (text, expected) in [
            ("a &lt;b&gt; &amp;amp; &quot;c&quot;", "a <b> &amp; \"c\""),
            ("https://x/?a=1&param=2&copy=3&section=4&", "https://x/?a=1&param=2&copy=3&section=4&"),
            ("<script>alert(1)</script>", "<script>alert(1)</script>"),
            ("\r\n a\r\nb\u{a0}c \n", "a\nb c"),
        ] {
            assert_eq!(plain_text(text), expected, "{text}");
        }
    }
}
