//! What a stream carries besides events, byte by byte, in each form that a hub or a client may
//! choose.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use fanfare::{
    ConnectionFilter, DrainOptions, Event, HeartbeatForm, ListenOptions, Options, PublishError,
    Topic,
};

use crate::support::{one_shard, serve, start, wait_until, Client, DEADLINE};

/// A stream as it comes, but for the chunks around it.
struct Raw {
    stream: TcpStream,
    received: Vec<u8>,
    chunked: bool,
}

impl Raw {
    fn get(addr: SocketAddr, query: &str, chunked: bool) -> Raw {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let version = u8::from(chunked);
        let request =
            format!("GET /events?topic=a{query} HTTP/1.{version}\r\nHost: {addr}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        Raw { stream, received: Vec::new(), chunked }
    }

    /// The body so far.
    fn body(&self) -> String {
        let Some(head) = self.received.windows(4).position(|w| w == b"\r\n\r\n") else {
            return String::new();
        };
        let mut rest = &self.received[head + 4..];
        if !self.chunked {
            return String::from_utf8(rest.to_vec()).unwrap();
        }
        let mut body = Vec::new();
        while let Some(line) = rest.windows(2).position(|w| w == b"\r\n") {
            let size = std::str::from_utf8(&rest[..line]).unwrap();
            let (from, to) = (line + 2, line + 2 + usize::from_str_radix(size, 16).unwrap());
            if rest.len() < to + 2 {
                break;
            }
            body.extend_from_slice(&rest[from..to]);
            rest = &rest[to + 2..];
        }
        String::from_utf8(body).unwrap()
    }

    /// Receives until the body is as it should be, or the stream ends; returns the body.
    fn until(&mut self, enough: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let body = self.body();
            assert!(start.elapsed() < DEADLINE, "in vain: {body:?}");
            if enough(&body) {
                return body;
            }
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).expect("more comes in time");
            if count == 0 {
                return body;
            }
            self.received.extend_from_slice(&bytes[..count]);
        }
    }
}

/// Takes the reconnection time's line off the beginning.
fn without_retry(body: &str) -> &str {
    let (line, rest) = body.split_once('\n').expect("a line");
    let ms: u64 = line.strip_prefix("retry: ").expect("a retry").parse().expect("a number");
    assert!((2_000..=4_000).contains(&ms), "{ms}");
    rest
}

/// Which ids a hub tells.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ids {
    Hubs,
    Publishers,
    /// Nothing is kept, so none is of use.
    Useless,
}

#[test]
fn each_form_is_what_it_says_in_both_wire_forms_and_with_any_ids() {
    thread::scope(|scope| {
        for form in HeartbeatForm::all() {
            for ids in [Ids::Hubs, Ids::Publishers, Ids::Useless] {
                scope.spawn(move || {
                    for (chunked, in_query) in [(true, true), (true, false), (false, true)] {
                        has_form(form, ids, chunked, in_query);
                    }
                });
            }
        }
    });
}

fn has_form(form: HeartbeatForm, ids: Ids, chunked: bool, in_query: bool) {
    let others = if form == HeartbeatForm::Id { HeartbeatForm::Event } else { HeartbeatForm::Id };
    let options = one_shard()
        .heartbeat(Duration::from_millis(100))
        .heartbeat_form(if in_query { others } else { form })
        .history_events_max(if ids == Ids::Useless { 0 } else { 10 });
    let (hub, listener) = serve(options);
    let topic = Topic::new("a").unwrap();
    let event = |data| match ids {
        Ids::Publishers => Event::new(data).with_id("own"),
        Ids::Hubs | Ids::Useless => Event::new(data),
    };
    let first = hub.publish(&topic, event("old")).unwrap().id().unwrap();
    let query = if in_query { format!("&heartbeat={form}") } else { String::new() };
    let mut raw = Raw::get(listener.local_addr(), &query, chunked);
    let id_line = match ids {
        Ids::Hubs => format!("id: {first}\n"),
        Ids::Publishers | Ids::Useless => String::new(),
    };
    let beat = match form {
        HeartbeatForm::Id if ids == Ids::Hubs => format!("{id_line}\n"),
        HeartbeatForm::Id => ":\n\n".to_owned(),
        HeartbeatForm::Comment => ":\n".to_owned(),
        _ => format!("{id_line}event: fanfare-heartbeat\ndata: {{}}\n\n"),
    };
    raw.until(|body| body.matches(&*beat).count() > 3);
    let last = hub.publish(&topic, event("new")).unwrap().id().unwrap();
    let body = raw.until(|body| body.contains("data: new\n\n"));
    let what = format!("{form}, {ids:?}, chunked {chunked}, in query {in_query}: {body:?}");
    // Where blocks without data are not wanted, the reconnection time is a line of the next one.
    let rest = without_retry(&body);
    let rest = if form == HeartbeatForm::Id { rest.strip_prefix('\n').expect(&what) } else { rest };
    let last_id = match ids {
        Ids::Publishers => "own".to_owned(),
        Ids::Hubs | Ids::Useless => last.to_string(),
    };
    let beats = rest.strip_suffix(&format!("id: {last_id}\ndata: new\n\n")).expect(&what);
    assert_eq!(beats, beat.repeat(beats.len() / beat.len()), "{what}");
    assert!(beats.len() / beat.len() > 2, "{what}");
}

#[test]
fn a_client_that_knows_a_named_heartbeats_id_misses_nothing_when_it_is_cut_before_its_first_event()
{
    let (hub, listener) = serve(one_shard().heartbeat_form(HeartbeatForm::Event));
    let addr = listener.local_addr();
    let mut client = Client::get(addr, "/events?topic=a");
    let heartbeat = client.next();
    assert_eq!((&*heartbeat.name, &*heartbeat.data), ("fanfare-heartbeat", "{}"));
    drop(client);
    hub.publish(&Topic::new("a").unwrap(), "while it was away").unwrap();
    let request = format!(
        "GET /events?topic=a HTTP/1.1\r\nHost: {addr}\r\nLast-Event-ID: {}\r\n\r\n",
        heartbeat.last_id
    );
    let mut back = Client::send(addr, &request);
    assert_eq!(back.data(), "while it was away");
}

#[test]
fn what_is_missed_comes_behind_the_reconnection_time_in_one_block() {
    let (hub, listener) = serve(one_shard());
    let topic = Topic::new("a").unwrap();
    let ids = ["1", "2"].map(|data| hub.publish(&topic, data).unwrap().id().unwrap());
    for form in ["comment", "event"] {
        let query = format!("&heartbeat={form}&last-event-id={}", ids[0]);
        let mut raw = Raw::get(listener.local_addr(), &query, true);
        let body = raw.until(|body| body.contains("data: 2\n\n"));
        assert_eq!(without_retry(&body), format!("id: {}\ndata: 2\n\n", ids[1]), "{form}");
        let query = format!("&heartbeat={form}&last-event-id=nobodys");
        let mut raw = Raw::get(listener.local_addr(), &query, true);
        let body = raw.until(|body| body.contains("\n\n"));
        let gap = without_retry(&body);
        assert!(gap.starts_with(&format!("id: {}\nevent: fanfare-gap\n", ids[1])), "{body:?}");
    }
}

#[test]
fn when_to_come_again_is_told_in_each_form_at_the_end_of_a_stream_and_beyond_the_bound() {
    for (form, ends) in
        [("id", "\n"), ("comment", "\n"), ("event", "event: fanfare-heartbeat\ndata: {}\n\n")]
    {
        let (hub, listener) = serve(one_shard().connections_max(1));
        let addr = listener.local_addr();
        let query = format!("&heartbeat={form}");
        let mut here = Raw::get(addr, &query, false);
        wait_until("it is here", || hub.metrics().connections == 1);
        let told = Raw::get(addr, &query, false).until(|_| false);
        let (line, rest) = told.split_once('\n').unwrap();
        assert!(line.starts_with("retry: ") && rest == ends, "{form}: {told:?}");
        let window = Duration::from_millis(1);
        hub.drain(DrainOptions::default().window(window));
        let body = here.until(|_| false);
        let last = &body[body.rfind("retry: ").unwrap()..];
        assert_eq!(last.split_once('\n').unwrap().1, ends, "{form}: {body:?}");
        assert_eq!(body.matches("retry: ").count(), 2, "{form}: {body:?}");
    }
}

#[test]
fn no_event_can_have_the_heartbeats_name() {
    let (hub, _listener) = serve(one_shard());
    let event = Event::new("x").with_name(HeartbeatForm::EVENT_NAME);
    let refused = hub.publish(&Topic::new("a").unwrap(), event);
    assert!(matches!(refused, Err(PublishError::Invalid(_))), "{refused:?}");
    let gap_event = HeartbeatForm::EVENT_NAME.to_owned();
    let error = Options::default().gap_event(gap_event).check().unwrap_err().to_string();
    assert!(error.contains("gap_event") && error.contains("fanfare-heartbeat"), "{error}");
}

#[test]
fn a_form_stays_with_its_connection_when_its_topics_change() {
    let heartbeat = Duration::from_millis(100);
    let hub = start(one_shard().heartbeat(heartbeat));
    let listener = hub.listen("127.0.0.1:0", ListenOptions::default()).unwrap();
    let mut raw = Raw::get(listener.local_addr(), "&heartbeat=comment", true);
    raw.until(|body| body.ends_with(":\n"));
    let id = hub.connections(&ConnectionFilter::default()).unwrap()[0].id;
    assert!(hub.set_subscriptions(id, &[Topic::new("b").unwrap().into()]).unwrap());
    let before = raw.body().len();
    let body = raw.until(|body| body.len() > before + 6);
    assert_eq!(without_retry(&body).replace(":\n", ""), "");
}
