//! The scenarios that measure the engine by itself, with small loads; and the check of the recorded
//! instructions.

use std::process::Command;

use serde_json::json;

use crate::support::{bench, checkout, errors, fails_with, report, Folder};

#[test]
fn deliveries_to_sinks_are_verified_and_timed_for_each_size() {
    let words = "sinks --sizes 50,20000 --deliveries 60000 --batch 16 --repeat 2";
    let report = report(words);
    assert_eq!(report["runs"].as_array().unwrap().len(), 4);
    let large = &report["summary"]["20000"];
    // Three passes of one event, three of 16, and three of one again.
    assert_eq!(large["deliveries"]["median"], 20_000.0 * (3 + 3 * 16 + 3) as f64);
    let bytes = large["bytes_per_connection"]["median"].as_f64().unwrap();
    assert!((40.0..=256.0).contains(&bytes), "{bytes}");
    for size in ["50", "20000"] {
        for figure in ["delivery_ns", "delivery_in_batch_ns", "delivery_shuffled_ns", "sink_ns"] {
            assert!(report["summary"][size][figure]["min"].as_f64().unwrap() > 0.0, "{figure}");
        }
    }
    assert_eq!(report["summary"]["50"]["ratio_to_first"]["median"], 1.0);
}

#[test]
fn each_of_many_topics_gets_its_own_events() {
    let words = "topics-sinks --topics 10,5000 --events 2000 --repeat 1";
    let report = report(words);
    for topics in ["10", "5000"] {
        let figures = &report["summary"][topics];
        assert_eq!(figures["deliveries"]["median"], 4_000.0);
        assert!(figures["event_ns"]["median"].as_f64().unwrap() > 0.0);
    }
    assert!(report["summary"]["5000"]["bytes_per_topic"]["median"].as_f64().unwrap() > 100.0);
}

#[test]
fn calls_of_publish_are_timed_in_rust_and_in_what_another_program_says() {
    let folder = Folder::new("publish-call");
    let program =
        folder.script("c", "#!/bin/sh\necho \"{\\\"publish_ns\\\": $2, \\\"calls\\\": $1}\"\n");
    let words = format!("publish-call --calls 2000 --repeat 1 --c-program {}", program.display());
    let report = report(&words);
    assert!(report["summary"]["rust"]["publish_ns"]["median"].as_f64().unwrap() > 0.0);
    assert_eq!(report["summary"]["rust"]["calls"]["median"], 2_000.0);
    assert_eq!(report["summary"]["c"]["calls"]["median"], 2_000.0);
    assert_eq!(report["summary"]["c"]["publish_ns"]["median"], 128.0);
    assert_eq!(report["summary"]["c-by-name"]["publish_ns"]["median"], 128.0);
    assert_eq!(report["summary"]["c-threads"]["publish_ns"]["median"], 128.0);
    assert!(report["summary"]["rust-threads"]["publish_ns"]["median"].as_f64().unwrap() > 0.0);
}

#[test]
fn the_cpu_of_a_caller_and_of_the_journals_writer_are_told_at_a_rate() {
    let report = report("publish-call --calls 2000 --repeat 1 --per-second 4000");
    let figure = |subject: &str, key: &str| report["summary"][subject][key]["median"].as_f64();
    for subject in ["rust", "rust-os", "rust-interval"] {
        assert!(figure(subject, "publish_ns").unwrap() >= 250_000.0, "{subject}");
        assert!(figure(subject, "cpu_ns").unwrap() > 0.0, "{subject}");
    }
    assert!(figure("rust-interval", "writer_ns").unwrap() > 0.0);
    assert_eq!(figure("rust", "writer_ns"), None);
}

#[test]
fn a_start_is_timed_and_has_all_that_was_kept() {
    let report = report("restart --events 5000 --topics 1,100 --repeat 1");
    for topics in ["1", "100"] {
        let figure = |key: &str| report["summary"][topics][key]["median"].as_f64().unwrap();
        assert_eq!(figure("events"), 5000.0);
        assert!(figure("start_ns") > 0.0 && figure("floor_ns") > 0.0);
        assert!(figure("folder_bytes") > 5000.0 * 128.0);
    }
}

#[test]
fn what_cannot_be_measured_is_said() {
    fails_with(&mut bench("restart --events 10 --topics 11"), "--events must be");
    fails_with(&mut bench("publish-call --calls 4000 --per-second 1"), "more than an hour");
    fails_with(&mut bench("sinks --sizes 0"), "--sizes must be");
    fails_with(&mut bench("sinks --batch 1000"), "--batch must be");
    fails_with(&mut bench("topics-sinks --topics 10 --connections 5"), "--topics must be");
    fails_with(&mut bench("publish-call --calls 0"), "--calls must be");
    fails_with(&mut bench("publish-call --calls 1001"), "--calls must be a multiple of 4");
    fails_with(&mut bench("publish-call --calls 12 --c-program /nowhere"), "/nowhere: ");
    fails_with(&mut bench("publish-call --calls 12 --c-program /bin/false"), "it ended with");
    fails_with(&mut bench("publish-call --calls 12 --c-program /bin/true"), "says \"\"");
}

#[test]
fn a_function_that_takes_more_instructions_than_recorded_fails_the_check() {
    let folder = Folder::new("instructions");
    let recorded = json!({
        "tolerance": 0.03,
        "recorded_with": {},
        "instructions": {"encode event": 1000, "parse head": 500},
    });
    let recorded = folder.write("recorded.json", &recorded.to_string());
    let check = |encode: u64, parse: Option<u64>| {
        let summary = |function: &str, instructions: u64| {
            let counted = json!({"total": {"metrics": {"Ir": {"values": {"new": instructions}}}}});
            let profile = json!({"tool": "Callgrind", "data": counted});
            let id = if function == "encode" { "event" } else { "head" };
            json!({"function_name": function, "id": id, "profiles": [profile]}).to_string()
        };
        let parse = parse.map(|instructions| summary("parse", instructions)).unwrap_or_default();
        let counts = folder.write("counts", &format!("{}\n{parse}\n", summary("encode", encode)));
        let script = checkout().join("benches/instructions.py");
        let mut command = Command::new("python3");
        command.arg(script).arg("--against").arg(&recorded).arg("--counts").arg(counts);
        let output = command.output().unwrap();
        (output.status.success(), errors(&output))
    };
    assert_eq!(check(1_030, Some(500)), (true, String::new()));
    let (passed, said) = check(1_031, Some(500));
    assert!(!passed && said.contains("encode event takes more than 3% more"), "{said}");
    let (passed, said) = check(900, Some(500));
    assert!(passed && said.contains("encode event takes less"), "{said}");
    let (passed, said) = check(1_000, None);
    assert!(!passed && said.contains("parse head is recorded only"), "{said}");
}
