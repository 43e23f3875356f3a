//! JSON Web Tokens and tickets: what tells which topics a client may have, without a question to
//! the host.
//!
//! A client that can set header fields shows a *token*, which somebody signed: a JSON Web Token
//! (RFC 7519). [`TokenVerifier`] checks it with the keys of a [`KeySet`], and makes a
//! [`Grant`](crate::Grant) of it. [`SigningKey`] makes such tokens.
//!
//! An `EventSource` cannot set header fields, and a token does not belong into a URL (RFC 9700,
//! section 4.3.2), where logs and histories keep it for as long as it is good. It shows a *ticket*
//! there: 32 random bytes that say nothing, are to be used within a minute, by one stream at a time
//! ([`Tickets`]).
//!
//! [`Authorizer::tickets`](crate::Authorizer::tickets) has a listener ask for either, and answer
//! clients that exchange their tokens for tickets.
//!
//! Nothing here waits, opens a socket or a file, or reads the time: each call is told what time it
//! is. Every type can be shared by threads.
//!
//! # Examples
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use fanfare::tickets::{KeySet, SigningKey, TokenClaims, TokenOptions, TokenVerifier};
//! use fanfare::{Grant, Subscription};
//!
//! let secret = b"a secret of at least 32 bytes, from a random source";
//! let keys = KeySet::from_key_file(secret)?;
//! let verifier = TokenVerifier::new(keys, TokenOptions::default())?;
//!
//! // A program that has the key signs tokens.
//! let now = SystemTime::now();
//! let grant = Grant::new([Subscription::new("user/7/#")?]);
//! let grant = grant.expires_at(now + Duration::from_secs(300));
//! let token = SigningKey::from_key_file(secret)?.sign(&grant, &TokenClaims::default())?;
//!
//! let granted = verifier.verify(&token, now)?;
//! assert!(granted.covers(&Subscription::new("user/7/mail")?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod algorithm;
mod claims;
mod jwk;
mod key;
mod key_error;
mod key_set;
mod signing;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod ticket;
mod ticket_error;
mod ticket_options;
mod token_error;
mod verifier;

pub use self::access::AccessOptions;
pub use self::algorithm::{Algorithm, AlgorithmError};
pub use self::key_error::KeyError;
pub use self::key_set::KeySet;
pub use self::signing::{SigningError, SigningKey, TokenClaims};
pub use self::store::{Lease, Redeemed, Tickets};
pub use self::ticket::Ticket;
pub use self::ticket_error::{IssueError, TicketError};
pub use self::ticket_options::TicketOptions;
pub use self::token_error::TokenError;
pub use self::verifier::{TokenOptions, TokenVerifier};
