//! Which pages of other origins may read a stream: WHATWG Fetch, section "CORS protocol".

use std::net::{Ipv4Addr, Ipv6Addr};

use super::host::ends_in_a_number;
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

/// An origin as browsers write it: WHATWG HTML, section "Origin", serialization. The crate `url`
/// would do the same, but brings some 30 crates and a megabyte of tables for names beyond ASCII,
/// which have to be in punycode here.
fn normalise(origin: &str) -> Result<String, &'static str> {
    if !origin.is_ascii() {
        return Err("browsers send punycode; write the host as xn--...");
    }
    let (scheme, authority) = origin
        .split_once("://")
        .ok_or("an origin is a scheme and a host, such as https://example.com")?;
    let scheme = scheme.to_ascii_lowercase();
    let of_a_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if !scheme.starts_with(|first: char| first.is_ascii_lowercase())
        || !scheme.bytes().all(of_a_scheme)
    {
        return Err("an origin begins with a scheme, such as https");
    }
    if authority.contains(['/', '?', '#', '\\']) {
        return Err("an origin has no path; leave out what is behind the host");
    }
    if authority.contains('@') {
        return Err("an origin has no user; leave out what is before the @");
    }
    let port_at = match authority.rfind(']') {
        Some(end) => end + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(port_at);
    let default_port = match &*scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    // Other schemes are those of browser extensions and of apps, which have hosts that are not DNS
    // names.
    let host = match default_port {
        Some(_) => normalise_host(host)?,
        None => normalise_opaque(host)?,
    };
    match normalise_port(port)? {
        Some(port) if Some(port) != default_port => Ok(format!("{scheme}://{host}:{port}")),
        _ => Ok(format!("{scheme}://{host}")),
    }
}

fn normalise_host(host: &str) -> Result<String, &'static str> {
    if let Some(bracketed) = host.strip_prefix('[') {
        let address = bracketed.strip_suffix(']').and_then(|a| a.parse::<Ipv6Addr>().ok());
        return address.map(canonical_ipv6).ok_or("this is no IPv6 address");
    }
    if host.contains('*') {
        return Err("an origin has no wildcard; list each host, or * alone for all origins");
    }
    let of_a_label = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let labels = host.strip_suffix('.').unwrap_or(host).split('.');
    if !labels.into_iter().all(|label| !label.is_empty() && label.bytes().all(of_a_label)) {
        return Err("this is no host; an origin is a scheme and a host");
    }
    if ends_in_a_number(host) && host.parse::<Ipv4Addr>().is_err() {
        return Err("browsers write an IPv4 address as four decimal numbers");
    }
    Ok(host.to_ascii_lowercase())
}

fn normalise_opaque(host: &str) -> Result<String, &'static str> {
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    match plain && !host.is_empty() {
        true => Ok(host.to_owned()),
        false => Err("this is no host; an origin is a scheme and a host"),
    }
}

/// The port behind a colon, if there is one.
fn normalise_port(port: &str) -> Result<Option<u16>, &'static str> {
    let Some(digits) = port.strip_prefix(':') else {
        return if port.is_empty() { Ok(None) } else { Err("this is no host") };
    };
    if digits.is_empty() {
        return Ok(None);
    }
    let number = digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok());
    match number.flatten() {
        Some(0) | None => Err("a port is a number from 1 to 65,535"),
        port => Ok(port),
    }
}

/// An IPv6 address as a browser writes it in an origin.
fn canonical_ipv6(address: Ipv6Addr) -> String {
    match address.to_ipv4_mapped().map(|address| address.octets()) {
        // Browsers write no dots here.
        Some([a, b, c, d]) => {
            let [high, low] = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
            format!("[::ffff:{high:x}:{low:x}]")
        }
        None => format!("[{address}]"),
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
