//! Keys, tokens, tickets, and what they grant.

use std::mem::offset_of;
use std::ptr;

use fanfare::ffi::FanfareStatusCode::*;
use fanfare::ffi::*;

use crate::expect::{verdict, Expected, Verdict};
use crate::input::Input;
use crate::memory::{understood, Memory};
use crate::notices;
use crate::streams::subscriptions;
use crate::world::World;

const SECRET: &[u8] = b"a secret of at least 32 bytes, from a random source";

/// The handles of a sequence, each there or NULL.
pub(crate) struct Access {
    key: *mut FanfareSigningKey,
    tokens: *mut FanfareTokens,
    tickets: *mut FanfareTickets,
    authorizer: *mut FanfareAuthorizer,
    granted: *mut FanfareGranted,
    fallback: *mut FanfareFallback,
    /// What was signed and issued.
    token: Vec<u8>,
    ticket: Vec<u8>,
}

impl Access {
    pub(crate) fn authorizer(&self) -> *const FanfareAuthorizer {
        self.authorizer
    }

    pub(crate) fn fallback(&self) -> *const FanfareFallback {
        self.fallback
    }

    fn keep_granted(&mut self, granted: *mut FanfareGranted) {
        if !granted.is_null() {
            // SAFETY: NULL, or live and not used any more.
            unsafe { fanfare_granted_free(self.granted) };
            self.granted = granted;
        }
    }
}

impl Default for Access {
    fn default() -> Access {
        Access {
            key: ptr::null_mut(),
            tokens: ptr::null_mut(),
            tickets: ptr::null_mut(),
            authorizer: ptr::null_mut(),
            granted: ptr::null_mut(),
            fallback: ptr::null_mut(),
            token: Vec::new(),
            ticket: Vec::new(),
        }
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        // SAFETY: each is NULL, or live and not used any more.
        unsafe {
            fanfare_signing_key_free(self.key);
            fanfare_tokens_free(self.tokens);
            fanfare_tickets_free(self.tickets);
            fanfare_authorizer_free(self.authorizer);
            fanfare_granted_free(self.granted);
            fanfare_fallback_free(self.fallback);
        }
    }
}

/// Keys, of which most are good.
fn keys(input: &mut Input<'_>, memory: &mut Memory) -> Vec<FanfareKey> {
    let count = if input.rarely() { 65 } else { input.below(3) };
    let key = |_| {
        let bytes = if input.rarely() { input.text() } else { SECRET.to_vec() };
        let bytes = memory.any_text(input, &bytes);
        let form = if input.rarely() { input.byte().into() } else { FANFARE_KEY_FILE };
        FanfareKey { bytes, form, reserved: u32::from(input.rarely()) }
    };
    (0..count).map(key).collect()
}

/// What is wrong with keys, as `fanfare_keys_problem` says.
fn keys_verdict(keys: &[FanfareKey], input: &mut Input<'_>, memory: &mut Memory) -> Expected {
    let list = memory.list(keys);
    let (mut buffer, mut length) = ([0xa5_u8; 600], usize::MAX);
    let size = if input.rarely() { input.below(8) } else { 512 };
    // SAFETY: the list is as long as it says, and so is the buffer.
    let status = unsafe {
        fanfare_keys_problem(list, keys.len(), buffer.as_mut_ptr().cast(), size, &mut length)
    };
    let is_impossible = keys.iter().any(|key| {
        let is_form = [FANFARE_KEY_FILE, FANFARE_KEY_JWKS].contains(&key.form);
        !understood(key.bytes).is_ok_and(|bytes| bytes.is_some()) || !is_form || key.reserved != 0
    });
    let expected = Expected::default()
        .fault_if(keys.len() > 64, FANFARE_ERR_TOO_MANY)
        .chance_if(is_impossible, FANFARE_ERR_ARGUMENT)
        .chance_if(true, FANFARE_ERR_BUFFER);
    let is_ok = expected.check("fanfare_keys_problem", status);
    assert!(buffer[size..].iter().all(|&byte| byte == 0xa5));
    assert!(!is_ok || std::str::from_utf8(&buffer[..length]).is_ok());
    let is_wrong = length != 0 && length != usize::MAX;
    Expected::default()
        .fault_if(keys.len() > 64, FANFARE_ERR_TOO_MANY)
        .fault_if(status == FANFARE_ERR_ARGUMENT as FanfareStatus, FANFARE_ERR_ARGUMENT)
        .fault_if(is_wrong, FANFARE_ERR_KEY)
}

/// A grant, of which any field may be set, and what `fanfare_grant_problem` says of it.
fn grant(
    input: &mut Input<'_>,
    memory: &mut Memory,
) -> (crate::memory::Lent<FanfareGrant>, Verdict) {
    // SAFETY: zero is a valid value.
    let mut grant: FanfareGrant = unsafe { std::mem::zeroed() };
    grant.size = size_of::<FanfareGrant>();
    let topics = match input.is_odd() {
        true => vec![memory.text(b"a/#")],
        false => subscriptions(input, memory).0,
    };
    (grant.topics, grant.topics_count) = (memory.list(&topics), topics.len());
    grant.expires_at_unix_ms = if input.rarely() { input.number() } else { 32_503_680_000_000 };
    let text = input.text();
    match input.byte() % 16 {
        0 => grant.tag = memory.any_text(input, &text),
        1 => grant.policy = input.byte().into(),
        2 => grant.any_topics = input.byte().into(),
        3 => grant.start = input.byte().into(),
        4 => {
            let text = memory.any_text(input, &text);
            let header = FanfareHeader { name: text, value: text };
            (grant.headers, grant.headers_count) = (memory.list(&[header]), 1);
        }
        _ => {}
    }
    let minimum = offset_of!(FanfareGrant, start_last) + size_of::<u32>();
    let lent = memory.sized(input, &grant, minimum, FANFARE_ERR_GRANT);
    let verdict = verdict("fanfare_grant_problem", fanfare_grant_problem, &lent);
    (lent, verdict)
}

/// Makes keys, tokens and tickets, or other ones, and what asks for them.
pub(crate) fn make(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let access = &mut world.access;
    match input.byte() % 5 {
        0 => {
            let bytes = if input.rarely() { input.text() } else { SECRET.to_vec() };
            let bytes = memory.any_text(input, &bytes);
            let mut key = ptr::null_mut();
            let given = understood(bytes);
            let is_secret = given.as_ref().is_ok_and(|given| given.as_deref() == Some(SECRET));
            let expected = Expected::default()
                .fault(given.as_ref().err().copied())
                .fault_if(given == Ok(None), FANFARE_ERR_ARGUMENT)
                .chance_if(!is_secret, FANFARE_ERR_KEY);
            // SAFETY: the text is as it says, and writable.
            let status = unsafe { fanfare_signing_key_new(bytes, &mut key) };
            if expected.check("fanfare_signing_key_new", status) {
                // SAFETY: NULL, or live and not used any more.
                unsafe { fanfare_signing_key_free(access.key) };
                access.key = key;
            }
        }
        1 => {
            let keys = keys(input, &mut memory);
            let expected = keys_verdict(&keys, input, &mut memory);
            // SAFETY: zero is a valid value.
            let mut options: FanfareTokenOptions = unsafe { std::mem::zeroed() };
            options.size = size_of::<FanfareTokenOptions>();
            // SAFETY: the struct says its own size.
            Expected::default().check("fanfare_token_options_init", unsafe {
                fanfare_token_options_init(&mut options)
            });
            if input.rarely() {
                options.leeway_ms = input.number();
            }
            let minimum = offset_of!(FanfareTokenOptions, leeway_ms) + size_of::<u64>();
            let lent = memory.sized(input, &options, minimum, FANFARE_ERR_OPTIONS);
            let verdict =
                verdict("fanfare_token_options_problem", fanfare_token_options_problem, &lent);
            let expected = expected.verdict(verdict, FANFARE_ERR_OPTIONS);
            let (list, mut tokens) = (memory.list(&keys), ptr::null_mut());
            // SAFETY: what is lent is as it says, and writable.
            let status =
                unsafe { fanfare_tokens_new(list, keys.len(), lent.as_ptr(), &mut tokens) };
            if expected.check("fanfare_tokens_new", status) {
                // SAFETY: NULL, or live and not used any more.
                unsafe { fanfare_tokens_free(access.tokens) };
                access.tokens = tokens;
            }
        }
        2 => {
            let keys = keys(input, &mut memory);
            let expected = keys_verdict(&keys, input, &mut memory)
                .fault_if(access.tokens.is_null(), FANFARE_ERR_ARGUMENT);
            let list = memory.list(&keys);
            // SAFETY: NULL or live, and what is lent is as it says.
            let status = unsafe { fanfare_tokens_set_keys(access.tokens, list, keys.len()) };
            expected.check("fanfare_tokens_set_keys", status);
        }
        3 => {
            // SAFETY: zero is a valid value.
            let mut options: FanfareTicketOptions = unsafe { std::mem::zeroed() };
            options.size = size_of::<FanfareTicketOptions>();
            // SAFETY: the struct says its own size.
            Expected::default().check("fanfare_ticket_options_init", unsafe {
                fanfare_ticket_options_init(&mut options)
            });
            if input.is_odd() {
                options.tickets_max = input.below(4) as _;
            }
            let minimum = offset_of!(FanfareTicketOptions, first_use_time_max_ms) + 8;
            let lent = memory.sized(input, &options, minimum, FANFARE_ERR_OPTIONS);
            let verdict =
                verdict("fanfare_ticket_options_problem", fanfare_ticket_options_problem, &lent);
            let expected = Expected::default().verdict(verdict, FANFARE_ERR_OPTIONS);
            let mut tickets = ptr::null_mut();
            // SAFETY: what is lent is as it says, and writable.
            let status = unsafe { fanfare_tickets_new(lent.as_ptr(), &mut tickets) };
            if expected.check("fanfare_tickets_new", status) {
                // SAFETY: NULL, or live and not used any more.
                unsafe { fanfare_tickets_free(access.tickets) };
                access.tickets = tickets;
            }
        }
        _ => {
            // SAFETY: zero is a valid value.
            let mut options: FanfareAccessOptions = unsafe { std::mem::zeroed() };
            options.size = size_of::<FanfareAccessOptions>();
            let text = input.text();
            let text = memory.any_text(input, &text);
            match input.byte() % 8 {
                0 => options.cookie = text,
                1 => options.exchange_path = text,
                2 => {
                    options.cookie_origins = memory.list(&[text]);
                    options.cookie_origins_count = 1;
                }
                _ => {}
            }
            let minimum =
                offset_of!(FanfareAccessOptions, exchange_path) + size_of::<FanfareText>();
            let lent = memory.sized(input, &options, minimum, FANFARE_ERR_OPTIONS);
            let verdict =
                verdict("fanfare_access_options_problem", fanfare_access_options_problem, &lent);
            let is_none = access.tokens.is_null() && access.tickets.is_null();
            let expected = Expected::default()
                .verdict(verdict, FANFARE_ERR_OPTIONS)
                .fault_if(is_none, FANFARE_ERR_ARGUMENT)
                // What tokens or tickets alone cannot have.
                .chance_if(access.tickets.is_null() || access.tokens.is_null(), FANFARE_ERR_OPTIONS)
                .chance_if(
                    access.tickets.is_null() || access.tokens.is_null(),
                    FANFARE_ERR_ARGUMENT,
                );
            let mut authorizer = ptr::null_mut();
            // SAFETY: NULL or live, what is lent is as it says, and writable.
            let status = unsafe {
                fanfare_authorizer_new_tickets(
                    access.tokens,
                    access.tickets,
                    lent.as_ptr(),
                    &mut authorizer,
                )
            };
            if expected.check("fanfare_authorizer_new_tickets", status) {
                // SAFETY: NULL, or live and not used any more.
                unsafe { fanfare_authorizer_free(access.authorizer) };
                access.authorizer = authorizer;
            }
        }
    }
}

/// Makes an authorizer that asks the host, and answers requests that there are not.
pub(crate) fn ask(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    // SAFETY: zero is a valid value.
    let mut options: FanfareAskOptions = unsafe { std::mem::zeroed() };
    options.size = size_of::<FanfareAskOptions>();
    // SAFETY: the struct says its own size.
    Expected::default()
        .check("fanfare_ask_options_init", unsafe { fanfare_ask_options_init(&mut options) });
    match input.byte() % 8 {
        0 => options.waiting_max = input.number(),
        1 => options.timeout_ms = input.number(),
        _ => {}
    }
    let minimum = offset_of!(FanfareAskOptions, timeout_ms) + size_of::<u64>();
    let lent = memory.sized(input, &options, minimum, FANFARE_ERR_OPTIONS);
    let verdict = verdict("fanfare_ask_options_problem", fanfare_ask_options_problem, &lent);
    let token = u64::from(input.byte() % 4);
    let (notices, queue) = notices::queue(&mut world.queues, input);
    let expected = Expected::default()
        .fault_if(notices.is_null(), FANFARE_ERR_ARGUMENT)
        .verdict(verdict, FANFARE_ERR_OPTIONS);
    let mut authorizer = ptr::null_mut();
    // SAFETY: NULL or live, what is lent is as it says, and writable.
    let status =
        unsafe { fanfare_authorizer_new_ask(notices, token, lent.as_ptr(), &mut authorizer) };
    let access = &mut world.access;
    if expected.check("fanfare_authorizer_new_ask", status) {
        queue.expect("NULL is refused").may_have(token);
        // SAFETY: NULL, or live and not used any more.
        unsafe { fanfare_authorizer_free(access.authorizer) };
        access.authorizer = authorizer;
    }
    let id = input.number();
    let (status, verdict, call) = if input.rarely() {
        // SAFETY: NULL or live.
        let status = unsafe { fanfare_authorizer_give_up(access.authorizer, id) };
        (status, Verdict::Good, "fanfare_authorizer_give_up")
    } else if input.is_odd() {
        let (grant, verdict) = grant(input, &mut memory);
        // SAFETY: NULL or live, and what is lent is as it says.
        let status = unsafe { fanfare_authorizer_allow(access.authorizer, id, grant.as_ptr()) };
        (status, verdict, "fanfare_authorizer_allow")
    } else {
        let (refusal, verdict) = refusal(input, &mut memory);
        // SAFETY: as above.
        let status = unsafe { fanfare_authorizer_refuse(access.authorizer, id, refusal.as_ptr()) };
        (status, verdict, "fanfare_authorizer_refuse")
    };
    Expected::default()
        .fault_if(access.authorizer.is_null(), FANFARE_ERR_ARGUMENT)
        .verdict(verdict, FANFARE_ERR_GRANT)
        // No client has come; and the authorizer may be one that does not ask.
        .fault(FANFARE_ERR_STALE)
        .fault(FANFARE_ERR_ARGUMENT)
        .check(call, status);
}

/// Makes what takes a listener's other requests, and takes a connection that there is not.
pub(crate) fn fall_back(world: &mut World, input: &mut Input<'_>) {
    let token = u64::from(input.byte() % 4);
    let capacity = if input.is_odd() { 10 } else { input.number() as usize };
    let (notices, queue) = notices::queue(&mut world.queues, input);
    let expected = Expected::default()
        .fault_if(notices.is_null(), FANFARE_ERR_ARGUMENT)
        .fault_if(!(1..=65_536).contains(&capacity), FANFARE_ERR_OPTIONS);
    let mut fallback = ptr::null_mut();
    // SAFETY: NULL or live, and writable.
    let status = unsafe { fanfare_fallback_new(notices, token, capacity, &mut fallback) };
    let access = &mut world.access;
    if expected.check("fanfare_fallback_new", status) {
        queue.expect("NULL is refused").may_have(token);
        // SAFETY: NULL, or live and not used any more.
        unsafe { fanfare_fallback_free(access.fallback) };
        access.fallback = fallback;
    }
    let mut fd = -1;
    // SAFETY: NULL or live, and writable.
    let status = unsafe { fanfare_fallback_take(access.fallback, input.number(), &mut fd) };
    Expected::default()
        .fault_if(access.fallback.is_null(), FANFARE_ERR_ARGUMENT)
        .fault_if(!access.fallback.is_null(), FANFARE_ERR_STALE)
        .check("fanfare_fallback_take", status);
    assert_eq!(fd, -1);
}

/// A refusal, and what `fanfare_refusal_problem` says of it.
fn refusal(
    input: &mut Input<'_>,
    memory: &mut Memory,
) -> (crate::memory::Lent<FanfareRefusal>, Verdict) {
    let text = input.text();
    // SAFETY: zero is a valid value.
    let mut refusal: FanfareRefusal = unsafe { std::mem::zeroed() };
    refusal.size = size_of::<FanfareRefusal>();
    refusal.status = if input.is_odd() { 403 } else { input.number() as u32 };
    refusal.text = memory.any_text(input, &text);
    refusal.reserved = u32::from(input.rarely());
    let minimum = offset_of!(FanfareRefusal, reserved) + size_of::<u32>();
    let lent = memory.sized(input, &refusal, minimum, FANFARE_ERR_GRANT);
    let verdict = verdict("fanfare_refusal_problem", fanfare_refusal_problem, &lent);
    (lent, verdict)
}

/// Signs, verifies, issues, redeems, and looks at what was granted.
pub(crate) fn pass(world: &mut World, input: &mut Input<'_>) {
    let mut memory = Memory::default();
    let access = &mut world.access;
    let text = input.text();
    let is_none = |is_null: bool| Expected::default().fault_if(is_null, FANFARE_ERR_ARGUMENT);
    match input.byte() % 6 {
        0 => {
            let (grant, verdict) = grant(input, &mut memory);
            // SAFETY: zero is a valid value.
            let mut claims: FanfareTokenClaims = unsafe { std::mem::zeroed() };
            claims.size = size_of::<FanfareTokenClaims>();
            if input.rarely() {
                claims.audience = memory.any_text(input, &text);
            }
            let minimum = offset_of!(FanfareTokenClaims, not_before_unix_ms) + 8;
            let claims = memory.sized(input, &claims, minimum, FANFARE_ERR_OPTIONS);
            let (mut buffer, size, mut length) = (vec![0_u8; 2048], input.below(256) * 8, 0);
            let audience = understood(claims.effective.audience);
            let expected = is_none(access.key.is_null())
                .verdict(verdict, FANFARE_ERR_GRANT)
                .fault(claims.fault)
                .fault(audience.as_ref().err().copied())
                .chance_if(audience.is_ok_and(|audience| audience.is_some()), FANFARE_ERR_OPTIONS)
                // A grant that a token cannot say.
                .chance_if(true, FANFARE_ERR_GRANT)
                .chance_if(true, FANFARE_ERR_BUFFER);
            // SAFETY: NULL or live, what is lent is as it says, and there are as many bytes.
            let status = unsafe {
                fanfare_signing_key_sign(
                    access.key,
                    grant.as_ptr(),
                    claims.as_ptr(),
                    buffer.as_mut_ptr().cast(),
                    size,
                    &mut length,
                )
            };
            if expected.check("fanfare_signing_key_sign", status) {
                assert!(length <= size);
                buffer.truncate(length);
                access.token = buffer;
            }
        }
        1 => {
            let token = if input.is_odd() { access.token.clone() } else { text };
            let token = memory.any_text(input, &token);
            let expected = is_none(access.tokens.is_null())
                .fault(understood(token).err())
                .chance_if(true, FANFARE_ERR_TOKEN);
            let mut granted = ptr::null_mut();
            // SAFETY: NULL or live, and the text is as it says.
            let status = unsafe { fanfare_tokens_verify(access.tokens, token, &mut granted) };
            assert_eq!(expected.check("fanfare_tokens_verify", status), !granted.is_null());
            access.keep_granted(granted);
        }
        2 => {
            let (grant, verdict) = grant(input, &mut memory);
            let expected = is_none(access.tickets.is_null())
                .verdict(verdict, FANFARE_ERR_GRANT)
                .chance_if(true, FANFARE_ERR_GRANT)
                .chance_if(true, FANFARE_ERR_LIMIT);
            // SAFETY: zero is a valid value.
            let mut ticket: FanfareTicket = unsafe { std::mem::zeroed() };
            // SAFETY: NULL or live, what is lent is as it says, and writable.
            let status =
                unsafe { fanfare_tickets_issue(access.tickets, grant.as_ptr(), &mut ticket) };
            let is_ok = expected.check("fanfare_tickets_issue", status);
            assert_eq!(ticket.length > 0, is_ok);
            if is_ok {
                let bytes = ticket.text.map(|byte| byte as u8);
                access.ticket = bytes[..usize::from(ticket.length)].to_vec();
            }
        }
        3 => {
            let ticket = if input.is_odd() { access.ticket.clone() } else { text };
            let ticket = memory.any_text(input, &ticket);
            let goes_on = u32::from(input.byte() % 3);
            let expected = is_none(access.tickets.is_null())
                .fault(understood(ticket).err())
                .chance_if(goes_on > 1, FANFARE_ERR_ARGUMENT)
                .chance_if(true, FANFARE_ERR_TOKEN)
                .chance_if(true, FANFARE_ERR_BUSY);
            let mut granted = ptr::null_mut();
            if input.is_odd() {
                // SAFETY: NULL or live, and the text is as it says.
                let status = unsafe {
                    fanfare_tickets_look_up(access.tickets, ticket, goes_on, &mut granted)
                };
                let is_ok = expected.check("fanfare_tickets_look_up", status);
                assert_eq!(is_ok, !granted.is_null());
                access.keep_granted(granted);
                return;
            }
            // SAFETY: NULL or live, and the text is as it says.
            let status =
                unsafe { fanfare_tickets_redeem(access.tickets, ticket, goes_on, &mut granted) };
            assert_eq!(expected.check("fanfare_tickets_redeem", status), !granted.is_null());
            access.keep_granted(granted);
        }
        4 => {
            let minimum = offset_of!(FanfareGrant, start_last) + size_of::<u32>();
            let lent = memory.writable::<FanfareGrant>(input, minimum);
            let mut is_current = 7;
            // SAFETY: NULL or live, and writable as far as it says.
            let statuses = unsafe {
                [
                    fanfare_granted_grant(access.granted, lent.as_mut_ptr()),
                    fanfare_granted_is_current(access.granted, &mut is_current),
                ]
            };
            let expected = is_none(access.granted.is_null());
            let is_ok = expected.check("fanfare_granted_is_current", statuses[1]);
            assert_eq!(is_current <= 1, is_ok);
            let expected = is_none(access.granted.is_null()).fault(lent.fault_of_output());
            if expected.check("fanfare_granted_grant", statuses[0]) {
                // SAFETY: the struct has at least what the first version had; the lists are there.
                let topics = unsafe {
                    let grant = ptr::read(lent.as_ptr());
                    assert!(understood(grant.tag).is_ok());
                    match grant.topics_count {
                        0 => &[][..],
                        count => std::slice::from_raw_parts(grant.topics, count),
                    }
                };
                assert!(topics
                    .iter()
                    .all(|topic| understood(*topic).is_ok_and(|topic| topic.is_some())));
            }
        }
        _ => drop(refusal(input, &mut memory)),
    }
}

/// Frees any of the handles, or NULL.
pub(crate) fn free(world: &mut World, input: &mut Input<'_>) {
    let access = &mut world.access;
    let choice = input.byte();
    // SAFETY: each is NULL, or live and not used any more.
    unsafe {
        match choice % 5 {
            0 => fanfare_signing_key_free(std::mem::replace(&mut access.key, ptr::null_mut())),
            1 => fanfare_tokens_free(std::mem::replace(&mut access.tokens, ptr::null_mut())),
            2 => fanfare_tickets_free(std::mem::replace(&mut access.tickets, ptr::null_mut())),
            3 => {
                fanfare_authorizer_free(std::mem::replace(&mut access.authorizer, ptr::null_mut()))
            }
            _ => fanfare_granted_free(std::mem::replace(&mut access.granted, ptr::null_mut())),
        }
    }
}

/// What the log's callback was called with.
unsafe extern "C" fn take_record(_: *mut std::ffi::c_void, record: *const FanfareLogRecord) {
    // SAFETY: the library gives a record for the length of the call.
    let record = unsafe { &*record };
    let message = understood(record.message).expect("a text").expect("a message");
    assert!(message.len() <= FANFARE_LOG_BYTES_MAX && std::str::from_utf8(&message).is_ok());
}

pub(crate) fn log_set(_: &mut World, input: &mut Input<'_>) {
    let level = if input.rarely() { input.number() as i32 } else { i32::from(input.byte() % 6) };
    let is_level = (0..=5).contains(&level);
    let callback: FanfareLogCallback = if input.is_odd() { Some(take_record) } else { None };
    let expected = Expected::default()
        .fault_if(!is_level && callback.is_some(), FANFARE_ERR_ARGUMENT)
        .chance_if(!is_level, FANFARE_ERR_ARGUMENT);
    // SAFETY: the callback may be called from any thread, and needs no data.
    let status = unsafe { fanfare_log_set(level, callback, ptr::null_mut(), None) };
    expected.check("fanfare_log_set", status);
}
