//! Sequences of calls of the C ABI: any that the header allows, with arguments of any kind.
//!
//! - A call returns what a small model says, and never `FANFARE_ERR_PANIC`.
//! - Outputs are written on success alone.
//! - A stream of all topics has what was published, in its order and with the ids that were returned.
//!
//! An input is a sequence of steps, each a byte for the step and bytes for what it chooses. Handles are
//! used in every state that they may be in, closed as well, and freed once.

#![no_main]
// Calling C's functions is what this is for.
#![allow(unsafe_code)]

use libfuzzer_sys::fuzz_target;

use input::Input;
use world::World;

mod connections;
mod engine;
mod expect;
#[allow(dead_code, reason = "the target `frame` needs the rest")]
#[path = "../../../tests/support/given.rs"]
mod given;
mod input;
mod life;
mod listeners;
mod memory;
mod notices;
mod publish;
#[allow(dead_code, reason = "it is what tests of streams need as well")]
#[path = "../../../tests/support/sse.rs"]
mod sse;
mod streams;
mod tokens;
mod world;

/// The most steps of a sequence.
const STEPS_MAX: usize = 64;

type Step = fn(&mut World, &mut Input<'_>);

/// Those that are listed several times come oftener.
const STEPS: &[Step] = &[
    publish::hub_publish,
    publish::hub_publish,
    publish::hub_publish_to,
    publish::hub_publish_many,
    publish::hub_finish,
    publish::hub_flush,
    publish::notify_space,
    streams::hub_subscribe,
    streams::read_exactly,
    streams::stream_read,
    streams::stream_notify,
    streams::stream_free,
    streams::stream_headers,
    life::hub_new,
    life::hub_close,
    life::hub_drain,
    life::hub_free,
    life::topic_new,
    life::topic_free,
    life::of_no_handle,
    life::defaults,
    connections::hub_connections,
    connections::hub_subscribers,
    engine::hub_rules,
    engine::hub_counts,
    listeners::hub_listen,
    listeners::hub_adopt,
    notices::notices_new,
    notices::notices_free,
    notices::notices_doorbell,
    notices::notices_drain,
    notices::notices_remove,
    notices::hub_watch,
    notices::log_watch,
    tokens::make,
    tokens::ask,
    tokens::fall_back,
    tokens::pass,
    tokens::pass,
    tokens::free,
    tokens::log_set,
];

fuzz_target!(|bytes: &[u8]| {
    let (mut world, mut input) = (World::default(), Input::new(bytes));
    life::hub_new(&mut world, &mut input);
    life::topic_new(&mut world, &mut input);
    for _ in 0..STEPS_MAX {
        if input.is_over() {
            break;
        }
        let step = STEPS[input.below(STEPS.len())];
        step(&mut world, &mut input);
    }
});
