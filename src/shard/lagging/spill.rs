//! Events that are kept for laggards outside of their audiences' queues: lists of frames, shared by
//! all laggards that need the same.
//!
//! A list costs a few bytes an event. An event's own bytes are counted once, in however many lists
//! it is, since that is what it takes.

use rustc_hash::FxHashMap;
use slab::Slab;

use crate::frame::Frame;
use crate::order::EVENT_BYTES;

#[derive(Default)]
pub(in crate::shard) struct Spill {
    lists: Slab<List>,
    /// In how many lists each event is, by the address of its frame: an event in an envelope is
    /// kept besides the same event without one.
    kept: FxHashMap<usize, u32>,
    bytes: usize,
}

struct List {
    frames: Box<[Frame]>,
    holders: u32,
}

/// A laggard's share in a list: what is before `from` it was sent.
#[derive(Clone, Copy)]
pub(in crate::shard) struct Share {
    pub(in crate::shard) list: u32,
    pub(in crate::shard) from: usize,
}

/// What an event takes while it is kept.
pub(in crate::shard) fn kept_bytes(frame: &Frame) -> usize {
    frame.plain().len() + EVENT_BYTES
}

impl Spill {
    /// Adds a list with one holder.
    pub(in crate::shard) fn put(&mut self, frames: Vec<Frame>) -> u32 {
        self.bytes += size_of_val(&*frames);
        for frame in &frames {
            let lists = self.kept.entry(frame.address()).or_default();
            self.bytes += if *lists == 0 { kept_bytes(frame) } else { 0 };
            *lists += 1;
        }
        self.lists.insert(List { frames: frames.into_boxed_slice(), holders: 1 }) as u32
    }

    /// Whether there is such a list, and it has exactly these events.
    pub(in crate::shard) fn has(&self, list: u32, frames: &[Frame]) -> bool {
        let list = self.lists.get(list as usize).map(|list| list.frames.iter());
        list.is_some_and(|list| list.map(Frame::address).eq(frames.iter().map(Frame::address)))
    }

    /// A list has one more holder.
    pub(in crate::shard) fn share(&mut self, list: u32) {
        self.lists[list as usize].holders += 1;
    }

    /// A list has one holder less; it is dropped with its last one.
    pub(in crate::shard) fn unref(&mut self, list: u32) {
        let holders = &mut self.lists[list as usize].holders;
        *holders -= 1;
        if *holders > 0 {
            return;
        }
        let list = self.lists.remove(list as usize);
        self.bytes -= size_of_val(&*list.frames);
        for frame in &list.frames {
            let lists = self.kept.get_mut(&frame.address()).expect("it is in this list");
            *lists -= 1;
            if *lists == 0 {
                self.kept.remove(&frame.address());
                self.bytes -= kept_bytes(frame);
            }
        }
        if self.lists.is_empty() {
            *self = Spill::default();
        }
    }

    pub(in crate::shard) fn frames(&self, list: u32) -> &[Frame] {
        &self.lists[list as usize].frames
    }

    /// How many events a batch of at most `bytes_max` bytes has from an index of a list on; one
    /// event at least.
    pub(in crate::shard) fn batch_events(&self, share: Share, bytes_max: usize) -> usize {
        let mut bytes = 0;
        let within = |frame: &&Frame| {
            bytes += frame.plain().len();
            bytes <= bytes_max
        };
        self.frames(share.list)[share.from..].iter().take_while(within).count().max(1)
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
    use std::ops::Range;

    fn frames(sequences: Range<u64>) -> Vec<Frame> {
        let epoch = Epoch::random();
        let frame = |sequence| {
            let draft =
                Draft::encode(&Event::new("x".repeat(100)).with_id("custom"), 1_000).unwrap();
            draft.stamp(epoch, sequence, sequence)
        };
        sequences.map(frame).collect()
    }

    #[test]
    fn an_event_is_counted_once_in_however_many_lists_it_is() {
        let mut spill = Spill::default();
        let all = frames(0..10);
        let (one, in_list) = (kept_bytes(&all[0]), size_of::<Frame>());
        let first = spill.put(all[..6].to_vec());
        assert_eq!(spill.bytes(), 6 * (one + in_list));
        let second = spill.put(all[4..].to_vec());
        assert_eq!(spill.bytes(), 10 * one + 12 * in_list);
        spill.share(first);
        spill.unref(first);
        assert_eq!(spill.frames(first).len(), 6, "another holds it");
        spill.unref(first);
        assert_eq!(spill.bytes(), 6 * (one + in_list));
        assert_eq!(spill.frames(second)[0].sequence(), 4);
        spill.unref(second);
        assert_eq!((spill.bytes(), spill.kept.len(), spill.lists.capacity()), (0, 0, 0));
    }

    #[test]
    fn a_batch_is_as_much_as_the_bytes_allow_and_one_event_at_least() {
        let mut spill = Spill::default();
        let all = frames(0..5);
        let plain = all[0].plain().len();
        let list = spill.put(all);
        let events = |from, bytes_max| spill.batch_events(Share { list, from }, bytes_max);
        assert_eq!(events(0, 3 * plain), 3);
        assert_eq!(events(3, usize::MAX), 2);
        assert_eq!(events(1, plain - 1), 1);
    }
}
