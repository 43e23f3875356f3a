//! Why a ticket is not issued, and why one is refused.

use std::fmt;

use crate::options::OptionsError;

/// Why a ticket is refused. Its text may be sent to the client.
///
/// # Examples
///
/// ```
/// use std::time::SystemTime;
/// use fanfare::tickets::{TicketError, TicketOptions, Tickets};
///
/// let tickets = Tickets::new(TicketOptions::default())?;
/// let error = tickets.redeem("no ticket", false, SystemTime::now()).unwrap_err();
/// assert_eq!((error, error.status()), (TicketError::Unknown, 401));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TicketError {
    /// It was never issued, was not used in time, its grant has expired, or it was revoked. Which
    /// of these, is not told.
    Unknown,
    /// Its stream is connected, and this request is not one by which that stream goes on.
    InUse,
    /// Its stream went on by too many requests in a short time, as when two clients use it in turn.
    /// It is revoked.
    Contested,
}

impl TicketError {
    /// The status of the answer: 401, or 409 for a ticket that is in use.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(fanfare::tickets::TicketError::InUse.status(), 409);
    /// ```
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            TicketError::Unknown | TicketError::Contested => 401,
            TicketError::InUse => 409,
        }
    }
}

impl fmt::Display for TicketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TicketError::Unknown => "the ticket is not valid, or no longer; get a new one",
            TicketError::InUse => "the ticket's stream is connected; get a ticket for each stream",
            TicketError::Contested => "the ticket is used by several clients; get a new one",
        })
    }
}

impl std::error::Error for TicketError {}

/// Why a ticket was not issued.
///
/// # Examples
///
/// ```
/// use std::time::SystemTime;
/// use fanfare::tickets::{IssueError, TicketOptions, Tickets};
/// use fanfare::{Grant, Subscription};
///
/// let tickets = Tickets::new(TicketOptions::default())?;
/// let endless = Grant::new([Subscription::new("news")?]);
/// assert_eq!(tickets.issue(endless, SystemTime::now()), Err(IssueError::NoExpiry));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssueError {
    /// The grant is beyond its bounds ([`Grant::check`](crate::Grant::check)).
    Grant(OptionsError),
    /// The grant has no end: its ticket would have none.
    NoExpiry,
    /// The grant has expired.
    Expired,
    /// There are as many tickets as may be.
    Full,
    /// The system gave no random bytes.
    NoRandomness,
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IssueError::Grant(error) => return error.fmt(f),
            IssueError::NoExpiry => "a ticket has to expire; set when its grant does (expires_at)",
            IssueError::Expired => "the grant has expired; give one that ends later",
            IssueError::Full => "there are too many tickets; try again later, or raise tickets_max",
            IssueError::NoRandomness => "the system gives no random bytes; try again",
        })
    }
}

impl std::error::Error for IssueError {}
