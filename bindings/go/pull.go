//go:build cgo

package fanfare

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// pull sends a stream through the server, which has the connection: one of HTTP/2 or TLS, or whose
// ResponseWriter cannot be hijacked.
func (h *handler) pull(w http.ResponseWriter, r *http.Request, wanted *Subscription) {
	stream, err := h.hub.Subscribe(wanted.Topics, &wanted.StreamOptions)
	if err != nil {
		h.refused(r, err).write(w)
		return
	}
	defer stream.Close()
	if stream.IsComplete() {
		answer{status: http.StatusNoContent}.write(w)
		return
	}
	body := &responseBody{w, http.NewResponseController(w), h.stall()}
	ctx, cancel := h.untilShutdown(r)
	defer cancel()
	// A deadline for the whole request would end the stream.
	_ = body.controller.SetReadDeadline(time.Time{})
	body.begin()
	h.prepare(w, wanted)
	w.WriteHeader(http.StatusOK)
	if err := body.flush(); err != nil {
		if errors.Is(err, http.ErrNotSupported) {
			h.hub.logger.Error("the ResponseWriter cannot stream: it has no Hijack, Flush or Unwrap",
				slog.String("path", r.URL.Path))
		}
		return
	}
	if send(ctx, stream, body) != nil && ctx.Err() == nil {
		body.abort(r)
	}
}

// body is where the batches of a stream go.
type body interface {
	io.Writer
	begin()
	flush() error
}

// send sends what comes of a stream, until that ends in order, or ctx does: the server is shut down or
// the client has left.
func send(ctx context.Context, stream *Stream, to body) error {
	if err := stream.beginReading(ctx); err != nil {
		return err
	}
	defer stream.endReading()
	for {
		batch, err := stream.next(ctx)
		for err == nil {
			to.begin()
			if _, err := to.Write(batch); err != nil {
				return err
			}
			if batch, err = stream.take(); err == ErrTimeout {
				err = nil
				break
			}
		}
		if err == nil {
			if err := to.flush(); err != nil {
				return err
			}
			continue
		}
		var ended *EndedError
		if errors.As(err, &ended) && !ended.Cut {
			return to.flush()
		}
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
}

// responseBody is the body of a response of the server's.
type responseBody struct {
	http.ResponseWriter
	controller *http.ResponseController
	stall      time.Duration
}

func (b *responseBody) begin() { _ = b.controller.SetWriteDeadline(time.Now().Add(b.stall)) }

// abort breaks the response off, so that what was cut does not look complete. It panics only where there is
// no other way: a middleware that recovers may log that, and make a complete response of it, as gin's does.
func (b *responseBody) abort(r *http.Request) {
	if r.ProtoMajor >= 2 {
		// A deadline in the past resets the stream.
		if b.controller.SetWriteDeadline(time.Unix(1, 0)) == nil {
			return
		}
	} else if conn, _, err := b.controller.Hijack(); err == nil {
		conn.Close()
		return
	}
	panic(http.ErrAbortHandler)
}

// flush also takes the deadline away: HTTP/2 ends a stream whose deadline passes while nothing is
// written.
func (b *responseBody) flush() error {
	if err := b.controller.Flush(); err != nil {
		return err
	}
	_ = b.controller.SetWriteDeadline(time.Time{})
	return nil
}
