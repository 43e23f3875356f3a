//! Origins as browsers write them.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::host::ends_in_a_number;

/// An origin as browsers write it: WHATWG HTML, section "Origin", serialization. The crate `url`
/// would do the same, but brings some 30 crates and a megabyte of tables for names beyond ASCII,
/// which have to be in punycode here.
pub(crate) fn normalise(origin: &str) -> Result<String, &'static str> {
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
