//! The tickets that were issued.
//!
//! A ticket stands in the URL of an `EventSource`, which connects again with the same URL when its
//! connection breaks. So a ticket cannot be for one request alone, nor can it change from one to
//! the next; it is for one *stream*:
//!
//! ```text
//!   issue           redeem                      the lease is dropped
//!  -------> unused --------> its stream is connected --------> between connections
//!              |              | ^         | ^                      |    |
//!              |              | +---------+ | redeem               |    | redeem
//!              |              |  a request  +----------------------+    | with or without
//!              |              |  that goes on                           | an event id
//!              v              v                                         v
//!     60 s are over     the grant expires: it is forgotten <------------+
//! ```
//!
//! A phone that changes networks leaves a connection behind that nobody closes, and that looks
//! alive until data is not acknowledged for a while. The client is back long before. A request that
//! *goes on* (with a `Last-Event-ID`, which an `EventSource` has from its first moment) therefore
//! takes the place of such a connection, and the older one is to be ended. A request without an id
//! is no stream's reconnect, and is refused while the stream is connected.
//!
//! Another client that has copied the ticket can take the stream over in this way, but not unseen:
//! the client that lost it comes back within seconds and takes it over again. A ticket that changes
//! hands so often is revoked.
//!
//! A request that gets no stream, such as one for topics that are not granted, leaves the ticket as
//! it was: the listener [looks it up](Tickets::look_up), and redeems it when the stream begins.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::ticket::{Digest, Ticket};
use super::ticket_error::{IssueError, TicketError};
use crate::authorizer::EndStream;
use crate::grant::Grant;
use crate::options::chained::chained;
use crate::options::{within, OptionsError};

chained! {
    /// The bounds of [`Tickets`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::tickets::TicketOptions;
    ///
    /// let options = TicketOptions::default().first_use_time_max(Duration::from_secs(10));
    /// assert_eq!(options.tickets_max, 65_536);
    /// ```
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct TicketOptions {
        /// The most tickets that there are at once, 1 to 10,000,000. Each takes some 300 bytes
        /// besides what is granted. A ticket that was used is kept until its grant expires, for its
        /// stream's reconnects; beyond this number the one is forgotten whose stream has been
        /// between connections for longest, and if there is none, none is issued. Default: 65,536.
        pub tickets_max: usize,
        /// How long a ticket may be unused before it is forgotten, 1 s to 1 hour. Default: 60 s.
        pub first_use_time_max: Duration,
    }
}

impl Default for TicketOptions {
    fn default() -> TicketOptions {
        TicketOptions { tickets_max: 65_536, first_use_time_max: Duration::from_secs(60) }
    }
}

impl TicketOptions {
    /// Checks what has bounds, as [`Tickets::new`] does.
    ///
    /// # Errors
    ///
    /// The first option that is out of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::tickets::TicketOptions;
    ///
    /// let error = TicketOptions::default().tickets_max(0).check().unwrap_err();
    /// assert_eq!(error.option, "tickets_max");
    /// ```
    pub fn check(&self) -> Result<(), OptionsError> {
        let fits = (1..=TICKETS_MAX).contains(&self.tickets_max);
        within(fits, "tickets_max", "1 to 10,000,000")?;
        let fits = (SECOND..=3600 * SECOND).contains(&self.first_use_time_max);
        within(fits, "first_use_time_max", "1 s to 1 hour")
    }
}

const SECOND: Duration = Duration::from_secs(1);
const TICKETS_MAX: usize = 10_000_000;
/// How many tickets that are over are forgotten each time one is issued or used.
const FORGOTTEN_MAX: usize = 64;
/// A ticket whose stream is taken over more than this often within this time is revoked.
const TAKEOVERS_MAX: u32 = 8;
const TAKEOVERS_TIME: Duration = Duration::from_secs(60);

/// The tickets that were issued and are not over, bounded in number. Clones are the same tickets.
///
/// - A ticket is to be used within [`TicketOptions::first_use_time_max`].
/// - It is for one stream at a time, and for that stream's reconnects until its grant expires.
/// - Tickets that are over are forgotten when others are issued and used; there is no timer.
///
/// It can be shared by threads. No call waits for more than another one, which is short.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use fanfare::tickets::{TicketError, TicketOptions, Tickets};
/// use fanfare::{Grant, Subscription};
///
/// let tickets = Tickets::new(TicketOptions::default())?;
/// let now = SystemTime::now();
/// let grant = Grant::new([Subscription::new("news")?]).expires_at(now + Duration::from_secs(300));
/// let ticket = tickets.issue(grant.clone(), now)?;
///
/// let stream = tickets.redeem(ticket.as_str(), false, now)?;
/// assert_eq!(stream.grant, grant);
/// // One stream at a time.
/// let other = tickets.redeem(ticket.as_str(), false, now);
/// assert_eq!(other.unwrap_err(), TicketError::InUse);
/// // When its connection has ended, the stream may come back.
/// drop(stream);
/// assert!(tickets.redeem(ticket.as_str(), false, now).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Tickets(Arc<Shared>);

struct Shared {
    options: TicketOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    issued: HashMap<Digest, Issued>,
    /// When each ticket is over.
    ends: BTreeSet<(SystemTime, Digest)>,
    /// The used tickets whose streams are between connections, those first that have been for
    /// longest. The numbers are those of leases, so that they have an order.
    idle: BTreeSet<(u64, Digest)>,
    leases: u64,
}

/// What a request gets of a ticket: what is granted, the number of its lease, and what ends the
/// stream's older connection.
type Taken = (Arc<Grant>, u64, Option<EndStream>);
/// Why it gets nothing, and the ticket if it is over with that.
type NotTaken = (TicketError, Option<Issued>);

struct Issued {
    grant: Arc<Grant>,
    ends_at: SystemTime,
    /// When its grant expires.
    expires_at: SystemTime,
    /// The lease of its stream, while that is connected.
    lease: Option<u64>,
    /// What ends its stream's connection, once there is one.
    end: Option<EndStream>,
    /// How often its stream was taken over since when.
    takeovers: (u32, SystemTime),
    /// Since when its stream is between connections, if it is.
    idle_since: Option<u64>,
}

/// What a ticket gives.
///
/// # Examples
///
/// ```
/// use fanfare::tickets::Redeemed;
///
/// fn log(redeemed: &Redeemed) {
///     println!("a stream of {:?} begins", redeemed.grant.subscriptions);
/// }
/// # let _ = log;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Redeemed {
    /// What the stream may have, and until when.
    pub grant: Grant,
    /// Says that the stream is connected, for as long as it is not dropped.
    pub lease: Lease,
}

/// Says that a ticket's stream is connected. Dropping it says that it is not; then the ticket may
/// be used again.
///
/// # Examples
///
/// ```
/// use std::sync::mpsc;
/// use std::time::{Duration, SystemTime};
/// use fanfare::tickets::{TicketOptions, Tickets};
/// use fanfare::{Grant, Subscription};
///
/// let tickets = Tickets::new(TicketOptions::default())?;
/// let now = SystemTime::now();
/// let grant = Grant::new([Subscription::new("news")?]).expires_at(now + Duration::from_secs(300));
/// let ticket = tickets.issue(grant, now)?;
///
/// let first = tickets.redeem(ticket.as_str(), false, now)?;
/// let (end, ended) = mpsc::channel();
/// first.lease.connected(move || end.send("the first connection").unwrap());
/// // The client is back before its first connection is known to be dead.
/// let second = tickets.redeem(ticket.as_str(), true, now)?;
/// assert_eq!(ended.recv(), Ok("the first connection"));
/// assert!(!first.lease.is_current() && second.lease.is_current());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the ticket may be used again as soon as this is dropped"]
pub struct Lease {
    tickets: Arc<Shared>,
    digest: Digest,
    number: u64,
}

impl Tickets {
    /// No tickets yet.
    ///
    /// # Errors
    ///
    /// When an option is out of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::tickets::{TicketOptions, Tickets};
    ///
    /// assert!(Tickets::new(TicketOptions::default().tickets_max(0)).is_err());
    /// ```
    pub fn new(options: TicketOptions) -> Result<Tickets, OptionsError> {
        options.check()?;
        Ok(Tickets(Arc::new(Shared { options, state: Mutex::default() })))
    }

    /// A ticket for what is granted, whose stream ends when the grant does.
    ///
    /// # Errors
    ///
    /// When the grant is beyond its bounds, has no end or has expired, there are as many tickets as
    /// may be, or the system gives no random bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use fanfare::tickets::{IssueError, TicketOptions, Tickets};
    /// use fanfare::{Grant, Subscription};
    ///
    /// let tickets = Tickets::new(TicketOptions::default().tickets_max(1))?;
    /// let now = SystemTime::now();
    /// let grant = Grant::new([Subscription::new("a")?]).expires_at(now + Duration::from_secs(9));
    /// assert!(tickets.issue(grant.clone(), now).is_ok());
    /// assert_eq!(tickets.issue(grant, now), Err(IssueError::Full));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn issue(&self, grant: Grant, now: SystemTime) -> Result<Ticket, IssueError> {
        grant.check().map_err(IssueError::Grant)?;
        let expires_at = grant.expires_at.ok_or(IssueError::NoExpiry)?;
        if expires_at <= now {
            return Err(IssueError::Expired);
        }
        let ticket = Ticket::random().ok_or(IssueError::NoRandomness)?;
        let digest = Ticket::digest_of(ticket.as_str()).ok_or(IssueError::NoRandomness)?;
        let ends_at = expires_at.min(now + self.0.options.first_use_time_max);
        let grant = Arc::new(grant);
        let issued = Issued {
            grant,
            ends_at,
            expires_at,
            lease: None,
            end: None,
            takeovers: (0, now),
            idle_since: None,
        };
        let mut state = self.0.state();
        let mut forgotten = state.forget(now);
        forgotten.extend(state.make_room(self.0.options.tickets_max));
        let is_full = state.issued.len() >= self.0.options.tickets_max;
        if !is_full {
            state.ends.insert((ends_at, digest));
            state.issued.insert(digest, issued);
        }
        drop(state);
        drop(forgotten);
        match is_full {
            true => Err(IssueError::Full),
            false => Ok(ticket),
        }
    }

    /// What a ticket grants that a client shows. The ticket stays as it is: nothing of it is used
    /// up, and no stream ends. A host holds a request against the grant first, and calls
    /// [`Tickets::redeem`] when it opens the stream.
    ///
    /// # Errors
    ///
    /// When there is no such ticket, or no longer; and when its stream is connected and the request
    /// does not go on.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use fanfare::tickets::{TicketError, TicketOptions, Tickets};
    /// use fanfare::{Grant, Subscription};
    ///
    /// let (news, other) = (Subscription::new("news")?, Subscription::new("other")?);
    /// let tickets = Tickets::new(TicketOptions::default())?;
    /// let now = SystemTime::now();
    /// let grant = Grant::new([news.clone()]).expires_at(now + Duration::from_secs(300));
    /// let ticket = tickets.issue(grant, now)?;
    ///
    /// let granted = tickets.look_up(ticket.as_str(), false, now)?;
    /// assert!(granted.covers(&news) && !granted.covers(&other));
    /// let stream = tickets.redeem(ticket.as_str(), false, now)?;
    /// assert_eq!(tickets.look_up(ticket.as_str(), false, now), Err(TicketError::InUse));
    /// # drop(stream);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn look_up(
        &self,
        shown: &str,
        goes_on: bool,
        now: SystemTime,
    ) -> Result<Grant, TicketError> {
        let digest = Ticket::digest_of(shown).ok_or(TicketError::Unknown)?;
        let state = self.0.state();
        let issued = state.issued.get(&digest).filter(|issued| issued.ends_at > now);
        let issued = issued.ok_or(TicketError::Unknown)?;
        if issued.lease.is_some() && !goes_on {
            return Err(TicketError::InUse);
        }
        let grant = Arc::clone(&issued.grant);
        drop(state);
        Ok(Grant::clone(&grant))
    }

    /// Gives a ticket's stream to the client that shows it, whose request is within the grant
    /// ([`Tickets::look_up`]). `goes_on` says that the client's stream goes on: its request has the
    /// id of an event.
    ///
    /// # Errors
    ///
    /// When there is no such ticket, or no longer; when its stream is connected and the request
    /// does not go on; and when it went on so often that the ticket is revoked. A stream that goes
    /// on has its older connection ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use fanfare::tickets::{TicketError, TicketOptions, Tickets};
    ///
    /// let tickets = Tickets::new(TicketOptions::default())?;
    /// let shown = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    /// let error = tickets.redeem(shown, false, SystemTime::now()).unwrap_err();
    /// assert_eq!(error, TicketError::Unknown);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn redeem(
        &self,
        shown: &str,
        goes_on: bool,
        now: SystemTime,
    ) -> Result<Redeemed, TicketError> {
        let digest = Ticket::digest_of(shown).ok_or(TicketError::Unknown)?;
        self.take(digest, goes_on, now)
    }

    /// The same, of the ticket that has a digest.
    pub(super) fn take(
        &self,
        digest: Digest,
        goes_on: bool,
        now: SystemTime,
    ) -> Result<Redeemed, TicketError> {
        let mut state = self.0.state();
        let forgotten = state.forget(now);
        let taken = state.take(digest, goes_on, now);
        drop(state);
        drop(forgotten);
        let (grant, number, older) = match taken {
            Ok(taken) => taken,
            Err((error, over)) => {
                // The client that has the stream of a revoked ticket loses it.
                let end = over.and_then(|issued| issued.end);
                if let Some(end) = end.filter(|_| error == TicketError::Contested) {
                    end();
                }
                return Err(error);
            }
        };
        if let Some(end) = older {
            end();
        }
        let lease = Lease { tickets: Arc::clone(&self.0), digest, number };
        Ok(Redeemed { grant: Grant::clone(&grant), lease })
    }

    /// How many tickets there are, with those that are over and not yet forgotten.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::tickets::{TicketOptions, Tickets};
    ///
    /// assert_eq!(Tickets::new(TicketOptions::default())?.len(), 0);
    /// # Ok::<(), fanfare::OptionsError>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.state().issued.len()
    }

    /// Whether there are none.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::tickets::{TicketOptions, Tickets};
    ///
    /// assert!(Tickets::new(TicketOptions::default())?.is_empty());
    /// # Ok::<(), fanfare::OptionsError>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes out tickets that are over, a bounded number of them, to be dropped without the lock.
    fn forget(&mut self, now: SystemTime) -> Vec<Issued> {
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

    fn remove(&mut self, digest: Digest) -> Option<Issued> {
        let issued = self.issued.remove(&digest)?;
        self.ends.remove(&(issued.ends_at, digest));
        if let Some(since) = issued.idle_since {
            self.idle.remove(&(since, digest));
        }
        Some(issued)
    }

    /// Makes room where there are as many tickets as may be: the one goes whose stream has been
    /// between connections for longest.
    fn make_room(&mut self, tickets_max: usize) -> Option<Issued> {
        if self.issued.len() < tickets_max {
            return None;
        }
        let &(_, digest) = self.idle.first()?;
        self.remove(digest)
    }

    /// Gives a ticket's stream to a request; or says why not, with the ticket if it is over.
    fn take(&mut self, digest: Digest, goes_on: bool, now: SystemTime) -> Result<Taken, NotTaken> {
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
    fn held(&mut self, digest: &Digest, lease: u64) -> Option<&mut Issued> {
        self.issued.get_mut(digest).filter(|issued| issued.lease == Some(lease))
    }
}

impl Lease {
    /// Says what ends the stream's connection. It is called when the stream goes on by another
    /// request, on the thread that redeems the ticket then; at once, if that is so already. It must
    /// not block.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::{Shutdown, TcpStream};
    /// use fanfare::tickets::Lease;
    ///
    /// fn begin(lease: &Lease, connection: TcpStream) {
    ///     lease.connected(move || drop(connection.shutdown(Shutdown::Both)));
    /// }
    /// # let _ = begin;
    /// ```
    pub fn connected(&self, end: impl FnOnce() + Send + 'static) {
        let mut end: Option<EndStream> = Some(Box::new(end));
        if let Some(issued) = self.tickets.state().held(&self.digest, self.number) {
            std::mem::swap(&mut issued.end, &mut end);
            // One of an earlier call is dropped.
            drop(end.take());
        }
        if let Some(end) = end {
            end();
        }
    }

    /// Whether the stream has not gone on by another request, and its ticket is not over.
    ///
    /// # Examples
    ///
    /// ```
    /// fn goes_on(lease: &fanfare::tickets::Lease) -> bool {
    ///     lease.is_current()
    /// }
    /// # let _ = goes_on;
    /// ```
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.tickets.state().held(&self.digest, self.number).is_some()
    }
}

/// The stream is not connected any more, unless it has gone on by another request.
impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.tickets.state();
        state.leases += 1;
        let since = state.leases;
        let held = state.held(&self.digest, self.number);
        let is_idle = held.is_some();
        let end = held.and_then(|issued| {
            (issued.lease, issued.idle_since) = (None, Some(since));
            issued.end.take()
        });
        if is_idle {
            state.idle.insert((since, self.digest));
        }
        drop(state);
        drop(end);
    }
}

/// How many; never a ticket.
impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tickets({} of {})", self.len(), self.0.options.tickets_max)
    }
}

/// Never the ticket, nor its digest.
impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({}, ..)", self.number)
    }
}
