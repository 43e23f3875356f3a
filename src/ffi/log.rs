//! The library's log across the border: one callback for the process, and queues of notices.
//!
//! The one logger of the `log` crate passes records on to the callback and to the queues, which are
//! under a lock: it is read while the callback runs, and written when another one is set, which so waits
//! for it. After a fork that lock may be held by a thread that is not there. So a child has none of it,
//! and makes its own when it sets a callback or watches the log.

use std::cell::Cell;
use std::ffi::c_void;
use std::fmt::{self, Write};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::answer;
use super::log_record::{
    FanfareLogLevel, FanfareLogLevelCode, FanfareLogRecord, FANFARE_LOG_BYTES_MAX,
};
use super::log_watch::Watcher;
use super::origin::Origin;
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;

/// What is called with each record, see `fanfare_log_set`.
pub type FanfareLogCallback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, record: *const FanfareLogRecord)>;

/// What is called with a callback's user data when the callback will not be called any more.
pub type FanfareLogDestructor = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// Sets what is called with each record of the library's log up to a level: the one callback of the
/// process, for all hubs. A program that no thread of the engine may enter has `fanfare_log_watch`
/// instead. With a `callback` of NULL none is called, as it is at first; the level has to be one all the
/// same, and the user data and the destructor are not used.
///
/// The callback that was set before is not called any more when this returns, and its destructor,
/// unless that is NULL, was called with its user data, in this thread. At the process's end nothing
/// is called.
///
/// The callback is called from any thread: from the engine's, which serve clients and wait until it
/// returns, and from those that call the library; from several at once. So it has to be quick, and
/// at best only puts a copy of the record into a queue of its own. It must not
///
/// - call the library, but for `fanfare_strerror`, `fanfare_abi_version`,
///   those that end with `_name` and the inline functions, but for those that end with `_defaults`:
///   the caller may hold the hub's locks.
///   (`fanfare_log_set` and `fanfare_log_watch` return `FANFARE_ERR_BUSY` there.) What it has the library
///   log is left out;
/// - wait for a lock under which the program calls the library, such as an interpreter's;
/// - throw an exception or call longjmp: an exception that leaves it ends the process.
///
/// Threads: any, several at once; waits for callbacks that run. Ownership: `user_data` is the
/// callback's until its destructor is called, or, after an error, the caller's still. Errors:
/// `FANFARE_ERR_ARGUMENT` when the level is none; `FANFARE_ERR_BUSY` in a callback;
/// `FANFARE_ERR_LOGGER` when the program is written in Rust, has this library as a crate and has set
/// a logger of its own, which then gets all records. A program in Rust that calls this first can set
/// no logger of its own afterwards.
///
/// The child of a fork has no callback, and may set one.
///
/// # Safety
///
/// The callback and the destructor have to be NULL, or functions that may be called with `user_data`
/// as is said above, from any thread.
#[no_mangle]
pub unsafe extern "C" fn fanfare_log_set(
    level: FanfareLogLevel,
    callback: FanfareLogCallback,
    user_data: *mut c_void,
    destructor: FanfareLogDestructor,
) -> FanfareStatus {
    answer(|| {
        let level = filter_of(level).ok_or(Status::FANFARE_ERR_ARGUMENT)?;
        if IS_INSIDE.get() {
            return Err(Status::FANFARE_ERR_BUSY);
        }
        let hook = callback.map(|callback| Hook { level, callback, user_data, destructor });
        if hook.is_some() {
            install()?;
        }
        let before = slot_here().change(|hooks| std::mem::replace(&mut hooks.callback, hook));
        // It may take its time, and set another callback.
        if let Some(Hook { destructor: Some(destructor), user_data, .. }) = before {
            end(destructor, user_data);
        }
        Ok(())
    })
}

/// A callback that is set.
struct Hook {
    level: LevelFilter,
    callback: unsafe extern "C" fn(*mut c_void, *const FanfareLogRecord),
    user_data: *mut c_void,
    destructor: FanfareLogDestructor,
}

// SAFETY: the program that sets it promises that it may be called from any thread, several at once.
unsafe impl Send for Hook {}
// SAFETY: as above.
unsafe impl Sync for Hook {}

/// What gets records.
#[derive(Default)]
struct Hooks {
    callback: Option<Hook>,
    watchers: Vec<Arc<Watcher>>,
}

/// One process's callback and queues.
struct Slot {
    origin: Origin,
    hooks: RwLock<Hooks>,
    /// That of the process that this one is a child of: so it is not lost, and no leak.
    _before: AtomicPtr<Slot>,
}

/// The slot of this process, or of one that it is a child of.
static SLOT: AtomicPtr<Slot> = AtomicPtr::new(ptr::null_mut());

/// The most queues of notices that get records.
const WATCHERS_MAX: usize = 16;

/// Has a watcher get records from now on.
///
/// # Errors
///
/// `FANFARE_ERR_BUSY` in a callback, `FANFARE_ERR_LOGGER` and `FANFARE_ERR_LIMIT`.
pub(super) fn watch(watcher: &Arc<Watcher>) -> Result<(), Status> {
    if IS_INSIDE.get() {
        return Err(Status::FANFARE_ERR_BUSY);
    }
    install()?;
    slot_here().change(|hooks| match hooks.watchers.len() < WATCHERS_MAX {
        true => {
            hooks.watchers.push(watcher.clone());
            Ok(())
        }
        false => Err(Status::FANFARE_ERR_LIMIT),
    })
}

/// Has a watcher get no more records.
pub(super) fn unwatch(watcher: &Arc<Watcher>) {
    // In a child of the process there is none to change, and the lock may be held for ever.
    if let Some(slot) = slot().filter(|slot| slot.origin.is_here()) {
        slot.change(|hooks| hooks.watchers.retain(|other| !Arc::ptr_eq(other, watcher)));
    }
}

impl Slot {
    /// Changes what gets records, and with it which of them there are.
    fn change<R>(&self, change: impl FnOnce(&mut Hooks) -> R) -> R {
        let mut hooks = self.hooks.write().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut hooks);
        if is_installed() {
            let callback = hooks.callback.as_ref().map(|hook| hook.level);
            let levels = hooks.watchers.iter().map(|watcher| watcher.level).chain(callback);
            log::set_max_level(levels.max().unwrap_or(LevelFilter::Off));
        }
        changed
    }
}

thread_local! {
    /// Whether this thread is in a callback.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// The slot that was made last.
fn slot() -> Option<&'static Slot> {
    // SAFETY: NULL, or a slot that was leaked.
    unsafe { SLOT.load(Ordering::Acquire).as_ref() }
}

/// The slot of this process, which is made if there is none: one for each process at most.
fn slot_here() -> &'static Slot {
    loop {
        let before = SLOT.load(Ordering::Acquire);
        // SAFETY: NULL, or a slot that was leaked.
        if let Some(slot) = unsafe { before.as_ref() }.filter(|slot| slot.origin.is_here()) {
            return slot;
        }
        let hooks = RwLock::default();
        let new = Slot { origin: Origin::here(), hooks, _before: AtomicPtr::new(before) };
        let new = Box::into_raw(Box::new(new));
        let set = SLOT.compare_exchange(before, new, Ordering::AcqRel, Ordering::Acquire);
        if set.is_err() {
            // SAFETY: it was made above, and no other thread has seen it.
            drop(unsafe { Box::from_raw(new) });
        }
    }
}

/// The logger of the `log` crate. It has a size, so that its address is its own.
struct Logger {
    _size: u8,
}

static LOGGER: Logger = Logger { _size: 0 };

/// Makes the logger the process's, unless it is already.
fn install() -> Result<(), Status> {
    // If another thread does so at this moment, this waits until it is done.
    let _ = log::set_logger(&LOGGER);
    match is_installed() {
        true => Ok(()),
        false => Err(Status::FANFARE_ERR_LOGGER),
    }
}

fn is_installed() -> bool {
    ptr::addr_eq(ptr::from_ref(log::logger()), &raw const LOGGER)
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Other crates have records of their own, which are none of the library's.
        let target = metadata.target();
        target.strip_prefix("fanfare").is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || IS_INSIDE.get() {
            return;
        }
        let Some(slot) = slot().filter(|slot| slot.origin.is_here()) else { return };
        let hooks = slot.hooks.read().unwrap_or_else(PoisonError::into_inner);
        IS_INSIDE.set(true);
        hooks.pass_on(record);
        IS_INSIDE.set(false);
    }

    fn flush(&self) {}
}

impl Hooks {
    /// Calls the callback with a record, and puts copies of it into the queues.
    fn pass_on(&self, record: &Record<'_>) {
        let callback = self.callback.as_ref().filter(|hook| record.level() <= hook.level);
        let is_wanted = |watcher: &&Arc<Watcher>| record.level() <= watcher.level;
        if callback.is_none() && !self.watchers.iter().any(|watcher| is_wanted(&watcher)) {
            return;
        }
        let mut message = Message::new();
        // It writes no more than fits, which is told by an error. What is logged may panic.
        let _ = catch_unwind(AssertUnwindSafe(|| message.write_fmt(*record.args())));
        let record_of = FanfareLogRecord {
            size: size_of::<FanfareLogRecord>(),
            target: text_of(record.target().as_bytes()),
            message: text_of(&message.bytes[..message.len]),
            level: code_of(record.level()) as FanfareLogLevel,
            is_cut: message.is_cut.into(),
        };
        for watcher in self.watchers.iter().filter(is_wanted) {
            watcher.put(record.target(), &message.bytes[..message.len], &record_of);
        }
        if let Some(hook) = callback {
            call(hook.callback, hook.user_data, &record_of);
        }
    }
}

fn text_of(bytes: &[u8]) -> FanfareText {
    FanfareText { data: bytes.as_ptr().cast(), length: bytes.len() }
}

/// Calls a function of the program's. An exception that leaves it ends the process, since nothing
/// unwinds out of a function that is `extern "C"`.
extern "C" fn call(
    callback: unsafe extern "C" fn(*mut c_void, *const FanfareLogRecord),
    user_data: *mut c_void,
    record: &FanfareLogRecord,
) {
    type Throwing = unsafe extern "C-unwind" fn(*mut c_void, *const FanfareLogRecord);
    // SAFETY: the two kinds of functions are called alike, and differ in what the caller expects. The
    // caller of `fanfare_log_set` promises the rest.
    unsafe {
        let callback: Throwing = std::mem::transmute(callback);
        callback(user_data, record);
    }
}

/// Calls a destructor, as [`call`] does a callback.
extern "C" fn end(destructor: unsafe extern "C" fn(*mut c_void), user_data: *mut c_void) {
    type Throwing = unsafe extern "C-unwind" fn(*mut c_void);
    // SAFETY: as in `call`.
    unsafe {
        let destructor: Throwing = std::mem::transmute(destructor);
        destructor(user_data);
    }
}

pub(super) fn filter_of(level: FanfareLogLevel) -> Option<LevelFilter> {
    LevelFilter::iter().nth(usize::try_from(level).ok()?)
}

fn code_of(level: Level) -> FanfareLogLevelCode {
    match level {
        Level::Error => FanfareLogLevelCode::FANFARE_LOG_ERROR,
        Level::Warn => FanfareLogLevelCode::FANFARE_LOG_WARN,
        Level::Info => FanfareLogLevelCode::FANFARE_LOG_INFO,
        Level::Debug => FanfareLogLevelCode::FANFARE_LOG_DEBUG,
        Level::Trace => FanfareLogLevelCode::FANFARE_LOG_TRACE,
    }
}

/// A message of bounded length.
struct Message {
    bytes: [u8; FANFARE_LOG_BYTES_MAX],
    len: usize,
    is_cut: bool,
}

impl Message {
    fn new() -> Message {
        Message { bytes: [0; FANFARE_LOG_BYTES_MAX], len: 0, is_cut: false }
    }
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.is_cut {
            return Err(fmt::Error);
        }
        let room = self.bytes.len() - self.len;
        let mut end = text.len().min(room);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let fits = &text[..end];
        self.bytes[self.len..][..fits.len()].copy_from_slice(fits.as_bytes());
        self.len += fits.len();
        self.is_cut = fits.len() < text.len();
        if self.is_cut {
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_at_the_end_of_a_character() {
        for (text, len) in [
            (String::new(), 0),
            ("x".repeat(FANFARE_LOG_BYTES_MAX), FANFARE_LOG_BYTES_MAX),
            ("x".repeat(FANFARE_LOG_BYTES_MAX + 1), FANFARE_LOG_BYTES_MAX),
            ("x".to_owned() + &"é".repeat(FANFARE_LOG_BYTES_MAX), FANFARE_LOG_BYTES_MAX - 1),
            ("\u{10348}".repeat(FANFARE_LOG_BYTES_MAX), FANFARE_LOG_BYTES_MAX),
        ] {
            let mut message = Message::new();
            let written = write!(message, "{text}");
            assert_eq!((message.len, message.is_cut), (len, len < text.len()));
            assert_eq!(written.is_err(), message.is_cut);
            assert!(text.as_bytes().starts_with(&message.bytes[..len]));
        }
    }

    #[test]
    fn a_program_that_has_a_logger_of_its_own_keeps_it() {
        struct Other;

        impl Log for Other {
            fn enabled(&self, _: &Metadata<'_>) -> bool {
                false
            }

            fn log(&self, _: &Record<'_>) {}

            fn flush(&self) {}
        }

        unsafe extern "C" fn callback(_: *mut c_void, _: *const FanfareLogRecord) {}

        log::set_logger(&Other).expect("no other test of this process sets one");
        log::set_max_level(LevelFilter::Info);
        // SAFETY: the callback does nothing, and the other call has none.
        let set = |callback| unsafe { fanfare_log_set(5, callback, ptr::null_mut(), None) };
        assert_eq!(set(Some(callback)), Status::FANFARE_ERR_LOGGER as FanfareStatus);
        assert_eq!(set(None), Status::FANFARE_OK as FanfareStatus);
        assert_eq!(log::max_level(), LevelFilter::Info, "it is the other logger's");
    }

    #[test]
    fn levels_are_those_of_the_log_crate() {
        assert_eq!(filter_of(0), Some(LevelFilter::Off));
        for level in Level::iter() {
            let number = code_of(level) as FanfareLogLevel;
            assert_eq!(filter_of(number), Some(level.to_level_filter()));
        }
        assert_eq!([-1, 6, i32::MIN].map(filter_of), [None; 3]);
    }

    #[test]
    fn records_of_other_crates_are_none_of_the_librarys() {
        let enabled = |target| LOGGER.enabled(&Metadata::builder().target(target).build());
        assert!(enabled("fanfare") && enabled("fanfare::hub"));
        assert!(!enabled("fanfares") && !enabled("polling::epoll") && !enabled(""));
    }
}
