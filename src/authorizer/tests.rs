//! An authorizer that decides at once, on real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::decide::StreamLease;
use super::{Admission, Authorizer, Decide, Refusal, StreamAsk};
use crate::{Grant, Hub, ListenOptions, Listener, Options, Route, Subscription, Topic};

const TIME_MAX: Duration = Duration::from_secs(60);

/// Allows one stream at a time, of topic `a`, to those who say the word.
#[derive(Clone, Default)]
struct OneAtATime {
    is_taken: Arc<AtomicBool>,
    decisions: Arc<AtomicUsize>,
    reads_content: bool,
}

/// Frees its place.
struct Place(Arc<AtomicBool>);

impl StreamLease for Place {}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Decide for OneAtATime {
    fn decide(&self, ask: &StreamAsk<'_>, now: SystemTime) -> Result<Admission, Refusal> {
        self.decisions.fetch_add(1, Ordering::SeqCst);
        let is_known = match self.reads_content {
            true => ask.content == b"word",
            false => ask.content.is_empty() && ask.query_value("say") == Some("word"),
        };
        if !is_known {
            return Err(Refusal::new(401).header("WWW-Authenticate", "Word").text("say the word"));
        }
        if self.is_taken.swap(true, Ordering::SeqCst) {
            return Err(Refusal::new(409).text("there is one already"));
        }
        let grant = Grant::new([Subscription::new("a").unwrap(), Subscription::new("b").unwrap()]);
        let place = Place(self.is_taken.clone());
        let expires_at = now + Duration::from_secs(3_600);
        Ok(Admission { grant: grant.expires_at(expires_at), lease: Some(Arc::new(place)) })
    }

    fn reads_content(&self) -> bool {
        self.reads_content
    }
}

fn serve(decide: &OneAtATime, options: Options) -> (Hub, Listener) {
    let hub = Hub::start(options.shards(1)).unwrap();
    let listen = ListenOptions::default()
        .authorizer(Authorizer::at_once(decide.clone()))
        .routes([Route::new("/post").post(true)]);
    let listener = hub.listen("127.0.0.1:0", listen).unwrap();
    (hub, listener)
}

fn send(addr: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(TIME_MAX)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn get(listener: &Listener, query: &str) -> TcpStream {
    send(listener.local_addr(), &format!("GET /events?{query} HTTP/1.0\r\n\r\n"))
}

/// The first bytes of an answer, up to its status.
fn status(stream: &mut TcpStream) -> String {
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).unwrap();
    String::from_utf8(begin[9..].to_vec()).unwrap()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < TIME_MAX, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_lease_lasts_as_long_as_the_stream_that_it_has_opened() {
    let decide = OneAtATime::default();
    let (hub, listener) = serve(&decide, Options::default());
    let is_free = || !decide.is_taken.load(Ordering::SeqCst);
    let free_again = || wait_until("the place is free", is_free);
    assert_eq!(status(&mut get(&listener, "say=x")), "401");
    let mut first = get(&listener, "say=word");
    assert_eq!(status(&mut first), "200");
    assert_eq!(status(&mut get(&listener, "say=word")), "409");
    assert!(!is_free());
    drop(first);
    free_again();
    // One that the host ends, and one whose topics are finished.
    let mut kicked = get(&listener, "say=word&topic=a");
    assert_eq!(status(&mut kicked), "200");
    hub.disconnect(&crate::ConnectionSelector::All, Duration::ZERO).unwrap();
    free_again();
    let mut finished = get(&listener, "say=word&topic=a");
    assert_eq!(status(&mut finished), "200");
    hub.finish_wait(&Topic::new("a").unwrap(), None, TIME_MAX).unwrap();
    free_again();
    // Requests that open none although they are allowed.
    let after = hub.publish(&Topic::new("b").unwrap(), "1").unwrap().id().unwrap();
    let none = format!("say=word&topic=a&last-event-id={after}");
    assert_eq!(status(&mut get(&listener, &none)), "204");
    assert_eq!(status(&mut get(&listener, "say=word&topic=c")), "403");
    let head = "HEAD /events?say=word HTTP/1.0\r\n\r\n";
    assert_eq!(status(&mut send(listener.local_addr(), head)), "200");
    free_again();
    let metrics = hub.metrics();
    assert_eq!((metrics.denied_authorizations, metrics.failed_authorizations), (3, 0));
    hub.close();
    assert!(is_free());
}

#[test]
fn it_decides_once_about_each_request_with_its_content_and_only_within_the_bounds() {
    let decide = OneAtATime { reads_content: true, ..OneAtATime::default() };
    let (hub, listener) = serve(&decide, Options::default().subscriptions_max(1));
    let decisions = || decide.decisions.swap(0, Ordering::SeqCst);
    let addr = listener.local_addr();
    let post = "POST /post HTTP/1.0\r\nContent-Length: 4\r\n\r\n";
    let mut stream = send(addr, post);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(decisions(), 0);
    stream.write_all(b"word").unwrap();
    // Two subscriptions are more than there may be: the client is told to come again.
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\n\n"), "{answer}");
    assert_eq!(decisions(), 1);
    wait_until("the place is free", || !decide.is_taken.load(Ordering::SeqCst));
    let mut stream = send(addr, "POST /post?topic=a HTTP/1.0\r\nContent-Length: 4\r\n\r\nword");
    assert_eq!(status(&mut stream), "200");
    wait_until("it is a stream", || hub.metrics().connections == 1);
    assert_eq!(decisions(), 1);
    let mut beyond = send(addr, "POST /post?topic=a HTTP/1.0\r\nContent-Length: 4\r\n\r\nword");
    assert_eq!(status(&mut beyond), "409");
    assert_eq!(decisions(), 1);
    drop(stream);
    wait_until("the place is free", || !decide.is_taken.load(Ordering::SeqCst));
}

#[test]
fn a_grant_that_does_not_fit_is_refused_as_the_servers_fault() {
    struct Unfit;
    impl Decide for Unfit {
        fn decide(&self, ask: &StreamAsk<'_>, _now: SystemTime) -> Result<Admission, Refusal> {
            match ask.query_value("refuse") {
                Some(_) => Err(Refusal::new(401).header("X", "a\r\nb")),
                None => {
                    let grant = Grant::default().any_topics(true).header("X", "a\r\nb");
                    Ok(Admission { grant, lease: None })
                }
            }
        }
    }
    let hub = Hub::start(Options::default().shards(1)).unwrap();
    let listen = ListenOptions::default().authorizer(Authorizer::at_once(Unfit));
    let listener = hub.listen("127.0.0.1:0", listen).unwrap();
    assert_eq!(status(&mut get(&listener, "topic=a")), "500");
    assert_eq!(status(&mut get(&listener, "topic=a&refuse")), "500");
}
