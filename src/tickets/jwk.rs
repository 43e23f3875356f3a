//! JSON Web Keys (RFC 7517), of the types that tokens are checked with.

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Deserialize;

use super::algorithm::Algorithm;
use super::key::Key;
use super::key_error::KeyError;

/// A JWK set.
#[derive(Deserialize)]
pub(super) struct JwkSet {
    pub(super) keys: Vec<Jwk>,
}

/// One key of a set; members that are not here have no meaning for it.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    pub(super) kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    k: Option<String>,
}

impl Jwk {
    /// The key; `None` for one that is not for signatures, or of a type or an algorithm that is not
    /// known here (RFC 7517, section 5, has such keys left out).
    ///
    /// # Errors
    ///
    /// When it is of a known type and its parts are not those of a key.
    pub(super) fn key(&self) -> Result<Option<Key>, Wrong> {
        let checks = |operations: &Vec<String>| operations.iter().any(|name| name == "verify");
        if self.purpose.as_ref().is_some_and(|purpose| purpose != "sig")
            || self.key_ops.as_ref().is_some_and(|operations| !checks(operations))
        {
            return Ok(None);
        }
        let own = match (&*self.kty, self.crv.as_deref()) {
            ("oct", _) => Algorithm::Hs256,
            ("EC", Some("P-256")) => Algorithm::Es256,
            ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
            ("RSA", _) => Algorithm::Rs256,
            _ => return Ok(None),
        };
        let algorithm = match self.alg.as_deref().map(str::parse::<Algorithm>) {
            None => own,
            Some(Ok(algorithm)) => algorithm,
            Some(Err(_)) => return Ok(None),
        };
        let part = |part: &Option<String>, missing| {
            let text = part.as_deref().ok_or(Wrong::Part(missing))?;
            Base64UrlUnpadded::decode_vec(text).map_err(|_| Wrong::Part(missing))
        };
        let key = match (own, algorithm) {
            (Algorithm::Hs256, Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512) => {
                let secret = part(&self.k, "\"k\" has to be a secret in base64url")?;
                return Key::secret(algorithm, &secret).map(Some).map_err(Wrong::Secret);
            }
            (Algorithm::Es256, Algorithm::Es256) => {
                let missing = "\"x\" and \"y\" have to be 32 bytes each, in base64url";
                Key::p256(&part(&self.x, missing)?, &part(&self.y, missing)?)
                    .ok_or("\"x\" and \"y\" are no point of P-256")
            }
            (Algorithm::EdDsa, Algorithm::EdDsa) => {
                Key::ed25519(&part(&self.x, "\"x\" has to be 32 bytes in base64url")?)
                    .ok_or("\"x\" is no key of Ed25519")
            }
            (Algorithm::Rs256, Algorithm::Rs256) => {
                let missing = "\"n\" and \"e\" have to be numbers in base64url";
                Key::rsa(&part(&self.n, missing)?, &part(&self.e, missing)?)
                    .ok_or("an RSA key has 2,048 to 8,192 bits and an odd exponent")
            }
            _ => Err("\"alg\" is of another type of key than \"kty\""),
        };
        key.map(Some).map_err(Wrong::Part)
    }
}

/// What is wrong with a key of a set.
pub(super) enum Wrong {
    Part(&'static str),
    Secret(KeyError),
}
