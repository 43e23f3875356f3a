//! The whole of `bench` with real processes and real sockets: small loads, right and wrong ones.

use std::process::{Command, Output};

use serde_json::Value;

fn bench(words: &[&str], fault: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fanfare"))
        .arg("bench")
        .args(words)
        .args(["--unpinned", "--limit-seconds", "60"])
        .env("PLAIN_FAULT", fault)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

fn succeed(words: &[&str], name: &str) -> Value {
    let directory = std::env::temp_dir().join(format!("fanfare-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join(name);
    let output = bench(&[words, &["--json", file.to_str().unwrap()]].concat(), "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_delivery_of_a_flood_is_counted() {
    let words =
        "saturation --clients 50 --events 300 --repeat 2 --subjects floor-b,floor-a,fanfare";
    let report = succeed(&words.split(' ').collect::<Vec<_>>(), "flood.json");
    assert_eq!(report["runs"].as_array().unwrap().len(), 6);
    for subject in ["floor-a", "floor-b", "fanfare"] {
        let figures = &report["summary"][subject];
        assert_eq!(figures["deliveries"]["median"], 15_000.0);
        assert!(figures["latency_p99_ns"]["median"].as_f64().unwrap() > 0.0);
        assert!(figures["server_cpu_per_delivery_ns"]["median"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(report["floor"], "floor-b");
    assert!(report["summary"]["floor-a"]["deliveries_per_s"]["ratio_to_floor"].is_number());
}

#[test]
fn a_pace_is_kept_and_one_persons_messages_are_timed_beside_it() {
    let words = "unicast --clients 20 --rate 20 --seconds 1 --flood-events 0 --subjects floor-a";
    let report = succeed(&words.split(' ').collect::<Vec<_>>(), "unicast.json");
    let figures = &report["summary"]["floor-a"];
    assert_eq!(figures["deliveries"]["median"], 400.0);
    assert!(figures["publish_elapsed_ns"]["median"].as_f64().unwrap() > 0.9e9);
    assert!(figures["solo_events"]["median"].as_f64().unwrap() > 50.0);
}

#[test]
fn connections_come_and_go_without_a_trace() {
    let words = "churn --count 500 --concurrency 20 --subjects floor-a";
    let report = succeed(&words.split(' ').collect::<Vec<_>>(), "churn.json");
    assert_eq!(report["summary"]["floor-a"]["connections"]["median"], 500.0);
    assert_eq!(report["summary"]["floor-a"]["sockets_left"]["median"], 0.0);
    for scenario in ["connect", "idle-memory"] {
        let words = [scenario, "--clients", "50", "--subjects", "floor-a,fanfare"];
        let report = succeed(&words, &format!("{scenario}.json"));
        assert_eq!(report["parameters"]["clients"], 50);
    }
}

#[test]
fn a_server_that_does_wrong_fails_the_run() {
    let peer = "plain=python3 tests/support/plain.py";
    let words = ["saturation", "--clients", "5", "--events", "100", "--bytes", "64"];
    let words = [&words[..], &["--peer", peer, "--subjects", "plain"]].concat();
    assert!(bench(&words, "").status.success());
    let faults = [
        ("lose", "lost: 1"),
        ("double", "doubled: 1"),
        ("swap", "reordered: 1"),
        ("damage", "malformed: 1"),
        ("cut", "closed 1 connections"),
    ];
    for (fault, message) in faults {
        let output = bench(&words, fault);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(message), "{fault}: {said}");
    }
}

#[test]
fn what_cannot_be_run_is_said_at_once() {
    let wrong = [
        ("saturation --subjects nothing", "no subject \"nothing\""),
        ("saturation --clients 30000", "--clients must be"),
        ("connect --attach http://192.168.1.1:80/", "not a loopback address"),
        ("watch --seconds 1", "watch needs --attach"),
        ("paced --rate 0", "--rate must be more"),
        ("saturation --subjects floor-b --bytes 1", "--bytes must be"),
    ];
    for (words, message) in wrong {
        let output = bench(&words.split(' ').collect::<Vec<_>>(), "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(message), "{words}: {said}");
    }
}
