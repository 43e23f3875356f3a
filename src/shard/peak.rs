//! When memory is to be given back to the system.
//!
//! What was allocated for many connections is freed when they end, but an allocator keeps it for
//! the next ones, which may never come. So when half of the connections have ended, the allocator
//! is told to give back what is free: some seconds later, when more of them may have ended as well.

use crate::tuning::ShardTuning;

/// The most connections that there were lately.
pub(in crate::shard) struct Peak {
    /// The most since memory was last given back.
    most: usize,
    /// When it is to be given back.
    due_ns: Option<u64>,
    /// Fewer connections than this do not matter.
    connections_min: usize,
    delay_ns: u64,
}

impl Peak {
    pub(in crate::shard) fn new(tuning: &ShardTuning) -> Peak {
        Peak {
            most: 0,
            due_ns: None,
            connections_min: tuning.release_connections_min,
            delay_ns: u64::try_from(tuning.release_delay.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// Whether memory is to be given back now, with this many connections.
    pub(in crate::shard) fn is_due(&mut self, connections: usize, now_ns: u64) -> bool {
        self.most = self.most.max(connections);
        if !self.is_over(connections) || connections > self.most / 2 {
            self.due_ns = None;
            return false;
        }
        let due = now_ns >= *self.due_ns.get_or_insert(now_ns.saturating_add(self.delay_ns));
        if due {
            (self.most, self.due_ns) = (connections, None);
        }
        due
    }

    /// Whether enough connections have ended for their memory to matter.
    pub(in crate::shard) fn is_over(&self, connections: usize) -> bool {
        self.most >= connections + self.connections_min
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuning::Tuning;

    #[test]
    fn memory_is_given_back_once_for_each_peak_that_is_over() {
        let mut peak = Peak::new(&Tuning::small().shard);
        let due = |peak: &mut Peak, of: &[usize]| {
            of.iter().filter(|&&count| peak.is_due(count, 1)).count()
        };
        assert_eq!(due(&mut peak, &[0, 7, 0, 7]), 0, "too few to matter");
        assert_eq!(due(&mut peak, &[20, 11, 13, 30, 16]), 0, "most are still here");
        assert_eq!(due(&mut peak, &[15, 14, 8]), 1);
        assert_eq!(due(&mut peak, &[40, 3, 2, 1, 0]), 1);
        assert_eq!(due(&mut peak, &[8, 0, 8, 0]), 2);
    }

    #[test]
    fn memory_is_given_back_after_a_delay_unless_as_many_connections_come_again() {
        let mut peak = Peak::new(&ShardTuning::default());
        let at = |seconds: u64| seconds * 1_000_000_000;
        assert!(!peak.is_due(2_000, at(0)) && !peak.is_due(100, at(1)));
        assert!(!peak.is_due(1_500, at(2)), "they are back");
        assert!(!peak.is_due(100, at(3)) && !peak.is_due(50, at(7)));
        assert!(peak.is_due(50, at(8)) && !peak.is_due(50, at(9)));
    }
}
