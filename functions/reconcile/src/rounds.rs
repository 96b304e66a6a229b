//! Sending users again who have no class: how often, and to whom.

use archive::records::RunFile;
use archive::store::{ETag, PutIfMatch, PutNew, StoreErrorKind};
use archive::{Archive, ArchiveError, layout};
use domain::{ArchiveId, Clock, Deadline, Message, RunId, UserId};
use queue::{Outgoing, Queue, QueueError};
use serde::{Deserialize, Serialize};

/// The contract's bound on rounds: who was sent three times and left no receipt is a matter for a person.
pub(crate) const MAX_ROUNDS: u32 = 3;

/// Messages made at a time: 200 bytes each, and between two lots the time is looked at.
const SEND_AT_ONCE: usize = 1_000;

/// The format of the state object.
const FORMAT: u64 = 1;

/// How many rounds a run has had. A working state, not a proof: if it is lost, users are sent more often than need be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rounds {
    /// How many.
    pub(crate) count: u32,
    /// The version of the object they were read from.
    etag: Option<ETag>,
}

#[derive(Serialize, Deserialize)]
struct File {
    format: u64,
    archive_id: ArchiveId,
    run_id: RunId,
    rounds: u32,
}

impl Rounds {
    /// The rounds a run has had. An object that is foreign or does not parse counts as none.
    pub(crate) async fn read(archive: &Archive, run: &RunId) -> Result<Self, ArchiveError> {
        let key = layout::run_state(archive.tenant(), run);
        let object = archive.certain(|| archive.state().get(&key)).await?;
        let file = object.as_ref().and_then(|object| serde_json::from_slice::<File>(&object.bytes).ok());
        let own = file.filter(|file| file.format == FORMAT && file.archive_id == archive.id() && file.run_id == *run);
        Ok(Self { count: own.map_or(0, |file| file.rounds), etag: object.map(|object| object.etag) })
    }

    /// Counts one more, after it was sent. If somebody else has counted meanwhile, the two sent one round together and it is
    /// counted once. No certain answer is no error: what was not counted costs one more round.
    pub(crate) async fn count_one(self, archive: &Archive, run: &RunId) -> Result<(), ArchiveError> {
        let key = layout::run_state(archive.tenant(), run);
        let rounds = self.count.saturating_add(1);
        let file = File { format: FORMAT, archive_id: archive.id(), run_id: run.clone(), rounds };
        let bytes = serde_json::to_vec(&file).map_err(|error| ArchiveError::Encode(error.into()))?;
        let outcome = match &self.etag {
            None => archive.state().put_new(&key, bytes.into()).await.map(|put| matches!(put, PutNew::Created(_))),
            Some(etag) => {
                let put = archive.state().put_if_match(&key, bytes.into(), etag).await;
                put.map(|put| matches!(put, PutIfMatch::Replaced(_)))
            }
        };
        match outcome {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::info!(run_id = %run, "another reconcile counted this round");
                Ok(())
            }
            Err(error) if error.kind == StoreErrorKind::Unknown => {
                tracing::warn!(run_id = %run, %error, "the round may not be counted");
                Ok(())
            }
            Err(error) => Err(ArchiveError::Store(error)),
        }
    }
}

/// Sends these users of a run as fan-out did. Answers how many were sent, which are fewer than all if time ran out.
pub(crate) async fn send(
    run: &RunFile,
    users: &[UserId],
    queue: &dyn Queue,
    clock: &dyn Clock,
    deadline: Deadline,
) -> Result<usize, QueueError> {
    let mut sent = 0;
    for lot in users.chunks(SEND_AT_ONCE) {
        if deadline.passed(clock.now()) {
            break;
        }
        let message = |user: &UserId| Message {
            run_id: run.run_id.clone(),
            user_id: *user,
            from: run.from,
            to: run.to,
            not_after: run.not_after,
            hops: 0,
        };
        let outgoing = |user| Outgoing { body: message(user).to_body(), delay: std::time::Duration::ZERO };
        queue.send(lot.iter().map(outgoing).collect()).await?;
        sent += lot.len();
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, run_file, run_id, user};

    #[tokio::test(start_paused = true)]
    async fn rounds_that_two_sent_together_are_counted_once() {
        let world = World::new(1).await;
        for expected in 0..3 {
            let first = Rounds::read(&world.archive, &run_id()).await.unwrap();
            let second = Rounds::read(&world.archive, &run_id()).await.unwrap();
            assert_eq!((first.count, second.count), (expected, expected));
            first.count_one(&world.archive, &run_id()).await.unwrap();
            second.count_one(&world.archive, &run_id()).await.unwrap();
        }
        assert_eq!(Rounds::read(&world.archive, &run_id()).await.unwrap().count, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn sending_stops_when_the_time_is_up() {
        let world = World::new(1).await;
        let users = [user(1), user(2)];
        let (run, now) = (run_file(2), world.clock.now());
        let sent = |deadline| send(&run, &users, &world.queue, &*world.clock, deadline);
        assert_eq!(sent(Deadline::at(now)).await.unwrap(), 0);
        assert_eq!(sent(Deadline::never()).await.unwrap(), 2);
        assert_eq!(world.drain().await.len(), 2);
    }
}
