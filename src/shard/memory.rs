//! Memory goes back to the system after a crowd has gone.
//!
//! What was allocated for many connections is freed when they end, but an allocator keeps it for the
//! next ones, which may never come. So when half of a crowd has gone, the allocator is told to give
//! back what is free, some seconds later, when the rest of the crowd may have gone as well.

use crate::shard::Shard;
use crate::sys;

/// Fewer connections than this are no crowd.
const PEAK_MIN: usize = if cfg!(test) { 8 } else { 512 };
const DELAY_NS: u64 = if cfg!(test) { 0 } else { 5_000_000_000 };

/// What is known of crowds.
#[derive(Default)]
pub(in crate::shard) struct Peak {
    /// The most connections since memory was last given back.
    most: usize,
    /// When it is to be given back.
    due_ns: Option<u64>,
    #[cfg(test)]
    pub(in crate::shard) released: u32,
}

impl Peak {
    /// Whether memory is to be given back, with so many connections now.
    fn is_due(&mut self, connections: usize, now_ns: u64) -> bool {
        self.most = self.most.max(connections);
        if self.most < connections + PEAK_MIN || connections > self.most / 2 {
            self.due_ns = None;
            return false;
        }
        let due = now_ns >= *self.due_ns.get_or_insert(now_ns.saturating_add(DELAY_NS));
        if due {
            *self = Peak { most: connections, ..Peak::default() };
        }
        due
    }
}

impl Shard {
    /// Gives memory back if a crowd has gone.
    pub(in crate::shard) fn release_memory(&mut self) {
        let connections = self.connections.len();
        if !self.peak.is_due(connections, self.now_ns) {
            return;
        }
        self.audiences.release_memory();
        self.scheduler.release_memory();
        self.shared.order.shrink();
        sys::release_memory();
        #[cfg(test)]
        {
            self.peak.released += 1;
        }
    }

    /// Whether memory is to be given back when nobody is here any more.
    pub(in crate::shard) fn has_memory_to_release(&self) -> bool {
        self.peak.most >= self.connections.len() + PEAK_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_for_each_crowd_that_has_gone() {
        let mut peak = Peak::default();
        let due = |peak: &mut Peak, of: &[usize]| {
            of.iter().filter(|&&count| peak.is_due(count, 1)).count()
        };
        assert_eq!(due(&mut peak, &[0, 7, 0, 7]), 0, "that is no crowd");
        assert_eq!(due(&mut peak, &[20, 11, 13, 30, 16]), 0, "most are still here");
        assert_eq!(due(&mut peak, &[15, 14, 8]), 1);
        assert_eq!(due(&mut peak, &[40, 3, 2, 1, 0]), 1);
        assert_eq!(due(&mut peak, &[8, 0, 8, 0]), 2);
    }
}
