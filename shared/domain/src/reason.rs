//! A reason that a later version gave.

use std::fmt;
use std::str::FromStr;

/// How long a reason may be: the format's own bound, which keeps content out of a reason.
const MAX_BYTES: usize = 40;

/// A reason that this version does not know, kept as it is written: whoever unites what several versions wrote must not
/// lose it, and nobody has to understand it. Lower-case letters and hyphens, at most 40.
// Padded with zeros, which sort before every letter, so that the order of the arrays is the order of the texts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OtherReason([u8; MAX_BYTES]);

/// A text that is no reason of this format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no reason: give 1 to 40 lower-case letters and hyphens")]
pub struct ParseReasonError;

impl OtherReason {
    /// The text.
    pub fn as_str(&self) -> &str {
        let bytes = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        // Letters and hyphens only, so it is always text.
        str::from_utf8(bytes).unwrap_or_default()
    }
}

impl FromStr for OtherReason {
    type Err = ParseReasonError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut padded = [0; MAX_BYTES];
        match padded.get_mut(..text.len()) {
            Some(bytes) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') => {
                bytes.copy_from_slice(text.as_bytes());
                Ok(Self(padded))
            }
            _ => Err(ParseReasonError),
        }
    }
}

impl fmt::Debug for OtherReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_kept_and_ordered_as_it_is_written() {
        let longest = "x".repeat(MAX_BYTES);
        let mut texts = ["tape-full", "tape", "a", "-", &longest, "tape-"];
        let mut reasons = texts.map(|text| text.parse::<OtherReason>().unwrap());
        assert_eq!(reasons.each_ref().map(OtherReason::as_str), texts);
        texts.sort_unstable();
        reasons.sort_unstable();
        assert_eq!(reasons.each_ref().map(OtherReason::as_str), texts);
    }

    #[test]
    fn what_could_be_content_is_no_reason() {
        for text in ["", "Tape", "tape full", "tape_full", "tape2", "t\0", "tüte", &"x".repeat(MAX_BYTES + 1)] {
            assert_eq!(text.parse::<OtherReason>(), Err(ParseReasonError), "{text}");
        }
    }
}
