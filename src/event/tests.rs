use super::*;

const BYTES_MAX: usize = 1 << 20;

#[test]
fn what_would_inject_a_field_is_an_error() {
    for text in ["a\nb", "a\rb", "a\0b", "\n"] {
        for event in [Event::new("x").with_name(text), Event::new("x").with_id(text)] {
            let error = event.check(BYTES_MAX).unwrap_err();
            assert!(matches!(error, EventError::FieldForbidden { .. }), "{error}");
        }
    }
}

#[test]
fn an_event_with_nothing_in_it_is_an_error() {
    assert_eq!(Event::empty().check(BYTES_MAX), Err(EventError::Empty));
    assert_eq!(
        Event::empty().with_name("n").with_key("k").check(BYTES_MAX),
        Err(EventError::Empty)
    );
    assert_eq!(Event::empty().with_id("1").check(BYTES_MAX), Ok(()));
    assert_eq!(Event::new("").check(BYTES_MAX), Ok(()));
}

#[test]
fn an_id_that_a_header_would_trim_is_an_error() {
    for id in [" 1", "1 ", " "] {
        let error = Event::empty().with_id(id).check(BYTES_MAX);
        assert_eq!(error, Err(EventError::IdPadded), "{id:?}");
    }
    assert!(Event::empty().with_id("\t1").check(BYTES_MAX).is_err());
    for id in ["\u{a0}1\u{3000}", "a b"] {
        assert_eq!(Event::empty().with_id(id).check(BYTES_MAX), Ok(()), "{id:?}");
    }
    assert_eq!(Event::empty().with_id("größe 1").check(BYTES_MAX), Ok(()));
}

#[test]
fn the_name_of_the_engines_own_events_is_an_error() {
    let event = Event::new("x").with_name("fanfare-gap");
    assert_eq!(event.check_name("fanfare-gap"), Err(EventError::ReservedName));
    assert_eq!(event.check_name("gap"), Ok(()));
    let heartbeat = Event::new("x").with_name("fanfare-heartbeat");
    assert_eq!(heartbeat.check_name("gap"), Err(EventError::ReservedName));
    assert_eq!(Event::new("x").check_name("gap"), Ok(()));
}

#[test]
fn an_event_that_is_given_by_reference_is_the_same_and_copies_nothing() {
    let event =
        Event::new(String::from("data")).with_name(String::from("n")).with_id(String::from("i"));
    let event = event.with_key(String::from("k")).with_comment(String::from("c"));
    let event = event.with_retry(Duration::from_secs(7));
    let given = Event::from(&event);
    assert_eq!(given, event);
    let Event { data, name, id, retry: _, key, comment, window: _ } = given;
    for text in [data, name, id, key, comment] {
        assert!(matches!(text, Some(Cow::Borrowed(_))), "{text:?}");
    }
}

#[test]
fn sizes_are_bounded() {
    let data = "x".repeat(BYTES_MAX);
    assert_eq!(Event::new(&*data).check(BYTES_MAX), Ok(()));
    let bytes = BYTES_MAX + 1;
    assert_eq!(
        Event::new(&*data).with_comment("c").check(BYTES_MAX),
        Err(EventError::TooLarge { bytes, bytes_max: BYTES_MAX })
    );
    let error = Event::new("").with_name("n".repeat(257)).check(BYTES_MAX);
    assert_eq!(error, Err(EventError::FieldTooLong { field: "name", bytes: 257 }));
    let retry = Duration::from_millis(u64::from(u32::MAX) + 1);
    assert_eq!(Event::empty().with_retry(retry).check(BYTES_MAX), Err(EventError::RetryTooLong));
}

#[test]
fn bytes_that_are_not_utf8_are_an_error_that_says_where() {
    assert_eq!(Event::from_utf8(b"ab\xff"), Err(EventError::NotUtf8 { valid_up_to: 2 }));
}
