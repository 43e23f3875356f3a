package fanfare

// #include "native.h"
import "C"

import (
	"runtime"
	"time"
	"unsafe"
)

// TicketOptions bounds tickets. The zero value is the default of each.
type TicketOptions struct {
	// TicketsMax: the most tickets that there are at once. One that was used is kept for its stream's
	// reconnects, until its grant expires.
	// Bounds: 1 to 10,000,000. Default: 65,536.
	TicketsMax int
	// FirstUseTimeMax: how long a ticket may be unused before it is forgotten.
	// Bounds: 1 s to 1 hour. Default: 60 s.
	FirstUseTimeMax time.Duration
}

// Tickets is those that were issued and are not over. Any goroutine may use it.
type Tickets struct{ native *C.fanfare_tickets }

// NewTickets makes a table of tickets. nil is the default of every option. The error is an
// [OptionError].
func NewTickets(options *TicketOptions) (*Tickets, error) {
	given := C.fanfare_ticket_options_defaults()
	if options != nil {
		number(&given.tickets_max, int64(options.TicketsMax))
		duration(&given.first_use_time_max_ms, options.FirstUseTimeMax)
	}
	var native *C.fanfare_tickets
	err := failure(C.fanfare_tickets_new(&given, &native))
	if err == ErrOptions {
		return nil, optionProblem(ErrOptions, func(name, bounds *C.fanfare_text) C.fanfare_status {
			return C.fanfare_ticket_options_problem(&given, name, bounds)
		})
	} else if err != nil {
		return nil, err
	}
	t := &Tickets{native}
	runtime.AddCleanup(t, func(native *C.fanfare_tickets) { C.fanfare_tickets_free(native) }, native)
	return t, nil
}

func (t *Tickets) pointer() *C.fanfare_tickets {
	native := t.native
	inCall()
	return native
}

// Issue makes a ticket for a grant that expires, for the query of a stream's URL: ticket=... A client
// that has it may use it, so it belongs into no log. The error is an [OptionError] or [ErrGrant] when the
// grant is out of its bounds, does not expire or has expired; [ErrLimit] when there are too many tickets.
func (t *Tickets) Issue(grant Grant) (string, error) {
	var memory memory
	defer memory.release()
	made := grant.native(&memory)
	var ticket C.fanfare_ticket
	err := failure(C.fanfare_tickets_issue(t.pointer(), &made, &ticket))
	runtime.KeepAlive(t)
	if err == ErrGrant {
		return "", grantProblem(&made)
	} else if err != nil {
		return "", err
	}
	text := (*[C.FANFARE_TICKET_BYTES_MAX]byte)(unsafe.Pointer(&ticket.text))
	return string(text[:ticket.length]), nil
}

// Redeem takes a ticket that a client shows to the program. goesOn is whether the client's request has
// the id of an event, so that its stream goes on: an older connection of the stream is then no longer
// current. The error is [ErrToken] when the ticket is not valid, or no longer; [ErrBusy] when its stream
// is connected, and the request does not go on.
func (t *Tickets) Redeem(ticket string, goesOn bool) (*Granted, error) {
	var memory memory
	defer memory.release()
	var native *C.fanfare_granted
	err := failure(C.fanfare_tickets_redeem(t.pointer(), memory.text(ticket), flag(goesOn), &native))
	runtime.KeepAlive(t)
	if err != nil {
		return nil, err
	}
	return newGranted(native)
}

// LookUp says what a ticket grants that a client shows to the program, and uses nothing up: to see whether
// the client's request is within the grant before [Tickets.Redeem] takes the ticket, which may still refuse
// it. The error is as of that.
func (t *Tickets) LookUp(ticket string, goesOn bool) (Grant, error) {
	var memory memory
	defer memory.release()
	var native *C.fanfare_granted
	err := failure(C.fanfare_tickets_look_up(t.pointer(), memory.text(ticket), flag(goesOn), &native))
	runtime.KeepAlive(t)
	if err != nil {
		return Grant{}, err
	}
	granted, err := newGranted(native)
	if err != nil {
		return Grant{}, err
	}
	return granted.Grant, granted.Close()
}

// AccessOptions is how clients show tokens and tickets to a listener. The zero value is the default of
// each.
type AccessOptions struct {
	// Cookie: the name of a cookie that has a token, which counts for pages of the server's own origin,
	// and of CookieOrigins. Default: none.
	Cookie string
	// CookieOrigins: the other origins whose pages may use the cookie, at most 64; the listener's CORS
	// has to have them as well.
	CookieOrigins []string
	// ExchangePath: the path at which a client gets a ticket for its token, with POST. Default: /tickets,
	// unless NoExchange.
	ExchangePath string
	// NoExchange: there is no such path.
	NoExchange bool
}

// NewTicketAuthorizer gives a client the stream that its token or its ticket is for. A client shows a
// token in "Authorization: Bearer TOKEN", or in a cookie; or a ticket in its query, ticket=..., which it
// gets with POST to the exchange path and its token, or from the program ([Tickets.Issue]). One that
// shows nothing that is valid is answered 401, one whose ticket's stream is connected 409, and one for
// topics that are not granted 403. nil is the default of every option. The error is an [OptionError] or
// [ErrSystem].
func NewTicketAuthorizer(tokens *Tokens, tickets *Tickets, options *AccessOptions) (*Authorizer, error) {
	var memory memory
	defer memory.release()
	given := C.fanfare_access_options_defaults()
	if options != nil {
		given.cookie = memory.field(options.Cookie)
		if len(options.CookieOrigins) > 0 {
			given.cookie_origins, given.cookie_origins_count = memory.texts(options.CookieOrigins)
		}
		given.exchange_path = memory.field(options.ExchangePath)
		if options.NoExchange {
			given.exchange_path = memory.text("")
		}
	}
	var native *C.fanfare_authorizer
	err := failure(C.fanfare_authorizer_new_tickets(tokens.pointer(), tickets.pointer(), &given, &native))
	runtime.KeepAlive(tokens)
	runtime.KeepAlive(tickets)
	if err == ErrOptions {
		return nil, optionProblem(ErrOptions, func(name, bounds *C.fanfare_text) C.fanfare_status {
			return C.fanfare_access_options_problem(&given, name, bounds)
		})
	} else if err != nil {
		return nil, err
	}
	a := &Authorizer{native: native}
	runtime.AddCleanup(a, func(native *C.fanfare_authorizer) { C.fanfare_authorizer_free(native) }, native)
	return a, nil
}
