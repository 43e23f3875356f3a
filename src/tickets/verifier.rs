//! Checks tokens: the compact form of RFC 7515, section 7.1, with the claims of RFC 7519.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::de::IgnoredAny;
use serde::Deserialize;

use super::algorithm::Algorithm;
use super::claims::{Claims, Granted};
use super::key_set::KeySet;
use super::token_error::{TokenError, TOKEN_BYTES_MAX};
use crate::grant::Grant;
use crate::options::chained::chained;
use crate::options::{within, OptionsError};

chained! {
    /// Which tokens a [`TokenVerifier`] takes.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::tickets::TokenOptions;
    ///
    /// let options = TokenOptions::default()
    ///     .audiences(["https://events.example"])
    ///     .issuers(["https://login.example"]);
    /// assert_eq!(options.claim, "fanfare");
    /// ```
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct TokenOptions {
        /// Who this server is: a token whose `aud` (RFC 7519, section 4.1.3) has one of these is
        /// for it, at most 64. Default: none, and then a token that has an `aud` is refused.
        pub audiences: Vec<String> as (impl IntoIterator<Item = impl Into<String>>
            => audiences.into_iter().map(Into::into).collect()),
        /// Whose tokens are taken: those with one of these as `iss`, at most 64. Default: none, and
        /// then `iss` does not matter.
        pub issuers: Vec<String> as (impl IntoIterator<Item = impl Into<String>>
            => issuers.into_iter().map(Into::into).collect()),
        /// How far ahead of this machine's clock the issuer's may be, at most 5 min: a token is
        /// valid this long before its `nbf`. `exp` is exact. Default: 5 s.
        pub leeway: Duration,
        /// The name of the claim that grants, 1 to 256 bytes. Default: `fanfare`.
        pub claim: String as (impl Into<String> => claim.into()),
    }
}

impl Default for TokenOptions {
    fn default() -> TokenOptions {
        TokenOptions {
            audiences: Vec::new(),
            issuers: Vec::new(),
            leeway: Duration::from_secs(5),
            claim: "fanfare".to_owned(),
        }
    }
}

impl TokenOptions {
    /// Checks what has bounds, as [`TokenVerifier::new`] does.
    ///
    /// # Errors
    ///
    /// The first option that is out of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::tickets::TokenOptions;
    ///
    /// assert_eq!(TokenOptions::default().claim("exp").check().unwrap_err().option, "claim");
    /// ```
    pub fn check(&self) -> Result<(), OptionsError> {
        within(self.audiences.len() <= NAMES_MAX, "audiences", "at most 64")?;
        within(self.issuers.len() <= NAMES_MAX, "issuers", "at most 64")?;
        within(self.leeway <= LEEWAY_MAX, "leeway", "at most 5 min")?;
        let fits = (1..=CLAIM_BYTES_MAX).contains(&self.claim.len());
        let is_own = ["exp", "nbf", "aud", "iss"].contains(&&*self.claim);
        within(fits && !is_own, "claim", "1 to 256 bytes, and not exp, nbf, aud or iss")
    }
}

const NAMES_MAX: usize = 64;
const LEEWAY_MAX: Duration = Duration::from_secs(300);
const CLAIM_BYTES_MAX: usize = 256;
/// The most bytes of a name that an error repeats.
const REPEATED_BYTES_MAX: usize = 256;

/// Checks tokens, and says what they grant.
///
/// A token is a JSON Web Token that is signed (RFC 7515, RFC 7519), with these claims:
///
/// - `exp`, when it expires, which it has to have; the grant ends at that time;
/// - `nbf`, `aud` and `iss`, as [`TokenOptions`] say;
/// - one that says what is granted, by the name of [`TokenOptions::claim`]:
///   `{"subscribe": ["user/7/#"], "tag": "user 7", "policy": "conflate"}`. `subscribe` has 1 to
///   256 topics and filters; `tag` and `policy` may be left out, and nothing else may be there.
///
/// The signature is checked before a claim is read. How a key is used is a property of the key: a
/// token that names another algorithm than its key's is refused, so is one that names `none`, and
/// one with critical extensions (`crit`). Keys in a token's header are not looked at.
///
/// It can be shared by threads; keys can be replaced while others check tokens.
///
/// # Examples
///
/// ```
/// use std::time::SystemTime;
/// use fanfare::tickets::{KeySet, TokenOptions, TokenVerifier};
/// use fanfare::Grant;
///
/// let keys = KeySet::from_key_file(&[b'k'; 32])?;
/// let verifier = TokenVerifier::new(keys, TokenOptions::default().audiences(["events"]))?;
///
/// let check = |token: &str| -> Option<Grant> {
///     verifier
///         .verify(token, SystemTime::now())
///         .inspect_err(|error| eprintln!("a token is refused: {error}"))
///         .ok()
/// };
/// assert_eq!(check("eyJhbGciOiJub25lIn0.e30."), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TokenVerifier {
    keys: RwLock<Arc<KeySet>>,
    options: TokenOptions,
}

impl TokenVerifier {
    /// The most bytes of a token.
    pub const TOKEN_BYTES_MAX: usize = TOKEN_BYTES_MAX;

    /// A verifier with these keys.
    ///
    /// # Errors
    ///
    /// When an option is out of its bounds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanfare::tickets::{KeySet, TokenOptions, TokenVerifier};
    ///
    /// let options = TokenOptions::default().leeway(Duration::from_secs(3600));
    /// assert!(TokenVerifier::new(KeySet::default(), options).is_err());
    /// ```
    pub fn new(keys: KeySet, options: TokenOptions) -> Result<TokenVerifier, OptionsError> {
        options.check()?;
        Ok(TokenVerifier { keys: RwLock::new(Arc::new(keys)), options })
    }

    /// Takes other keys for all tokens from now on, at once. Grants of earlier tokens stay.
    ///
    /// # Examples
    ///
    /// A file that is wrong leaves the keys as they are:
    ///
    /// ```
    /// use fanfare::tickets::{KeySet, TokenVerifier};
    ///
    /// fn reload(verifier: &TokenVerifier, file: &[u8]) {
    ///     match KeySet::from_jwks(file) {
    ///         Ok(keys) => verifier.set_keys(keys),
    ///         Err(error) => eprintln!("the keys stay as they were: {error}"),
    ///     }
    /// }
    /// # let _ = reload;
    /// ```
    pub fn set_keys(&self, keys: KeySet) {
        let keys = Arc::new(keys);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// What a token grants, and until when.
    ///
    /// # Errors
    ///
    /// When it is not to be trusted now, for the reason that the error says to the host.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use fanfare::tickets::{KeySet, TokenError, TokenOptions, TokenVerifier};
    ///
    /// let verifier = TokenVerifier::new(KeySet::default(), TokenOptions::default())?;
    /// let none = verifier.verify("eyJhbGciOiJub25lIn0.e30.", SystemTime::now());
    /// assert!(matches!(none, Err(TokenError::Algorithm { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Grant, TokenError> {
        if token.len() > TokenVerifier::TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong { bytes: token.len() });
        }
        let parts = Parts::of(token)?;
        let header = Header::parse(parts.header)?;
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let key = keys.find(header.algorithm, header.kid.as_deref());
        let key = key.ok_or(TokenError::UnknownKey { kid: header.kid })?;
        let signature = decode(parts.signature, "its signature is not base64url")?;
        if !key.verifies(parts.signed.as_bytes(), &signature) {
            return Err(TokenError::Signature);
        }
        let claims = decode(parts.claims, "its claims are not base64url")?;
        self.grant(&Claims::parse(&claims, &self.options.claim)?, now)
    }

    /// What claims grant that are signed.
    fn grant(&self, claims: &Claims, now: SystemTime) -> Result<Grant, TokenError> {
        let expires_at = claims.exp.ok_or(TokenError::NoExpiry)?;
        if now >= expires_at {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| now + self.options.leeway < nbf) {
            return Err(TokenError::NotYetValid);
        }
        let is_ours = |name: &String| self.options.audiences.contains(name);
        let for_us = match &claims.aud {
            None => self.options.audiences.is_empty(),
            Some(audiences) => audiences.iter().any(is_ours),
        };
        if !for_us {
            return Err(TokenError::Audience);
        }
        let issuers = &self.options.issuers;
        if !issuers.is_empty() && !claims.iss.as_ref().is_some_and(|iss| issuers.contains(iss)) {
            return Err(TokenError::Issuer);
        }
        let Some(granted) = &claims.granted else {
            return Err(TokenError::Claim {
                what: format!(
                    "there is no claim {:?} that says what is granted",
                    self.options.claim
                ),
            });
        };
        Ok(Granted::grant(granted)?.expires_at(expires_at))
    }
}

/// The parts of a token, each in base64url.
struct Parts<'a> {
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
    /// What is signed: the first two with the dot between.
    signed: &'a str,
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Result<Parts<'a>, TokenError> {
        let malformed = TokenError::Malformed { what: "it is not three parts with dots between" };
        let Some((signed, signature)) = token.rsplit_once('.') else { return Err(malformed) };
        let Some((header, claims)) = signed.split_once('.') else { return Err(malformed) };
        match claims.contains('.') {
            true => Err(malformed),
            false => Ok(Parts { header, claims, signature, signed }),
        }
    }
}

fn decode(part: &str, what: &'static str) -> Result<Vec<u8>, TokenError> {
    Base64UrlUnpadded::decode_vec(part).map_err(|_| TokenError::Malformed { what })
}

/// What the header of a token says of its key.
struct Header {
    algorithm: Algorithm,
    kid: Option<String>,
}

impl Header {
    fn parse(part: &str) -> Result<Header, TokenError> {
        #[derive(Deserialize)]
        struct Members {
            alg: String,
            kid: Option<String>,
            crit: Option<IgnoredAny>,
        }
        let json = decode(part, "its header is not base64url")?;
        let members: Members = serde_json::from_slice(&json).map_err(|_| {
            TokenError::Malformed { what: "its header is not JSON with an \"alg\"" }
        })?;
        if members.crit.is_some() {
            let what = "it has critical extensions (\"crit\"), and none is known here";
            return Err(TokenError::Malformed { what });
        }
        let algorithm = members.alg.parse::<Algorithm>();
        let algorithm =
            algorithm.map_err(|_| TokenError::Algorithm { name: beginning(members.alg) })?;
        Ok(Header { algorithm, kid: members.kid.map(beginning) })
    }
}

/// The beginning of a name, which is no key's id if it was cut.
fn beginning(mut name: String) -> String {
    if name.len() > REPEATED_BYTES_MAX {
        let end = (0..=REPEATED_BYTES_MAX).rev().find(|&at| name.is_char_boundary(at));
        name.truncate(end.unwrap_or(0));
        name.push('…');
    }
    name
}

/// Its options, and the ids of its keys; never a key.
impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("TokenVerifier")
            .field("keys", &**keys)
            .field("options", &self.options)
            .finish()
    }
}
