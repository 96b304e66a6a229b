//! From stored bytes to lines and values. The bytes are hostile until proven: everything here is bounded and nothing of
//! them enters an error.

use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The longest line that is read, its newline included: the largest item of the format, and a kilobyte for the members
/// around it.
pub(crate) const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024 + 1024 + 1;

/// The most that one object may decode to. A roster of a million users is half of it; what decodes to more is a bomb.
pub(crate) const MAX_DECODED_BYTES: u64 = 1024 * 1024 * 1024;

/// Why an object could not be read as what its key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("is not whole zstd frames")]
    Zstd,
    #[error("decodes to more than {MAX_DECODED_BYTES} bytes")]
    Bomb,
    #[error("has a line of more than {MAX_LINE_BYTES} bytes")]
    LongLine,
    #[error("line {0} is not of the format")]
    Line(u64),
    #[error("is not JSON of the format")]
    Json,
}

/// What is decoded at once: half of zstd's block, below the size from which the allocator asks the system for each.
const CHUNK_BYTES: usize = 64 * 1024;

/// Calls `each` with the number (from 1) and the bytes of every line, without its newline; returns how many there are.
pub(crate) fn for_each_line(
    compressed: &[u8],
    limit: u64,
    mut each: impl FnMut(u64, &[u8]),
) -> Result<u64, DecodeError> {
    let mut reader = decoder(compressed, limit)?;
    let (mut number, mut decoded) = (0, 0_u64);
    // The first `length` bytes belong to a line whose end was not met yet.
    let (mut held, mut length) = (vec![0; CHUNK_BYTES], 0);
    loop {
        if length == held.len() {
            held.resize(2 * length, 0);
        }
        let read = reader.read(&mut held[length..]).map_err(|_| DecodeError::Zstd)?;
        decoded = decoded.saturating_add(read as u64);
        if decoded > limit {
            return Err(DecodeError::Bomb);
        }
        let (mut start, end) = (0, length + read);
        for newline in memchr::memchr_iter(b'\n', &held[length..end]) {
            let stop = length + newline;
            within_line((stop + 1 - start) as u64)?;
            number += 1;
            each(number, &held[start..stop]);
            start = stop + 1;
        }
        held.copy_within(start..end, 0);
        length = end - start;
        within_line(length as u64)?;
        if read == 0 {
            break;
        }
    }
    if length > 0 {
        number += 1;
        each(number, &held[..length]);
    }
    Ok(number)
}

fn decoder(compressed: &[u8], limit: u64) -> Result<impl Read, DecodeError> {
    let decoder = zstd::stream::read::Decoder::with_buffer(compressed).map_err(|_| DecodeError::Zstd)?;
    Ok(decoder.take(limit.saturating_add(1)))
}

const fn within_line(bytes: u64) -> Result<(), DecodeError> {
    if bytes > MAX_LINE_BYTES { Err(DecodeError::LongLine) } else { Ok(()) }
}

/// A JSON Lines object decoded whole: for who keeps of its lines what refers to them.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    text: Vec<u8>,
    /// Where each line ends, before its newline if it has one.
    ends: Vec<usize>,
}

impl Lines {
    pub(crate) fn decode(compressed: &[u8]) -> Result<Self, DecodeError> {
        let mut lines = Self::default();
        decoder(compressed, MAX_DECODED_BYTES)?.read_to_end(&mut lines.text).map_err(|_| DecodeError::Zstd)?;
        if lines.text.len() as u64 > MAX_DECODED_BYTES {
            return Err(DecodeError::Bomb);
        }
        lines.ends.extend(memchr::memchr_iter(b'\n', &lines.text));
        if lines.text.last().is_some_and(|last| *last != b'\n') {
            lines.ends.push(lines.text.len());
        }
        lines.iter().try_for_each(|line| within_line(line.len() as u64 + 1))?;
        Ok(lines)
    }

    /// How many they are.
    pub(crate) fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Their bytes without the newlines, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().map(|end| end + 1));
        starts.zip(&self.ends).filter_map(|(start, end)| self.text.get(start..*end))
    }

    /// Each line's value in turn; the first that is none of the format is an error, after which nothing is to be read.
    pub(crate) fn values<'l, T: Deserialize<'l>>(&'l self) -> impl Iterator<Item = Result<(&'l [u8], T), DecodeError>> {
        let parse = |(line, number)| match serde_json::from_slice(line) {
            Ok(value) => Ok((line, value)),
            Err(_) => Err(DecodeError::Line(number)),
        };
        self.iter().zip(1_u64..).map(parse)
    }
}

/// The one value of a JSON object or of a line.
pub(crate) fn value<'l, T: Deserialize<'l>>(bytes: &'l [u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(bytes).map_err(|_| DecodeError::Json)
}

/// The SHA-256 of what a compressed object decodes to.
pub(crate) fn decoded_sha256(compressed: &[u8]) -> Result<String, DecodeError> {
    let decoder = zstd::stream::read::Decoder::with_buffer(compressed).map_err(|_| DecodeError::Zstd)?;
    let mut reader = BufReader::new(decoder.take(MAX_DECODED_BYTES + 1));
    let (mut hash, mut decoded) = (Sha256::new(), 0_u64);
    loop {
        let chunk = reader.fill_buf().map_err(|_| DecodeError::Zstd)?;
        let length = chunk.len();
        if length == 0 {
            return Ok(hex(&hash.finalize()));
        }
        decoded += length as u64;
        if decoded > MAX_DECODED_BYTES {
            return Err(DecodeError::Bomb);
        }
        hash.update(chunk);
        reader.consume(length);
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(compressed: &[u8], limit: u64) -> Result<Vec<String>, DecodeError> {
        let mut lines = Vec::new();
        for_each_line(compressed, limit, |_, line| lines.push(String::from_utf8(line.to_vec()).unwrap()))?;
        Ok(lines)
    }

    /// The same lines, decoded whole.
    fn whole_lines(compressed: &[u8]) -> Result<Vec<String>, DecodeError> {
        let lines = Lines::decode(compressed)?;
        assert_eq!(lines.len(), lines.iter().count() as u64);
        Ok(lines.iter().map(|line| String::from_utf8(line.to_vec()).unwrap()).collect())
    }

    #[test]
    fn lines_come_across_frames_and_without_a_last_newline() {
        let mut bytes = zstd::encode_all(&b"a\nb"[..], 1).unwrap();
        bytes.extend(zstd::encode_all(&b"c\n\nd"[..], 1).unwrap());
        assert_eq!(lines(&bytes, 100).unwrap(), ["a", "bc", "", "d"]);
        assert_eq!(whole_lines(&bytes).unwrap(), ["a", "bc", "", "d"]);
        assert_eq!(whole_lines(&zstd::encode_all(&b""[..], 1).unwrap()).unwrap(), [""; 0]);
    }

    /// Of every length around what is decoded at once, alone and after others.
    #[test]
    fn lines_of_any_length_come_whole() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 5] {
            let long = "x".repeat(length);
            for text in [format!("{long}\n"), format!("a\n{long}\nbc\n{long}\n{long}\nd\n")] {
                let bytes = zstd::encode_all(text.as_bytes(), 1).unwrap();
                let expected: Vec<&str> = text.lines().collect();
                assert!(lines(&bytes, text.len() as u64).unwrap() == expected, "{length}");
                assert!(whole_lines(&bytes).unwrap() == expected, "{length}");
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_an_error_wherever_it_ends() {
        let longest = usize::try_from(MAX_LINE_BYTES).unwrap();
        for (text, is_longer) in [("x".repeat(longest - 1) + "\n", false), ("x".repeat(longest) + "\n", true)] {
            let bytes = zstd::encode_all(text.as_bytes(), 1).unwrap();
            let expected = if is_longer { Err(DecodeError::LongLine) } else { Ok(1) };
            assert_eq!(for_each_line(&bytes, MAX_DECODED_BYTES, |_, _| {}), expected);
            assert_eq!(Lines::decode(&bytes).map(|lines| lines.len()), expected);
        }
    }

    #[test]
    fn damage_and_bombs_are_errors() {
        let whole = zstd::encode_all(&vec![b'x'; 100_000][..], 1).unwrap();
        assert_eq!(lines(&whole[..whole.len() - 3], 200_000), Err(DecodeError::Zstd));
        assert_eq!(lines(b"not zstd", 100), Err(DecodeError::Zstd));
        assert_eq!(lines(&whole, 99_999), Err(DecodeError::Bomb));
        assert_eq!(lines(&whole, 100_000).unwrap().len(), 1);
        assert_eq!(whole_lines(&whole[..whole.len() - 3]), Err(DecodeError::Zstd));
        assert_eq!(whole_lines(b"not zstd"), Err(DecodeError::Zstd));
    }

    #[test]
    fn a_line_that_does_not_parse_is_named_by_number() {
        let bytes = zstd::encode_all(&b"1\n2\n{\n4\n"[..], 1).unwrap();
        let lines = Lines::decode(&bytes).unwrap();
        let values: Vec<Result<u8, DecodeError>> = lines.values().map(|value| value.map(|(_, value)| value)).collect();
        assert_eq!(values, [Ok(1), Ok(2), Err(DecodeError::Line(3)), Ok(4)]);
    }

    #[test]
    fn the_hash_is_of_what_was_compressed() {
        let bytes = zstd::encode_all(&b"abc"[..], 1).unwrap();
        assert_eq!(decoded_sha256(&bytes).unwrap(), sha256(b"abc"));
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
