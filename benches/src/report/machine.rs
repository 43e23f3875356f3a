//! What figures were taken on and with: machine, program, command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{json, Value};

/// The machine: processor, its cores, kernel, system, memory in bytes.
pub(crate) fn describe() -> Value {
    let cpuinfo = read("/proc/cpuinfo");
    let field = |text: &str, name: &str, mark: char| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.split_once(mark));
        value.map(|(_, value)| value.trim().trim_matches('"').to_owned())
    };
    // Not `available_parallelism`, which knows of the pinned thread's one core only.
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor\t")).count();
    let memory = field(&read("/proc/meminfo"), "MemTotal", ':');
    let kib = memory.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    json!({
        "cpu": field(&cpuinfo, "model name", ':'),
        "cores": cores,
        "memory_bytes": kib.map(|kib| kib * 1024),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "system": field(&read("/etc/os-release"), "PRETTY_NAME", '='),
    })
}

/// The program: its version, and the commit of the checkout that it lies in, if it does.
pub(crate) fn program() -> Value {
    json!({"version": env!("CARGO_PKG_VERSION"), "commit": checkout().and_then(|at| commit(&at))})
}

/// The command as it can be given anywhere: `fanfare bench`, no file of this machine by its full
/// path, and not where the results went.
pub(crate) fn command(words: impl Iterator<Item = String>) -> Vec<String> {
    const RESULTS: [&str; 2] = ["--json", "--plot"];
    let mut kept = vec!["fanfare".to_owned(), "bench".to_owned()];
    let mut words = words.skip(1);
    while let Some(word) = words.next() {
        match word.split_once('=') {
            _ if RESULTS.contains(&word.as_str()) => drop(words.next()),
            Some((name, _)) if RESULTS.contains(&name) => {}
            _ => kept.push(without_folders(&word)),
        }
    }
    kept
}

/// Every absolute path in a word becomes its last component.
fn without_folders(word: &str) -> String {
    let parts = word.split_inclusive([' ', '=', ',']);
    parts
        .map(|part| match part.rsplit_once('/') {
            Some((_, name)) if part.starts_with('/') => name,
            _ => part,
        })
        .collect()
}

/// The folder of the checkout of fanfare's sources that this program lies in.
fn checkout() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let is_checkout = |folder: &&Path| {
        folder.join(".git").exists()
            && read(folder.join("Cargo.toml")).contains("\nname = \"fanfare\"\n")
    };
    program.ancestors().find(is_checkout).map(Path::to_owned)
}

/// Its commit, and whether there are changes beyond it; `None` without git.
fn commit(checkout: &Path) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(checkout)
        .args(["describe", "--always", "--abbrev=12", "--exclude=*", "--dirty"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let commit = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| commit.trim().to_owned())
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_no_folder_of_this_machine() {
        let line = "/a/b/fanfare-bench paced --json /t/x.json --plot=/t/y.svg --repeat 3 \
                    --peer plain=/usr/bin/python3|/home/me/plain.py --attach http://127.0.0.1:1/e";
        let words = line.split(' ').map(|word| word.replace('|', " "));
        let kept = command(words).join(" ");
        assert_eq!(
            kept,
            "fanfare bench paced --repeat 3 --peer plain=python3 plain.py \
             --attach http://127.0.0.1:1/e"
        );
    }

    #[test]
    fn the_machine_has_a_kernel_memory_and_all_of_its_cores() {
        let machine = describe();
        assert!(machine["cores"].as_u64().unwrap() >= 1);
        assert!(machine["memory_bytes"].as_u64().unwrap() > 1 << 20);
        assert!(!machine["kernel"].as_str().unwrap().is_empty());
    }
}
