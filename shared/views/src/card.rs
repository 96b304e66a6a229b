//! The text of an adaptive card, in the order of the document.

use crate::json::Json;
use crate::markup::tidy;

/// The attachment's content type.
pub(crate) const CONTENT_TYPE: &str = "application/vnd.microsoft.card.adaptive";

/// The element that repeats the answer with reference marks.
const REPEATED: &str = "MessageTextField";

/// How deep elements may be nested. Cards of the service nest a handful; every level is looked through once more than the one
/// around it, so this also bounds the time that a hostile card takes.
const MAX_DEPTH: usize = 48;

/// Where elements keep further ones, in the order they are shown.
const CHILDREN: [&str; 7] = ["body", "items", "columns", "rows", "cells", "pages", "inlines"];

/// Elements that show a person no words.
const WORDLESS: [&str; 8] =
    ["Image", "ImageSet", "Media", "ActionSet", "Icon", "ProgressBar", "ProgressRing", "Rating"];

/// What a card holds.
#[derive(Debug, Default)]
pub(crate) struct Card {
    lines: Vec<String>,
    repeated: Vec<String>,
    /// Elements that the rules do not know and that gave no text.
    pub(crate) skipped: u64,
}

impl Card {
    /// Reads a card into this one. `false` if it is no card.
    pub(crate) fn read(&mut self, card: Json<'_>) -> bool {
        if !card.is_object() {
            return false;
        }
        self.element(card, 0);
        true
    }

    /// The text; `None` if there is none. The repeated answer counts only where there is no other.
    pub(crate) fn text(&self) -> Option<String> {
        let lines = if self.lines.is_empty() { &self.repeated } else { &self.lines };
        Some(tidy(&lines.join("\n"))).filter(|text| !text.is_empty())
    }

    fn element(&mut self, element: Json<'_>, depth: usize) {
        if depth > MAX_DEPTH {
            self.skipped += 1;
            return;
        }
        let kind = element.text("type").unwrap_or_default();
        let before = self.lines.len() + self.repeated.len();
        match kind.as_str() {
            "RichTextBlock" => self.add(element, &runs(element)),
            "FactSet" => {
                for fact in element.list("facts") {
                    let parts = ["title", "value"].map(|name| fact.text(name).unwrap_or_default());
                    self.add(element, &parts.join(": "));
                }
            }
            _ => {
                if let Some(text) = element.text("text") {
                    self.add(element, &text);
                }
                let mut inside = 0;
                for child in CHILDREN.into_iter().flat_map(|name| element.list(name)) {
                    inside += 1;
                    self.element(child, depth + 1);
                }
                let known = inside > 0
                    || matches!(kind.as_str(), "AdaptiveCard" | "TextBlock" | "Container" | "ColumnSet" | "Column")
                    || WORDLESS.contains(&kind.as_str());
                if !known && before == self.lines.len() + self.repeated.len() {
                    self.skipped += 1;
                }
            }
        }
    }

    fn add(&mut self, element: Json<'_>, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        let repeated = element.text("id").is_some_and(|id| id == REPEATED);
        let lines = if repeated { &mut self.repeated } else { &mut self.lines };
        lines.push(text.to_owned());
    }
}

/// The inlines of a rich text, which are strings or runs with a text: one line without seams.
fn runs(element: Json<'_>) -> String {
    let inlines = element.list("inlines").into_iter();
    inlines.filter_map(|inline| inline.string().or_else(|| inline.text("text"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(card: &str) -> (Option<String>, u64) {
        let mut read = Card::default();
        assert!(read.read(Json::parse(card).unwrap()));
        (read.text(), read.skipped)
    }

    fn card(body: &str) -> String {
        format!(r#"{{"type":"AdaptiveCard","body":[{body}]}}"#)
    }

    #[test]
    fn every_form_of_element_gives_its_text_in_the_order_of_the_document() {
        let body = r#"
            {"type":"TextBlock","text":"one"},
            {"type":"RichTextBlock","inlines":["tw",{"type":"TextRun","text":"o"},{"type":"CitationRun","text":" [1]"},null,7]},
            {"type":"FactSet","facts":[{"title":"Owner","value":"Ann"},{"title":"Due","value":"May"}]},
            {"type":"Container","items":[{"type":"Container","items":[{"type":"TextBlock","text":"deep"}]}]},
            {"type":"ColumnSet","columns":[
                {"type":"Column","items":[{"type":"TextBlock","text":"left"}]},
                {"type":"Column","items":[{"type":"TextBlock","text":"right"},{"type":"Image","url":"https://x"}]}]},
            {"type":"Table","rows":[{"type":"TableRow","cells":[{"type":"TableCell","items":[{"type":"TextBlock","text":"cell"}]}]}]},
            {"type":"ActionSet","actions":[{"type":"Action.OpenUrl","title":"Open"}]},
            {"type":"TextBlock","id":"MessageTextField","text":"one[^1^]"}"#;
        let expected = "one\ntwo [1]\nOwner: Ann\nDue: May\ndeep\nleft\nright\ncell";
        assert_eq!(text(&card(body)), (Some(expected.to_owned()), 0));
    }

    #[test]
    fn the_repeated_answer_counts_where_there_is_no_other() {
        let only =
            r#"{"type":"Container","items":[{"type":"TextBlock","id":"MessageTextField","text":"answer[^1^]"}]}"#;
        assert_eq!(text(&card(only)).0.unwrap(), "answer[^1^]");
        let blank = format!(r#"{{"type":"TextBlock","text":" "}},{only}"#);
        assert_eq!(text(&card(&blank)).0.unwrap(), "answer[^1^]");
    }

    #[test]
    fn what_is_not_known_is_counted() {
        let novel = r#"{"type":"Novelty","content":"words"},{"type":"TextBlock","text":"known"},{"type":"Custom","text":"taken"}"#;
        assert_eq!(text(&card(novel)), (Some("known\ntaken".to_owned()), 1));
        assert_eq!(text(&card(r#"{"type":"Novelty","content":"words"}"#)), (None, 1));
        assert_eq!(text("{}"), (None, 1));
    }

    #[test]
    fn a_deep_card_ends_somewhere() {
        let mut deep = r#"{"type":"TextBlock","text":"bottom"}"#.to_owned();
        for _ in 0..5_000 {
            deep = format!(r#"{{"type":"Container","items":[{deep}]}}"#);
        }
        assert_eq!(text(&card(&deep)), (None, 1));
    }
}
