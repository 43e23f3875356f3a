//! The codes that functions return. Negative ones are errors; none is ever renumbered.

use std::ffi::c_char;

use crate::event::EventError;
use crate::hub::StartError;
use crate::listener::ListenError;
use crate::publish::PublishError;
use crate::topic::TopicError;

/// What a function returns: one of the constants of `fanfare_status_code`. It is a number of a
/// fixed size and not the enum, since C gives an enum no size that each compiler agrees on, and
/// since a newer library may return a code that this header does not have. Compare it with the
/// constants; take any other negative number for an error. In a debugger
/// `print (fanfare_status_code)status` shows the name.
pub type FanfareStatus = i32;

/// The values of a `fanfare_status`. Errors are negative; none is ever renumbered.
#[repr(C)]
#[allow(non_camel_case_types)] // They are C's names, which are the same in Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanfareStatusCode {
    /// The call succeeded.
    FANFARE_OK = 0,
    /// The library has a defect and panicked; the call may have had no effect. Report it.
    FANFARE_ERR_PANIC = -1,
    /// A pointer is NULL that must not be, a length is impossible, or a struct's size is unknown.
    FANFARE_ERR_ARGUMENT = -2,
    /// The hub, or what else the call is for, was made before a fork. Make a new one in the child.
    FANFARE_ERR_FORKED = -3,
    /// The hub is closed; or it is being drained, and the call would bring a client in, as
    /// `fanfare_hub_listen`, `fanfare_hub_subscribe` and `fanfare_hub_adopt` do. Make a new one.
    FANFARE_ERR_CLOSED = -4,
    /// Too many bytes wait to be sent, and nothing was published. Try again a little later, or when
    /// `fanfare_hub_notify_space` says so.
    FANFARE_ERR_FULL = -5,
    /// The topic is not 1 to 256 bytes of UTF-8 without control characters, '+' and '#'. Give one
    /// that is.
    FANFARE_ERR_TOPIC = -6,
    /// The event is empty; or its name, id or key is empty, too long, or has a character that no
    /// client gets back; or its name is reserved for the engine; or its window is too long, or one
    /// that a last event has; or it has a field that only a newer library knows. Correct the event.
    FANFARE_ERR_EVENT = -7,
    /// A text is not UTF-8. Encode it as UTF-8.
    FANFARE_ERR_UTF8 = -8,
    /// The event is larger than the option event_bytes_max; or more than 4 MiB were read of a connection
    /// that a listener is to admit; or a token would have more than 8 KiB. Publish less or raise the option;
    /// read less; grant fewer topics.
    FANFARE_ERR_TOO_LARGE = -9,
    /// An option is out of its bounds, or one is set that only a newer library knows.
    /// The function of the struct that ends with _problem, if it has one, says which. Correct it.
    FANFARE_ERR_OPTIONS = -10,
    /// The address cannot be read, is in use, or may not be bound. Give one such as 127.0.0.1:8080
    /// or unix:/run/app.sock that is free.
    FANFARE_ERR_ADDRESS = -11,
    /// The system is out of descriptors, threads or memory. Raise its limits, or use less.
    FANFARE_ERR_SYSTEM = -12,
    /// The topic is finished: its clients were told that nothing more will come. Publish to another
    /// one.
    FANFARE_ERR_FINISHED = -13,
    /// What was waited for did not happen within the time. Wait again, or do without it.
    FANFARE_ERR_TIMEOUT = -14,
    /// A topic or filter to subscribe to is none, or there are none of them. A filter has '+' for one level and
    /// '#' at the end for all that follow. Correct it.
    FANFARE_ERR_SUBSCRIPTION = -15,
    /// A list has more entries than it may have. Give fewer.
    FANFARE_ERR_TOO_MANY = -16,
    /// The caller's buffer is too small; the size that is needed was written. Give one of that size.
    FANFARE_ERR_BUFFER = -17,
    /// What an id, a listener or a token names is not there any more: the connection has ended; the
    /// listener is closed; the request was answered, has waited for too long, or its client has left; or no
    /// source of notices has the token. There is nothing to do.
    FANFARE_ERR_STALE = -18,
    /// As many connections, subscriptions, rules, tickets, sources of notices, asks for space or queues that
    /// get the log are there as are allowed.
    /// Raise the option, if there is one, or try again when there are fewer.
    FANFARE_ERR_LIMIT = -19,
    /// The engine is asked for more at once than it keeps a queue for; or another thread is in a call with
    /// the same stream; or the client whose subscriptions are to change is still being sent what it has
    /// missed; or the ticket's stream is connected; or the call is in the log's callback. Try again a little
    /// later, and in the last case from elsewhere.
    FANFARE_ERR_BUSY = -20,
    /// The descriptor is no connected stream socket of TCP or of a Unix domain. Hand such a one over.
    FANFARE_ERR_SOCKET = -21,
    /// The socket speaks TLS, which the engine cannot. Use a pull stream instead.
    FANFARE_ERR_SOCKET_TLS = -22,
    /// The client has sent bytes behind the request, or a body that was not read. Read the request whole,
    /// and refuse a client that has sent more.
    FANFARE_ERR_SOCKET_READ = -23,
    /// Bytes that the host has written are not sent yet. Wait until they are, or write nothing before the
    /// hand-over.
    FANFARE_ERR_SOCKET_UNSENT = -24,
    /// The request is none that a stream can answer: its method, path, header or version. Correct what was
    /// passed, or answer the client in another way.
    FANFARE_ERR_REQUEST = -25,
    /// A grant or a refusal is beyond its bounds, or a stream wants what is not granted. Correct it.
    FANFARE_ERR_GRANT = -26,
    /// A key cannot be read, is too weak, or is none of the algorithms that are taken. Give another.
    FANFARE_ERR_KEY = -27,
    /// The stream has ended, and nothing more will come of it. Free it.
    FANFARE_ERR_ENDED = -28,
    /// The program has set a logger of its own, in Rust. Take the library's records from that.
    FANFARE_ERR_LOGGER = -29,
    /// The token or the ticket is not valid, or no longer. Answer its client 401.
    FANFARE_ERR_TOKEN = -30,
    /// The journal in the option data_dir cannot be opened, since another hub has it, say, or is damaged; or
    /// it could not be written for ten seconds, and nothing was published; or the hub has none. The log says
    /// why: mend that, and try again.
    FANFARE_ERR_JOURNAL = -31,
    /// The hub could not join the cluster of the option cluster_url, since the server does not serve it or
    /// the library was built without clusters; or the server has taken nothing for ten seconds, and nothing
    /// was published; or it does not pass a question on, or the hub is in no cluster. The log says why: mend
    /// that, and try again.
    FANFARE_ERR_CLUSTER = -32,
}

/// A code that is not `FANFARE_OK`, inside of the library.
pub(super) use FanfareStatusCode as Status;

/// Returns a sentence that says what a status means and what to do about it, whatever the number.
///
/// Threads: any. Ownership: the text is static, ends with a NUL, is never NULL and never freed.
/// Errors: none.
#[no_mangle]
pub extern "C" fn fanfare_strerror(status: FanfareStatus) -> *const c_char {
    const TEXTS: [&std::ffi::CStr; 33] = [
        c"success",
        c"the library has a defect and panicked; please report it",
        c"an argument is NULL, or a length or struct size is impossible; correct the call",
        c"the hub, or what else the call is for, was made before a fork; make a new one in the child",
        c"the hub is closed, or is being drained and takes no more clients; make a new one",
        c"too many bytes wait to be sent; try again a little later",
        c"the topic must be 1 to 256 bytes of UTF-8 without control characters, '+' and '#'",
        c"the event is empty, or its name, id or key is empty, longer than 256 bytes, has a forbidden character or is reserved, or its window is too long, or a field is set that only a newer library knows; correct the event",
        c"a text is not UTF-8; encode it as UTF-8",
        c"the event is larger than the option event_bytes_max, or more than 4 MiB were read of a connection, or a token would have more than 8 KiB; publish less data or raise the option, read less, or grant fewer topics",
        c"an option is out of its bounds, or one is set that only a newer library knows; the function fanfare_..._problem of the struct says which, correct it",
        c"the address must be an IP address and a port such as 127.0.0.1:8080, or unix: and a path, which is not in use and may be bound",
        c"the system is out of descriptors, threads or memory; raise its limits or use less",
        c"the topic is finished; publish to another one",
        c"it did not happen within the time; wait again, or do without it",
        c"a subscription must be a topic, or a filter with '+' as a whole level or '#' as the last one; correct it",
        c"a list has more entries than it may have; give fewer",
        c"the buffer is too small; give one of the size that was written",
        c"what the id, the listener or the token names is not there any more: it has ended, was closed, or was answered; there is nothing to do",
        c"there are as many connections, subscriptions, rules, tickets or sources of notices as are allowed; raise the option, or try again later",
        c"the engine is asked for more at once than it keeps a queue for, or the stream or the ticket is in use, or the call is in the log's callback; try again a little later",
        c"the descriptor must be a connected stream socket of TCP or of a Unix domain; hand such a one over",
        c"the socket speaks TLS, which the engine cannot; use a pull stream instead",
        c"the client has sent bytes behind the request, or a body that was not read; read the request whole before handing the socket over",
        c"bytes that the host has written are not sent yet; write nothing before handing the socket over",
        c"the request is none that a stream can answer, by its method, query, header or version; answer the client in another way",
        c"a grant or refusal is beyond its bounds, or a stream wants what is not granted; correct it",
        c"a key cannot be read, is too weak, or is of no algorithm that is taken; give another",
        c"the stream has ended and nothing more will come; free it",
        c"the program has set a logger of its own; take the library's records from that",
        c"the token or ticket is not valid, or no longer; answer its client 401",
        c"the journal in the option data_dir cannot be opened or written; the log says why, mend that and try again",
        c"the server of the cluster in the option cluster_url does not serve, or passes no question on, or the hub is in no cluster, or the library has none; the log says why, mend that and try again",
    ];
    let index = status.checked_neg().and_then(|n| usize::try_from(n).ok());
    let text = index.and_then(|index| TEXTS.get(index));
    text.unwrap_or(&c"not a status of this library").as_ptr()
}

impl From<EventError> for Status {
    fn from(error: EventError) -> Status {
        match error {
            EventError::NotUtf8 { .. } => Status::FANFARE_ERR_UTF8,
            EventError::TooLarge { .. } => Status::FANFARE_ERR_TOO_LARGE,
            _ => Status::FANFARE_ERR_EVENT,
        }
    }
}

impl From<TopicError> for Status {
    fn from(_: TopicError) -> Status {
        Status::FANFARE_ERR_TOPIC
    }
}

impl From<PublishError> for Status {
    fn from(error: PublishError) -> Status {
        match error {
            PublishError::Full => Status::FANFARE_ERR_FULL,
            PublishError::Finished { .. } => Status::FANFARE_ERR_FINISHED,
            PublishError::NoTopic => Status::FANFARE_ERR_ARGUMENT,
            PublishError::TooManyTopics { .. } => Status::FANFARE_ERR_TOO_MANY,
            PublishError::Closed => Status::FANFARE_ERR_CLOSED,
            PublishError::Unwritable => Status::FANFARE_ERR_JOURNAL,
            PublishError::Unreachable => Status::FANFARE_ERR_CLUSTER,
            PublishError::Invalid(error) => error.into(),
        }
    }
}

impl From<StartError> for Status {
    fn from(error: StartError) -> Status {
        match error {
            StartError::Options(_) => Status::FANFARE_ERR_OPTIONS,
            StartError::System(_) => Status::FANFARE_ERR_SYSTEM,
            StartError::Journal(_) => Status::FANFARE_ERR_JOURNAL,
            StartError::Cluster(_) => Status::FANFARE_ERR_CLUSTER,
        }
    }
}

impl From<ListenError> for Status {
    fn from(error: ListenError) -> Status {
        match error {
            ListenError::Bind(error) => match error.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                    Status::FANFARE_ERR_SYSTEM
                }
                _ => Status::FANFARE_ERR_ADDRESS,
            },
            ListenError::Options { .. } => Status::FANFARE_ERR_OPTIONS,
            ListenError::Closed => Status::FANFARE_ERR_CLOSED,
            ListenError::Busy => Status::FANFARE_ERR_BUSY,
        }
    }
}
