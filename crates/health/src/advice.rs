//! What checks say of a server beside whether it is well: its share, and what is to be done with it.

use units::{AdminState, Share, Weight};

/// What a probe's answer says beside; what it leaves out stays as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// Its share.
    pub share: Option<Share>,
    /// What is to be done with it.
    pub admin: Option<AdminState>,
}

impl Advice {
    /// Nothing is said.
    pub const NONE: Advice = Advice { share: None, admin: None };

    /// This, with what `newer` says in place of what it said before.
    #[must_use]
    pub fn or_as(self, newer: Advice) -> Advice {
        Advice { share: newer.share.or(self.share), admin: newer.admin.or(self.admin) }
    }
}

/// What all checks of a server say together: the least share that one of them says, and the strictest of what is to be
/// done with it.
pub fn advise(configured: Weight, said: impl IntoIterator<Item = Advice>) -> (Option<Weight>, AdminState) {
    let (mut weight, mut admin) = (None::<Weight>, AdminState::Ready);
    for advice in said {
        let own = advice.share.map(|share| share.of(configured));
        weight = weight.into_iter().chain(own).min();
        admin = admin.stricter(advice.admin.unwrap_or(AdminState::Ready));
    }
    (weight, admin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_stays_and_of_several_checks_the_strictest_counts() {
        let share = |number| Advice { share: Some(Share::Number(number)), admin: None };
        let admin = |state| Advice { share: None, admin: Some(state) };
        let both = share(4).or_as(admin(AdminState::Drain));
        assert_eq!(both, Advice { share: Some(Share::Number(4)), admin: Some(AdminState::Drain) });
        assert_eq!(both.or_as(share(2)).share, Some(Share::Number(2)));
        assert_eq!(both.or_as(Advice::NONE), both);

        let advised = |said: &[Advice]| advise(Weight::new(10), said.iter().copied());
        assert_eq!(advised(&[]), (None, AdminState::Ready));
        assert_eq!(advised(&[Advice::NONE, share(20)]), (Some(Weight::new(20)), AdminState::Ready));
        assert_eq!(
            advised(&[share(20), Advice { share: Some(Share::Percent(50)), admin: None }]).0,
            Some(Weight::new(5))
        );
        for (one, other, expected) in [
            (AdminState::Ready, AdminState::Drain, AdminState::Drain),
            (AdminState::Maintenance, AdminState::Drain, AdminState::Maintenance),
            (AdminState::Ready, AdminState::Ready, AdminState::Ready),
        ] {
            assert_eq!(advised(&[admin(one), admin(other)]).1, expected);
        }
    }
}
