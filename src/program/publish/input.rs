//! Standard input, read by a thread of its own, since a read may wait for ever.

use std::io::{self, Read};

use async_channel::Receiver;

/// The most bytes that are read at once.
const BLOCK_BYTES_MAX: usize = 64 << 10;
/// Blocks that may wait to be sent.
const BLOCKS_MAX: usize = 4;

/// Blocks of standard input.
pub(super) struct Input {
    blocks: Receiver<io::Result<Vec<u8>>>,
}

impl Input {
    /// Starts the thread that reads. It ends with the process, should it never get to read again.
    pub(super) fn start() -> io::Result<Input> {
        let (sender, blocks) = async_channel::bounded(BLOCKS_MAX);
        std::thread::Builder::new().name("standard input".to_owned()).spawn(move || {
            let mut input = io::stdin().lock();
            let mut buffer = vec![0; BLOCK_BYTES_MAX];
            loop {
                let block = match input.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(count) => Ok(buffer[..count].to_vec()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let last = block.is_err();
                if sender.send_blocking(block).is_err() || last {
                    return;
                }
            }
        })?;
        Ok(Input { blocks })
    }

    /// What ends the input from outside: what was read before is still there.
    pub(super) fn closer(&self) -> Receiver<io::Result<Vec<u8>>> {
        self.blocks.clone()
    }

    /// The next block; `None` at the end.
    pub(super) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.blocks.recv().await.ok().transpose()
    }
}
