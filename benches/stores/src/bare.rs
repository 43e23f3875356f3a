//! The floor: the records as they are, with one write for each batch. Nothing is deleted, and
//! nothing could be found.

use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::Path;

use crate::measure::{payload, Failure, Promise, Store, RECORD_BYTES};

pub(crate) struct Bare {
    file: File,
    buffer: Vec<u8>,
}

impl Store for Bare {
    const NAME: &'static str = "bare writes";

    fn open(folder: &Path, _: Promise) -> Result<Bare, Failure> {
        std::fs::create_dir_all(folder)?;
        Ok(Bare { file: File::create(folder.join("file"))?, buffer: Vec::new() })
    }

    fn append(&mut self, numbers: Range<u64>, _: Range<u64>) -> Result<(), Failure> {
        self.buffer.clear();
        for number in numbers {
            self.buffer.extend_from_slice(&payload(number));
        }
        Ok(self.file.write_all(&self.buffer)?)
    }

    fn sync(&mut self) -> Result<(), Failure> {
        Ok(self.file.sync_data()?)
    }

    fn close(mut self) -> Result<(), Failure> {
        self.sync()
    }

    fn read(folder: &Path) -> Result<u64, Failure> {
        let mut file = File::open(folder.join("file"))?;
        let (mut buffer, mut bytes) = (vec![0; 256 << 10], 0);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(bytes / RECORD_BYTES as u64),
                count => bytes += count as u64,
            }
        }
    }
}
