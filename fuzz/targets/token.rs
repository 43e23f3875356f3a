//! Tokens. An input is a header and claims, with a line break between; and it is a token, and a JWK
//! set.
//!
//! - No text is taken for a token that nobody signed.
//! - What is granted by claims that are signed is what a reader says that is written here, from RFC
//!   7519; JSON with a name twice grants nothing that this reader would not.
//! - A header is right if it names the key's algorithm, no other key's id, and no extension.

#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use fanfare::fuzzing::sign_json;
use fanfare::tickets::{KeySet, SigningKey, TokenOptions, TokenVerifier};
use fanfare::{Grant, Policy, Subscription};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const NOW: u64 = 1_000_000_000;
const LEEWAY: u64 = 5;
const SECRET: &[u8] = b"this secret is for tests, and has more than 32 bytes";
const KEYS: &str = r#"{"keys": [
    {"kty": "oct", "kid": "k",
     "k": "dGhpcyBzZWNyZXQgaXMgZm9yIHRlc3RzLCBhbmQgaGFzIG1vcmUgdGhhbiAzMiBieXRlcw"},
    {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    {"kty": "EC", "crv": "P-256", "x": "rQgzJhu-t24LL-rnJC0Z6od2QRfN9uAC4glBd5oROA0",
     "y": "qy-hA3to3OCZ-rwVauKYmMR1gKmeyIVMBZDoaywTyBE"}]}"#;

static VERIFIER: LazyLock<TokenVerifier> = LazyLock::new(|| {
    let keys = KeySet::from_jwks(KEYS.as_bytes()).unwrap();
    let options = TokenOptions::default().audiences(["a"]).leeway(Duration::from_secs(LEEWAY));
    TokenVerifier::new(keys, options).unwrap()
});
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_key_file(SECRET).unwrap());

fuzz_target!(|input: &str| {
    let now = at(NOW);
    assert!(VERIFIER.verify(input, now).is_err());
    if let Ok(keys) = KeySet::from_jwks(input.as_bytes()) {
        assert!((1..=KeySet::KEYS_MAX).contains(&keys.len()));
    }

    let (header, claims) = input.split_once('\n').unwrap_or(("", input));
    let verify = |header: &str, claims: &str| {
        VERIFIER.verify(&sign_json(&KEY, header, claims).expect("a secret signs anything"), now)
    };
    let granted = verify(r#"{"alg":"HS256"}"#, claims);
    let value = serde_json::from_str::<Value>(claims).ok();
    let expected = value.as_ref().and_then(read);
    if let Ok(granted) = &granted {
        assert_eq!(Some(granted), expected.as_ref(), "{claims}");
    }
    // Written out again, no name is there twice.
    if let Some(value) = &value {
        let again = verify(r#"{"alg":"HS256"}"#, &value.to_string());
        let is_short = value.to_string().len() < 5_000;
        assert!(!is_short || again.ok() == expected, "{claims}");
    }

    let right = r#"{"exp":1000000001,"aud":"a","fanfare":{"subscribe":["x"]}}"#;
    if verify(header, right).is_ok() {
        let header: Value = serde_json::from_str(header).expect("it is JSON");
        assert_eq!(header["alg"], "HS256");
        assert!(header["kid"].is_null() || header["kid"] == "k");
        assert!(header["crit"].is_null());
    }
});

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// What claims grant.
fn read(claims: &Value) -> Option<Grant> {
    let claims = claims.as_object()?;
    let time = |name: &str| match claims.get(name) {
        None => Some(None),
        Some(value) => {
            let seconds = value.as_f64().filter(|s| (0.0..=253_402_300_799.0).contains(s))?;
            Some(Some(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds)))
        }
    };
    let (exp, nbf) = (time("exp")??, time("nbf")?);
    let iss = claims.get("iss");
    if exp <= at(NOW)
        || nbf.is_some_and(|nbf| nbf > at(NOW + LEEWAY))
        || iss.is_some_and(|iss| !iss.is_string())
    {
        return None;
    }
    let for_us = match claims.get("aud")? {
        Value::String(one) => one == "a",
        Value::Array(all) => all.iter().all(Value::is_string) && all.iter().any(|one| one == "a"),
        _ => false,
    };
    let granted = claims.get("fanfare")?.as_object().filter(|_| for_us)?;
    if granted.keys().any(|name| !["subscribe", "tag", "policy"].contains(&&**name)) {
        return None;
    }
    let subscribe = granted.get("subscribe")?.as_array()?;
    let subscriptions: Option<Vec<_>> =
        subscribe.iter().map(|text| Subscription::new(text.as_str()?).ok()).collect();
    let mut grant = Grant::new(subscriptions?).expires_at(exp);
    if !(1..=256).contains(&subscribe.len()) {
        return None;
    }
    if let Some(tag) = granted.get("tag").filter(|tag| !tag.is_null()) {
        grant = grant.tag(tag.as_str()?);
    }
    if let Some(policy) = granted.get("policy").filter(|policy| !policy.is_null()) {
        grant = grant.policy(policy.as_str()?.parse::<Policy>().ok()?);
    }
    grant.check().ok().map(|()| grant)
}
