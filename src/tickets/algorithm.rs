//! The algorithms by which tokens are signed.

use std::fmt;
use std::str::FromStr;

use crate::excerpt::Excerpt;

/// An algorithm by which tokens are signed (RFC 7518, section 3.1; RFC 8037, section 3.1). A key is
/// for one of them, and never used for another one, whatever a token says.
///
/// # Examples
///
/// ```
/// use fanfare::tickets::Algorithm;
///
/// assert_eq!("ES256".parse(), Ok(Algorithm::Es256));
/// assert_eq!(Algorithm::EdDsa.to_string(), "EdDSA");
/// assert!("none".parse::<Algorithm>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256: who can check a token can sign one.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// EdDSA with Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256, and a key of 2,048 to 8,192 bits.
    Rs256,
}

/// There is no algorithm of this name here.
///
/// # Examples
///
/// ```
/// use fanfare::tickets::{Algorithm, AlgorithmError};
///
/// let error: AlgorithmError = "PS256".parse::<Algorithm>().unwrap_err();
/// assert!(error.to_string().starts_with("there is no algorithm \"PS256\"; there are HS256, "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlgorithmError {
    name: Excerpt,
}

impl Algorithm {
    const ALL: [Algorithm; 6] = [
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
        Algorithm::Es256,
        Algorithm::EdDsa,
        Algorithm::Rs256,
    ];

    /// Its name in tokens and keys.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(fanfare::tickets::Algorithm::Hs256.as_str(), "HS256");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Rs256 => "RS256",
        }
    }

    /// The bytes of its hash, which a secret has to have at least (RFC 7518, section 3.2).
    pub(super) fn secret_bytes_min(self) -> usize {
        match self {
            Algorithm::Hs384 => 48,
            Algorithm::Hs512 => 64,
            _ => 32,
        }
    }
}

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    fn from_str(name: &str) -> Result<Algorithm, AlgorithmError> {
        // The newer name of what EdDSA with this curve is (RFC 9864, section 2.2).
        let name = if name == "Ed25519" { "EdDSA" } else { name };
        let known = Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name);
        known.ok_or_else(|| AlgorithmError { name: Excerpt::of(name) })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for AlgorithmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Algorithm::ALL.map(Algorithm::as_str).join(", ");
        write!(f, "there is no algorithm {}; there are {names}", self.name)
    }
}

impl std::error::Error for AlgorithmError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_has_one_name_and_case_counts() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        }
        assert_eq!("Ed25519".parse(), Ok(Algorithm::EdDsa));
        for name in ["none", "None", "", "hs256", "HS256 ", "PS256", "ES384", "Ed448", "RS512"] {
            assert!(name.parse::<Algorithm>().is_err(), "{name}");
        }
    }
}
