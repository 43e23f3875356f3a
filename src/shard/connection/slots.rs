//! A slab whose keys carry a generation.
//!
//! The poller may still hold a readiness for a connection that has ended when another connection
//! has its entry already; a queue may still name an audience that is gone. Such a key is stale: its
//! generation is not the entry's.

use std::ops::{Index, IndexMut};

use slab::Slab;

/// Names one entry for as long as it lives, and nothing afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) index: u32,
    /// Never zero. Entries get consecutive generations, so the same pair would come again only
    /// after 2^32 - 1 further insertions.
    pub(crate) generation: u32,
}

pub(crate) struct Slots<T> {
    entries: Slab<(u32, T)>,
    generation: u32,
}

impl Key {
    /// The key as one number, above 2^32.
    pub(crate) fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The reverse of [`Key::to_u64`]; `None` for a number that never was a key.
    pub(crate) fn from_u64(number: u64) -> Option<Key> {
        let (index, generation) = (number as u32, (number >> 32) as u32);
        (generation != 0).then_some(Key { index, generation })
    }
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Slots<T> {
        Slots { entries: Slab::new(), generation: 0 }
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        let index = self.entries.insert((self.generation, value));
        let index = u32::try_from(index).expect("connections_max keeps a slab below 2^24 entries");
        Key { index, generation: self.generation }
    }

    /// Removes what is at an index, which has to be there.
    pub(crate) fn remove(&mut self, index: u32) -> T {
        self.entries.remove(index as usize).1
    }

    /// The entry, unless the key is stale.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.entries.get_mut(key.index as usize) {
            Some((generation, value)) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The entry, unless the key is stale.
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        match self.entries.get(key.index as usize) {
            Some((generation, value)) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// Whatever is at an index now.
    pub(crate) fn at(&self, index: u32) -> Option<&T> {
        self.entries.get(index as usize).map(|(_, value)| value)
    }

    /// What is at an index, which has to be there, and its key.
    #[inline]
    pub(crate) fn entry_mut(&mut self, index: u32) -> (Key, &mut T) {
        let (generation, value) = &mut self.entries[index as usize];
        (Key { index, generation: *generation }, value)
    }

    /// The key of what is at an index, which has to be there.
    pub(crate) fn key_at(&self, index: u32) -> Key {
        Key { index, generation: self.entries[index as usize].0 }
    }

    /// Above every index there is: what a round through all entries ends with.
    pub(crate) fn end(&self) -> u32 {
        // The slab fills vacant entries first, so that its capacity is the largest number of
        // entries at once.
        self.entries.capacity().min(u32::MAX as usize) as u32
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn indices(&self) -> Vec<u32> {
        self.entries.iter().map(|(index, _)| index as u32).collect()
    }

    /// Gives memory back when nothing is left. Entries that are left stay where they are.
    pub(crate) fn shrink(&mut self) {
        if self.entries.is_empty() && self.entries.capacity() > 0 {
            self.entries = Slab::new();
        }
    }
}

impl<T> Index<u32> for Slots<T> {
    type Output = T;

    fn index(&self, index: u32) -> &T {
        &self.entries[index as usize].1
    }
}

impl<T> IndexMut<u32> for Slots<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.entries[index as usize].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing_although_its_entry_is_in_use_again() {
        let mut slots = Slots::new();
        let old = slots.insert("old");
        assert_eq!(slots.remove(old.index), "old");
        let new = slots.insert("new");
        assert_eq!(new.index, old.index);
        assert_eq!(slots.get_mut(old), None);
        assert_eq!(slots.get_mut(new), Some(&mut "new"));
        assert_eq!(Key::from_u64(new.to_u64()), Some(new));
        assert_eq!(Key::from_u64(7), None);
    }

    #[test]
    fn generations_wrap_around_without_zero() {
        let mut slots = Slots::new();
        slots.generation = u32::MAX - 1;
        let last = slots.insert(());
        let first = slots.insert(());
        assert_eq!((last.generation, first.generation), (u32::MAX, 1));
    }
}
