//! Bounds that are neither options nor part of the interface: how long one step of work may be, and
//! from which size on some work is worth doing.
//!
//! The defaults are what every hub runs with. A test that needs many steps in a short time passes
//! smaller ones, so that the same code is held against its model with both.

use std::time::Duration;

/// All of them, by the part of the engine that reads them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tuning {
    pub(crate) order: OrderTuning,
    pub(crate) shard: ShardTuning,
}

/// What [`Order`](crate::order::Order) reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderTuning {
    /// Steps along the event log while the lock is held. A step takes about 50 ns.
    pub(crate) walk_steps_max: usize,
    /// Names that are compared with a client's filters, to find its topics by their names.
    pub(crate) named_topics_max: usize,
    /// A part of a replay ends at a multiple of this sequence number, if not before.
    pub(crate) part_stride: u64,
    /// Events that were forgotten last whose topics are remembered, of 8 bytes each.
    pub(crate) forgets_max: usize,
    /// The most topics of all lists of topics together of which no event is kept any more. Beyond
    /// it the list is dropped that has had none longest. They take 12 MiB at most.
    pub(crate) idle_list_topics_max: usize,
}

/// What a [`Shard`](crate::shard::Shard) reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardTuning {
    /// Runs of members with the same position that a ring keeps, before it joins some.
    pub(crate) ring_runs_max: usize,
    /// Bytes of all windows of a shard, beyond which they are filled anew for each slice.
    pub(crate) windows_bytes_max: usize,
    /// Connections that have to have ended before memory is given back to the system.
    pub(crate) release_connections_min: usize,
    /// How long after that it is given back.
    pub(crate) release_delay: Duration,
    /// How old a connection has to be before a publisher waits for it.
    pub(crate) grace_age_min: Duration,
    /// Bytes of one part of a replay.
    pub(crate) part_bytes_max: usize,
    /// Bytes of one part of a replay while many clients are sent one.
    pub(crate) small_part_bytes_max: usize,
}

impl Default for OrderTuning {
    fn default() -> OrderTuning {
        OrderTuning {
            walk_steps_max: 4096,
            named_topics_max: 1024,
            part_stride: 256,
            forgets_max: 32 << 10,
            idle_list_topics_max: 32 << 10,
        }
    }
}

impl Default for ShardTuning {
    fn default() -> ShardTuning {
        ShardTuning {
            ring_runs_max: 64,
            windows_bytes_max: 16 << 20,
            release_connections_min: 512,
            release_delay: Duration::from_secs(5),
            grace_age_min: Duration::from_secs(2),
            part_bytes_max: 64 << 10,
            small_part_bytes_max: 4 << 10,
        }
    }
}

#[cfg(test)]
impl Tuning {
    /// Bounds that a test of some hundred events reaches often.
    pub(crate) fn small() -> Tuning {
        Tuning {
            order: OrderTuning {
                walk_steps_max: 100,
                named_topics_max: 8,
                part_stride: 8,
                forgets_max: 64,
                idle_list_topics_max: 200,
            },
            shard: ShardTuning {
                ring_runs_max: 4,
                windows_bytes_max: 64 << 10,
                release_connections_min: 8,
                release_delay: Duration::ZERO,
                grace_age_min: Duration::ZERO,
                part_bytes_max: 700,
                small_part_bytes_max: 300,
            },
        }
    }
}
