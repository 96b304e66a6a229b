//! The command `hold`: who is held, from now on and with everything that is archived already.

use std::fmt::Write as _;
use std::sync::Arc;

use archive::custody::HoldEntry;
use archive::store::LegalHold;
use archive::{Archive, ArchiveError};
use custody::hold::{self, Held};
use domain::{Clock, Timestamp, UserId};

use super::{NotDone, UNLESS, entry, opened};
use crate::cli::HoldArgs;
use crate::location::Estate;
use crate::screen::Screen;
use crate::{COMPLETE, INCOMPLETE};

/// Holds a person in the archive of this estate, releases one, or lists who is held; the exit code.
pub async fn hold_in(estate: &Estate, args: &HoldArgs, clock: Arc<dyn Clock>, screen: &Screen) -> Result<u8, NotDone> {
    let archive = opened(estate, clock).await?;
    let Some(user) = args.user else { return list(estate, &archive, screen).await };
    // Before anything is put: an entry in a place that holds nothing would promise what is not kept.
    if !archive.certain(|| estate.vaults.evidence.holds()).await? {
        return Err(NotDone::HoldsNothing);
    }
    let wanted = if args.on { LegalHold::On } else { LegalHold::Off };
    let what = if args.on { "hold" } else { "no longer hold" };
    let mut text = format!("{what} {user} in {}\n", estate.place.location);
    if !args.yes {
        let newest = archive.newest_hold(user).await?;
        entry(&mut text, "now", &newest.map_or("never held".to_owned(), |(is, newest)| told(is, &newest)));
        let content = custody::erase::evidence(&archive, &estate.vaults, user).await?;
        entry(&mut text, "found", &found(hold::holdable(&content).count()));
        text.push_str(UNLESS);
        screen.say(&text);
        return Ok(COMPLETE);
    }
    // The entry first, then the time, and only then the versions are listed: what is put in between is listed or put as it says.
    let made = hold::mark(&archive, user, wanted, args.reason.clone()).await?;
    entry(&mut text, "now", &made.as_ref().map_or("never held".to_owned(), |made| told(wanted, made)));
    let until = made.as_ref().map(hold::in_hand_until).filter(|until| *until > archive.clock().now());
    let content = custody::erase::evidence(&archive, &estate.vaults, user).await?;
    let Held { set, refused } = hold::hold(&archive, &estate.vaults, &content, wanted).await?;
    entry(&mut text, if args.on { "held" } else { "let go" }, &format!("{set} versions"));
    if refused > 0 {
        entry(&mut text, "refused", &format!("{refused} versions: check the right to s3:PutObjectLegalHold"));
    }
    if let Some(until) = until {
        entry(&mut text, "later", &later(wanted, until));
    }
    // Of two operators at once the later one counts, and the versions may be as either said.
    let newest = archive.newest_hold(user).await?;
    let contradicted = newest.filter(|(is, _)| *is != wanted);
    if let Some((is, newest)) = &contradicted {
        let what_to_do = "repeat the command if that is not to be";
        entry(&mut text, "meanwhile", &format!("somebody said otherwise: {}; {what_to_do}", told(*is, newest)));
    }
    let done = refused == 0 && contradicted.is_none();
    // A release need not wait: what is put under the hold after it is kept, if longer than it has to be.
    let until = until.filter(|_| args.on);
    match until {
        _ if !done => text.push_str("not over: repeat the command\n"),
        Some(until) => _ = writeln!(text, "not over: repeat the command after {until}"),
        None => text.push_str("done\n"),
    }
    let whole = done && until.is_none();
    screen.say(&text);
    Ok(if whole { COMPLETE } else { INCOMPLETE })
}

/// Says who is held since when, and how much of it is not; the exit code is not 0 as long as anything is not, or may not be.
async fn list(estate: &Estate, archive: &Archive, screen: &Screen) -> Result<u8, NotDone> {
    let mut text = format!("held in {}\n", estate.place.location);
    let held = archive.held().await?;
    let holds = held.is_empty() || archive.certain(|| estate.vaults.evidence.holds()).await?;
    let mut whole = holds;
    for user in &held {
        // Released between the two looks, a user is held no more.
        let Some((LegalHold::On, newest)) = archive.newest_hold(*user).await? else { continue };
        let mut line = told(LegalHold::On, &newest);
        if holds {
            // Before the versions are looked at: what is put after this moment is put as the entry says, or the time lies ahead.
            let now = archive.clock().now();
            let (left, sentence) = not_held(estate, archive, *user).await?;
            let until = hold::in_hand_until(&newest);
            whole &= left == Some(0) && until <= now;
            let _ = write!(line, "; {sentence}");
            if until > now {
                let _ = write!(line, ", and a worker that began before may add to them until {until}");
            }
        }
        entry(&mut text, &user.to_string(), &line);
    }
    text.push_str(match (held.is_empty(), holds, whole) {
        (true, ..) => "nobody is held\n",
        (_, false, _) => "by entries alone: this place holds nothing; the bucket that it was copied from may\n",
        (_, _, true) => "all of it is held\n",
        _ => "not all of it is held, or not for certain: give the hold again, where a time is named after that\n",
    });
    screen.say(&text);
    Ok(if whole { COMPLETE } else { INCOMPLETE })
}

/// How many of a user's versions are under no hold, if that may be seen, and how to say it.
async fn not_held(estate: &Estate, archive: &Archive, user: UserId) -> Result<(Option<u64>, String), ArchiveError> {
    let content = custody::erase::evidence(archive, &estate.vaults, user).await?;
    let all = hold::holdable(&content).count();
    Ok(match hold::not_held(archive, &estate.vaults, &content).await {
        Ok(0) => (Some(0), format!("all of {all} versions are held")),
        Ok(left) => (Some(left), format!("{left} of {all} versions are not held")),
        Err(error) if error.is_denied() => (None, format!("whether {all} versions are held may not be seen")),
        Err(error) => return Err(error),
    })
}

fn told(is: LegalHold, entry: &HoldEntry) -> String {
    let since = match is {
        LegalHold::On => format!("held since {}", entry.at),
        LegalHold::Off => format!("released on {}", entry.at),
    };
    entry.reason.as_ref().map_or(since.clone(), |reason| format!("{since}: {reason}"))
}

fn found(versions: usize) -> String {
    format!("{versions} versions of segments and pages in quarantine")
}

fn later(wanted: LegalHold, until: Timestamp) -> String {
    let is_put = match wanted {
        LegalHold::On => "put under the hold",
        LegalHold::Off => "not held",
    };
    format!(
        "what is archived from now on is {is_put}, but by a worker that began before: repeat the command after {until}"
    )
}
