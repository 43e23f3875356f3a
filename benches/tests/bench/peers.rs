//! The benchmark's peers: the manifest, and what becomes of peers that are missing or fail.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{json, Value};

use crate::support::{checkout, wait_until, Folder, PLAIN, PROGRAM};

const SMALL: [&str; 5] = ["saturation", "--clients", "5", "--events", "100"];

/// A folder with a manifest in it, and the report of a run with these peers.
struct Peers(Folder);

impl Peers {
    fn new(name: &str, peers: &Value) -> Peers {
        let folder = Folder::new(name);
        let manifest = json!({"root": checkout(), "peers": peers});
        folder.write("peers.json", &manifest.to_string());
        Peers(folder)
    }

    fn command(&self, words: &[&str], subjects: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words).args(["--subjects", subjects, "--unpinned", "--peers"]);
        command.arg(self.0.file("peers.json")).arg("--json").arg(self.0.file("report.json"));
        command
    }

    fn bench(&self, words: &[&str], subjects: &str) -> Output {
        self.command(words, subjects).output().unwrap()
    }

    fn report(&self) -> Value {
        let text = std::fs::read_to_string(self.0.file("report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

fn peer(name: &str, command: &str) -> Value {
    json!({
        "name": name, "software": "asyncio", "version": "3", "description": "a test's",
        "command": command, "needs": ["benches/tests/plain.py"], "scenarios": ["saturation"],
    })
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn every_peer_of_the_repository_can_be_installed_or_says_why_not() {
    let folder = checkout().join("benches/peers");
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
    let peers = Peers::new("measured", &json!([peer("plain", PLAIN)]));
    let mut command = peers.command(&SMALL, "floor-b,plain");
    let output = command.current_dir(&peers.0 .0).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("plain: asyncio 3 (a test's): measured"), "{}", said(&output));
    let report = peers.report();
    assert_eq!(report["summary"]["plain"]["deliveries"]["median"], 500.0);
    assert_eq!(report["peers"][0]["software"], "asyncio 3 (a test's)");
    assert_eq!(report["peers"][0]["outcome"], "measured");
}

#[test]
fn a_peer_that_cannot_be_run_is_told_of_unless_it_was_named() {
    let mut absent = peer("absent", PLAIN);
    absent["needs"] = json!(["benches/tests/plain.py", "no/such/program"]);
    let mut never = peer("never", "");
    never["unavailable"] = json!("it is not published");
    let mut other = peer("other", PLAIN);
    other["scenarios"] = json!(["paced"]);
    let peers = Peers::new("absent", &json!([absent, never, other, peer("plain", PLAIN)]));

    let output = peers.bench(&SMALL, "all-peers");
    assert!(output.status.success(), "{}", said(&output));
    let report = peers.report();
    let expected = [
        ("absent", "not-installed", "not installed: no/such/program is not there"),
        ("never", "not-installed", "not installed: it is not published"),
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
        ("never", "never: it is not published"),
        ("other", "other: cannot do saturation"),
        ("nothing", "no subject \"nothing\""),
    ] {
        let output = peers.bench(&SMALL, &format!("plain,{name}"));
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
    let peers = Peers::new("failing", &peers);
    let words = [&SMALL[..], &["--repeat", "2"]].concat();
    let output = peers.bench(&words, "floor-b,all-peers");
    assert!(!output.status.success());
    assert!(said(&output).contains("runs failed, see the report: loser, crasher"));
    assert!(said(&output).contains("FAILED: run 1: wrong deliveries"), "{}", said(&output));
    let report = peers.report();
    assert_eq!(report["runs"].as_array().unwrap().len(), 4);
    assert_eq!(report["summary"]["plain"]["deliveries"]["median"], 500.0);
    let reason = |place: usize| report["peers"][place]["reason"].as_str().unwrap().to_owned();
    assert!(reason(0).contains("lost: 1"), "{}", reason(0));
    assert!(reason(1).contains("exit status: 7"), "{}", reason(1));
    assert_eq!(report["peers"][2]["outcome"], "measured");
}

#[test]
fn a_manifest_that_is_wrong_is_said_at_once() {
    let peers = Peers::new("wrong", &json!([{"name": "a", "colour": "red"}]));
    let output = peers.bench(&SMALL, "floor-b");
    assert!(!output.status.success() && said(&output).contains("unknown field `colour`"));
    std::fs::remove_file(peers.0.file("peers.json")).unwrap();
    let output = peers.bench(&SMALL, "floor-b");
    assert!(!output.status.success() && said(&output).contains("peers.json: No such file"));
}

#[test]
fn a_subject_names_the_processes_that_count() {
    // Its own memory would be more than a megabyte.
    let script = "import subprocess; s = subprocess.Popen(['sleep', '60']); \
                  print('pids', s.pid, flush=True); \
                  import runpy; runpy.run_path('benches/tests/plain.py')";
    let peers = Peers::new("pids", &json!([peer("outside", &format!("python3 -c \"{script}\""))]));
    let output = peers.bench(&SMALL, "outside");
    assert!(output.status.success(), "{}", said(&output));
    let bytes = &peers.report()["summary"]["outside"]["rss_anon_bytes"]["median"];
    assert!((1.0..1e6).contains(&bytes.as_f64().unwrap()), "{bytes}");
}

/// A run that hangs in its middle, and the processes of its subject.
fn hang(peers: &Peers) -> (Child, Vec<PathBuf>) {
    let notes = ["shell", "child"].map(|name| peers.0.file(name));
    let mut command = peers.command(&SMALL, "plain");
    command.env("PLAIN_FAULT", "hang").env("NOTES", &peers.0 .0).args(["--limit-seconds", "1"]);
    let child = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let pid = |note: &PathBuf| std::fs::read_to_string(note).ok()?.trim().parse::<u32>().ok();
    wait_until("the subject has begun", || notes.iter().all(|note| pid(note).is_some()));
    (child, notes.iter().map(|note| format!("/proc/{}", pid(note).unwrap()).into()).collect())
}

#[test]
fn no_process_of_a_subject_outlives_the_benchmark() {
    let command =
        format!("sh -c 'echo $$ >$NOTES/shell; sleep 600 & echo $! >$NOTES/child; exec {PLAIN}'");
    let peers = Peers::new("outlive", &json!([peer("plain", &command)]));
    // One that is given up is ended with all that it has started.
    let (mut bench, processes) = hang(&peers);
    assert!(!bench.wait().unwrap().success());
    wait_until("all have ended", || processes.iter().all(|process| !process.exists()));
    for note in ["shell", "child"] {
        std::fs::remove_file(peers.0.file(note)).unwrap();
    }
    // One whose benchmark is killed ends by itself.
    let (mut bench, processes) = hang(&peers);
    bench.kill().unwrap();
    bench.wait().unwrap();
    wait_until("the subject has ended", || !processes[0].exists());
    let sleeper = processes[1].file_name().unwrap().to_str().unwrap();
    assert!(Command::new("kill").arg(sleeper).status().unwrap().success());
}
