//! A batch: many users at once, one receipt, and then the acknowledgements.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use archive::records::{ReceiptLine, RunFile};
use archive::{Archive, ArchiveError};
use domain::{AttemptId, Chain, Class, Deadline, Failure, Message, Metric, RunId, UserId};
use futures_util::StreamExt;
use futures_util::stream;
use queue::{Delivery, MAX_DELAY, Outgoing};

use crate::Deps;
use crate::refusals::Refusals;
use crate::user::{self, Attempt, Ended, HOPS, Outcome};

/// Users read at the same time. With two workers enough to use the whole quota up to a mean latency of 1.7 s a page.
const USERS_IN_FLIGHT: usize = 32;

/// Receptions after which a user is suspected of killing the process.
const SUSPECT: u32 = 3;

/// One user's part of one run, and every message of the batch that asks for it.
#[derive(Debug)]
struct Task {
    message: Message,
    deliveries: Vec<Delivery>,
}

/// Reads the users of a batch of messages. Returns the ids of the messages that failed; the others are done, or were sent
/// again as fresh messages.
pub async fn handle(batch: Vec<Delivery>, deadline: Deadline, deps: &Deps) -> Vec<String> {
    let all: Vec<String> = batch.iter().map(|delivery| delivery.message_id.clone()).collect();
    let mut failed = Vec::new();
    let tasks = tasks(batch, &mut failed);
    let archive = match Archive::open(
        deps.stores.clone(),
        deps.tenant,
        Arc::clone(&deps.clock),
        Arc::clone(&deps.random),
    )
    .await
    {
        Ok(Some(archive)) => archive,
        Ok(None) => {
            tracing::error!(
                "there is no archive here, though a message asks for a user: check ARCHIVE_BUCKET and ARCHIVE_PREFIX"
            );
            return all;
        }
        Err(error) => {
            tracing::error!(error = %Chain(&error), "the archive cannot be opened");
            return all;
        }
    };
    let custody = match archive.custody().await {
        Ok(custody) => custody,
        // Nobody is read as long as it is not known who was erased and who is held: all of it comes again.
        Err(error) => {
            tracing::error!(error = %Chain(&error), "what operators left in the archive cannot be listed");
            return all;
        }
    };
    let runs = runs(&archive, &tasks).await;
    let id = AttemptId::random(&*deps.random);
    let attempt = Attempt { deps, archive, custody, id, deadline, progressed: AtomicBool::new(false) };
    let invocation = Invocation { attempt, runs, receipts: 0, refusals: Refusals::default(), failed };
    Box::pin(invocation.run(tasks)).await
}

/// The messages by user, in the order of their first message. Bodies that cannot be read fail alone.
fn tasks(batch: Vec<Delivery>, failed: &mut Vec<String>) -> Vec<(UserId, Vec<Task>)> {
    let mut users: Vec<(UserId, Vec<Task>)> = Vec::new();
    let mut places: BTreeMap<UserId, usize> = BTreeMap::new();
    for delivery in batch {
        let message = match Message::from_body(&delivery.body) {
            Ok(message) => message,
            Err(error) => {
                tracing::error!(message_id = delivery.message_id, %error, "message refused");
                failed.push(delivery.message_id);
                continue;
            }
        };
        let place = *places.entry(message.user_id).or_insert_with(|| {
            users.push((message.user_id, Vec::new()));
            users.len() - 1
        });
        let tasks = &mut users[place].1;
        match tasks.iter_mut().find(|task| task.message.run_id == message.run_id) {
            Some(task) => task.deliveries.push(delivery),
            None => tasks.push(Task { message, deliveries: vec![delivery] }),
        }
    }
    users
}

/// The runs that the messages name. A run that is not there, or cannot be read, fails its messages.
async fn runs(archive: &Archive, tasks: &[(UserId, Vec<Task>)]) -> BTreeMap<RunId, RunFile> {
    let mut runs = BTreeMap::new();
    for task in tasks.iter().flat_map(|(_, tasks)| tasks) {
        let run_id = &task.message.run_id;
        if runs.contains_key(run_id) {
            continue;
        }
        let run = match archive.run(run_id).await {
            Ok(Some(run)) => Some(run),
            Ok(None) => {
                tracing::error!(%run_id, "a message names a run that is not in the archive");
                None
            }
            Err(error) => {
                tracing::error!(%run_id, error = %Chain(&error), "the run cannot be read");
                None
            }
        };
        runs.insert(run_id.clone(), run);
    }
    runs.into_iter().filter_map(|(id, run)| run.map(|run| (id, run))).collect()
}

struct Invocation<'a> {
    attempt: Attempt<'a>,
    runs: BTreeMap<RunId, RunFile>,
    receipts: u64,
    refusals: Refusals,
    failed: Vec<String>,
}

/// Tells who watches of a user whose reading has ended. The receipt comes when the whole batch has, too late for a screen.
fn tell(ended: &[(Task, Option<Ended>)], deps: &Deps) {
    for outcome in ended.iter().filter_map(|(_, ended)| Some(&ended.as_ref()?.outcome)) {
        match outcome {
            Outcome::Ended(class) => deps.progress.user(Some(*class)),
            Outcome::HandOver(..) => deps.progress.user(None),
            Outcome::NotStarted => {}
        }
    }
}

impl Invocation<'_> {
    async fn run(mut self, users: Vec<(UserId, Vec<Task>)>) -> Vec<String> {
        let (mut suspects, others): (Vec<_>, Vec<_>) = users.into_iter().partition(|(_, tasks)| {
            tasks.iter().flat_map(|task| &task.deliveries).any(|one| one.receive_count >= SUSPECT)
        });
        let mut reading =
            stream::iter(others.into_iter().map(|(_, tasks)| read_user(tasks, &self.attempt, &self.runs)))
                .buffer_unordered(USERS_IN_FLIGHT);
        let mut ended = Vec::new();
        while let Some(tasks) = reading.next().await {
            tell(&tasks, self.attempt.deps);
            ended.extend(tasks);
        }
        drop(reading);
        let done = self.close(ended).await;
        if suspects.is_empty() {
            return self.failed;
        }
        // A suspect may kill the process, so what is done is deleted before it begins, and the order of suspects changes
        // from one time to the next: those before the one that kills get through.
        self.delete(done).await;
        shuffle(&mut suspects, self.attempt.deps);
        let mut refused = Vec::new();
        for (_, tasks) in suspects {
            let ended = Box::pin(read_user(tasks, &self.attempt, &self.runs)).await;
            tell(&ended, self.attempt.deps);
            // Refusals are judged as a row, so they wait until it ends.
            refused.extend(ended);
            if refused.iter().all(is_refusal) {
                continue;
            }
            let done = self.close(std::mem::take(&mut refused)).await;
            self.delete(done).await;
        }
        let done = self.close(refused).await;
        self.delete(done).await;
        self.failed
    }

    /// Writes the receipt of these tasks and sends again what is unfinished. Returns the deliveries that are done.
    async fn close(&mut self, mut ended: Vec<(Task, Option<Ended>)>) -> Vec<Delivery> {
        self.refusals.judge(ended.iter_mut().filter_map(|(_, ended)| match ended {
            Some(Ended { outcome: Outcome::Ended(class), .. }) => Some(class),
            _ => None,
        }));
        let mut lines = Vec::new();
        let (mut done, mut unfinished, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for (task, ended) in ended {
            let ids = task.deliveries.iter().map(|delivery| delivery.message_id.clone());
            let Some(Ended { outcome, mut line }) = ended else {
                self.failed.extend(ids);
                continue;
            };
            let class = match outcome {
                Outcome::NotStarted => match self.not_started(&task.message) {
                    Ok(message) => {
                        again.push(outgoing(&message, Duration::ZERO));
                        unfinished.extend(task.deliveries);
                        continue;
                    }
                    Err(class) => Some(class),
                },
                Outcome::Ended(class) => Some(class),
                Outcome::HandOver(ref message, resumes) => {
                    let wait = resumes.duration_since(self.attempt.deps.clock.now());
                    again.push(outgoing(message, Duration::try_from(wait).unwrap_or_default()));
                    None
                }
            };
            if let Some(class) = class.filter(|class| class.is_failed()) {
                tracing::warn!(
                    run_id = %line.run_id,
                    user_id = %line.user_id,
                    %class,
                    { Metric::CredentialRefused.name() } = Metric::once(class == Class::Failed(Failure::Unauthorised)),
                    "user failed"
                );
            }
            line.class = class;
            lines.push(line);
            match class {
                Some(class) if class.is_failed() => self.failed.extend(ids),
                Some(_) => done.extend(task.deliveries),
                None => unfinished.extend(task.deliveries),
            }
        }
        if let Err(error) = self.put_receipt(lines).await {
            tracing::error!(error = %Chain(&error), "the receipt cannot be written");
            self.failed.extend(done.drain(..).chain(unfinished).map(|delivery| delivery.message_id));
            return done;
        }
        if !again.is_empty()
            && let Err(error) = self.attempt.deps.queue.send(again).await
        {
            // They go back themselves; those that were sent all the same are read twice, which is harmless.
            tracing::error!(error = %Chain(&error), "unfinished work cannot be sent again");
            self.failed.extend(unfinished.drain(..).map(|delivery| delivery.message_id));
        }
        done.extend(unfinished);
        done
    }

    /// The message of a user that nobody began to read. While others get on this is no lack of progress.
    fn not_started(&self, message: &Message) -> Result<Message, Class> {
        let hops = message.hops + u32::from(!self.attempt.progressed.load(Relaxed));
        if hops >= HOPS {
            return Err(Class::Failed(Failure::NoProgress));
        }
        Ok(Message { hops, ..message.clone() })
    }

    /// One receipt per run that the lines are of.
    async fn put_receipt(&mut self, lines: Vec<ReceiptLine>) -> Result<(), ArchiveError> {
        let mut runs: BTreeMap<RunId, Vec<ReceiptLine>> = BTreeMap::new();
        for line in lines {
            runs.entry(line.run_id.clone()).or_default().push(line);
        }
        for (run_id, lines) in runs {
            self.receipts += 1;
            self.attempt.archive.put_receipt(&run_id, &self.attempt.id, self.receipts, &lines).await?;
        }
        Ok(())
    }

    /// Deletes messages that are done. Those that cannot be deleted are delivered again, and found ended.
    async fn delete(&self, done: Vec<Delivery>) {
        if done.is_empty() {
            return;
        }
        let handles = done.into_iter().map(|delivery| delivery.receipt_handle).collect();
        if let Err(error) = self.attempt.deps.queue.delete(handles).await {
            tracing::warn!(error = %Chain(&error), "messages that are done cannot be deleted");
        }
    }
}

/// Reads one user's messages one after the other: two at once would race for the same log.
async fn read_user(
    tasks: Vec<Task>,
    attempt: &Attempt<'_>,
    runs: &BTreeMap<RunId, RunFile>,
) -> Vec<(Task, Option<Ended>)> {
    let mut read = Vec::with_capacity(tasks.len());
    for task in tasks {
        let ended = match runs.get(&task.message.run_id) {
            Some(run) => Some(Box::pin(user::read(&task.message, run, attempt)).await),
            None => None,
        };
        read.push((task, ended));
    }
    read
}

fn is_refusal((_, ended): &(Task, Option<Ended>)) -> bool {
    matches!(ended, Some(Ended { outcome: Outcome::Ended(Class::Unavailable(reason)), .. }) if reason.is_refusal())
}

fn outgoing(message: &Message, delay: Duration) -> Outgoing {
    Outgoing { body: message.to_body(), delay: delay.min(MAX_DELAY) }
}

fn shuffle<T>(items: &mut [T], deps: &Deps) {
    for last in (1..items.len()).rev() {
        let other = usize::try_from(deps.random.below(last as u64 + 1)).unwrap_or(0);
        items.swap(last, other);
    }
}
