//! What these tests share: the program, what it says, and folders for what it writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fanfare-bench");
/// The least peer there is, in the checkout.
pub(crate) const PLAIN: &str = "python3 benches/tests/plain.py";
/// How long a test waits for one thing.
const DEADLINE: Duration = Duration::from_secs(120);

/// The folder of the checkout, which the program runs in.
pub(crate) fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a checkout is around the benchmark")
}

/// The program with the words of a line, on whichever cores are free.
pub(crate) fn bench(line: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(line.split_whitespace()).args(["--unpinned", "--limit-seconds", "240"]);
    command.current_dir(checkout());
    command
}

/// The report of a run that has to succeed.
pub(crate) fn report(line: &str) -> Value {
    let folder = Folder::new("report");
    let file = folder.file("report.json");
    let output = bench(line).arg("--json").arg(&file).output().unwrap();
    assert!(output.status.success(), "{line}: {}", errors(&output));
    serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap()
}

/// Runs what has to fail with a message.
pub(crate) fn fails_with(command: &mut Command, message: &str) {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?} succeeds");
    assert!(errors(&output).contains(message), "{command:?}: {}", errors(&output));
}

/// What a program has written to standard error.
pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A folder of a test's own. Dropping it removes it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fanfare-bench-{}-{nth}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a program, in a process of its own. While this one had it open for writing, a child
    /// that another test starts at that moment would have it open as well, and it could not be run.
    pub(crate) fn script(&self, name: &str, text: &str) -> PathBuf {
        let file = self.file(name);
        let write = "printf %s \"$1\" >\"$0\" && chmod +x \"$0\"";
        let status = Command::new("sh").args(["-c", write]).arg(&file).arg(text).status().unwrap();
        assert!(status.success());
        file
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.file(name);
        fs::write(&file, text).unwrap();
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
