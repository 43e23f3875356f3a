//! The worker processes of a run, seen from the process that started them.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clients::worker::{Reply, Status, Task};
use crate::Error;

/// How long a worker may say nothing. It says something twenty times a second.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The longest line of a worker, in bytes: the harvest of thousands of classes.
const LINE_BYTES_MAX: u64 = 256 << 20;

/// Processes that each hold a share of the connections. Dropping them ends them.
pub(crate) struct Workers {
    workers: Vec<Worker>,
    notes: mpsc::Receiver<Note>,
}

struct Worker {
    child: Child,
    stdin: ChildStdin,
    latest: Arc<Mutex<Latest>>,
}

/// What was last heard of a worker. Only the newest status is kept, so none waits in a queue.
struct Latest {
    status: Status,
    heard_at: Instant,
}

enum Note {
    /// Some status is new.
    Moved,
    Said(usize, Reply),
    Ended(usize),
}

impl Workers {
    /// Starts `count` processes. They run on the cores that the calling thread may use.
    pub(crate) fn start(count: usize) -> Result<Self, Error> {
        // A worker says at most two things before it is asked again.
        let (sender, notes) = mpsc::sync_channel(4 * count);
        let mut workers = Vec::with_capacity(count);
        for index in 0..count {
            let mut child = Command::new(std::env::current_exe()?)
                .arg("client-worker")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let stdin = child.stdin.take().ok_or("a worker without stdin")?;
            let stdout = child.stdout.take().ok_or("a worker without stdout")?;
            let latest = Latest { status: Status::default(), heard_at: Instant::now() };
            let latest = Arc::new(Mutex::new(latest));
            workers.push(Worker { child, stdin, latest: latest.clone() });
            let sender = sender.clone();
            std::thread::Builder::new()
                .name("bench-worker".to_owned())
                .spawn(move || listen(index, stdout, &latest, &sender))?;
        }
        Ok(Self { workers, notes })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }

    /// Gives one worker a task.
    pub(crate) fn tell(&mut self, index: usize, task: &Task) -> Result<(), Error> {
        let mut line = serde_json::to_vec(task)?;
        line.push(b'\n');
        match self.workers[index].stdin.write_all(&line) {
            Ok(()) => Ok(()),
            // It is gone; why, it may have said before.
            Err(_) => loop {
                if let Some(reply) = self.hear(SILENCE_MAX)? {
                    drop(reply);
                }
            },
        }
    }

    /// Gives all workers the same task.
    pub(crate) fn tell_all(&mut self, task: &Task) -> Result<(), Error> {
        (0..self.len()).try_for_each(|index| self.tell(index, task))
    }

    /// One answer of each of the workers, in their order. `look_on` is called whenever one of them
    /// has sent something.
    pub(crate) fn answers(&mut self, mut look_on: impl FnMut(&Self)) -> Result<Vec<Reply>, Error> {
        let mut answers: Vec<Option<Reply>> = self.workers.iter().map(|_| None).collect();
        while answers.iter().any(Option::is_none) {
            if let Some((index, reply)) = self.hear(Duration::from_millis(100))? {
                answers[index] = Some(reply);
            }
            look_on(self);
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Waits for at most `timeout` until something is new: an answer, or a status (`None`).
    ///
    /// # Errors
    ///
    /// When a worker has failed, ended, or fallen silent.
    pub(crate) fn hear(&mut self, timeout: Duration) -> Result<Option<(usize, Reply)>, Error> {
        match self.notes.recv_timeout(timeout) {
            Ok(Note::Said(index, Reply::Failed(message))) => {
                Err(format!("{}: {message}", self.name(index)).into())
            }
            Ok(Note::Said(index, reply)) => Ok(Some((index, reply))),
            Ok(Note::Ended(index)) => {
                let status = self.workers[index].child.wait()?;
                Err(format!("{} ended early, with {status}", self.name(index)).into())
            }
            // The others may go on while one has stopped.
            Ok(Note::Moved) | Err(RecvTimeoutError::Timeout) => self.check_silence(),
            Err(RecvTimeoutError::Disconnected) => Err("all client workers are gone".into()),
        }
    }

    /// The newest status of each.
    pub(crate) fn statuses(&self) -> impl Iterator<Item = Status> + '_ {
        self.workers.iter().map(|worker| lock(&worker.latest).status.clone())
    }

    fn check_silence(&self) -> Result<Option<(usize, Reply)>, Error> {
        for (index, worker) in self.workers.iter().enumerate() {
            let silent = lock(&worker.latest).heard_at.elapsed();
            if silent > SILENCE_MAX {
                let message = format!("{} says nothing for {silent:.0?}", self.name(index));
                return Err(message.into());
            }
        }
        Ok(None)
    }

    fn name(&self, index: usize) -> String {
        format!("client worker {} of {}", index + 1, self.len())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            // Both fail only for a process that has ended.
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

/// Takes what a worker says, until it ends.
fn listen(
    index: usize,
    stdout: ChildStdout,
    latest: &Mutex<Latest>,
    sender: &mpsc::SyncSender<Note>,
) {
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = stdout.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        let note = match serde_json::from_slice(&line) {
            _ if !matches!(read, Ok(1..)) => Note::Ended(index),
            Err(error) => {
                Note::Said(index, Reply::Failed(format!("sent what is no reply: {error}")))
            }
            Ok(Reply::Status(status)) => {
                *lock(latest) = Latest { status, heard_at: Instant::now() };
                // If the queue is full, the thread that takes from it looks at the status anyway.
                let _ = sender.try_send(Note::Moved);
                continue;
            }
            Ok(reply) => Note::Said(index, reply),
        };
        lock(latest).heard_at = Instant::now();
        let is_over = !matches!(
            note,
            Note::Said(_, Reply::Connected(_) | Reply::Ready { .. } | Reply::Harvests(_))
        );
        if sender.send(note).is_err() || is_over {
            return;
        }
    }
}

/// What is under the lock is replaced as a whole, so a panic of another thread cannot have broken
/// it.
fn lock(latest: &Mutex<Latest>) -> std::sync::MutexGuard<'_, Latest> {
    latest.lock().unwrap_or_else(PoisonError::into_inner)
}
