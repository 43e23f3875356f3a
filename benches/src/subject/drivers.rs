//! What drives the shards of the engine as a subject: its own threads, or an executor.

use std::io;
use std::thread;

use fanfare::{Driver, Hub, Options};

use crate::subject::Kind;
use crate::Error;

/// How many threads the multi-threaded executor has. As each subject, all run on one core.
const TOKIO_WORKERS: usize = 2;

/// Starts a hub whose shards are driven as the kind of subject says, until the hub is closed.
pub(crate) fn start(kind: Kind, options: Options) -> Result<Hub, Error> {
    let spawn: fn(Vec<Driver>) -> io::Result<()> = match kind {
        Kind::FloorA | Kind::FloorB | Kind::Fanfare => return Ok(Hub::start(options)?),
        Kind::FanfareSmol => on_smol,
        Kind::FanfareTokio => on_tokio,
        Kind::FanfareTokioMulti => on_tokio_multi,
        Kind::FanfareBlockOn => on_block_on,
    };
    let (hub, drivers) = Hub::with_drivers(options)?;
    spawn(drivers)?;
    Ok(hub)
}

/// The global executor of smol, which has one thread unless `SMOL_THREADS` says otherwise.
fn on_smol(drivers: Vec<Driver>) -> io::Result<()> {
    drivers.into_iter().for_each(|driver| smol::spawn(serve(driver)).detach());
    Ok(())
}

/// One thread with tokio's current-thread runtime, which has neither tokio's timer nor its poller.
fn on_tokio(drivers: Vec<Driver>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let run = move || {
        let tasks: Vec<_> = drivers.into_iter().map(|d| runtime.spawn(serve(d))).collect();
        runtime.block_on(async {
            for task in tasks {
                // A panic has been reported by then.
                let _ = task.await;
            }
        });
    };
    thread::Builder::new().name("bench-tokio".to_owned()).spawn(run).map(drop)
}

/// The same with the runtime of several threads.
fn on_tokio_multi(drivers: Vec<Driver>) -> io::Result<()> {
    let workers = TOKIO_WORKERS;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).build()?;
    drivers.into_iter().for_each(|driver| drop(runtime.spawn(serve(driver))));
    // Dropping it would end its threads. It is in use until the process ends.
    std::mem::forget(runtime);
    Ok(())
}

/// A thread for each shard, with a `block_on` that only parks it.
fn on_block_on(drivers: Vec<Driver>) -> io::Result<()> {
    for driver in drivers {
        let run = move || futures_lite::future::block_on(serve(driver));
        thread::Builder::new().name("bench-block-on".to_owned()).spawn(run)?;
    }
    Ok(())
}

async fn serve(driver: Driver) {
    if let Err(error) = driver.drive().await {
        eprintln!("a shard has ended, its poller failed: {error}");
    }
}
