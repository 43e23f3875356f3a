//! Sequences of calls of the C ABI: any that the header allows, with arguments of any kind.
//!
//! - A call returns what a small model says, and never `FANFARE_ERR_PANIC`.
//! - Outputs are written on success alone.
//!
//! An input is a sequence of steps, each a byte for the step and bytes for what it chooses. Handles are
//! used in every state that they may be in, closed as well, and freed once.

#![no_main]
// Calling C's functions is what this is for.
#![allow(unsafe_code)]

use libfuzzer_sys::fuzz_target;

use input::Input;
use world::World;

mod expect;
#[path = "../../../tests/support/given.rs"]
mod given;
mod input;
mod life;
mod memory;
mod notices;
mod publish;
#[allow(dead_code, reason = "it is what tests of streams need as well")]
#[path = "../../../tests/support/sse.rs"]
mod sse;
mod world;

/// The most steps of a sequence.
const STEPS_MAX: usize = 64;

type Step = fn(&mut World, &mut Input<'_>);

const STEPS: &[Step] = &[
    publish::hub_publish,
    publish::hub_publish,
    publish::hub_publish_to,
    publish::hub_publish_many,
    publish::hub_finish,
    life::hub_new,
    life::hub_close,
    life::hub_free,
    life::hub_listen,
    life::topic_new,
    life::topic_free,
    life::of_no_handle,
    notices::notices_new,
    notices::notices_free,
    notices::notices_doorbell,
    notices::notices_drain,
    notices::notices_remove,
    notices::hub_watch,
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
