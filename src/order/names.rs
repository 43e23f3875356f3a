//! The indices of topics by their names, without a copy of the names.
//!
//! A hash table that grows moves all of its entries, while publishers wait for the hub's lock. So
//! there are many tables, chosen by a part of the name's hash, and each is small even when there
//! are very many topics.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::topic::Topic;

const TABLES: usize = 64;
/// A table of more capacity is made smaller when it is nearly empty.
const CAPACITY_MIN: usize = 64;

/// The indices of topics; the caller knows the topics, and is asked for their names.
pub(super) struct Names {
    /// Clients choose names, so the hash is keyed.
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
    /// The index of a name; `name_of` returns the name of an index.
    #[inline]
    pub(super) fn find<'a>(&self, name: &Topic, name_of: impl Fn(u32) -> &'a Topic) -> Option<u32> {
        let hash = self.keys.hash_one(name);
        let found = self.tables[table_of(hash)].find(hash, |&index| name_of(index) == name);
        found.copied()
    }

    /// Adds the index of a name that has none.
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

    /// Removes the index of a name. `name_of` is called with other indices only.
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

/// Uses other bits than those that choose an entry's position in a table and are compared there.
fn table_of(hash: u64) -> usize {
    (hash >> 32) as usize % TABLES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_index_and_tables_stay_small_as_names_are_added_and_removed() {
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
        let is_found = |index: u32| all.find(name_of(index), name_of) == Some(index);
        assert!((0..50_000).all(|index| is_found(index) == index.is_multiple_of(100)));
        assert!(all.tables.iter().all(|table| table.capacity() <= 8 * 64));
    }
}
