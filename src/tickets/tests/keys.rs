//! Which keys are taken, and with which one a token is checked.

use super::*;
use crate::tickets::{Algorithm, KeyError};

const CLAIMS: &str = r#"{"exp": 1900000100, "fanfare": {"subscribe": ["news"]}}"#;
const RSA_N: &str = "wgY00x5rajuVCiUcO4CYxclLjqcEiN_E78UMDEQ4WqYuym-xV5Ki-xDiXZPyNahKCZjGhrk1XlRXP8yVpaH1Gd5MSHlKEDF53fut-yTS0v9fyla9IP4B9S1oxvR9o-G6CzW9S5fALqL44tXyRlERwHR-Hj04CRnykUSEX1MjLAJltXRYUU9joLb8226Vfh1PEzzLeK38pyV4UysT8KFKcdYw5k9TteguE6jhIGhU5o4NnPbR462cbUUrshIeuivucBV4-1XDxY7eXHaDMdD3hImhjH8URYLg_2J0CUMNpy_RWToXH2UHrRGaV0wiUVwB8ENA0XlxseNO6pTzwzuOnw";
const P256_X: &str = "rQgzJhu-t24LL-rnJC0Z6od2QRfN9uAC4glBd5oROA0";
const P256_Y: &str = "qy-hA3to3OCZ-rwVauKYmMR1gKmeyIVMBZDoaywTyBE";

fn jwks(keys: &[String]) -> Result<KeySet, KeyError> {
    KeySet::from_jwks(format!(r#"{{"keys": [{}]}}"#, keys.join(",")).as_bytes())
}

fn oct(secret: &[u8], more: &str) -> String {
    use base64ct::{Base64UrlUnpadded, Encoding};
    format!(r#"{{"kty": "oct", "k": "{}"{more}}}"#, Base64UrlUnpadded::encode_string(secret))
}

fn rsa(more: &str) -> String {
    format!(r#"{{"kty": "RSA", "n": "{RSA_N}", "e": "AQAB"{more}}}"#)
}

fn p256(more: &str) -> String {
    format!(r#"{{"kty": "EC", "crv": "P-256", "x": "{P256_X}", "y": "{P256_Y}"{more}}}"#)
}

fn kid(kid: &str) -> String {
    format!(r#", "kid": "{kid}""#)
}

#[test]
fn keys_of_a_set_check_what_their_private_keys_sign() {
    let set = jwks(&[rsa(&kid("r")), p256(&kid("p")), oct(SECRET, &kid("s"))]).unwrap();
    let verifier = verifier(set);
    for (key, algorithm, kid) in [(RSA, "RS256", "r"), (P256, "ES256", "p"), (SECRET, "HS256", "s")]
    {
        let verify = |algorithm: &str, kid: &str| {
            let header = format!(r#"{{"alg": "{algorithm}", "kid": "{kid}"}}"#);
            verifier.verify(&sign(key, &header, CLAIMS), at(NOW))
        };
        assert!(verify(algorithm, kid).is_ok(), "{kid}");
        let unknown = TokenError::UnknownKey { kid: Some("other".to_owned()) };
        assert_eq!(verify(algorithm, "other"), Err(unknown));
        for other in ["RS256", "ES256", "HS256", "HS384", "EdDSA"] {
            let error = verify(other, kid);
            let is_unknown = matches!(error, Err(TokenError::UnknownKey { .. }));
            assert!(other == algorithm || is_unknown, "{other} {kid}: {error:?}");
        }
    }
}

#[test]
fn secrets_have_the_algorithm_that_their_key_says() {
    for (algorithm, bytes) in [("HS256", 32), ("HS384", 48), ("HS512", 64)] {
        let set = |secret: &[u8]| jwks(&[oct(secret, &format!(r#", "alg": "{algorithm}""#))]);
        assert!(set(&vec![b'k'; bytes]).is_ok());
        let error = set(&vec![b'k'; bytes - 1]).unwrap_err();
        assert!(matches!(error, KeyError::SecretTooShort { .. }), "{error:?}");
        let name = algorithm.parse::<Algorithm>().unwrap();
        assert!(set(&[b'k'; 64]).unwrap().find(name, None).is_some());
        assert!(set(&[b'k'; 64]).unwrap().find(Algorithm::Rs256, None).is_none());
    }
}

/// The tokens are those of other programs: of HMAC with SHA-384 and SHA-512, as OpenSSL signs them.
#[test]
fn tokens_with_longer_hashes_are_checked() {
    let key = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    for (algorithm, token) in HMAC_TOKENS {
        let set = jwks(&[oct(key, &format!(r#", "alg": "{algorithm}""#))]).unwrap();
        let verifier = verifier(set);
        assert!(verifier.verify(token, at(NOW)).is_ok(), "{algorithm}");
        let [header, _, signature] = parts(token);
        let other = format!("{header}.e30.{signature}");
        assert_eq!(verifier.verify(&other, at(NOW)), Err(TokenError::Signature));
    }
}

const HMAC_TOKENS: [(&str, &str); 2] = [
    ("HS384", "eyJhbGciOiJIUzM4NCJ9.eyJleHAiOjIwMDAwMDAwMDAsImZhbmZhcmUiOnsic3Vic2NyaWJlIjpbIm5ld3MiXX19.qGFZ_jlhECbQ4O42BlpvoUfgZTKfMr_t5Df-z7So5hmA9iusLthiEPlTZhgBNwmh"),
    ("HS512", "eyJhbGciOiJIUzUxMiJ9.eyJleHAiOjIwMDAwMDAwMDAsImZhbmZhcmUiOnsic3Vic2NyaWJlIjpbIm5ld3MiXX19.LTcy4vC1ymnQqU4Tq8aWMnMolPp0VH-fXWE7DiB9D5eBZqcX-s-yRzovdLHJY9NCqBakP6dzcm0H8BTlEsxjPw"),
];

#[test]
fn a_token_without_an_id_needs_one_key_of_its_algorithm_alone() {
    let (first, second) = ([b'a'; 32], [b'b'; 32]);
    let token = |kid: &str| {
        let kid = if kid.is_empty() { String::new() } else { format!(r#", "kid": "{kid}""#) };
        sign(&first, &format!(r#"{{"alg": "HS256"{kid}}}"#), CLAIMS)
    };
    let one = verifier(jwks(&[oct(&first, &kid("a")), rsa(&kid("a"))]).unwrap());
    assert!(one.verify(&token(""), at(NOW)).is_ok());
    assert!(one.verify(&token("a"), at(NOW)).is_ok());
    let two = verifier(jwks(&[oct(&first, &kid("a")), oct(&second, &kid("b"))]).unwrap());
    assert_eq!(two.verify(&token(""), at(NOW)), Err(TokenError::UnknownKey { kid: None }));
    assert!(two.verify(&token("a"), at(NOW)).is_ok());
    assert_eq!(two.verify(&token("b"), at(NOW)), Err(TokenError::Signature));
    // A key without an id is for any.
    let any = verifier(jwks(&[oct(&first, ""), oct(&second, &kid("b"))]).unwrap());
    assert!(any.verify(&token("whatever"), at(NOW)).is_ok());
    assert_eq!(any.verify(&token("b"), at(NOW)), Err(TokenError::Signature));
    // The beginning of a long id is no id.
    let long = "x".repeat(256);
    let cut = verifier(jwks(&[oct(&first, &kid(&long))]).unwrap());
    assert!(cut.verify(&token(&long), at(NOW)).is_ok());
    assert!(cut.verify(&token(&format!("{long}x")), at(NOW)).is_err());
}

#[test]
fn two_keys_with_the_same_id_and_algorithm_are_an_error_and_others_are_not() {
    let duplicate = |keys: &[String]| matches!(jwks(keys), Err(KeyError::Duplicate { .. }));
    assert!(duplicate(&[oct(&[b'a'; 32], &kid("a")), oct(&[b'b'; 32], &kid("a"))]));
    assert!(duplicate(&[rsa(""), rsa("")]));
    assert!(!duplicate(&[rsa(&kid("a")), p256(&kid("a")), oct(SECRET, &kid("b"))]));
    let again = KeySet::from_key_file(P256_PUBLIC).unwrap().with(jwks(&[p256("")]).unwrap());
    assert_eq!(again.unwrap_err(), KeyError::Duplicate { kid: None });
}

#[test]
fn keys_that_are_for_something_else_are_left_out_and_wrong_ones_are_errors() {
    let left_out = [
        rsa(r#", "use": "enc""#),
        rsa(r#", "key_ops": ["sign"]"#),
        rsa(r#", "alg": "PS256""#),
        rsa(r#", "alg": "RSA-OAEP""#),
        r#"{"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}"#.to_owned(),
        r#"{"kty": "OKP", "crv": "X25519", "x": "AA"}"#.to_owned(),
        r#"{"kty": "AKP", "pub": "AA"}"#.to_owned(),
    ];
    assert_eq!(jwks(&left_out).unwrap_err(), KeyError::NoKeys);
    let mut with_one = left_out.to_vec();
    with_one.push(p256(r#", "use": "sig", "key_ops": ["verify"], "alg": "ES256", "x5c": ["A"]"#));
    let set = jwks(&with_one).unwrap();
    assert_eq!((set.len(), set.left_out()), (1, left_out.len()));
    for wrong in [
        r#"{"kty": "RSA", "n": "AQAB", "e": "AQAB"}"#.to_owned(),
        r#"{"kty": "RSA", "e": "AQAB"}"#.to_owned(),
        format!(r#"{{"kty": "RSA", "n": "{RSA_N}", "e": "Ag"}}"#),
        format!(r#"{{"kty": "RSA", "n": "{RSA_N}", "e": "AQ"}}"#),
        format!(r#"{{"kty": "RSA", "n": "{}", "e": "AQAB"}}"#, RSA_N.repeat(5)),
        format!(r#"{{"kty": "RSA", "n": "{RSA_N}=", "e": "AQAB"}}"#),
        format!(r#"{{"kty": "EC", "crv": "P-256", "x": "{P256_X}", "y": "{P256_X}"}}"#),
        format!(r#"{{"kty": "EC", "crv": "P-256", "x": "{P256_X}"}}"#),
        r#"{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}"#.to_owned(),
        r#"{"kty": "OKP", "crv": "Ed25519", "x": "AA"}"#.to_owned(),
        // Points of small order.
        format!(r#"{{"kty": "OKP", "crv": "Ed25519", "x": "AQ{}"}}"#, "A".repeat(41)),
        format!(r#"{{"kty": "OKP", "crv": "Ed25519", "x": "{}"}}"#, "A".repeat(43)),
        r#"{"kty": "oct"}"#.to_owned(),
        rsa(r#", "alg": "HS256""#),
        oct(SECRET, r#", "alg": "RS256""#),
        p256(r#", "alg": "EdDSA""#),
        p256(&kid(&"x".repeat(257))),
    ] {
        let error = jwks(std::slice::from_ref(&wrong)).unwrap_err();
        assert!(matches!(error, KeyError::Jwk { index: 0, .. }), "{wrong}: {error:?}");
    }
}

#[test]
fn a_set_is_json_within_bounds() {
    for wrong in ["", "{}", "[]", "{\"keys\": {}}", "{\"keys\": [{}]}", "{\"keys\": [1]}", "\u{7f}"]
    {
        let error = KeySet::from_jwks(wrong.as_bytes()).unwrap_err();
        assert!(matches!(error, KeyError::Json { .. }), "{wrong}");
    }
    let keys = |count: usize| (0..count).map(|i| oct(&[b'k'; 32], &kid(&i.to_string())));
    assert!(jwks(&keys(64).collect::<Vec<_>>()).is_ok());
    assert_eq!(jwks(&keys(65).collect::<Vec<_>>()).unwrap_err(), KeyError::TooMany);
    let large = format!("{{\"keys\": [{}{}]}}", oct(SECRET, ""), " ".repeat(256 << 10));
    assert!(matches!(KeySet::from_jwks(large.as_bytes()), Err(KeyError::TooLong { .. })));
    let deep = "[".repeat(100_000);
    assert!(KeySet::from_jwks(deep.as_bytes()).is_err());
}

#[test]
fn a_key_file_is_pem_or_a_secret_and_never_one_taken_for_the_other() {
    for (file, algorithm) in [
        (P256_PUBLIC, Algorithm::Es256),
        (ED25519_PUBLIC, Algorithm::EdDsa),
        (RSA_PUBLIC, Algorithm::Rs256),
        (SECRET, Algorithm::Hs256),
    ] {
        assert!(KeySet::from_key_file(file).unwrap().find(algorithm, None).is_some());
    }
    let cut = &RSA_PUBLIC[..RSA_PUBLIC.len() / 2];
    let json = oct(SECRET, "");
    for wrong in [P256, ED25519, RSA, cut, json.as_bytes(), b"", &[b'k'; 31], &[b'k'; 4_097]] {
        let error = KeySet::from_key_file(wrong).unwrap_err().to_string();
        assert!(!error.contains("kkkk"), "{error}");
    }
    for wrong in [P256_PUBLIC, ED25519_PUBLIC, RSA_PUBLIC, cut, json.as_bytes(), &[b'k'; 31]] {
        assert!(SigningKey::from_key_file(wrong).is_err());
    }
    let token = sign(SECRET, r#"{"alg":"HS256"}"#, CLAIMS);
    assert!(verify(&[SECRET, b" \r\n"].concat(), &token).is_ok(), "it ends with its last line");
}

#[test]
fn other_keys_are_taken_at_once_and_no_error_or_log_shows_a_key() {
    let token = sign(SECRET, r#"{"alg":"HS256"}"#, CLAIMS);
    let verifier = verifier(KeySet::from_key_file(SECRET).unwrap());
    assert!(verifier.verify(&token, at(NOW)).is_ok());
    verifier.set_keys(KeySet::from_key_file(P256_PUBLIC).unwrap());
    assert!(verifier.verify(&token, at(NOW)).is_err());
    verifier.set_keys(KeySet::from_key_file(SECRET).unwrap());
    assert!(verifier.verify(&token, at(NOW)).is_ok());
    let text = format!("{verifier:?}");
    assert!(text.contains("Hs256") && !text.contains("secret"), "{text}");
}

#[test]
fn rsa_keys_of_a_file_have_2048_bits_or_more() {
    let public: &[u8] = include_bytes!("../../../tests/support/keys/rsa1024.pub.pem");
    let private: &[u8] = include_bytes!("../../../tests/support/keys/rsa1024.pem");
    let error = KeySet::from_key_file(public).unwrap_err();
    assert!(error.to_string().contains("2,048 bits"), "{error}");
    assert!(crate::tickets::SigningKey::from_key_file(private).is_err());
}

#[test]
fn a_public_key_is_taken_for_no_secret() {
    use base64ct::{Base64, Encoding};
    let pem = include_str!("../../../tests/support/keys/rsa.pub.pem");
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = Base64::decode_vec(&base64).unwrap();
    let lines = pem.lines().filter(|line| !line.starts_with('-')).collect::<Vec<_>>().join("\r\n");
    let ssh = format!("ssh-ed25519 {} user@host\n", "A".repeat(68));
    for public in [base64.as_bytes(), &der, lines.as_bytes(), ssh.as_bytes()] {
        let error = KeySet::from_key_file(public).unwrap_err();
        assert!(error.to_string().contains("this is a public key"), "{error}");
    }
    // What only looks a little like one is a secret.
    for secret in ["0123456789abcdef0123456789abcdef", "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"] {
        assert!(KeySet::from_key_file(secret.as_bytes()).is_ok(), "{secret}");
    }
}
