//! The checkpoint.

use archive::Checkpoint;
use domain::ArchiveId;

/// The archive that the kept inputs are of.
const ARCHIVE: ArchiveId = ArchiveId::from_bytes([0xcc; 16]);

/// What is read is written again as what reads the same; of another archive it counts as absent.
pub fn checkpoint(bytes: &[u8]) {
    let Some(checkpoint) = Checkpoint::from_bytes(bytes, ARCHIVE) else { return };
    assert_eq!(Checkpoint::from_bytes(bytes, ArchiveId::from_bytes([0xdd; 16])), None, "a foreign one is none");
    assert!(checkpoint.coverage.is_none_or(|coverage| coverage.from() < coverage.to()));
    assert!(checkpoint.months.values().all(|log| log.next > 0));
    let Ok(written) = checkpoint.to_bytes(ARCHIVE) else { panic!("what was read cannot be written") };
    assert_eq!(Checkpoint::from_bytes(&written, ARCHIVE).as_ref(), Some(&checkpoint), "{written:?}");
    let again = checkpoint.to_bytes(ARCHIVE);
    assert_eq!(again.ok(), Some(written), "a checkpoint is written in one way");
}
