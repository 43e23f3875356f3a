//! What drives the hubs of the tests: `FANFARE_TEST_DRIVER` names it, so that the same tests run
//! with the engine's own threads and under each executor.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::thread;

use fanfare::{Driver, Hub, Options, StartError};
use smol::channel::{bounded, Receiver, Sender};
use smol::future::{self, FutureExt};

/// The environment variable that names what drives the hubs.
const VARIABLE: &str = "FANFARE_TEST_DRIVER";
/// How many threads the multi-threaded executor has.
const TOKIO_WORKERS: usize = 2;

/// What drives the shards of a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// The engine's own threads.
    Threads,
    /// smol's global executor.
    Smol,
    /// Tokio's current-thread runtime, without its timer and its poller: one for each hub.
    Tokio,
    /// Tokio's multi-thread runtime, as bare.
    TokioMulti,
    /// A `block_on` that knows no poller and no timer, on a plain thread for each shard.
    BlockOn,
}

/// A drive that a test can drop in the middle.
pub struct Driven {
    drop_it: Sender<()>,
    /// Closed when the future is gone.
    gone: Receiver<()>,
}

impl Executor {
    pub const ALL: [Executor; 5] = [
        Executor::Threads,
        Executor::Smol,
        Executor::Tokio,
        Executor::TokioMulti,
        Executor::BlockOn,
    ];

    /// Those that drive futures.
    pub const OF_FUTURES: [Executor; 4] =
        [Executor::Smol, Executor::Tokio, Executor::TokioMulti, Executor::BlockOn];

    /// The one that the environment names.
    ///
    /// # Panics
    ///
    /// When it names none that there is.
    pub fn chosen() -> Executor {
        static CHOSEN: OnceLock<Executor> = OnceLock::new();
        *CHOSEN.get_or_init(|| match std::env::var(VARIABLE) {
            Err(std::env::VarError::NotPresent) => Executor::Threads,
            name => Executor::of_name(name.as_deref().unwrap_or_default()),
        })
    }

    /// # Panics
    ///
    /// When there is none of this name.
    pub fn of_name(name: &str) -> Executor {
        let found = Executor::ALL.into_iter().find(|executor| executor.name() == name);
        found.unwrap_or_else(|| {
            let names = Executor::ALL.map(Executor::name).join(", ");
            panic!("{VARIABLE} is {name:?}, which is none of {names}")
        })
    }

    fn name(self) -> &'static str {
        match self {
            Executor::Threads => "threads",
            Executor::Smol => "smol",
            Executor::Tokio => "tokio",
            Executor::TokioMulti => "tokio-multi",
            Executor::BlockOn => "block-on",
        }
    }

    /// Starts a hub, which is driven until it is closed.
    pub fn start(self, options: Options) -> Result<Hub, StartError> {
        if self == Executor::Threads {
            return Hub::start(options);
        }
        let (hub, drivers) = Hub::with_drivers(options)?;
        self.run(drivers.into_iter().map(serve).collect());
        Ok(hub)
    }

    /// Has each driver driven until the hub is closed, or a test drops its future.
    pub fn drive(self, drivers: Vec<Driver>) -> Vec<Driven> {
        let (driven, tasks) = drivers.into_iter().map(droppable).unzip();
        self.run(tasks);
        driven
    }

    /// Runs futures to their end.
    fn run(self, tasks: Vec<Task>) {
        match self {
            Executor::Threads => unreachable!("the engine's threads drive no future"),
            Executor::Smol => tasks.into_iter().for_each(|task| smol::spawn(task).detach()),
            Executor::Tokio => {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let tasks: Vec<_> = tasks.into_iter().map(|task| runtime.spawn(task)).collect();
                thread::spawn(move || {
                    runtime.block_on(async {
                        for task in tasks {
                            task.await.expect("no shard panics");
                        }
                    })
                });
            }
            Executor::TokioMulti => {
                let runtime = tokio_workers();
                tasks.into_iter().for_each(|task| drop(runtime.spawn(task)));
            }
            Executor::BlockOn => {
                for task in tasks {
                    thread::spawn(|| future::block_on(task));
                }
            }
        }
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

fn serve(driver: Driver) -> Task {
    Box::pin(async { driver.drive().await.expect("the poller does not fail") })
}

fn droppable(driver: Driver) -> (Driven, Task) {
    let (drop_it, dropping) = bounded(1);
    let (going, gone) = bounded(1);
    let task = Box::pin(async move {
        let dropped = async {
            // Ends when it is told to, and never if it is not.
            if dropping.recv().await.is_err() {
                future::pending::<()>().await;
            }
        };
        serve(driver).or(dropped).await;
        drop(going);
    });
    (Driven { drop_it, gone }, task)
}

impl Driven {
    /// Drops the future, in the middle of whatever it does, and waits until that is done.
    pub fn cancel(self) {
        self.drop_it.try_send(()).expect("it is driven");
        self.wait();
    }

    /// Waits until the future has ended.
    pub fn wait(self) {
        let too_late = async {
            smol::Timer::after(super::DEADLINE).await;
            panic!("the shard's future does not end")
        };
        // Nothing is ever sent.
        let ended = async { self.gone.recv().await.unwrap_err() };
        future::block_on(ended.or(too_late));
    }
}

/// Its threads are those of all tests.
fn tokio_workers() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(TOKIO_WORKERS).build().unwrap()
    })
}
