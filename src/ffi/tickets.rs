//! Tickets across the border, and the authorizer of tokens and tickets.

use std::ffi::c_char;
use std::mem::offset_of;
use std::time::SystemTime;

use super::answer;
use super::authorizer::FanfareAuthorizer;
use super::fields::{init, over_defaults, tell_problem, Field, TEXT_BYTES_MAX};
use super::grant::FanfareGrant;
use super::granted::FanfareGranted;
use super::lent::{with_copies, Lent};
use super::options::{Number, Refused};
use super::origin::Origin;
use super::status::{FanfareStatus, Status};
use super::text::FanfareText;
use super::tokens::FanfareTokens;
use crate::authorizer::Authorizer;
use crate::tickets::{AccessOptions, IssueError, TicketError, TicketOptions, Tickets};

/// The bounds of tickets. `fanfare_ticket_options_defaults` makes one with every default.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareTicketOptions {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// The most tickets that there are at once. One that was used is kept for its stream's reconnects,
    /// until its grant expires.
    /// Bounds: 1 to 10,000,000. Default: 65,536.
    pub tickets_max: u64,
    /// How long a ticket may be unused before it is forgotten.
    /// Bounds: 1 s to 1 hour. Default: 60 s.
    pub first_use_time_max_ms: u64,
}

/// How clients show tokens and tickets to a listener, and where they get tickets.
/// `fanfare_access_options_defaults` makes one with every default, which is all of it at zero but for
/// the size.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FanfareAccessOptions {
    /// The size of the struct as the caller knows it, in bytes.
    pub size: usize,
    /// The name of a cookie that has a token, which counts for pages of the server's own origin, and of
    /// `cookie_origins`. Default: none.
    pub cookie: FanfareText,
    /// The other origins whose pages may use the cookie; the listener's CORS has to have them as well.
    /// Default: none.
    pub cookie_origins: *const FanfareText,
    /// How many there are, at most 64.
    pub cookie_origins_count: usize,
    /// The path at which a client gets a ticket for its token, with `POST`; the empty text for none.
    /// Default: `/tickets`.
    pub exchange_path: FanfareText,
}

/// The most bytes of a `fanfare_ticket`.
pub const FANFARE_TICKET_BYTES_MAX: usize = 63;

/// A ticket: what a client shows in its query, `ticket=...`, to have a stream. Letters, digits, '-' and
/// '_'. A client that has it may use it, so it belongs into no log. By value: nothing to free.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FanfareTicket {
    /// The length of the text in bytes.
    pub length: u8,
    /// The text. The bytes after its length are zero.
    pub text: [c_char; FANFARE_TICKET_BYTES_MAX],
}

/// The tickets that were issued and are not over, bounded in number. Opaque, and always used by pointer.
/// `fanfare_tickets_new` makes them and `fanfare_tickets_free` frees them; authorizers that have them
/// keep them.
#[derive(Debug)]
pub struct FanfareTickets {
    tickets: Tickets,
    /// The process that they were made in.
    origin: Origin,
}

/// The sizes that the structs had in the ABI's first version.
const SIZE_MIN: usize = offset_of!(FanfareTicketOptions, first_use_time_max_ms) + size_of::<u64>();
const ACCESS_SIZE_MIN: usize =
    offset_of!(FanfareAccessOptions, exchange_path) + size_of::<FanfareText>();

const TIMES: [&str; 1] = ["first_use_time_max_ms"];
const COOKIE: Field = Field { name: "cookie", bounds: "1 to 256 characters of a token" };
const COOKIE_ORIGINS: Field =
    Field { name: "cookie_origins", bounds: "at most 64 origins such as https://example.com" };
const EXCHANGE_PATH: Field =
    Field { name: "exchange_path", bounds: "a path such as /tickets, percent-encoded, or empty" };
const ORIGINS_MAX: usize = 64;

/// Fills in the defaults. `options->size` has to be set before, and stays as it is.
///
/// Threads: any. Ownership: the struct stays the caller's. Errors: `FANFARE_ERR_ARGUMENT` when
/// `options` is NULL or its size is that of no version.
///
/// # Safety
///
/// `options` has to point to `options->size` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn fanfare_ticket_options_init(
    options: *mut FanfareTicketOptions,
) -> FanfareStatus {
    // SAFETY: as the caller promises.
    answer(|| unsafe { init(options, SIZE_MIN, FanfareTicketOptions::default()) })
}

/// Finds the first option that `fanfare_tickets_new` would refuse: `*name_out` is its name in the
/// struct, and `*bounds_out` what it may be. Both are {NULL, 0} when every option is within its bounds.
///
/// Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
/// `FANFARE_ERR_ARGUMENT`.
///
/// # Safety
///
/// `options` has to point to `options->size` readable bytes, and the others to writable texts.
#[no_mangle]
pub unsafe extern "C" fn fanfare_ticket_options_problem(
    options: *const FanfareTicketOptions,
    name_out: *mut FanfareText,
    bounds_out: *mut FanfareText,
) -> FanfareStatus {
    answer(|| {
        if options.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        unsafe { tell_problem(|| FanfareTicketOptions::read(options), name_out, bounds_out) }
    })
}

/// Finds the first option that `fanfare_authorizer_new_tickets` would refuse, as
/// `fanfare_ticket_options_problem` does.
///
/// Threads: any. Ownership: the struct stays the caller's; the two texts are static. Errors:
/// `FANFARE_ERR_ARGUMENT` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `options` has to point to `options->size` readable bytes whose texts and lists are as they say, and
/// the others to writable texts.
#[no_mangle]
pub unsafe extern "C" fn fanfare_access_options_problem(
    options: *const FanfareAccessOptions,
    name_out: *mut FanfareText,
    bounds_out: *mut FanfareText,
) -> FanfareStatus {
    answer(|| {
        if options.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        unsafe { tell_problem(|| FanfareAccessOptions::read(options), name_out, bounds_out) }
    })
}

/// Makes a table of tickets, without any yet. `options` may be NULL for the defaults. On success
/// `*tickets_out` is it.
///
/// Threads: any. Ownership: the options stay the caller's; the tickets are the caller's, to be freed
/// with `fanfare_tickets_free`. Errors: `FANFARE_ERR_OPTIONS`, and `fanfare_ticket_options_problem` says
/// which; `FANFARE_ERR_ARGUMENT`.
///
/// # Safety
///
/// `options` has to be NULL or to point to `options->size` readable bytes, and `tickets_out` to be
/// writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_tickets_new(
    options: *const FanfareTicketOptions,
    tickets_out: *mut *mut FanfareTickets,
) -> FanfareStatus {
    answer(|| {
        if tickets_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        // SAFETY: as the caller promises.
        let options = unsafe { FanfareTicketOptions::read(options) }?;
        let tickets = Tickets::new(options).map_err(|_| Status::FANFARE_ERR_OPTIONS)?;
        let tickets = FanfareTickets { tickets, origin: Origin::here() };
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *tickets_out = Box::into_raw(Box::new(tickets)) };
        Ok(())
    })
}

/// Issues a ticket for what is granted, which has to expire. On success `*ticket_out` is the ticket. It
/// is to be used within the option first_use_time_max_ms, by one stream at a time, and by that stream's
/// reconnects until its grant expires.
///
/// Threads: any, several at once. Ownership: the grant stays the caller's. Errors: `FANFARE_ERR_GRANT`
/// when it is out of its bounds, does not expire or has expired; `FANFARE_ERR_LIMIT` when there are too
/// many tickets; `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `tickets` has to be live, `grant` as `FanfareGrant` says, and `ticket_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_tickets_issue(
    tickets: *const FanfareTickets,
    grant: *const FanfareGrant,
    ticket_out: *mut FanfareTicket,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (tickets, grant) =
            unsafe { (FanfareTickets::live(tickets)?, FanfareGrant::read(grant)?) };
        if ticket_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        let issued =
            tickets.tickets.issue(grant, SystemTime::now()).map_err(|error| match error {
                IssueError::Grant(_) | IssueError::NoExpiry | IssueError::Expired => {
                    Status::FANFARE_ERR_GRANT
                }
                IssueError::Full => Status::FANFARE_ERR_LIMIT,
                IssueError::NoRandomness => Status::FANFARE_ERR_SYSTEM,
            })?;
        let mut text = [0; FANFARE_TICKET_BYTES_MAX];
        for (to, &byte) in text.iter_mut().zip(issued.as_str().as_bytes()) {
            *to = byte as c_char;
        }
        // It has 43 bytes.
        let ticket = FanfareTicket { length: issued.as_str().len() as u8, text };
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *ticket_out = ticket };
        Ok(())
    })
}

/// Says what a ticket grants that a client shows, and uses nothing up: for a program that opens streams
/// itself, and first asks whether the client's request is within the grant. `goes_on` is as of
/// `fanfare_tickets_redeem`, which gives the stream to the client then, and may still refuse it. On success
/// `*granted_out` is what the ticket grants. To keep it does not make the ticket's stream a connected one,
/// and to free it ends none.
///
/// Threads: any, several at once. Ownership: the ticket stays the caller's; what is granted is the
/// caller's. Errors: as `fanfare_tickets_redeem`.
///
/// # Safety
///
/// `tickets` has to be live, `ticket` as many readable bytes as it says, and `granted_out` writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_tickets_look_up(
    tickets: *const FanfareTickets,
    ticket: FanfareText,
    goes_on: u32,
    granted_out: *mut *mut FanfareGranted,
) -> FanfareStatus {
    let look_up = |tickets: &Tickets, ticket: &str, goes_on| {
        Ok(FanfareGranted::new(tickets.look_up(ticket, goes_on, SystemTime::now())?, None))
    };
    // SAFETY: as the caller promises.
    answer(|| unsafe { with_ticket(tickets, ticket, goes_on, granted_out, look_up) })
}

/// Takes a ticket that a client shows, for a program that opens streams itself. `goes_on` is 1 when the
/// client's request has the id of an event, so that its stream goes on: an older connection of the
/// stream is then no longer current (`fanfare_granted_is_current`). On success `*granted_out` is what
/// the ticket grants; freeing it says that the stream's connection has ended.
///
/// Threads: any, several at once. Ownership: the ticket stays the caller's; what is granted is the
/// caller's. Errors: `FANFARE_ERR_TOKEN` when the ticket is not valid, or no longer; `FANFARE_ERR_BUSY`
/// when its stream is connected, and the request does not go on; `FANFARE_ERR_ARGUMENT`,
/// `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `tickets` has to be live, `ticket` as many readable bytes as it says, and `granted_out` writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_tickets_redeem(
    tickets: *const FanfareTickets,
    ticket: FanfareText,
    goes_on: u32,
    granted_out: *mut *mut FanfareGranted,
) -> FanfareStatus {
    let redeem = |tickets: &Tickets, ticket: &str, goes_on| {
        let redeemed = tickets.redeem(ticket, goes_on, SystemTime::now())?;
        Ok(FanfareGranted::new(redeemed.grant, Some(redeemed.lease)))
    };
    // SAFETY: as the caller promises.
    answer(|| unsafe { with_ticket(tickets, ticket, goes_on, granted_out, redeem) })
}

/// Has a ticket used that a client shows, and gives out what it grants.
///
/// # Safety
///
/// `tickets` has to be NULL or live, `ticket` as many readable bytes as it says, and `granted_out` NULL
/// or writable.
unsafe fn with_ticket(
    tickets: *const FanfareTickets,
    ticket: FanfareText,
    goes_on: u32,
    granted_out: *mut *mut FanfareGranted,
    used: impl FnOnce(&Tickets, &str, bool) -> Result<*mut FanfareGranted, TicketError>,
) -> Result<(), Status> {
    // SAFETY: as the caller promises.
    let tickets = unsafe { FanfareTickets::live(tickets) }?;
    if granted_out.is_null() || goes_on > 1 {
        return Err(Status::FANFARE_ERR_ARGUMENT);
    }
    let wrong = Status::FANFARE_ERR_TOKEN;
    let ticket = Lent::new(ticket, FANFARE_TICKET_BYTES_MAX, wrong)?;
    let read = |[ticket]: [Option<&[u8]>; 1]| {
        let ticket = std::str::from_utf8(ticket.unwrap_or_default()).map_err(|_| wrong)?;
        let granted =
            used(&tickets.tickets, ticket, goes_on == 1).map_err(|error| match error {
                TicketError::InUse => Status::FANFARE_ERR_BUSY,
                TicketError::Unknown | TicketError::Contested => wrong,
            })?;
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *granted_out = granted };
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { with_copies([ticket], read) }
}

/// Frees a table of tickets. Authorizers that have it keep it. NULL does nothing.
///
/// Threads: any one, while no other call with it is under way, and none comes afterwards. Ownership: it
/// is gone. Errors: none. In a child of the process that of the parent's is left as it is.
///
/// # Safety
///
/// `tickets` has to be NULL, or not to have been freed before.
#[no_mangle]
pub unsafe extern "C" fn fanfare_tickets_free(tickets: *mut FanfareTickets) {
    answer(|| {
        // SAFETY: NULL, or live as the caller promises.
        match unsafe { tickets.as_ref() } {
            Some(live) if live.origin.is_here() => {
                // SAFETY: it came from `Box::into_raw`, and the caller gives it up.
                drop(unsafe { Box::from_raw(tickets) });
            }
            _ => {}
        }
        Ok(())
    });
}

/// Makes an authorizer that gives a client the stream that its token or its ticket is for. A client
/// shows a token in `Authorization: Bearer TOKEN`, or in a cookie if the options say so; or a ticket in
/// its query, `ticket=...`, which it gets with `POST` to the options' exchange_path and its token, or
/// from the program (`fanfare_tickets_issue`). A client that shows nothing that is valid is answered
/// 401; one whose ticket's stream is connected 409; one for topics that are not granted 403. `options`
/// may be NULL for the defaults. On success `*authorizer_out` is the authorizer.
///
/// Threads: any. Ownership: what is passed stays the caller's, and the authorizer keeps `tokens` and
/// `tickets`, so that keys that are set later hold for it; the authorizer is the caller's, to be freed
/// with `fanfare_authorizer_free`. Errors: `FANFARE_ERR_OPTIONS`, and `fanfare_access_options_problem`
/// says which; `FANFARE_ERR_ARGUMENT`, `FANFARE_ERR_FORKED` or `FANFARE_ERR_SYSTEM`.
///
/// # Safety
///
/// `tokens` and `tickets` have to be live, `options` NULL or as `FanfareAccessOptions` says, and
/// `authorizer_out` to be writable.
#[no_mangle]
pub unsafe extern "C" fn fanfare_authorizer_new_tickets(
    tokens: *const FanfareTokens,
    tickets: *const FanfareTickets,
    options: *const FanfareAccessOptions,
    authorizer_out: *mut *mut FanfareAuthorizer,
) -> FanfareStatus {
    answer(|| {
        // SAFETY: as the caller promises.
        let (tokens, tickets, options) = unsafe {
            let tokens = FanfareTokens::live(tokens)?;
            (tokens, FanfareTickets::live(tickets)?, FanfareAccessOptions::read(options)?)
        };
        if authorizer_out.is_null() {
            return Err(Status::FANFARE_ERR_ARGUMENT);
        }
        let (verifier, tickets) = (tokens.verifier.clone(), tickets.tickets.clone());
        let authorizer = Authorizer::tickets(verifier, tickets, options);
        let authorizer = authorizer.map_err(|_| Status::FANFARE_ERR_OPTIONS)?;
        // SAFETY: not NULL, and writable as the caller promises.
        unsafe { *authorizer_out = FanfareAuthorizer::new(authorizer) };
        Ok(())
    })
}

impl FanfareTickets {
    /// # Safety
    ///
    /// `tickets` has to be NULL, or to be live for as long as `'a`.
    unsafe fn live<'a>(tickets: *const FanfareTickets) -> Result<&'a FanfareTickets, Status> {
        // SAFETY: as the caller promises.
        match unsafe { tickets.as_ref() } {
            None => Err(Status::FANFARE_ERR_ARGUMENT),
            Some(tickets) if !tickets.origin.is_here() => Err(Status::FANFARE_ERR_FORKED),
            Some(tickets) => Ok(tickets),
        }
    }
}

/// It shows no ticket.
impl std::fmt::Debug for FanfareTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FanfareTicket(..)")
    }
}

impl Default for FanfareTicketOptions {
    fn default() -> FanfareTicketOptions {
        let options = TicketOptions::default();
        FanfareTicketOptions {
            size: size_of::<FanfareTicketOptions>(),
            tickets_max: options.tickets_max.to_number(),
            first_use_time_max_ms: options.first_use_time_max.to_number(),
        }
    }
}

impl FanfareTicketOptions {
    /// # Safety
    ///
    /// `options` has to be NULL, or to point to `options->size` readable bytes.
    unsafe fn read(options: *const FanfareTicketOptions) -> Result<TicketOptions, Refused> {
        // SAFETY: as the caller promises.
        let read = unsafe { over_defaults(options, SIZE_MIN, FanfareTicketOptions::default()) }?;
        let options = TicketOptions::default()
            .tickets_max(Number::of_number(read.tickets_max))
            .first_use_time_max(Number::of_number(read.first_use_time_max_ms));
        options.check().map_err(|error| Field::of(error, &TIMES, &[]))?;
        Ok(options)
    }
}

impl FanfareAccessOptions {
    /// # Safety
    ///
    /// `options` has to be NULL, or to point to `options->size` readable bytes whose texts and lists are
    /// as they say.
    unsafe fn read(options: *const FanfareAccessOptions) -> Result<AccessOptions, Refused> {
        let blank = FanfareAccessOptions {
            size: size_of::<FanfareAccessOptions>(),
            cookie: FanfareText::NONE,
            cookie_origins: std::ptr::null(),
            cookie_origins_count: 0,
            exchange_path: FanfareText::NONE,
        };
        let mut access = AccessOptions::default();
        // SAFETY: as the caller promises, for all of these.
        unsafe {
            let read = over_defaults(options, ACCESS_SIZE_MIN, blank)?;
            access.cookie = COOKIE.text(read.cookie, TEXT_BYTES_MAX)?;
            let (list, count) = (read.cookie_origins, read.cookie_origins_count);
            let origins = COOKIE_ORIGINS.texts(list, count, ORIGINS_MAX)?;
            access.cookie_origins = origins.unwrap_or_default();
            if let Some(path) = EXCHANGE_PATH.text(read.exchange_path, TEXT_BYTES_MAX)? {
                access.exchange_path = path;
            }
        }
        access.checked_origins().map_err(|error| Field::of(error, &[], &[COOKIE_ORIGINS]))?;
        Ok(access)
    }
}
