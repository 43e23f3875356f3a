//! A path with streams of its own.

use crate::options::chained::chained;

chained! {
    /// A path of a listener with streams of its own: what they subscribe to, by which methods they
    /// are opened, and which header fields their answers have. `GET`, `HEAD` and `OPTIONS` are
    /// always there.
    ///
    /// In the path, `{name}` is the place of a value: exactly one segment that is not empty. The
    /// value is percent-decoded as UTF-8, and goes where a subscription has the same `{name}`. A
    /// value never adds a level or a wildcard to a subscription: a request with `/`, `+`, `#` or a
    /// control character in a value, percent-encoded or not, is answered 400, and so is one with
    /// `.` or `..`, or with a value that begins with `$` where a subscription begins with it.
    ///
    /// [`ListenOptions::routes`](crate::ListenOptions::routes) takes routes, and `docs/routes.md`
    /// has more examples.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::{Hub, ListenOptions, Options, Route};
    ///
    /// let hub = Hub::start(Options::default())?;
    /// let run = Route::new("/runs/{id}/events")
    ///     .subscriptions(["run/{id}"])
    ///     .post(true)
    ///     .header("X-Robots-Tag", "none");
    /// let listener = hub.listen("127.0.0.1:0", ListenOptions::default().routes([run]))?;
    /// assert!(listener.has_streams_at("/runs/42/events"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Route {
        /// The path, at most 1,024 bytes, percent-encoded and without a query. A place is a whole
        /// segment; its name is 1 to 64 letters, digits and `_`, does not begin with a digit, and
        /// is there once.
        pub path: String as (impl Into<String> => path.into()),
        /// What every stream of this path subscribes to: topics, or filters, in which `{name}` is
        /// the place of a value of the path. As many as one connection may have. Default: none.
        pub subscriptions: Vec<String> as (impl IntoIterator<Item = impl Into<String>>
            => subscriptions.into_iter().map(Into::into).collect()),
        /// Whether `POST` opens a stream as well, for pages that open it with `fetch` and send
        /// content along. The content is read, up to
        /// [`ListenOptions::body_bytes_max`](crate::ListenOptions::body_bytes_max), and ignored.
        /// Default: no.
        pub post: bool,
        /// Whether a request's query may name topics and filters, beside `subscriptions`. A request
        /// that may not and does is answered 403. Default: none, which is no for a route that has
        /// `subscriptions`, and else yes.
        pub query_topics: Option<bool> as (bool => Some(query_topics)),
        /// Header fields of the streams' answers, beside those of
        /// [`ListenOptions::headers`](crate::ListenOptions::headers), of which they replace those
        /// of their names; [`Route::header`] adds one. Default: none.
        pub headers: Vec<(String, String)>
            as (impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>
            => headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect()),
    }
}

impl Route {
    /// A route for `GET`, whose streams subscribe to what the query says. It is checked when the
    /// listener is opened.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Route;
    ///
    /// let route = Route::new("/news").subscriptions(["news/#"]);
    /// assert_eq!((&*route.path, route.post), ("/news", false));
    /// ```
    #[must_use]
    pub fn new(path: impl Into<String>) -> Route {
        Route {
            path: path.into(),
            subscriptions: Vec::new(),
            post: false,
            query_topics: None,
            headers: Vec::new(),
        }
    }

    /// Adds a header field to the streams' answers.
    ///
    /// # Examples
    ///
    /// ```
    /// use fanfare::Route;
    ///
    /// let route = Route::new("/news").header("X-Robots-Tag", "none").header("X-Served-By", "a");
    /// assert_eq!(route.headers.len(), 2);
    /// ```
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Route {
        self.headers.push((name.into(), value.into()));
        self
    }
}
