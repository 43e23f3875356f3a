//! What the tests of the C ABI have beside it: a panic inside of the library. It is compiled with the
//! feature `capi-testing` alone, which nothing that is shipped has, and is not in the header.

use std::cell::Cell;

thread_local! {
    static IS_DUE: Cell<bool> = const { Cell::new(false) };
}

/// Has the next function that this thread calls panic, where it would begin its work.
#[no_mangle]
pub extern "C" fn fanfare_testing_panic_next() {
    IS_DUE.set(true);
}

/// Panics if that is wanted.
pub(super) fn panic_if_due() {
    if IS_DUE.replace(false) {
        panic!("a test has this call panic");
    }
}
