//! Shuffle sharding: a flow's hash deals it a hand of distinct queues, so that two flows rarely share all of them.

/// Largest hand; `handSize` is checked against the bits of the hash below.
const HAND_MAX: usize = 32;

/// Deals hands out of a deck of queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dealer {
    deck: u32,
    hand: u32,
}

impl Dealer {
    /// A dealer of `hand` cards out of `deck`; a hand never exceeds its deck.
    #[must_use]
    pub fn new(deck: u32, hand: u32) -> Self {
        let deck = deck.max(1);
        Self { deck, hand: hand.clamp(1, deck).min(HAND_MAX as u32) }
    }

    /// Calls `pick` with each card of the hand that the hash deals: all distinct, each hand as likely as any other.
    pub fn deal(&self, mut hash: u64, mut pick: impl FnMut(u32)) {
        let mut drawn = [0_u32; HAND_MAX];
        for i in 0..self.hand as usize {
            let left = u64::from(self.deck) - i as u64;
            let mut card = (hash % left) as u32;
            hash /= left;
            // The draw counts among the cards that are left: every smaller or equal card drawn before moves it up by one.
            let taken = &drawn[..i];
            let mut at = 0;
            while at < i && taken[at] <= card {
                card += 1;
                at += 1;
            }
            drawn.copy_within(at..i, at + 1);
            drawn[at] = card;
            pick(card);
        }
    }
}
