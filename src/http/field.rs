//! Header fields that a host adds to answers (RFC 9110, section 5). Names and values are checked:
//! none ends its line, and none is one of the engine's own.

use crate::excerpt::Excerpt;

/// The most header fields that a host adds to an answer.
pub(crate) const FIELDS_MAX: usize = 32;
/// The most bytes of them: names, values, and four for each field.
pub(crate) const FIELDS_BYTES_MAX: usize = 4 << 10;

/// What the engine writes itself, or what would say something untrue about the connection or the
/// content. Fields that begin with [`CORS`] are the engine's own as well.
const OWN: [&str; 19] = [
    "Allow",
    "Cache-Control",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Date",
    "HTTP2-Settings",
    "Keep-Alive",
    "Proxy-Connection",
    "Retry-After",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Vary",
    "X-Accel-Buffering",
    "X-Content-Type-Options",
];
const CORS: &str = "access-control-";

/// Header fields of an answer, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Checks fields, and adds those of `others` that have other names.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and with which field.
    pub(crate) fn new(fields: &[(String, String)], others: &Fields) -> Result<Fields, String> {
        let mut all = checked(fields, Cors::Engine)?;
        let is_named =
            |name: &str| fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name));
        all.extend(others.0.iter().filter(|(name, _)| !is_named(name)).cloned());
        Fields::bounded(all)
    }

    /// Checks the fields of an answer to a request that a host has read itself: only the host knows
    /// which fields of CORS, and which `Vary`, the answer needs.
    ///
    /// # Errors
    ///
    /// As [`Fields::new`].
    pub(crate) fn of_host(fields: &[(String, String)]) -> Result<Fields, String> {
        Fields::bounded(checked(fields, Cors::Host)?)
    }

    /// Checks fields of an answer that refuses something, which may say when to come again.
    ///
    /// # Errors
    ///
    /// As [`Fields::new`].
    pub(crate) fn of_refusal(fields: &[(String, String)]) -> Result<Fields, String> {
        let when = |name: &str| name.eq_ignore_ascii_case("retry-after");
        for (name, value) in fields {
            let checked = match when(name) {
                true => check_value(value),
                false => check(name, value, Cors::Engine),
            };
            checked.map_err(|why| format!("{}: {why}", Excerpt::of(name)))?;
        }
        Fields::bounded(fields.to_vec())
    }

    fn bounded(all: Vec<(String, String)>) -> Result<Fields, String> {
        let bytes: usize = all.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        if all.len() > FIELDS_MAX || bytes > FIELDS_BYTES_MAX {
            return Err(format!(
                "an answer takes {FIELDS_MAX} header fields and {FIELDS_BYTES_MAX} bytes of them; \
                 give fewer or shorter ones"
            ));
        }
        Ok(Fields(all))
    }

    /// The lines of an answer's head.
    pub(crate) fn lines(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }
}

/// Who writes the header fields that tell browsers and caches which pages may read an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cors {
    Engine,
    Host,
}

/// The fields, or what is wrong with which of them.
fn checked(fields: &[(String, String)], cors: Cors) -> Result<Vec<(String, String)>, String> {
    for (name, value) in fields {
        check(name, value, cors).map_err(|why| format!("{}: {why}", Excerpt::of(name)))?;
    }
    Ok(fields.to_vec())
}

fn check(name: &str, value: &str, cors: Cors) -> Result<(), &'static str> {
    if !is_token(name) {
        return Err("a header field's name is letters, digits and !#$%&'*+-.^_`|~");
    }
    let is_cors = name.get(..CORS.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(CORS));
    if is_cors && cors == Cors::Engine {
        return Err("the engine writes this header field; set it with cors");
    }
    let is_hosts = cors == Cors::Host && name.eq_ignore_ascii_case("Vary");
    if !is_hosts && OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return Err("the engine writes this header field, or it would be untrue; leave it out");
    }
    check_value(value)
}

fn check_value(value: &str) -> Result<(), &'static str> {
    let is_plain = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
    if !value.bytes().all(is_plain) {
        return Err(
            "a header field's value is visible ASCII, spaces and tabs, without line breaks",
        );
    }
    if value.trim_matches([' ', '\t']) != value {
        return Err("a header field's value does not begin or end with a space; take it off");
    }
    Ok(())
}

/// Whether a text is a token, which a header field's name has to be (RFC 9110, section 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(in_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn new(given: &[(&str, &str)]) -> Result<Fields, String> {
        Fields::new(&fields(given), &Fields::default())
    }

    #[test]
    fn fields_are_written_in_their_order_and_replace_others_of_their_name() {
        let others = new(&[("X-Served-By", "a"), ("Link", "</s>; rel=preload, </t>")]).unwrap();
        let own = fields(&[("x-served-by", "b"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=\td")]);
        let all = Fields::new(&own, &others).unwrap();
        assert_eq!(
            all.lines(),
            "x-served-by: b\r\nSet-Cookie: a=b\r\nSet-Cookie: c=\td\r\n\
             Link: </s>; rel=preload, </t>\r\n"
        );
        assert_eq!(new(&[("X-Empty", "")]).unwrap().lines(), "X-Empty: \r\n");
    }

    #[test]
    fn nothing_that_ends_a_line_or_is_no_field_gets_through() {
        for name in ["", "a b", "a:", "a\r\nb", "größe", "a\0", "(a)", "\"a\"", "a/b", "a="] {
            let error = new(&[(name, "x")]).unwrap_err();
            assert!(error.starts_with(&Excerpt::of(name).to_string()), "{error}");
        }
        for value in ["a\r\nB: c", "a\nb", "a\rb", "a\0", "\x7f", "größe", " a", "a ", "\ta", "\r"]
        {
            let error = new(&[("X", value)]).unwrap_err();
            assert!(error.starts_with("\"X\": "), "{value:?}: {error}");
        }
    }

    #[test]
    fn the_engines_own_fields_are_refused_by_name_in_any_case() {
        let cors = ["Access-Control-Allow-Origin", "access-control-x", "Access-Control-"];
        for own in OWN.into_iter().chain(cors) {
            for name in [own.to_owned(), own.to_ascii_lowercase(), own.to_ascii_uppercase()] {
                let error = new(&[(&name, "x")]).unwrap_err();
                assert!(error.starts_with(&format!("\"{name}\": the engine writes")), "{error}");
            }
        }
        assert!(new(&[("Access-Controls", "x"), ("Accept-CH", "x")]).is_ok());
    }

    #[test]
    fn a_host_that_answers_itself_gives_the_fields_of_cors_and_vary_and_no_other_of_the_engines() {
        let of_host = |name: &str| Fields::of_host(&fields(&[(name, "x")]));
        let given = fields(&[("Access-Control-Allow-Origin", "*"), ("vary", "Origin")]);
        let lines = "Access-Control-Allow-Origin: *\r\nvary: Origin\r\n";
        assert_eq!(Fields::of_host(&given).unwrap().lines(), lines);
        for own in OWN.into_iter().filter(|&own| own != "Vary") {
            assert!(of_host(own).is_err(), "{own}");
        }
        assert!(of_host("a\r\nb").is_err());
        assert!(Fields::of_host(&fields(&[("Vary", "a\r\nb")])).is_err());
        assert!(Fields::of_host(&fields(&[("X", "")].repeat(FIELDS_MAX + 1))).is_err());
    }

    #[test]
    fn there_are_bounds_to_their_number_and_bytes_together_with_others() {
        let many = vec![("X", ""); FIELDS_MAX];
        let all = new(&many).unwrap();
        assert!(new(&[&many[..], &[("X", "")]].concat()).is_err());
        assert!(Fields::new(&fields(&[("Y", "")]), &all).is_err());
        assert!(Fields::new(&fields(&[("x", "")]), &all).is_ok(), "it replaces all of them");
        let long = "v".repeat(FIELDS_BYTES_MAX - 5);
        assert!(new(&[("X", &long)]).is_ok());
        assert!(new(&[("XY", &long)]).is_err());
    }
}
