//! The paths of a listener, checked, and which of them a request is for.

use std::borrow::Cow;

use super::options::ListenOptions;
use super::route::Route;
use crate::excerpt::Excerpt;
use crate::filter::Subscription;
use crate::http::cors::CorsRules;
use crate::http::field::Fields;
use crate::http::template::{decode_value, Pattern, Template};
use crate::options::OptionsError;

/// The most routes of a listener. A request is held against each of them.
pub(super) const ROUTES_MAX: usize = 256;

/// The paths of a listener that have streams: those without places first, and no two others that
/// match the same path.
#[derive(Debug)]
pub(super) struct Routes {
    all: Vec<Compiled>,
    /// The path at which a client exchanges what it shows for a ticket.
    exchange_path: Option<String>,
    /// The path that says whether all is well, which goes before routes that match it.
    health_path: Option<String>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) path: String,
    template: Template,
    subscriptions: Vec<Pattern>,
    pub(super) post: bool,
    pub(super) query_topics: bool,
    /// The host's lines in the head of a stream's answer.
    pub(super) fields: String,
    /// The header fields that these are.
    pub(super) headers: Fields,
    /// The line that says which fields a page of another origin may read.
    pub(super) exposing: String,
}

/// The route of a request, and the values in its path.
#[derive(Debug)]
pub(super) struct Matched<'a> {
    pub(super) route: &'a Compiled,
    values: Vec<&'a str>,
}

impl Routes {
    /// Checks the routes of a listener whose other options have been checked.
    pub(super) fn new(options: &ListenOptions, cors: &CorsRules) -> Result<Routes, OptionsError> {
        let error = |option| move |why: String| OptionsError { option, bounds: why.into() };
        let shared = Fields::new(&options.headers, &Fields::default());
        let shared = shared.map_err(error("headers"))?;
        if options.routes.len() > ROUTES_MAX {
            return Err(error("routes")(format!("there are at most {ROUTES_MAX} routes")));
        }
        let mut all = Vec::new();
        // A route of this path takes its place.
        let is_replaced = options.routes.iter().any(|route| route.path == options.path);
        if !options.path.is_empty() && !is_replaced {
            let plain = Route::new(options.path.clone());
            let template = Template::literal(&options.path);
            all.push(
                Compiled::new(&plain, template, options, &shared, cors).map_err(error("path"))?,
            );
        }
        for route in &options.routes {
            let named = |why| error("routes")(format!("{}: {why}", Excerpt::of(&route.path)));
            let template = Template::parse(&route.path).map_err(named)?;
            if options.health_path.as_ref() == Some(&route.path) {
                return Err(named("it is health_path; give another path".to_owned()));
            }
            // Of a path with places and one without, the latter goes before.
            let is_like = |other: &&Compiled| {
                other.template.is_literal() == template.is_literal()
                    && other.template.overlaps(&template)
            };
            if let Some(other) = all.iter().find(is_like) {
                let other = Excerpt::of(&other.path);
                return Err(named(format!(
                    "there is a path that {other} matches as well; change one of them"
                )));
            }
            all.push(Compiled::new(route, template, options, &shared, cors).map_err(named)?);
        }
        all.sort_by_key(|route| !route.template.is_literal());
        let exchange_path = options.authorizer.exchange_path().map(str::to_owned);
        if let Some(path) = &exchange_path {
            let has_streams = all.iter().any(|route| route.path == *path);
            if has_streams || options.health_path.as_ref() == Some(path) {
                let path = Excerpt::of(path);
                return Err(error("authorizer")(format!(
                    "its exchange_path {path} is a path of the listener; change one of them"
                )));
            }
        }
        Ok(Routes { all, exchange_path, health_path: options.health_path.clone() })
    }

    /// Whether a request for a path is for streams, or for tickets of them.
    pub(super) fn have_streams_at(&self, path: &str) -> bool {
        let is_theirs = self.exchanges_at(path) || self.find(path).is_some();
        is_theirs && !self.is_health(path)
    }

    /// Whether it is here that a client is told whether all is well.
    pub(super) fn is_health(&self, path: &str) -> bool {
        self.health_path.as_deref() == Some(path)
    }

    /// Whether it is here that a client exchanges what it shows for a ticket.
    pub(super) fn exchanges_at(&self, path: &str) -> bool {
        self.exchange_path.as_deref() == Some(path)
    }

    /// The route of a path, as it was sent, and the path's values.
    pub(super) fn find<'a>(&'a self, path: &'a str) -> Option<Matched<'a>> {
        self.all.iter().find_map(|route| {
            let values = route.template.matches(path)?;
            Some(Matched { route, values })
        })
    }
}

impl Compiled {
    fn new(
        route: &Route,
        template: Template,
        options: &ListenOptions,
        shared: &Fields,
        cors: &CorsRules,
    ) -> Result<Compiled, String> {
        let (most, wide_max) = (options.subscriptions_per_connection_max, options.wide_filters_max);
        if route.subscriptions.len() > most {
            return Err(format!(
                "it has more than {most} subscriptions (subscriptions_per_connection_max)"
            ));
        }
        let query_topics = route.query_topics.unwrap_or(route.subscriptions.is_empty());
        if route.subscriptions.is_empty() && !query_topics {
            return Err("it has no subscriptions, and the query may name none either".to_owned());
        }
        let (mut subscriptions, mut wide) = (Vec::new(), 0);
        for text in &route.subscriptions {
            let named = |why| format!("{}: {why}", Excerpt::of(text));
            let pattern = Pattern::parse(text, &template).map_err(named)?;
            // Values are of one level and without wildcards, so this one stands for all.
            let example = pattern.fill(&vec!["x"; template.names().count()]);
            let example = Subscription::new(&example.map_err(|why| named(why.to_string()))?);
            wide += usize::from(is_wide(&example.map_err(|why| named(why.to_string()))?));
            subscriptions.push(pattern);
        }
        if wide > wide_max {
            return Err(format!(
                "more than {wide_max} of its filters begin with a wildcard (wide_filters_max)"
            ));
        }
        let fields = Fields::new(&route.headers, shared)?;
        Ok(Compiled {
            path: route.path.clone(),
            template,
            subscriptions,
            post: route.post,
            query_topics,
            exposing: cors.exposing(fields.names()),
            fields: fields.lines(),
            headers: fields,
        })
    }

    /// The methods that open or describe a stream.
    pub(super) fn methods(&self) -> &'static str {
        match self.post {
            true => "GET, HEAD, POST",
            false => "GET, HEAD",
        }
    }

    /// The line that says which methods it has.
    pub(super) fn allow(&self) -> &'static str {
        match self.post {
            true => "Allow: GET, HEAD, POST, OPTIONS\r\n",
            false => "Allow: GET, HEAD, OPTIONS\r\n",
        }
    }
}

impl Matched<'_> {
    /// What every stream of this path subscribes to.
    ///
    /// # Errors
    ///
    /// When a part of the path is no value, or makes a subscription too long.
    pub(super) fn subscriptions(&self) -> Result<Vec<Subscription>, String> {
        let values = self.values()?;
        let patterns = self.route.subscriptions.iter();
        let filled = patterns.map(|pattern| {
            let text = pattern.fill(&values).map_err(|why| why.to_string())?;
            Subscription::new(&text).map_err(|why| why.to_string())
        });
        filled.collect()
    }

    /// The values of the path's places, with the places' names.
    ///
    /// # Errors
    ///
    /// When a part of the path is no value.
    pub(super) fn named_values(&self) -> Result<Vec<(&str, Cow<'_, str>)>, String> {
        Ok(self.route.template.names().zip(self.values()?).collect())
    }

    fn values(&self) -> Result<Vec<Cow<'_, str>>, String> {
        let values = self.values.iter().map(|value| decode_value(value));
        values.collect::<Result<_, _>>().map_err(|why| why.to_string())
    }
}

/// Whether a filter begins with a wildcard, so that it may match every topic.
pub(super) fn is_wide(what: &Subscription) -> bool {
    match what {
        Subscription::Filter(filter) => filter.literal_prefix().is_empty(),
        Subscription::Topic(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(options: ListenOptions) -> Result<Routes, OptionsError> {
        options.check()?;
        let cors = CorsRules::new(&options.cors).unwrap();
        Routes::new(&options, &cors)
    }

    fn with(given: impl IntoIterator<Item = Route>) -> ListenOptions {
        ListenOptions::default().routes(given)
    }

    /// What a path's streams subscribe to.
    fn subscriptions(routes: &Routes, path: &str) -> Result<Vec<String>, String> {
        let matched = routes.find(path).ok_or("no route")?;
        let subscriptions = matched.subscriptions()?;
        Ok(subscriptions.iter().map(|one| one.as_str().to_owned()).collect())
    }

    #[test]
    fn a_path_without_places_goes_before_one_with_them_and_the_plain_path_stays() {
        let routes = routes(with([
            Route::new("/{kind}/events").subscriptions(["any/{kind}"]),
            Route::new("/runs/events").subscriptions(["runs"]),
            Route::new("/runs/{id}/{part}").subscriptions(["run/{id}", "run/{id}/{part}/#"]),
        ]));
        let routes = routes.unwrap();
        for (path, wanted) in [
            ("/events", vec![]),
            ("/runs/events", vec!["runs"]),
            ("/x%20y/events", vec!["any/x y"]),
            ("/runs/%E2%9C%93/a", vec!["run/✓", "run/✓/a/#"]),
        ] {
            assert_eq!(subscriptions(&routes, path).unwrap(), wanted, "{path}");
        }
        for path in ["/", "/events/", "/x", "//events", "/runs/a/b/c"] {
            assert!(routes.find(path).is_none(), "{path}");
        }
        let long = format!("/{}/events", "x".repeat(260));
        for path in
            ["/a%2Fb/events", "/%2B/events", "/%23/events", "/%FF/events", "/../events", &long]
        {
            assert!(routes.find(path).is_some(), "{path}");
            assert!(subscriptions(&routes, path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_route_of_the_plain_path_takes_its_place_and_there_need_be_none() {
        let plain = routes(with([Route::new("/events").post(true)])).unwrap();
        assert_eq!(plain.all.len(), 1);
        assert!(plain.find("/events").unwrap().route.post);
        let none = routes(with([Route::new("/a")]).path("")).unwrap();
        assert!(none.find("/events").is_none() && none.find("").is_none());
        assert_eq!(routes(ListenOptions::default().path("")).unwrap_err().option, "path");
        // A path that is no template may have any visible characters.
        let braces = routes(ListenOptions::default().path("/a{b}")).unwrap();
        assert!(braces.find("/a{b}").is_some());
    }

    #[test]
    fn the_query_names_topics_where_a_route_has_none_or_says_so() {
        let fixed = Route::new("/a").subscriptions(["a"]);
        for (route, may) in [
            (Route::new("/a"), true),
            (fixed.clone(), false),
            (fixed.clone().query_topics(true), true),
        ] {
            let routes = routes(with([route])).unwrap();
            assert_eq!(routes.find("/a").unwrap().route.query_topics, may);
        }
    }

    #[test]
    fn what_is_wrong_with_a_route_is_said_with_its_path() {
        let of_topics = |topics: &[&str]| Route::new("/{id}/e").subscriptions(topics.to_vec());
        let long = "x".repeat(260);
        for (wrong, says) in [
            (vec![Route::new("runs")], "\"runs\": a path begins with /"),
            (vec![Route::new("/run-{id}")], "whole segment"),
            (vec![Route::new("/{id}/{id}")], "{id} is there twice"),
            (vec![of_topics(&["run/{run}"])], "\"run/{run}\": the path has no place {run}"),
            (vec![of_topics(&["run/{id"])], "alone"),
            (vec![of_topics(&["+{id}"])], "'+' beside other characters"),
            (vec![of_topics(&["#/{id}"])], "\"#/{id}\": "),
            (vec![of_topics(&[&long])], "256"),
            (vec![of_topics(&[""])], "\"\": "),
            (vec![of_topics(&["a"; 65])], "64 subscriptions (subscriptions_per_connection_max)"),
            (vec![of_topics(&["#", "+", "+/a", "+/b", "+/c"])], "4 of its filters"),
            (vec![Route::new("/a").query_topics(false)], "no subscriptions"),
            (vec![Route::new("/a"), Route::new("/a")], "that \"/a\" matches as well"),
            (vec![Route::new("/a/{x}"), Route::new("/{y}/b")], "that \"/a/{x}\" matches"),
            (vec![Route::new("/{a}"), Route::new("/{b}")], "that \"/{a}\" matches"),
            (vec![Route::new("/well")], "\"/well\": it is health_path"),
            (vec![Route::new("/a").header("Vary", "x")], "\"Vary\": the engine writes"),
            (vec![Route::new("/a").header("X", "a\r\nb")], "without line breaks"),
            (vec![Route::new("/a"); 257], "at most 256 routes"),
        ] {
            let error = routes(with(wrong).health_path("/well")).unwrap_err();
            assert_eq!(error.option, "routes");
            assert!(error.bounds.contains(says), "{says}: {error}");
            assert!(error.bounds.len() < 500, "{error}");
            assert!(error.to_string().starts_with("the option routes is wrong: "), "{error}");
        }
        let error = routes(with([]).headers([("Date", "now")])).unwrap_err();
        assert_eq!(error.option, "headers");
        // The plain path is one of them, and so a literal route beside a template is no mistake.
        assert!(routes(with([Route::new("/{x}"), Route::new("/a")])).is_ok());
    }

    #[test]
    fn a_routes_header_fields_are_beside_the_listeners_and_exposed_if_all_are() {
        let cors = crate::Cors::default().origins(["https://a.example"]).credentials(true);
        let options = with([Route::new("/a").header("x-a", "1").header("X-B", "2")])
            .headers([("X-A", "0"), ("X-C", "3")])
            .cors(cors.exposed_headers(["*"]));
        let routes = routes(options).unwrap();
        let route = routes.find("/a").unwrap().route;
        assert_eq!(route.fields, "x-a: 1\r\nX-B: 2\r\nX-C: 3\r\n");
        assert_eq!(route.exposing, "Access-Control-Expose-Headers: x-a, X-B, X-C\r\n");
        assert_eq!(routes.find("/events").unwrap().route.fields, "X-A: 0\r\nX-C: 3\r\n");
    }
}
