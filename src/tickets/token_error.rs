//! Why a token is refused.

use std::fmt;

use crate::excerpt::Excerpt;

/// The most bytes of a token.
pub(super) const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Why a token is refused. Its text is for the host's log, and has no part of the token but its
/// key's id; a client learns [`TokenError::status`] alone, and nothing of what is wrong, so that
/// who tries tokens learns nothing from the answers.
///
/// # Examples
///
/// ```
/// use std::time::SystemTime;
/// use fanfare::tickets::{KeySet, TokenError, TokenOptions, TokenVerifier};
///
/// let keys = KeySet::from_key_file(&[b'k'; 32])?;
/// let verifier = TokenVerifier::new(keys, TokenOptions::default())?;
/// let error = verifier.verify("no token", SystemTime::now()).unwrap_err();
/// assert!(matches!(error, TokenError::Malformed { .. }));
/// assert_eq!(error.status(), 401);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// It has more than [`TokenVerifier::TOKEN_BYTES_MAX`](super::TokenVerifier::TOKEN_BYTES_MAX)
    /// bytes. Nothing of it was decoded.
    #[non_exhaustive]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// It is not three parts in base64url, of which the first two are JSON objects.
    #[non_exhaustive]
    Malformed {
        /// What is wrong.
        what: &'static str,
    },
    /// Its algorithm is none of [`Algorithm`](super::Algorithm), such as `none`.
    #[non_exhaustive]
    Algorithm {
        /// The name that it has, or its beginning.
        name: String,
    },
    /// There is no key of its algorithm with its key id, or more than one for a token without id.
    #[non_exhaustive]
    UnknownKey {
        /// The id that it has, or its beginning.
        kid: Option<String>,
    },
    /// It was not signed with the key that it names.
    Signature,
    /// It says no time at which it expires.
    NoExpiry,
    /// Its time has passed.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It is for others: none of its audiences is one of the verifier's.
    Audience,
    /// It is by somebody else: its issuer is none of the verifier's.
    Issuer,
    /// A claim is missing, or is not what it has to be.
    #[non_exhaustive]
    Claim {
        /// What is wrong.
        what: String,
    },
}

impl TokenError {
    /// The status of the answer to a client: 401, whatever is wrong.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(fanfare::tickets::TokenError::Expired.status(), 401);
    /// ```
    #[must_use]
    pub fn status(&self) -> u16 {
        401
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenError::TooLong { bytes } => {
                let most = TOKEN_BYTES_MAX;
                write!(f, "the token has {bytes} bytes, and {most} are the most")
            }
            TokenError::Malformed { what } => write!(f, "the token is malformed: {what}"),
            TokenError::Algorithm { name } => {
                write!(f, "the token's algorithm is {}, which is not taken", Excerpt::of(name))
            }
            TokenError::UnknownKey { kid: Some(kid) } => {
                write!(f, "there is no key {} of the token's algorithm", Excerpt::of(kid))
            }
            TokenError::UnknownKey { kid: None } => {
                f.write_str("the token names no key, and not exactly one is of its algorithm")
            }
            TokenError::Signature => f.write_str("the token's signature is not of its key"),
            TokenError::NoExpiry => f.write_str("the token has no \"exp\"; sign it with one"),
            TokenError::Expired => f.write_str("the token has expired"),
            TokenError::NotYetValid => f.write_str("the token is not valid yet"),
            TokenError::Audience => f.write_str("the token is for another audience"),
            TokenError::Issuer => f.write_str("the token is from another issuer"),
            TokenError::Claim { what } => write!(f, "the token's claims are wrong: {what}"),
        }
    }
}

impl std::error::Error for TokenError {}
