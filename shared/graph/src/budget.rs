//! The bytes of all pages of this process, out of one budget.
//!
//! A page takes a small share before it is asked for, which nearly every page fits in. One that does not waits for the
//! one large share there is. A holder of the large share waits for nobody, and a holder of a small share waits for it
//! alone, so there is always somebody who can finish, and no input makes the process hold more than
//! `in flight * small + cap`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a page may hold before it needs the large share: twice a page of 100 interactions at their usual size.
pub(crate) const SMALL_SHARE: usize = 1 << 20;

/// The most a page may hold, decoded: seventy times a usual page, and small enough for the smallest function.
pub(crate) const PAGE_CAP: usize = 32 << 20;

/// The bytes that all pages of one process may hold.
#[derive(Debug)]
pub struct ByteBudget {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    in_use: AtomicUsize,
    peak: AtomicUsize,
    limit: usize,
}

/// What one page holds of the budget, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<ByteBudget>,
    bytes: usize,
    large: Option<OwnedSemaphorePermit>,
    _small: OwnedSemaphorePermit,
}

impl ByteBudget {
    /// The budget of a process with so many requests in flight.
    pub(crate) fn new(in_flight: usize) -> Self {
        let in_flight = in_flight.min(Semaphore::MAX_PERMITS);
        Self {
            small: Arc::new(Semaphore::new(in_flight)),
            large: Arc::new(Semaphore::new(1)),
            in_use: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            limit: in_flight.saturating_mul(SMALL_SHARE).saturating_add(PAGE_CAP),
        }
    }

    /// The most that can be held at once.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// What all pages hold now.
    pub fn in_use(&self) -> usize {
        self.in_use.load(Relaxed)
    }

    /// The most they ever held at once.
    pub fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }

    /// Waits for a small share; `None` never happens while the budget lives.
    pub(crate) async fn share(self: &Arc<Self>) -> Option<Share> {
        let permit = Arc::clone(&self.small).acquire_owned().await.ok()?;
        Some(Share { budget: Arc::clone(self), bytes: 0, large: None, _small: permit })
    }
}

impl Share {
    /// Whether this many bytes need the large share, which is not held yet.
    pub(crate) const fn must_grow_for(&self, bytes: usize) -> bool {
        bytes > SMALL_SHARE && self.large.is_none()
    }

    /// Waits for the large share.
    pub(crate) async fn grow(&mut self) {
        self.large = Arc::clone(&self.budget.large).acquire_owned().await.ok();
    }

    /// Notes that the page holds this many bytes now.
    pub(crate) fn hold(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        if bytes >= before {
            let in_use = self.budget.in_use.fetch_add(bytes - before, Relaxed) + (bytes - before);
            self.budget.peak.fetch_max(in_use, Relaxed);
        } else {
            self.budget.in_use.fetch_sub(before - bytes, Relaxed);
        }
    }

    /// Gives everything but the small share back, before the page is asked for again.
    pub(crate) fn shrink(&mut self) {
        self.hold(0);
        self.large = None;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.hold(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pages_of_any_size_finish_within_the_budget() {
        let budget = Arc::new(ByteBudget::new(4));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..40_usize {
            let budget = Arc::clone(&budget);
            tasks.spawn(async move {
                let mut share = budget.share().await.unwrap();
                let size = if n % 2 == 0 { PAGE_CAP } else { SMALL_SHARE };
                for held in (0..=size).step_by(SMALL_SHARE) {
                    if share.must_grow_for(held) {
                        share.grow().await;
                    }
                    share.hold(held);
                    tokio::task::yield_now().await;
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert_eq!(budget.in_use(), 0);
        assert!(budget.peak() > PAGE_CAP);
        assert!(budget.peak() <= budget.limit(), "{} of {}", budget.peak(), budget.limit());
    }
}
