//! The last batch that was taken of each node, so that one which the server has lost, and was given again, is known.

use std::collections::HashMap;

/// The most nodes that are known: each start of a node is another one.
const NODES_MAX: usize = 1024;

#[derive(Default)]
pub(super) struct Taken(HashMap<Vec<u8>, TakenBatch>);

struct TakenBatch {
    serial: u64,
    /// The number of its last item.
    number: u64,
}

impl Taken {
    pub(super) fn has(&self, node: &[u8], serial: u64) -> bool {
        self.0.get(node).is_some_and(|taken| serial <= taken.serial)
    }

    pub(super) fn note(&mut self, node: &[u8], serial: u64, number: u64) {
        if let Some(taken) = self.0.get_mut(node) {
            *taken = TakenBatch { serial: serial.max(taken.serial), number };
            return;
        }
        if self.0.len() == NODES_MAX {
            // The one that has been silent for longest.
            let oldest = self.0.iter().min_by_key(|(_, taken)| taken.number);
            let oldest = oldest.map(|(node, _)| node.clone());
            oldest.and_then(|node| self.0.remove(&node));
        }
        self.0.insert(node.to_vec(), TakenBatch { serial, number });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_was_taken_is_known_and_the_nodes_are_bounded() {
        let mut taken = Taken::default();
        taken.note(b"a", 2, 10);
        assert!(taken.has(b"a", 1) && taken.has(b"a", 2));
        assert!(!taken.has(b"a", 3) && !taken.has(b"b", 1));
        for number in 0..NODES_MAX as u64 {
            taken.note(&number.to_le_bytes(), 1, 11 + number);
        }
        assert_eq!(taken.0.len(), NODES_MAX);
        assert!(!taken.has(b"a", 1), "it was silent for longest");
    }
}
