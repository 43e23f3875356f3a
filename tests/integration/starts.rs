//! Where streams begin: with the earliest event that is kept, and after a gap where the client or
//! its listener wishes.

use std::time::Duration;

use fanfare::{Event, EventId, GapReason, ListenOptions, StartAt};

use crate::resume::{gap, gaps, get_after, publish, topic};
use crate::support::{one_shard, serve, serve_with, shards, wait_until, Client};

#[test]
fn a_page_that_is_reloaded_while_a_run_goes_on_is_sent_all_of_it_each_time() {
    const WORDS: usize = 2_000;
    let (hub, listener) = serve(shards(2).history_events_max(WORDS));
    let addr = listener.local_addr();
    let path = "/events?topic=run/1&start=earliest";
    let mut page = Client::get(addr, path);
    for reload in 0..3 {
        let (from, to) = (reload * WORDS / 3, (reload + 1) * WORDS / 3);
        (from..to).for_each(|n| _ = publish(&hub, "run/1", &n.to_string()));
        publish(&hub, "run/2", "of another run");
        // In the middle of what there is so far.
        (0..to / 2).for_each(|n| assert_eq!(page.data(), n.to_string()));
        page = Client::get(addr, path);
    }
    (WORDS / 3 * 3..WORDS).for_each(|n| _ = publish(&hub, "run/1", &n.to_string()));
    (0..WORDS).for_each(|n| assert_eq!(page.data(), n.to_string()));
    assert_eq!(gaps(&hub), []);
}

#[test]
fn a_client_with_an_id_goes_on_after_it_wherever_others_begin() {
    let options = ListenOptions::default().start(StartAt::Earliest);
    let (hub, listener) = serve_with(one_shard(), options);
    let ids: Vec<_> = (0..5).map(|n| publish(&hub, "a", &n.to_string())).collect();
    let addr = listener.local_addr();
    assert_eq!(Client::get(addr, "/events?topic=a").data(), "0");
    assert_eq!(Client::get(addr, "/events?topic=a&latest").data(), "4");
    let id = ids[2].to_string();
    for query in ["", "&start=earliest", "&start=now&gap-start=now", "&latest&last=1"] {
        let mut client = get_after(addr, &format!("/events?topic=a{query}"), &id);
        assert_eq!([client.data(), client.data()], ["3", "4"], "{query}");
    }
    assert_eq!(gaps(&hub), []);
}

#[test]
fn a_stream_that_begins_with_the_earliest_is_told_in_its_place_of_what_is_forgotten_meanwhile() {
    const KEPT: usize = 500;
    let options = one_shard().history_events_max(KEPT);
    let (hub, listener) =
        serve(options.history_bytes_max(64 << 20).history_total_bytes_max(64 << 20));
    let filling = "x".repeat(64 << 10);
    let publish_some = |from: usize, to: usize| {
        (from..to).for_each(|n| _ = publish(&hub, "a", &format!("{n} {filling}")));
    };
    // The first ten are gone before the client comes.
    publish_some(0, KEPT + 10);
    // More than what the sockets' buffers take, and the client does not read yet.
    let mut client = Client::get(listener.local_addr(), "/events?topic=a&start=earliest");
    wait_until("it replays", || hub.metrics().replaying_connections == 1);
    publish_some(KEPT + 10, 2 * KEPT);
    let (mut next, mut told) = (10, 0);
    while next < 2 * KEPT {
        let message = client.next();
        if message.name == "fanfare-gap" {
            let [_, to, reason, _] = gap(&message);
            assert_eq!(reason, "expired");
            let to: usize = to.rsplit('-').next().unwrap().parse().unwrap();
            // It is told again if what it was sent since then is forgotten further on.
            assert!(to > next, "{to} after {next}");
            // An event's number is one more than what its data says.
            (next, told) = (to, told + 1);
        } else {
            let number: usize = message.data.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(number, next, "nothing is lost, doubled or told in vain");
            next += 1;
        }
    }
    assert!(told > 0, "it was sent events that are forgotten");
    assert_eq!(gaps(&hub), [(GapReason::Expired, told)]);
}

/// What a client is told and sent first, of a topic of which ten events were published and three
/// are kept, and of one of which two are.
struct Begins {
    query: &'static str,
    /// The numbers that the gap ends with, for an id that has expired, and for all others.
    to: [u64; 2],
    missed: u64,
    sent: &'static [&'static str],
}

const BEGINS: [Begins; 5] = [
    Begins { query: "earliest", to: [7, 7], missed: 7, sent: &["7", "8", "9", "b0", "b1"] },
    Begins { query: "latest", to: [11, 11], missed: 10, sent: &["9", "b1"] },
    Begins { query: "last=3", to: [9, 9], missed: 9, sent: &["9", "b0", "b1"] },
    Begins { query: "last=0", to: [12, 13], missed: 12, sent: &[] },
    Begins { query: "now", to: [12, 13], missed: 12, sent: &[] },
];

#[test]
fn a_client_whose_id_is_gone_begins_where_it_wishes_and_is_told_of_all_before() {
    for filter in ["topic=a&topic=b", "topic=%2B"] {
        let (hub, listener) = serve(one_shard().history_events_max(3));
        let addr = listener.local_addr();
        let ids: Vec<EventId> = (0..10).map(|n| publish(&hub, "a", &n.to_string())).collect();
        ["b0", "b1"].iter().for_each(|data| _ = publish(&hub, "b", data));
        publish(&hub, "other/topic", "x");
        let none = ids[0].to_string().replace("-1", "-0");
        let mut clients = Vec::new();
        for Begins { query, to, missed, sent } in BEGINS {
            let path = format!("/events?{filter}&gap-start={query}");
            for (id, reason, to, missed) in [
                (&*none, "expired", to[0], missed.to_string()),
                ("0000aaaa-4711", "restarted", to[1], "null".to_owned()),
                ("what?", "unknown_id", to[1], "null".to_owned()),
            ] {
                let mut client = get_after(addr, &path, id);
                let message = client.next();
                let to = ids[0].to_string().replace("-1", &format!("-{to}"));
                assert_eq!(gap(&message), [id, &*to, reason, &*missed], "{path}");
                sent.iter().for_each(|data| assert_eq!(client.data(), *data, "{path} {id}"));
                // A client that is cut off right after the gap loses nothing of that, and is not
                // told again. Its id is before the newest event of each topic.
                let mut again = get_after(addr, &path, &message.last_id);
                let sent = if query == "latest" { &["9", "b0", "b1"] } else { sent };
                sent.iter().for_each(|data| assert_eq!(again.data(), *data, "{path} {id}"));
                clients.extend([client, again]);
            }
        }
        wait_until("all are here", || hub.metrics().connections == clients.len() as u64);
        publish(&hub, "b", "live");
        for client in &mut clients {
            assert_eq!(client.data(), "live");
        }
        let each = BEGINS.len() as u64;
        let told = [GapReason::Expired, GapReason::Restarted, GapReason::UnknownId];
        assert_eq!(gaps(&hub), told.map(|reason| (reason, each)), "{filter}");
    }
}

#[test]
fn a_listener_says_where_streams_begin_after_a_gap_and_a_client_may_wish_otherwise() {
    let options = ListenOptions::default().gap_start(StartAt::Last(1));
    let (hub, listener) = serve_with(one_shard().heartbeat(Duration::from_millis(100)), options);
    let addr = listener.local_addr();
    for n in 0..3 {
        hub.publish(&topic("a"), Event::new(n.to_string()).with_id(format!("row {n}"))).unwrap();
    }
    // Of a known id nothing is gone.
    let mut client = get_after(addr, "/events?topic=a", "row 0");
    assert_eq!([client.data(), client.data()], ["1", "2"]);
    let too_long = "x".repeat(300);
    for id in ["row 9", &too_long] {
        let mut client = get_after(addr, "/events?topic=a", id);
        assert_eq!(gap(&client.next())[2], "unknown_id");
        let last = client.next();
        assert_eq!((&*last.data, &*last.last_id), ("2", "row 2"));
        let mut client = get_after(addr, "/events?topic=a&gap-start=earliest", id);
        assert_eq!(gap(&client.next())[2], "unknown_id");
        assert_eq!([client.data(), client.data(), client.data()], ["0", "1", "2"]);
    }
    // A client without an id has no gap.
    let mut client = Client::get(addr, "/events?topic=a&gap-start=earliest");
    client.wait_for_comment();
    hub.publish(&topic("a"), "live").unwrap();
    assert_eq!(client.data(), "live");
}

#[test]
fn where_nothing_is_kept_every_start_is_now_and_a_client_with_an_id_is_told() {
    let (hub, listener) = serve(one_shard().history_events_max(0));
    let addr = listener.local_addr();
    let id = publish(&hub, "a", "1").to_string();
    let last = publish(&hub, "a", "2").to_string();
    let mut clients = Vec::new();
    for start in ["now", "latest", "last=5", "earliest"] {
        let path = format!("/events?topic=a&start={start}&gap-start={start}");
        for (id, reason) in [(&*id, "expired"), ("what?", "unknown_id")] {
            let mut client = get_after(addr, &path, id);
            let [_, to, told, missed] = gap(&client.next());
            assert_eq!([&*to, &*told, &*missed], [&*last, reason, "null"], "{start}");
            clients.push(client);
        }
        clients.push(Client::get(addr, &path));
    }
    wait_until("all are here", || hub.metrics().connections == clients.len() as u64);
    publish(&hub, "a", "3");
    clients.iter_mut().for_each(|client| assert_eq!(client.data(), "3"));
}
