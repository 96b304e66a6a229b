//! An attempt at one user in one run: the archive's own code, called in the order in which the worker calls it.

use std::sync::{Arc, Mutex};

use archive::{Archive, ArchiveError, RunProgress, Stores};
use domain::{AttemptId, Class, Coverage, RunId, SeededRandom, Timestamp, Window};

use crate::items::{Item, OVERLAP, SECOND_DAY, TENANT, USER, time};
use crate::outside::{Answer, Call, NoClock, Outside, Planted, Wire};

/// A message: a run, and the end of its window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message {
    pub(crate) run: &'static str,
    pub(crate) to: &'static str,
}

/// Reads the window, archives what it shows, and then says so in the checkpoint. `Ok` acknowledges the message.
pub(crate) async fn attempt(
    message: Message,
    number: usize,
    wire: Wire,
    outside: Arc<Mutex<Outside>>,
) -> Result<(), ArchiveError> {
    let stores = Stores { evidence: Arc::new(wire.clone()), state: Arc::new(wire.clone()) };
    let clock = Arc::new(NoClock(time(SECOND_DAY)));
    let archive = Archive::open(stores, TENANT, clock, Arc::new(SeededRandom::new(1))).await.unwrap().unwrap();
    let run: RunId = message.run.parse().unwrap();
    let id: AttemptId = format!("{number:032x}").parse().unwrap();

    let mut handle = archive.checkpoint(USER).await?;
    let covered = handle.checkpoint.coverage;
    let mut progress = handle.checkpoint.run(&run).cloned().unwrap_or_else(|| RunProgress::new(run.clone()));
    if progress.ended.is_some() {
        return Ok(());
    }
    let whole = match progress.window {
        Some(window) => window,
        None => {
            progress.before = covered;
            daily_window(covered, time(message.to))
        }
    };
    progress.window = Some(whole);
    let mut log = archive.log_writer(USER, &run, &id, &handle);

    let Answer::Items(shown) = wire.call(Call::Page(whole)).await else { return Err(ArchiveError::Poisoned) };
    let promise = |shown: &[Item]| outside.lock().unwrap().promised.extend(shown);
    log.append(shown.iter().map(|item| item.text), time(SECOND_DAY)).await?;
    match wire.planted() {
        Some(Planted::PromisedFirst) => promise(&shown),
        Some(Planted::CheckpointFirst) => {}
        _ => {
            log.flush().await?;
            promise(&shown);
        }
    }

    progress.read = Some(whole);
    progress.shown |= !shown.is_empty();
    progress.ended = Some(if progress.shown { Class::Exported } else { Class::Empty });
    progress.segments.extend(log.segments().iter().cloned());
    let after = progress.before.map_or(Coverage::first(whole), |before| before.widened(whole, OVERLAP));
    let checkpoint = &mut handle.checkpoint;
    checkpoint.coverage = Some(covered.map_or(after, |covered| covered.merged(after, OVERLAP)));
    log.update(checkpoint, time(SECOND_DAY));
    let line = checkpoint.run_mut(&run);
    let stored = std::mem::replace(line, progress);
    line.merge(stored);
    archive.save(&mut handle, OVERLAP).await?;
    log.flush().await
}

fn daily_window(covered: Option<Coverage>, to: Timestamp) -> Window {
    let covered = covered.map_or(to, |coverage| coverage.to().min(to));
    Window::new(covered - OVERLAP, to).unwrap()
}
