//! Followers are fed streams that are right, and streams that are wrong in every way, cut at every
//! byte.

use super::*;

const NOW_NS: u64 = 10_000;

fn event(number: u64) -> String {
    format!("id: e-{number}\ndata: {number} {} xxxx\n\n", 1_000 + number)
}

fn stream(numbers: impl IntoIterator<Item = u64>) -> String {
    numbers.into_iter().map(event).collect()
}

fn class_of(events: u64) -> Class {
    Class::new(Expected { first: Some(0), events: Some(events), data_bytes: None })
}

fn receive(class: &mut Class, pieces: &[&str]) -> Follower {
    let mut follower = Follower::new(class);
    for piece in pieces {
        follower.feed(class, piece.as_bytes(), NOW_NS).unwrap();
    }
    follower
}

/// Receives on one connection that fills the log, then on a second; what the second has wrong.
fn faults_of_second(first: &str, second: &[&str], events: u64) -> Faults {
    let mut class = class_of(events);
    receive(&mut class, &[first]).finish(&mut class);
    assert!(class.faults.is_none(), "{:?}", class.faults);
    receive(&mut class, second).finish(&mut class);
    class.faults
}

#[test]
fn a_whole_stream_is_whole_however_it_is_split() {
    let text = stream(0..6);
    for first in 0..=text.len() {
        for second in first..=text.len() {
            let mut class = class_of(6);
            let pieces = [&text[..first], &text[first..second], &text[second..]];
            // Two that build the log between them, and one that only compares.
            let mut a = Follower::new(&class);
            let mut b = Follower::new(&class);
            for piece in pieces {
                a.feed(&mut class, piece.as_bytes(), NOW_NS).unwrap();
                b.feed(&mut class, piece.as_bytes(), NOW_NS).unwrap();
            }
            let parsed = class.totals.parsed;
            let mut c = receive(&mut class, &pieces);
            assert_eq!(class.totals.parsed, parsed);
            for follower in [&mut a, &mut b, &mut c] {
                assert_eq!(follower.received(), 6);
                follower.finish(&mut class);
            }
            assert!(class.faults.is_none(), "{first} {second} {:?}", class.faults);
            assert_eq!((class.totals.delivered, class.totals.complete), (18, 3));
            assert_eq!((class.latency.total(), class.latency.max_ns()), (18, 9_000));
        }
    }
}

#[test]
fn byte_by_byte_is_as_good_as_at_once() {
    let text = stream(0..6);
    let bytes: Vec<&str> = (0..text.len()).map(|at| &text[at..=at]).collect();
    assert!(faults_of_second(&text, &bytes, 6).is_none());
    let mut class = class_of(6);
    receive(&mut class, &bytes).finish(&mut class);
    assert_eq!((class.totals.delivered, class.faults), (6, Faults::default()));
}

#[test]
fn comments_and_foreign_events_do_not_disturb_however_they_are_split() {
    for place in 0..=6 {
        for extra in [": beat\n\n", "retry: 9\n\n", "event: notice\ndata: {}\n\n", "\n"] {
            let text = format!("{}{extra}{}", stream(0..place), stream(place..6));
            for cut in 0..=text.len() {
                let mut class = class_of(6);
                receive(&mut class, &[&stream(0..6)]);
                let (before, after) = text.split_at(cut);
                let mut follower = receive(&mut class, &[before, after]);
                follower.finish(&mut class);
                assert!(class.faults.is_none(), "{place} {extra:?} {cut} {:?}", class.faults);
                assert_eq!(class.totals.delivered, 12);
                assert_eq!(class.totals.other + class.totals.silent, 1);
            }
        }
    }
}

#[test]
fn connections_with_differing_bytes_are_parsed_and_just_as_right() {
    let mine = stream(0..6);
    let forms = [
        mine.replace('\n', "\r\n"),
        mine.replace("data: ", "data:"),
        mine.replace("id: e", "id: other"),
        mine.replace("id: e-3", "id: x-3"),
        format!("\u{feff}{mine}"),
    ];
    for form in &forms {
        for cut in (0..=form.len()).filter(|cut| form.is_char_boundary(*cut)) {
            let (before, after) = form.split_at(cut);
            assert!(faults_of_second(&mine, &[before, after], 6).is_none(), "{form:?} {cut}");
            assert!(faults_of_second(form, &[before, after], 6).is_none(), "{form:?} {cut}");
        }
    }
}

#[test]
fn a_lost_event_is_found_wherever_it_was_and_the_stream_is_split() {
    for lost in 0..6 {
        let text = stream((0..6).filter(|number| *number != lost));
        for cut in 0..=text.len() {
            let (before, after) = text.split_at(cut);
            let faults = faults_of_second(&stream(0..6), &[before, after], 6);
            assert_eq!(faults, Faults { lost: 1, ..Faults::default() }, "{lost} {cut}");
        }
        // On the connection that fills the log as well.
        let mut class = class_of(6);
        receive(&mut class, &[&text]).finish(&mut class);
        assert_eq!((class.faults.lost, class.totals.complete), (1, usize::from(lost != 5)));
        // And it does not become the others' measure.
        receive(&mut class, &[&stream(0..6)]).finish(&mut class);
        assert_eq!((class.faults.lost, class.totals.delivered), (1, 11));
    }
}

#[test]
fn a_doubled_event_is_found_wherever_it_was_and_the_stream_is_split() {
    for doubled in 0..6 {
        for again in doubled..6 {
            let text = stream((0..=again).chain([doubled]).chain(again + 1..6));
            for cut in 0..=text.len() {
                let (before, after) = text.split_at(cut);
                let faults = faults_of_second(&stream(0..6), &[before, after], 6);
                assert_eq!(faults, Faults { doubled: 1, ..Faults::default() }, "{doubled} {cut}");
            }
        }
    }
}

#[test]
fn reordered_events_are_found_wherever_they_were_and_the_stream_is_split() {
    for early in 1..6u64 {
        let order = (0..early - 1).chain([early, early - 1]).chain(early + 1..6);
        let text = stream(order);
        for cut in 0..=text.len() {
            let (before, after) = text.split_at(cut);
            let faults = faults_of_second(&stream(0..6), &[before, after], 6);
            assert_eq!(faults, Faults { reordered: 1, ..Faults::default() }, "{early} {cut}");
        }
    }
}

#[test]
fn a_changed_byte_is_found_wherever_it_is() {
    let good = stream(0..4);
    // The byte of an id or a stamp does not belong to the event's content: both may differ
    // between connections. A newline made ordinary merges lines: that event is then lost.
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        let in_padding = bytes[at] == b'x';
        bytes[at] = b'y';
        let text = String::from_utf8(bytes).unwrap();
        let faults = faults_of_second(&good, &[&text], 4);
        if in_padding {
            assert_eq!(faults, Faults { malformed: 1, ..Faults::default() }, "{at}");
        }
        let begin = good[..at].rfind('\n').map_or(0, |end| end + 1);
        if good[begin..].starts_with("data: ") && at < begin + 8 && at != begin + 5 {
            assert!(!faults.is_none(), "{at} {text:?}");
        }
    }
}

#[test]
fn data_of_another_length_is_malformed() {
    let mut class = class_of(2);
    class.expected.data_bytes = Some("0 1000 xxxx".len());
    let text = format!("{}data: 1 1001 xxxxx\n\n", event(0));
    receive(&mut class, &[&text]).finish(&mut class);
    assert_eq!(class.faults, Faults { malformed: 1, ..Faults::default() });
}

#[test]
fn a_stream_may_begin_anywhere_when_nothing_is_known_of_it() {
    let mut class = Class::new(Expected { events: Some(3), ..Expected::default() });
    for numbers in [40..43, 42..45, 39..42] {
        receive(&mut class, &[&stream(numbers)]).finish(&mut class);
    }
    assert_eq!((class.faults, class.totals.complete), (Faults::default(), 3));
}

#[test]
fn events_without_numbers_are_counted() {
    let mut class = Class::new(Expected { events: Some(2), ..Expected::default() });
    receive(&mut class, &["data: a\n\nda", "ta: b\n\n"]).finish(&mut class);
    assert_eq!((class.totals.other, class.totals.complete), (2, 1));
    assert!(class.faults.is_none());
}

#[test]
fn silence_where_events_were_expected_is_loss() {
    let mut class = class_of(5);
    receive(&mut class, &[]).finish(&mut class);
    receive(&mut class, &[&stream(0..2), &event(3)]).finish(&mut class);
    assert_eq!(class.faults.lost, 5 + 2);
}

#[test]
fn a_block_without_end_is_an_error() {
    let mut class = class_of(1);
    let mut follower = Follower::new(&class);
    let long = vec![b'x'; BLOCK_BYTES_MAX / 2 + 1];
    assert_eq!(follower.feed(&mut class, &long, NOW_NS), Ok(()));
    assert_eq!(follower.feed(&mut class, &long, NOW_NS), Err(BlockTooLong));
}

#[test]
fn a_client_cut_off_at_any_byte_resumes_behind_the_last_event_that_came_whole() {
    let text = stream(0..6);
    for cut in 0..=text.len() {
        for log_is_there in [false, true] {
            let mut class = class_of(6);
            if log_is_there {
                receive(&mut class, &[&text]).finish(&mut class);
            }
            let mut follower = receive(&mut class, &[&text[..cut]]);
            let had = (text[..cut].matches("\n\n").count()) as u64;
            let id = had.checked_sub(1).map(|last| format!("e-{last}"));
            assert_eq!(follower.last_id(&class), id.as_deref(), "{cut}");
            assert_eq!(follower.reached(&class), had);
            follower.cut();
            follower.feed(&mut class, stream(had..6).as_bytes(), NOW_NS).unwrap();
            follower.finish(&mut class);
            assert!(class.faults.is_none(), "{cut} {:?}", class.faults);
            assert_eq!(class.totals.complete, 1 + usize::from(log_is_there));
        }
    }
}

#[test]
fn what_comes_back_too_early_is_doubled_and_too_late_lost() {
    for (from, lost, doubled) in [(2, 0, 1), (3, 0, 0), (5, 2, 0)] {
        let mut class = class_of(8);
        receive(&mut class, &[&stream(0..8)]).finish(&mut class);
        let mut follower = receive(&mut class, &[&stream(0..3), "id: e-3\nda"]);
        follower.cut();
        follower.feed(&mut class, stream(from..8).as_bytes(), NOW_NS).unwrap();
        follower.finish(&mut class);
        assert_eq!((class.faults.lost, class.faults.doubled), (lost, doubled), "{from}");
    }
}

#[test]
fn a_complete_follower_is_complete_again_only_with_what_is_expected_then() {
    let mut class = class_of(2);
    let mut follower = receive(&mut class, &[&stream(0..2)]);
    assert_eq!((class.totals.complete, class.totals.complete_at_ns), (1, NOW_NS));
    class.expected.events = Some(4);
    class.totals.complete = 0;
    follower.expect_again(&mut class, NOW_NS + 1);
    assert_eq!(class.totals.complete, 0);
    follower.feed(&mut class, stream(2..4).as_bytes(), NOW_NS + 2).unwrap();
    assert_eq!((class.totals.complete, class.totals.complete_at_ns), (1, NOW_NS + 2));
}

#[test]
fn many_gaps_stay_bounded() {
    let mut class = class_of(4_000);
    let mut follower = receive(&mut class, &[&stream((0..4_000).step_by(2))]);
    assert_eq!(follower.gaps.len(), GAPS_MAX);
    follower.finish(&mut class);
    assert_eq!(class.faults.lost, 2_000);
}

#[test]
fn events_that_come_joined_count_each_wherever_they_are_joined() {
    let joined = |numbers: std::ops::Range<u64>| {
        let lines = numbers.map(|number| format!("data:{number} {} xxxx\n", 1_000 + number));
        format!("event: data\n{}data:\n\nevent: control\ndata:{{}}\n\n", lines.collect::<String>())
    };
    let mut class = class_of(6);
    for cut in [1, 2, 4, 5, 6] {
        let text = joined(0..cut) + &if cut < 6 { joined(cut..6) } else { String::new() };
        for split in 0..text.len() {
            receive(&mut class, &[&text[..split], &text[split..]]).finish(&mut class);
        }
    }
    assert!(class.faults.is_none(), "{:?}", class.faults);
    assert_eq!(class.totals.delivered, 6 * class.totals.complete as u64);
    let text = joined(0..2) + &joined(3..6);
    receive(&mut class, &[&text]).finish(&mut class);
    assert_eq!(class.faults, Faults { lost: 1, ..Faults::default() });
}
