//! JSON Web Tokens across the border: the keys that they are checked with, and what they grant.

use std::ffi::c_char;
use std::mem::offset_of;
use std::sync::Arc;
use std::time::SystemTime;

use super::answer;
use super::fields::{init, over_defaults, tell_problem, write_text, Field, TEXT_BYTES_MAX};
use super::granted::FanfareGranted;
use super::lent::{copies, copy_array, with_copies, Lent};
use super::options::{Number, Refused};
use super::origin::Origin;
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::tickets::{KeyError, KeySet, TokenOptions, TokenVerifier};

/// A key that tokens are checked with, or several: the content of a file. It never grows, so that it
/// has no size.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareKey {
    /// The content, at most 256 KiB.
    pub bytes: FanfareText,
    /// What it is: one of `FANFARE_KEY_...`.
    pub form: u32,
    /// 0; keeps the struct's end where it is on every system.
    pub reserved: u32,
}

/// A public key in PEM, of P-256, Ed25519 or RSA with 2,048 bits or more; or else a secret of at least
/// 32 bytes, for HS256, whose line end at the end is no part of it.
pub const FANFARE_KEY_FILE: u32 = 1;
/// A JWK set (RFC 7517): `{"keys":[...]}`.
pub const FANFARE_KEY_JWKS: u32 = 2;

/// How tokens are checked. `fanfare_token_options_defaults` makes one with every default.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareTokenOptions {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// Of a token's `aud` one has to be among these. Default: none, and a token must not have one.
    pub audiences: *const FanfareText,
    /// How many there are, at most 64.
    pub audiences_count: usize,
    /// A token's `iss` has to be among these. Default: none, and it is not looked at.
    pub issuers: *const FanfareText,
    /// How many there are, at most 64.
    pub issuers_count: usize,
    /// The name of the claim that says what is granted, 1 to 256 bytes. Default: `fanfare`.
    pub claim: FanfareText,
    /// How much earlier than its `nbf` a token may be used.
    /// Bounds: at most 5 min. Default: 5 s.
    pub leeway_ms: u64,
}

/// What checks tokens: keys, which can be replaced, and options. Opaque, and always used by pointer.
/// `fanfare_tokens_new` makes it and `fanfare_tokens_free` frees it; authorizers that have it keep it.
#[derive(Debug)]
pub struct FanfareTokens {
    pub(super) verifier: Arc<TokenVerifier>,
    /// The process that it was made in.
    origin: Origin,
}

/// The size that the struct had in the ABI's first version.
const SIZE_MIN: usize = offset_of!(FanfareTokenOptions, leeway_ms) + size_of::<u64>();

const AUDIENCES: Field = Field { name: "audiences", bounds: "at most 64" };
const ISSUERS: Field = Field { name: "issuers", bounds: "at most 64" };
const CLAIM: Field =
    Field { name: "claim", bounds: "1 to 256 bytes, and not exp, nbf, aud or iss" };
const TIMES: [&str; 1] = ["leeway_ms"];
const NAMES_MAX: usize = 64;
/// The most of them: each has at least one key.
const KEYS_MAX: usize = KeySet::KEYS_MAX;

/// Fills in the defaults. `options->size` has to be set before, and stays as it is.
///
/// Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when
/// `options` is NULL or its size is that of no version.
///
/// # Safety
///
/// `options` has to point to `options->size` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_token_options_init(
    options: *mut FanfareTokenOptions,
) -> FanfareStatus {
    // SAFETY: as the caller promises.
    answer(|| unsafe { init(options, SIZE_MIN, FanfareTokenOptions::default()) })
}

/// Finds the first option that `fanfare_tokens_new` would refuse: `*name_out` is its name in the struct,
/// and `*bounds_out` what it may be. Both are {NULL, 0} when every option is within its bounds.
///
/// Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
/// `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `options` has to point to `options->size` readable bytes whose texts and lists are as they say, and
/// the others to writable texts.
#[no_mangle]
pub unsafe extern "C" fn fanfare_token_options_problem(
    options: *const FanfareTokenOptions,
    name_out: *mut FanfareText,
    bounds_out: *mut FanfareText,
) -> FanfareStatus {
    answer(|| {
        if options.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        unsafe { tell_problem(|| FanfareTokenOptions::read(options), name_out, bounds_out) }
    })
}

/// Writes a sentence that says why keys are refused and what to do about it into a buffer of `size`
/// bytes, without a NUL at its end. `*length_out` is its length, also when the buffer is too small, and
/// 0 when the keys are taken. It never has a part of a key in it.
///
/// Threads: any. Ownership: the keys and the buffer stay the caller's. Errors: `FANFARE_ERR_BUFFER`,
/// `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_TOO_MANY` for more than 64 keys, or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `keys` has to point to `keys_count` keys whose bytes are as they say, `buffer` to have `size` writable
/// bytes, and `length_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_keys_problem(
    keys: *const FanfareKey,
    keys_count: usize,
    buffer: *mut c_char,
    size: usize,
    length_out: *mut usize,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let problem = match unsafe { read_keys(keys, keys_count) } {
            Ok(_) => String::new(),
            Err(NoKeys::Wrong(error)) => error.to_string(),
            Err(NoKeys::Call(status)) => return Err(status),
        };
        // SAFETY: as the caller promises.
        unsafe { write_text(&problem, buffer, size, length_out) }
    })
}

/// Makes what checks tokens with some keys, 1 to 64. `options` may be NULL for the defaults. On success
/// `*tokens_out` is it.
///
/// Threads: any. Ownership: what is passed stays the caller's, and no copy of the file's content is kept
/// but the keys; the tokens are the caller's, to be freed with `fanfare_tokens_free`. Errors:
/// `FANFARE_ERR_KEY`, and `fanfare_keys_problem` says why; `FANFARE_ERR_OPTIONS`, and
/// `fanfare_token_options_problem` says which; `FANFARE_ERR_TOO_MANY`, `FANFARE_ERR_ARGUMENT` or
/// `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `keys` has to point to `keys_count` keys whose bytes are as they say, `options` to be NULL or as
/// `FanfareTokenOptions` says, and `tokens_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_tokens_new(
    keys: *const FanfareKey,
    keys_count: usize,
    options: *const FanfareTokenOptions,
    tokens_out: *mut *mut FanfareTokens,
) -> FanfareStatus {
    answer(|| {
        if tokens_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        let (keys, options) =
            unsafe { (read_keys(keys, keys_count)?, FanfareTokenOptions::read(options)?) };
        let verifier = TokenVerifier::new(keys, options);
        let verifier = Arc::new(verifier.map_err(|_| Status::FANFARE_ERR_OPTIONS)?);
        let tokens = FanfareTokens { verifier, origin: Origin::here() };
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *tokens_out = Box::into_raw(Box::new(tokens)) };
        Ok(())
    })
}

/// Replaces the keys that tokens are checked with, 1 to 64. Streams that are open stay open.
///
/// Threads: any, several at once, also while listeners check tokens. Ownership: what is passed stays the
/// caller's. Errors, after which the keys are those of before: `FANFARE_ERR_KEY`, `FANFARE_ERR_TOO_MANY`,
/// `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `tokens` has to be live, and `keys` to point to `keys_count` keys whose bytes are as they say.
#[no_mangle]
pub unsafe extern "C" fn fanfare_tokens_set_keys(
    tokens: *const FanfareTokens,
    keys: *const FanfareKey,
    keys_count: usize,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (tokens, keys) =
            unsafe { (FanfareTokens::live(tokens)?, read_keys(keys, keys_count)?) };
        tokens.verifier.set_keys(keys);
        Ok(())
    })
}

/// Checks a token, of at most 8 KiB, for a program that opens streams itself. On success
/// `*granted_out` is what the token grants.
///
/// Threads: any, several at once. Ownership: the token stays the caller's; what is granted is the
/// caller's, to be freed with `fanfare_granted_free`. Errors: `FANFARE_ERR_TOKEN` when it is not valid;
/// `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `tokens` has to be live, `token` as many readable bytes as it says, and `granted_out` writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_tokens_verify(
    tokens: *const FanfareTokens,
    token: FanfareText,
    granted_out: *mut *mut FanfareGranted,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let tokens = unsafe { FanfareTokens::live(tokens) }?;
        if granted_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        let wrong = Status::FANFARE_ERR_TOKEN;
        let token = Lent::new(token, TokenVerifier::TOKEN_BYTES_MAX, wrong)?;
        let verify = |[token]: [Option<&[u8]>; 1]| {
            let token = std::str::from_utf8(token.unwrap_or_default()).map_err(|_| wrong)?;
            let grant = tokens.verifier.verify(token, SystemTime::now()).map_err(|_| wrong)?;
            // SAFETY: not NULL, and writable as the caller promises.
            unsafe { *granted_out = FanfareGranted::new(grant, None) };
            Ok(())
        };
        // SAFETY: as the caller promises.
        unsafe { with_copies([token], verify) }
    })
}

/// Frees what checks tokens. Authorizers that have it keep it. NULL does nothing.
///
/// Threads: any one, while no other call with it is under way, and none comes afterwards. Ownership: it
/// is gone. Errors: none. In a child of the process that of the parent's is left as it is.
///
/// # Safety
///
/// `tokens` has to be NULL, or not to have been freed before.
#[no_mangle]
pub unsafe extern "C" fn fanfare_tokens_free(tokens: *mut FanfareTokens) {
    answer(|| {
        // SAFETY: NULL, or live as the caller promises.
        match unsafe { tokens.as_ref() } {
            Some(live) if live.origin.is_here() => {
                // SAFETY: it came from `Box::into_raw`, and the caller gives it up.
                drop(unsafe { Box::from_raw(tokens) });
            }
            _ => {}
        }
        Ok(())
    });
}

impl FanfareTokens {
    /// What is behind a pointer.
    ///
    /// # Safety
    ///
    /// `tokens` has to be NULL, or to be live for as long as `'a`.
    pub(super) unsafe fn live<'a>(
        tokens: *const FanfareTokens,
    ) -> Result<&'a FanfareTokens, Status> {
        // SAFETY: as the caller promises.
        match unsafe { tokens.as_ref() } {
            None => Err(Status::FANFARE_ERR_ARGUMENT),
            Some(tokens) if !tokens.origin.is_here() => Err(Status::FANFARE_ERR_FORKED),
            Some(tokens) => Ok(tokens),
        }
    }
}

impl Default for FanfareTokenOptions {
    fn default() -> FanfareTokenOptions {
        FanfareTokenOptions {
            size: size_of::<FanfareTokenOptions>(),
            audiences: std::ptr::null(),
            audiences_count: 0,
            issuers: std::ptr::null(),
            issuers_count: 0,
            claim: FanfareText::NONE,
            leeway_ms: TokenOptions::default().leeway.to_number(),
        }
    }
}

impl FanfareTokenOptions {
    /// # Safety
    ///
    /// `options` has to be NULL, or to point to `options->size` readable bytes whose texts and lists are
    /// as they say.
    unsafe fn read(options: *const FanfareTokenOptions) -> Result<TokenOptions, Refused> {
        let mut options_read = TokenOptions::default();
        // SAFETY: as the caller promises, for all of these.
        let read = unsafe {
            let read = over_defaults(options, SIZE_MIN, FanfareTokenOptions::default())?;
            let audiences = AUDIENCES.texts(read.audiences, read.audiences_count, NAMES_MAX)?;
            options_read.audiences = audiences.unwrap_or_default();
            let issuers = ISSUERS.texts(read.issuers, read.issuers_count, NAMES_MAX)?;
            options_read.issuers = issuers.unwrap_or_default();
            if let Some(claim) = CLAIM.text(read.claim, TEXT_BYTES_MAX)? {
                options_read.claim = claim;
            }
            read
        };
        options_read.leeway = Number::of_number(read.leeway_ms);
        options_read.check().map_err(|error| Field::of(error, &TIMES, &[]))?;
        Ok(options_read)
    }
}

/// Why there are no keys.
enum NoKeys {
    Wrong(KeyError),
    Call(Status),
}

impl From<NoKeys> for Status {
    fn from(none: NoKeys) -> Status {
        match none {
            NoKeys::Wrong(_) => Status::FANFARE_ERR_KEY,
            NoKeys::Call(status) => status,
        }
    }
}

/// The caller's keys as one set.
///
/// # Safety
///
/// `keys` has to be NULL, or to point to `count` keys whose bytes are as they say.
unsafe fn read_keys(keys: *const FanfareKey, count: usize) -> Result<KeySet, NoKeys> {
    if count > KEYS_MAX {
        return Err(NoKeys::Call(Status::FANFARE_ERR_TOO_MANY));
    }
    // SAFETY: as the caller promises.
    let given = unsafe { copy_array(keys, count) }.map_err(NoKeys::Call)?;
    let too_long = || NoKeys::Wrong(KeyError::TooLong { bytes_max: KeySet::JWKS_BYTES_MAX });
    let lent = given.iter().map(|key| {
        let lent = Lent::new(key.bytes, KeySet::JWKS_BYTES_MAX, Status::FANFARE_ERR_KEY);
        let lent = lent.map_err(|status| match status {
            Status::FANFARE_ERR_KEY => too_long(),
            status => NoKeys::Call(status),
        })?;
        lent.ok_or(NoKeys::Call(Status::FANFARE_ERR_ARGUMENT))
    });
    let lent = lent.collect::<Result<Vec<Lent>, _>>()?;
    // SAFETY: as the caller promises.
    let files = unsafe { copies(&lent) }.map_err(NoKeys::Call)?;
    let mut all: Option<KeySet> = None;
    for (key, file) in given.iter().zip(&files) {
        let read = match (key.form, key.reserved) {
            (FANFARE_KEY_FILE, 0) => KeySet::from_key_file(file),
            (FANFARE_KEY_JWKS, 0) => KeySet::from_jwks(file),
            _ => return Err(NoKeys::Call(Status::FANFARE_ERR_ARGUMENT)),
        };
        let read = read.map_err(NoKeys::Wrong)?;
        all = Some(match all {
            None => read,
            Some(all) => all.with(read).map_err(NoKeys::Wrong)?,
        });
    }
    all.ok_or(NoKeys::Wrong(KeyError::NoKeys))
}
