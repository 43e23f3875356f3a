//! The members of an audience that are caught up with it: who had the current batch, and who has
//! yet to get it.
//!
//! ```text
//!   keys:  [ 7  2  9 | 4  1  8 ]
//!            had it    ^ had: the next one to send to
//! ```
//!
//! A connection can leave or join in the middle of a pass, in constant time: the two parts are
//! kept together by moving at most two others, whose new places are reported.

/// Slab indices of connections, in two parts.
#[derive(Default)]
pub(crate) struct Members {
    keys: Vec<u32>,
    had: usize,
}

impl Members {
    /// Begins a pass: nobody has had the new batch.
    pub(crate) fn begin(&mut self) {
        self.had = 0;
    }

    /// Who gets the current batch next.
    pub(crate) fn next(&self) -> Option<u32> {
        self.keys.get(self.had).copied()
    }

    /// The next so many who get the current batch, or fewer.
    pub(crate) fn upcoming(&self, count_max: usize) -> &[u32] {
        let rest = &self.keys[self.had..];
        &rest[..rest.len().min(count_max)]
    }

    /// The next one has had it.
    pub(crate) fn advance(&mut self) {
        self.had += 1;
    }

    /// How many are to get the current batch.
    pub(crate) fn left(&self) -> usize {
        self.keys.len() - self.had
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether whoever is at this place has had the current batch.
    pub(crate) fn has_had(&self, place: u32) -> bool {
        (place as usize) < self.had
    }

    /// Takes in a member who needs nothing of what was gathered so far.
    pub(crate) fn join(&mut self, key: u32, mut moved: impl FnMut(u32, u32)) -> u32 {
        self.keys.push(key);
        let (place, last) = (self.had, self.keys.len() - 1);
        if place != last {
            self.keys.swap(place, last);
            moved(self.keys[last], last as u32);
        }
        self.had += 1;
        place as u32
    }

    /// Lets a member go.
    pub(crate) fn leave(&mut self, place: u32, mut moved: impl FnMut(u32, u32)) {
        let mut hole = place as usize;
        if hole < self.had {
            self.had -= 1;
            if hole != self.had {
                self.keys[hole] = self.keys[self.had];
                moved(self.keys[hole], hole as u32);
                hole = self.had;
            }
        }
        self.keys.swap_remove(hole);
        if let Some(&key) = self.keys.get(hole) {
            moved(key, hole as u32);
        }
        if self.keys.capacity() > 64 && self.keys.len() < self.keys.capacity() / 4 {
            self.keys.shrink_to(self.keys.len() * 2);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Every sequence of joins, leaves and sends keeps the two parts and all places right.
    #[test]
    fn places_and_parts_stay_right_whoever_comes_and_goes() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let mut members = Members::default();
            let mut places = BTreeMap::new();
            let mut had = BTreeSet::new();
            for key in 0..200 {
                match random.u32(..10) {
                    0..4 => {
                        let mut moves = Vec::new();
                        let place = members.join(key, |k, p| moves.push((k, p)));
                        places.extend(moves);
                        places.insert(key, place);
                        had.insert(key);
                    }
                    4..6 if !places.is_empty() => {
                        let nth = random.usize(..places.len());
                        let (&key, &place) = places.iter().nth(nth).unwrap();
                        assert_eq!(members.has_had(place), had.contains(&key));
                        let mut moves = Vec::new();
                        members.leave(place, |k, p| moves.push((k, p)));
                        places.remove(&key);
                        had.remove(&key);
                        places.extend(moves);
                    }
                    6 if members.next().is_none() => {
                        members.begin();
                        had.clear();
                    }
                    _ => {
                        if let Some(next) = members.next() {
                            assert!(had.insert(next), "nobody is sent a batch twice");
                            members.advance();
                        }
                    }
                }
                assert_eq!(members.keys.len(), places.len());
                for (&key, &place) in &places {
                    assert_eq!(members.keys[place as usize], key);
                    assert_eq!(members.has_had(place), had.contains(&key));
                }
            }
        }
    }
}
