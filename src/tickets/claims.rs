//! What a token says: the claims of RFC 7519, and the one with what is granted.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::token_error::TokenError;
use crate::filter::Subscription;
use crate::grant::Grant;
use crate::policy::Policy;
use crate::stream_options::StreamOptions;

/// The most topics and filters of a token, which its bytes bound as well.
pub(super) const SUBSCRIBE_MAX: usize = 256;
/// The end of the year 9999, behind which no time of a token may be.
const SECONDS_MAX: f64 = 253_402_300_799.0;

/// The claims of a token. A claim that is there twice is an error; others than these are passed
/// over.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Claims {
    pub(super) exp: Option<SystemTime>,
    pub(super) nbf: Option<SystemTime>,
    pub(super) aud: Option<Vec<String>>,
    pub(super) iss: Option<String>,
    /// The JSON of the claim that grants.
    pub(super) granted: Option<String>,
}

impl Claims {
    /// Reads the claims of a token, of which the one with this name grants.
    pub(super) fn parse(json: &[u8], granting: &str) -> Result<Claims, TokenError> {
        let mut json = serde_json::Deserializer::from_slice(json);
        let claims = json.deserialize_map(ClaimsVisitor { granting });
        let claims = claims.and_then(|claims| json.end().map(|()| claims));
        claims.map_err(|_| TokenError::Malformed {
            what: "its claims are not a JSON object, or one of them is not what RFC 7519 has",
        })
    }
}

struct ClaimsVisitor<'a> {
    granting: &'a str,
}

impl<'de> Visitor<'de> for ClaimsVisitor<'_> {
    type Value = Claims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
        let mut claims = Claims::default();
        while let Some(name) = map.next_key::<String>()? {
            match &*name {
                "exp" => once(&mut claims.exp, map.next_value::<NumericDate>()?.0)?,
                "nbf" => once(&mut claims.nbf, map.next_value::<NumericDate>()?.0)?,
                "aud" => once(&mut claims.aud, map.next_value::<OneOrMore>()?.into())?,
                "iss" => once(&mut claims.iss, map.next_value()?)?,
                name if name == self.granting => {
                    let json: Box<RawValue> = map.next_value()?;
                    once(&mut claims.granted, String::from(Box::<str>::from(json)))?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(claims)
    }
}

fn once<T, E: serde::de::Error>(claim: &mut Option<T>, value: T) -> Result<(), E> {
    match claim.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom("a claim is there twice")),
    }
}

/// A time in seconds since 1970, which may have a fraction (RFC 7519, section 2).
struct NumericDate(SystemTime);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NumericDate, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        match (0.0..=SECONDS_MAX).contains(&seconds) {
            true => Ok(NumericDate(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds))),
            false => Err(D::Error::custom("a time is before 1970 or behind 9999")),
        }
    }
}

/// The audiences of a token: one, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl From<OneOrMore> for Vec<String> {
    fn from(aud: OneOrMore) -> Vec<String> {
        match aud {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(more) => more,
        }
    }
}

/// The claim that grants. A member that is not known is an error: it may have been meant to narrow
/// what is granted.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Granted {
    pub(super) subscribe: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<String>,
}

impl Granted {
    /// What the JSON of a claim grants, without an end.
    pub(super) fn grant(json: &str) -> Result<Grant, TokenError> {
        let wrong = |what: String| TokenError::Claim { what };
        let granted: Granted = serde_json::from_str(json).map_err(|_| {
            wrong(
                "what it grants is not {\"subscribe\": [...]}, with \"tag\" and \"policy\" or \
                 without"
                    .to_owned(),
            )
        })?;
        if !(1..=SUBSCRIBE_MAX).contains(&granted.subscribe.len()) {
            return Err(wrong(format!("\"subscribe\" has to have 1 to {SUBSCRIBE_MAX} entries")));
        }
        let subscriptions: Result<Vec<_>, _> =
            granted.subscribe.iter().map(|text| Subscription::new(text)).collect();
        let mut grant = Grant::new(subscriptions.map_err(|error| wrong(error.to_string()))?);
        if let Some(tag) = granted.tag {
            let tag = StreamOptions::default().tag(tag);
            tag.check().map_err(|error| wrong(error.to_string()))?;
            grant.tag = tag.tag;
        }
        if let Some(policy) = granted.policy {
            grant.policy =
                Some(policy.parse::<Policy>().map_err(|error| wrong(error.to_string()))?);
        }
        Ok(grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Option<Claims> {
        Claims::parse(json.as_bytes(), "fanfare").ok()
    }

    #[test]
    fn times_are_numbers_of_seconds_within_the_years_that_there_are() {
        let exp = |value: &str| parse(&format!(r#"{{"exp": {value}}}"#))?.exp;
        let at = |ms| Some(SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
        assert_eq!(exp("0"), at(0));
        assert_eq!(exp("1700000000"), at(1_700_000_000_000));
        assert_eq!(exp("1700000000.5"), at(1_700_000_000_500));
        assert_eq!(exp("1.7e9"), at(1_700_000_000_000));
        assert!(exp("253402300799").is_some());
        for wrong in
            ["253402300800", "-1", "1e300", "\"1700000000\"", "null", "[1]", "true", "1e999"]
        {
            assert_eq!(exp(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_claim_is_there_once_and_unknown_ones_are_passed_over() {
        let claims = parse(r#"{"sub": {"a": [1]}, "aud": "a", "iss": "i", "jti": 7}"#).unwrap();
        assert_eq!((claims.aud, claims.iss), (Some(vec!["a".into()]), Some("i".into())));
        assert_eq!(parse(r#"{"aud": ["a", "b"]}"#).unwrap().aud.unwrap().len(), 2);
        for wrong in [
            r#"{"exp": 1, "exp": 2}"#,
            r#"{"aud": "a", "aud": "b"}"#,
            r#"{"fanfare": {}, "fanfare": {}}"#,
            r#"{"iss": ["i"]}"#,
            r#"{"aud": 1}"#,
            r#"{"aud": {"a": 1}}"#,
            r#"{"aud": [1]}"#,
            "[]",
            "7",
            "",
            "{} {}",
            r#"{"exp": 1,}"#,
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        // What is passed over may be deep, and what is read may not.
        for (claim, is_read) in [("sub", false), ("aud", true), ("exp", true), ("iss", true)] {
            let deep = format!(r#"{{"{claim}": {}1{}}}"#, "[".repeat(3_000), "]".repeat(3_000));
            assert_eq!(parse(&deep).is_none(), is_read, "{claim}");
        }
    }

    #[test]
    fn what_is_granted_has_bounds_and_no_unknown_member() {
        let grant =
            Granted::grant(r##"{"subscribe": ["a/#", "b"], "tag": "t", "policy": "conflate"}"##);
        let expected =
            Grant::new([Subscription::new("a/#").unwrap(), Subscription::new("b").unwrap()])
                .tag("t")
                .policy(Policy::Conflate);
        assert_eq!(grant, Ok(expected));
        let list =
            |count: usize| format!(r#"{{"subscribe": [{}]}}"#, vec!["\"a\""; count].join(","));
        assert!(Granted::grant(&list(SUBSCRIBE_MAX)).is_ok());
        for wrong in [
            "{}",
            "[]",
            "\"#\"",
            r#"{"subscribe": []}"#,
            r#"{"subscribe": "a"}"#,
            r#"{"subscribe": [1]}"#,
            r#"{"subscribe": [""]}"#,
            r#"{"subscribe": ["a/#/b"]}"#,
            r#"{"subscribe": ["a"], "tag": ""}"#,
            r#"{"subscribe": ["a"], "tag": "a\nb"}"#,
            r#"{"subscribe": ["a"], "tag": 7}"#,
            r#"{"subscribe": ["a"], "policy": "fastest"}"#,
            r#"{"subscribe": ["a"], "until": 7}"#,
            r#"{"subscribe": ["a"], "subscribe": ["b"]}"#,
            &list(SUBSCRIBE_MAX + 1),
        ] {
            assert!(Granted::grant(wrong).is_err(), "{wrong}");
        }
    }
}
