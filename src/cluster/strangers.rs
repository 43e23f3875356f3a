//! Lives that clients come with and this node does not know. Another node may have read of them a moment before this
//! one; only when this node has read the stream to its end once more they are nobody's, or of another time.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::id::Epoch;

/// The lives that are remembered: those that were met first are forgotten first.
const LIVES_MAX: usize = 64;

#[derive(Default)]
pub(super) struct Strangers(Mutex<Met>);

#[derive(Default)]
struct Met {
    /// When each was met first.
    lives: VecDeque<(Epoch, Instant)>,
    /// When the reader last asked for what is new, and was answered with all of it.
    end: Option<Instant>,
}

impl Strangers {
    /// Whether a life that is not known may be one of which this node is still to read.
    pub(super) fn may_become_known(&self, epoch: Epoch) -> bool {
        let mut met = self.lock();
        if let Some((_, since)) = met.lives.iter().find(|(life, _)| *life == epoch) {
            return met.end.is_none_or(|end| end <= *since);
        }
        if met.lives.len() == LIVES_MAX {
            met.lives.pop_front();
        }
        met.lives.push_back((epoch, Instant::now()));
        true
    }

    /// All was read that was there when the reader asked, at this moment.
    pub(super) fn note_end(&self, asked: Instant) {
        self.lock().end = Some(asked);
    }

    fn lock(&self) -> MutexGuard<'_, Met> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_nobodys_when_the_stream_was_read_to_its_end_after_it_was_met() {
        let (strangers, epoch) = (Strangers::default(), Epoch::random());
        let before = Instant::now();
        assert!(strangers.may_become_known(epoch));
        assert!(strangers.may_become_known(epoch), "nothing was read since");
        strangers.note_end(before);
        assert!(strangers.may_become_known(epoch), "what was asked before it was met says nothing");
        while Instant::now() <= strangers.lock().lives[0].1 {}
        strangers.note_end(Instant::now());
        assert!(!strangers.may_become_known(epoch));
        let others: Vec<Epoch> = (0..LIVES_MAX).map(|_| Epoch::random()).collect();
        assert!(others.iter().all(|&epoch| strangers.may_become_known(epoch)));
        assert_eq!(strangers.lock().lives.len(), LIVES_MAX);
        assert!(strangers.may_become_known(epoch), "it was forgotten, and is met anew");
    }
}
