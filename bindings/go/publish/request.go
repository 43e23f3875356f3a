package publish

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	ndjson = "application/x-ndjson"
	plain  = "text/plain; charset=utf-8"
	// The most bytes of an answer that are read.
	answerBytesMax = 64 << 10
	connectTimeMax = 10 * time.Second
	// The server closes a connection that is idle for 60 s; one that is closed while a request is
	// on its way loses the answer.
	idleTimeMax = 30 * time.Second
	// Which part of the time that is left for an answer the server may wait for its backlog, so that the
	// answer is in time; it takes no more than 30 s.
	waitShare     = 0.8
	pauseMin      = 100 * time.Millisecond
	pauseMax      = 5 * time.Second
	retryAfterMax = time.Minute
)

// request is what is sent: its content can be sent again.
type request struct {
	path        string
	contentType string
	content     []byte
}

type kind int

const (
	// published: all of it.
	published kind = iota
	// refused: so many events are published, and the server will never take the next one.
	refused
	// busy: so many events are published, and the server cannot take more for now.
	busy
	// unreached: the server has not got the request.
	unreached
	// unknown: the answer is lost.
	unknown
	// halfway: so many events are published, the next one is published or not, and those behind it are not.
	halfway
	// never: this server takes none of it.
	never
)

// said is what has become of a request.
type said struct {
	kind kind
	// count is how many events are published.
	count      int
	id         string
	retryAfter time.Duration
	err        *Error // nil if all is published
}

// answer is what the server says.
type answer struct {
	ID        *string `json:"id"`
	Published *int    `json:"published"`
	Line      *int    `json:"line"`
	Error     *string `json:"error"`
	Code      string  `json:"code"`
}

// send sends a request once.
func (c *Client) send(ctx context.Context, r request) said {
	limited, cancel := context.WithTimeout(ctx, c.options.AnswerTimeMax)
	defer cancel()
	var sent sentBytes
	traced := httptrace.WithClientTrace(limited, &httptrace.ClientTrace{GotConn: sent.gotConn})
	outgoing, err := http.NewRequestWithContext(traced, http.MethodPost, c.base+r.path,
		bytes.NewReader(r.content))
	if err != nil {
		return said{kind: never, err: &Error{Kind: ErrURL, Cause: err}}
	}
	outgoing.Header.Set("Content-Type", r.contentType)
	if deadline, ok := limited.Deadline(); ok {
		wait := max(0, int(time.Until(deadline).Seconds()*waitShare))
		outgoing.Header.Set("Prefer", "wait="+strconv.Itoa(wait))
	}
	if c.options.Token != "" {
		outgoing.Header.Set("Authorization", "Bearer "+c.options.Token)
	}
	response, err := c.http.Do(outgoing)
	if err != nil {
		// Its text would repeat the query.
		if wrapped, ok := err.(*url.Error); ok {
			err = wrapped.Err
		}
		if sent.isNothing() {
			return said{kind: unreached, err: &Error{Kind: ErrUnreached, Cause: err}}
		}
		return said{kind: unknown, err: &Error{Kind: ErrUnknown, Cause: err}}
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, answerBytesMax))
	if err != nil {
		return said{kind: unknown, err: &Error{Kind: ErrUnknown, Status: response.StatusCode, Cause: err}}
	}
	field := response.Header.Get("Retry-After")
	retryAfter, _ := strconv.Atoi(field)
	outcome := understand(response.StatusCode, content, field != "")
	outcome.retryAfter = min(time.Duration(max(retryAfter, 0))*time.Second, retryAfterMax)
	return outcome
}

// understand says what an answer means. A proxy's answer may not be the server's.
func understand(status int, content []byte, saysWhen bool) said {
	var a answer
	isOwn := json.Unmarshal(content, &a) == nil && (a.Error != nil || status == http.StatusOK)
	// The program's answer when it has all the connections that it may have.
	isTurnedAway := status == http.StatusServiceUnavailable && len(content) == 0 && saysWhen
	count := 0
	if a.Published != nil {
		count = max(*a.Published, 0)
	}
	problem := func(kind error) *Error {
		text := ""
		if isOwn && a.Error != nil {
			text = *a.Error
			if a.Line != nil {
				// The line is one of the request, which the program does not know.
				text = strings.TrimPrefix(text, "line "+strconv.Itoa(*a.Line)+": ")
			}
		}
		return &Error{Kind: kind, Status: status, Text: text}
	}
	switch {
	case status == http.StatusOK && isOwn && a.Published != nil:
		return said{kind: published, count: count}
	case status == http.StatusOK && isOwn && a.Error == nil && bytes.Contains(content, []byte(`"id"`)):
		outcome := said{kind: published, count: 1}
		if a.ID != nil {
			outcome.id = *a.ID
		}
		return outcome
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout && isOwn,
		status == http.StatusServiceUnavailable && isOwn, isTurnedAway:
		return said{kind: busy, count: count, err: problem(kindOf(status, a.Code))}
	case isOwn && a.Code == "unanswered" && a.Published != nil && a.Line != nil:
		return said{kind: halfway, count: count, err: problem(ErrUnanswered)}
	case isOwn && a.Code == "unanswered":
		return said{kind: unknown, err: problem(ErrUnanswered)}
	case isOwn && status == http.StatusNotImplemented:
		// It has not looked at the content.
		return said{kind: never, err: problem(kindOf(status, a.Code))}
	case status >= 500, status == http.StatusRequestTimeout:
		return said{kind: unknown, err: problem(ErrUnknown)}
	case status < 400:
		// Another server's answer, or a redirect.
		return said{kind: never, err: invalidAnswer(status)}
	}
	kind := kindOf(status, a.Code)
	if isOwn && a.Published != nil && a.Line != nil {
		return said{kind: refused, count: count, err: problem(kind)}
	}
	if isOwn && a.Published != nil {
		// The content broke off, or was not read: what is left of it is not published.
		return said{kind: busy, count: count, err: problem(kind)}
	}
	return said{kind: never, err: problem(kind)}
}

func invalidAnswer(status int) *Error {
	return &Error{Kind: ErrRefused, Status: status, Text: "this is no answer of a fanfare server"}
}

// kindOf is the kind of an answer with a code of docs/server.md, or else by its status: of an earlier or a later
// server, or of a proxy.
func kindOf(status int, code string) error {
	switch code {
	case "late":
		return ErrTimeout
	case "unwritable":
		return ErrJournal
	case "unreachable":
		return ErrCluster
	case "closed", "unavailable":
		return ErrUnavailable
	case "conflict":
		return ErrRefused
	}
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return ErrFull
	case http.StatusRequestTimeout:
		return ErrTimeout
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrToken
	case http.StatusConflict:
		return ErrFinished
	case http.StatusRequestEntityTooLarge:
		return ErrTooLarge
	}
	return ErrRefused
}

// pause waits before the next try, and is false when the context has ended. Publishers that lost the
// same server do not all come back in the same moment.
func pause(ctx context.Context, failures int, atLeast time.Duration) bool {
	grown := min(pauseMin<<min(failures, 10), pauseMax)
	grown = max(grown, atLeast)
	timer := time.NewTimer(grown + rand.N(grown/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// ownTransport connects to the URL's host, or to a Unix domain socket.
func ownTransport(socket string, connectionsMax int) *http.Transport {
	dialer := net.Dialer{Timeout: connectTimeMax}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		MaxConnsPerHost:     connectionsMax,
		MaxIdleConnsPerHost: connectionsMax,
		IdleConnTimeout:     idleTimeMax,
		TLSHandshakeTimeout: connectTimeMax,
		DisableCompression:  true,
		WriteBufferSize:     64 << 10,
		ForceAttemptHTTP2:   true,
	}
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if socket != "" {
			network, addr = "unix", socket
		}
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &countingConn{Conn: conn}, nil
	}
	if socket != "" {
		transport.Proxy = nil
	}
	return transport
}

// countingConn counts what is written, so that it is known whether a request was.
type countingConn struct {
	net.Conn
	written atomic.Int64
}

// Write counts before it writes, since the transport may give a request up meanwhile.
func (c *countingConn) Write(data []byte) (int, error) {
	c.written.Add(int64(len(data)))
	n, err := c.Conn.Write(data)
	if n == 0 {
		c.written.Add(int64(-len(data)))
	}
	return n, err
}

// sentBytes says whether anything of a request was written. The transport may take several
// connections for it, one after the other, if nothing was written to the first.
type sentBytes struct {
	conn    atomic.Pointer[countingConn]
	before  atomic.Int64
	isOther atomic.Bool
}

func (s *sentBytes) gotConn(info httptrace.GotConnInfo) {
	conn := info.Conn
	secure, isTLS := conn.(*tls.Conn)
	if isTLS {
		conn = secure.NetConn()
	}
	counting, ok := conn.(*countingConn)
	// A connection of HTTP/2 is written to for other requests too.
	if !ok || isTLS && secure.ConnectionState().NegotiatedProtocol == "h2" {
		s.isOther.Store(true)
		return
	}
	s.before.Store(counting.written.Load())
	s.conn.Store(counting)
}

func (s *sentBytes) isNothing() bool {
	if s.isOther.Load() {
		return false
	}
	conn := s.conn.Load()
	return conn == nil || conn.written.Load() == s.before.Load()
}
