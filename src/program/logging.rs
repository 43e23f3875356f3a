//! The log on standard error, which never waits for its reader.
//!
//! Standard error may be a pipe that no program reads. So lines go through a bounded queue to a
//! thread of its own, which alone writes. When the queue is full, a line is dropped and counted;
//! the count is logged as soon as standard error takes lines again, and is a metric.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What may wait to be written: lines, and their bytes.
const LINES_MAX: usize = 4096;
const BYTES_MAX: usize = 1 << 20;
/// How long the program waits for the last lines to be written when it was told to end.
const FLUSH_TIME_MAX: Duration = Duration::from_millis(200);
/// The same at an end by an error, whose reason is the last line. Nothing waits for that end, and
/// on a busy machine the writer may not have its turn within the shorter time.
const ERROR_FLUSH_TIME_MAX: Duration = Duration::from_secs(5);
/// How often a standard error that does not block is tried again.
const RETRY_TIME: Duration = Duration::from_millis(10);

static QUEUE: Queue = Queue::new();

/// Levels as they are given on the command line: one for all, and `MODULE=LEVEL` for some.
///
/// # Errors
///
/// When a part is neither. The crate that reads them would take a misspelt level for a module's
/// name, and log nothing.
pub(crate) fn levels(text: &str) -> Result<String, String> {
    let is_level = |level: &str| level.parse::<log::LevelFilter>().is_ok();
    let wrong = text
        .split(',')
        .map(str::trim)
        .find(|part| !is_level(part.split_once('=').map_or(*part, |(_, level)| level)));
    match wrong {
        None => Ok(text.to_owned()),
        Some(part) => Err(format!(
            "'{part}' is no level: off, error, warn, info, debug or trace, or MODULE=LEVEL"
        )),
    }
}

/// Begins to log at the given levels, such as `info` or `warn,fanfare::program=debug`, and logs
/// panics as well.
///
/// # Errors
///
/// When the system gives no thread.
pub(crate) fn begin(levels: &str) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("fanfare-log".to_owned());
    thread.spawn(|| QUEUE.write_all_to(io::stderr()))?;
    env_logger::Builder::new()
        .parse_filters(levels)
        .format_timestamp_millis()
        .target(env_logger::Target::Pipe(Box::new(&QUEUE)))
        .init();
    // The standard library's own hook writes to standard error itself, and so may wait.
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::capture();
        let thread = std::thread::current();
        say(&format!("thread {:?}: {panic}\n{trace}", thread.name().unwrap_or_default()));
        if thread.name() == Some("main") {
            flush();
        }
    }));
    Ok(())
}

/// Writes a line at any log level.
pub(crate) fn say(line: &str) {
    QUEUE.put(format!("{line}\n").into_bytes());
}

/// Waits until everything is written, but no longer than a moment.
pub(crate) fn flush() {
    QUEUE.flush(FLUSH_TIME_MAX);
}

/// The same at an end by an error, for longer.
pub(crate) fn flush_error() {
    QUEUE.flush(ERROR_FLUSH_TIME_MAX);
}

/// Lines that were dropped since the program's start.
pub(crate) fn lost_lines() -> u64 {
    QUEUE.lock().lost_ever
}

struct Queue {
    locked: Mutex<Locked>,
    /// Notified when there is something to write, and when all of it is written.
    changed: Condvar,
}

struct Locked {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether the writer has taken a line that it has not written yet.
    writing: bool,
    lost_ever: u64,
    /// How many of these the reader was not told of.
    lost_unsaid: u64,
}

impl Queue {
    const fn new() -> Queue {
        let lines = VecDeque::new();
        let locked = Locked { lines, bytes: 0, writing: false, lost_ever: 0, lost_unsaid: 0 };
        Queue { locked: Mutex::new(locked), changed: Condvar::new() }
    }

    /// Nothing that is done under the lock waits for anything.
    fn lock(&self) -> MutexGuard<'_, Locked> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, line: Vec<u8>) {
        let mut locked = self.lock();
        let note = locked.note();
        let (lines, bytes) =
            (1 + note.iter().len(), line.len() + note.as_ref().map_or(0, Vec::len));
        if locked.lines.len() + lines > LINES_MAX || locked.bytes + bytes > BYTES_MAX {
            return locked.lose();
        }
        if let Some(note) = note {
            locked.lost_unsaid = 0;
            locked.push(note);
        }
        locked.push(line);
        drop(locked);
        self.changed.notify_all();
    }

    /// Writes the queued lines, without end. A line that cannot be written is lost, and the next
    /// one is tried.
    fn write_all_to(&self, mut out: impl Write) {
        let mut written = false;
        loop {
            let line = self.next(written);
            written = write_patiently(&mut out, &line).is_ok();
            if !written {
                self.lock().lose();
            }
        }
    }

    /// Waits for a line to write; after one that was written and was the last, that is how many
    /// were lost behind it.
    fn next(&self, written: bool) -> Vec<u8> {
        let mut locked = self.lock();
        loop {
            locked.writing = true;
            if let Some(line) = locked.lines.pop_front() {
                locked.bytes -= line.len();
                return line;
            }
            if let Some(note) = written.then(|| locked.note()).flatten() {
                locked.lost_unsaid = 0;
                return note;
            }
            locked.writing = false;
            self.changed.notify_all();
            locked = self.changed.wait(locked).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn flush(&self, time_max: Duration) {
        let deadline = Instant::now() + time_max;
        let mut locked = self.lock();
        while locked.writing || !locked.lines.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(locked, left);
            locked = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Locked {
    fn push(&mut self, line: Vec<u8>) {
        self.bytes += line.len();
        self.lines.push_back(line);
    }

    fn lose(&mut self) {
        self.lost_ever += 1;
        self.lost_unsaid += 1;
    }

    /// How many lines were lost, if any were since this was last told.
    fn note(&self) -> Option<Vec<u8>> {
        let lost = self.lost_unsaid;
        let note = || format!("fanfare: {lost} lines are missing here: standard error was full\n");
        (lost > 0).then(|| note().into_bytes())
    }
}

/// Writes a line, and waits for a reader also when standard error does not block, which another
/// program that shares it may have set.
fn write_patiently(out: &mut impl Write, mut line: &[u8]) -> io::Result<()> {
    while !line.is_empty() {
        match out.write(line) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(bytes) => line = &line[bytes..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(RETRY_TIME);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A record comes with one call.
impl Write for &Queue {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.put(record.to_vec());
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{self, Receiver, SyncSender};

    /// A reader that takes a line only when the test does.
    struct Reluctant(SyncSender<Vec<u8>>);

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn reluctant() -> (&'static Queue, Receiver<Vec<u8>>) {
        let queue: &Queue = Box::leak(Box::new(Queue::new()));
        let (sender, lines) = mpsc::sync_channel(0);
        std::thread::spawn(move || queue.write_all_to(Reluctant(sender)));
        (queue, lines)
    }

    fn text(lines: &Receiver<Vec<u8>>) -> String {
        let line = lines.recv_timeout(Duration::from_secs(20)).expect("there is a line");
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn unread_lines_are_dropped_counted_and_reported_where_they_are_missing() {
        let (queue, lines) = reluctant();
        let given = 3 * LINES_MAX;
        queue.put(b"0\n".to_vec());
        // The writer has taken the first line, and takes no other before that is read.
        while !queue.lock().lines.is_empty() {
            std::thread::yield_now();
        }
        (1..given).for_each(|n| queue.put(format!("{n}\n").into_bytes()));
        let begun = Instant::now();
        queue.flush(Duration::from_millis(50));
        assert!(begun.elapsed() >= Duration::from_millis(50), "nothing is written");
        let lost = queue.lock().lost_ever as usize;
        let kept = given - lost;
        assert_eq!(kept, LINES_MAX + 1);
        assert!((0..kept).all(|n| text(&lines) == format!("{n}\n")));
        assert!(text(&lines).contains(&format!(" {lost} lines are missing")));
        queue.put(b"later\n".to_vec());
        assert_eq!(text(&lines), "later\n");
        queue.flush(Duration::from_secs(20));
        assert!(!queue.lock().writing);
    }

    #[test]
    fn bytes_are_bounded_as_well() {
        let queue = Queue::new();
        (0..6).for_each(|_| queue.put(vec![b'x'; BYTES_MAX / 4]));
        let locked = queue.lock();
        assert_eq!((locked.bytes, locked.lost_ever), (BYTES_MAX, 2));
    }

    #[test]
    fn the_note_that_lines_are_missing_is_within_the_bounds_too() {
        let queue = Queue::new();
        (0..5).for_each(|_| queue.put(vec![b'x'; BYTES_MAX / 4]));
        // There is room for the line again, and for no note with it.
        queue.next(true);
        queue.put(vec![b'x'; BYTES_MAX / 4]);
        assert!(queue.lock().bytes <= BYTES_MAX);
        assert_eq!(queue.lock().lost_ever, 2);
        queue.put(b"short\n".to_vec());
        assert!((0..3).all(|_| queue.next(true).len() == BYTES_MAX / 4));
        assert!(queue.next(true).starts_with(b"fanfare: 2 lines are missing"));
        assert_eq!(queue.next(true), b"short\n");

        (0..LINES_MAX + 1).for_each(|_| queue.put(b"x".to_vec()));
        queue.next(true);
        queue.put(b"y".to_vec());
        assert!(queue.lock().lines.len() <= LINES_MAX);
        assert_eq!(queue.lock().lost_ever, 4);
    }

    #[test]
    fn a_reader_that_is_gone_is_not_tried_without_pause() {
        let (queue, lines) = reluctant();
        drop(lines);
        (0..10).for_each(|_| queue.put(b"x\n".to_vec()));
        queue.flush(Duration::from_secs(20));
        let lost = queue.lock().lost_ever;
        // Each line, and at most as many notes that some are missing.
        assert!((10..=20).contains(&lost), "{lost}");
    }
}
