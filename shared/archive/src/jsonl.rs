//! JSON Lines in zstd, and hashes: how everything but the small JSON files is stored.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// Level 3 compresses an interaction page about six times at several hundred MB/s; higher levels gain a tenth for four
/// times the time.
const LEVEL: i32 = 3;

/// The largest window a reader allocates for, as a power of two: 8 MiB, four times what level 3 uses.
const WINDOW_LOG: u32 = 23;

/// The room for a frame that is kept: enough for the lines of a usual page.
const KEPT_ROOM: usize = 512 << 10;

/// The longest line of a run file. A line is a user; a hundred thousand segments fit.
pub(crate) const MAX_FILE_LINE: usize = 32 << 20;

/// The text is no JSON Lines in zstd.
#[derive(Debug)]
pub(crate) struct Undecodable;

/// The SHA-256 in lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = Sha256::digest(bytes).iter().flat_map(|byte| [byte >> 4, byte & 15]).collect::<Vec<u8>>();
    digits.into_iter().map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Appends one zstd frame of these bytes. The compression context and the room for a frame are one per thread: they are larger
/// than what they compress, and fresh memory costs more than it seems.
pub(crate) fn append_frame(bytes: &[u8], frames: &mut Vec<u8>) -> io::Result<()> {
    thread_local! {
        static CONTEXT: RefCell<Option<(zstd::bulk::Compressor<'static>, Vec<u8>)>> = const { RefCell::new(None) };
    }
    CONTEXT.with_borrow_mut(|context| {
        let (compressor, room) = match context {
            Some(context) => context,
            None => context.insert((zstd::bulk::Compressor::new(LEVEL)?, Vec::new())),
        };
        room.reserve(zstd::compress_bound(bytes.len()));
        compressor.compress_to_buffer(bytes, room)?;
        // Exactly: many users hold such frames at once.
        frames.reserve_exact(room.len());
        frames.extend_from_slice(room);
        // An item of many megabytes comes once in a while; its room is not kept for it.
        room.clear();
        room.shrink_to(KEPT_ROOM);
        Ok(())
    })
}

/// One zstd frame of these bytes.
pub(crate) fn frame(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut frame = Vec::new();
    append_frame(bytes, &mut frame)?;
    Ok(frame)
}

/// A file of these lines.
pub(crate) fn encode<T: Serialize>(lines: &[T]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    let mut line = Vec::new();
    for value in lines {
        line.clear();
        serde_json::to_writer(&mut line, value)?;
        line.push(b'\n');
        encoder.write_all(&line)?;
    }
    encoder.finish()
}

/// The lines of a file.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<T>, Undecodable> {
    let mut lines = Vec::new();
    each_line(bytes, MAX_FILE_LINE, |line| {
        lines.push(serde_json::from_str(line).map_err(|_| Undecodable)?);
        Ok(())
    })?;
    Ok(lines)
}

/// Calls `f` with each line, without its end, and counts them. Only one line is in memory at a time, whatever the file
/// decodes to.
pub(crate) fn each_line(
    bytes: &[u8],
    longest: usize,
    mut f: impl FnMut(&str) -> Result<(), Undecodable>,
) -> Result<u64, Undecodable> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(|_| Undecodable)?;
    decoder.window_log_max(WINDOW_LOG).map_err(|_| Undecodable)?;
    let mut reader = BufReader::new(decoder);
    let mut line = Vec::new();
    let mut count = 0;
    loop {
        line.clear();
        let limit = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
        let read = reader.by_ref().take(limit).read_until(b'\n', &mut line).map_err(|_| Undecodable)?;
        if read == 0 {
            return Ok(count);
        }
        let text = line.strip_suffix(b"\n").ok_or(Undecodable)?;
        f(std::str::from_utf8(text).map_err(|_| Undecodable)?)?;
        count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_what_sha256sum_prints() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn files_round_trip_and_the_same_lines_give_the_same_bytes() {
        let lines: Vec<u64> = (0..10_000).collect();
        let file = encode(&lines).unwrap();
        assert_eq!(decode::<u64>(&file).unwrap(), lines);
        assert_eq!(encode(&lines).unwrap(), file);
        assert_eq!(decode::<u64>(&encode::<u64>(&[]).unwrap()).unwrap(), Vec::<u64>::new());
    }

    #[test]
    fn frames_may_follow_one_another() {
        let file = [frame(b"1\n2\n").unwrap(), frame(b"3\n").unwrap()].concat();
        assert_eq!(decode::<u64>(&file).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn what_is_cut_off_or_too_long_does_not_decode() {
        let whole = frame(b"1\n2\n").unwrap();
        assert!(decode::<u64>(&whole[..whole.len() - 1]).is_err());
        assert!(decode::<u64>(&frame(b"1\n2").unwrap()).is_err());
        assert!(decode::<u64>(b"1\n2\n").is_err());
        assert!(each_line(&frame(b"12345\n").unwrap(), 5, |_| Ok(())).is_ok());
        assert!(each_line(&frame(b"123456\n").unwrap(), 5, |_| Ok(())).is_err());
        let bomb = frame(&vec![b'x'; 8 << 20]).unwrap();
        assert!(bomb.len() < 4096 && each_line(&bomb, 1 << 16, |_| Ok(())).is_err());
    }
}
