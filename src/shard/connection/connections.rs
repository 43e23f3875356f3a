//! All connections of a shard: an entry in a slab for what the hot path needs of each, and beside
//! it a record with the rest, at the same index.

use std::io;
use std::ops::{Index, IndexMut};

use crate::shard::connection::pulls::{Outgoing, PullEnd, Pulls};
use crate::shard::connection::record::Record;
use crate::shard::connection::slots::{Key, Slots};
use crate::shard::connection::{Connection, Outlet, Sink, State};

pub(in crate::shard) struct Connections {
    entries: Slots<Connection>,
    records: Vec<Record>,
    /// The queues of those that their hosts read.
    pub(in crate::shard) pulls: Pulls,
}

impl Connections {
    pub(in crate::shard) fn new() -> Connections {
        Connections { entries: Slots::new(), records: Vec::new(), pulls: Pulls::default() }
    }

    pub(in crate::shard) fn insert(&mut self, connection: Connection, record: Record) -> Key {
        let key = self.entries.insert(connection);
        let nth = key.index as usize;
        if nth >= self.records.len() {
            self.records.resize_with(nth + 1, Record::default);
        }
        self.records[nth] = record;
        key
    }

    /// Removes the connection at an index, which has to exist. When it was the last one, the memory
    /// of all is freed.
    pub(in crate::shard) fn remove(&mut self, index: u32) -> (Connection, Record) {
        let connection = self.entries.remove(index);
        if let Sink::Pull(pull) = connection.sink {
            self.pulls.remove(pull);
        }
        let record = std::mem::take(&mut self.records[index as usize]);
        self.entries.shrink();
        if self.entries.is_empty() {
            self.records = Vec::new();
        }
        (connection, record)
    }

    /// The record of the connection at an index.
    #[inline]
    pub(in crate::shard) fn record(&self, index: u32) -> &Record {
        &self.records[index as usize]
    }

    #[inline]
    pub(in crate::shard) fn record_mut(&mut self, index: u32) -> &mut Record {
        &mut self.records[index as usize]
    }

    /// The connection at an index and its record.
    #[inline]
    pub(in crate::shard) fn both_mut(&mut self, index: u32) -> (&mut Connection, &mut Record) {
        (&mut self.entries[index], &mut self.records[index as usize])
    }

    /// Where the bytes of the connection at an index go, its state and its record.
    #[inline]
    pub(in crate::shard) fn parts_mut(
        &mut self,
        index: u32,
    ) -> (Outlet<'_>, &mut State, &mut Record) {
        let Connection { sink, state } = &mut self.entries[index];
        (Outlet { sink, pulls: &self.pulls }, state, &mut self.records[index as usize])
    }

    /// Sends the connection at an index as much as it takes at once.
    pub(in crate::shard) fn send(&mut self, index: u32, bytes: &[u8]) -> io::Result<usize> {
        let (mut outlet, ..) = self.parts_mut(index);
        outlet.send(bytes)
    }

    /// The queue of the connection at an index, if its host reads it.
    pub(in crate::shard) fn pull(&self, index: u32) -> Option<&PullEnd> {
        match self.entries.at(index)?.sink {
            Sink::Pull(pull) => self.pulls.at(pull),
            _ => None,
        }
    }

    /// Sends a member, which has a slot now, as much of a batch as it takes at once.
    #[inline(always)]
    pub(in crate::shard) fn serve(
        &mut self,
        member: u32,
        slot: u32,
        batch: &mut Outgoing<'_>,
    ) -> io::Result<usize> {
        let connection = &mut self.entries[member];
        connection.set_slot(slot);
        connection.sink.send(batch, &self.pulls)
    }

    /// The records of all connections that have a record: after a panic some may have none.
    pub(in crate::shard) fn records(&self) -> impl Iterator<Item = &Record> + '_ {
        self.entries.indices().into_iter().filter_map(|index| self.records.get(index as usize))
    }

    /// The connection, unless the key is stale.
    #[inline]
    pub(in crate::shard) fn get_mut(&mut self, key: Key) -> Option<&mut Connection> {
        self.entries.get_mut(key)
    }

    /// The connection that is at an index now.
    #[inline]
    pub(in crate::shard) fn at(&self, index: u32) -> Option<&Connection> {
        self.entries.at(index)
    }

    /// The key of the connection at an index, which has to be there.
    #[inline]
    pub(in crate::shard) fn key_at(&self, index: u32) -> Key {
        self.entries.key_at(index)
    }

    /// Above every index there is.
    pub(in crate::shard) fn end(&self) -> u32 {
        self.entries.end()
    }

    pub(in crate::shard) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(in crate::shard) fn indices(&self) -> Vec<u32> {
        self.entries.indices()
    }

    /// Loses all records, as a panic may.
    #[cfg(test)]
    pub(in crate::shard) fn lose_records(&mut self) {
        self.records.clear();
    }
}

impl Index<u32> for Connections {
    type Output = Connection;

    #[inline]
    fn index(&self, index: u32) -> &Connection {
        &self.entries[index]
    }
}

impl IndexMut<u32> for Connections {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut Connection {
        &mut self.entries[index]
    }
}
