//! In what pieces a window is read. Pure: it knows no clock, no Graph and no archive.

use std::cmp::Ordering;

use domain::{Failure, Timestamp, Window};
use jiff::SignedDuration;

/// Pages that one piece may have. A piece is what a killed attempt repeats: at 0.7 s a page this is half a minute.
const PAGES: u64 = 50;

/// Pages of the first question of a history run, which asks for the whole remaining range: light users are done with it,
/// and it costs heavy users little.
const PAGES_OF_FIRST_HISTORY_QUESTION: u64 = 4;

/// Pages that a piece may have that cannot be halved: more than 20,000 items of three seconds are pages without end.
const PAGES_OF_ONE_SECOND: u64 = 200;

/// Pages that a whole history may have in a tenant that refuses the date filter, where it is one piece.
const PAGES_WITHOUT_FILTER: u64 = 10_000;

/// One-second pieces that may fail in a row. The questions are widened, so one bad item breaks up to five.
const FAILED_SECONDS: u32 = 8;

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// From which end a window is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Every kind but history: coverage grows upwards.
    OldestFirst,
    /// History: coverage grows downwards.
    NewestFirst,
}

/// A part of the window, to be asked for next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) window: Window,
    /// With more pages than these it is given back by [`Pieces::cut`].
    pub(crate) page_limit: u64,
}

/// A window in the course of being read.
#[derive(Debug)]
pub(crate) struct Pieces {
    whole: Window,
    order: Order,
    divisible: bool,
    /// Read to their end from the window's beginning (in `order`) on, without a gap.
    in_order: Option<Window>,
    /// Read to their end beyond a piece that failed. Disjoint.
    beyond: Vec<Window>,
    /// Everything before it (in `order`) is read or has failed in this attempt.
    position: Timestamp,
    /// The length to try next; none before the first piece.
    length: Option<SignedDuration>,
    failed: Option<Failure>,
    failed_seconds: u32,
}

impl Pieces {
    /// A window of which the run's earlier attempts have read `in_order` and `beyond`, and which goes on at its end of the
    /// pieces read in order.
    pub(crate) fn new(
        whole: Window,
        order: Order,
        divisible: bool,
        in_order: Option<Window>,
        beyond: Vec<Window>,
        length: Option<SignedDuration>,
    ) -> Self {
        let start = match order {
            Order::OldestFirst => whole.from(),
            Order::NewestFirst => whole.to(),
        };
        let mut pieces = Self {
            whole,
            order,
            divisible,
            in_order,
            beyond,
            position: start,
            length,
            failed: None,
            failed_seconds: 0,
        };
        if let Some(read) = in_order {
            pieces.position = pieces.far_end(read);
        }
        pieces.skip_what_is_read();
        pieces
    }

    /// The piece to ask for; none when the window is at its end or given up.
    pub(crate) fn next(&self) -> Option<Piece> {
        if self.failed_seconds >= FAILED_SECONDS {
            return None;
        }
        let rest = self.rest()?;
        if !self.divisible {
            return Some(Piece { window: rest, page_limit: PAGES_WITHOUT_FILTER });
        }
        let window = match (self.length, self.order) {
            (None, _) => rest,
            (Some(length), Order::OldestFirst) => rest.oldest(length),
            (Some(length), Order::NewestFirst) => rest.newest(length),
        };
        let page_limit = if window.length() <= SECOND {
            PAGES_OF_ONE_SECOND
        } else if self.length.is_none() && self.order == Order::NewestFirst {
            PAGES_OF_FIRST_HISTORY_QUESTION
        } else {
            PAGES
        };
        Some(Piece { window, page_limit })
    }

    /// The piece was read to its end, and everything it showed is in the archive.
    pub(crate) fn read(&mut self, piece: Piece) {
        self.length = Some(piece.window.length().checked_mul(2).unwrap_or(SignedDuration::MAX));
        self.failed_seconds = 0;
        if self.failed.is_none() {
            self.in_order = Some(self.in_order.and_then(|read| read.joined(piece.window)).unwrap_or(piece.window));
        } else {
            self.beyond.push(piece.window);
        }
        self.position = self.far_end(piece.window);
        self.skip_what_is_read();
    }

    /// The piece was not read to its end, for a reason that is not its own (time), or has more pages than its limit: it is
    /// asked for again at half its length. `false` if it cannot be halved.
    pub(crate) fn cut(&mut self, piece: Piece) -> bool {
        if !self.divisible || piece.window.length() <= SECOND {
            return false;
        }
        self.length = Some(half(piece.window.length()));
        true
    }

    /// The piece failed: half of it is tried next, and one that cannot be halved is passed over.
    pub(crate) fn fail(&mut self, piece: Piece, failure: Failure) {
        if self.cut(piece) {
            return;
        }
        self.failed_seconds += 1;
        let failure = if self.failed_seconds >= FAILED_SECONDS { Failure::GivenUp } else { failure };
        // The first failure is what the receipt names, but that a window was given up tells more.
        if self.failed.is_none() || failure == Failure::GivenUp {
            self.failed = Some(failure);
        }
        self.length = Some(SECOND);
        self.position = self.far_end(piece.window);
        self.skip_what_is_read();
    }

    /// The window cannot be read, whatever the piece.
    pub(crate) fn abandon(&mut self, failure: Failure) {
        self.failed = Some(failure);
        self.failed_seconds = FAILED_SECONDS;
    }

    /// The first failure, which coverage ends before.
    pub(crate) fn failed(&self) -> Option<Failure> {
        self.failed
    }

    /// What was read in order, as one window.
    pub(crate) fn in_order(&self) -> Option<Window> {
        self.in_order
    }

    /// What was read beyond a failed piece.
    pub(crate) fn beyond(&self) -> &[Window] {
        &self.beyond
    }

    /// The length to try next.
    pub(crate) fn length(&self) -> Option<SignedDuration> {
        self.length
    }

    /// What lies between the position and the window's end, or the next part that is read already.
    fn rest(&self) -> Option<Window> {
        match self.order {
            Order::OldestFirst => {
                let next_read = self.beyond.iter().map(|read| read.from()).filter(|from| *from > self.position).min();
                Window::new(self.position, next_read.unwrap_or(self.whole.to())).ok()
            }
            Order::NewestFirst => {
                let next_read = self.beyond.iter().map(|read| read.to()).filter(|to| *to < self.position).max();
                Window::new(next_read.unwrap_or(self.whole.from()), self.position).ok()
            }
        }
    }

    /// Moves over parts that an earlier attempt read. While nothing has failed they join what was read in order.
    fn skip_what_is_read(&mut self) {
        while let Some(index) = self.beyond.iter().position(|read| {
            self.order_of(self.near_end(*read), self.position) != Ordering::Greater
                && self.order_of(self.far_end(*read), self.position) == Ordering::Greater
        }) {
            let read = self.beyond[index];
            self.position = self.far_end(read);
            if self.failed.is_none() {
                self.beyond.remove(index);
                self.in_order = Some(self.in_order.and_then(|known| known.joined(read)).unwrap_or(read));
            }
        }
    }

    fn near_end(&self, window: Window) -> Timestamp {
        match self.order {
            Order::OldestFirst => window.from(),
            Order::NewestFirst => window.to(),
        }
    }

    fn far_end(&self, window: Window) -> Timestamp {
        match self.order {
            Order::OldestFirst => window.to(),
            Order::NewestFirst => window.from(),
        }
    }

    fn order_of(&self, a: Timestamp, b: Timestamp) -> Ordering {
        match self.order {
            Order::OldestFirst => a.cmp(&b),
            Order::NewestFirst => b.cmp(&a),
        }
    }
}

/// Half of it in whole seconds, at least one: pieces then begin and end where the questions do.
fn half(length: SignedDuration) -> SignedDuration {
    SignedDuration::from_secs((length.as_secs() / 2).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn window(from: i64, to: i64) -> Window {
        Window::new(at(from), at(to)).unwrap()
    }

    fn fresh(order: Order) -> Pieces {
        Pieces::new(window(0, 64), order, true, None, vec![], None)
    }

    /// Reads everything, where the seconds of `bad` break every piece that holds them. Returns the pieces asked for.
    fn run(pieces: &mut Pieces, bad: &[i64], at_most: usize) -> Vec<Window> {
        let mut asked = Vec::new();
        while let Some(piece) = pieces.next() {
            asked.push(piece.window);
            assert!(asked.len() <= at_most, "no end: {asked:?}");
            if bad.iter().any(|second| piece.window.holds(at(*second))) {
                pieces.fail(piece, Failure::BadPage);
            } else {
                pieces.read(piece);
            }
        }
        asked
    }

    #[test]
    fn a_window_without_trouble_is_one_piece() {
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let mut pieces = fresh(order);
            assert_eq!(run(&mut pieces, &[], 1), [window(0, 64)]);
            assert_eq!(pieces.in_order(), Some(window(0, 64)));
        }
    }

    #[test]
    fn a_piece_with_too_many_pages_is_halved_and_doubles_again() {
        let mut pieces = fresh(Order::OldestFirst);
        assert!(pieces.cut(pieces.next().unwrap()));
        assert!(pieces.cut(pieces.next().unwrap()));
        assert_eq!(run(&mut pieces, &[], 9), [window(0, 16), window(16, 48), window(48, 64)]);
        let mut pieces = fresh(Order::NewestFirst);
        assert!(pieces.cut(pieces.next().unwrap()));
        assert!(pieces.cut(pieces.next().unwrap()));
        assert_eq!(run(&mut pieces, &[], 9), [window(48, 64), window(16, 48), window(0, 16)]);
        assert_eq!(pieces.in_order(), Some(window(0, 64)));
    }

    #[test]
    fn everything_but_a_bad_second_is_read_and_coverage_ends_before_it() {
        for (order, covered) in [(Order::OldestFirst, window(0, 20)), (Order::NewestFirst, window(21, 64))] {
            let mut pieces = fresh(order);
            run(&mut pieces, &[21], 40);
            assert_eq!(pieces.failed(), Some(Failure::BadPage));
            assert_eq!(pieces.in_order(), Some(covered), "{order:?}");
            for second in (1..=64).filter(|second| *second != 21) {
                let read = covered.holds(at(second)) || pieces.beyond().iter().any(|read| read.holds(at(second)));
                assert!(read, "{order:?}: second {second}");
            }
            assert!(!pieces.beyond().iter().any(|read| read.holds(at(21))));
        }
    }

    #[test]
    fn a_further_attempt_asks_only_for_what_failed_and_then_covers_everything() {
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let mut first = fresh(order);
            run(&mut first, &[21], 40);
            let mut second =
                Pieces::new(window(0, 64), order, true, first.in_order(), first.beyond().to_vec(), first.length());
            assert_eq!(run(&mut second, &[], 2), [window(20, 21)], "{order:?}");
            assert_eq!(second.in_order(), Some(window(0, 64)));
            assert!(second.beyond().is_empty());
            assert_eq!(second.failed(), None);
        }
    }

    #[test]
    fn eight_bad_seconds_in_a_row_are_given_up_and_seven_are_not() {
        let mut pieces = fresh(Order::OldestFirst);
        run(&mut pieces, &[11, 12, 13, 14, 15, 16, 17], 60);
        assert_eq!(pieces.failed(), Some(Failure::BadPage));
        assert!(pieces.beyond().iter().any(|read| read.holds(at(64))));
        let mut pieces = fresh(Order::OldestFirst);
        run(&mut pieces, &[11, 12, 13, 14, 15, 16, 17, 18], 60);
        assert_eq!(pieces.failed(), Some(Failure::GivenUp));
        assert_eq!(pieces.in_order(), Some(window(0, 10)));
    }

    #[test]
    fn without_a_date_filter_the_window_is_one_piece_whatever_happens() {
        let mut pieces = Pieces::new(window(0, 64), Order::OldestFirst, false, None, vec![], None);
        let piece = pieces.next().unwrap();
        assert!(!pieces.cut(piece));
        assert_eq!(pieces.next(), Some(piece));
        pieces.fail(piece, Failure::ServerError);
        assert_eq!((pieces.next(), pieces.failed()), (None, Some(Failure::ServerError)));
    }

    #[test]
    fn what_cannot_be_read_at_all_is_not_asked_for_in_pieces() {
        let mut pieces = fresh(Order::OldestFirst);
        pieces.abandon(Failure::BadRequest);
        assert_eq!((pieces.next(), pieces.failed()), (None, Some(Failure::BadRequest)));
    }

    #[test]
    fn the_first_question_of_history_may_have_few_pages() {
        assert_eq!(fresh(Order::NewestFirst).next().unwrap().page_limit, PAGES_OF_FIRST_HISTORY_QUESTION);
        assert_eq!(fresh(Order::OldestFirst).next().unwrap().page_limit, PAGES);
    }
}
