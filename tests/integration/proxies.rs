//! Clients behind proxies: whose address counts, and who is believed.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use fanfare::{
    ConnectionFilter, Event, ForwardedHeader, Hub, ListenError, ListenOptions, Listener,
    NoticeKind, Overload, Topic,
};
use rustix::net::{AddressFamily, SocketType};

use crate::support::{one_shard, serve_with, shards, wait_until, Client, DEADLINE};

const REQUEST: &str = "GET /events?topic=a HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// An address of the loopback that no test trusts.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

fn trusting_fields() -> ListenOptions {
    ListenOptions::default().trusted_proxies(["127.0.0.1"]).overload(Overload::Unavailable)
}

fn trusting_headers() -> ListenOptions {
    ListenOptions::default().proxy_protocol_from(["127.0.0.1"]).overload(Overload::Unavailable)
}

/// Connects from an address of the loopback.
fn connect_from(ip: Ipv4Addr, addr: SocketAddr) -> TcpStream {
    let socket: OwnedFd =
        rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from((ip, 0))).unwrap();
    rustix::net::connect(&socket, &addr).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn send(listener: &Listener, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(listener.local_addr()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// All that comes until the server closes.
fn rest(mut stream: TcpStream) -> String {
    let mut received = String::new();
    stream.read_to_string(&mut received).expect("an answer, and then the end");
    received
}

fn for_client(client: &str) -> String {
    REQUEST.replace("\r\n\r\n", &format!("\r\nX-Forwarded-For: {client}\r\n\r\n"))
}

fn line(client: &str) -> String {
    format!("PROXY TCP4 {client} 10.0.0.1 4711 80\r\n")
}

/// A header of version 2 that names an IPv4 client, with a TLV behind the addresses.
fn binary(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11".to_vec();
    header.extend_from_slice(&client);
    header.extend_from_slice(&[10, 0, 0, 1, 0x12, 0x67, 0, 80, 4, 0, 2, 0, 0]);
    header
}

/// The addresses of all streams, sorted.
fn addrs(hub: &Hub) -> Vec<String> {
    let all = hub.connections(&ConnectionFilter::default()).unwrap();
    let mut addrs: Vec<_> = all.iter().map(|one| format!("{:?}", one.addr)).collect();
    addrs.sort();
    addrs
}

#[test]
fn behind_a_trusted_proxy_a_limit_per_address_is_one_per_client() {
    for shard_count in [1, 2] {
        let options = shards(shard_count).connections_per_address_max(2);
        let (hub, listener) = serve_with(options, trusting_fields());
        let get = |client: &str| Client::of(send(&listener, for_client(client).as_bytes()));
        let _others: Vec<Client> = (1..60).map(|n| get(&format!("198.51.100.{n}"))).collect();
        let (first, _second) = (get("192.0.2.7"), get("10.9.9.9, 192.0.2.7"));
        assert_eq!(get("192.0.2.7").status(), 503);
        let metrics = hub.metrics();
        assert_eq!((metrics.connections, metrics.refused_connections), (61, 1));
        drop(first);
        wait_until("it has left", || hub.metrics().connections == 60);
        assert_eq!(get("192.0.2.7").status(), 200);
    }
}

#[test]
fn a_limit_on_subscriptions_per_address_is_one_per_client_too() {
    let options = one_shard().subscriptions_per_address_max(1);
    let (hub, listener) = serve_with(options, trusting_fields());
    let get = |client: &str| Client::of(send(&listener, for_client(client).as_bytes()));
    let streams = [get("192.0.2.1"), get("192.0.2.2")];
    assert_eq!(get("192.0.2.1").status(), 503);
    drop(streams);
    wait_until("they have left", || hub.metrics().subscriptions == 0);
    assert_eq!(get("192.0.2.1").status(), 200);
}

#[test]
fn fields_of_a_client_that_is_no_trusted_proxy_are_ignored() {
    let options = one_shard().connections_per_address_max(2);
    let (hub, listener) = serve_with(options, trusting_fields());
    let get = |claimed: &str| {
        let mut stream = connect_from(STRANGER, listener.local_addr());
        stream.write_all(for_client(claimed).as_bytes()).unwrap();
        Client::of(stream)
    };
    let _streams = [get("192.0.2.1"), get("192.0.2.2")];
    assert_eq!(get("192.0.2.3").status(), 503);
    assert!(addrs(&hub).iter().all(|addr| addr.starts_with("Some(127.0.0.9:")), "{hub:?}");
    // What it claims to be is free.
    let proxied = |client| Client::of(send(&listener, for_client(client).as_bytes()));
    let _proxied = [proxied("192.0.2.1"), proxied("192.0.2.1")];
}

#[test]
fn a_client_that_claims_to_be_another_is_counted_as_what_its_proxy_saw() {
    let options = one_shard().connections_per_address_max(1);
    let (hub, listener) = serve_with(options, trusting_fields());
    let get = |value: &str| Client::of(send(&listener, for_client(value).as_bytes()));
    let _stream = get("203.0.113.1, 192.0.2.1");
    for value in ["203.0.113.2, 192.0.2.1", "\", 192.0.2.1", "unknown,192.0.2.1, 127.0.0.1"] {
        assert_eq!(get(value).status(), 503, "{value}");
    }
    assert_eq!(addrs(&hub), ["Some(192.0.2.1:0)"]);
}

#[test]
fn only_the_one_header_field_is_read() {
    let fields = "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=\"[2001:db8::1]:443\"\r\n\r\n";
    for (header, addr) in [
        (ForwardedHeader::XForwardedFor, "Some(192.0.2.1:0)"),
        (ForwardedHeader::Forwarded, "Some([2001:db8::1]:443)"),
    ] {
        let options = trusting_fields().forwarded_header(header);
        let (hub, listener) = serve_with(one_shard(), options);
        let request = REQUEST.replace("\r\n\r\n", &format!("\r\n{fields}"));
        let _stream = Client::of(send(&listener, request.as_bytes()));
        assert_eq!(addrs(&hub), [addr]);
    }
}

#[test]
fn a_trusted_proxy_that_names_no_client_is_not_limited_by_its_address() {
    let options = one_shard().connections_per_address_max(1);
    let (hub, listener) = serve_with(options, trusting_fields());
    let get = |request: &str| Client::of(send(&listener, request.as_bytes()));
    let unknown = for_client("unknown");
    let streams: Vec<Client> = (0..40).map(|_| get(&unknown)).chain([get(REQUEST)]).collect();
    assert!(addrs(&hub).iter().all(|addr| addr.starts_with("Some(127.0.0.1:")));
    drop(streams);
    wait_until("they have left", || hub.metrics().connections == 0);
}

#[test]
fn the_limit_on_all_connections_holds_for_trusted_proxies() {
    for options in [trusting_fields(), trusting_headers()] {
        let (hub, listener) = serve_with(one_shard().connections_max(8), options);
        let silent: Vec<TcpStream> = (0..60).map(|_| send(&listener, b"")).collect();
        wait_until("they are refused", || hub.metrics().refused_connections == 60 - 25);
        drop(silent);
        wait_until("none is left", || hub.metrics().pending_connections == 0);
    }
}

#[test]
fn a_header_in_front_names_the_client_in_both_versions() {
    let (hub, listener) = serve_with(one_shard(), trusting_headers());
    let notices = hub.notices(16);
    let one = send(&listener, format!("{}{REQUEST}", line("192.0.2.1")).as_bytes());
    let two = send(&listener, &[&binary([192, 0, 2, 2]), REQUEST.as_bytes()].concat());
    let mut clients = [Client::of(one), Client::of(two)];
    assert_eq!(addrs(&hub), ["Some(192.0.2.1:4711)", "Some(192.0.2.2:4711)"]);
    hub.publish(&Topic::new("a").unwrap(), Event::new("x")).unwrap();
    assert!(clients.iter_mut().all(|client| client.data() == "x"));
    let mut told: Vec<_> = (0..2)
        .map(|_| notices.wait(DEADLINE).unwrap())
        .map(|notice| (matches!(notice.kind, NoticeKind::Connected), notice.addr))
        .collect();
    told.sort();
    let of = |text: &str| (true, Some(text.parse().unwrap()));
    assert_eq!(told, [of("192.0.2.1:4711"), of("192.0.2.2:4711")]);
}

#[test]
fn a_header_may_come_byte_by_byte_and_alone() {
    let options = one_shard().connections_per_address_max(1);
    let (hub, listener) = serve_with(options, trusting_headers());
    for header in [line("192.0.2.1").into_bytes(), binary([192, 0, 2, 1])] {
        let mut stream = send(&listener, b"");
        stream.set_nodelay(true).unwrap();
        for byte in header.iter().chain(REQUEST.as_bytes()) {
            stream.write_all(&[*byte]).unwrap();
        }
        let client = Client::of(stream);
        assert_eq!((client.status(), addrs(&hub)), (200, vec!["Some(192.0.2.1:4711)".to_owned()]));
        let second = send(&listener, format!("{}{REQUEST}", line("192.0.2.1")).as_bytes());
        assert_eq!(Client::of(second).status(), 503);
        drop(client);
        wait_until("it has left", || hub.metrics().connections == 0);
        // With the header in a packet of its own, its first one or a later one.
        for cut in [header.len(), 7] {
            let mut stream = send(&listener, &header[..cut]);
            wait_until("it waits", || hub.metrics().pending_connections == 1);
            stream.write_all(&header[cut..]).unwrap();
            stream.write_all(REQUEST.as_bytes()).unwrap();
            assert_eq!(Client::of(stream).status(), 200);
            wait_until("it has left", || hub.metrics().connections == 0);
        }
    }
}

#[test]
fn a_proxy_that_has_to_send_a_header_and_does_not_is_told_so() {
    let (hub, listener) = serve_with(one_shard(), trusting_headers());
    let long = format!("PROXY UNKNOWN {}\r\n{REQUEST}", "x".repeat(100));
    let twice = format!("{}{}{REQUEST}", line("192.0.2.1"), line("192.0.2.1"));
    let huge = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff";
    let wrong = format!("PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n{REQUEST}");
    for sent in
        [REQUEST.as_bytes(), b"x", long.as_bytes(), twice.as_bytes(), huge, wrong.as_bytes()]
    {
        let answer = rest(send(&listener, sent));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    assert_eq!(hub.metrics().connections, 0);
    let answer = rest(send(&listener, REQUEST.as_bytes()));
    assert!(answer.contains("proxy_protocol_from"), "{answer}");
}

#[test]
fn a_header_of_a_client_that_is_no_trusted_proxy_is_no_request() {
    let (hub, listener) = serve_with(one_shard(), trusting_headers());
    let line = format!("{}{REQUEST}", line("192.0.2.1")).into_bytes();
    for sent in [line, [&binary([192, 0, 2, 2]), REQUEST.as_bytes()].concat()] {
        let mut stream = connect_from(STRANGER, listener.local_addr());
        stream.write_all(&sent).unwrap();
        let answer = rest(stream);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let mut stream = connect_from(STRANGER, listener.local_addr());
    stream.write_all(REQUEST.as_bytes()).unwrap();
    let _stream = Client::of(stream);
    assert!(addrs(&hub)[0].starts_with("Some(127.0.0.9:"));
}

#[test]
fn a_header_has_to_come_in_the_time_for_a_head() {
    let options = trusting_headers().head_time_max(Duration::from_millis(100));
    let (hub, listener) = serve_with(one_shard(), options);
    for begin in [&b"PROXY "[..], b"", b"\r\n\r\n\0", line("192.0.2.1").as_bytes()] {
        let answer = rest(send(&listener, begin));
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    wait_until("none is left", || hub.metrics().pending_connections == 0);
}

#[test]
fn a_client_beyond_the_overflow_of_its_address_is_turned_away_and_no_other() {
    let options = one_shard().connections_per_address_max(1);
    let (hub, listener) = serve_with(options, trusting_headers());
    // One, and 16 that may be told to come again.
    let silent: Vec<TcpStream> =
        (0..17).map(|_| send(&listener, line("192.0.2.1").as_bytes())).collect();
    wait_until("they are here", || hub.metrics().pending_connections == 17);
    let with_request = send(&listener, format!("{}{REQUEST}", line("192.0.2.1")).as_bytes());
    assert!(rest(with_request).starts_with("HTTP/1.1 503 "));
    assert_eq!(rest(send(&listener, line("192.0.2.1").as_bytes())), "");
    assert_eq!(hub.metrics().refused_connections, 2);
    let other = send(&listener, format!("{}{REQUEST}", line("192.0.2.2")).as_bytes());
    assert_eq!(Client::of(other).status(), 200);
    drop(silent);
    wait_until("they have left", || hub.metrics().pending_connections == 0);
    // All that was counted was given back, however often.
    for _ in 0..100 {
        let one = send(&listener, format!("{}{REQUEST}", line("192.0.2.1")).as_bytes());
        assert_eq!(Client::of(one).status(), 200);
        wait_until("it has left", || hub.metrics().connections == 0);
    }
}

#[test]
fn a_proxys_own_connections_have_no_limit_by_address() {
    let options = one_shard().connections_per_address_max(1);
    let listen_options = trusting_headers().health_path("/healthz");
    let (hub, listener) = serve_with(options, listen_options);
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0";
    for header in [&local[..], b"PROXY UNKNOWN\r\n"] {
        let streams: Vec<Client> = (0..30)
            .map(|_| Client::of(send(&listener, &[header, REQUEST.as_bytes()].concat())))
            .collect();
        assert!(streams.iter().all(|stream| stream.status() == 200));
        assert!(addrs(&hub).iter().all(|addr| addr.starts_with("Some(127.0.0.1:")));
        let probe = b"GET /healthz HTTP/1.0\r\n\r\n";
        let answer = rest(send(&listener, &[header, probe].concat()));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        drop(streams);
        wait_until("they have left", || hub.metrics().connections == 0);
    }
}

#[test]
fn a_proxy_behind_a_proxy_is_believed_if_it_is_trusted() {
    let options = trusting_headers().trusted_proxies(["192.0.2.0/24"]);
    let (hub, listener) = serve_with(one_shard(), options);
    let ask = |proxy: &str| {
        let request = for_client("203.0.113.5");
        Client::of(send(&listener, format!("{}{request}", line(proxy)).as_bytes()))
    };
    let _streams = [ask("192.0.2.1"), ask("198.51.100.1")];
    assert_eq!(addrs(&hub), ["Some(198.51.100.1:4711)", "Some(203.0.113.5:0)"]);
}

#[test]
fn what_goes_to_the_fallback_has_the_clients_address_and_each_request_its_own() {
    let (fallback, requests) = fanfare::fallback(4);
    let options = trusting_fields().fallback(fallback);
    let (hub, listener) = serve_with(one_shard(), options);
    let request = for_client("192.0.2.1").replace("/events", "/x");
    let asking = send(&listener, request.as_bytes());
    let mut unhandled = requests.wait(DEADLINE).unwrap();
    assert_eq!(unhandled.addr, Some("192.0.2.1:0".parse().unwrap()));
    assert_eq!(unhandled.peer, asking.local_addr().ok());
    assert_eq!(unhandled.read, request.as_bytes());
    // The proxy's next request on the connection is another client's.
    unhandled.read = for_client("192.0.2.2").into_bytes();
    listener.admit(unhandled).unwrap();
    let _stream = Client::of(asking);
    assert_eq!(addrs(&hub), ["Some(192.0.2.2:0)"]);

    let (fallback, requests) = fanfare::fallback(4);
    let (hub, listener) = serve_with(one_shard(), trusting_headers().fallback(fallback));
    let asking =
        send(&listener, format!("{}GET /x HTTP/1.0\r\n\r\n", line("192.0.2.1")).as_bytes());
    let mut unhandled = requests.wait(DEADLINE).unwrap();
    let client = Some("192.0.2.1:4711".parse().unwrap());
    assert_eq!((unhandled.addr, unhandled.peer), (client, client));
    assert_eq!(unhandled.read, b"GET /x HTTP/1.0\r\n\r\n");
    // No header is expected once more.
    unhandled.read = REQUEST.as_bytes().to_vec();
    listener.admit(unhandled).unwrap();
    let _stream = Client::of(asking);
    assert_eq!(addrs(&hub), ["Some(192.0.2.1:4711)"]);
}

#[test]
fn a_proxy_that_names_no_client_stays_one_when_the_fallback_gives_it_back() {
    let both = trusting_headers().trusted_proxies(["127.0.0.1"]);
    for (options, header, named) in [
        (trusting_headers(), "PROXY UNKNOWN\r\n", false),
        (trusting_fields(), "", true),
        (both, "PROXY UNKNOWN\r\n", true),
    ] {
        let (fallback, requests) = fanfare::fallback(4);
        let hub_options = one_shard().connections_per_address_max(1);
        let (hub, listener) = serve_with(hub_options, options.fallback(fallback));
        let admit = |request: &str| {
            let first = format!("{header}GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let asking = send(&listener, first.as_bytes());
            let mut unhandled = requests.wait(DEADLINE).unwrap();
            assert!(unhandled.is_proxy && unhandled.addr == asking.local_addr().ok());
            unhandled.read = request.as_bytes().to_vec();
            listener.admit(unhandled).unwrap();
            Client::of(asking)
        };
        let streams: Vec<Client> = (0..20).map(|_| admit(REQUEST)).collect();
        assert!(streams.iter().all(|stream| stream.status() == 200), "{header:?} {named}");
        // A client that it names later is limited as any other.
        let _first = admit(&for_client("192.0.2.1"));
        assert_eq!(admit(&for_client("192.0.2.1")).status(), if named { 503 } else { 200 });
        drop(streams);
        wait_until("the proxy's have left", || hub.metrics().connections <= 2);
    }
}

#[test]
fn a_post_that_opens_a_stream_is_read_behind_a_header() {
    let route = fanfare::Route::new("/run").subscriptions(["a"]).post(true);
    let options = trusting_headers().trusted_proxies(["192.0.2.1"]).routes([route]);
    let (hub, listener) = serve_with(one_shard(), options);
    let head = "POST /run HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.5\r\n\
                Content-Length: 4\r\n\r\n";
    let mut stream = send(&listener, format!("{}{head}ab", line("192.0.2.1")).as_bytes());
    wait_until("it waits", || hub.metrics().pending_connections == 1);
    stream.write_all(b"cd").unwrap();
    assert_eq!(Client::of(stream).status(), 200);
}

#[test]
fn lists_of_proxies_that_make_no_sense_are_errors_that_name_the_option() {
    let (hub, _listener) = serve_with(one_shard(), ListenOptions::default());
    for (options, option) in [
        (ListenOptions::default().trusted_proxies(["10.0.0.0/33"]), "trusted_proxies"),
        (ListenOptions::default().proxy_protocol_from(["proxy.example"]), "proxy_protocol_from"),
        (ListenOptions::default().socket_mode(0o1000), "socket_mode"),
    ] {
        match hub.listen((IpAddr::from(Ipv4Addr::LOCALHOST), 0), options) {
            Err(ListenError::Options(error)) => assert_eq!(error.option, option),
            other => panic!("{other:?}"),
        }
    }
}
