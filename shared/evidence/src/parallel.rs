//! Several objects at once, their results in order.

use std::panic::resume_unwind;
use std::thread;

/// Objects that are worked on at once: as many as a laptop has cores and a store answers without waiting, and few enough
/// that the files of so many runs fit in memory.
const AT_ONCE: usize = 4;

/// Works on the items, a few at a time, and takes the results in the order of the items; the first error ends it.
pub(crate) fn in_order<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
    mut take: impl FnMut(&T, R),
) -> Result<(), E> {
    let work = &work;
    for items in items.chunks(AT_ONCE) {
        let results: Vec<Result<R, E>> = thread::scope(|scope| {
            let threads: Vec<_> = items.iter().map(|item| scope.spawn(move || work(item))).collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            joined.collect()
        });
        for (item, result) in items.iter().zip(results) {
            take(item, result?);
        }
    }
    Ok(())
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
}
