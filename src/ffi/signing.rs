//! Keys that sign tokens, across the border.

use std::ffi::c_char;
use std::mem::offset_of;

use super::answer;
use super::fields::{over_defaults, write_text, Field};
use super::grant::FanfareGrant;
use super::lent::{with_copies, Lent};
use super::options::Refused;
use super::origin::Origin;
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::tickets::{KeySet, SigningError, SigningKey, TokenClaims};

/// A key that signs tokens. Opaque, and always used by pointer. `fanfare_signing_key_new` makes it and
/// `fanfare_signing_key_free` frees it.
#[derive(Debug)]
pub struct FanfareSigningKey {
    key: SigningKey,
    origin: Origin,
}

/// What a token says beside what it grants and when it expires. Set all of it to zero, and `size` to
/// `sizeof(fanfare_token_claims)`; {NULL, 0} is what the token does not have. Each is at most 1 KiB.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareTokenClaims {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// The audience (`aud`).
    pub audience: FanfareText,
    /// The issuer (`iss`).
    pub issuer: FanfareText,
    /// The subject (`sub`).
    pub subject: FanfareText,
    /// The id of the key (`kid`).
    pub kid: FanfareText,
    /// The name of the claim that says what is granted. Default: `fanfare`.
    pub claim: FanfareText,
    /// Since when it is valid (`nbf`), in milliseconds since 1970, whole seconds of which count; 0 for
    /// always.
    pub not_before_unix_ms: u64,
}

/// The size that the struct had in the ABI's first version.
const SIZE_MIN: usize = offset_of!(FanfareTokenClaims, not_before_unix_ms) + size_of::<u64>();
/// The most bytes of a claim: more than one fits no token.
const CLAIM_BYTES_MAX: usize = 1 << 10;

/// Makes a key of a file's content: a private key in PEM without a passphrase, of P-256, Ed25519 or
/// RSA with 2,048 bits or more; or else a secret of at least 32 bytes, for HS256. On success `*key_out`
/// is the key.
///
/// Threads: any. Ownership: the bytes stay the caller's; the key is the caller's, to be freed with
/// `fanfare_signing_key_free`. Errors: `FANFARE_ERR_KEY`, `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `bytes` has to be as many readable bytes as it says, and `key_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_signing_key_new(
    bytes: FanfareText,
    key_out: *mut *mut FanfareSigningKey,
) -> FanfareStatus {
    answer(|| {
        if key_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        let wrong = Status::FANFARE_ERR_KEY;
        let bytes = Lent::new(bytes, KeySet::JWKS_BYTES_MAX, wrong)?;
        let make = |[bytes]: [Option<&[u8]>; 1]| {
            let bytes = bytes.ok_or(Status::FANFARE_ERR_ARGUMENT)?;
            let key = SigningKey::from_key_file(bytes).map_err(|_| wrong)?;
            let key = FanfareSigningKey { key, origin: Origin::here() };
            // SAFETY: not NULL, and writable as the caller promises.
            unsafe { *key_out = Box::into_raw(Box::new(key)) };
            Ok(())
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies([bytes], make) }
    })
}

/// Signs a token for what is granted: topics, of which there may be 1 to 256, tag and policy, and when
/// it expires, whole seconds of which count; a grant with anything else is refused. `claims` may be
/// NULL for none. The token is written into a buffer of `size` bytes, without a NUL at its end, and
/// `*length_out` is its length, also when the buffer is too small.
///
/// Threads: any, several at once. Ownership: what is passed stays the caller's. Errors:
/// `FANFARE_ERR_GRANT`, also when it does not expire; `FANFARE_ERR_BUFFER`, `FANFARE_ERR_TOO_LARGE` when
/// the token would have more than 8 KiB; `FANFARE_ERR_OPTIONS` when a claim is too long, is not UTF-8, or
/// one is set that only a newer library knows; `FANFARE_ERR_KEY` when the key cannot sign;
/// `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `key` has to be live, `grant` as `FanfareGrant` says, `claims` NULL or to point to `claims->size`
/// readable bytes whose texts are as they say, `buffer` to have `size` writable bytes, and `length_out`
/// to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_signing_key_sign(
    key: *const FanfareSigningKey,
    grant: *const FanfareGrant,
    claims: *const FanfareTokenClaims,
    buffer: *mut c_char,
    size: usize,
    length_out: *mut usize,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (key, grant, claims) = unsafe {
            let key = key.as_ref().ok_or(Status::FANFARE_ERR_ARGUMENT)?;
            if !key.origin.is_here() {
                return Err(Status::FANFARE_ERR_FORKED);
            }
            (key, FanfareGrant::read(grant)?, FanfareTokenClaims::read(claims)?)
        };
        let token = key.key.sign(&grant, &claims).map_err(|error| match error {
            SigningError::NoExpiry | SigningError::Grant { .. } => Status::FANFARE_ERR_GRANT,
            SigningError::TooLong { .. } => Status::FANFARE_ERR_TOO_LARGE,
            SigningError::Key => Status::FANFARE_ERR_KEY,
        })?;
        // SAFETY: as the caller promises.
        unsafe { write_text(&token, buffer, size, length_out) }
    })
}

/// Frees a key. NULL does nothing.
///
/// Threads: any one, while no other call with the key is under way, and none comes afterwards.
/// Ownership: the key is gone. Errors: none. In a child of the process a key of the parent's is left as it
/// is.
///
/// # Safety
///
/// `key` has to be NULL, or a key that was not freed before.
#[no_mangle]
pub unsafe extern "C" fn fanfare_signing_key_free(key: *mut FanfareSigningKey) {
    answer(|| {
        // SAFETY: NULL, or live as the caller promises.
        match unsafe { key.as_ref() } {
            Some(live) if live.origin.is_here() => {
                // SAFETY: it came from `Box::into_raw`, and the caller gives it up.
                drop(unsafe { Box::from_raw(key) });
            }
            _ => {}
        }
        Ok(())
    });
}

impl FanfareTokenClaims {
    /// # Safety
    ///
    /// `claims` has to be NULL, or to point to `claims->size` readable bytes whose texts are as they say.
    unsafe fn read(claims: *const FanfareTokenClaims) -> Result<TokenClaims, Refused> {
        let (none, field) = (FanfareText::NONE, |name| Field { name, bounds: "at most 1 KiB" });
        let blank = FanfareTokenClaims {
            size: size_of::<FanfareTokenClaims>(),
            audience: none,
            issuer: none,
            subject: none,
            kid: none,
            claim: none,
            not_before_unix_ms: 0,
        };
        let mut read = TokenClaims::default();
        // SAFETY: as the caller promises, for all of these.
        unsafe {
            let given = over_defaults(claims, SIZE_MIN, blank)?;
            read.audience = field("audience").text(given.audience, CLAIM_BYTES_MAX)?;
            read.issuer = field("issuer").text(given.issuer, CLAIM_BYTES_MAX)?;
            read.subject = field("subject").text(given.subject, CLAIM_BYTES_MAX)?;
            read.kid = field("kid").text(given.kid, CLAIM_BYTES_MAX)?;
            read.claim = field("claim").text(given.claim, CLAIM_BYTES_MAX)?;
            read.not_before = field("not_before_unix_ms").time(given.not_before_unix_ms)?;
        }
        Ok(read)
    }
}
