//! Events that are set aside for laggards which do not stand in their audience's log any more:
//! lists of frames, shared by all that need the same.
//!
//! A list costs a few bytes an event; the events themselves are counted once, in however many
//! lists they are, since that is what they take.

use std::ops::Range;

use rustc_hash::FxHashMap;
use slab::Slab;

use crate::frame::{Frame, Wire};
use crate::order::EVENT_BYTES;

#[derive(Default)]
pub(in crate::shard) struct Spill {
    lists: Slab<List>,
    /// In how many lists each event is, by its sequence number.
    kept: FxHashMap<u64, u32>,
    bytes: usize,
}

struct List {
    items: Box<[Item]>,
    holders: u32,
}

/// An event of a list, and when it was published, in nanoseconds since the hub's start.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) frame: Frame,
    pub(crate) at_ns: u64,
}

/// A laggard's share in a list.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(in crate::shard) list: u32,
    /// What it is being sent of that in one envelope; what is before it was sent.
    pub(in crate::shard) batch: Range<usize>,
}

impl Item {
    /// What it takes while it is kept.
    pub(in crate::shard) fn bytes(&self) -> usize {
        self.frame.plain().len() + EVENT_BYTES
    }
}

impl Spill {
    /// Takes a list for one holder.
    pub(in crate::shard) fn put(&mut self, items: Vec<Item>) -> u32 {
        self.bytes += size_of_val(&*items);
        for item in &items {
            let lists = self.kept.entry(item.frame.sequence()).or_default();
            self.bytes += if *lists == 0 { item.bytes() } else { 0 };
            *lists += 1;
        }
        self.lists.insert(List { items: items.into_boxed_slice(), holders: 1 }) as u32
    }

    /// Whether there is such a list, and it has these events.
    pub(in crate::shard) fn has(&self, list: u32, items: &[Item]) -> bool {
        let list = self.lists.get(list as usize).map(|list| list.items.iter());
        let sequence = |item: &Item| item.frame.sequence();
        list.is_some_and(|list| list.map(sequence).eq(items.iter().map(sequence)))
    }

    /// One more holds a list.
    pub(in crate::shard) fn share(&mut self, list: u32) {
        self.lists[list as usize].holders += 1;
    }

    /// One holder less; the last one's list goes.
    pub(in crate::shard) fn unref(&mut self, list: u32) {
        let holders = &mut self.lists[list as usize].holders;
        *holders -= 1;
        if *holders > 0 {
            return;
        }
        let list = self.lists.remove(list as usize);
        self.bytes -= size_of_val(&*list.items);
        for item in &list.items {
            let lists = self.kept.get_mut(&item.frame.sequence()).expect("it is in this list");
            *lists -= 1;
            if *lists == 0 {
                self.kept.remove(&item.frame.sequence());
                self.bytes -= item.bytes();
            }
        }
        if self.lists.is_empty() {
            *self = Spill::default();
        }
    }

    pub(in crate::shard) fn items(&self, list: u32) -> &[Item] {
        &self.lists[list as usize].items
    }

    /// How far one gets in a list with so many bytes, and with one event at least.
    pub(in crate::shard) fn reach(&self, list: u32, from: usize, bytes_max: usize) -> usize {
        let mut bytes = 0;
        let within = |item: &&Item| {
            bytes += item.frame.plain().len();
            bytes <= bytes_max
        };
        from + self.items(list)[from..].iter().take_while(within).count().max(1)
    }

    /// The bytes of a share's batch, in their envelope; those of several events are written into a
    /// buffer.
    pub(in crate::shard) fn batch_bytes<'a>(
        &'a self,
        share: &Share,
        wire: Wire,
        buffer: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        let items = &self.items(share.list)[share.batch.clone()];
        Frame::gather(items.iter().map(|item| &item.frame), wire, buffer)
    }

    /// What everything takes together.
    pub(in crate::shard) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::frame::Draft;
    use crate::id::Epoch;

    fn items(sequences: Range<u64>) -> Vec<Item> {
        let epoch = Epoch::random();
        let item = |sequence| {
            let draft = Draft::encode(&Event::new("x".repeat(100)).with_id("own"), 1_000).unwrap();
            Item { frame: draft.stamp(epoch, sequence), at_ns: sequence }
        };
        sequences.map(item).collect()
    }

    #[test]
    fn an_event_is_counted_once_in_however_many_lists_it_is() {
        let mut spill = Spill::default();
        let all = items(0..10);
        let (one, in_list) = (all[0].bytes(), size_of::<Item>());
        let first = spill.put(all[..6].to_vec());
        assert_eq!(spill.bytes(), 6 * (one + in_list));
        let second = spill.put(all[4..].to_vec());
        assert_eq!(spill.bytes(), 10 * one + 12 * in_list);
        spill.share(first);
        spill.unref(first);
        assert_eq!(spill.items(first).len(), 6, "another holds it");
        spill.unref(first);
        assert_eq!(spill.bytes(), 6 * (one + in_list));
        assert_eq!(spill.items(second)[0].frame.sequence(), 4);
        spill.unref(second);
        assert_eq!((spill.bytes(), spill.kept.len(), spill.lists.capacity()), (0, 0, 0));
    }

    #[test]
    fn a_batch_is_as_much_as_the_bytes_allow_and_one_event_at_least() {
        let mut spill = Spill::default();
        let all = items(0..5);
        let plain = all[0].frame.plain().len();
        let list = spill.put(all);
        assert_eq!(spill.reach(list, 0, 3 * plain), 3);
        assert_eq!(spill.reach(list, 3, usize::MAX), 5);
        assert_eq!(spill.reach(list, 1, plain - 1), 2);
        let mut buffer = Vec::new();
        let share = Share { list, batch: 1..3 };
        assert_eq!(spill.batch_bytes(&share, Wire::Plain, &mut buffer).len(), 2 * plain);
    }
}
