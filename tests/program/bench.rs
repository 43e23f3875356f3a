//! `fanfare bench`, which runs the program `fanfare-bench`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::process::{run, Running};

/// Says its process id, its log level and its arguments, and ends with a code of its own.
const SCRIPT: &str = "#!/bin/sh\nprintf '%s\\n' \"$0\" $$ \"$FANFARE_LOG\" \"$@\"\nexit 7\n";

/// A folder of a test's own. Dropping it removes it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("fanfare-way-to-bench-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// The program, which is alone in its folder.
    fn fanfare(&self, path: &Path) -> Command {
        let program = self.0.join("fanfare");
        shell("cp \"$1\" \"$0\"", &program, env!("CARGO_BIN_EXE_fanfare"));
        let mut command = Command::new(program);
        command.env_remove("FANFARE_LOG").env("PATH", path).stdin(Stdio::null());
        command
    }

    fn add_bench(&self) -> PathBuf {
        let file = self.0.join("fanfare-bench");
        shell("printf %s \"$1\" >\"$0\" && chmod +x \"$0\"", &file, SCRIPT);
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes a program in a process of its own. While this one had it open for writing, a child that
/// another test starts at that moment would have it open as well, and it could not be run.
fn shell(script: &str, file: &Path, with: &str) {
    let status = Command::new("sh").args(["-c", script]).arg(file).arg(with).status().unwrap();
    assert!(status.success());
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bench_becomes_the_program_beside_it_with_all_arguments_and_its_exit_code() {
    let (own, other) = (Folder::new("own"), Folder::new("other"));
    let bench = own.add_bench();
    other.add_bench();
    for arguments in [&["--help"][..], &["run", "two words", "--json", "-", "--", "-x"], &[]] {
        let mut command = own.fanfare(&other.0);
        command.args(["--log", "warn", "bench"]).args(arguments).stdout(Stdio::piped());
        let child = Running::of(&mut command);
        let id = child.id().as_raw_nonzero().to_string();
        let output = child.output();
        assert_eq!(output.status.code(), Some(7));
        let expected = [&[bench.to_str().unwrap(), &id, "warn"][..], arguments].concat();
        assert_eq!(lines(&output), expected);
    }
}

#[test]
fn bench_finds_the_program_on_the_path_where_none_is_beside_it() {
    let (own, other) = (Folder::new("alone"), Folder::new("path"));
    let bench = other.add_bench();
    let output = run(own.fanfare(&other.0).args(["bench", "list", "--names"]));
    assert_eq!(output.status.code(), Some(7));
    let said = lines(&output);
    assert_eq!([&said[0], &said[2]], [bench.to_str().unwrap(), "info"]);
    assert_eq!(said[3..], ["list", "--names"]);
}

#[test]
fn bench_without_that_program_says_how_to_build_it() {
    let own = Folder::new("without");
    let output = run(own.fanfare(&own.0).args(["bench", "list"]));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("`cargo build --release -p fanfare-bench`"), "{said}");
    // A file of that name that cannot be run is another error.
    fs::write(own.0.join("fanfare-bench"), "").unwrap();
    let output = run(own.fanfare(&own.0).args(["bench", "list"]));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("fanfare-bench: Permission denied"), "{said}");
}
