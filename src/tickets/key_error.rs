//! Why bytes are no key.

use std::fmt;

use super::algorithm::Algorithm;
use crate::excerpt::Excerpt;

/// The most keys of a set.
pub(super) const KEYS_MAX: usize = 64;

/// Why a file's bytes are no key, or no set of keys. It never has a part of a key in it.
///
/// # Examples
///
/// ```
/// use fanfare::tickets::{KeyError, KeySet};
///
/// let error = KeySet::from_key_file(b"hunter2").unwrap_err();
/// assert!(matches!(error, KeyError::SecretTooShort { bytes: 7, .. }));
/// assert!(error.to_string().contains("openssl rand -base64 48"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// There are more bytes than a key, or a set of keys, may have.
    #[non_exhaustive]
    TooLong {
        /// The most that there may be.
        bytes_max: usize,
    },
    /// A secret is shorter than the hash of its algorithm (RFC 7518, section 3.2).
    #[non_exhaustive]
    SecretTooShort {
        /// The secret's algorithm.
        algorithm: Algorithm,
        /// How many bytes the secret has.
        bytes: usize,
    },
    /// The bytes are in a format that is not read from such a file.
    #[non_exhaustive]
    Format {
        /// What is wrong, and what there may be.
        what: &'static str,
    },
    /// The bytes are not a JWK set (RFC 7517, section 5).
    #[non_exhaustive]
    Json {
        /// What is wrong, and where.
        what: String,
    },
    /// A key of a JWK set is not what its type has to be.
    #[non_exhaustive]
    Jwk {
        /// Which key of the set it is: 0 is the first.
        index: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Two keys have the same id and the same algorithm.
    #[non_exhaustive]
    Duplicate {
        /// The id; `None` for two keys without one.
        kid: Option<String>,
    },
    /// There is no key in a set that a token can be checked with.
    NoKeys,
    /// There are more keys than a set may have.
    TooMany,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::TooLong { bytes_max } => {
                write!(f, "the file has more than {bytes_max} bytes; give one with keys alone")
            }
            KeyError::SecretTooShort { algorithm, bytes } => write!(
                f,
                "the secret has {bytes} bytes, and {algorithm} needs {} at least; make one with: \
                 openssl rand -base64 48",
                algorithm.secret_bytes_min()
            ),
            KeyError::Format { what } => f.write_str(what),
            KeyError::Json { what } => write!(
                f,
                "this is not a JWK set ({what}); give JSON such as {{\"keys\":[{{\"kty\":...}}]}}"
            ),
            KeyError::Jwk { index, what } => {
                write!(f, "key {} of the JWK set is wrong: {what}", index + 1)
            }
            KeyError::Duplicate { kid: Some(kid) } => write!(
                f,
                "two keys have the id {} and the same algorithm; give them different ids",
                Excerpt::of(kid)
            ),
            KeyError::Duplicate { kid: None } => f.write_str(
                "two keys of the same algorithm have no id; give each a \"kid\" in a JWK set",
            ),
            KeyError::NoKeys => f.write_str(
                "the JWK set has no key to check tokens with; give one of HS256, HS384, HS512, \
                 ES256, EdDSA or RS256",
            ),
            KeyError::TooMany => {
                let most = KEYS_MAX;
                write!(f, "a set has at most {most} keys; leave out those that are not used")
            }
        }
    }
}

impl std::error::Error for KeyError {}
