//! Who may read a stream from a page of another origin: WHATWG Fetch, section "CORS protocol".

/// Which other origins' pages may read the stream.
///
/// Without any of this a browser lets only pages of the stream's own origin read it.
///
/// # Examples
///
/// ```
/// use fanfare::Cors;
///
/// let own_pages = Cors { origins: vec!["https://example.com".to_owned()], credentials: true };
/// let everyone = Cors { origins: vec!["*".to_owned()], credentials: false };
/// # let _ = (own_pages, everyone);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Origins as a browser sends them, such as `https://example.com`, or `*` for all of them.
    pub origins: Vec<String>,
    /// Whether pages may send cookies and other credentials along; not together with `*`.
    pub credentials: bool,
}

impl Cors {
    /// Whether the options make sense; if not, why.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let any = self.origins.iter().any(|origin| origin == "*");
        if any && self.credentials {
            return Err("with credentials the origins have to be listed instead of `*`");
        }
        let is_origin = |origin: &String| {
            let scheme_and_rest = origin.split_once("://");
            let plain = origin.bytes().all(|byte| byte.is_ascii_graphic());
            plain
                && scheme_and_rest.is_some_and(|(_, rest)| !rest.is_empty() && !rest.contains('/'))
        };
        match self
            .origins
            .iter()
            .all(|origin| matches!(&**origin, "*" | "null") || is_origin(origin))
        {
            true => Ok(()),
            false => Err("an origin is a scheme and a host, such as `https://example.com`"),
        }
    }

    /// The header fields of a response to a request with this `Origin`.
    pub(crate) fn fields(&self, origin: Option<&str>) -> String {
        if self.origins.is_empty() {
            return String::new();
        }
        if self.origins.iter().any(|allowed| allowed == "*") {
            return "Access-Control-Allow-Origin: *\r\n".to_owned();
        }
        // The answer depends on the origin also when it is not allowed.
        let mut fields = "Vary: Origin\r\n".to_owned();
        let allowed = |allowed: &&String| origin.is_some_and(|o| o.eq_ignore_ascii_case(allowed));
        if let Some(origin) = self.origins.iter().find(allowed) {
            fields += &format!("Access-Control-Allow-Origin: {origin}\r\n");
            if self.credentials {
                fields += "Access-Control-Allow-Credentials: true\r\n";
            }
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Cors {
        Cors { origins: origins.iter().map(|&o| o.to_owned()).collect(), credentials }
    }

    #[test]
    fn only_listed_origins_are_let_in() {
        let listed = cors(&["https://a.example", "http://b.example:8080"], true);
        assert_eq!(
            listed.fields(Some("http://b.example:8080")),
            "Vary: Origin\r\nAccess-Control-Allow-Origin: http://b.example:8080\r\n\
             Access-Control-Allow-Credentials: true\r\n"
        );
        assert_eq!(listed.fields(Some("https://a.example.evil")), "Vary: Origin\r\n");
        assert_eq!(listed.fields(None), "Vary: Origin\r\n");
        assert_eq!(Cors::default().fields(Some("https://a.example")), "");
        let any = cors(&["*"], false).fields(Some("https://a.example"));
        assert_eq!(any, "Access-Control-Allow-Origin: *\r\n");
    }

    #[test]
    fn what_no_browser_would_send_or_take_is_an_error() {
        assert!(cors(&["*"], true).check().is_err());
        for origin in ["a.example", "https://a.example/", "https://", "https://a\r\nX: y"] {
            assert!(cors(&[origin], false).check().is_err(), "{origin}");
        }
        assert_eq!(cors(&["https://a.example", "null"], true).check(), Ok(()));
    }
}
