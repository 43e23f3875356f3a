//! `fanfare bench`: runs the program `fanfare-bench`, which is built and shipped by itself.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::outcome::Outcome;

/// The program's name. It is looked for beside this program, and then on `PATH`.
const PROGRAM: &str = "fanfare-bench";

/// Measure the engine beside bare loops and other servers, with the program fanfare-bench
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub(super) struct BenchArgs {
    /// The arguments of fanfare-bench; --help lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

/// Becomes `fanfare-bench`, whose exit code is then this process's.
///
/// # Errors
///
/// When that program is not there or cannot be run. Otherwise this does not return.
pub(super) fn run(args: &BenchArgs, log: &str) -> Outcome {
    let beside = beside_this_program();
    let program = beside.as_deref().unwrap_or(Path::new(PROGRAM));
    let error = Command::new(program).args(&args.arguments).env("FANFARE_LOG", log).exec();
    if beside.is_none() && error.kind() == ErrorKind::NotFound {
        return Err(format!(
            "the program {PROGRAM} is neither beside this one nor on PATH; in a checkout of \
             fanfare, `cargo build --release -p {PROGRAM}` builds it"
        )
        .into());
    }
    Err(format!("cannot run {}: {error}", program.display()).into())
}

/// The file in this program's folder, if it is there.
fn beside_this_program() -> Option<PathBuf> {
    let file = std::env::current_exe().ok()?.with_file_name(PROGRAM);
    file.is_file().then_some(file)
}
