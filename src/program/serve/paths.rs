//! The paths that have streams, the header fields of their answers, and which pages may ask for
//! them.

use std::time::Duration;

use clap::Args;
use fanfare::{Cors, ListenOptions, Route};

use crate::program::outcome::Usage;
use crate::program::units;

#[derive(Args, Debug)]
#[command(next_help_heading = "Paths, header fields, and pages of other origins")]
pub(super) struct PathArgs {
    /// A path that has streams beside /events, as PATH:KEY=VALUE,KEY=VALUE; may be repeated, or
    /// given a line each. In PATH, {name} is the place of a value, one whole segment, which goes
    /// where a topic has {name} as well. The keys: topic=TOPIC (or a filter; may be repeated),
    /// methods=GET+POST, query=yes or no (whether the query may name topics; no where topic is
    /// given), header='NAME: VALUE' (may be repeated). A comma within a value is written \, and a
    /// colon within PATH \: and a backslash \\. For example
    /// '/runs/{id}/events:topic=run/{id},methods=GET+POST'
    #[arg(long = "route", env = "FANFARE_ROUTE", value_name = "ROUTE", value_delimiter = '\n',
          value_parser = route)]
    routes: Vec<Route>,

    /// A header field of all streams' answers; may be repeated, or given a line each
    #[arg(long = "header", env = "FANFARE_HEADER", value_name = "NAME: VALUE",
          value_delimiter = '\n', value_parser = header)]
    headers: Vec<(String, String)>,

    /// The most bytes of content with a POST that opens a stream, at most 1MiB; it is ignored
    #[arg(long, env = "FANFARE_BODY_BYTES_MAX", value_name = "SIZE", default_value = "64KiB",
          value_parser = units::bytes)]
    pub(super) body_bytes_max: usize,

    /// An origin whose pages may read streams, such as https://example.com, or * for all; may be
    /// repeated, or separated by commas
    #[arg(long, env = "FANFARE_CORS", value_name = "ORIGIN", value_delimiter = ',')]
    cors: Vec<String>,

    /// Let those pages send cookies and other credentials along
    #[arg(long, env = "FANFARE_CORS_CREDENTIALS")]
    cors_credentials: bool,

    /// A header field that those pages' requests may have, or * for all; may be repeated, or
    /// separated by commas [default: Last-Event-ID, Authorization, Cache-Control and Content-Type,
    /// none of them if any are given]
    #[arg(long, env = "FANFARE_CORS_HEADERS", value_name = "NAME", value_delimiter = ',')]
    cors_headers: Vec<String>,

    /// A header field of answers that those pages may read, or * for all; may be repeated, or
    /// separated by commas
    #[arg(long, env = "FANFARE_CORS_EXPOSE", value_name = "NAME", value_delimiter = ',')]
    cors_expose: Vec<String>,

    /// How long a browser may remember what it was told about a path's requests, at most 1d; 0 has
    /// it ask before each one [default: 10m]
    #[arg(long, env = "FANFARE_CORS_MAX_AGE", value_name = "TIME", value_parser = units::duration)]
    cors_max_age: Option<Duration>,
}

impl PathArgs {
    /// Checks that what is said of other origins' pages is said of some.
    pub(super) fn check(&self) -> Result<(), Usage> {
        let given = [
            (self.cors_credentials, "--cors-credentials"),
            (!self.cors_headers.is_empty(), "--cors-headers"),
            (!self.cors_expose.is_empty(), "--cors-expose"),
            (self.cors_max_age.is_some(), "--cors-max-age"),
        ];
        match given.into_iter().find(|(is_given, _)| *is_given && self.cors.is_empty()) {
            None => Ok(()),
            Some((_, flag)) => Err(Usage(format!(
                "{flag} says what pages of other origins may do; name those origins too, with --cors"
            ))),
        }
    }

    /// Adds what was given to a listener's options.
    pub(super) fn add_to(&self, options: ListenOptions) -> ListenOptions {
        let mut cors = Cors::default()
            .origins(self.cors.clone())
            .credentials(self.cors_credentials)
            .exposed_headers(self.cors_expose.clone());
        if !self.cors_headers.is_empty() {
            cors = cors.request_headers(self.cors_headers.clone());
        }
        if let Some(max_age) = self.cors_max_age {
            cors = cors.max_age(max_age);
        }
        options
            .cors(cors)
            .routes(self.routes.clone())
            .headers(self.headers.clone())
            .body_bytes_max(self.body_bytes_max)
    }
}

/// Reads `PATH:KEY=VALUE,KEY=VALUE`; the engine checks what the values are.
fn route(text: &str) -> Result<Route, String> {
    let (path, rest) = split_at_plain(text, ':');
    let mut route = Route::new(unescaped(path)?);
    let (mut has_methods, mut has_query) = (false, false);
    let mut rest = rest;
    while let Some(settings) = rest {
        let (setting, others) = split_at_plain(settings, ',');
        rest = others;
        let (key, value) = setting.split_once('=').ok_or_else(|| {
            format!(
                "behind the path's colon, {setting:?} is not KEY=VALUE; a comma within a value is \
                 written \\, and a colon within the path \\:"
            )
        })?;
        let value = unescaped(value)?;
        match key {
            "topic" => route.subscriptions.push(value),
            "methods" if !has_methods => {
                has_methods = true;
                route.post = has_post(&value)?;
            }
            "query" if !has_query => {
                has_query = true;
                route.query_topics = Some(match &*value {
                    "yes" => true,
                    "no" => false,
                    _ => return Err("query is yes or no".to_owned()),
                });
            }
            "header" => route.headers.push(header(&value)?),
            "methods" | "query" => return Err(format!("say {key} once")),
            _ => return Err(format!("there is no key {key:?}: topic, methods, query, header")),
        }
    }
    Ok(route)
}

/// Reads `GET+POST`, and returns whether POST is one of them.
fn has_post(methods: &str) -> Result<bool, String> {
    let methods: Vec<_> = methods.split('+').collect();
    if let Some(other) = methods.iter().find(|method| !["GET", "POST"].contains(*method)) {
        return Err(format!("methods are GET or GET+POST, not {other:?}"));
    }
    match methods.contains(&"GET") {
        true => Ok(methods.contains(&"POST")),
        false => Err("GET is always there: write methods=GET+POST".to_owned()),
    }
}

/// Reads `NAME: VALUE`.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write a header field as NAME: VALUE")?;
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

/// The text before the first such character that no backslash stands before, and the text behind.
fn split_at_plain(text: &str, at: char) -> (&str, Option<&str>) {
    let mut is_escaped = false;
    for (index, character) in text.char_indices() {
        if character == at && !is_escaped {
            return (&text[..index], Some(&text[index + at.len_utf8()..]));
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    (text, None)
}

/// A text without the backslashes before commas, colons and backslashes.
fn unescaped(text: &str) -> Result<String, String> {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some(escaped @ (',' | ':' | '\\')) => plain.push(escaped),
            _ => return Err("a backslash is before , or : or \\; write \\\\ for one".to_owned()),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::super::args::tests::parse;
    use super::*;

    #[test]
    fn a_route_is_a_path_and_what_is_set_for_it() {
        let header = |route: Route| route.header("Link", "</a>, </b>").header("X-A", "b:c=d");
        for (text, expected) in [
            ("/a", Route::new("/a")),
            (
                "/runs/{id}/events:topic=run/{id},methods=GET+POST",
                Route::new("/runs/{id}/events").subscriptions(["run/{id}"]).post(true),
            ),
            (
                "/a:topic=b=c/+,topic=d\\,e\\\\,query=yes,methods=GET",
                Route::new("/a").subscriptions(["b=c/+", "d,e\\"]).query_topics(true),
            ),
            ("/v1\\:watch:query=no", Route::new("/v1:watch").query_topics(false)),
            ("/a:header=Link: </a>\\, </b>,header=X-A:b:c=d ", header(Route::new("/a"))),
        ] {
            assert_eq!(route(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_route_is_an_error_that_says_how_to_write_it() {
        for (text, says) in [
            ("/a:", "KEY=VALUE"),
            ("/a:topic", "KEY=VALUE"),
            ("/a:topic=b,", "KEY=VALUE"),
            ("/a:header=Link: </a>, </b>", "a comma within a value is written \\,"),
            ("/v1:watch", "a colon within the path \\:"),
            ("/a:topics=b", "there is no key \"topics\""),
            ("/a:query=maybe", "query is yes or no"),
            ("/a:query=no,query=no", "say query once"),
            ("/a:methods=GET,methods=GET", "say methods once"),
            ("/a:methods=POST", "methods=GET+POST"),
            ("/a:methods=GET+PUT", "not \"PUT\""),
            ("/a:methods=get", "not \"get\""),
            ("/a:methods=", "not \"\""),
            ("/a:header=X", "NAME: VALUE"),
            ("/a\\b", "a backslash is before"),
            ("/a:topic=b\\", "a backslash is before"),
        ] {
            let error = route(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn paths_and_cors_are_those_of_the_command_line() {
        let args = parse(&[
            "--route=/a:topic=a\n/b:topic=b",
            "--route=/c",
            "--header=X-A: 1, 2",
            "--header=X-B:",
            "--body-bytes-max=1KiB",
            "--cors=https://a.example,https://b.example",
            "--cors-credentials",
            "--cors-headers=traceparent,Authorization",
            "--cors-headers=*",
            "--cors-expose=X-A",
            "--cors-max-age=0",
        ]);
        let options = args.unwrap().listen_options();
        let paths: Vec<_> = options.routes.iter().map(|route| &*route.path).collect();
        assert_eq!(paths, ["/a", "/b", "/c"]);
        let headers = [("X-A", "1, 2"), ("X-B", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!((options.headers, options.body_bytes_max), (headers.into(), 1_024));
        let cors = Cors::default()
            .origins(["https://a.example", "https://b.example"])
            .credentials(true)
            .request_headers(["traceparent", "Authorization", "*"])
            .exposed_headers(["X-A"])
            .max_age(Duration::ZERO);
        assert_eq!(options.cors, cors);
        assert_eq!(parse(&[]).unwrap().listen_options().cors, Cors::default());
        assert!(parse(&["--route=/a:x"]).is_err() && parse(&["--header=a"]).is_err());
    }

    #[test]
    fn what_pages_may_do_without_an_origin_is_an_error_that_names_the_flag() {
        for (flag, value) in [
            ("--cors-headers", "=traceparent"),
            ("--cors-expose", "=*"),
            ("--cors-credentials", ""),
            ("--cors-max-age", "=5m"),
        ] {
            let given = format!("{flag}{value}");
            let Usage(error) = parse(&[&given]).unwrap().paths.check().unwrap_err();
            assert!(error.starts_with(flag) && error.ends_with("with --cors"), "{error}");
            assert!(parse(&[&given, "--cors=https://a.example"]).unwrap().paths.check().is_ok());
        }
        assert!(parse(&[]).unwrap().paths.check().is_ok());
    }
}
