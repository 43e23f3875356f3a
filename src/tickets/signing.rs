//! Makes tokens.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::Signer;
use hmac::{Hmac, Mac};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::traits::PublicKeyParts;
use serde_json::{Map, Value};
use sha2::Sha256;

use super::algorithm::Algorithm;
use super::claims::{Granted, SUBSCRIBE_MAX};
use super::key::Key;
use super::key_error::KeyError;
use super::key_set::{file, File};
use super::verifier::TokenVerifier;
use crate::grant::Grant;
use crate::options::chained::chained;

chained! {
    /// What a token says besides its grant.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::tickets::TokenClaims;
    ///
    /// let claims = TokenClaims::default().audience("events").kid("2026-11");
    /// assert_eq!(claims.audience.as_deref(), Some("events"));
    /// ```
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct TokenClaims {
        /// Whom the token is for, its `aud`. Default: none.
        pub audience: Option<String> as (impl Into<String> => Some(audience.into())),
        /// Who signs it, its `iss`. Default: none.
        pub issuer: Option<String> as (impl Into<String> => Some(issuer.into())),
        /// Whom it is about, its `sub`. Default: none.
        pub subject: Option<String> as (impl Into<String> => Some(subject.into())),
        /// When it becomes valid, its `nbf`. Default: none, which is at once.
        pub not_before: Option<SystemTime> as (SystemTime => Some(not_before)),
        /// The id of its key, its `kid`. Default: none.
        pub kid: Option<String> as (impl Into<String> => Some(kid.into())),
        /// The name of the claim that grants. Default: none, which is `fanfare`.
        pub claim: Option<String> as (impl Into<String> => Some(claim.into())),
    }
}

/// A key that signs tokens.
///
/// # Examples
///
/// ```
/// use fanfare::tickets::{Algorithm, SigningKey};
///
/// let key = SigningKey::from_key_file(b"a secret of at least 32 bytes, from a random source")?;
/// assert_eq!(key.algorithm(), Algorithm::Hs256);
/// # Ok::<(), fanfare::tickets::KeyError>(())
/// ```
pub struct SigningKey(Private);

enum Private {
    Hs256(Hmac<Sha256>),
    Es256(Box<p256::ecdsa::SigningKey>),
    EdDsa(Box<ed25519_dalek::SigningKey>),
    Rs256(Box<rsa::PrivateKey>),
}

/// Why a token was not signed.
///
/// # Examples
///
/// ```
/// use fanfare::tickets::{SigningError, SigningKey, TokenClaims};
/// use fanfare::{Grant, Subscription};
///
/// let key = SigningKey::from_key_file(&[b'k'; 32])?;
/// let grant = Grant::new([Subscription::new("news")?]);
/// let endless = key.sign(&grant, &TokenClaims::default());
/// assert_eq!(endless, Err(SigningError::NoExpiry));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SigningError {
    /// The grant has no end, and each token has one.
    NoExpiry,
    /// The grant has what a token cannot say.
    #[non_exhaustive]
    Grant {
        /// What that is.
        what: &'static str,
    },
    /// The token would have more than [`TokenVerifier::TOKEN_BYTES_MAX`] bytes.
    #[non_exhaustive]
    TooLong {
        /// How many bytes it would have.
        bytes: usize,
    },
    /// The key did not sign.
    Key,
}

impl SigningKey {
    /// The key of a file: a private key in PEM (RFC 7468; PKCS #8, or as OpenSSL writes those of
    /// RSA and P-256) that has no passphrase, or else a secret for HS256. White space at the end of
    /// a secret is not part of it.
    ///
    /// # Errors
    ///
    /// When the file is larger than 64 KiB, a secret has less than 32 or more than 4,096 bytes, or
    /// PEM has no such private key.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::tickets::SigningKey;
    ///
    /// assert!(SigningKey::from_key_file(b"too short").is_err());
    /// ```
    pub fn from_key_file(bytes: &[u8]) -> Result<SigningKey, KeyError> {
        let private = match file(bytes)? {
            File::Secret(secret) => match Key::secret(Algorithm::Hs256, secret)? {
                Key::Hs256(key) => Private::Hs256(key),
                _ => unreachable!("a key has the algorithm that it was made for"),
            },
            File::Pem(pem) => private_key(pem).ok_or(KeyError::Format {
                what: "the PEM file has no private key that is known; give one of P-256, Ed25519 \
                       or RSA with 2,048 bits or more, without a passphrase",
            })?,
        };
        Ok(SigningKey(private))
    }

    /// Its algorithm.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::tickets::{Algorithm, SigningKey};
    ///
    /// assert_eq!(SigningKey::from_key_file(&[b'k'; 32])?.algorithm(), Algorithm::Hs256);
    /// # Ok::<(), fanfare::tickets::KeyError>(())
    /// ```
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Private::Hs256(_) => Algorithm::Hs256,
            Private::Es256(_) => Algorithm::Es256,
            Private::EdDsa(_) => Algorithm::EdDsa,
            Private::Rs256(_) => Algorithm::Rs256,
        }
    }

    /// A token for this grant, which it has to end at a time; of that, whole seconds count.
    ///
    /// # Errors
    ///
    /// When the grant has no end, or has what a token cannot say (any topics, a start, header
    /// fields, no subscription or more than 256), or the token would be too long.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use fanfare::tickets::{SigningKey, TokenClaims};
    /// use fanfare::{Grant, Subscription};
    ///
    /// let key = SigningKey::from_key_file(&[b'k'; 32])?;
    /// let grant = Grant::new([Subscription::new("news")?])
    ///     .expires_at(SystemTime::now() + Duration::from_secs(300));
    /// let token = key.sign(&grant, &TokenClaims::default().audience("events"))?;
    /// assert_eq!(token.split('.').count(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sign(&self, grant: &Grant, claims: &TokenClaims) -> Result<String, SigningError> {
        let mut header = Map::new();
        header.insert("alg".to_owned(), self.algorithm().as_str().into());
        header.insert("typ".to_owned(), "JWT".into());
        header.extend(claims.kid.clone().map(|kid| ("kid".to_owned(), kid.into())));

        let mut body = Map::new();
        for (name, value) in
            [("iss", &claims.issuer), ("sub", &claims.subject), ("aud", &claims.audience)]
        {
            body.extend(value.clone().map(|value| (name.to_owned(), value.into())));
        }
        body.extend(claims.not_before.map(|at| ("nbf".to_owned(), seconds(at).into())));
        let expires_at = grant.expires_at.ok_or(SigningError::NoExpiry)?;
        body.insert("exp".to_owned(), seconds(expires_at).into());
        body.insert(claims.claim.clone().unwrap_or_else(|| "fanfare".to_owned()), granted(grant)?);

        let token =
            self.sign_json(&Value::from(header).to_string(), &Value::from(body).to_string())?;
        match token.len() <= TokenVerifier::TOKEN_BYTES_MAX {
            true => Ok(token),
            false => Err(SigningError::TooLong { bytes: token.len() }),
        }
    }

    /// A token of this header and these claims, which may be anything.
    pub(crate) fn sign_json(&self, header: &str, claims: &str) -> Result<String, SigningError> {
        let encode = |part: &[u8]| Base64UrlUnpadded::encode_string(part);
        let message = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let signature = match &self.0 {
            Private::Hs256(key) => {
                key.clone().chain_update(message.as_bytes()).finalize().into_bytes().to_vec()
            }
            Private::Es256(key) => {
                let signature: p256::ecdsa::Signature =
                    key.try_sign(message.as_bytes()).map_err(|_| SigningError::Key)?;
                signature.to_bytes().to_vec()
            }
            Private::EdDsa(key) => key.sign(message.as_bytes()).to_bytes().to_vec(),
            Private::Rs256(key) => {
                key.pkcs1v15_sign::<Sha256>(message.as_bytes()).map_err(|_| SigningError::Key)?
            }
        };
        Ok(format!("{message}.{}", encode(&signature)))
    }
}

/// The private key of a PEM file.
fn private_key(pem: &str) -> Option<Private> {
    if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_pem(pem) {
        return Some(Private::EdDsa(Box::new(key)));
    }
    let p256 = p256::SecretKey::from_pkcs8_pem(pem).ok();
    if let Some(key) = p256.or_else(|| p256::SecretKey::from_sec1_pem(pem).ok()) {
        return Some(Private::Es256(Box::new(key.into())));
    }
    let rsa = rsa::PrivateKey::from_pkcs8_pem(pem).ok();
    let rsa = rsa.or_else(|| rsa::PrivateKey::from_pkcs1_pem(pem).ok())?;
    // The bounds of the public key hold for it too.
    Key::rsa(&rsa.n_bytes(), &rsa.e_bytes())?;
    Some(Private::Rs256(Box::new(rsa)))
}

/// The claim that grants.
fn granted(grant: &Grant) -> Result<Value, SigningError> {
    let cannot = |what| Err(SigningError::Grant { what });
    if grant.any_topics {
        return cannot("any topics; grant filters such as #");
    }
    if grant.start.is_some() || !grant.headers.is_empty() {
        return cannot("a start or header fields; leave them out");
    }
    if !(1..=SUBSCRIBE_MAX).contains(&grant.subscriptions.len()) {
        return cannot("no topics, or more than 256; grant 1 to 256, or filters");
    }
    let granted = Granted {
        subscribe: grant.subscriptions.iter().map(ToString::to_string).collect(),
        tag: grant.tag.as_deref().map(str::to_owned),
        policy: grant.policy.map(|policy| policy.to_string()),
    };
    serde_json::to_value(granted).map_err(|_| SigningError::Grant { what: "what is not JSON" })
}

/// Whole seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// Never a key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, ..)", self.algorithm())
    }
}

impl fmt::Display for SigningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SigningError::NoExpiry => {
                f.write_str("a token has to expire; set when the grant does (expires_at)")
            }
            SigningError::Grant { what } => write!(f, "a token cannot grant {what}"),
            SigningError::TooLong { bytes } => {
                let most = TokenVerifier::TOKEN_BYTES_MAX;
                write!(f, "the token would have {bytes} bytes, and {most} are the most; grant less")
            }
            SigningError::Key => f.write_str("the key cannot sign; make another"),
        }
    }
}

impl std::error::Error for SigningError {}
