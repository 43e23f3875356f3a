//! The workers of a crew, seen from the process that started them.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::worker::{Order, Standing, Word};
use super::Error;

/// How long a worker may say nothing. It says something twenty times a second.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The longest line of a worker, in bytes: the harvest of thousands of classes.
const LINE_BYTES_MAX: u64 = 256 << 20;

/// Processes that each hold a share of the connections. Dropping them ends them.
pub(super) struct Workers {
    workers: Vec<Worker>,
    notes: mpsc::Receiver<Note>,
}

struct Worker {
    child: Child,
    stdin: ChildStdin,
    latest: Arc<Mutex<Latest>>,
}

/// What was last heard of a worker. Only the newest standing is kept, so none waits in a queue.
struct Latest {
    standing: Standing,
    heard_at: Instant,
}

enum Note {
    /// Some standing is new.
    Moved,
    Said(usize, Word),
    Ended(usize),
}

impl Workers {
    /// Starts `count` processes. They run on the cores that the calling thread may use.
    pub(super) fn start(count: usize) -> Result<Self, Error> {
        // A worker says at most two things before it is asked again.
        let (sender, notes) = mpsc::sync_channel(4 * count);
        let mut workers = Vec::with_capacity(count);
        for index in 0..count {
            let mut child = Command::new(std::env::current_exe()?)
                .args(["bench", "client-worker"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let stdin = child.stdin.take().ok_or("a worker without stdin")?;
            let stdout = child.stdout.take().ok_or("a worker without stdout")?;
            let latest = Latest { standing: Standing::default(), heard_at: Instant::now() };
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
    pub(super) fn len(&self) -> usize {
        self.workers.len()
    }

    /// Gives one worker an order.
    pub(super) fn tell(&mut self, index: usize, order: &Order) -> Result<(), Error> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        match self.workers[index].stdin.write_all(&line) {
            Ok(()) => Ok(()),
            // It is gone; why, it may have said before.
            Err(_) => loop {
                if let Some(word) = self.hear(SILENCE_MAX)? {
                    drop(word);
                }
            },
        }
    }

    /// Gives all workers the same order.
    pub(super) fn tell_all(&mut self, order: &Order) -> Result<(), Error> {
        (0..self.len()).try_for_each(|index| self.tell(index, order))
    }

    /// One answer of each of the workers, in their order. `look_on` is called whenever one of them
    /// has got on.
    pub(super) fn answers(&mut self, mut look_on: impl FnMut(&Self)) -> Result<Vec<Word>, Error> {
        let mut answers: Vec<Option<Word>> = self.workers.iter().map(|_| None).collect();
        while answers.iter().any(Option::is_none) {
            if let Some((index, word)) = self.hear(Duration::from_millis(100))? {
                answers[index] = Some(word);
            }
            look_on(self);
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Waits for at most `timeout` until something is new: an answer, or a standing (`None`).
    ///
    /// # Errors
    ///
    /// When a worker has failed, ended, or fallen silent.
    pub(super) fn hear(&mut self, timeout: Duration) -> Result<Option<(usize, Word)>, Error> {
        match self.notes.recv_timeout(timeout) {
            Ok(Note::Said(index, Word::Failed(message))) => {
                Err(format!("{}: {message}", self.name(index)).into())
            }
            Ok(Note::Said(index, word)) => Ok(Some((index, word))),
            Ok(Note::Ended(index)) => {
                let status = self.workers[index].child.wait()?;
                Err(format!("{} ended early, with {status}", self.name(index)).into())
            }
            // The others may go on while one has stopped.
            Ok(Note::Moved) | Err(RecvTimeoutError::Timeout) => self.check_silence(),
            Err(RecvTimeoutError::Disconnected) => Err("all client workers are gone".into()),
        }
    }

    /// The newest standing of each.
    pub(super) fn standings(&self) -> impl Iterator<Item = Standing> + '_ {
        self.workers.iter().map(|worker| lock(&worker.latest).standing.clone())
    }

    fn check_silence(&self) -> Result<Option<(usize, Word)>, Error> {
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
            Err(error) => Note::Said(index, Word::Failed(format!("said nonsense: {error}"))),
            Ok(Word::Standing(standing)) => {
                *lock(latest) = Latest { standing, heard_at: Instant::now() };
                // If the queue is full, whoever takes from it will look at the standing anyway.
                let _ = sender.try_send(Note::Moved);
                continue;
            }
            Ok(word) => Note::Said(index, word),
        };
        lock(latest).heard_at = Instant::now();
        let is_over = !matches!(
            note,
            Note::Said(_, Word::Connected(_) | Word::Ready { .. } | Word::Harvests(_))
        );
        if sender.send(note).is_err() || is_over {
            return;
        }
    }
}

/// What is under the lock is replaced as a whole, so a panic elsewhere cannot have broken it.
fn lock(latest: &Mutex<Latest>) -> std::sync::MutexGuard<'_, Latest> {
    latest.lock().unwrap_or_else(PoisonError::into_inner)
}
