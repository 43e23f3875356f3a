//! When the cluster's stream is to be cut, and where.

use std::collections::VecDeque;

use super::entry::EntryId;
use super::ClusterOptions;

/// How much the stream has, at some of its entries, so that it can be cut.
#[derive(Default)]
pub(super) struct Marks {
    marks: VecDeque<Mark>,
    items: u64,
    bytes: u64,
}

struct Mark {
    id: EntryId,
    /// What was read up to it.
    items: u64,
    bytes: u64,
}

impl Marks {
    /// Marks in all that is kept.
    const STEPS: u64 = 64;

    pub(super) fn add(&mut self, id: EntryId, items: u32, bytes: usize) {
        self.items += u64::from(items);
        self.bytes += bytes as u64;
        self.marks.push_back(Mark { id, items: self.items, bytes: self.bytes });
    }

    /// From which entry on the stream is to be kept, if it has too much by a step.
    pub(super) fn excess(&mut self, options: &ClusterOptions) -> Option<EntryId> {
        let (events_max, bytes_max) = (options.stream_events_max, options.stream_bytes_max);
        let oldest = self.marks.front()?;
        let items = self.items - oldest.items;
        let bytes = self.bytes - oldest.bytes;
        let is_due = items > events_max + events_max / Marks::STEPS
            || bytes > bytes_max + bytes_max / Marks::STEPS;
        if !is_due {
            return None;
        }
        let (all_items, all_bytes) = (self.items, self.bytes);
        let is_excess = |mark: &Mark| {
            all_items - mark.items >= events_max || all_bytes - mark.bytes >= bytes_max
        };
        while self.marks.front().is_some_and(is_excess) {
            self.marks.pop_front();
        }
        self.marks.front().map(|mark| mark.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_cut_by_steps_and_keeps_what_it_has_to() {
        let options = ClusterOptions::new("redis://host").stream_events_max(1_000);
        let mut marks = Marks::default();
        let mut cuts = Vec::new();
        for last in (10..=3_000).step_by(10) {
            marks.add(EntryId { epoch: 1, last }, 10, 100);
            cuts.extend(marks.excess(&options).map(|id| (last, id.last)));
        }
        assert!((50..200).contains(&cuts.len()), "{}", cuts.len());
        for (last, cut) in cuts {
            // The entry of the cut is kept as well.
            assert!((1_000..=1_010).contains(&(last - (cut - 10))), "{last} {cut}");
        }
        assert!(marks.marks.len() <= 103, "{}", marks.marks.len());
    }
}
