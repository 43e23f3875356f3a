//! Every scenario with real processes and real sockets: small loads, right and wrong ones.

use std::process::Command;

use serde_json::Value;

use crate::support::{bench, errors, fails_with, report, Folder, PLAIN, PROGRAM};

#[test]
fn every_delivery_of_a_flood_is_counted() {
    let words =
        "saturation --clients 50 --events 300 --repeat 2 --subjects floor-b,floor-a,fanfare";
    let report = report(words);
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
fn a_pace_is_kept_and_one_clients_messages_are_timed_beside_it() {
    let words = "unicast --clients 20 --rate 20 --seconds 1 --flood-events 0 --subjects floor-a";
    let report = report(words);
    let figures = &report["summary"]["floor-a"];
    assert_eq!(figures["deliveries"]["median"], 400.0);
    assert!(figures["publish_elapsed_ns"]["median"].as_f64().unwrap() > 0.9e9);
    assert!(figures["solo_events"]["median"].as_f64().unwrap() > 10.0);
}

#[test]
fn connections_come_and_go_without_a_trace() {
    let words = "churn --count 500 --concurrency 20 --subjects floor-a";
    let churn = report(words);
    assert_eq!(churn["summary"]["floor-a"]["connections"]["median"], 500.0);
    assert_eq!(churn["summary"]["floor-a"]["sockets_left"]["median"], 0.0);
    for scenario in ["connect", "idle-memory"] {
        let report = report(&format!("{scenario} --clients 50 --subjects floor-a,fanfare"));
        assert_eq!(report["parameters"]["clients"], 50);
    }
}

fn small(scenario: &str) -> Value {
    report(&format!("run {scenario} --size small"))
}

/// A figure of a subject in one part of a report, or in a report of one part.
fn figure(report: &Value, part: Option<&str>, subject: &str, name: &str) -> f64 {
    let document = match part {
        None => report,
        Some(part) => {
            let parts = report["parts"].as_array().unwrap();
            parts.iter().find(|document| document["part"] == part).unwrap()
        }
    };
    let median = &document["summary"][subject][name]["median"];
    median.as_f64().unwrap_or_else(|| panic!("{part:?} {subject} {name}: {document}"))
}

#[test]
fn small_scenarios_without_sockets_measure_the_engine_by_itself() {
    let (sinks, topics, calls) = (small("sinks"), small("topics-sinks"), small("publish-call"));
    for size in ["100", "1000"] {
        assert!(figure(&sinks, None, size, "delivery_ns") > 0.0);
        assert!(figure(&sinks, None, size, "deliveries") >= 20_000.0);
    }
    for topics_of in ["10", "1000"] {
        assert!(figure(&topics, None, topics_of, "event_ns") > 0.0);
    }
    for subject in ["rust", "rust-no-history"] {
        assert_eq!(figure(&calls, None, subject, "calls"), 10_000.0);
    }
    assert_eq!(calls["scenario"], "publish-call");
}

#[test]
fn each_part_is_drawn_in_a_file_of_its_own() {
    let folder = Folder::new("drawn");
    let line = "run unicast-under-broadcast --size small --part paced --part flood --clients 10";
    report(&format!("{line} --plot {}", folder.file("drawing.svg").display()));
    for part in ["paced", "flood"] {
        let file = folder.file(&format!("drawing-{part}.svg"));
        let drawing = std::fs::read_to_string(&file).unwrap();
        assert!(drawing.contains(&format!("unicast-under-broadcast ({part})")), "{drawing}");
    }
}

fn is_near(found: f64, wanted: f64) -> bool {
    (found / wanted - 1.0).abs() < 0.2
}

#[test]
fn every_scenario_is_listed_and_has_a_test_here() {
    let output = list("--names");
    let names: Vec<&str> = output.lines().collect();
    assert_eq!(
        names,
        [
            "paced",
            "saturation",
            "unicast-under-broadcast",
            "many-topics",
            "topic-growth",
            "connect-storm",
            "reconnect-replay",
            "slow-clients",
            "slow-clients-drop-oldest",
            "slow-clients-conflate",
            "idle-memory",
            "churn",
            "growth",
            "shards",
            "drivers",
            "sinks",
            "topics-sinks",
            "publish-call"
        ]
    );
    let listed = list("--size small");
    assert!(listed.contains("paced: A steady pace"), "{listed}");
    assert!(listed.contains("clients 50") && listed.contains("[floor-a, fanfare]"), "{listed}");
}

fn list(options: &str) -> String {
    let output = Command::new(PROGRAM).arg("list").args(options.split(' ')).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn small_paced_and_saturation_deliver_all_at_their_pace() {
    let (paced, flood) = (small("paced"), small("saturation"));
    for subject in ["floor-a", "fanfare"] {
        assert_eq!(figure(&paced, None, subject, "deliveries"), 1_000.0);
        // Not faster than they are due, and slower only as much as a busy machine makes it.
        let rate = figure(&paced, None, subject, "deliveries_per_s");
        assert!((1_050.0 / 5.0..1_050.0 * 1.2).contains(&rate), "{rate}");
        assert!(figure(&paced, None, subject, "latency_p50_ns") < 5e9);
    }
    for subject in ["floor-b", "fanfare"] {
        assert_eq!(figure(&flood, None, subject, "deliveries"), 25_000.0);
        assert!(figure(&flood, None, subject, "deliveries_per_s") > 1_000.0);
    }
    // Far fewer batches than events: they were gathered.
    assert!(figure(&flood, None, "fanfare", "batches") < 400.0);
}

#[test]
fn small_unicast_tells_where_a_messages_time_goes_and_its_publisher_is_never_refused() {
    let report = small("unicast-under-broadcast");
    for part in ["paced", "flood", "flood-from-call"] {
        let of = |name| figure(&report, Some(part), "fanfare", name);
        assert!(of("solo_events") > 2.0);
        assert_eq!(of("solo_refused"), 0.0);
        assert!(of("solo_late_p50_ns") <= of("solo_late_p99_ns"));
        assert!(of("solo_call_p50_ns") > 0.0 && of("solo_call_p99_ns") < 10e9);
    }
    // What was due is timed from then on.
    let of = |name| figure(&report, Some("paced"), "fanfare", name);
    assert!(of("solo_latency_max_ns") >= of("solo_late_p50_ns"));
}

#[test]
fn a_publisher_that_waits_for_a_full_backlog_is_counted() {
    // A topic's backlog takes one of these, and writing it to 300 takes far longer than making the
    // next, however the machine's cores are shared. All of them together are less than a client may
    // lag, so that none is disconnected where the clients get no core for a while.
    let words = "saturation --clients 300 --bytes 30000 --events 30 --subjects fanfare";
    let report = report(words);
    assert_eq!(figure(&report, None, "fanfare", "deliveries"), 9_000.0);
    assert!(figure(&report, None, "fanfare", "room_waits") > 0.0, "{report}");
}

#[test]
fn small_reconnect_replay_gives_each_client_what_it_missed_from_few_parts() {
    let report = small("reconnect-replay");
    for part in ["one-id-quiet", "one-id", "spread-ids"] {
        let of = |name| figure(&report, Some(part), "fanfare", name);
        assert!(of("replay_ns") > 0.0 && of("replay_cpu_ratio") > 0.0);
        assert!(of("connect_ns") > 0.0 && of("broadcast_cpu_ns") > 0.0);
        // 600 events that 60 clients missed; the last of them at least were not live.
        assert!(of("replayed_events") <= 60.0 * 700.0);
    }
    let quiet = |name| figure(&report, Some("one-id-quiet"), "fanfare", name);
    assert_eq!((quiet("missed_min"), quiet("missed_max")), (600.0, 600.0));
    assert_eq!(quiet("replayed_events"), 60.0 * 600.0);
    assert_eq!(quiet("replay_deliveries"), 60.0 * 600.0);
    // The events 101 to 700, cut at 256 and 512: gathered for one client, and shared by all.
    assert_eq!(quiet("gathered_parts"), 3.0);
    let spread = |name| figure(&report, Some("spread-ids"), "fanfare", name);
    // How much more some have missed than others, and whether anything is gathered before the replay is
    // measured, depends on when a busy machine lets them come back.
    assert!(spread("missed_min") + 50.0 < spread("missed_max"), "{report}");
    assert!(spread("missed_max") > 500.0, "{report}");
}

#[test]
fn small_many_topics_delivers_to_each_client_what_its_two_topics_have() {
    let report = small("many-topics");
    for (part, subjects, shared, singles) in [
        ("paced", ["floor-a", "fanfare"], 10.0, 20.0),
        ("flood", ["floor-b", "fanfare"], 200.0, 25.0),
    ] {
        for subject in subjects {
            let of = |name| figure(&report, Some(part), subject, name);
            // 60 clients on 40 topics: as many events to each topic, or one more.
            let own = of("own_deliveries");
            assert_eq!(of("deliveries"), 60.0 * shared + own);
            assert!(is_near(own, shared * singles * 60.0 / 40.0), "{own}");
            assert_eq!(of("events_published"), shared * (singles + 1.0));
            assert!(of("own_latency_p50_ns") > 0.0 && of("shared_latency_p50_ns") > 0.0);
        }
    }
    let growth = small("topic-growth");
    assert_eq!(figure(&growth, Some("paced-4"), "fanfare", "deliveries"), 1_000.0);
    let across = growth["across"].as_array().unwrap();
    let row =
        across.iter().find(|row| row["part"] == "paced-40" && row["subject"] == "fanfare").unwrap();
    let cost = |part| figure(&growth, Some(part), "fanfare", "server_cpu_per_delivery_ns");
    assert_eq!(row["figure"], "server_cpu_per_delivery_ns");
    let ratio = row["ratio"].as_f64().unwrap();
    // JSON's decimals may differ from the number in the last bit.
    assert!((ratio - cost("paced-40") / cost("paced-4")).abs() < 1e-9, "{ratio}");
    assert!(row["ratio_to_floor"].is_number());
}

#[test]
fn small_slow_clients_are_cut_or_lag_and_the_others_have_everything() {
    let report = small("slow-clients");
    for (part, deliveries) in [("paced", 5_400.0), ("flood", 90_000.0)] {
        let slow_part = format!("{part}-slow");
        assert_eq!(figure(&report, Some(part), "fanfare", "deliveries"), deliveries);
        let of = |name| figure(&report, Some(&slow_part), "fanfare", name);
        assert_eq!(of("deliveries"), deliveries);
        assert_eq!(of("slow_clients"), 5.0);
        assert!(of("slow_delivered") > 0.0);
        assert_eq!(of("slow_cut"), of("disconnects_lagging") + of("disconnects_error"));
        assert_eq!(of("disconnects_client_closed"), 0.0);
    }
    // In the flood they are less than a megabyte behind, with what is kept beside the bytes.
    assert_eq!(figure(&report, Some("paced-slow"), "fanfare", "disconnects_lagging"), 5.0);
    assert_eq!(figure(&report, Some("flood-slow"), "fanfare", "slow_cut"), 0.0);
    // Others may lag at that moment as well, and have caught up since.
    assert!(figure(&report, Some("flood-slow"), "fanfare", "lagging") >= 5.0);
}

#[test]
fn small_slow_clients_skip_or_are_conflated_and_the_others_have_everything() {
    for (scenario, figure_of_policy) in [
        ("slow-clients-drop-oldest", "dropped_events"),
        ("slow-clients-conflate", "conflated_events"),
    ] {
        let report = small(scenario);
        for (part, deliveries) in [("paced-slow", 5_400.0), ("flood-slow", 270_000.0)] {
            let of = |name| figure(&report, Some(part), "fanfare", name);
            assert_eq!(of("deliveries"), deliveries);
            assert_eq!((of("slow_clients"), of("slow_cut")), (5.0, 0.0));
            assert!(of("slow_delivered") > 0.0 && of("slow_missed") > 0.0);
            assert!(of(figure_of_policy) > 0.0);
            assert!(of("lag_bytes") > 0.0 && of("lag_bytes") < 3.0 * 1048576.0);
        }
    }
}

#[test]
fn small_connections_come_stay_and_go() {
    let (storm, churn) = (small("connect-storm"), small("churn"));
    for subject in ["floor-a", "fanfare"] {
        assert!(figure(&storm, None, subject, "connect_ns") > 0.0);
        assert_eq!(figure(&churn, None, subject, "connections"), 1_000.0);
        assert_eq!(figure(&churn, None, subject, "sockets_left"), 0.0);
    }
    let idle = small("idle-memory");
    assert!(figure(&idle, None, "fanfare", "bytes_per_client") < 64.0 * 1024.0);
    assert_eq!(figure(&idle, None, "fanfare", "sockets_left"), 0.0);
}

#[test]
fn small_growth_and_shards_lose_nothing_and_are_compared_part_by_part() {
    let growth = small("growth");
    for (part, deliveries) in [("20", 400.0), ("80", 1_600.0)] {
        for subject in ["floor-a", "fanfare"] {
            assert_eq!(figure(&growth, Some(part), subject, "deliveries"), deliveries);
        }
    }
    assert_eq!(growth["across"].as_array().unwrap().len(), 4);
    let shards = small("shards");
    for part in ["flood-1", "flood-2"] {
        assert_eq!(figure(&shards, Some(part), "fanfare", "deliveries"), 60_000.0);
    }
    // Both shards have clients: each begins a batch for every event.
    let of = |part| figure(&shards, Some(part), "fanfare", "batches");
    assert!(of("paced-2") > 1.5 * of("paced-1"));
}

#[test]
fn definitions_from_a_file_are_run_instead_of_the_built_in_ones() {
    let folder = Folder::new("scenarios");
    let definition = r#"[{"name": "mine", "about": "mine", "kind": "stream",
        "full": {"clients": 3, "events": 4, "subjects": ["floor-b"]},
        "small": {"clients": 3, "events": 2, "subjects": ["floor-b"]}}]"#;
    let file = folder.write("mine.json", definition);
    let report = report(&format!("run mine --scenarios {} --clients 5", file.display()));
    assert_eq!(figure(&report, None, "floor-b", "deliveries"), 20.0);
    assert_eq!(
        (&report["scenario"], &report["parameters"]["clients"]),
        (&"mine".into(), &5.into())
    );
}

#[test]
fn a_server_that_does_wrong_fails_the_run() {
    let run = || {
        let mut command = bench("saturation --clients 5 --events 100 --bytes 64 --subjects plain");
        command.arg("--peer").arg(format!("plain={PLAIN}"));
        command
    };
    assert!(run().status().unwrap().success());
    let faults = [
        ("lose", "lost: 1"),
        ("double", "doubled: 1"),
        ("swap", "reordered: 1"),
        ("damage", "malformed: 1"),
        ("cut", "closed 1 connections"),
    ];
    for (fault, message) in faults {
        fails_with(run().env("PLAIN_FAULT", fault), message);
    }
}

#[test]
fn what_cannot_be_run_is_said_at_once() {
    let wrong = [
        ("saturation --subjects nothing", "no subject \"nothing\""),
        ("saturation --clients 30000000", "clients must be 1 to 1000000"),
        ("connect --attach http://192.168.1.1:80/", "not a loopback address"),
        ("paced --attach http://127.0.0.1:80/", "use `bench watch"),
        ("watch --seconds 1", "watch needs --attach"),
        ("paced --rate 0", "rate must be more than 0"),
        ("saturation --subjects floor-b --bytes 1", "bytes must be"),
        ("connect --events 3", "there is no parameter events here"),
        ("run growth --clients 3", "clients differs from part to part"),
        ("run nothing", "no scenario \"nothing\"; there are paced,"),
        ("run growth --part x", "no part \"x\"; there are"),
        ("run paced churn --json report.json", "--json and --plot have to be directories"),
        ("run sinks --subjects many", "subjects are numbers here"),
        ("run sinks --clients 3", "there is no parameter clients here"),
        (
            "run publish-call --subjects c",
            "the subjects here are rust,rust-no-history, or these and c",
        ),
        ("run publish-call --plot x.svg", "nothing to plot"),
        ("run reconnect-replay --subjects floor-a", "floor-a keeps no history here"),
        ("run paced --scenarios Cargo.toml", "Cargo.toml: "),
    ];
    for (line, message) in wrong {
        fails_with(&mut bench(line), message);
    }
}

#[test]
fn small_drivers_delivers_all_whatever_drives_the_engine() {
    let report = small("drivers");
    let subjects = ["", "-smol", "-tokio", "-tokio-multi", "-block-on"];
    for (part, deliveries) in [("paced", 800.0), ("flood", 12_000.0), ("single", 100.0)] {
        for subject in subjects.map(|driver| format!("fanfare{driver}")) {
            assert_eq!(figure(&report, Some(part), &subject, "deliveries"), deliveries);
            assert!(figure(&report, Some(part), &subject, "server_cpu_per_delivery_ns") > 0.0);
        }
    }
}
