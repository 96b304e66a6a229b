//! The screen: results on standard output, progress on standard error.
//!
//! On a terminal progress is a bar that is drawn over; elsewhere it is a plain line every few seconds, so that a log stays
//! readable.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::{Class, Clock, Env, SystemClock, Timestamp};
use graph::GraphClient;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{Progress, Style};

/// How often a bar is drawn: smooth to the eye, and no work to speak of.
const BAR_EVERY: Duration = Duration::from_millis(200);
/// How often a plain line is written: seldom enough that the log of an hour can be read.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where to write, and how.
pub struct Screen {
    out: Mutex<Box<dyn Write + Send>>,
    progress: Meter,
    /// How results are coloured.
    pub style: Style,
    interactions: AtomicU64,
    users: AtomicU64,
}

enum Meter {
    Bar(ProgressBar),
    Lines(Mutex<Box<dyn Write + Send>>),
    None,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("style", &self.style).finish_non_exhaustive()
    }
}

/// Counts what the workers tell.
impl worker::Progress for Screen {
    fn page(&self, items: usize) {
        self.interactions.fetch_add(items as u64, Ordering::Relaxed);
    }

    fn user(&self, class: Option<Class>) {
        if class.is_some() {
            self.users.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Screen {
    /// The screen of this process.
    pub fn of_process(env: &dyn Env) -> Self {
        let no_colour = env.var("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env.var("TERM").is_some_and(|term| term == "dumb");
        let colour = std::io::stdout().is_terminal() && !no_colour && !dumb;
        let progress = if std::io::stderr().is_terminal() && !dumb {
            let style = ProgressStyle::with_template("users    {pos}/{len} {bar:32}  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("█▉▊▋▌▍▎▏ ");
            Meter::Bar(ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden()).with_style(style))
        } else {
            Meter::Lines(Mutex::new(Box::new(std::io::stderr())))
        };
        Self::new(Box::new(std::io::stdout()), progress, Style { colour })
    }

    /// A screen that writes results here and shows no progress.
    pub fn to(out: Box<dyn Write + Send>) -> Self {
        Self::new(out, Meter::None, Style::PLAIN)
    }

    fn new(out: Box<dyn Write + Send>, progress: Meter, style: Style) -> Self {
        Self { out: Mutex::new(out), progress, style, interactions: AtomicU64::new(0), users: AtomicU64::new(0) }
    }

    /// Writes a result. A reader that went away, as `head` does, is no reason to stop the work.
    pub fn say(&self, text: &str) {
        let write = || write_all(&self.out, text);
        match &self.progress {
            Meter::Bar(bar) => bar.suspend(write),
            Meter::Lines(_) | Meter::None => write(),
        }
    }

    /// Writes what is wrong, to standard error.
    pub fn complain(&self, text: &str) {
        let line = format!("error: {text}\n");
        match &self.progress {
            Meter::Bar(_) | Meter::None => {
                let _ = std::io::stderr().lock().write_all(line.as_bytes());
            }
            Meter::Lines(out) => write_all(out, &line),
        }
    }

    /// Shows how far the work is, for as long as it runs.
    pub async fn watch<T>(
        &self,
        planned: u64,
        graph: &GraphClient,
        budget: f64,
        clock: &dyn Clock,
        work: impl Future<Output = T>,
    ) -> T {
        self.interactions.store(0, Ordering::Relaxed);
        self.users.store(0, Ordering::Relaxed);
        let since = Since { time: clock.now(), requests: graph.requests_sent() };
        let figures = || {
            let seconds = clock.now().duration_since(since.time).as_secs_f64();
            let requests = graph.requests_sent().saturating_sub(since.requests) as f64;
            Progress {
                // A message that was delivered twice ends its user twice.
                done: self.users.load(Ordering::Relaxed).min(planned),
                planned,
                interactions: self.interactions.load(Ordering::Relaxed),
                rate: if seconds > 0.0 { requests / seconds } else { 0.0 },
                budget,
            }
        };
        if let Meter::Bar(bar) = &self.progress {
            bar.reset();
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let ticker = async {
            loop {
                let every = if matches!(self.progress, Meter::Bar(_)) { BAR_EVERY } else { LINE_EVERY };
                SystemClock.sleep(every).await;
                self.show(figures());
            }
        };
        let result = tokio::select! {
            result = work => result,
            () = ticker => std::future::pending().await,
        };
        if let Meter::Bar(bar) = &self.progress {
            // What a bar leaves behind depends on the terminal's width; a plain line does not.
            bar.finish_and_clear();
            bar.set_draw_target(ProgressDrawTarget::hidden());
            let _ = std::io::stderr().lock().write_all(figures().line().as_bytes());
        } else {
            self.show(figures());
        }
        result
    }

    fn show(&self, progress: Progress) {
        match &self.progress {
            Meter::Bar(bar) => {
                bar.set_length(progress.planned);
                bar.set_position(progress.done);
                bar.set_message(progress.tail());
            }
            Meter::Lines(out) => write_all(out, &progress.line()),
            Meter::None => {}
        }
    }
}

struct Since {
    time: Timestamp,
    requests: u64,
}

fn write_all(out: &Mutex<Box<dyn Write + Send>>, text: &str) {
    let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
