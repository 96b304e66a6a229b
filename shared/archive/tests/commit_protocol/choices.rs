//! Every sequence of choices, depth first.

/// Replays a sequence of choices and goes on from its end with the first option each time.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    /// What was chosen, of how many options.
    taken: Vec<(usize, usize)>,
    made: usize,
}

impl Choices {
    /// One of so many options, of which there is at least one.
    pub(crate) fn choose(&mut self, options: usize) -> usize {
        if self.is_new() {
            self.taken.push((0, options));
        }
        let (chosen, of) = self.taken[self.made];
        assert_eq!(of, options, "a run is not the same when it is made again");
        self.made += 1;
        chosen
    }

    /// Whether the next choice was never made before.
    pub(crate) fn is_new(&self) -> bool {
        self.made == self.taken.len()
    }

    /// Goes back to the last choice that has an option left, and takes that. `false` when all sequences were made.
    pub(crate) fn next_sequence(&mut self) -> bool {
        self.taken.truncate(self.made);
        self.made = 0;
        while let Some((chosen, options)) = self.taken.pop() {
            if chosen + 1 < options {
                self.taken.push((chosen + 1, options));
                return true;
            }
        }
        false
    }

    /// What was chosen so far in this run, to make it again by.
    pub(crate) fn trace(&self) -> Vec<usize> {
        self.taken[..self.made].iter().map(|(chosen, _)| *chosen).collect()
    }
}

#[test]
fn every_sequence_is_made_once() {
    let mut choices = Choices::default();
    let mut sequences = Vec::new();
    loop {
        let first = choices.choose(3);
        let second = if first == 1 { choices.choose(2) } else { 0 };
        sequences.push((first, second));
        if !choices.next_sequence() {
            break;
        }
    }
    assert_eq!(sequences, [(0, 0), (1, 0), (1, 1), (2, 0)]);
}
