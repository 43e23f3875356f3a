//! Topics by handle: the place that a handle remembers is one that the topic has, or has no effect.

use super::*;
use crate::topic_handle::TopicHandle;

#[test]
fn a_place_of_another_topic_or_of_none_is_found_out() {
    let order = order_of(Box::new([]), &Options::default());
    let handles = ["a", "b"].map(|name| TopicHandle::new(Topic::new(name).unwrap()));
    let publish = |handle: &TopicHandle| {
        let draft = Draft::encode(&Event::new("x"), 100).unwrap();
        assert!(order.publish_by_handle(handle, draft).is_ok());
        order.counts()
    };
    handles.iter().for_each(|handle| _ = publish(handle));
    let places = handles.each_ref().map(TopicHandle::place);
    assert_ne!(places[0], places[1]);
    for wrong in [places[0], places[1], 1000, u32::MAX] {
        for (handle, place) in handles.iter().zip(places) {
            handle.remember(wrong);
            let counts = publish(handle);
            assert_eq!((counts.known_topics, handle.place()), (2, place));
        }
    }
    assert_eq!(order.counts().kept_events, 2 + 4 * 2);
    let by_name = Draft::encode(&Event::new("x"), 100).unwrap();
    assert!(order.publish(handles[0].topic(), by_name).is_ok());
    assert_eq!(order.counts().known_topics, 2);
}
