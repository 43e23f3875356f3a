//! The state of a client that is sent what it has missed.

use crate::gap::Gap;
use crate::id::EventId;
use crate::order::{Cursor, Lack, Search};
use crate::resume::StartAt;
use crate::shard::connection::pending::Pending;
use crate::shard::connection::sent::Sent;

/// How often one client's replay may come to the end of the stream, and lack something anew by then. A node may
/// forget faster than it can be asked.
pub(in crate::shard) const ROUNDS_MAX: u8 = 16;

pub(crate) struct Replaying {
    pub(in crate::shard) audience: u32,
    /// What it is being sent.
    pub(in crate::shard) pending: Option<Pending>,
    /// How far it is when it was sent that.
    pub(in crate::shard) stage: Stage,
    /// Whether it queues for another flush.
    pub(in crate::shard) queued: bool,
    /// When it began or last took something, in milliseconds since the hub's start.
    pub(in crate::shard) since_ms: u32,
    /// How often it may yet lack something anew.
    pub(in crate::shard) rounds_left: u8,
}

pub(in crate::shard) enum Stage {
    /// The cursor at which its stream begins has yet to be found.
    Searching(Search),
    /// It has yet to be sent what is behind the cursor.
    At(Cursor),
    /// It waits for what it lacks, and the cluster's stream may have.
    Recalling(Box<Recalling>),
}

/// What a client waits for.
pub(in crate::shard) struct Recalling {
    pub(in crate::shard) lack: Lack,
    /// Where its stream begins without that, and what it is told then; `None` if it was sent some of it since.
    pub(in crate::shard) found: Option<(Cursor, Option<(Gap, EventId)>)>,
    /// Where the stream begins if it has to be told of a gap, unless that is with the oldest events.
    pub(in crate::shard) gap_start: Option<StartAt>,
    pub(in crate::shard) is_asked: bool,
}

impl Replaying {
    /// Whether it waits for the cluster, and for nothing else.
    pub(in crate::shard) fn waits(&self) -> bool {
        matches!(&self.stage, Stage::Recalling(recalling) if recalling.is_asked)
    }

    /// The events that it was sent of what it is being sent.
    pub(in crate::shard) fn sent(&self) -> Sent {
        self.pending.as_ref().map_or(Sent::default(), Pending::sent)
    }

    /// The events that it has yet to be sent of that.
    pub(in crate::shard) fn left(&self) -> Sent {
        self.pending.as_ref().map_or(Sent::default(), Pending::left)
    }
}

impl Recalling {
    /// What a search has found that is over, if the client lacks something.
    pub(in crate::shard) fn of(
        search: &Search,
        found: &(Cursor, Option<(Gap, EventId)>),
    ) -> Option<Box<Recalling>> {
        let (lack, gap_start) = (search.lack()?, search.gap_start());
        let found = Some(found.clone());
        Some(Box::new(Recalling { lack, found, gap_start, is_asked: false }))
    }
}
