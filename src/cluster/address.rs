//! Where a cluster's server is: the text of a URL, taken apart. What it means is the client library's.

use std::fmt;

/// The most bytes of a URL.
const URL_BYTES_MAX: usize = 4096;
const SENTINELS_PORT: u16 = 26379;

/// What a URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// One server; the URL is as the client library takes it.
    Server(String),
    Sentinels(Sentinels),
}

/// The server of a name that Sentinels know.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Sentinels {
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) service: String,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) db: i64,
    pub(super) has_tls: bool,
}

const FORMS: &str =
    "redis://, rediss://, redis+unix://, redis+sentinel:// or rediss+sentinel:// with a host";

impl Address {
    pub(super) fn read(url: &str) -> Result<Address, &'static str> {
        if url.len() > URL_BYTES_MAX || url.contains(|char: char| char.is_control()) {
            return Err("a URL of at most 4,096 bytes without control characters");
        }
        let (scheme, rest) = url.split_once("://").ok_or(FORMS)?;
        match scheme {
            "redis" | "rediss" | "redis+unix" if !rest.is_empty() => {
                Ok(Address::Server(url.to_owned()))
            }
            "redis+sentinel" => Sentinels::read(rest, false).map(Address::Sentinels),
            "rediss+sentinel" => Sentinels::read(rest, true).map(Address::Sentinels),
            _ => Err(FORMS),
        }
    }
}

impl Sentinels {
    fn read(rest: &str, has_tls: bool) -> Result<Sentinels, &'static str> {
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let (user, password) = match login.map(|login| login.split_once(':')) {
            None => (None, None),
            Some(Some((user, password))) => (decoded(user)?, decoded(password)?),
            Some(None) => return Err("with user:password in front of the @, or :password"),
        };
        let mut path = rest.split('/');
        let hosts = path.next().unwrap_or_default().split(',').map(host_of);
        let hosts = hosts.collect::<Result<Vec<_>, _>>()?;
        let service = path.next().map(decoded).transpose()?.flatten();
        let service = service.ok_or("with the service's name behind the Sentinels' hosts")?;
        let db = match path.next().unwrap_or("0").parse() {
            Ok(db) if path.next().is_none() => db,
            _ => return Err("with a number as the last part, which is the database"),
        };
        Ok(Sentinels { hosts, service, user, password, db, has_tls })
    }
}

fn host_of(text: &str) -> Result<(String, u16), &'static str> {
    const WRONG: &str = "with a host and a port for each Sentinel";
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, port.parse().map_err(|_| WRONG)?),
        _ => (text, SENTINELS_PORT),
    };
    match host.is_empty() {
        true => Err(WRONG),
        false => Ok((host.to_owned(), port)),
    }
}

/// A part of a URL without its percent-encoding; `None` if it is empty.
fn decoded(text: &str) -> Result<Option<String>, &'static str> {
    let text = percent_encoding::percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| "with parts in UTF-8")?;
    Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
}

/// Without what is secret.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Server(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("redis", ""));
                let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
                let place = place.split('?').next().unwrap_or_default();
                write!(f, "{scheme}://{place}")
            }
            Address::Sentinels(sentinels) => {
                let hosts = sentinels.hosts.iter().map(|(host, port)| format!("{host}:{port}"));
                let hosts = hosts.collect::<Vec<_>>().join(",");
                write!(f, "redis+sentinel://{hosts}/{}", sentinels.service)
            }
        }
    }
}

impl fmt::Debug for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sentinels")
            .field("hosts", &self.hosts)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_and_its_secrets_are_not_shown() {
        let shown = |url: &str| Address::read(url).unwrap().to_string();
        assert_eq!(shown("redis://me:secret@db:6380/2"), "redis://db:6380/2");
        assert_eq!(shown("rediss://:secret@db"), "rediss://db");
        assert_eq!(
            shown("redis+unix:///run/redis.sock?pass=secret"),
            "redis+unix:///run/redis.sock"
        );
        let url = "rediss+sentinel://me:se%3Acret@one,two:7000/events/3";
        assert_eq!(shown(url), "redis+sentinel://one:26379,two:7000/events");
        let Ok(Address::Sentinels(read)) = Address::read(url) else { panic!("it is a service") };
        assert_eq!(read.hosts, [("one".to_owned(), 26379), ("two".to_owned(), 7000)]);
        assert_eq!((read.user.as_deref(), read.password.as_deref()), (Some("me"), Some("se:cret")));
        assert_eq!((read.db, read.has_tls, &*read.service), (3, true, "events"));
        assert!(!format!("{read:?}").contains("cret"));
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_it_may_be() {
        for url in [
            "",
            "localhost:6379",
            "http://localhost",
            "redis://",
            "redis+sentinel://one",
            "redis+sentinel://one/",
            "redis+sentinel:///events",
            "redis+sentinel://one:port/events",
            "redis+sentinel://me@one/events",
            "redis+sentinel://one/events/x",
            "redis+sentinel://one/events/1/2",
            "redis://a\nb",
        ] {
            assert!(Address::read(url).is_err(), "{url:?}");
        }
    }
}
