//! The program `fanfare`: see `fanfare --help`.

use std::process::ExitCode;

mod program;

fn main() -> ExitCode {
    program::main()
}
