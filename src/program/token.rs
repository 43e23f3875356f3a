//! The token that publishers show.
//!
//! It comes from the environment or a file, never from the command line: every user of a machine
//! can read the command lines of all its processes.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use subtle::ConstantTimeEq;

use super::outcome::Usage;

/// The variable that holds a token.
pub(crate) const VARIABLE: &str = "FANFARE_PUBLISH_TOKEN";

/// The most bytes of a token.
const BYTES_MAX: usize = 4096;

/// A bearer token: RFC 6750's `b64token` and more, visible ASCII without a space.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// The token from a file, or else from the environment, if there is one.
    pub(crate) fn find(file: Option<&Path>) -> Result<Option<Token>, Usage> {
        let (text, origin) = match (file, std::env::var(VARIABLE)) {
            (Some(path), _) => {
                let text = read(path).map_err(|error| {
                    Usage(format!("cannot read the token file {}: {error}", path.display()))
                })?;
                (text, path.display().to_string())
            }
            (None, Ok(text)) => (text, VARIABLE.to_owned()),
            (None, Err(std::env::VarError::NotPresent)) => return Ok(None),
            (None, Err(_)) => return Err(Usage(format!("{VARIABLE}: {NOT_A_TOKEN}"))),
        };
        let token = Token::parse(&text).map_err(|why| Usage(format!("{origin}: {why}")))?;
        Ok(Some(token))
    }

    /// Takes a token as it is in a file: white space around it is not part of it.
    pub(crate) fn parse(text: &str) -> Result<Token, &'static str> {
        let token = text.trim();
        match token.len() {
            0 => Err("the token is empty; give one, or none at all"),
            1..=BYTES_MAX if token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Token(token.to_owned()))
            }
            _ => Err(NOT_A_TOKEN),
        }
    }

    /// Whether this is what a client shows. The time it takes tells nothing of the token but its
    /// length.
    pub(crate) fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads a token file, and warns of one that is not its owner's alone.
fn read(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mode = file.metadata()?.mode();
    if mode & 0o077 != 0 {
        log::warn!(
            "the token file {} has the mode {:04o}, with which others than its owner get at the \
             token: chmod 600",
            path.display(),
            mode & 0o7777
        );
    }
    // A longer one is no token, and need not be read to its end.
    let mut text = String::new();
    file.by_ref().take(2 * BYTES_MAX as u64).read_to_string(&mut text)?;
    Ok(text)
}

const NOT_A_TOKEN: &str = "a token has 1 to 4096 visible ASCII characters and no space";

/// Why `--publish-token TOKEN` is not taken.
pub(crate) fn refuse_on_command_line(given: bool) -> Result<(), Usage> {
    match given {
        true => Err(Usage(format!(
            "a token on the command line shows in the process list; set {VARIABLE} or give \
             --publish-token-file PATH"
        ))),
        false => Ok(()),
    }
}

/// A token never gets into a log.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_trimmed_and_must_be_one() {
        let token = Token::parse(" s3cret\n").unwrap();
        assert!(token.is(b"s3cret"));
        for other in [&b"s3cre"[..], b"s3cret ", b"S3cret", b""] {
            assert!(!token.is(other));
        }
        for text in ["", " \n", "two words", "größe", &"x".repeat(BYTES_MAX + 1)] {
            assert!(Token::parse(text).is_err(), "{text}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
    }

    #[test]
    fn a_file_that_is_not_there_is_a_usage_error() {
        let error = Token::find(Some(Path::new("/nonexistent/token"))).unwrap_err();
        assert!(error.0.contains("/nonexistent/token"), "{error}");
    }
}
