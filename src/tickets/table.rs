//! The table of the tickets that were issued: what each is at, and what becomes of it. It is under
//! the lock of [`Tickets`](super::Tickets); what it takes out is dropped, and ended, without that.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::ticket::Digest;
use super::ticket_error::TicketError;
use crate::authorizer::EndStream;
use crate::grant::Grant;

/// How many tickets that are over are forgotten each time one is issued or used.
const FORGOTTEN_MAX: usize = 64;
/// A ticket whose stream is taken over more than this often within this time is revoked.
const TAKEOVERS_MAX: u32 = 8;
const TAKEOVERS_TIME: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct State {
    pub(super) issued: HashMap<Digest, Issued>,
    /// When each ticket is over.
    pub(super) ends: BTreeSet<(SystemTime, Digest)>,
    /// The used tickets whose streams are between connections, those first that have been for
    /// longest. The numbers are those of leases, so that they have an order.
    pub(super) idle: BTreeSet<(u64, Digest)>,
    pub(super) leases: u64,
}

/// What a request gets of a ticket: what is granted, the number of its lease, and what ends the
/// stream's older connection.
pub(super) type Taken = (Arc<Grant>, u64, Option<EndStream>);
/// Why it gets nothing, and the ticket if it is over with that.
pub(super) type NotTaken = (TicketError, Option<Issued>);

pub(super) struct Issued {
    pub(super) grant: Arc<Grant>,
    pub(super) ends_at: SystemTime,
    /// When its grant expires.
    pub(super) expires_at: SystemTime,
    /// The lease of its stream, while that is connected.
    pub(super) lease: Option<u64>,
    /// What ends its stream's connection, once there is one.
    pub(super) end: Option<EndStream>,
    /// How often its stream was taken over since when.
    pub(super) takeovers: (u32, SystemTime),
    /// Since when its stream is between connections, if it is.
    pub(super) idle_since: Option<u64>,
}

impl State {
    /// Takes out tickets that are over, a bounded number of them, to be dropped without the lock.
    pub(super) fn forget(&mut self, now: SystemTime) -> Vec<Issued> {
        let mut forgotten = Vec::new();
        while forgotten.len() < FORGOTTEN_MAX {
            match self.ends.first() {
                Some(&(ends_at, digest)) if ends_at <= now => {
                    forgotten.extend(self.remove(digest));
                }
                _ => break,
            }
        }
        forgotten
    }

    pub(super) fn remove(&mut self, digest: Digest) -> Option<Issued> {
        let issued = self.issued.remove(&digest)?;
        self.ends.remove(&(issued.ends_at, digest));
        if let Some(since) = issued.idle_since {
            self.idle.remove(&(since, digest));
        }
        Some(issued)
    }

    /// Makes room where there are as many tickets as may be: the one goes whose stream has been
    /// between connections for longest.
    pub(super) fn make_room(&mut self, tickets_max: usize) -> Option<Issued> {
        if self.issued.len() < tickets_max {
            return None;
        }
        let &(_, digest) = self.idle.first()?;
        self.remove(digest)
    }

    /// Gives a ticket's stream to a request; or says why not, with the ticket if it is over.
    pub(super) fn take(
        &mut self,
        digest: Digest,
        goes_on: bool,
        now: SystemTime,
    ) -> Result<Taken, NotTaken> {
        let issued = self.issued.get_mut(&digest).ok_or((TicketError::Unknown, None))?;
        if issued.ends_at <= now {
            return Err((TicketError::Unknown, self.remove(digest)));
        }
        if issued.lease.is_some() {
            if !goes_on {
                return Err((TicketError::InUse, None));
            }
            let (count, since) = &mut issued.takeovers;
            // A clock that went back begins anew as well.
            if now.duration_since(*since).map_or(true, |time| time >= TAKEOVERS_TIME) {
                (*count, *since) = (0, now);
            }
            *count += 1;
            if *count > TAKEOVERS_MAX {
                return Err((TicketError::Contested, self.remove(digest)));
            }
        }
        if let Some(since) = issued.idle_since.take() {
            self.idle.remove(&(since, digest));
        }
        self.leases += 1;
        issued.lease = Some(self.leases);
        let (older, grant) = (issued.end.take(), Arc::clone(&issued.grant));
        let (ended_at, ends_at) = (issued.ends_at, issued.expires_at);
        issued.ends_at = ends_at;
        self.ends.remove(&(ended_at, digest));
        self.ends.insert((ends_at, digest));
        Ok((grant, self.leases, older))
    }

    /// The ticket of a lease, if no other lease has it.
    pub(super) fn held(&mut self, digest: &Digest, lease: u64) -> Option<&mut Issued> {
        self.issued.get_mut(digest).filter(|issued| issued.lease == Some(lease))
    }
}
