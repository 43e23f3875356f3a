//! One key that tokens are checked with. Its algorithm is its type: there is no way to use it for
//! another one.

use ed25519_dalek::pkcs8::DecodePublicKey;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Verifier;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::traits::PublicKeyParts;
use rsa::BoxedUint;
use sha2::{Sha256, Sha384, Sha512};

use super::algorithm::Algorithm;
use super::key_error::KeyError;

/// The most bytes of a secret.
pub(super) const SECRET_BYTES_MAX: usize = 4096;
/// The most bytes of a file with one key.
pub(super) const FILE_BYTES_MAX: usize = 64 << 10;
/// How many bits an RSA key may have (RFC 7518, section 3.3, says the least).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key to check signatures with.
pub(super) enum Key {
    Hs256(Hmac<Sha256>),
    Hs384(Hmac<Sha384>),
    Hs512(Hmac<Sha512>),
    Es256(Box<p256::ecdsa::VerifyingKey>),
    EdDsa(Box<ed25519_dalek::VerifyingKey>),
    Rs256(Box<rsa::PublicKey>),
}

impl Key {
    /// The secret of an algorithm that has one.
    ///
    /// # Errors
    ///
    /// When it is too short or too long, or the algorithm's keys are no secrets.
    pub(super) fn secret(algorithm: Algorithm, secret: &[u8]) -> Result<Key, KeyError> {
        if secret.len() > SECRET_BYTES_MAX {
            return Err(KeyError::TooLong { bytes_max: SECRET_BYTES_MAX });
        }
        if secret.len() < algorithm.secret_bytes_min() {
            return Err(KeyError::SecretTooShort { algorithm, bytes: secret.len() });
        }
        let key = match algorithm {
            Algorithm::Hs256 => Hmac::new_from_slice(secret).map(Key::Hs256),
            Algorithm::Hs384 => Hmac::new_from_slice(secret).map(Key::Hs384),
            Algorithm::Hs512 => Hmac::new_from_slice(secret).map(Key::Hs512),
            _ => return Err(KeyError::Format { what: "a key of this algorithm is no secret" }),
        };
        key.map_err(|_| KeyError::Format { what: "the secret cannot be used; make another" })
    }

    /// The P-256 key of these coordinates.
    pub(super) fn p256(x: &[u8], y: &[u8]) -> Option<Key> {
        if x.len() != 32 || y.len() != 32 {
            return None;
        }
        let point = [&[4], x, y].concat();
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?;
        Some(Key::Es256(Box::new(key)))
    }

    /// The Ed25519 key of these bytes.
    pub(super) fn ed25519(x: &[u8]) -> Option<Key> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(x.try_into().ok()?).ok()?;
        // With a key of small order one signature is right for many messages.
        (!key.is_weak()).then(|| Key::EdDsa(Box::new(key)))
    }

    /// The RSA key of this modulus and exponent.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Option<Key> {
        // A modulus of more bits may be cut before it is looked at.
        if n.len() > RSA_BITS.end() / 8 + 1 || e.len() > 8 {
            return None;
        }
        let (n, e) = (BoxedUint::from_be_slice_vartime(n), BoxedUint::from_be_slice_vartime(e));
        let key = rsa::PublicKey::new_with_size_limits(n, e, RSA_BITS).ok()?;
        Some(Key::Rs256(Box::new(key)))
    }

    /// The public key of a PEM file (RFC 7468).
    ///
    /// # Errors
    ///
    /// When it is none of a known type. A private key is an error too: who only checks tokens has
    /// no use for it.
    pub(super) fn from_pem(pem: &str) -> Result<Key, KeyError> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(KeyError::Format {
                what: "this is a private key, and tokens are checked with the public one; write \
                       that to a file: openssl pkey -in PRIVATE -pubout -out PUBLIC",
            });
        }
        if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_pem(pem) {
            return Ok(Key::Es256(Box::new(key)));
        }
        if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_pem(pem) {
            let key = Key::ed25519(key.as_bytes());
            return key.ok_or(KeyError::Format { what: "the Ed25519 key is weak; make another" });
        }
        let rsa = rsa::PublicKey::from_public_key_pem(pem).ok();
        // What decodes a file takes keys of fewer bits.
        let rsa = rsa.or_else(|| rsa::PublicKey::from_pkcs1_pem(pem).ok());
        if let Some(key) = rsa.and_then(|key| Key::rsa(&key.n_bytes(), &key.e_bytes())) {
            return Ok(key);
        }
        Err(KeyError::Format {
            what: "the PEM file has no public key that is known; give one of P-256, Ed25519 or \
                   RSA with 2,048 bits or more",
        })
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Key::Hs256(_) => Algorithm::Hs256,
            Key::Hs384(_) => Algorithm::Hs384,
            Key::Hs512(_) => Algorithm::Hs512,
            Key::Es256(_) => Algorithm::Es256,
            Key::EdDsa(_) => Algorithm::EdDsa,
            Key::Rs256(_) => Algorithm::Rs256,
        }
    }

    /// Whether this is the signature of a message. Secrets are compared in constant time.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Key::Hs256(key) => key.clone().chain_update(message).verify_slice(signature).is_ok(),
            Key::Hs384(key) => key.clone().chain_update(message).verify_slice(signature).is_ok(),
            Key::Hs512(key) => key.clone().chain_update(message).verify_slice(signature).is_ok(),
            Key::Es256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Key::EdDsa(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Key::Rs256(key) => key.pkcs1v15_verify::<Sha256>(message, signature).is_ok(),
        }
    }
}
