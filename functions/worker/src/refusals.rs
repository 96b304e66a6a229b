//! Refusals in a row: thousands of unlicensed users, or a tenant that refuses us?

use domain::{Class, Failure};

/// Refusals in a row, without a user read in between, that are still believed.
const BELIEVED: usize = 20;

/// The users' classes of one invocation, in the order in which the users ended.
///
/// More refusals in a row than [`BELIEVED`] say nothing about these users, who are failed instead: marking a whole tenant
/// unavailable because a consent was revoked would look like thousands of licences taken away.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    in_a_row: usize,
}

impl Refusals {
    /// Judges users that ended in this order, after those judged before.
    pub(crate) fn judge<'a>(&mut self, classes: impl IntoIterator<Item = &'a mut Class>) {
        let mut row: Vec<&'a mut Class> = Vec::new();
        for class in classes {
            match class {
                Class::Unavailable(reason) if reason.is_refusal() => {
                    self.in_a_row += 1;
                    row.push(class);
                }
                class if class.is_read() => {
                    self.end_row(&mut row);
                    self.in_a_row = 0;
                }
                _ => {}
            }
        }
        self.end_row(&mut row);
    }

    fn end_row(&self, row: &mut Vec<&mut Class>) {
        for class in row.drain(..) {
            if self.in_a_row > BELIEVED {
                *class = Class::Failed(Failure::TenantRefused);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::Unavailability::{NoHistory, NoLicence, Refused};

    use super::*;

    const REFUSED: Class = Class::Failed(Failure::TenantRefused);

    fn judged(mut classes: Vec<Class>) -> Vec<Class> {
        Refusals::default().judge(&mut classes);
        classes
    }

    #[test]
    fn twenty_refusals_in_a_row_are_believed_and_one_more_is_not() {
        let refusals = |n| vec![Class::Unavailable(NoLicence); n];
        assert_eq!(judged(refusals(20)), refusals(20));
        assert_eq!(judged(refusals(21)), vec![REFUSED; 21]);
    }

    #[test]
    fn a_user_that_was_read_ends_the_row_and_others_do_not() {
        let mut classes = vec![Class::Unavailable(Refused); 15];
        classes.push(Class::Empty);
        classes.extend(vec![Class::Unavailable(NoLicence); 15]);
        assert_eq!(judged(classes.clone()), classes);
        classes[15] = Class::Unavailable(NoHistory);
        let after = judged(classes);
        assert_eq!(after.iter().filter(|class| **class == REFUSED).count(), 30);
        assert_eq!(after[15], Class::Unavailable(NoHistory));
    }

    #[test]
    fn a_row_goes_on_from_one_call_to_the_next() {
        let mut refusals = Refusals::default();
        let mut early = vec![Class::Unavailable(NoLicence); 20];
        refusals.judge(&mut early);
        let mut late = Class::Unavailable(NoLicence);
        refusals.judge([&mut late]);
        assert_eq!((early[19], late), (Class::Unavailable(NoLicence), REFUSED));
    }
}
