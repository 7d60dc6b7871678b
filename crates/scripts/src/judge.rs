//! When a look's results change one's mind.

/// Looks in a row that it takes; the first look of all decides at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge {
    rise: u32,
    fall: u32,
    /// `None`: nobody has looked yet.
    well: Option<bool>,
    /// Looks in a row that say otherwise.
    against: u32,
}

impl Judge {
    /// One that knows nothing yet, or goes on with what another knew.
    pub(crate) fn new(rise: u32, fall: u32, well: Option<bool>) -> Judge {
        Judge { rise, fall, well, against: 0 }
    }

    /// Takes a look's result. `Some`: the mind is changed to this.
    pub(crate) fn hear(&mut self, passed: bool) -> Option<bool> {
        if self.well == Some(passed) {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        let needed = match self.well {
            None => 1,
            Some(true) => self.fall,
            Some(false) => self.rise,
        };
        if self.against < needed {
            return None;
        }
        self.against = 0;
        self.well = Some(passed);
        self.well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mind after each look: `+` and `-`; `.`: unchanged. In looks `p` passes and `f` fails.
    fn minds(rise: u32, fall: u32, well: Option<bool>, looks: &str) -> String {
        let mut judge = Judge::new(rise, fall, well);
        looks.chars().map(|look| judge.hear(look == 'p').map_or('.', |well| if well { '+' } else { '-' })).collect()
    }

    #[test]
    fn the_first_look_decides_and_then_it_takes_some_in_a_row() {
        assert_eq!(minds(3, 2, None, "pfpffpfppfpppp"), "+...-.......+.");
        assert_eq!(minds(3, 2, None, "fppp"), "-..+");
        assert_eq!(minds(1, 1, None, "pfpf"), "+-+-");
        assert_eq!(minds(2, 3, Some(true), "ppffpfff"), ".......-");
        assert_eq!(minds(2, 3, Some(false), "fpp"), "..+");
    }
}
