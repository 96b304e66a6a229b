//! The operator's commands on one person: what they say, and what they do once they are told `--yes`.

mod hold;

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use archive::custody::Tombstone;
use archive::{Archive, ArchiveError, OpenError};
use custody::coverage::{LowerError, Lowered, Lowering};
use custody::erase::{Content, Erased, Kept};
use domain::{Clock, Coverage, Env, OsRandom, RunId, SystemClock, Timestamp};

use crate::cli::{CoverageArgs, EraseArgs, HoldArgs};
use crate::location::{Estate, PlaceError};
use crate::screen::Screen;
use crate::{COMPLETE, FAILURE, INCOMPLETE, REFUSED};

pub use hold::hold_in;

/// What is said where nothing was done.
const UNLESS: &str = "nothing was changed; add --yes to do it\n";

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// The place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// What lies there.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Nothing lies there.
    #[error("there is no archive in this place")]
    Nothing,
    /// Nothing there can be held.
    #[error("nothing can be held in this place: it takes a bucket with Object Lock, as infra/archive.yaml makes them")]
    HoldsNothing,
    /// Who is held is not erased.
    #[error(
        "this user is held, and nothing was changed: release the hold first, by hold --off (a copy of a bucket has to be \
         brought up to date after that)"
    )]
    Held,
    /// A checkpoint would be left behind, and nobody would know.
    #[error(
        "where the state lies was not said, so the checkpoint cannot be looked for: set STATE_BUCKET to the stack's output \
         StateBucket, or to the archive's own bucket if the state lies there"
    )]
    StateNotNamed,
    /// The coverage.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl NotDone {
    /// Whether it is the request that is at fault, and not the store.
    const fn is_refusal(&self) -> bool {
        !matches!(
            self,
            Self::Archive(_)
                | Self::Lower(LowerError::Archive(_) | LowerError::Contended)
                | Self::Open(OpenError::Store(_))
        )
    }
}

/// Lowers a person's coverage.
pub async fn coverage(args: &CoverageArgs, env: &dyn Env, screen: &Screen) -> u8 {
    ended(screen, async { coverage_in(&Estate::open(&args.archive, env).await?, args, screen).await }.await)
}

/// Erases a person.
pub async fn erase(args: &EraseArgs, env: &dyn Env, screen: &Screen) -> u8 {
    ended(
        screen,
        async { erase_in(&Estate::open(&args.archive, env).await?, args, Arc::new(SystemClock), screen).await }.await,
    )
}

/// Holds a person, releases one, or lists who is held.
pub async fn hold(args: &HoldArgs, env: &dyn Env, screen: &Screen) -> u8 {
    ended(
        screen,
        async { hold_in(&Estate::open(&args.archive, env).await?, args, Arc::new(SystemClock), screen).await }.await,
    )
}

fn ended(screen: &Screen, outcome: Result<u8, NotDone>) -> u8 {
    match outcome {
        Ok(code) => code,
        Err(error) => {
            let code = if error.is_refusal() { REFUSED } else { FAILURE };
            let error: &dyn Error = &error;
            crate::complain(screen, error);
            code
        }
    }
}

async fn opened(estate: &Estate, clock: Arc<dyn Clock>) -> Result<Archive, NotDone> {
    let stores = estate.place.stores.clone();
    let archive = Archive::open_found(stores, clock, Arc::new(OsRandom)).await?;
    archive.ok_or(NotDone::Nothing)
}

/// Lowers a person's coverage in the archive of this estate; the exit code.
pub async fn coverage_in(estate: &Estate, args: &CoverageArgs, screen: &Screen) -> Result<u8, NotDone> {
    let archive = opened(estate, Arc::new(SystemClock)).await?;
    let lowering = if args.drop { Lowering::Drop } else { Lowering::Part { from: args.from, to: args.to } };
    let open = custody::open_runs(&archive).await?;
    let lowered = match args.yes {
        true => custody::coverage::lower(&archive, args.user, lowering).await?,
        false => custody::coverage::plan(&archive, args.user, lowering).await?,
    };
    let mut text = format!("coverage of {} in {}\n", args.user, estate.place.location);
    let Lowered { before, after, restarted } = &lowered;
    entry(&mut text, "before", &interval(*before));
    entry(&mut text, "after", &interval(*after));
    if !restarted.is_empty() {
        entry(&mut text, "begun anew", &format!("the user's part of {}", names(restarted)));
    }
    if !open.is_empty() {
        let sentence = "a worker may store the coverage it knew; repeat the command when they are closed";
        entry(&mut text, "open runs", &format!("{}: {sentence}", names(&open)));
    }
    text.push_str(match (args.yes, lowered.is_nothing()) {
        (_, true) => "the coverage is that already; nothing was changed\n",
        (true, false) => "lowered; the next runs read again what was taken away, and write nothing twice\n",
        (false, false) => UNLESS,
    });
    screen.say(&text);
    Ok(COMPLETE)
}

/// Erases a person from the archive of this estate; the exit code, which is not 0 until nothing is left.
pub async fn erase_in(
    estate: &Estate,
    args: &EraseArgs,
    clock: Arc<dyn Clock>,
    screen: &Screen,
) -> Result<u8, NotDone> {
    let state = estate.state.as_deref().ok_or(NotDone::StateNotNamed)?;
    let archive = opened(estate, clock).await?;
    // By the entry, and not by what the store would refuse: not every version need be under the store's hold yet.
    let held = archive.held().await?.contains(&args.user);
    if held && args.yes {
        return Err(NotDone::Held);
    }
    // Whoever begins after it does not read the user, so what is looked for after it is all there is but for what is in hand.
    let tombstone = match args.yes {
        true => Some(custody::erase::bury(&archive, args.user, args.reason.clone()).await?),
        false => archive.tombstone(args.user).await?,
    };
    let now = archive.clock().now();
    let open = custody::open_runs(&archive).await?;
    let content = custody::erase::content(&archive, &estate.vaults, args.user).await?;
    let mut text = format!("erase {} from {}\n", args.user, estate.place.location);
    entry(&mut text, "found", &found(&content, state));
    let stays =
        "rosters hold the names and receipts the numbers until their retention ends: the ledger fixes them by hash";
    entry(&mut text, "stays", stays);
    entry(&mut text, "tombstone", &tombstone.as_ref().map_or("none yet".to_owned(), of));
    let until = tombstone.as_ref().map(custody::erase::in_hand_until);
    let over = until.is_some_and(|until| until <= now);
    if !over {
        if !open.is_empty() {
            entry(&mut text, "open runs", &names(&open));
        }
        entry(&mut text, "in hand", &in_hand(until));
    }
    if held {
        entry(&mut text, "held", "this user is held, and is not erased until `hold --off` releases the hold");
    }
    if !args.yes {
        text.push_str(if held { "nothing was changed\n" } else { UNLESS });
        screen.say(&text);
        return Ok(COMPLETE);
    }
    let erased = custody::erase::erase(&archive, &estate.vaults, &content, args.bypass_governance).await?;
    entry(&mut text, "deleted", &format!("{} versions", erased.deleted));
    if !erased.kept.is_empty() {
        entry(&mut text, "kept", &kept(&erased));
    }
    let whole = erased.kept.is_empty() && over;
    text.push_str(if whole { "erased\n" } else { "not over: repeat the command until it says erased\n" });
    screen.say(&text);
    Ok(if whole { COMPLETE } else { INCOMPLETE })
}

fn of(tombstone: &Tombstone) -> String {
    format!("of {}", tombstone.erased_at)
}

fn found(content: &Content, where_state_lies: &str) -> String {
    let (segments, pages, state) = (content.segments.len(), content.pages.len(), content.state.len());
    let mut text = format!(
        "{segments} versions of segments, {pages} of pages in quarantine, {state} of the state in {where_state_lies}"
    );
    if content.leftovers > 0 {
        let _ = write!(text, ", {} files that killed writers left, of whomever", content.leftovers);
    }
    text
}

/// Who may still write of a user: whoever began before the tombstone, for as long as an invocation lasts, whether its run is open
/// or not: a run closes at its deadline with an invocation under way, and a dead letter is of a run that is closed.
fn in_hand(until: Option<Timestamp>) -> String {
    let who = "a worker that began before the tombstone may write of this user";
    until.map_or_else(
        || format!("{who} for some minutes after it is put"),
        |until| format!("{who}; repeat the command after {until}"),
    )
}

fn kept(erased: &Erased) -> String {
    let kept = erased.kept.iter().map(|(kept, count)| match kept {
        Kept::Retention(mode) => format!("{count} under a {mode} retention"),
        Kept::LegalHold => format!("{count} under a legal hold"),
        Kept::Permission => {
            format!("{count} that may not be deleted, or whose lock may not be seen: check role and bucket policy")
        }
    });
    let mut text = kept.collect::<Vec<_>>().join(", ");
    if let Some((first, last)) = erased.ends {
        let _ = write!(text, "; the first retention ends {first}, the last {last}");
    }
    text
}

fn names(runs: &[RunId]) -> String {
    runs.iter().map(RunId::as_str).collect::<Vec<_>>().join(", ")
}

fn interval(coverage: Option<Coverage>) -> String {
    coverage.map_or("none".to_owned(), |coverage| format!("{} … {}", coverage.from(), coverage.to()))
}

fn entry(text: &mut String, label: &str, what: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "  {label:<10} {what}");
}

#[cfg(test)]
mod tests {
    use archive::layout;
    use clap::Parser as _;
    use domain::{ScaledClock, TenantId, UserId, Window};
    use jiff::SignedDuration;

    use super::*;
    use crate::cli::{Cli, Command};

    const USER: UserId = UserId::from_bytes([0xbb; 16]);

    /// An archive in a folder in which the user has a segment and is covered over November.
    async fn estate(folder: &std::path::Path) -> (Estate, Archive) {
        let estate = Estate::folder(folder).unwrap();
        let stores = estate.place.stores.clone();
        let (clock, random) = (Arc::new(SystemClock), Arc::new(OsRandom));
        let archive = Archive::open_or_create(stores, TenantId::from_bytes([7; 16]), clock, random).await.unwrap();
        let segment = layout::segment(archive.tenant(), &"2026-11".parse().unwrap(), USER, 1);
        archive.evidence().put_new(&segment, "x".into()).await.unwrap();
        let mut handle = archive.checkpoint(USER).await.unwrap();
        let november = Window::new("2026-11-01T00:00:00Z".parse().unwrap(), "2026-12-01T00:00:00Z".parse().unwrap());
        handle.checkpoint.coverage = Some(Coverage::first(november.unwrap()));
        archive.save(&mut handle, SignedDuration::from_hours(72)).await.unwrap();
        (estate, archive)
    }

    async fn said(estate: &Estate, words: &[&str]) -> Result<u8, NotDone> {
        said_at(SystemClock.now(), estate, words).await
    }

    async fn said_at(now: Timestamp, estate: &Estate, words: &[&str]) -> Result<u8, NotDone> {
        let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(now, 1.0));
        let screen = Screen::to(Box::new(std::io::sink()));
        let user = USER.to_string();
        let words = ["copilot-archive", words[0], "--user", &user].into_iter().chain(words[1..].iter().copied());
        match Cli::parse_from(words).command {
            Some(Command::Coverage(args)) => coverage_in(estate, &args, &screen).await,
            Some(Command::Erase(args)) => erase_in(estate, &args, clock, &screen).await,
            Some(Command::Hold(args)) => hold_in(estate, &args, clock, &screen).await,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn in_a_folder_nothing_is_done_without_yes_and_all_of_it_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (estate, archive) = estate(folder.path()).await;
        let before = archive.list("").await.unwrap();
        let covered =
            async || archive.checkpoint(USER).await.unwrap().checkpoint.coverage.map(|coverage| coverage.to());
        let first = covered().await;
        for words in [&["coverage", "--drop"][..], &["coverage", "--to", "2026-11-20"], &["erase"]] {
            assert_eq!(said(&estate, words).await.unwrap(), COMPLETE);
            assert_eq!((archive.list("").await.unwrap(), covered().await), (before.clone(), first), "{words:?}");
        }
        let refused = said(&estate, &["hold", "--on", "--yes"]).await.unwrap_err();
        assert!(matches!(refused, NotDone::HoldsNothing) && refused.is_refusal());
        assert_eq!(said(&estate, &["coverage", "--to", "2026-11-20", "--yes"]).await.unwrap(), COMPLETE);
        assert_eq!(covered().await, Some("2026-11-20T00:00:00Z".parse().unwrap()));
        let refused = said(&estate, &["coverage", "--to", "2026-11-21", "--yes"]).await.unwrap_err();
        assert!(refused.is_refusal(), "{refused}");
        let left = ["archive.json".to_owned(), layout::erased(archive.tenant(), USER)];
        let now = SystemClock.now();
        for (now, code) in [(now, INCOMPLETE), (now + SignedDuration::from_hours(1), COMPLETE)] {
            assert_eq!(
                said_at(now, &estate, &["erase", "--yes"]).await.unwrap(),
                code,
                "a worker may have the user in hand"
            );
            assert_eq!(archive.list("").await.unwrap(), left);
        }
    }
}
