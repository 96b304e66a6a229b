//! A value that others wait on.

use std::pin::pin;
use std::sync::Mutex;

use tokio::sync::Notify;

/// A value and who waits for it to change. They go on in the order in which they came: a watch channel wakes its receivers in
/// an order of its own dice, and a seed would not reproduce its run.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T: Copy> Watched<T> {
    /// Begins with this value.
    pub(crate) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Notify::new() }
    }

    /// The value.
    pub(crate) fn get(&self) -> T {
        *self.value.lock().unwrap()
    }

    /// Changes the value.
    pub(crate) fn set(&self, value: T) {
        *self.value.lock().unwrap() = value;
        self.changed.notify_waiters();
    }

    /// Waits for a value that is as asked, and answers it.
    pub(crate) async fn until(&self, is: impl Fn(T) -> bool) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            // From here on no change is missed, before the value is looked at.
            changed.as_mut().enable();
            let value = self.get();
            if is(value) {
                return value;
            }
            changed.await;
        }
    }
}
