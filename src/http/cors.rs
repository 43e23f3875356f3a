//! Which pages of other origins may read a stream, and with which requests: WHATWG Fetch, section
//! "CORS protocol".

use std::time::Duration;

use super::field::is_token;
use super::origin::normalise;
use crate::excerpt::Excerpt;
use crate::options::chained::chained;

chained! {
    /// Which other origins' pages may read the stream, and what their requests may have.
    ///
    /// Without any of this a browser lets only pages of the stream's own origin read it.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Cors;
    ///
    /// let own_pages = Cors::default().origins(["https://example.com"]).credentials(true);
    /// let every_page = Cors::default().origins(["*"]).request_headers(["*"]);
    /// # let _ = (own_pages, every_page);
    /// ```
    #[derive(Clone, Debug, PartialEq, Eq)]
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
        /// The header fields that a page's `fetch` may set beside those that every page may: their
        /// names, at most 64 and 2,048 bytes in all; `*` stands for all names, `Authorization` and
        /// requests with credentials included. A library that traces requests adds fields such as
        /// `traceparent`, `tracestate`, `baggage` or `sentry-trace` to each `fetch`; a browser
        /// refuses to send it unless they are listed here. Default: `Last-Event-ID`,
        /// `Authorization`, `Cache-Control` and `Content-Type`.
        pub request_headers: Vec<String> as (impl IntoIterator<Item = impl Into<String>>
            => request_headers.into_iter().map(Into::into).collect()),
        /// The header fields of an answer that a page may read beside those that every page may:
        /// their names, at most 64 and 2,048 bytes in all; `*` stands for all names, and with
        /// `credentials` for those of the header fields of the listener, of the route, and of the
        /// grant or the refusal that the answer is. Default: none.
        pub exposed_headers: Vec<String> as (impl IntoIterator<Item = impl Into<String>>
            => exposed_headers.into_iter().map(Into::into).collect()),
        /// For how long a browser may remember what it was told about a path's requests, at most 1
        /// day; browsers have bounds of their own. It counts whole seconds. Zero has it ask before
        /// each request. Default: 10 min.
        pub max_age: Duration,
    }
}

const NAMES_MAX: usize = 64;
const NAMES_BYTES_MAX: usize = 2_048;
const MAX_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The most bytes of the names that a preflight asks for, and that are repeated in its answer.
const ECHO_BYTES_MAX: usize = 4_096;

impl Default for Cors {
    fn default() -> Cors {
        let request_headers = ["Last-Event-ID", "Authorization", "Cache-Control", "Content-Type"];
        Cors {
            origins: Vec::new(),
            credentials: false,
            request_headers: request_headers.map(str::to_owned).into(),
            exposed_headers: Vec::new(),
            max_age: Duration::from_secs(600),
        }
    }
}

/// A [`Cors`], checked, as answers need it.
#[derive(Debug)]
pub(crate) struct CorsRules {
    any_origin: bool,
    /// Origins as browsers send them.
    origins: Vec<String>,
    credentials: bool,
    request_headers: RequestHeaders,
    exposed: Names,
    max_age_s: u64,
}

/// What a preflight is told about header fields.
#[derive(Debug)]
enum RequestHeaders {
    /// Always the same.
    Listed(String),
    /// That all it has asked for are allowed: with credentials, browsers take `*` for a name.
    Asked,
}

/// Names of header fields.
#[derive(Debug)]
struct Names {
    any: bool,
    listed: Vec<String>,
}

impl CorsRules {
    /// # Errors
    ///
    /// Says what is wrong, and with which entry.
    pub(crate) fn new(cors: &Cors) -> Result<CorsRules, String> {
        let mut origins = Vec::new();
        for entry in &cors.origins {
            match &**entry {
                "*" | "null" if cors.credentials => {
                    return Err(format!(
                        "{entry:?} cannot be together with credentials; list the origins instead"
                    ));
                }
                "*" | "null" => origins.push(entry.clone()),
                _ => {
                    let normalised = normalise(entry);
                    let named = |why| format!("{}: {why}", Excerpt::of(entry));
                    origins.push(normalised.map_err(named)?);
                }
            }
        }
        if cors.max_age > MAX_AGE_MAX {
            return Err("its max_age is at most 1 day".to_owned());
        }
        let allowed = Names::new(&cors.request_headers)?;
        let request_headers = match (allowed.any, cors.credentials) {
            (true, true) => RequestHeaders::Asked,
            // Browsers take `*` for all names but this one.
            (true, false) => RequestHeaders::Listed("*, Authorization".to_owned()),
            (false, _) => RequestHeaders::Listed(allowed.listed.join(", ")),
        };
        Ok(CorsRules {
            any_origin: origins.iter().any(|origin| origin == "*"),
            origins,
            credentials: cors.credentials,
            request_headers,
            exposed: Names::new(&cors.exposed_headers)?,
            max_age_s: cors.max_age.as_secs(),
        })
    }

    /// The line with what answers depend on, if they do. All answers have it, also those that turn
    /// out the same for every origin: so a cache never takes one of them for another.
    pub(crate) fn vary(&self) -> &'static str {
        match self.depends_on_origin() {
            true => "Vary: Origin\r\n",
            false => "",
        }
    }

    fn depends_on_origin(&self) -> bool {
        !self.any_origin && !self.origins.is_empty()
    }

    /// The lines of an answer to a request with this `Origin`. `exposing` is the line of
    /// [`CorsRules::exposing`].
    pub(crate) fn fields(&self, origin: Option<&str>, exposing: &str) -> String {
        match self.allows(origin) {
            Some(origin) => format!("{}{}{exposing}", self.vary(), self.allowing(origin)),
            None => self.vary().to_owned(),
        }
    }

    /// The line that says what of an answer a page may read, if it has these header fields.
    pub(crate) fn exposing<'n>(&self, names: impl Iterator<Item = &'n str>) -> String {
        let Names { any, listed } = &self.exposed;
        let mut exposed: Vec<&str> = listed.iter().map(String::as_str).collect();
        // With credentials, browsers take `*` for a name.
        match (any, self.credentials) {
            (true, false) => exposed.push("*"),
            (true, true) => {
                for name in names {
                    if !exposed.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                        exposed.push(name);
                    }
                }
            }
            (false, _) => {}
        }
        match &*exposed {
            [] => String::new(),
            names => format!("Access-Control-Expose-Headers: {}\r\n", names.join(", ")),
        }
    }

    /// The lines of the answer to a preflight, and to any other `OPTIONS`, for a path with these
    /// methods. `asked` are the values of `Access-Control-Request-Headers`.
    pub(crate) fn preflight<'v>(
        &self,
        origin: Option<&str>,
        methods: &str,
        asked: impl Iterator<Item = &'v [u8]>,
    ) -> String {
        let vary = match (&self.request_headers, self.depends_on_origin()) {
            // There are no credentials without listed origins.
            (RequestHeaders::Asked, true) => "Vary: Origin, Access-Control-Request-Headers\r\n",
            _ => self.vary(),
        };
        let Some(origin) = self.allows(origin) else { return vary.to_owned() };
        let allowed = match &self.request_headers {
            RequestHeaders::Listed(names) => names.clone(),
            RequestHeaders::Asked => echo(asked),
        };
        let mut fields = format!("{vary}{}", self.allowing(origin));
        fields += &format!("Access-Control-Allow-Methods: {methods}\r\n");
        if !allowed.is_empty() {
            fields += &format!("Access-Control-Allow-Headers: {allowed}\r\n");
        }
        fields += &format!("Access-Control-Max-Age: {}\r\n", self.max_age_s);
        fields
    }

    /// The origin to name as allowed, if a request's is.
    fn allows<'o>(&self, origin: Option<&'o str>) -> Option<&'o str> {
        match self.any_origin {
            true => Some("*"),
            false => origin.filter(|&origin| self.origins.iter().any(|one| one == origin)),
        }
    }

    fn allowing(&self, origin: &str) -> String {
        let credentials = match self.credentials {
            true => "Access-Control-Allow-Credentials: true\r\n",
            false => "",
        };
        format!("Access-Control-Allow-Origin: {origin}\r\n{credentials}")
    }
}

impl Names {
    fn new(entries: &[String]) -> Result<Names, String> {
        let mut names = Names { any: false, listed: Vec::new() };
        for entry in entries {
            match &**entry {
                "*" => names.any = true,
                name if is_token(name) && !name.contains('*') => names.listed.push(entry.clone()),
                name => {
                    return Err(format!(
                        "{}: a header field's name is wanted, or * alone for all",
                        Excerpt::of(name)
                    ));
                }
            }
        }
        let bytes: usize = entries.iter().map(|name| name.len() + 2).sum();
        match entries.len() <= NAMES_MAX && bytes <= NAMES_BYTES_MAX {
            true => Ok(names),
            false => Err(format!(
                "a list of header fields has at most {NAMES_MAX} names and {NAMES_BYTES_MAX} bytes"
            )),
        }
    }
}

/// The names that a preflight asks for, if they are names: nothing else is repeated.
fn echo<'v>(asked: impl Iterator<Item = &'v [u8]>) -> String {
    let values = asked.filter_map(|value| std::str::from_utf8(value).ok());
    let names =
        values.flat_map(|value| value.split(',').map(|name| name.trim_matches([' ', '\t'])));
    let mut echo = String::new();
    for name in names.filter(|name| is_token(name)) {
        if echo.len() + name.len() + 2 > ECHO_BYTES_MAX {
            break;
        }
        echo += if echo.is_empty() { "" } else { ", " };
        echo += name;
    }
    echo
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(origins: &[&str], credentials: bool) -> Result<CorsRules, String> {
        CorsRules::new(&Cors::default().origins(origins.to_vec()).credentials(credentials))
    }

    #[test]
    fn only_listed_origins_may_read() {
        let listed = origins(&["https://a.example", "http://b.example:8080"], true).unwrap();
        assert_eq!(
            listed.fields(Some("http://b.example:8080"), ""),
            "Vary: Origin\r\nAccess-Control-Allow-Origin: http://b.example:8080\r\n\
             Access-Control-Allow-Credentials: true\r\n"
        );
        for other in ["https://a.example.evil", "https://A.example", "https://a.example:443", ""] {
            assert_eq!(listed.fields(Some(other), ""), "Vary: Origin\r\n", "{other}");
        }
        assert_eq!(listed.fields(None, ""), "Vary: Origin\r\n");
        assert_eq!(origins(&[], false).unwrap().fields(Some("https://a.example"), ""), "");
        let any = origins(&["*"], false).unwrap().fields(Some("https://a.example"), "");
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
            let fields = origins.fields(Some(sent), "");
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

    /// What a preflight from `https://a.example` is told, line by line.
    fn preflight(cors: Cors, asked: &[&str]) -> Vec<String> {
        let rules = CorsRules::new(&cors).unwrap();
        let asked = asked.iter().map(|names| names.as_bytes());
        let fields = rules.preflight(Some("https://a.example"), "GET, HEAD, POST", asked);
        fields.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_preflight_is_told_methods_and_header_fields_and_for_how_long() {
        let cors = Cors::default().origins(["https://a.example"]);
        let by_default = [
            "Vary: Origin",
            "Access-Control-Allow-Origin: https://a.example",
            "Access-Control-Allow-Methods: GET, HEAD, POST",
            "Access-Control-Allow-Headers: Last-Event-ID, Authorization, Cache-Control, \
             Content-Type",
            "Access-Control-Max-Age: 600",
        ];
        assert_eq!(preflight(cors.clone(), &["traceparent"]), by_default);
        let names = cors.clone().request_headers(["traceparent", "sentry-trace"]);
        let told = preflight(names.max_age(Duration::ZERO), &["x"]);
        assert!(told.contains(&"Access-Control-Allow-Headers: traceparent, sentry-trace".into()));
        assert!(told.contains(&"Access-Control-Max-Age: 0".into()), "{told:?}");
        let none = preflight(cors.clone().request_headers([""; 0]), &["x"]);
        assert!(none.iter().all(|line| !line.contains("Allow-Headers")), "{none:?}");
        let other = Cors::default().origins(["https://b.example"]);
        assert_eq!(preflight(other, &[]), ["Vary: Origin"]);
        assert_eq!(preflight(Cors::default(), &["x"]), [""; 0]);
        let any = preflight(Cors::default().origins(["*"]), &[]);
        assert_eq!(any[0], "Access-Control-Allow-Origin: *", "nothing depends on the origin");
    }

    #[test]
    fn all_header_fields_are_allowed_in_the_way_that_browsers_understand() {
        let cors = Cors::default().origins(["https://a.example"]).request_headers(["*", "x-a"]);
        let line = |told: &[String]| {
            let is_allowed = |line: &&String| line.starts_with("Access-Control-Allow-Headers");
            told.iter().find(is_allowed).cloned()
        };
        let told = preflight(cors.clone(), &["x-b"]);
        let allowed = "Access-Control-Allow-Headers: *, Authorization".to_owned();
        assert_eq!((line(&told), &*told[0]), (Some(allowed), "Vary: Origin"));
        let cors = cors.credentials(true);
        let told = preflight(cors.clone(), &["authorization,x-b ,a b,\"", "traceparent", "\u{e9}"]);
        let allowed = "Access-Control-Allow-Headers: authorization, x-b, traceparent".to_owned();
        assert_eq!(line(&told), Some(allowed));
        assert_eq!(told[0], "Vary: Origin, Access-Control-Request-Headers");
        assert_eq!(line(&preflight(cors.clone(), &[])), None);
        let long = preflight(cors.clone(), &[&"abcdefgh,".repeat(10_000)]);
        assert!((ECHO_BYTES_MAX - 20..ECHO_BYTES_MAX + 40).contains(&line(&long).unwrap().len()));
        let rules = CorsRules::new(&cors).unwrap();
        let refused = rules.preflight(Some("https://b.example"), "GET", [&b"x"[..]].into_iter());
        assert_eq!(refused, "Vary: Origin, Access-Control-Request-Headers\r\n");
    }

    #[test]
    fn a_page_may_read_the_header_fields_that_are_listed() {
        let exposing = |names: &[&str], credentials| {
            let cors = Cors::default().origins(["https://a.example"]).credentials(credentials);
            let rules = CorsRules::new(&cors.exposed_headers(names.to_vec())).unwrap();
            rules.exposing(["X-Run", "Link"].into_iter())
        };
        assert_eq!(exposing(&[], false), "");
        assert_eq!(exposing(&["x-a", "x-b"], true), "Access-Control-Expose-Headers: x-a, x-b\r\n");
        assert_eq!(exposing(&["*"], false), "Access-Control-Expose-Headers: *\r\n");
        let named = "Access-Control-Expose-Headers: x-run, Link\r\n";
        assert_eq!(exposing(&["x-run", "*"], true), named);
        let rules = origins(&["https://a.example"], false).unwrap();
        let fields = rules.fields(Some("https://a.example"), named);
        assert!(fields.ends_with(&format!("https://a.example\r\n{named}")), "{fields}");
        assert_eq!(rules.fields(Some("https://b.example"), named), "Vary: Origin\r\n");
    }

    #[test]
    fn names_that_no_header_field_has_and_too_many_of_them_are_an_error() {
        for name in ["", "a b", "a,b", "a:", "x-*", "a\r\nb", "größe"] {
            for cors in [
                Cors::default().request_headers(["ok", name]),
                Cors::default().exposed_headers([name]),
            ] {
                let error = CorsRules::new(&cors).unwrap_err();
                assert!(error.starts_with(&Excerpt::of(name).to_string()), "{error}");
            }
        }
        let names = |count| Cors::default().request_headers(vec!["x"; count]);
        assert!(CorsRules::new(&names(64)).is_ok() && CorsRules::new(&names(65)).is_err());
        let long = |bytes| Cors::default().exposed_headers(["x".repeat(bytes)]);
        assert!(CorsRules::new(&long(2_046)).is_ok() && CorsRules::new(&long(2_047)).is_err());
        let day = Duration::from_secs(86_400);
        assert!(CorsRules::new(&Cors::default().max_age(day)).is_ok());
        let error = CorsRules::new(&Cors::default().max_age(day * 2)).unwrap_err();
        assert_eq!(error, "its max_age is at most 1 day");
    }
}
