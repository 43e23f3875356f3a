//! Tests of tokens, keys and tickets.

mod access;
mod keys;
mod store;
mod tokens;

use std::time::{Duration, SystemTime};

use super::{KeySet, SigningKey, TokenError, TokenOptions, TokenVerifier};
use crate::grant::Grant;

/// Keys of each type, as OpenSSL writes them.
pub(super) const P256: &[u8] = include_bytes!("../../../tests/support/keys/p256.pem");
pub(super) const P256_PUBLIC: &[u8] = include_bytes!("../../../tests/support/keys/p256.pub.pem");
pub(super) const ED25519: &[u8] = include_bytes!("../../../tests/support/keys/ed25519.pem");
pub(super) const ED25519_PUBLIC: &[u8] =
    include_bytes!("../../../tests/support/keys/ed25519.pub.pem");
pub(super) const RSA: &[u8] = include_bytes!("../../../tests/support/keys/rsa.pem");
pub(super) const RSA_PUBLIC: &[u8] = include_bytes!("../../../tests/support/keys/rsa.pub.pem");
pub(super) const SECRET: &[u8] = b"this secret is for tests, and has more than 32 bytes";

/// The time in these tests, in seconds since 1970.
pub(super) const NOW: u64 = 1_900_000_000;

pub(super) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(super) fn verifier(keys: KeySet) -> TokenVerifier {
    TokenVerifier::new(keys, TokenOptions::default()).unwrap()
}

/// What a verifier of a key file says of a token, now.
pub(super) fn verify(key: &[u8], token: &str) -> Result<Grant, TokenError> {
    verifier(KeySet::from_key_file(key).unwrap()).verify(token, at(NOW))
}

/// A token with this header and these claims.
pub(super) fn sign(key: &[u8], header: &str, claims: &str) -> String {
    SigningKey::from_key_file(key).unwrap().sign_json(header, claims).unwrap()
}

/// The parts of a token.
pub(super) fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}
