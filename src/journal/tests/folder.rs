//! Folders that cannot be used, and what is said of them.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use super::memory_disk::MemoryDisk;
use super::{options, Item, TestFolder, BOOT, TIME_MAX};
use crate::durability::Durability;
use crate::id::Epoch;
use crate::journal::opened::Opened;
use crate::journal::{Journal, JournalError, JournalOptions};

fn refused(path: &std::path::Path) -> JournalError {
    match Journal::open(path, JournalOptions::default()) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

#[test]
fn two_journals_on_one_folder_are_refused_until_the_first_has_ended() {
    let folder = TestFolder::new("two");
    let opened = Journal::open(&folder.0, JournalOptions::default()).unwrap();
    let error = refused(&folder.0);
    assert!(matches!(error, JournalError::InUse { process: None, .. }), "{error:?}");
    assert!(error.to_string().contains("is used by another hub; end that one, or"), "{error}");
    let journal = opened.begin(Epoch::random()).unwrap();
    refused(&folder.0);
    assert!(journal.close(TIME_MAX));
    // Whoever still has the closed journal.
    drop(Journal::open(&folder.0, JournalOptions::default()).unwrap());
}

#[test]
fn a_child_that_has_the_files_too_does_not_keep_a_folder_from_the_next_hub() {
    let folder = TestFolder::new("child");
    drop(Journal::open(&folder.0, JournalOptions::default()).unwrap());
    let (_, lock) = crate::journal::folder::open(&folder.0).unwrap();
    // What a fork leaves a child with.
    let _duplicate = lock.duplicate();
    drop(lock);
    drop(Journal::open(&folder.0, JournalOptions::default()).unwrap());
}

#[test]
fn a_folder_and_its_files_are_the_users_alone() {
    let folder = TestFolder::new("modes");
    let opened = Journal::open(&folder.0, JournalOptions::default()).unwrap();
    let journal = opened.begin(Epoch::random()).unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.0), 0o700);
    let mut names = Vec::new();
    for entry in folder.0.read_dir().unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["000000000001.log", "head", "lives", "lock"]);
    assert!(journal.close(TIME_MAX));
}

#[test]
fn a_folder_that_cannot_be_made_or_written_is_refused_with_what_to_do() {
    let folder = TestFolder::new("refused");
    let error = refused(&folder.0.join("inner")).to_string();
    assert!(error.contains("cannot make the folder") && error.contains("; make the folder"));
    std::fs::write(&folder.0, "a file").unwrap();
    let error = refused(&folder.0).to_string();
    assert!(error.contains("give the path of a folder"), "{error}");
    std::fs::remove_file(&folder.0).unwrap();
    std::fs::create_dir(&folder.0).unwrap();
    std::fs::set_permissions(&folder.0, PermissionsExt::from_mode(0o500)).unwrap();
    let path = folder.0.clone();
    // Root may write everywhere, but a thread that has given that up.
    let thread = std::thread::spawn(move || {
        give_up_root();
        refused(&path).to_string()
    });
    let error = thread.join().unwrap();
    assert!(error.contains("let this process's user read and write it"), "{error}");
}

/// Has the permissions of files count for the calling thread.
fn give_up_root() {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{capabilities, set_capabilities, CapabilitySet};
        let mut sets = capabilities(None).unwrap();
        sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        set_capabilities(None, sets).unwrap();
    }
}

/// The files of a life of three segments.
fn lived() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let options = JournalOptions { segment_bytes_max: 200, ..options(Durability::Always) };
    let mut opened = Opened::on(Arc::new(disk.clone()), None, options, BOOT).unwrap();
    opened.read(|_, _| ()).unwrap();
    let (shared, mut writer, _parker) = opened.start(Epoch::random()).ok().unwrap();
    for number in 1..=6 {
        shared.push(&Item::of(number, 80));
        shared.note(number);
        writer.turn(false).unwrap();
    }
    writer.turn(true).unwrap();
    disk
}

fn read(disk: &MemoryDisk) -> Result<usize, JournalError> {
    let options = options(Durability::Always);
    let mut opened = Opened::on(Arc::new(disk.clone()), None, options, BOOT)?;
    let mut read = 0;
    opened.read(|_, _| read += 1)?;
    Ok(read)
}

#[test]
fn files_of_a_newer_version_are_refused() {
    for name in ["000000000002.log", "lives"] {
        let disk = lived();
        let mut bytes = disk.files()[name].clone();
        bytes[8] = 9;
        disk.put(name, bytes);
        let error = read(&disk).unwrap_err();
        assert!(matches!(error, JournalError::Format { version: 9, .. }), "{error:?}");
        assert!(error.to_string().contains("has format 9, and this version"), "{error}");
    }
}

#[test]
fn damage_in_the_middle_is_told_and_not_passed_over() {
    assert_eq!(read(&lived()).unwrap(), 6);
    // A byte of the first segment's last record.
    let disk = lived();
    let mut bytes = disk.files()["000000000001.log"].clone();
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    disk.put("000000000001.log", bytes);
    let error = read(&disk).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error:?}");
    let said = error.to_string();
    assert!(
        said.contains("000000000001.log is damaged at byte 161: 1 records are missing"),
        "{said}"
    );
    // A segment that is not there, one without a header, and a list of lives that is none.
    for (name, bytes) in
        [("000000000002.log", vec![]), ("000000000002.log", vec![0; 500]), ("lives", vec![1; 90])]
    {
        let disk = lived();
        disk.put(name, bytes);
        let error = read(&disk).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{name} {error:?}");
    }
    // The oldest may be taken away.
    let disk = lived();
    crate::journal::disk::Disk::remove(&disk, "000000000001.log").unwrap();
    assert_eq!(read(&disk).unwrap(), 4);
}
