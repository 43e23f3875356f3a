//! The keys that tokens are checked with.

use std::collections::HashSet;
use std::fmt;

use base64ct::{Base64, Encoding};

use super::algorithm::Algorithm;
use super::jwk::{JwkSet, Wrong};
use super::key::{Key, FILE_BYTES_MAX};
use super::key_error::{KeyError, KEYS_MAX};

/// Keys that tokens are checked with, at most [`KeySet::KEYS_MAX`]. Each has one algorithm, and may
/// have an id, which tokens name in `kid`.
///
/// A token is checked with one key:
///
/// - one that names an id: with the key of this id and the token's algorithm, or else with the only
///   key of this algorithm that has no id;
/// - one that names none: with the only key of its algorithm.
///
/// If there is no such key, or several, the token is refused. A set never changes; another one
/// takes its place ([`TokenVerifier::set_keys`](super::TokenVerifier::set_keys)).
///
/// # Examples
///
/// ```
/// use fanfare::tickets::KeySet;
///
/// let set = br#"{"keys": [
///     {"kty": "OKP", "crv": "Ed25519", "kid": "2026-11", "use": "sig",
///      "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
///     {"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"}
/// ]}"#;
/// let keys = KeySet::from_jwks(set)?;
/// assert_eq!((keys.len(), keys.left_out()), (1, 1));
/// # Ok::<(), fanfare::tickets::KeyError>(())
/// ```
#[derive(Default)]
pub struct KeySet {
    keys: Vec<Identified>,
    left_out: usize,
}

struct Identified {
    kid: Option<String>,
    key: Key,
}

impl KeySet {
    /// The most keys of a set.
    pub const KEYS_MAX: usize = KEYS_MAX;
    /// The most bytes of a JWK set.
    pub const JWKS_BYTES_MAX: usize = 256 << 10;
    /// The most bytes of a key's id.
    pub const KID_BYTES_MAX: usize = 256;

    /// The one key of a file, without an id: a public key in PEM (RFC 7468) of P-256, Ed25519 or
    /// RSA, or else a secret for HS256. White space at the end of a secret is not part of it.
    ///
    /// # Errors
    ///
    /// When the file is larger than 64 KiB, a secret has less than 32 or more than 4,096 bytes, or
    /// PEM has no such public key. What looks like PEM or JSON is never taken for a secret.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::tickets::KeySet;
    ///
    /// assert_eq!(KeySet::from_key_file(&[b'k'; 32])?.len(), 1);
    /// assert!(KeySet::from_key_file(b"-----BEGIN PUBLIC KEY-----\n").is_err());
    /// # Ok::<(), fanfare::tickets::KeyError>(())
    /// ```
    pub fn from_key_file(bytes: &[u8]) -> Result<KeySet, KeyError> {
        let key = match file(bytes)? {
            File::Pem(pem) => Key::from_pem(pem)?,
            File::Secret(secret) => Key::secret(Algorithm::Hs256, secret)?,
        };
        Ok(KeySet { keys: vec![Identified { kid: None, key }], left_out: 0 })
    }

    /// The keys of a JWK set (RFC 7517, section 5), with their ids. Keys for encryption, and of
    /// types and algorithms that are not known here, are left out. A key without `alg` is for
    /// HS256, ES256, EdDSA or RS256, as its type says.
    ///
    /// # Errors
    ///
    /// When there are more than [`KeySet::JWKS_BYTES_MAX`] bytes or [`KeySet::KEYS_MAX`] keys, the
    /// bytes are no such set, a key of a known type is wrong, two keys have the same id and
    /// algorithm, or there is no key for signatures at all.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::tickets::{KeyError, KeySet};
    ///
    /// assert_eq!(KeySet::from_jwks(br#"{"keys": []}"#).unwrap_err(), KeyError::NoKeys);
    /// ```
    pub fn from_jwks(bytes: &[u8]) -> Result<KeySet, KeyError> {
        if bytes.len() > KeySet::JWKS_BYTES_MAX {
            return Err(KeyError::TooLong { bytes_max: KeySet::JWKS_BYTES_MAX });
        }
        // What serde_json says may quote a value, and a value may be a secret.
        let set: JwkSet = serde_json::from_slice(bytes).map_err(|error| KeyError::Json {
            what: format!("line {}, column {}", error.line(), error.column()),
        })?;
        let mut keys = KeySet::default();
        for (index, jwk) in set.keys.into_iter().enumerate() {
            let wrong = |what| KeyError::Jwk { index, what };
            match jwk.key() {
                Ok(Some(key)) => {
                    let kid = jwk.kid.filter(|kid| !kid.is_empty());
                    if kid.as_ref().is_some_and(|kid| kid.len() > KeySet::KID_BYTES_MAX) {
                        return Err(wrong("\"kid\" has more than 256 bytes"));
                    }
                    keys.keys.push(Identified { kid, key });
                }
                Ok(None) => keys.left_out += 1,
                Err(Wrong::Part(what)) => return Err(wrong(what)),
                Err(Wrong::Secret(error)) => return Err(error),
            }
        }
        match keys.keys.is_empty() {
            true => Err(KeyError::NoKeys),
            false => keys.checked(),
        }
    }

    /// The keys of both sets.
    ///
    /// # Errors
    ///
    /// When two keys have the same id and algorithm, or there are more than [`KeySet::KEYS_MAX`].
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::tickets::{KeyError, KeySet};
    ///
    /// let key = || KeySet::from_key_file(&[b'k'; 32]);
    /// assert_eq!(KeySet::default().with(key()?)?.len(), 1);
    /// assert!(matches!(key()?.with(key()?), Err(KeyError::Duplicate { kid: None, .. })));
    /// # Ok::<(), KeyError>(())
    /// ```
    pub fn with(mut self, other: KeySet) -> Result<KeySet, KeyError> {
        self.keys.extend(other.keys);
        self.left_out += other.left_out;
        self.checked()
    }

    /// How many keys there are.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(fanfare::tickets::KeySet::default().len(), 0);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key, so that no token is right.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(fanfare::tickets::KeySet::default().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys of a JWK set were left out.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(fanfare::tickets::KeySet::from_key_file(&[b'k'; 32])?.left_out(), 0);
    /// # Ok::<(), fanfare::tickets::KeyError>(())
    /// ```
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The one key that a token which says this is to be checked with.
    pub(super) fn find(&self, algorithm: Algorithm, kid: Option<&str>) -> Option<&Key> {
        let of_algorithm = || self.keys.iter().filter(|it| it.key.algorithm() == algorithm);
        match kid {
            Some(kid) => only(of_algorithm().filter(|it| it.kid.as_deref() == Some(kid)))
                .or_else(|| only(of_algorithm().filter(|it| it.kid.is_none()))),
            None => only(of_algorithm()),
        }
    }

    fn checked(self) -> Result<KeySet, KeyError> {
        if self.keys.len() > KeySet::KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let mut seen = HashSet::new();
        let twice = self.keys.iter().find(|it| !seen.insert((it.key.algorithm(), &it.kid)));
        match twice {
            Some(twice) => Err(KeyError::Duplicate { kid: twice.kid.clone() }),
            None => Ok(self),
        }
    }
}

fn only<'a>(mut keys: impl Iterator<Item = &'a Identified>) -> Option<&'a Key> {
    match (keys.next(), keys.next()) {
        (Some(one), None) => Some(&one.key),
        _ => None,
    }
}

/// What a file with one key is.
pub(super) enum File<'a> {
    Pem(&'a str),
    Secret(&'a [u8]),
}

/// Tells PEM from a secret.
///
/// # Errors
///
/// When it is too large, or JSON, which belongs into the file of a JWK set.
pub(super) fn file(bytes: &[u8]) -> Result<File<'_>, KeyError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(KeyError::TooLong { bytes_max: FILE_BYTES_MAX });
    }
    let is_pem = bytes.windows(11).any(|part| part == b"-----BEGIN ");
    match (is_pem, std::str::from_utf8(bytes)) {
        (true, Ok(pem)) => Ok(File::Pem(pem)),
        (true, Err(_)) => Err(KeyError::Format { what: "the PEM file is not text" }),
        (false, _) if bytes.trim_ascii_start().starts_with(b"{") => Err(KeyError::Format {
            what: "this is JSON, not a secret or PEM; give a JWK set as such",
        }),
        (false, _) if is_public_key(bytes.trim_ascii()) => Err(KeyError::Format {
            what:
                "this is a public key, which everybody may know, and no secret; write it as PEM: \
                   openssl pkey -pubin -inform DER -in KEY -out KEY.pem, or ssh-keygen -e -m PKCS8 \
                   -f KEY",
        }),
        (false, _) => Ok(File::Secret(bytes.trim_ascii_end())),
    }
}

/// Whether this is a public key in a form that could be taken for a secret: that of SSH, or DER, or
/// DER in base64.
fn is_public_key(bytes: &[u8]) -> bool {
    let is_ssh = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"];
    if is_ssh.iter().any(|begin| bytes.starts_with(begin.as_bytes())) {
        return true;
    }
    let text: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let decoded = std::str::from_utf8(&text).ok().and_then(|text| Base64::decode_vec(text).ok());
    is_der_sequence(bytes) || decoded.is_some_and(|bytes| is_der_sequence(&bytes))
}

/// Whether this is one whole sequence in DER, as all public keys are (RFC 5280, RFC 8017).
fn is_der_sequence(bytes: &[u8]) -> bool {
    match *bytes {
        [0x30, length @ 0..=0x7f, ref rest @ ..] => rest.len() == usize::from(length),
        [0x30, 0x81, length, ref rest @ ..] => rest.len() == usize::from(length),
        [0x30, 0x82, high, low, ref rest @ ..] => {
            rest.len() == usize::from(u16::from_be_bytes([high, low]))
        }
        _ => false,
    }
}

/// Ids and algorithms; never a key.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.iter().map(|it| (it.kid.as_deref(), it.key.algorithm()));
        f.debug_list().entries(keys).finish()
    }
}
