//! A ticket: random bytes as text.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest as _, Sha256};

/// How many random bytes a ticket has.
const RANDOM_BYTES: usize = 32;

/// What a client shows in its query to have a stream: 32 bytes from the system's random source, in
/// base64url, which are 43 characters. A client that has it may use it, so it belongs into no log:
/// `Debug` does not show it, and there is no `Display`.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use fanfare::tickets::{TicketOptions, Tickets};
/// use fanfare::{Grant, Subscription};
///
/// let tickets = Tickets::new(TicketOptions::default())?;
/// let now = SystemTime::now();
/// let grant = Grant::new([Subscription::new("news")?]).expires_at(now + Duration::from_secs(300));
/// let ticket = tickets.issue(grant, now)?;
/// let url = format!("/events?topic=news&ticket={}", ticket.as_str());
/// assert_eq!((ticket.as_str().len(), format!("{ticket:?}")), (43, "Ticket(..)".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket(String);

/// By what a ticket is found again. The time that the search takes depends on this, of which nobody
/// can tell anything who does not have the ticket; and a copy of the table is no ticket.
pub(super) type Digest = [u8; 32];

impl Ticket {
    /// A new ticket; `None` when the system gives no random bytes.
    pub(super) fn random() -> Option<Ticket> {
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes).ok()?;
        Some(Ticket(Base64UrlUnpadded::encode_string(&bytes)))
    }

    /// The digest of what a client shows; `None` for what cannot be a ticket.
    pub(super) fn digest_of(shown: &str) -> Option<Digest> {
        let mut bytes = [0; RANDOM_BYTES];
        let decoded = Base64UrlUnpadded::decode(shown, &mut bytes).ok()?;
        (decoded.len() == RANDOM_BYTES).then(|| Sha256::digest(decoded).into())
    }

    /// Its text, for the query of a client.
    ///
    /// # Examples
    ///
    /// ```
    /// fn body(ticket: &fanfare::tickets::Ticket) -> String {
    ///     format!(r#"{{"ticket":"{}"}}"#, ticket.as_str())
    /// }
    /// # let _ = body;
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_found_by_its_own_text_alone() {
        let (ticket, other) = (Ticket::random().unwrap(), Ticket::random().unwrap());
        let digest = Ticket::digest_of(ticket.as_str());
        assert!(digest.is_some() && digest != Ticket::digest_of(other.as_str()));
        let text = ticket.as_str();
        for wrong in ["", &text[1..], &format!("{text}A"), &format!("{text}="), &text.repeat(100)] {
            assert_eq!(Ticket::digest_of(wrong), None);
        }
        assert_eq!(Ticket::digest_of(&format!("+{}", &text[1..])), None);
    }
}
