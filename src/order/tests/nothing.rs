//! Clients that come to finished topics: those that would be sent nothing are told so, and no
//! others.

use super::*;
use crate::options::TopicOptions;

const TOPICS: usize = 4;

fn topic(nth: usize) -> Topic {
    Topic::new(&format!("t/{nth}")).unwrap()
}

fn draft(event: &Event<'_>) -> Draft {
    Draft::encode(event, 1 << 20).unwrap()
}

/// Where some client may want to begin.
fn some_resume(random: &mut fastrand::Rng, order: &Order, custom_ids: &[String]) -> Resume {
    let starts = [StartAt::Now, StartAt::Latest, StartAt::Earliest, StartAt::Last(2)];
    let gap_start = Some(starts[random.usize(..4)]).filter(|_| random.bool());
    match random.u32(..9) {
        0 => Resume::Start(StartAt::Now),
        1 => Resume::Start(StartAt::Latest),
        2 => Resume::Start(StartAt::Last(random.u32(..3))),
        3 => Resume::Start(StartAt::Earliest),
        4 => Resume::after(custom_ids[random.usize(..custom_ids.len())].as_str(), gap_start),
        5 => Resume::after(order.id_of(order.sequence() + 1).to_string(), gap_start),
        _ => {
            let sequence = order.sequence() - random.u64(..=order.sequence().min(12));
            Resume::after(order.id_of(sequence).to_string(), gap_start)
        }
    }
}

#[test]
fn what_a_client_would_be_sent_says_whether_nothing_is_left_for_it() {
    let (mut nothing, mut something) = (0, 0);
    for seed in 0..400 {
        let mut random = fastrand::Rng::with_seed(seed);
        let options = Options { history_events_max: random.usize(1..6), ..Options::default() };
        let order = model_order(&options, seed);
        let (mut finished, mut ends) = ([false; TOPICS], 0);
        let mut custom_ids = vec!["unknown".to_owned(), "0000aaaa-3".to_owned(), String::new()];
        for step in 0..60 {
            if random.u32(..20) == 0 {
                let kept = TopicOptions::default().history_events_max(random.usize(..3));
                order.set_rule(&topic(random.usize(..TOPICS)).into(), kept).unwrap();
            }
            let mut of: Vec<usize> = (0..TOPICS).filter(|_| random.u32(..4) == 0).collect();
            of.push(random.usize(..TOPICS));
            let nth = of[0];
            let id = format!("id {}", random.usize(..=step));
            let mut event = Event::new("x");
            if random.u32(..3) == 0 {
                event = event.with_id(&*id);
                custom_ids.push(id.clone());
            }
            let is_end = random.u32(..10) == 0;
            of.truncate(if is_end { 1 } else { TOPICS });
            let names: Vec<String> = of.iter().map(|&nth| topic(nth).to_string()).collect();
            let done = match is_end {
                true => order.finish(&topic(nth), random.bool().then(|| draft(&event))),
                false => try_publish(&order, &names, &event),
            };
            let is_refused = of.iter().any(|&nth| finished[nth]);
            assert_eq!(matches!(done, Err(Refused::Finished(_))), is_refused);
            ends += u64::from(is_end && !is_refused);
            finished[nth] |= is_end;
            if random.u32(..30) == 0 {
                // Events become too old, and topics are removed with them, also finished ones.
                let mut locked = order.lock();
                locked.topics.forget_old(u64::MAX, random.usize(..6));
                order.count_finished(&locked.topics);
                for (nth, finished) in finished.iter_mut().enumerate() {
                    *finished = locked.topics.find_finished(&topic(nth)).is_some();
                }
            }
            let wanted: Vec<usize> = (0..TOPICS).filter(|_| random.bool()).collect();
            let all_finished = !wanted.is_empty() && wanted.iter().all(|&nth| finished[nth]);
            let mut wanted: Vec<Subscription> =
                wanted.into_iter().map(|nth| topic(nth).into()).collect();
            let has_filter = random.u32(..10) == 0;
            if has_filter || wanted.is_empty() {
                wanted.push(Subscription::new("u/#").unwrap());
            }
            let resume = some_resume(&mut random, &order, &custom_ids);
            let sent = replayed(&order, &wanted, &resume);
            let (_, gap) = search(&order, &wanted, &resume);
            let is_nothing = all_finished && !has_filter && sent.0.is_empty() && gap.is_none();
            let found = order.has_nothing_for(&wanted, &resume);
            assert_eq!(found, is_nothing, "{wanted:?} {resume:?}: {sent:?}");
            nothing += u32::from(found);
            something += u32::from(all_finished && !found);
        }
        let counts = order.counts();
        assert_eq!(counts.finished_topics, finished.iter().filter(|&&is| is).count() as u64);
        assert_eq!(counts.published_events + ends, order.sequence());
    }
    assert!(nothing > 500 && something > 500, "{nothing} {something}");
}

#[test]
fn where_nothing_is_kept_a_client_is_known_to_miss_nothing_behind_the_last_event() {
    let order = model_order(&Options { history_events_max: 0, ..Options::default() }, 1);
    let wanted = [topic(0).into()];
    let after = |sequence| Resume::After(order.id_of(sequence).to_string().into());
    let Ok(last) = order.finish(&topic(0), Some(draft(&Event::new("x")))) else { unreachable!() };
    assert!(order.publish(&topic(1), draft(&Event::new("x"))).is_ok());
    assert_eq!((last.sequence, order.sequence()), (1, 3));
    assert!(!order.has_nothing_for(&wanted, &after(0)));
    assert!((1..=3).all(|sequence| order.has_nothing_for(&wanted, &after(sequence))));
    assert!(order.has_nothing_for(&wanted, &Resume::Start(StartAt::Latest)));
    assert!(!order.has_nothing_for(&[topic(0).into(), topic(1).into()], &after(3)));
}

#[test]
fn an_end_is_in_the_inboxes_of_the_shards_that_want_the_topic_behind_its_last_event() {
    let poller = crate::sys::Poller::new().unwrap();
    let inboxes: Box<[_]> =
        (0..3).map(|_| Arc::new(Inbox::new(ShardWaker::new(poller.waker())))).collect();
    let order = order_of(inboxes.clone(), &Options { shards: 3, ..Options::default() });
    for (shard, what) in [(0, "t/0"), (1, "t/#"), (2, "t/1")] {
        order.register(shard, &[Subscription::new(what).unwrap()], |_, _| 0);
    }
    let taken = |shard: usize| {
        let mut taken = Vec::new();
        inboxes[shard].take(&mut taken);
        let is_end = |published: &Published| published.extra.as_ref().is_some_and(|e| e.finishes);
        taken.iter().map(|item| (item.sequence(), is_end(item))).collect::<Vec<_>>()
    };
    assert!(order.finish(&topic(0), Some(draft(&Event::new("last")))).is_ok());
    assert_eq!([taken(0), taken(2)], [vec![(1, false), (2, true)], vec![]]);
    assert_eq!(taken(1)[0], (1, false), "what it does with the end is its own affair");
    // A filter alone has no use for the end.
    assert!(order.finish(&topic(3), Some(draft(&Event::new("last")))).is_ok());
    assert_eq!([taken(0), taken(1), taken(2)], [vec![], vec![(3, false)], vec![]]);
}
