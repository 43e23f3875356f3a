//! What `/proc` tells about the processes of a server: CPU time, memory, descriptors. Their
//! children count with them.

use std::fs;
use std::ops::Add;

use crate::Error;

/// `/proc/PID/stat` counts CPU time in hundredths of a second on every Linux.
const TICK_NS: u64 = 10_000_000;
const KIB: u64 = 1024;
/// The most processes that one subject may be.
const PROCESSES_MAX: usize = 256;

/// Memory of processes and their children, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Memory {
    /// Resident, anonymous: heap and stacks.
    pub(crate) rss_anon_bytes: u64,
    /// The most that was ever resident.
    pub(crate) rss_peak_bytes: u64,
}

/// CPU time that processes and their children have used, in nanoseconds.
pub(crate) fn cpu_ns(pids: &[u32]) -> Result<u64, Error> {
    sum(pids, process_cpu_ns)
}

/// Memory of processes and their children.
pub(crate) fn memory(pids: &[u32]) -> Result<Memory, Error> {
    sum(pids, |pid| {
        let status = read(pid, "status")?;
        Ok(Memory {
            rss_anon_bytes: kib_of(&status, "RssAnon:") * KIB,
            rss_peak_bytes: kib_of(&status, "VmHWM:") * KIB,
        })
    })
}

/// Has the most that was ever resident count from now on. Where the system does not allow it, it
/// counts from the process's beginning as before.
pub(crate) fn forget_peak(pids: &[u32]) -> Result<(), Error> {
    for pid in family(pids) {
        // 5 resets VmHWM: proc_pid_clear_refs(5).
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
    Ok(())
}

/// How many sockets processes and their children hold.
pub(crate) fn sockets(pids: &[u32]) -> Result<usize, Error> {
    sum(pids, |pid| {
        let entries = fs::read_dir(format!("/proc/{pid}/fd"))
            .map_err(|error| format!("process {pid}: {error}"))?;
        let mut count = 0;
        for entry in entries {
            // A descriptor that was closed since is none.
            let link = fs::read_link(entry?.path());
            count += usize::from(
                link.is_ok_and(|link| link.as_os_str().as_encoded_bytes().starts_with(b"socket:")),
            );
        }
        Ok(count)
    })
}

/// Adds up a figure of the processes and all that descend from them.
fn sum<T: Default + Add<Output = T>>(
    pids: &[u32],
    figure: impl Fn(u32) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut sum = T::default();
    for pid in family(pids) {
        match figure(pid) {
            Ok(part) => sum = sum + part,
            // A child that has ended since it was listed has nothing.
            Err(_) if !pids.contains(&pid) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sum)
}

impl Add for Memory {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            rss_anon_bytes: self.rss_anon_bytes + other.rss_anon_bytes,
            rss_peak_bytes: self.rss_peak_bytes + other.rss_peak_bytes,
        }
    }
}

/// The processes and all that descend from them, each once.
fn family(ancestors: &[u32]) -> Vec<u32> {
    let mut pids = ancestors.to_vec();
    let mut at = 0;
    while at < pids.len() && pids.len() < PROCESSES_MAX {
        for task in tasks(pids[at]) {
            let children = fs::read_to_string(format!("{task}/children")).unwrap_or_default();
            let children = children.split_whitespace().filter_map(|word| word.parse::<u32>().ok());
            for child in children {
                if !pids.contains(&child) {
                    pids.push(child);
                }
            }
        }
        at += 1;
    }
    pids
}

fn tasks(pid: u32) -> Vec<String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.path().to_string_lossy().into_owned()).collect()
}

/// The sum over the threads is exact but forgets threads that have ended; the process's own count
/// remembers them but is rounded down to 10 ms. The greater of the two is nearer.
fn process_cpu_ns(pid: u32) -> Result<u64, Error> {
    let by_thread: u64 = tasks(pid)
        .iter()
        .filter_map(|task| fs::read_to_string(format!("{task}/schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    let stat = read(pid, "stat")?;
    // The name, in parentheses, may hold anything; fields 14 and 15 are utime and stime.
    let after_name = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|word| word.parse::<u64>().ok())
        .sum();
    Ok(by_thread.max(ticks * TICK_NS))
}

fn read(pid: u32, file: &str) -> Result<String, Error> {
    fs::read_to_string(format!("/proc/{pid}/{file}"))
        .map_err(|error| format!("process {pid}: {error}").into())
}

fn kib_of(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_uses_cpu_and_opens_sockets() {
        let pids = [std::process::id()];
        let memory = memory(&pids).unwrap();
        assert!(memory.rss_anon_bytes > 0 && memory.rss_peak_bytes >= memory.rss_anon_bytes);
        let before_ns = cpu_ns(&pids).unwrap();
        let begun = std::time::Instant::now();
        while begun.elapsed().as_millis() < 60 {}
        assert!(cpu_ns(&pids).unwrap() > before_ns);
        let _sockets: Vec<_> =
            (0..40).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        assert!(sockets(&pids).unwrap() >= 40);
        assert!(cpu_ns(&[u32::MAX]).is_err());
    }

    #[test]
    fn children_count_with_their_parents_and_none_counts_twice() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (parent, child_pid) = (std::process::id(), child.id());
        assert!(family(&[parent]).contains(&child_pid));
        let both = family(&[parent, child_pid]);
        assert_eq!(both.iter().filter(|pid| **pid == child_pid).count(), 1);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!family(&[parent]).contains(&child_pid));
    }
}
