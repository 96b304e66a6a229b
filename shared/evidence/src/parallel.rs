//! Several objects at once, their results in order.

use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;
use std::thread;

/// Objects that are worked on at once: as many as a laptop has cores and a store answers without waiting, and few enough
/// that the files of so many runs, and of as many that wait to be taken, fit in memory.
const AT_ONCE: usize = 4;

/// Works on the items, a few at a time, and takes the results in the order of the items; the first error ends it. Each
/// thread has every fourth item, and waits when one result of its own has not been taken yet.
pub(crate) fn in_order<'t, T: Sync, R: Send, E: Send>(
    items: &'t [T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
    mut take: impl FnMut(&'t T, R),
) -> Result<(), E> {
    let work = &work;
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for first in 0..AT_ONCE.min(items.len()) {
            let (sender, results) = sync_channel(0);
            let of_thread = items.iter().skip(first).step_by(AT_ONCE);
            // Who waits for no more results ends the threads by dropping its side.
            let thread = scope.spawn(move || of_thread.map(work).try_for_each(|result| sender.send(result)));
            threads.push((Some(thread), results));
        }
        for (place, item) in items.iter().enumerate() {
            let Some((thread, results)) = threads.get_mut(place % AT_ONCE) else { break };
            match results.recv() {
                Ok(result) => take(item, result?),
                // A thread that ends before its last result has panicked.
                Err(_) => match thread.take().map(thread::ScopedJoinHandle::join) {
                    Some(Err(panic)) => resume_unwind(panic),
                    _ => break,
                },
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_up_to_the_first_error() {
        let numbers: Vec<u32> = (0..100).collect();
        let mut taken = Vec::new();
        let work = |number: &u32| if *number == 50 { Err("fifty") } else { Ok(number * 2) };
        assert_eq!(in_order(&numbers, work, |number, double| taken.push((*number, double))), Err("fifty"));
        assert_eq!(taken, (0..50).map(|number| (number, number * 2)).collect::<Vec<_>>());
    }

    #[test]
    fn any_number_of_items_is_taken() {
        for count in 0..=u32::try_from(2 * AT_ONCE + 1).unwrap() {
            let numbers: Vec<u32> = (0..count).collect();
            let mut taken = Vec::new();
            let work = |number: &u32| Ok::<_, ()>(*number);
            in_order(&numbers, work, |_, number| taken.push(number)).unwrap();
            assert_eq!(taken, numbers);
        }
    }

    #[test]
    fn a_panic_of_the_work_is_one_of_the_whole() {
        let numbers: Vec<u32> = (0..100).collect();
        let work = |number: &u32| if *number == 50 { panic!("fifty") } else { Ok::<_, ()>(()) };
        let caught = std::panic::catch_unwind(|| in_order(&numbers, work, |_, ()| {}));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"fifty"));
    }
}
