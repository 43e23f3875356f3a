//! Which pages of other origins may read a stream: WHATWG Fetch, section "CORS protocol".

use super::origin::normalise;
use crate::excerpt::Excerpt;
use crate::options::chained::chained;

chained! {
    /// Which other origins' pages may read the stream.
    ///
    /// Without any of this a browser lets only pages of the stream's own origin read it.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Cors;
    ///
    /// let own_pages = Cors::default().origins(["https://example.com"]).credentials(true);
    /// let every_page = Cors::default().origins(["*"]);
    /// # let _ = (own_pages, every_page);
    /// ```
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Cors {
        /// Origins: a scheme, a host and perhaps a port, such as `https://example.com`; or `*` for
        /// all of them, or `null` for pages without one, such as files. Capitals in scheme and
        /// host, and a port that is the scheme's own, make no difference. What no browser would
        /// send is an error when the listener is opened: paths, users, wildcards within a name,
        /// letters beyond ASCII (browsers send punycode).
        pub origins: Vec<String> as (impl IntoIterator<Item = impl Into<String>>
            => origins.into_iter().map(Into::into).collect()),
        /// Whether pages may send cookies and other credentials along; not together with `*`, nor
        /// with `null`, which any page can make itself be.
        pub credentials: bool,
    }
}

/// The origins of a [`Cors`] as browsers send them.
#[derive(Debug)]
pub(crate) struct Origins {
    any: bool,
    listed: Vec<String>,
    credentials: bool,
}

impl Origins {
    /// # Errors
    ///
    /// Says what is wrong, and with which entry.
    pub(crate) fn new(cors: &Cors) -> Result<Origins, String> {
        let mut origins = Origins { any: false, listed: Vec::new(), credentials: cors.credentials };
        for entry in &cors.origins {
            match &**entry {
                "*" | "null" if cors.credentials => {
                    return Err(format!(
                        "{entry:?} cannot be together with credentials; list the origins instead"
                    ));
                }
                "*" => origins.any = true,
                "null" => origins.listed.push(entry.clone()),
                _ => {
                    let normalised = normalise(entry);
                    let named = |why| format!("{}: {why}", Excerpt::of(entry));
                    origins.listed.push(normalised.map_err(named)?);
                }
            }
        }
        Ok(origins)
    }

    /// The header fields of a response to a request with this `Origin`.
    pub(crate) fn fields(&self, origin: Option<&str>) -> String {
        if self.any {
            return "Access-Control-Allow-Origin: *\r\n".to_owned();
        }
        if self.listed.is_empty() {
            return String::new();
        }
        // The answer depends on the origin also when it is not allowed.
        let mut fields = "Vary: Origin\r\n".to_owned();
        let Some(origin) = origin.filter(|&origin| self.listed.iter().any(|one| one == origin))
        else {
            return fields;
        };
        fields += &format!("Access-Control-Allow-Origin: {origin}\r\n");
        if self.credentials {
            fields += "Access-Control-Allow-Credentials: true\r\n";
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(origins: &[&str], credentials: bool) -> Result<Origins, String> {
        let origins = origins.iter().map(|&o| o.to_owned()).collect();
        Origins::new(&Cors { origins, credentials })
    }

    #[test]
    fn only_listed_origins_may_read() {
        let listed = origins(&["https://a.example", "http://b.example:8080"], true).unwrap();
        assert_eq!(
            listed.fields(Some("http://b.example:8080")),
            "Vary: Origin\r\nAccess-Control-Allow-Origin: http://b.example:8080\r\n\
             Access-Control-Allow-Credentials: true\r\n"
        );
        for other in ["https://a.example.evil", "https://A.example", "https://a.example:443", ""] {
            assert_eq!(listed.fields(Some(other)), "Vary: Origin\r\n", "{other}");
        }
        assert_eq!(listed.fields(None), "Vary: Origin\r\n");
        assert_eq!(origins(&[], false).unwrap().fields(Some("https://a.example")), "");
        let any = origins(&["*"], false).unwrap().fields(Some("https://a.example"));
        assert_eq!(any, "Access-Control-Allow-Origin: *\r\n");
    }

    #[test]
    fn origins_are_compared_as_browsers_write_them() {
        for (entry, sent) in [
            ("HTTPS://App.Example", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("https://app.example:", "https://app.example"),
            ("https://app.example:0444", "https://app.example:444"),
            ("http://app.example:80", "http://app.example"),
            ("http://app.example:443", "http://app.example:443"),
            ("https://app.example.", "https://app.example."),
            ("http://LOCALHOST:3000", "http://localhost:3000"),
            ("http://[0:0::1]:80", "http://[::1]"),
            ("http://[::FFFF:127.0.0.1]", "http://[::ffff:7f00:1]"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("Chrome-Extension://abcdef", "chrome-extension://abcdef"),
            ("null", "null"),
        ] {
            let origins = origins(&[entry], false).unwrap();
            let fields = origins.fields(Some(sent));
            let allowed = format!("\r\nAccess-Control-Allow-Origin: {sent}\r\n");
            assert!(fields.contains(&allowed), "{entry}: {fields}");
        }
    }

    #[test]
    fn what_no_browser_would_send_or_take_is_an_error_that_names_it() {
        for credentials in ["*", "null"] {
            assert!(origins(&[credentials], true).unwrap_err().contains(credentials));
        }
        for entry in [
            "",
            "a.example",
            "https://",
            "https://a.example/",
            "https://a.example/path",
            "https://a.example?q",
            "https://user@a.example",
            "https://*.example",
            "https://*",
            "https://a.example:0",
            "https://a.example:65536",
            "https://a.example:https",
            "https://a..example",
            "https://127.1",
            "https://1.2.3.256",
            "https://[::1",
            "https://[::1]x",
            "https://größe.example",
            "file://",
            "1http://a.example",
            "https://a.example ",
        ] {
            let error = origins(&["https://right.example", entry], false).unwrap_err();
            assert!(error.starts_with(&format!("\"{entry}\": ")), "{error}");
        }
        assert!(origins(&["https://a\r\nX: y"], false).is_err());
    }
}
