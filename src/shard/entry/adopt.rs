//! Connections that a host hands over with their requests read, authorized and checked: placed on a
//! shard from any thread, and begun there.

use crate::shard::connection::peer::Network;
use crate::shard::connection::record::Record;
use crate::shard::connection::{Connection, Sink, State};
use crate::shard::entry::adopted::{Adopted, Refused, Reply};
use crate::shard::entry::limits::Exceeded;
use crate::shard::{Command, Link, Shard, Shared};
use crate::sys::Stream;

impl Shared {
    /// Counts a connection, and gives it to the shard with the fewest. The socket of one beyond a
    /// limit is given back: the host, which has accepted it, answers.
    pub(crate) fn place(&self, adopted: Adopted) -> Result<(), (Stream, Refused)> {
        if self.is_ending() {
            return Err((adopted.stream, Refused::Closed));
        }
        let (network, count) = (adopted.peer.network(), adopted.reply.subscriptions());
        if let Err(option) = self.reserve(network, count) {
            return Err((adopted.stream, Refused::Limit(option)));
        }
        self.give_to_a_shard(Box::new(adopted)).map_err(|adopted| {
            self.release(network, count);
            let is_closed = !self.links.iter().any(Link::is_alive);
            (adopted.stream, if is_closed { Refused::Closed } else { Refused::Busy })
        })
    }

    fn give_to_a_shard(&self, adopted: Box<Adopted>) -> Result<(), Box<Adopted>> {
        let mut by_load: Vec<_> = self
            .links
            .iter()
            .filter(|link| link.is_alive())
            .map(|link| (link.load(), link))
            .collect();
        by_load.sort_unstable_by_key(|&(load, _)| load);
        let mut command = Command::Adopt(adopted);
        for (_, link) in by_load {
            match link.command(command) {
                Ok(()) => return Ok(()),
                Err(refused) => command = refused,
            }
        }
        match command {
            Command::Adopt(adopted) => Err(adopted),
            _ => unreachable!("it was not this command"),
        }
    }

    /// Takes a connection and its subscriptions off the limits, or says which option's limit does
    /// not have them any more.
    fn reserve(&self, network: Network, subscriptions: usize) -> Result<(), &'static str> {
        // As long as a spare descriptor is missing, no client may stay.
        if !self.spares.are_complete() {
            return Err("connections_max");
        }
        self.connection_limits.reserve_within(network).map_err(|exceeded| match exceeded {
            Exceeded::Total => "connections_max",
            Exceeded::Address => "connections_per_address_max",
        })?;
        self.subscription_limits.reserve(network, subscriptions).map_err(|exceeded| {
            self.connection_limits.release(network);
            match exceeded {
                Exceeded::Total => "subscriptions_max",
                Exceeded::Address => "subscriptions_per_address_max",
            }
        })
    }

    fn release(&self, network: Network, subscriptions: usize) {
        self.subscription_limits.release(network, subscriptions);
        self.connection_limits.release(network);
    }
}

impl Shard {
    /// Begins the stream of a connection that was handed over, or answers it.
    pub(in crate::shard) fn adopt(&mut self, adopted: Adopted) {
        let Adopted { stream, peer, reply, asked_at } = adopted;
        let mut record = Record::new(&peer);
        record.set_subscriptions(reply.subscriptions());
        let connection = Connection { sink: Sink::Socket(stream), state: State::Leaving };
        let key = self.connections.insert(connection, record);
        self.link().counters.pending_connections.add(1);
        match reply {
            Reply::Stream(request) => self.join_as_of(key.index, &request, Some(asked_at)),
            Reply::Answer(answer) => self.answer(key, &answer),
        }
        self.begin_to_poll(key);
    }

    /// Does away with a connection that was handed over too late.
    pub(in crate::shard) fn refuse_adopted(&self, adopted: &Adopted) {
        self.shared.release(adopted.peer.network(), adopted.reply.subscriptions());
    }
}
