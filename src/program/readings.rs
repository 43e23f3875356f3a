//! What the kernel tells of the machine in `/proc`: proc(5).

use std::fs;
use std::io;

/// The load averages of one, five and fifteen minutes.
pub(crate) fn load() -> io::Result<[f64; 3]> {
    read("/proc/loadavg", parse_load)
}

/// How long the processors have been busy and idle.
pub(crate) fn cpu_times() -> io::Result<CpuTimes> {
    read("/proc/stat", CpuTimes::parse)
}

pub(crate) fn memory() -> io::Result<Memory> {
    read("/proc/meminfo", Memory::parse)
}

/// What all network interfaces have received and sent, the loopback among them.
pub(crate) fn traffic() -> io::Result<Traffic> {
    read("/proc/net/dev", Traffic::parse)
}

/// The times of all processors together since the machine started, in clock ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpuTimes {
    busy: u64,
    total: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) used_bytes: u64,
    pub(crate) total_bytes: u64,
}

/// Bytes since the machine started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
}

fn read<T>(path: &str, parse: impl Fn(&str) -> Option<T>) -> io::Result<T> {
    let text = fs::read_to_string(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
    let strange = || io::Error::new(io::ErrorKind::InvalidData, format!("{path} is strange"));
    parse(&text).ok_or_else(strange)
}

fn parse_load(text: &str) -> Option<[f64; 3]> {
    let mut fields = text.split_ascii_whitespace().map(|field| field.parse().ok());
    Some([fields.next()??, fields.next()??, fields.next()??])
}

impl CpuTimes {
    /// The line `cpu`: user, nice, system, idle, iowait, irq, softirq, steal; the times of guests,
    /// which follow, are in user and nice already.
    fn parse(text: &str) -> Option<CpuTimes> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let times = line.split_ascii_whitespace().take(8).map(|field| field.parse::<u64>().ok());
        let times: Vec<u64> = times.collect::<Option<_>>()?;
        let total = times.iter().sum();
        let idle = times.get(3)? + times.get(4).unwrap_or(&0);
        Some(CpuTimes { busy: total - idle, total })
    }

    /// The share of the time since then, 0 to 1, that the processors were busy; nothing when no
    /// time has passed. Counters may go back a little, as proc(5) says of iowait.
    pub(crate) fn busy_since(&self, before: &CpuTimes) -> Option<f64> {
        let total = self.total.checked_sub(before.total).filter(|&total| total > 0)?;
        let busy = self.busy.saturating_sub(before.busy).min(total);
        let share = busy as f64 / total as f64;
        Some((share * 1000.0).round() / 1000.0)
    }
}

impl Memory {
    fn parse(text: &str) -> Option<Memory> {
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
            kib.checked_mul(1024)
        };
        let total_bytes = bytes("MemTotal")?;
        // Before Linux 3.14 there is no MemAvailable.
        let available = bytes("MemAvailable").or_else(|| bytes("MemFree"))?;
        Some(Memory { used_bytes: total_bytes.saturating_sub(available), total_bytes })
    }
}

impl Traffic {
    /// Two lines of headings, and then a line for each interface: its name, a colon, eight
    /// columns of what it received and eight of what it sent, the bytes first.
    fn parse(text: &str) -> Option<Traffic> {
        let mut sum = Traffic { received_bytes: 0, sent_bytes: 0 };
        for line in text.lines().skip(2) {
            let (_, columns) = line.rsplit_once(':')?;
            let columns: Vec<&str> = columns.split_ascii_whitespace().collect();
            sum.received_bytes += columns.first()?.parse::<u64>().ok()?;
            sum.sent_bytes += columns.get(8)?.parse::<u64>().ok()?;
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_the_first_three_numbers() {
        assert_eq!(parse_load("0.15 1.20 11.05 2/345 6789\n"), Some([0.15, 1.2, 11.05]));
        assert_eq!(parse_load("0.15 1.20"), None);
        assert_eq!(parse_load(""), None);
    }

    #[test]
    fn waiting_for_io_and_guests_are_not_busy_time() {
        let text = "cpu  10 5 20 100 40 3 2 1 7 7\ncpu0 1 2 3 4 5 6 7 8 9 9\nintr 1\n";
        let times = CpuTimes::parse(text).unwrap();
        assert_eq!(times, CpuTimes { busy: 41, total: 181 });
        assert_eq!(CpuTimes::parse("cpu0 1 2 3 4\n"), None);
        assert_eq!(CpuTimes::parse("cpu  1 2 x 4\n"), None);
    }

    #[test]
    fn the_busy_share_is_of_the_time_between_two_readings() {
        let before = CpuTimes { busy: 100, total: 1000 };
        let share = |busy, total| CpuTimes { busy, total }.busy_since(&before);
        assert_eq!(share(125, 1100), Some(0.25));
        assert_eq!(share(100, 1000), None);
        assert_eq!(share(99, 1100), Some(0.0));
        assert_eq!(share(100, 999), None);
    }

    #[test]
    fn memory_that_can_be_had_is_not_used() {
        let text = "MemTotal:        1000 kB\nMemFree:  100 kB\nMemAvailable:    400 kB\n";
        let memory = Memory { used_bytes: 600 * 1024, total_bytes: 1000 * 1024 };
        assert_eq!(Memory::parse(text), Some(memory));
        assert_eq!(Memory::parse("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn the_traffic_is_that_of_all_interfaces() {
        let text = "Inter-|   Receive            |  Transmit\n face |bytes ...\n\
            \x20   lo:  100  1 0 0 0 0 0 0  100  1 0 0 0 0 0 0\n\
            eth0:1:2000  9 0 0 0 0 0 0   30  3 0 0 0 0 0 0\n";
        let traffic = Traffic { received_bytes: 2100, sent_bytes: 130 };
        assert_eq!(Traffic::parse(text), Some(traffic));
        assert_eq!(Traffic::parse("a\nb\nlo: 1 2\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_all_readings() {
        assert!(load().unwrap().iter().all(|load| *load >= 0.0));
        assert!(memory().unwrap().used_bytes > 0);
        cpu_times().unwrap();
        traffic().unwrap();
    }
}
