//! Events as bytes: fields, ids, chunks, envelopes.

use super::*;
use std::time::Duration;

fn encode(event: Event<'_>, sequence: u64) -> Frame {
    Draft::encode(&event, 1 << 20).unwrap().stamp(Epoch::random(), sequence, 0)
}

fn fields(event: Event<'_>) -> String {
    let frame = encode(event, 1);
    let text = String::from_utf8(frame.plain().to_vec()).unwrap();
    text.split_once('\n').unwrap().1.to_string()
}

#[test]
fn every_kind_of_line_break_begins_a_new_data_line() {
    assert_eq!(fields(Event::new("a\nb\rc\r\nd")), "data: a\ndata: b\ndata: c\ndata: d\n\n");
    assert_eq!(fields(Event::new("a\n")), "data: a\ndata: \n\n");
    assert_eq!(fields(Event::new("\n\r")), "data: \ndata: \ndata: \n\n");
    assert_eq!(fields(Event::new("")), "data: \n\n");
}

#[test]
fn each_field_is_on_a_line_of_its_own() {
    let event = Event::new("x")
        .with_name("tick")
        .with_retry(Duration::from_millis(1500))
        .with_comment("c\nd");
    assert_eq!(fields(event), ": c\n: d\nevent: tick\nretry: 1500\ndata: x\n\n");
}

#[test]
fn a_key_is_the_same_only_for_the_same_topics() {
    let key = |topics: &[&str], key: &str| {
        let topics: Vec<Topic> = topics.iter().map(|name| Topic::new(name).unwrap()).collect();
        let mut draft = Draft::encode(&Event::new("x").with_key(key), 9).unwrap();
        match &topics[..] {
            [only] => draft.scope_key(only),
            _ => draft.set_topics(topics.into()),
        }
        draft.stamp(Epoch::random(), 1, 0).key().unwrap().to_owned()
    };
    let given: [(&[&str], &str); 8] = [
        (&["a"], "k"),
        (&["a"], "b\0k"),
        (&["a"], "b\0\0k"),
        (&["a", "b"], "k"),
        (&["a", "b"], "\0k"),
        (&["a", "b", "k"], "k"),
        (&["a", "b"], "\0\0k"),
        (&["b", "c"], "k"),
    ];
    for (nth, (topics, text)) in given.iter().enumerate() {
        for (other, (others, other_text)) in given.iter().enumerate() {
            assert_eq!(key(topics, text) == key(others, other_text), nth == other);
        }
    }
}

#[test]
fn the_id_line_comes_first_and_grows_into_the_reserve() {
    for sequence in [1, 9, 10, 123_456, u64::MAX] {
        let epoch = Epoch::random();
        let frame = Draft::encode(&Event::new("x"), 9).unwrap().stamp(epoch, sequence, 0);
        let expected = format!("id: {}\ndata: x\n\n", EventId { epoch, sequence });
        assert_eq!(frame.plain(), expected.as_bytes());
        assert_eq!(frame.wire(Wire::Chunked), chunk(expected.as_bytes()));
    }
}

#[test]
fn a_custom_id_replaces_the_hubs() {
    let frame = encode(Event::empty().with_id("mine"), 7);
    assert_eq!(frame.wire(Wire::Plain), b"id: mine\n\n");
    assert_eq!(frame.wire(Wire::Chunked), b"a\r\nid: mine\n\n\r\n");
}

#[test]
fn an_event_in_json_has_both_wire_forms_and_its_id_and_key() {
    let topic = Topic::new("a/\"b\"").unwrap();
    let event = Event::new("x\ny").with_name("tick").with_key("k");
    let frame = encode(event, 7);
    let json = frame.in_json(&topic);
    let id = String::from_utf8(frame.plain().to_vec()).unwrap();
    let id = id.strip_prefix("id: ").unwrap().split_once('\n').unwrap().0.to_owned();
    let expected = format!(
        "id: {id}\ndata: {{\"topic\":\"a/\\\"b\\\"\",\"event\":\"tick\",\"id\":\"{id}\",\
         \"data\":\"x\\ny\"}}\n\n"
    );
    assert_eq!(String::from_utf8_lossy(json.plain()), expected);
    assert_eq!(json.wire(Wire::Chunked), chunk(expected.as_bytes()));
    assert_eq!((json.key(), json.sequence()), (Some("k"), 7));
    assert_ne!(json.address(), frame.address());
    let custom = encode(Event::new("x").with_id("m\"ine"), 8).in_json(&topic);
    assert_eq!(custom.stream_id(), StreamId::Custom("m\"ine".into()));
    let text = String::from_utf8_lossy(custom.plain());
    assert!(text.ends_with(",\"id\":\"m\\\"ine\",\"data\":\"x\"}\n\n"), "{text}");
}

#[test]
fn events_in_json_are_gathered_as_they_are_alone_and_those_without_data_as_they_were() {
    let topics = ["a", "b/c"].map(|name| Topic::new(name).unwrap());
    let frames = [
        encode(Event::new("x"), 1),
        encode(Event::empty().with_id("only"), 2),
        encode(Event::new("\"").with_name("n").with_comment("c"), 3),
    ];
    assert_eq!(frames[1].in_json(&topics[0]).address(), frames[1].address());
    let topics = [&topics[0], &topics[1], &topics[1]];
    let alone = frames.iter().zip(topics).map(|(frame, topic)| frame.in_json(topic));
    let alone: Vec<u8> = alone.flat_map(|frame| frame.plain().to_vec()).collect();
    let mut buffer = b"from before".to_vec();
    let events = || frames.iter().zip(topics);
    assert_eq!(Frame::gather_json(events(), Wire::Plain, &mut buffer), alone);
    assert_eq!(Frame::gather_json(events(), Wire::Chunked, &mut buffer), chunk(&alone));
}

#[test]
fn a_chunk_has_a_head_and_a_tail_and_what_is_plain_has_neither() {
    assert_eq!(chunk(&[b'x'; 31]), [b"1f\r\n", &[b'x'; 31][..], b"\r\n"].concat());
    assert_eq!(Chunk::new(Wire::Chunked, usize::MAX).head(), b"ffffffffffffffff\r\n");
    let plain = Chunk::new(Wire::Plain, 31);
    assert!(plain.head().is_empty() && plain.tail().is_empty());
}
