//! Which tokens are taken, and which are refused.

use base64ct::{Base64UrlUnpadded, Encoding};

use super::*;
use crate::filter::Subscription;
use crate::policy::Policy;
use crate::tickets::TokenClaims;

const HS256: &str = r#"{"alg":"HS256"}"#;
/// Claims that are right, until a hundred seconds from now.
const CLAIMS: &str = r#"{"exp": 1900000100, "fanfare": {"subscribe": ["news"]}}"#;

fn encode(text: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(text.as_ref())
}

/// A token with the signature of another one.
fn forged(header: &str, claims: &str, signature: &str) -> String {
    format!("{}.{}.{signature}", encode(header), encode(claims))
}

/// A token that is signed with anything as a secret, as an attacker does.
fn hs256_with(secret: &[u8], claims: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let message = format!("{}.{}", encode(HS256), encode(claims));
    let key = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
    let signature = key.chain_update(message.as_bytes()).finalize().into_bytes();
    format!("{message}.{}", encode(signature))
}

#[test]
fn what_a_key_signs_its_public_key_takes() {
    let keys =
        [(P256, P256_PUBLIC), (ED25519, ED25519_PUBLIC), (RSA, RSA_PUBLIC), (SECRET, SECRET)];
    let grant =
        Grant::new([Subscription::new("user/7/#").unwrap(), Subscription::new("b").unwrap()])
            .tag("user 7")
            .policy(Policy::Conflate)
            .expires_at(at(NOW + 1));
    for (signs, checks) in keys {
        let key = SigningKey::from_key_file(signs).unwrap();
        let claims = TokenClaims::default().issuer("i").subject("s").not_before(at(NOW)).kid("k");
        let token = key.sign(&grant, &claims).unwrap();
        assert_eq!(verify(checks, &token), Ok(grant.clone()), "{}", key.algorithm());
        for (_, other) in keys.iter().filter(|(_, other)| *other != checks) {
            let error = verify(other, &token).unwrap_err();
            assert!(matches!(error, TokenError::UnknownKey { .. }), "{error:?}");
        }
    }
}

#[test]
fn tokens_that_openssl_signed_are_taken() {
    let claims = "eyJleHAiOjIwMDAwMDAwMDAsImZhbmZhcmUiOnsic3Vic2NyaWJlIjpbIm5ld3MiXX19";
    for (key, header, signature) in [
        (RSA_PUBLIC, "eyJhbGciOiJSUzI1NiJ9", "dmc5PJtA8S-sV-xJySa7A6WqJcTe2yOHuem30-PwEYIpGlQjHFpR-IG4W42SdFVm5eNzAUVCZNkiSc2Y1Vt5iy8UM7_N64OPydO-LrOT7jTfKiH5oqTYTXxwOVvSzIXZWkvit9uIi-RE5fTf9GheuDoYHLVDRzYHI1x4FSG1Zj-tdDOmXiwLWo0wngjhZDsfJ-eG1YIMc88grXiXNx5Aeq8L4pf28vRtF-WgKNPcIA5GXiXpoh3Ect2jPXiQsEKhlOfHbPDJz8Y0pF9UUzhr-Y9Pvxoh_y-gi6DTOFQD1IwfDOe7CKRryz2XklA_e628-wEDs0Llq2X-BZme-2Ewgg"),
        (ED25519_PUBLIC, "eyJhbGciOiJFZERTQSJ9", "En_vFqZXlp9BjD2dfF1O1xD2mzN0sgWEWId2-F9rJTs4uBKbkCzPgDVWjdtdgkgqzNQNrs1LSIZCxfZcTmpHDg"),
        (P256_PUBLIC, "eyJhbGciOiJFUzI1NiJ9", "DGAuVZrqYe22dsOtga7caydx18bHl4MgeHfbH-8Dq7vhyPeIStDc5L5-FxQyPsWC93k4TS6LXm3r53RfMwquhg"),
    ] {
        let grant = verify(key, &format!("{header}.{claims}.{signature}")).unwrap();
        let expected = Grant::new([Subscription::new("news").unwrap()]);
        assert_eq!(grant, expected.expires_at(at(2_000_000_000)));
        // The same signature, of other claims.
        let other = encode(r##"{"exp":2000000000,"fanfare":{"subscribe":["#"]}}"##);
        let error = verify(key, &format!("{header}.{other}.{signature}"));
        assert_eq!(error, Err(TokenError::Signature));
    }
}

#[test]
fn the_example_of_the_standard_has_the_right_signature() {
    // RFC 7515, appendix A.1.
    let key = r#"{"keys": [{"kty": "oct",
        "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let verifier = verifier(KeySet::from_jwks(key.as_bytes()).unwrap());
    assert_eq!(verifier.verify(token, at(1_300_819_380)), Err(TokenError::Expired));
    let error = verifier.verify(token, at(1_300_819_379)).unwrap_err();
    assert!(matches!(error, TokenError::Claim { .. }), "{error:?}");
}

/// One line for each way in which a token can be wrong.
#[test]
fn a_token_that_is_wrong_in_any_way_is_refused_with_401_and_nothing_more_is_told() {
    let hs = |claims: &str| sign(SECRET, HS256, claims);
    let right = hs(CLAIMS);
    let [header, claims, signature] = parts(&right);
    let public = std::str::from_utf8(RSA_PUBLIC).unwrap().trim_end();
    let deep = format!("{}1{}", "[".repeat(2_000), "]".repeat(2_000));
    let long = format!(r#"{{"exp": 1900000100, "pad": "{}"}}"#, "x".repeat(9_000));
    let granting = |granted: &str| hs(&format!(r#"{{"exp": 1900000100, "fanfare": {granted}}}"#));

    #[rustfmt::skip]
    let table: Vec<(&str, String, &str)> = vec![
        ("expired", hs(r#"{"exp": 1900000000, "fanfare": {"subscribe": ["a"]}}"#), "has expired"),
        ("expired long ago", hs(r#"{"exp": 0, "fanfare": {"subscribe": ["a"]}}"#), "has expired"),
        ("not yet valid", hs(r#"{"exp": 1900000100, "nbf": 1900000006, "fanfare": {"subscribe": ["a"]}}"#), "not valid yet"),
        ("no exp", hs(r#"{"fanfare": {"subscribe": ["a"]}}"#), "no \"exp\""),
        ("exp as text", hs(r#"{"exp": "1900000100", "fanfare": {"subscribe": ["a"]}}"#), "claims are not"),
        ("exp twice", hs(r#"{"exp": 1, "exp": 1900000100, "fanfare": {"subscribe": ["a"]}}"#), "claims are not"),
        ("wrong secret", sign(&[b'x'; 32], HS256, CLAIMS), "signature is not"),
        ("alg none", forged(r#"{"alg":"none"}"#, CLAIMS, ""), "algorithm is \"none\""),
        ("alg None", forged(r#"{"alg":"None"}"#, CLAIMS, signature), "algorithm is \"None\""),
        ("alg empty", forged(r#"{"alg":""}"#, CLAIMS, signature), "algorithm is \"\""),
        ("alg missing", forged("{}", CLAIMS, signature), "header is not JSON"),
        ("alg null", forged(r#"{"alg":null}"#, CLAIMS, signature), "header is not JSON"),
        ("alg twice", forged(r#"{"alg":"HS256","alg":"none"}"#, CLAIMS, signature), "header is not JSON"),
        ("alg of no key", forged(r#"{"alg":"HS512"}"#, CLAIMS, signature), "names no key"),
        ("alg not known", forged(r#"{"alg":"PS256"}"#, CLAIMS, signature), "algorithm is \"PS256\""),
        ("a key in the header", forged(r#"{"alg":"HS256","jwk":{"kty":"oct","k":"eA"}}"#, r#"{"exp": 1900000100, "fanfare": {"subscribe": ["a"]}}"#, signature), "signature is not"),
        ("critical extension", sign(SECRET, r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, CLAIMS), "critical extensions"),
        ("an audience where there is none", hs(r#"{"exp": 1900000100, "aud": "other", "fanfare": {"subscribe": ["a"]}}"#), "another audience"),
        ("no grant", hs(r#"{"exp": 1900000100}"#), "no claim \"fanfare\""),
        ("grant of nothing", granting(r#"{"subscribe": []}"#), "1 to 256"),
        ("grant of no topic", granting(r#"{"subscribe": ["a/#/b"]}"#), "claims are wrong"),
        ("grant with an unknown member", granting(r#"{"subscribe": ["a"], "only": 1}"#), "what it grants is not"),
        ("deep grant", granting(&deep), "what it grants is not"),
        ("deep claims", hs(&deep), "claims are not"),
        ("deep header", forged(&deep, CLAIMS, signature), "header is not JSON"),
        ("claims no object", hs("[]"), "claims are not"),
        ("claims cut", hs(&CLAIMS[..CLAIMS.len() - 1]), "claims are not"),
        ("claims with more behind", hs(&format!("{CLAIMS}{CLAIMS}")), "claims are not"),
        ("claims no UTF-8", format!("{header}.{}.{signature}", encode(b"\xff")), "signature is not"),
        ("oversized", hs(&long), "8192 are the most"),
        ("empty", String::new(), "three parts"),
        ("one part", "a".to_owned(), "three parts"),
        ("two parts", format!("{header}.{claims}"), "three parts"),
        ("four parts", format!("{right}.{signature}"), "three parts"),
        ("no signature", format!("{header}.{claims}."), "signature is not of its key"),
        ("half a signature", format!("{header}.{claims}.{}", encode(&Base64UrlUnpadded::decode_vec(signature).unwrap()[..16])), "signature is not"),
        ("signature no base64", format!("{header}.{claims}.{}=", signature), "signature is not base64url"),
        ("signature in other base64", format!("{header}.{claims}.+{}", &signature[1..]), "signature is not base64url"),
        ("header no base64", format!("{header}=.{claims}.{signature}"), "header is not base64url"),
        ("space before", format!(" {right}"), "header is not base64url"),
        ("line end behind", format!("{right}\n"), "signature is not base64url"),
        ("not ASCII", "ä.ö.ü".to_owned(), "header is not base64url"),
    ];
    assert!(verify(SECRET, &right).is_ok());
    for (name, token, expected) in &table {
        let error = verify(SECRET, token).unwrap_err();
        assert_eq!(error.status(), 401, "{name}");
        let text = error.to_string();
        assert!(text.contains(expected), "{name}: {text}");
        let is_secret = [header, claims, signature].iter().any(|part| text.contains(part));
        assert!(!is_secret && text.len() < 300, "{name}: {text}");
    }

    // A public key that is used as a secret.
    for signed_with in [RSA_PUBLIC, public.as_bytes()] {
        let token = hs256_with(signed_with, CLAIMS);
        let error = verify(RSA_PUBLIC, &token).unwrap_err();
        assert_eq!((error.status(), error), (401, TokenError::UnknownKey { kid: None }));
        let forged = forged(r#"{"alg":"RS256"}"#, CLAIMS, parts(&token)[2]);
        assert_eq!(verify(RSA_PUBLIC, &forged), Err(TokenError::Signature));
    }
}

#[test]
fn a_token_has_8_kib_at_most_and_more_is_not_decoded() {
    let most = TokenVerifier::TOKEN_BYTES_MAX;
    for (bytes, is_too_long) in [(most, false), (most + 1, true), (50 << 20, true)] {
        let error = verify(SECRET, &".".repeat(bytes)).unwrap_err();
        assert_eq!(matches!(error, TokenError::TooLong { .. }), is_too_long);
    }
}

#[test]
fn exp_is_exact_and_nbf_has_leeway() {
    let token = |exp: &str, nbf: u64| {
        let claims =
            format!(r#"{{"exp": {exp}, "nbf": {nbf}, "fanfare": {{"subscribe": ["a"]}}}}"#);
        verify(SECRET, &sign(SECRET, HS256, &claims))
    };
    let expires_at = token("1900000000.5", NOW).unwrap().expires_at;
    assert_eq!(expires_at, Some(at(NOW) + Duration::from_millis(500)));
    assert_eq!(token("1900000000", NOW - 9), Err(TokenError::Expired));
    assert!(token("1900000001", NOW + 5).is_ok());
    assert_eq!(token("1900000001", NOW + 6), Err(TokenError::NotYetValid));
}

#[test]
fn audience_and_issuer_are_what_the_verifier_says() {
    let options = TokenOptions::default().audiences(["one", "two"]).issuers(["us", "them"]);
    let keys = KeySet::from_key_file(SECRET).unwrap();
    let verifier = TokenVerifier::new(keys, options).unwrap();
    let verify = |more: &str| {
        let claims = format!(r#"{{"exp": 1900000100, "fanfare": {{"subscribe": ["a"]}}{more}}}"#);
        verifier.verify(&sign(SECRET, HS256, &claims), at(NOW)).err()
    };
    #[rustfmt::skip]
    let table = [
        (r#", "aud": "one", "iss": "us""#, None),
        (r#", "aud": ["other", "two"], "iss": "them""#, None),
        (r#", "aud": "other", "iss": "us""#, Some(TokenError::Audience)),
        (r#", "aud": [], "iss": "us""#, Some(TokenError::Audience)),
        (r#", "aud": "on", "iss": "us""#, Some(TokenError::Audience)),
        (r#", "aud": "ONE", "iss": "us""#, Some(TokenError::Audience)),
        (r#", "iss": "us""#, Some(TokenError::Audience)),
        (r#", "aud": "one", "iss": "US""#, Some(TokenError::Issuer)),
        (r#", "aud": "one""#, Some(TokenError::Issuer)),
    ];
    for (more, expected) in table {
        assert_eq!(verify(more), expected, "{more}");
    }
}

#[test]
fn the_claim_that_grants_may_have_another_name() {
    let options = TokenOptions::default().claim("https://events.example/grant");
    let keys = KeySet::from_key_file(SECRET).unwrap();
    let verifier = TokenVerifier::new(keys, options).unwrap();
    let claim = |name: &str| {
        let claims = format!(r#"{{"exp": 1900000100, "{name}": {{"subscribe": ["a"]}}}}"#);
        verifier.verify(&sign(SECRET, HS256, &claims), at(NOW))
    };
    assert!(claim("https://events.example/grant").is_ok());
    assert!(matches!(claim("fanfare"), Err(TokenError::Claim { .. })));
}

#[test]
fn options_have_bounds() {
    let wrong = [
        (TokenOptions::default().audiences(vec!["a"; 65]), "audiences"),
        (TokenOptions::default().issuers(vec!["a"; 65]), "issuers"),
        (TokenOptions::default().leeway(Duration::from_secs(301)), "leeway"),
        (TokenOptions::default().claim(""), "claim"),
        (TokenOptions::default().claim("exp"), "claim"),
        (TokenOptions::default().claim("x".repeat(257)), "claim"),
    ];
    for (options, name) in wrong {
        assert_eq!(TokenVerifier::new(KeySet::default(), options).unwrap_err().option, name);
    }
}

#[test]
fn a_token_cannot_be_signed_that_would_be_refused() {
    let key = SigningKey::from_key_file(SECRET).unwrap();
    let news = || Grant::new([Subscription::new("news").unwrap()]).expires_at(at(NOW + 1));
    let sign = |grant: &Grant| key.sign(grant, &TokenClaims::default()).map_err(|e| e.to_string());
    assert!(sign(&news()).is_ok());
    let mut endless = news();
    endless.expires_at = None;
    let many = vec![Subscription::new("a").unwrap(); 257];
    let long = (0..256).map(|i| Subscription::new(&format!("{i}{}", "x".repeat(200))).unwrap());
    for (grant, expected) in [
        (endless, "has to expire"),
        (news().any_topics(true), "any topics"),
        (news().start(crate::StartAt::Earliest), "a start"),
        (news().headers([("A", "b")]), "header fields"),
        (news().subscriptions([]), "no topics"),
        (news().subscriptions(many), "more than 256"),
        (news().subscriptions(long), "8192 are the most"),
    ] {
        let error = sign(&grant).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert!(!format!("{key:?}").contains("secret"));
}
