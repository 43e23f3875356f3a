//! The engine with as many clients as a process holds, checked event by event. Only in release
//! builds (`cargo test --release -p fanfare-bench --test scale`, as `make test` does), since a
//! debug build is too slow. The bounds are generous, because a test machine is busy with other
//! things; the figures that the engine reaches are in the README.

#![cfg(not(debug_assertions))]

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::time::{clock_gettime, ClockId};
use serde_json::Value;

/// Runs a scenario, which fails when an event is lost, doubled or out of order
/// for any client, or a client is disconnected; and returns its figures.
fn bench(scenario: &str) -> Value {
    let name = scenario.split(' ').next().expect("a scenario has a name");
    let file = std::env::temp_dir().join(format!("fanfare-{name}-{}.json", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_fanfare-bench"))
        .args(scenario.split(' '))
        .args(["--subjects", "fanfare", "--limit-seconds", "600"])
        .args(["--json".as_ref(), file.as_os_str()])
        .output()
        .expect("the program runs");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = std::fs::read_to_string(&file).expect("a report was written");
    std::fs::remove_file(&file).expect("the report can be removed");
    let report: Value = serde_json::from_str(&report).expect("a report is JSON");
    report["summary"]["fanfare"].clone()
}

fn median(figures: &Value, name: &str) -> f64 {
    figures[name]["median"].as_f64().unwrap_or_else(|| panic!("{name} in {figures}"))
}

/// How many times the time that something may take on a machine that is this test's alone it may
/// take now: once, or many times where others use the cores, since a thread then waits for its
/// turn. Threads on all cores find out whether they have these to themselves.
fn slack() -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shares = std::thread::scope(|scope| {
        let spinners: Vec<_> = (0..cores).map(|_| scope.spawn(share_of_a_core)).collect();
        spinners.into_iter().map(|spinner| spinner.join().unwrap()).collect::<Vec<_>>()
    });
    let least = shares.into_iter().fold(1.0, f64::min);
    println!("a thread gets {:.0} % of a core", 100.0 * least);
    if least > 0.9 {
        1.0
    } else {
        30.0
    }
}

fn share_of_a_core() -> f64 {
    let cpu = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
    };
    let (begun, cpu_before) = (Instant::now(), cpu());
    while begun.elapsed() < Duration::from_millis(500) {}
    (cpu() - cpu_before) / begun.elapsed().as_secs_f64()
}

const MIB: f64 = (1 << 20) as f64;

/// One test, as its parts would disturb each other.
#[test]
fn ten_thousand_clients_are_served_as_promised() {
    let slack = slack();
    // 1,000 events each, every one in order, none lost, none doubled.
    let figures = bench("saturation --clients 10000 --events 1000");
    assert_eq!(median(&figures, "deliveries"), 10_000_000.0);

    // Without pause: memory stays flat and no client is disconnected, as the publisher has to wait.
    let figures = bench("saturation --clients 10000 --events 2000");
    assert_eq!(median(&figures, "deliveries"), 20_000_000.0);
    assert!(median(&figures, "rss_peak_bytes") < 32.0 * MIB, "{figures}");
    assert!(median(&figures, "deliveries_per_s") > 1e6 / slack, "{figures}");

    // A message for one client while 10,000 are sent other events.
    let figures = bench("unicast --clients 10000 --seconds 3 --flood-events 0");
    assert!(median(&figures, "solo_latency_p50_ns") < 5e6 * slack, "{figures}");
    assert!(median(&figures, "solo_latency_p99_ns") < 40e6 * slack, "{figures}");

    let figures = bench("idle-memory --clients 10000");
    assert!(median(&figures, "bytes_per_client") <= 256.0, "{figures}");

    // Coming and going leaves nothing behind.
    let figures = bench("churn --count 50000");
    assert!(median(&figures, "growth_bytes") < MIB, "{figures}");
    assert_eq!(median(&figures, "sockets_left"), 0.0);
}
