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

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::table::{Issued, State};
use super::ticket::{Digest, Ticket};
use super::ticket_error::{IssueError, TicketError};
use super::ticket_options::TicketOptions;
use crate::authorizer::EndStream;
use crate::grant::Grant;
use crate::options::OptionsError;

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
