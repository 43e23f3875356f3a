//go:build cgo

package fanfare

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"time"
)

// handOver gives a connection that was taken from the server to the engine. What the engine does not
// take is answered here: the server has forgotten the connection.
func (h *handler) handOver(conn net.Conn, buffered *bufio.ReadWriter, w http.ResponseWriter, r *http.Request, wanted *Subscription) {
	if accepted, ok := conn.(*readConn); ok {
		conn = accepted.under()
	}
	header := fields(w.Header(), wanted)
	var err error = ErrSocketRead
	if !isReadAhead(buffered.Reader) {
		err = h.adopt(conn, header, r, wanted)
	}
	switch err {
	case nil:
	case ErrSocketRead, ErrSocketUnsent, ErrSocketTLS, ErrSocket:
		// The connection is none for the engine: the client has sent more than its request, or it is no
		// plain socket.
		h.pullRaw(conn, header, r, wanted)
	default:
		defer conn.Close()
		_ = conn.SetWriteDeadline(time.Now().Add(h.stall()))
		h.refused(r, err).writeRaw(conn, w.Header(), r)
	}
}

// isReadAhead tells whether the server has read something behind the request but some line breaks.
func isReadAhead(reader *bufio.Reader) bool {
	read, _ := reader.Peek(reader.Buffered())
	for _, b := range read {
		if b != '\r' && b != '\n' {
			return true
		}
	}
	return false
}

// adopt hands a plain socket over. A wrapped connection counts, encrypts or limits what passes.
func (h *handler) adopt(conn net.Conn, header http.Header, r *http.Request, wanted *Subscription) error {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return ErrSocket
	}
	request := AdoptRequest{Subscription: *wanted, Method: r.Method, Version: version(r)}
	request.Header = header
	return h.hub.Adopt(conn, request)
}

func version(r *http.Request) string {
	if r.ProtoAtLeast(1, 1) {
		return "HTTP/1.1"
	}
	return "HTTP/1.0"
}

func (h *handler) stall() time.Duration {
	if h.hub.stall > 0 {
		return h.hub.stall
	}
	return 24 * time.Hour
}

// writeRaw answers on a connection that the server has forgotten, with the fields of the
// ResponseWriter, and ends it.
func (a answer) writeRaw(conn net.Conn, header http.Header, r *http.Request) {
	header = header.Clone()
	for name, values := range a.fields() {
		header[name] = values
	}
	writer := bufio.NewWriter(conn)
	writeHead(writer, a.status, header, r)
	if a.status != http.StatusNoContent {
		_, _ = writer.WriteString(a.text)
	}
	_ = writer.Flush() // its client has left
}

func writeHead(writer *bufio.Writer, status int, header http.Header, r *http.Request) {
	header.Set("Connection", "close")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	fmt.Fprintf(writer, "%s %d %s\r\n", version(r), status, http.StatusText(status))
	_ = header.Write(writer)
	_, _ = writer.WriteString("\r\n")
}

// pullRaw sends a stream on a connection that the server has forgotten, which the engine does not take.
func (h *handler) pullRaw(conn net.Conn, header http.Header, r *http.Request, wanted *Subscription) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Time{})
	_ = conn.SetWriteDeadline(time.Now().Add(h.stall()))
	stream, err := h.hub.Subscribe(wanted.Topics, &wanted.StreamOptions)
	if err != nil {
		h.refused(r, err).writeRaw(conn, header, r)
		return
	}
	defer stream.Close()
	if stream.IsComplete() {
		answer{status: http.StatusNoContent}.writeRaw(conn, header, r)
		return
	}
	ctx, cancel := h.untilShutdown(r)
	defer cancel()
	go func() { // until the client ends, or the connection is closed below
		_, _ = io.Copy(io.Discard, conn)
		cancel()
	}()
	for name, values := range streamHeader() {
		header[name] = append(header[name], values...)
	}
	buffer := bufio.NewWriter(conn)
	body := &rawBody{conn: conn, buffer: buffer, Writer: buffer, stall: h.stall()}
	if r.ProtoAtLeast(1, 1) {
		header.Set("Transfer-Encoding", "chunked")
		chunked := httputil.NewChunkedWriter(buffer)
		body.Writer, body.end = chunked, func() error {
			err := chunked.Close()
			_, _ = buffer.WriteString("\r\n")
			return errors.Join(err, buffer.Flush())
		}
	}
	writeHead(buffer, http.StatusOK, header, r)
	if body.flush() != nil {
		return
	}
	if send(ctx, stream, body) == nil && body.end != nil {
		_ = body.end() // without it the response is broken, as it shall be after a cut
	}
}

// rawBody is the body of a response on a connection.
type rawBody struct {
	io.Writer
	conn   net.Conn
	buffer *bufio.Writer
	stall  time.Duration
	end    func() error
}

func (b *rawBody) begin() { _ = b.conn.SetWriteDeadline(time.Now().Add(b.stall)) }

func (b *rawBody) flush() error { return b.buffer.Flush() }
