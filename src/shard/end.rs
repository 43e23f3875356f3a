//! How a shard ends, in order or by a panic, and leaves nothing behind in either case.
//!
//! After a panic the shard's own data may be in any state, and so nothing is looked up in it that
//! is not needed. Each step is caught separately: a second panic would abort the host's process
//! when the first is still unwinding, and must not keep the steps behind it from being done, since
//! other shards and publishers would wait for what is not given back.

use std::panic::{catch_unwind, AssertUnwindSafe};

use crate::metrics::DisconnectReason;
use crate::shard::connection::connections::Connections;
use crate::shard::fanout::audiences::Audiences;
use crate::shard::{Command, Shard, Shared};

impl Drop for Shard {
    /// Leaves nothing behind, however it ends: a future that was dropped, a poller that failed, a
    /// panic.
    fn drop(&mut self) {
        self.link().orders.close();
        while let Ok(command) = self.link().orders.try_recv() {
            attempt(|| self.refuse(command));
        }
        self.link().told.close();
        while let Ok(told) = self.link().told.try_recv() {
            attempt(|| self.refuse_told(told));
        }
        let closed = attempt(|| self.close_acceptors());
        if std::thread::panicking() || !closed || !attempt(|| self.close_all()) {
            self.write_off();
        }
        attempt(|| self.shared.order.leave(self.id));
        attempt(|| self.link().inbox.take(&mut Vec::new()));
        attempt(|| self.shared.notices.leave());
        attempt(|| self.leave_watchers());
        attempt(|| _ = self.shared.emptied.notify(usize::MAX));
    }
}

impl Shard {
    /// Gives back and counts what a shard had that has panicked.
    fn write_off(&mut self) {
        attempt(|| {
            let connections = self.link().counters.connections.value();
            log::error!("shard {} has panicked, and closes its {connections} clients", self.id);
        });
        attempt(|| self.tell_of_all_ends());
        self.write_off_counters();
        attempt(|| self.release_limits());
        // What publishers wait for: the interest in topics, and the events that were to be sent.
        attempt(|| self.shared.order.leave(self.id));
        attempt(|| self.audiences.abandon(&self.shared.order));
        attempt(|| drop(std::mem::replace(&mut self.audiences, Audiences::new(self.id, 0, 0))));
        attempt(|| drop(std::mem::take(&mut self.spill)));
        attempt(|| drop(std::mem::take(&mut self.parts)));
        // To drop a connection is to close its socket.
        attempt(|| drop(std::mem::replace(&mut self.connections, Connections::new())));
    }

    /// Has another shard end the grace times that this one has begun, or, if this is the last one,
    /// has the watchers end.
    fn leave_watchers(&self) {
        let Shared { order, notices, links, .. } = &*self.shared;
        if !notices.has_shards() {
            order.end_watchers();
        } else if order.has_graces() {
            // A shard without connections sleeps, or is about to. One with a thousand commands
            // waiting does not.
            links.iter().for_each(|link| _ = link.command(Command::EndGraces));
        }
    }

    /// Tells the host of each stream that ends, as long as what is known of them can be read.
    fn tell_of_all_ends(&self) {
        if !self.shared.notices.is_wanted() {
            return;
        }
        for index in self.connections.indices() {
            if self.connections[index].audience().is_some() {
                self.tell_of_end(index, DisconnectReason::Error);
            }
        }
    }

    fn write_off_counters(&self) {
        let counters = &self.link().counters;
        let connections = counters.connections.value();
        counters.count_disconnects(DisconnectReason::Error, connections);
        for gauge in [
            &counters.connections,
            &counters.pending_connections,
            &counters.pending_authorizations,
            &counters.lagging_connections,
            &counters.replaying_connections,
            &counters.spread_deliveries,
            &counters.lag_bytes,
        ] {
            gauge.sub(gauge.value());
        }
    }

    /// Gives back what connections have of what all shards share.
    fn release_limits(&self) {
        let Shared { connection_limits, subscription_limits, .. } = &*self.shared;
        for record in self.connections.records() {
            connection_limits.release(record.network());
            subscription_limits.release(record.network(), record.subscriptions());
        }
    }
}

/// Does something that may panic; false when it has.
fn attempt(step: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(step)).is_ok()
}
