//! The members of an audience that keep up with it, in the order in which they are served: the
//! members furthest behind are first, and a member that was sent everything goes to the end.
//!
//! ```text
//!   runs:      40      | 52            | 57
//!   keys:    [ 7  2  9 | 4  -  8  1  3 | 6  5 ]
//!              ^ next to be sent what came after 40
//! ```
//!
//! Neighbours at the same position in the audience's queue form a run, so that a position is kept
//! per run and not per member; at rest all are one run. A member knows its slot, which it is told
//! when it is served. The slot of a member that leaves becomes vacant.

use std::collections::VecDeque;

pub(crate) struct Ring {
    /// Slab indices of connections, or [`VACANT`].
    keys: VecDeque<u32>,
    /// The slot of the first of them; slots are consecutive, and wrap.
    first: u32,
    /// How many of `keys` are vacant; the first never is.
    gone: usize,
    runs: VecDeque<Run>,
    /// No more runs are begun than this, but by members that join: what has to be looked through
    /// stays short.
    runs_max: usize,
}

/// `len` neighbours that were sent all that is before a position of the queue.
struct Run {
    len: usize,
    position: u64,
}

const VACANT: u32 = u32::MAX;

impl Ring {
    pub(crate) fn new(runs_max: usize) -> Ring {
        Ring { keys: VecDeque::new(), first: 0, gone: 0, runs: VecDeque::new(), runs_max }
    }

    /// The position of the members that are furthest behind.
    pub(crate) fn front(&self) -> Option<u64> {
        self.runs.front().map(|run| run.position)
    }

    /// The position that the members in front are to reach at least, if they are sent anything:
    /// positions ascend. When the members at this position leave, it becomes lower.
    pub(crate) fn back(&self) -> Option<u64> {
        self.runs.back().map(|run| run.position)
    }

    /// Whether the members in front are to be sent nothing beyond [`Ring::back`].
    pub(crate) fn has_many_runs(&self) -> bool {
        self.runs.len() >= self.runs_max
    }

    /// Serves the members in front, at most `count_max` of one run: they go to the end, at a new
    /// position. `serve` gets each member and its new slot. Returns how many were served.
    pub(crate) fn serve(
        &mut self,
        to: u64,
        count_max: usize,
        mut serve: impl FnMut(u32, u32),
    ) -> usize {
        let Some(run) = self.runs.front_mut() else { return 0 };
        let (mut passed, mut served) = (0, 0);
        while passed < run.len && served < count_max {
            let Some(key) = self.keys.pop_front() else { break };
            self.first = self.first.wrapping_add(1);
            passed += 1;
            if key == VACANT {
                self.gone -= 1;
                continue;
            }
            self.keys.push_back(key);
            serve(key, self.first.wrapping_add(self.keys.len() as u32 - 1));
            served += 1;
        }
        run.len -= passed;
        if run.len == 0 {
            self.runs.pop_front();
        }
        self.lengthen(to, served);
        self.drop_vacant();
        served
    }

    /// The members that are served next, at most `count`.
    pub(crate) fn upcoming(&self, count: usize) -> impl Iterator<Item = u32> + '_ {
        self.keys.iter().take(count).copied().filter(|&key| key != VACANT)
    }

    /// Puts a member at the end, which needs nothing of what is before a position, and returns its
    /// slot.
    pub(crate) fn put(&mut self, member: u32, position: u64) -> u32 {
        self.keys.push_back(member);
        self.lengthen(position, 1);
        self.first.wrapping_add(self.keys.len() as u32 - 1)
    }

    /// The position of the member at a slot.
    pub(crate) fn position_of(&self, slot: u32) -> u64 {
        let mut before = 0;
        let nth = self.nth(slot);
        let run = self.runs.iter().find(|run| {
            before += run.len;
            nth < before
        });
        run.expect("every member belongs to a run").position
    }

    /// How many members are before a position, with some that have left.
    pub(crate) fn count_before(&self, position: u64) -> usize {
        let before = self.runs.iter().take_while(|run| run.position < position);
        before.map(|run| run.len).sum()
    }

    /// Makes the slot of a member vacant. `moved` gets the members that have another slot then.
    pub(crate) fn leave(&mut self, slot: u32, moved: impl FnMut(u32, u32)) {
        let nth = self.nth(slot);
        self.keys[nth] = VACANT;
        self.gone += 1;
        self.drop_vacant();
        if self.gone > 32 && self.gone > self.keys.len() / 2 {
            self.compact(moved);
        }
        if self.keys.capacity() > 64 && self.keys.len() < self.keys.capacity() / 4 {
            self.keys.shrink_to(self.keys.len() * 2);
        }
        if self.runs.capacity() > 16 && self.runs.len() < self.runs.capacity() / 4 {
            self.runs.shrink_to(self.runs.len() * 2);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len() - self.gone
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn nth(&self, slot: u32) -> usize {
        slot.wrapping_sub(self.first) as usize
    }

    /// `by` more members are at the end, at a position that is not before any other's.
    fn lengthen(&mut self, position: u64, by: usize) {
        match self.runs.back_mut() {
            Some(run) if run.position == position => run.len += by,
            last => {
                debug_assert!(last.is_none_or(|run| run.position < position), "they ascend");
                self.runs.push_back(Run { len: by, position });
            }
        }
    }

    fn drop_vacant(&mut self) {
        while self.keys.front() == Some(&VACANT) {
            self.keys.pop_front();
            self.first = self.first.wrapping_add(1);
            self.gone -= 1;
            let run = self.runs.front_mut().expect("every member belongs to a run");
            run.len -= 1;
            if run.len == 0 {
                self.runs.pop_front();
            }
        }
    }

    /// Removes the vacant slots.
    fn compact(&mut self, mut moved: impl FnMut(u32, u32)) {
        let mut keys = std::mem::take(&mut self.keys).into_iter();
        let mut kept = VecDeque::with_capacity(keys.len() - self.gone);
        for run in &mut self.runs {
            let before = kept.len();
            kept.extend(keys.by_ref().take(run.len).filter(|&key| key != VACANT));
            run.len = kept.len() - before;
        }
        self.runs.retain(|run| run.len > 0);
        self.keys = kept;
        self.gone = 0;
        for (slot, &key) in self.keys.iter().enumerate() {
            moved(key, self.first.wrapping_add(slot as u32));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Whatever members come, leave and are served: each is found at its slot, with its position,
    /// and positions ascend.
    #[test]
    fn slots_and_positions_stay_right_while_members_come_and_go() {
        let mut random = fastrand::Rng::with_seed(7);
        for round in 0..200 {
            let mut ring = Ring { first: u32::MAX - 100, ..Ring::new(4) };
            let (mut end, mut slots, mut positions) = (0, BTreeMap::new(), BTreeMap::new());
            for key in 0..400 {
                match random.u32(..12) {
                    0..5 => {
                        slots.insert(key, ring.put(key, end));
                        positions.insert(key, end);
                    }
                    5..9 if round % 3 > 0 && !slots.is_empty() => {
                        let nth = random.usize(..slots.len());
                        let (&gone, &slot) = slots.iter().nth(nth).unwrap();
                        ring.leave(slot, |key, slot| _ = slots.insert(key, slot));
                        slots.remove(&gone);
                        positions.remove(&gone);
                    }
                    9 => end += 1,
                    _ => {
                        let Some(from) = ring.front().filter(|&from| from < end) else { continue };
                        let furthest = positions.values().min();
                        assert_eq!(Some(&from), furthest, "the members furthest behind are served");
                        let count = random.usize(1..8);
                        let served = ring.serve(end, count, |member, slot| {
                            assert_eq!(positions.insert(member, end), Some(from));
                            slots.insert(member, slot);
                        });
                        assert!(served > 0 && served <= count);
                    }
                }
                assert_eq!(ring.keys.len() - ring.gone, slots.len());
                assert_eq!(ring.runs.iter().map(|run| run.len).sum::<usize>(), ring.keys.len());
                assert!(ring.gone <= 33 + slots.len());
                for (&key, &slot) in &slots {
                    assert_eq!(ring.keys[ring.nth(slot)], key);
                    assert_eq!(ring.position_of(slot), positions[&key]);
                }
            }
        }
    }

    #[test]
    fn memory_shrinks_when_most_members_have_left() {
        let mut ring = Ring::new(4);
        let slots: Vec<u32> = (0..100_000).map(|key| ring.put(key, 0)).collect();
        for &slot in &slots[..99_990] {
            ring.leave(slot, |_, _| {});
        }
        assert!(ring.keys.capacity() <= 64, "{}", ring.keys.capacity());
        assert_eq!(ring.position_of(slots[99_995]), 0);
    }
}
