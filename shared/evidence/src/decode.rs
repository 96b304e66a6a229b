//! From stored bytes to lines and values. The bytes are hostile until proven: everything here is bounded and nothing of
//! them enters an error.

use std::io::{BufRead, BufReader, Read};

use serde::de::DeserializeOwned;
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

/// Calls `each` with the number (from 1) and the bytes of every line, without its newline; returns how many there are.
pub(crate) fn for_each_line(
    compressed: &[u8],
    limit: u64,
    mut each: impl FnMut(u64, &[u8]),
) -> Result<u64, DecodeError> {
    let decoder = zstd::stream::read::Decoder::with_buffer(compressed).map_err(|_| DecodeError::Zstd)?;
    let mut reader = BufReader::new(decoder.take(limit.saturating_add(1)));
    let (mut number, mut decoded, mut line) = (0, 0_u64, Vec::new());
    loop {
        line.clear();
        let read =
            (&mut reader).take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line).map_err(|_| DecodeError::Zstd)?;
        decoded = decoded.saturating_add(read as u64);
        if read == 0 {
            return Ok(number);
        } else if decoded > limit {
            return Err(DecodeError::Bomb);
        } else if read as u64 > MAX_LINE_BYTES {
            return Err(DecodeError::LongLine);
        }
        number += 1;
        each(number, line.strip_suffix(b"\n").unwrap_or(&line));
    }
}

/// The lines of a JSON Lines object, each as `T`; the first that is not stops it.
pub(crate) fn for_each_value<T: DeserializeOwned>(
    compressed: &[u8],
    mut each: impl FnMut(u64, T),
) -> Result<u64, DecodeError> {
    let mut fault = None;
    let count = for_each_line(compressed, MAX_DECODED_BYTES, |number, line| {
        if fault.is_none() {
            match serde_json::from_slice(line) {
                Ok(value) => each(number, value),
                Err(_) => fault = Some(DecodeError::Line(number)),
            }
        }
    })?;
    fault.map_or(Ok(count), Err)
}

/// The one value of a JSON object.
pub(crate) fn value<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
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

    #[test]
    fn lines_come_across_frames_and_without_a_last_newline() {
        let mut bytes = zstd::encode_all(&b"a\nb"[..], 1).unwrap();
        bytes.extend(zstd::encode_all(&b"c\n\nd"[..], 1).unwrap());
        assert_eq!(lines(&bytes, 100).unwrap(), ["a", "bc", "", "d"]);
    }

    #[test]
    fn damage_and_bombs_are_errors() {
        let whole = zstd::encode_all(&vec![b'x'; 100_000][..], 1).unwrap();
        assert_eq!(lines(&whole[..whole.len() - 3], 200_000), Err(DecodeError::Zstd));
        assert_eq!(lines(b"not zstd", 100), Err(DecodeError::Zstd));
        assert_eq!(lines(&whole, 99_999), Err(DecodeError::Bomb));
        assert_eq!(lines(&whole, 100_000).unwrap().len(), 1);
    }

    #[test]
    fn a_line_that_does_not_parse_is_named_by_number() {
        let bytes = zstd::encode_all(&b"1\n2\n{\n4\n"[..], 1).unwrap();
        let mut seen = Vec::new();
        assert_eq!(for_each_value::<u8>(&bytes, |_, value| seen.push(value)), Err(DecodeError::Line(3)));
        assert_eq!(seen, [1, 2]);
    }

    #[test]
    fn the_hash_is_of_what_was_compressed() {
        let bytes = zstd::encode_all(&b"abc"[..], 1).unwrap();
        assert_eq!(decoded_sha256(&bytes).unwrap(), sha256(b"abc"));
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
