//! Tickets. Each byte of an input is a step: one is issued, used, or its stream ends, or time
//! passes. What holds is in the [model]; and what nobody issued is never taken.

#![no_main]

#[path = "../../src/tickets/tests/model.rs"]
mod model;

use fanfare::tickets::{IssueError, Redeemed, TicketError, TicketOptions, Tickets};
use fanfare::Grant;
use libfuzzer_sys::fuzz_target;

use self::model::{Model, Step};

const TICKETS_MAX: usize = 6;

fuzz_target!(|input: &[u8]| {
    let mut model = Model::new(TICKETS_MAX);
    for &byte in input.iter().take(500) {
        let value = usize::from(byte & 63);
        model.step(match byte >> 6 {
            0 => Step::Wait([1, 5, 30, 61][value % 4]),
            1 => Step::Issue([1, 40, 100, 500][value % 4]),
            2 => Step::Redeem(value / 2, value % 2 == 1),
            _ => Step::End(value),
        });
    }
    model.show_unknown(&String::from_utf8_lossy(input));
    model.check_streams();
});
