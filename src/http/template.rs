//! Paths with places for values, such as `/runs/{id}/events`, and texts that the values go into,
//! such as `run/{id}`.
//!
//! A path is compared segment by segment as it was sent, percent-encoded. A value is one segment
//! that is not empty. It is decoded once, and what is decoded never adds a level, a wildcard or a
//! control character to a text.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::excerpt::Excerpt;

/// The most bytes of a template's or a pattern's text.
pub(crate) const TEMPLATE_BYTES_MAX: usize = 1_024;

/// A path, perhaps with places for values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// A place for a value, and its name.
    Value(String),
}

/// A text with places for a template's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// Which of the template's values.
    Value(usize),
}

impl Template {
    /// Reads a path in which `{name}` is the place of a value.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub(crate) fn parse(path: &str) -> Result<Template, String> {
        let wrong = |why: &str| Err(why.to_owned());
        let Some(rest) = path.strip_prefix('/') else {
            return wrong("a path begins with /, as in /runs/{id}/events");
        };
        if path.len() > TEMPLATE_BYTES_MAX {
            return Err(format!("a path has at most {TEMPLATE_BYTES_MAX} bytes"));
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte)) {
            return wrong("a path is percent-encoded, and has no ? and no #");
        }
        let mut segments: Vec<Segment> = Vec::new();
        for segment in rest.split('/') {
            if !segment.contains(['{', '}']) {
                segments.push(Segment::Literal(segment.to_owned()));
                continue;
            }
            let name = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
            let Some(name) = name.filter(|name| is_name(name)) else {
                return wrong(
                    "a place is a whole segment: {, a name of letters, digits and _, and }, as in \
                     /runs/{id}/events",
                );
            };
            let place = Segment::Value(name.to_owned());
            if segments.contains(&place) {
                return Err(format!("{{{name}}} is there twice; give each place its own name"));
            }
            segments.push(place);
        }
        Ok(Template { segments })
    }

    /// A path without places, whatever characters it has.
    pub(crate) fn literal(path: &str) -> Template {
        let segments = path.strip_prefix('/').unwrap_or(path).split('/');
        Template { segments: segments.map(|text| Segment::Literal(text.to_owned())).collect() }
    }

    /// Whether it has no place for a value.
    pub(crate) fn is_literal(&self) -> bool {
        self.names().next().is_none()
    }

    /// The names of its places, in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Value(name) => Some(&**name),
        })
    }

    /// The values of a path, in the order of the places and as they were sent; `None` if it is
    /// another path.
    pub(crate) fn matches<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        let mut values = Vec::new();
        let mut sent = path.strip_prefix('/')?.split('/');
        for segment in &self.segments {
            let sent = sent.next()?;
            match segment {
                Segment::Literal(text) if text == sent => {}
                Segment::Value(_) if !sent.is_empty() => values.push(sent),
                Segment::Literal(_) | Segment::Value(_) => return None,
            }
        }
        sent.next().is_none().then_some(values)
    }

    /// Whether there is a path that both match.
    pub(crate) fn overlaps(&self, other: &Template) -> bool {
        let both = self.segments.iter().zip(&other.segments);
        self.segments.len() == other.segments.len()
            && both.into_iter().all(|pair| match pair {
                (Segment::Literal(one), Segment::Literal(other)) => one == other,
                (Segment::Value(_), Segment::Literal(text))
                | (Segment::Literal(text), Segment::Value(_)) => !text.is_empty(),
                (Segment::Value(_), Segment::Value(_)) => true,
            })
    }
}

impl Pattern {
    /// Reads a text in which `{name}` is the place of a value of `template`.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub(crate) fn parse(text: &str, template: &Template) -> Result<Pattern, String> {
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(format!("it has at most {TEMPLATE_BYTES_MAX} bytes"));
        }
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, place) = rest.split_at(at);
            let place = place.strip_prefix('{').and_then(|place| place.split_once('}'));
            let Some((name, behind)) = place else {
                return Err("it has { or } alone; a place is written {name}".to_owned());
            };
            let Some(value) = template.names().position(|known| known == name) else {
                return Err(format!("the path has no place {{{name}}}"));
            };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Value(value));
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Pattern { pieces })
    }

    /// The text with values in its places, one for each place of the template.
    ///
    /// # Errors
    ///
    /// When a value at the beginning begins with `$`: filters that begin with a wildcard do not
    /// match such topics, and a value is no way around that.
    pub(crate) fn fill<V: AsRef<str>>(&self, values: &[V]) -> Result<String, ValueError> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text += piece,
                Piece::Value(index) => {
                    let value = values[*index].as_ref();
                    if text.is_empty() && value.starts_with('$') {
                        return Err(ValueError::Dollar);
                    }
                    text += value;
                }
            }
        }
        Ok(text)
    }
}

/// Why a segment of a path is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ValueError {
    /// It is not percent-encoded UTF-8.
    Encoding,
    /// It has a character that no value has, or is a step within a path.
    Forbidden(Excerpt),
    /// It begins with `$`, where a topic's name begins with it.
    Dollar,
}

/// The value that a segment of a path stands for.
///
/// # Errors
///
/// When it is not percent-encoded UTF-8; when it has `/`, `+`, `#` or a control character; and when
/// it is `.` or `..`, which clients and proxies take for steps within the path.
pub(crate) fn decode_value(segment: &str) -> Result<Cow<'_, str>, ValueError> {
    let is_encoded = segment.split('%').skip(1).all(|behind| {
        behind.len() >= 2 && behind.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())
    });
    let decoded = percent_decode_str(segment).decode_utf8();
    let value = decoded.ok().filter(|_| is_encoded).ok_or(ValueError::Encoding)?;
    let is_forbidden = |c: char| c.is_control() || ['/', '+', '#'].contains(&c);
    match value.contains(is_forbidden) || ["", ".", ".."].contains(&&*value) {
        true => Err(ValueError::Forbidden(Excerpt::of(&value))),
        false => Ok(value),
    }
}

impl std::fmt::Display for ValueError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ValueError::Encoding => {
                f.write_str("a part of the path is not percent-encoded UTF-8; encode it as such")
            }
            ValueError::Forbidden(value) => write!(
                f,
                "{value} cannot be a part of this path: it may have no /, + or #, no control \
                 character, and may not be . or .., percent-encoded or not"
            ),
            ValueError::Dollar => {
                f.write_str("no topic that begins with $ can be asked for by this path")
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    (1..=64).contains(&name.len())
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(path: &str) -> Template {
        Template::parse(path).unwrap()
    }

    #[test]
    fn a_place_is_exactly_one_segment_that_is_not_empty() {
        let runs = template("/runs/{id}/events");
        for (path, values) in [
            ("/runs/1/events", Some(vec!["1"])),
            ("/runs/caf%C3%A9/events", Some(vec!["caf%C3%A9"])),
            ("/runs/a%2Fb/events", Some(vec!["a%2Fb"])),
            ("/runs//events", None),
            ("/runs/1/2/events", None),
            ("/runs/1/events/", None),
            ("/runs/1/Events", None),
            ("/runs/1", None),
            ("runs/1/events", None),
            ("//runs/1/events", None),
            ("", None),
        ] {
            assert_eq!(runs.matches(path), values, "{path}");
        }
        assert_eq!(template("/{a}/{b}").matches("/1/2"), Some(vec!["1", "2"]));
        assert_eq!(template("/").matches("/"), Some(vec![]));
        assert_eq!(template("/a/").matches("/a"), None);
        assert_eq!(template("/%65").matches("/e"), None, "it is compared as it is sent");
        assert_eq!(Template::literal("/a{b}").matches("/a{b}"), Some(vec![]));
        assert!(Template::literal("/a{b}").is_literal() && !runs.is_literal());
    }

    #[test]
    fn what_is_no_template_is_refused_with_the_reason() {
        for (path, says) in [
            ("", "begins with /"),
            ("runs/{id}", "begins with /"),
            ("/a b", "percent-encoded"),
            ("/größe", "percent-encoded"),
            ("/a?b", "no ?"),
            ("/a#b", "no #"),
            ("/run-{id}", "whole segment"),
            ("/{id}s", "whole segment"),
            ("/{}", "whole segment"),
            ("/{1}", "whole segment"),
            ("/{a-b}", "whole segment"),
            ("/{*rest}", "whole segment"),
            ("/{{id}}", "whole segment"),
            ("/{a}{b}", "whole segment"),
            ("/{id", "whole segment"),
            ("/id}", "whole segment"),
            ("/{id}/x/{id}", "{id} is there twice"),
        ] {
            let error = Template::parse(path).unwrap_err();
            assert!(error.contains(says), "{path}: {error}");
        }
        let long = format!("/{}", "x".repeat(TEMPLATE_BYTES_MAX - 1));
        assert!(Template::parse(&long).is_ok());
        assert!(Template::parse(&format!("{long}x")).is_err());
        let name = "n".repeat(64);
        assert!(Template::parse(&format!("/{{{name}}}")).is_ok());
        assert!(Template::parse(&format!("/{{{name}n}}")).is_err());
    }

    #[test]
    fn templates_overlap_when_there_is_a_path_that_both_match() {
        for (one, other, overlap) in [
            ("/a", "/a", true),
            ("/a", "/b", false),
            ("/a/{x}", "/a/b", true),
            ("/a/{x}", "/{y}/b", true),
            ("/a/{x}", "/{y}/b/", false),
            ("/a/{x}", "/b/{x}", false),
            ("/{x}/a", "/{y}/b", false),
            ("/{x}", "/", false),
            ("/{x}/{y}", "/{y}/{x}", true),
        ] {
            let (one, other) = (template(one), template(other));
            assert_eq!(one.overlaps(&other), overlap, "{one:?} {other:?}");
            assert_eq!(other.overlaps(&one), overlap, "{one:?} {other:?}");
        }
    }

    #[test]
    fn values_are_decoded_once_and_never_widen_what_they_go_into() {
        let decoded = |segment| decode_value(segment).ok();
        assert_eq!(decoded("caf%C3%A9").as_deref(), Some("café"));
        assert_eq!(decoded("a%20b").as_deref(), Some("a b"));
        assert_eq!(decoded("a%252Fb").as_deref(), Some("a%2Fb"), "once");
        assert_eq!(decoded("...").as_deref(), Some("..."));
        for segment in ["%FF", "%", "a%2", "%zz", "%E2%82", "%+1"] {
            assert_eq!(decode_value(segment), Err(ValueError::Encoding), "{segment}");
        }
        for segment in [
            "", "a%2Fb", "%2f", "+", "a+b", "%2B", "%23", "%0A", "%00", "%7F", "%C2%80", ".", "..",
            "%2e", "%2E%2e", ".%2E",
        ] {
            let error = decode_value(segment).unwrap_err();
            assert!(matches!(error, ValueError::Forbidden(_)), "{segment}: {error}");
        }
    }

    #[test]
    fn values_go_into_the_places_of_their_names() {
        let runs = template("/{tenant}/runs/{id}");
        let fill = |text: &str, values: &[&str]| Pattern::parse(text, &runs).unwrap().fill(values);
        assert_eq!(fill("run/{id}/{tenant}", &["t", "1"]).unwrap(), "run/1/t");
        assert_eq!(fill("run-{id}{id}/#", &["t", "1"]).unwrap(), "run-11/#");
        assert_eq!(fill("news", &["t", "1"]).unwrap(), "news");
        assert_eq!(fill("a{tenant}", &["$SYS", "1"]).unwrap(), "a$SYS");
        assert_eq!(fill("{tenant}/#", &["$SYS", "1"]), Err(ValueError::Dollar));
        // A value is not read again as a text with places.
        assert_eq!(fill("{tenant}/{id}", &["{id}", "1"]).unwrap(), "{id}/1");
        for (text, says) in [
            ("run/{run}", "no place {run}"),
            ("run/{}", "no place {}"),
            ("run/{id", "alone"),
            ("run/id}", "alone"),
            ("{{id}}", "no place {{id}"),
        ] {
            let error = Pattern::parse(text, &runs).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
