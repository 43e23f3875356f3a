//! The options of a listener across the border.

use std::mem::offset_of;

use super::answer;
use super::authorizer::FanfareAuthorizer;
use super::choices::{envelope, policies, start, FanfareEnvelope, FanfareStart};
use super::fallback::FanfareFallback;
use super::fields::{init, over_defaults, structs, tell_problem, Field, TEXT_BYTES_MAX};
use super::header_field::FanfareHeader;
use super::options::{Number, Refused};
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use crate::http::cors::{Cors, CorsRules};
use crate::listener::{check_entries, ListenOptions, Overload, Route};
use crate::proxy::forwarded::ForwardedHeader;

/// A path of a listener with streams of its own. Set all of it to zero, and `size` to
/// `sizeof(fanfare_route)`; then at least the path. In the path `{name}` is the place of a value, which
/// goes where a subscription has the same `{name}`.
///
/// The structs of an array all have the same size.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareRoute {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// The path, at most 1,024 bytes, percent-encoded and without a query: `/runs/{id}/events`.
    pub path: FanfareText,
    /// What every stream of this path subscribes to, such as `run/{id}`. None: what the query names.
    pub subscriptions: *const FanfareText,
    /// How many there are, at most as many as a connection may have.
    pub subscriptions_count: usize,
    /// Header fields of the streams' answers, which replace the listener's of their names.
    pub headers: *const FanfareHeader,
    /// How many there are, at most 32 with the listener's.
    pub headers_count: usize,
    /// 1: `POST` opens a stream as well, and what it sends is read and ignored.
    pub post: u32,
    /// Whether a request's query may name topics beside `subscriptions`: one of
    /// `FANFARE_QUERY_TOPICS_...`, or 0 for no if there are `subscriptions` and else yes.
    pub query_topics: u32,
}

/// A request's query may name no topics; one that does is answered 403.
pub const FANFARE_QUERY_TOPICS_NONE: u32 = 1;
/// A request's query may name topics beside those of the route.
pub const FANFARE_QUERY_TOPICS_ANY: u32 = 2;

/// Clients that are too many are told to come again with status 200, which a browser's `EventSource`
/// does. This is the default.
pub const FANFARE_OVERLOAD_COME_AGAIN: u32 = 1;
/// Clients that are too many are answered 503.
pub const FANFARE_OVERLOAD_UNAVAILABLE: u32 = 2;

/// `X-Forwarded-For: 192.0.2.1, 10.0.0.1`. This is the default.
pub const FANFARE_FORWARDED_X_FORWARDED_FOR: u32 = 1;
/// `Forwarded: for=192.0.2.1` (RFC 7239).
pub const FANFARE_FORWARDED_FORWARDED: u32 = 2;

/// How a listener speaks to its clients, and its bounds. `fanfare_listen_options_defaults` makes one
/// with every default; change what should differ. Without that helper set `size` to
/// `sizeof(fanfare_listen_options)` and call `fanfare_listen_options_init`.
///
/// A text of {NULL, 0} and a list of {NULL, 0} are the default. The struct grows at its end only, as
/// `fanfare_options` does. docs/options.md and docs/routes.md say more of each.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareListenOptions {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// The path of the streams whose topics the query names; the empty text for none, where there are
    /// routes. Default: `/events`.
    pub path: FanfareText,
    /// A path whose `GET` is answered 200 while all shards live and else 503. Default: none.
    pub health_path: FanfareText,
    /// More paths that have streams.
    pub routes: *const FanfareRoute,
    /// How many there are, at most 256.
    pub routes_count: usize,
    /// Header fields of all streams' answers.
    pub headers: *const FanfareHeader,
    /// How many there are, at most 32 in an answer, and 4 KiB.
    pub headers_count: usize,
    /// The other origins whose pages may read the streams: `https://example.com`, `*` or `null`.
    /// Default: none.
    pub cors_origins: *const FanfareText,
    /// How many there are, at most 1,024.
    pub cors_origins_count: usize,
    /// The header fields that a page's `fetch` may set. Default: `Last-Event-ID`, `Authorization`,
    /// `Cache-Control` and `Content-Type`. A list that is not NULL and has no entry is none.
    pub cors_request_headers: *const FanfareText,
    /// How many there are, at most 64.
    pub cors_request_headers_count: usize,
    /// The header fields of an answer that a page may read. Default: none.
    pub cors_exposed_headers: *const FanfareText,
    /// How many there are, at most 64.
    pub cors_exposed_headers_count: usize,
    /// The names by which the listener may be addressed, besides IP addresses and `localhost`; `*` for
    /// any. On a loopback address it is always checked. Default: none, or `*` if the hub's option
    /// `any_host` is 1.
    pub hosts: *const FanfareText,
    /// How many there are, at most 1,024.
    pub hosts_count: usize,
    /// The proxies whose connections begin with a header of the PROXY protocol: addresses, networks
    /// such as `10.0.0.0/8`, and `unix`. Default: none.
    pub proxy_protocol_from: *const FanfareText,
    /// How many there are, at most 256.
    pub proxy_protocol_from_count: usize,
    /// The proxies that are believed about their clients in the field that `forwarded_header` names.
    /// Default: none.
    pub trusted_proxies: *const FanfareText,
    /// How many there are, at most 256.
    pub trusted_proxies_count: usize,
    /// What decides which client gets which stream. One of tokens and tickets may be freed afterwards; the
    /// program keeps one that asks for as long as it answers, since clients are told to come again once
    /// that is freed. NULL: every client gets what it asks for.
    pub authorizer: *const FanfareAuthorizer,
    /// Where connections go whose requests are for paths without streams. The program keeps it for as
    /// long as it takes them: once it is freed they are answered 503. NULL: they are answered 404.
    pub fallback: *const FanfareFallback,
    /// 1: pages of the origins may send cookies along; not with `*` or `null`. Default: 0.
    pub cors_credentials: u32,
    /// The field in which `trusted_proxies` say who their client is: one of `FANFARE_FORWARDED_...`.
    pub forwarded_header: u32,
    /// The permission bits of the file of a Unix domain socket, at most 0777. Default: 0600.
    pub socket_mode: u32,
    /// What clients are told that are too many: one of `FANFARE_OVERLOAD_...`.
    pub overload: u32,
    /// Where the stream of a client begins that says no id and no beginning. Default: now.
    pub start: FanfareStart,
    /// For `FANFARE_START_LAST`.
    pub start_last: u32,
    /// Where the stream of a client begins whose id is gone. Default: by the gap's reason.
    pub gap_start: FanfareStart,
    /// For `FANFARE_START_LAST`.
    pub gap_start_last: u32,
    /// Which policies a client may choose: the bits `1u << FANFARE_POLICY_...`, and
    /// `FANFARE_POLICIES_THESE` alone for none. Default: those that cost others no more than the hub's.
    pub policies: u32,
    /// What is around an event's data for a client that does not say it. Default: nothing.
    pub envelope: FanfareEnvelope,
    /// How long a browser may remember what it was told of CORS.
    /// Bounds: at most 1 day. Default: 10 min.
    pub cors_max_age_ms: u64,
    /// The most bytes of a request's head.
    /// Bounds: 64 bytes to 1 MiB. Default: 16 KiB.
    pub head_bytes_max: u64,
    /// The most header fields of a request.
    /// Bounds: 8 to 4,096. Default: 128.
    pub head_fields_max: u64,
    /// The most bytes of the content of a `POST`.
    /// Bounds: at most 1 MiB. Default: 64 KiB.
    pub body_bytes_max: u64,
    /// The longest time that a client may take for its request's head.
    /// Bounds: 1 ms to 1 hour. Default: 10 s.
    pub head_time_max_ms: u64,
    /// The most topics and filters that one connection may want.
    /// Bounds: 1 to 65,536. Default: 64.
    pub subscriptions_per_connection_max: u64,
    /// The most filters of one connection that begin with a wildcard.
    /// Bounds: at most 65,536. Default: 4.
    pub wide_filters_max: u64,
    /// How many bytes may wait in the kernel for a connection; 0 leaves it to the system.
    /// Bounds: at most 1 GiB. Default: 16 KiB.
    pub notsent_lowat_bytes: u64,
    /// The kernel's send buffer of a connection; 0 leaves it to the system.
    /// Bounds: 0, or 1 KiB to 1 GiB. Default: 0.
    pub send_buffer_bytes: u64,
    /// For how long nothing may have come from a client before it is probed; 0 never probes.
    /// Bounds: 0, or 1 s to 9 hours. Default: 15 s.
    pub keepalive_ms: u64,
    /// For how long what was sent may stay without acknowledgement; 0 leaves it to the system.
    /// Bounds: 0, or 1 s to 1 day, and at least twice keepalive_ms. Default: 30 s.
    pub user_timeout_ms: u64,
}

/// The sizes that the structs had in the ABI's first version.
const SIZE_MIN: usize = offset_of!(FanfareListenOptions, user_timeout_ms) + size_of::<u64>();
const ROUTE_SIZE_MIN: usize = offset_of!(FanfareRoute, query_topics) + size_of::<u32>();

/// Fills in the defaults. `options->size` has to be set before, and stays as it is.
///
/// Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when
/// `options` is NULL or its size is that of no version.
///
/// # Safety
///
/// `options` has to point to `options->size` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_listen_options_init(
    options: *mut FanfareListenOptions,
) -> FanfareStatus {
    // SAFETY: as the caller promises.
    answer(|| unsafe { init(options, SIZE_MIN, FanfareListenOptions::default()) })
}

/// Finds the first option that `fanfare_hub_listen` would refuse: `*name_out` is its name in the
/// struct, and `*bounds_out` what it may be. Both are {NULL, 0} when every option is within its bounds.
/// Of a list the name is the list's, and of a route's parts it is `routes`.
///
/// Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
/// `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` for an authorizer or fallback of the parent's, or
/// `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `options` has to point to `options->size` readable bytes whose texts and lists are as they say, and
/// the others to writable texts.
#[no_mangle]
pub unsafe extern "C" fn fanfare_listen_options_problem(
    options: *const FanfareListenOptions,
    name_out: *mut FanfareText,
    bounds_out: *mut FanfareText,
) -> FanfareStatus {
    answer(|| {
        if options.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        unsafe { tell_problem(|| FanfareListenOptions::read(options), name_out, bounds_out) }
    })
}

const PATH: Field = Field { name: "path", bounds: "a path such as /events, percent-encoded" };
const HEALTH_PATH: Field =
    Field { name: "health_path", bounds: "a path such as /healthz, percent-encoded" };
const ROUTES: Field = Field {
    name: "routes",
    bounds:
        "at most 256, each with a path such as /runs/{id}, subscriptions that fit it, and header \
             fields as headers has them; no two for the same path",
};
const HEADERS: Field = Field {
    name: "headers",
    bounds:
        "at most 32 and 4 KiB: names are tokens, values visible ASCII, spaces and tabs, and none \
             is one that the engine writes itself",
};
const CORS_ORIGINS: Field = Field {
    name: "cors_origins",
    bounds: "at most 1,024 origins such as https://example.com; * and null not with credentials",
};
const CORS_REQUEST_HEADERS: Field = Field {
    name: "cors_request_headers",
    bounds: "at most 64 names and 2,048 bytes of them, or *",
};
const CORS_EXPOSED_HEADERS: Field = Field {
    name: "cors_exposed_headers",
    bounds: "at most 64 names and 2,048 bytes of them, or *",
};
const CORS_CREDENTIALS: Field = Field { name: "cors_credentials", bounds: "0 or 1" };
const CORS_MAX_AGE: Field = Field { name: "cors_max_age_ms", bounds: "at most 1 day" };
const HOSTS: Field =
    Field { name: "hosts", bounds: "at most 1,024 names without a port, or * alone" };
const PROXY_PROTOCOL_FROM: Field = Field {
    name: "proxy_protocol_from",
    bounds: "at most 256 addresses, networks such as 10.0.0.0/8, or unix",
};
const TRUSTED_PROXIES: Field = Field {
    name: "trusted_proxies",
    bounds: "at most 256 addresses, networks such as 10.0.0.0/8, or unix",
};
const FORWARDED_HEADER: Field =
    Field { name: "forwarded_header", bounds: "0 or one of FANFARE_FORWARDED_..." };
const OVERLOAD: Field = Field { name: "overload", bounds: "0 or one of FANFARE_OVERLOAD_..." };
/// Those whose bounds the engine tells with the entry that is wrong.
const LISTS: [Field; 5] = [ROUTES, HEADERS, HOSTS, PROXY_PROTOCOL_FROM, TRUSTED_PROXIES];
const TIMES: [&str; 3] = ["head_time_max_ms", "keepalive_ms", "user_timeout_ms"];
/// The most entries of lists that have no bound in the engine.
const ENTRIES_MAX: usize = 1_024;
const NAMES_MAX: usize = 64;
const NETWORKS_MAX: usize = 256;
const ROUTES_MAX: usize = 256;

impl Default for FanfareListenOptions {
    fn default() -> FanfareListenOptions {
        let (options, none) = (ListenOptions::default(), FanfareText::NONE);
        FanfareListenOptions {
            size: size_of::<FanfareListenOptions>(),
            path: none,
            health_path: none,
            routes: std::ptr::null(),
            routes_count: 0,
            headers: std::ptr::null(),
            headers_count: 0,
            cors_origins: std::ptr::null(),
            cors_origins_count: 0,
            cors_request_headers: std::ptr::null(),
            cors_request_headers_count: 0,
            cors_exposed_headers: std::ptr::null(),
            cors_exposed_headers_count: 0,
            hosts: std::ptr::null(),
            hosts_count: 0,
            proxy_protocol_from: std::ptr::null(),
            proxy_protocol_from_count: 0,
            trusted_proxies: std::ptr::null(),
            trusted_proxies_count: 0,
            authorizer: std::ptr::null(),
            fallback: std::ptr::null(),
            cors_credentials: 0,
            forwarded_header: 0,
            socket_mode: options.socket_mode,
            overload: 0,
            start: 0,
            start_last: 0,
            gap_start: 0,
            gap_start_last: 0,
            policies: 0,
            envelope: 0,
            cors_max_age_ms: options.cors.max_age.to_number(),
            head_bytes_max: options.head_bytes_max.to_number(),
            head_fields_max: options.head_fields_max.to_number(),
            body_bytes_max: options.body_bytes_max.to_number(),
            head_time_max_ms: options.head_time_max.to_number(),
            subscriptions_per_connection_max: options.subscriptions_per_connection_max.to_number(),
            wide_filters_max: options.wide_filters_max.to_number(),
            notsent_lowat_bytes: options.notsent_lowat_bytes.to_number(),
            send_buffer_bytes: 0,
            keepalive_ms: options.keepalive.to_number(),
            user_timeout_ms: options.user_timeout.to_number(),
        }
    }
}

impl FanfareListenOptions {
    /// The caller's options; NULL is the defaults.
    ///
    /// # Errors
    ///
    /// When the size is that of no version, or an option is out of its bounds.
    ///
    /// # Safety
    ///
    /// `options` has to be NULL, or to point to `options->size` readable bytes whose texts and lists are
    /// as they say, and whose authorizer and fallback are NULL or live.
    pub(super) unsafe fn read(
        options: *const FanfareListenOptions,
    ) -> Result<ListenOptions, Refused> {
        let blank = FanfareListenOptions::default();
        // SAFETY: as the caller promises.
        let read = unsafe { over_defaults(options, SIZE_MIN, blank) }?;
        // SAFETY: as the caller promises.
        let options = unsafe { read.convert() }?;
        let of = |error| Field::of(error, &TIMES, &LISTS);
        options.check().map_err(of)?;
        check_cors(&options.cors)?;
        check_entries(&options).map_err(of)?;
        Ok(options)
    }

    /// # Safety
    ///
    /// Its texts and lists have to be as they say, and its authorizer and fallback NULL or live.
    unsafe fn convert(&self) -> Result<ListenOptions, Refused> {
        let mut options = ListenOptions::default();
        // SAFETY: as the caller promises, for all of these.
        unsafe {
            if let Some(path) = PATH.text(self.path, TEXT_BYTES_MAX)? {
                options.path = path;
            }
            options.health_path = HEALTH_PATH.text(self.health_path, TEXT_BYTES_MAX)?;
            options.routes = self.read_routes()?;
            options.headers = HEADERS.headers(self.headers, self.headers_count)?;
            options.cors = self.read_cors()?;
            let hosts = HOSTS.texts(self.hosts, self.hosts_count, ENTRIES_MAX)?;
            options.hosts = hosts.unwrap_or_default();
            let (list, count) = (self.proxy_protocol_from, self.proxy_protocol_from_count);
            let proxies = PROXY_PROTOCOL_FROM.texts(list, count, NETWORKS_MAX)?;
            options.proxy_protocol_from = proxies.unwrap_or_default();
            let (list, count) = (self.trusted_proxies, self.trusted_proxies_count);
            let proxies = TRUSTED_PROXIES.texts(list, count, NETWORKS_MAX)?;
            options.trusted_proxies = proxies.unwrap_or_default();
            options.authorizer = FanfareAuthorizer::read(self.authorizer).map_err(Refused::Size)?;
            options.fallback = FanfareFallback::read(self.fallback).map_err(Refused::Size)?;
        }
        const HEADERS_OF_PROXIES: [ForwardedHeader; 2] =
            [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded];
        let header = FORWARDED_HEADER.choice(self.forwarded_header, &HEADERS_OF_PROXIES)?;
        options.forwarded_header = header.unwrap_or_default();
        let overload = [Overload::ComeAgain, Overload::Unavailable];
        options.overload = OVERLOAD.choice(self.overload, &overload)?.unwrap_or_default();
        options.socket_mode = self.socket_mode;
        options.start = start("start", self.start, self.start_last)?.unwrap_or_default();
        options.gap_start = start("gap_start", self.gap_start, self.gap_start_last)?;
        options.policies = policies(self.policies)?;
        options.envelope = envelope(self.envelope)?;
        options.head_bytes_max = Number::of_number(self.head_bytes_max);
        options.head_fields_max = Number::of_number(self.head_fields_max);
        options.body_bytes_max = Number::of_number(self.body_bytes_max);
        options.head_time_max = Number::of_number(self.head_time_max_ms);
        options.subscriptions_per_connection_max =
            Number::of_number(self.subscriptions_per_connection_max);
        options.wide_filters_max = Number::of_number(self.wide_filters_max);
        options.notsent_lowat_bytes = Number::of_number(self.notsent_lowat_bytes);
        let send_buffer = Some(self.send_buffer_bytes).filter(|&bytes| bytes > 0);
        options.send_buffer_bytes = send_buffer.map(Number::of_number);
        options.keepalive = Number::of_number(self.keepalive_ms);
        options.user_timeout = Number::of_number(self.user_timeout_ms);
        Ok(options)
    }

    /// # Safety
    ///
    /// Its texts and lists have to be as they say.
    unsafe fn read_cors(&self) -> Result<Cors, Refused> {
        let mut cors = Cors::default().credentials(CORS_CREDENTIALS.flag(self.cors_credentials)?);
        // SAFETY: as the caller promises, for all of these.
        unsafe {
            let origins =
                CORS_ORIGINS.texts(self.cors_origins, self.cors_origins_count, ENTRIES_MAX)?;
            cors.origins = origins.unwrap_or_default();
            let (list, count) = (self.cors_request_headers, self.cors_request_headers_count);
            if let Some(names) = CORS_REQUEST_HEADERS.texts(list, count, NAMES_MAX)? {
                cors.request_headers = names;
            }
            let (list, count) = (self.cors_exposed_headers, self.cors_exposed_headers_count);
            let names = CORS_EXPOSED_HEADERS.texts(list, count, NAMES_MAX)?;
            cors.exposed_headers = names.unwrap_or_default();
        }
        cors.max_age = Number::of_number(self.cors_max_age_ms);
        Ok(cors)
    }

    /// # Safety
    ///
    /// The routes have to be as they say.
    unsafe fn read_routes(&self) -> Result<Vec<Route>, Refused> {
        if self.routes_count > ROUTES_MAX {
            return Err(ROUTES.refused());
        }
        let blank = FanfareRoute {
            size: 0,
            path: FanfareText::NONE,
            subscriptions: std::ptr::null(),
            subscriptions_count: 0,
            headers: std::ptr::null(),
            headers_count: 0,
            post: 0,
            query_topics: 0,
        };
        let unknown = Status::FANFARE_ERR_OPTIONS;
        let (list, count) = (self.routes, self.routes_count);
        // SAFETY: as the caller promises.
        let routes = unsafe { structs(list, count, ROUTE_SIZE_MIN, blank, unknown) };
        let routes = routes.map_err(|status| match status {
            Status::FANFARE_ERR_OPTIONS => ROUTES.refused(),
            status => Refused::Size(status),
        })?;
        // SAFETY: as the caller promises.
        routes.iter().map(|route| unsafe { route.read() }).collect()
    }
}

impl FanfareRoute {
    /// # Safety
    ///
    /// Its texts and lists have to be as they say.
    unsafe fn read(&self) -> Result<Route, Refused> {
        // SAFETY: as the caller promises, for all of these.
        let (path, subscriptions, headers) = unsafe {
            (
                ROUTES.text(self.path, TEXT_BYTES_MAX)?,
                ROUTES.texts(self.subscriptions, self.subscriptions_count, ENTRIES_MAX)?,
                ROUTES.headers(self.headers, self.headers_count)?,
            )
        };
        let mut route = Route::new(path.unwrap_or_default())
            .subscriptions(subscriptions.unwrap_or_default())
            .headers(headers)
            .post(ROUTES.flag(self.post)?);
        route.query_topics = ROUTES.choice(self.query_topics, &[false, true])?;
        Ok(route)
    }
}

/// Checks CORS part by part, so that the one that is wrong is known.
fn check_cors(cors: &Cors) -> Result<(), Refused> {
    let check = |cors: &Cors, field: Field| match CorsRules::new(cors) {
        Ok(_) => Ok(()),
        Err(_) => Err(field.refused()),
    };
    let mut so_far = Cors::default().origins(cors.origins.clone()).credentials(cors.credentials);
    check(&so_far, CORS_ORIGINS)?;
    so_far.request_headers.clone_from(&cors.request_headers);
    check(&so_far, CORS_REQUEST_HEADERS)?;
    so_far.exposed_headers.clone_from(&cors.exposed_headers);
    check(&so_far, CORS_EXPOSED_HEADERS)?;
    check(cors, CORS_MAX_AGE)
}
