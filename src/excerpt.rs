//! What an error repeats of a text that a client sent: at most a bounded part of it.

use std::fmt;

/// The beginning of a text, quoted and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt(String);

/// The most bytes of an excerpt, with its quotes and the mark that it was shortened.
pub(crate) const EXCERPT_BYTES_MAX: usize = 200;
const CUT: &str = "...";

impl Excerpt {
    pub(crate) fn of(text: &str) -> Excerpt {
        let mut excerpt = String::from('"');
        for character in text.chars() {
            let before = excerpt.len();
            excerpt.extend(character.escape_debug());
            if excerpt.len() + CUT.len() + 1 > EXCERPT_BYTES_MAX {
                excerpt.truncate(before);
                excerpt += CUT;
                break;
            }
        }
        excerpt.push('"');
        Excerpt(excerpt)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_bounded_whatever_its_text_is_escaped_to() {
        assert_eq!(Excerpt::of("a\"b\n").to_string(), r#""a\"b\n""#);
        for text in ["x", "\u{10ffff}", "日", "\0", "\""] {
            let excerpt = Excerpt::of(&text.repeat(1_000)).to_string();
            assert!(excerpt.len() <= EXCERPT_BYTES_MAX && excerpt.ends_with("...\""), "{excerpt}");
            assert!(excerpt.len() > EXCERPT_BYTES_MAX / 2, "{excerpt}");
        }
    }
}
