//! The benchmark's peers: the manifest, and what becomes of those that are missing or do wrong.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{json, Value};

const PLAIN: &str = "python3 tests/support/plain.py";
const SMALL: [&str; 5] = ["saturation", "--clients", "5", "--events", "100"];

/// A directory of a test's own, with a manifest in it.
struct Desk(PathBuf);

impl Desk {
    fn new(name: &str, peers: &Value) -> Self {
        let path =
            std::env::temp_dir().join(format!("fanfare-peers-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let manifest = json!({"root": env!("CARGO_MANIFEST_DIR"), "peers": peers});
        std::fs::write(path.join("peers.json"), manifest.to_string()).unwrap();
        Self(path)
    }

    fn command(&self, words: &[&str], subjects: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        command.arg("bench").args(words).args(["--subjects", subjects, "--unpinned", "--peers"]);
        command.arg(self.0.join("peers.json")).arg("--json").arg(self.0.join("report.json"));
        command
    }

    fn bench(&self, words: &[&str], subjects: &str) -> Output {
        self.command(words, subjects).output().unwrap()
    }

    fn report(&self) -> Value {
        let text = std::fs::read_to_string(self.0.join("report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn peer(name: &str, command: &str) -> Value {
    json!({
        "name": name, "software": "asyncio", "version": "3", "description": "a test's",
        "command": command, "needs": ["tests/support/plain.py"], "scenarios": ["saturation"],
    })
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn every_peer_of_the_repository_can_be_installed_or_says_why_not() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let manifest: Value = serde_json::from_str(&read("peers.json")).unwrap();
    let install = read("install");
    let mut names = Vec::new();
    for peer in manifest["peers"].as_array().unwrap() {
        let name = peer["name"].as_str().unwrap();
        assert!(!names.contains(&name), "{name} is there twice");
        names.push(name);
        assert!(install.contains(&format!("\ninstall_{}() {{", name.replace('-', "_"))), "{name}");
        let is_whole = ["version", "command"].iter().all(|key| peer[*key].is_string())
            && !peer["needs"].as_array().is_none_or(Vec::is_empty)
            && folder.join(name).is_dir();
        assert_eq!(is_whole, peer["unavailable"].is_null(), "{name}");
        // The version that is told is the one that is installed.
        let version = peer["version"].as_str().unwrap_or("");
        let pinned = ["Cargo.toml", "package.json", "requirements.txt", "go.mod"]
            .iter()
            .filter_map(|file| std::fs::read_to_string(folder.join(name).join(file)).ok())
            .any(|text| text.contains(version));
        assert!(pinned || install.contains(version), "{name} {version}");
    }
}

#[test]
fn a_peer_of_the_manifest_is_measured_in_the_manifests_directory() {
    let desk = Desk::new("measured", &json!([peer("plain", PLAIN)]));
    let mut command = desk.command(&SMALL, "floor-b,plain");
    let output = command.current_dir(&desk.0).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("plain: asyncio 3 (a test's): measured"), "{}", said(&output));
    let report = desk.report();
    assert_eq!(report["summary"]["plain"]["deliveries"]["median"], 500.0);
    assert_eq!(report["peers"][0]["software"], "asyncio 3 (a test's)");
    assert_eq!(report["peers"][0]["outcome"], "measured");
}

#[test]
fn a_peer_that_cannot_be_run_is_told_of_unless_it_was_named() {
    let mut absent = peer("absent", PLAIN);
    absent["needs"] = json!(["tests/support/plain.py", "no/such/program"]);
    let mut never = peer("never", "");
    never["unavailable"] = json!("nobody has it");
    let mut other = peer("other", PLAIN);
    other["scenarios"] = json!(["paced"]);
    let desk = Desk::new("absent", &json!([absent, never, other, peer("plain", PLAIN)]));

    let output = desk.bench(&SMALL, "all-peers");
    assert!(output.status.success(), "{}", said(&output));
    let report = desk.report();
    let expected = [
        ("absent", "not-installed", "not installed: no/such/program is not there"),
        ("never", "not-installed", "not installed: nobody has it"),
        ("other", "unable", "left out: cannot do saturation"),
        ("plain", "measured", "measured"),
    ];
    for (place, (name, outcome, line)) in expected.iter().enumerate() {
        assert_eq!(report["peers"][place]["name"], *name);
        assert_eq!(report["peers"][place]["outcome"], *outcome);
        assert!(said(&output).contains(line), "{line}: {}", said(&output));
    }
    for (name, message) in [
        ("absent", "absent: no/such/program is not there"),
        ("never", "never: nobody has it"),
        ("other", "other: cannot do saturation"),
        ("nothing", "no subject \"nothing\""),
    ] {
        let output = desk.bench(&SMALL, &format!("plain,{name}"));
        assert!(!output.status.success() && said(&output).contains(message), "{}", said(&output));
    }
}

#[test]
fn a_peer_that_fails_is_told_of_and_the_others_are_measured_all_the_same() {
    let peers = json!([
        peer("loser", &format!("env PLAIN_FAULT=lose {PLAIN}")),
        peer("crasher", "python3 -c 'raise SystemExit(7)'"),
        peer("plain", PLAIN),
    ]);
    let desk = Desk::new("failing", &peers);
    let words = [&SMALL[..], &["--repeat", "2"]].concat();
    let output = desk.bench(&words, "floor-b,all-peers");
    assert!(!output.status.success());
    assert!(said(&output).contains("runs failed, see the report: loser, crasher"));
    assert!(said(&output).contains("FAILED: run 1: wrong deliveries"), "{}", said(&output));
    let report = desk.report();
    assert_eq!(report["runs"].as_array().unwrap().len(), 4);
    assert_eq!(report["summary"]["plain"]["deliveries"]["median"], 500.0);
    let reason = |place: usize| report["peers"][place]["reason"].as_str().unwrap().to_owned();
    assert!(reason(0).contains("lost: 1"), "{}", reason(0));
    assert!(reason(1).contains("exit status: 7"), "{}", reason(1));
    assert_eq!(report["peers"][2]["outcome"], "measured");
}

#[test]
fn a_manifest_that_is_wrong_is_said_at_once() {
    let desk = Desk::new("wrong", &json!([{"name": "a", "colour": "red"}]));
    let output = desk.bench(&SMALL, "floor-b");
    assert!(!output.status.success() && said(&output).contains("unknown field `colour`"));
    std::fs::remove_file(desk.0.join("peers.json")).unwrap();
    let output = desk.bench(&SMALL, "floor-b");
    assert!(!output.status.success() && said(&output).contains("peers.json: No such file"));
}

#[test]
fn a_subject_names_the_processes_that_count() {
    // Its own memory would be more than a megabyte.
    let script = "import subprocess; s = subprocess.Popen(['sleep', '60']); \
                  print('pids', s.pid, flush=True); \
                  import runpy; runpy.run_path('tests/support/plain.py')";
    let desk = Desk::new("pids", &json!([peer("outside", &format!("python3 -c \"{script}\""))]));
    let output = desk.bench(&SMALL, "outside");
    assert!(output.status.success(), "{}", said(&output));
    let bytes = &desk.report()["summary"]["outside"]["rss_anon_bytes"]["median"];
    assert!((1.0..1e6).contains(&bytes.as_f64().unwrap()), "{bytes}");
}

/// A run that hangs in its middle, and the processes of its subject.
fn hang(desk: &Desk) -> (Child, Vec<PathBuf>) {
    let notes = ["shell", "child"].map(|name| desk.0.join(name));
    let mut command = desk.command(&SMALL, "plain");
    command.env("PLAIN_FAULT", "hang").env("NOTES", &desk.0).args(["--limit-seconds", "1"]);
    let child = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let pid = |note: &PathBuf| std::fs::read_to_string(note).ok()?.trim().parse::<u32>().ok();
    wait_until("the subject has begun", || notes.iter().all(|note| pid(note).is_some()));
    (child, notes.iter().map(|note| format!("/proc/{}", pid(note).unwrap()).into()).collect())
}

#[test]
fn no_process_of_a_subject_outlives_the_benchmark() {
    let command =
        format!("sh -c 'echo $$ >$NOTES/shell; sleep 600 & echo $! >$NOTES/child; exec {PLAIN}'");
    let desk = Desk::new("outlive", &json!([peer("plain", &command)]));
    // One that is given up is ended with all that it has started.
    let (mut bench, processes) = hang(&desk);
    assert!(!bench.wait().unwrap().success());
    wait_until("all have ended", || processes.iter().all(|process| !process.exists()));
    for note in ["shell", "child"] {
        std::fs::remove_file(desk.0.join(note)).unwrap();
    }
    // One whose benchmark is killed ends by itself.
    let (mut bench, processes) = hang(&desk);
    bench.kill().unwrap();
    bench.wait().unwrap();
    wait_until("the subject has ended", || !processes[0].exists());
    let sleeper = processes[1].file_name().unwrap().to_str().unwrap();
    assert!(Command::new("kill").arg(sleeper).status().unwrap().success());
}
