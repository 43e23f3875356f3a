//! How a stream begins that the host reads itself, and what its reader tells the shard.

use crate::metrics::DisconnectReason;
use crate::shard::connection::record::Record;
use crate::shard::connection::slots::Key;
use crate::shard::connection::{Connection, Sink, State};
use crate::shard::entry::pull_request::PullRequest;
use crate::shard::Shard;

impl Shard {
    /// Begins a stream that its host reads. It may have ended again.
    pub(in crate::shard) fn begin_pull(&mut self, request: PullRequest) -> Key {
        let PullRequest { end, peer, request, asked_at } = request;
        let pull = self.connections.pulls.insert(end);
        let connection = Connection { sink: Sink::Pull(pull), state: State::Leaving };
        let mut record = Record::new(&peer);
        record.set_subscriptions(request.wanted.len());
        let key = self.connections.insert(connection, record);
        self.link().counters.pending_connections.add(1);
        let id = self.id_of(key.index).to_u64();
        let is_read = self.connections.pull(key.index).is_some_and(|pull| pull.begin(id));
        match is_read {
            true => self.join_as_of(key.index, &request, Some(asked_at)),
            false => drop(self.remove(key.index)),
        }
        key
    }

    /// A stream's reader has made room in its queue, or is gone.
    pub(in crate::shard) fn look_at_reader(&mut self, key: Key) {
        // It has ended since, and another may have its entry.
        let Some(connection) = self.connections.get_mut(key) else { return };
        let waits = matches!(connection.state, State::Lagging(_) | State::Replaying(_));
        let Some(pull) = self.connections.pull(key.index) else { return };
        match pull.look() {
            true => self.disconnect(key.index, DisconnectReason::ClientClosed),
            false if waits => self.resume(key),
            false => {}
        }
    }
}
