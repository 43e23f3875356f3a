//! Topics by their names: which index a topic has, found without a copy of its name.
//!
//! A table that grows moves everything that is in it, while publishers wait for the hub's lock. So
//! there are many tables, by a part of the name's hash, each of which is small even when there are
//! very many topics.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::topic::Topic;

const TABLES: usize = 64;
/// A table with room for more is made smaller when it is nearly empty.
const CAPACITY_MIN: usize = 64;

/// Indices of topics, which somebody else keeps.
pub(super) struct Names {
    /// Names are a client's choice, so the hash is keyed.
    keys: RandomState,
    tables: Box<[HashTable<u32>; TABLES]>,
}

impl Default for Names {
    fn default() -> Names {
        let tables = Box::new([const { HashTable::new() }; TABLES]);
        Names { keys: RandomState::new(), tables }
    }
}

impl Names {
    /// The index of a name; `name_of` says which name an index has.
    #[inline]
    pub(super) fn find<'a>(&self, name: &Topic, name_of: impl Fn(u32) -> &'a Topic) -> Option<u32> {
        let hash = self.keys.hash_one(name);
        let found = self.tables[table_of(hash)].find(hash, |&index| name_of(index) == name);
        found.copied()
    }

    /// Takes the index of a name that has none.
    pub(super) fn insert<'a>(
        &mut self,
        name: &Topic,
        index: u32,
        name_of: impl Fn(u32) -> &'a Topic,
    ) {
        let Names { keys, tables } = self;
        let hash = keys.hash_one(name);
        let hash_of = |&index: &u32| keys.hash_one(name_of(index));
        tables[table_of(hash)].insert_unique(hash, index, hash_of);
    }

    /// Drops the index of a name. `name_of` is asked about others only.
    pub(super) fn remove<'a>(
        &mut self,
        name: &Topic,
        index: u32,
        name_of: impl Fn(u32) -> &'a Topic,
    ) {
        let Names { keys, tables } = self;
        let hash = keys.hash_one(name);
        let table = &mut tables[table_of(hash)];
        if let Ok(entry) = table.find_entry(hash, |&other| other == index) {
            entry.remove();
        }
        if table.capacity() > CAPACITY_MIN && table.len() < table.capacity() / 8 {
            table.shrink_to(table.len() * 2, |&index| keys.hash_one(name_of(index)));
        }
    }
}

/// Neither the bits that choose a place in a table, nor those that are compared there.
fn table_of(hash: u64) -> usize {
    (hash >> 32) as usize % TABLES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_index_and_tables_are_small_whoever_comes_and_goes() {
        let names: Vec<Topic> =
            (0..50_000).map(|n| Topic::new(&format!("t/{n}")).unwrap()).collect();
        let name_of = |index: u32| &names[index as usize];
        let mut all = Names::default();
        (0..50_000).for_each(|index| all.insert(name_of(index), index, name_of));
        assert!((0..50_000).all(|index| all.find(name_of(index), name_of) == Some(index)));
        assert!(all.tables.iter().all(|table| table.capacity() < 4_000));
        for index in (0..50_000).filter(|index| index % 100 > 0) {
            all.remove(name_of(index), index, name_of);
        }
        let is_there = |index: u32| all.find(name_of(index), name_of) == Some(index);
        assert!((0..50_000).all(|index| is_there(index) == index.is_multiple_of(100)));
        assert!(all.tables.iter().all(|table| table.capacity() <= 8 * 64));
    }
}
