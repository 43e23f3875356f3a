package fanfare

import (
	"context"
	"errors"
	"math"
	"time"
)

const (
	// idWaitersMax is how many calls of a hub wait for the cluster's server at once, each on a thread of its
	// own. More wait in Go.
	idWaitersMax = 64
	// idSlice is how long the library waits at a time, before it is seen that the context has ended.
	idSlice = 10 * time.Second
)

// untilKnown publishes at a hub of a cluster, and waits until the event's id is known: while the backlog is
// full, and then for the cluster's server. The library cannot be told that the context has ended, so that
// it may go on to publish when this has returned.
func untilKnown[T any](ctx context.Context, h *Hub, try func(timeoutMS uint64) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	select {
	case h.parts.idWaiters <- struct{}{}:
	case <-h.parts.closed:
		return try(0)
	case <-ctx.Done():
		return none, ctx.Err()
	}
	type outcome struct {
		done T
		err  error
	}
	known := make(chan outcome, 1)
	go func() {
		defer func() { <-h.parts.idWaiters }()
		for {
			done, err := try(sliceMS(ctx))
			if !errors.Is(err, ErrTimeout) || ctx.Err() != nil {
				known <- outcome{done, err}
				return
			}
		}
	}()
	select {
	case known := <-known:
		if errors.Is(known.err, ErrTimeout) {
			return known.done, ctx.Err()
		}
		return known.done, known.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// sliceMS is how long the library is to wait: not beyond the context's deadline, and some time at least, as
// without it nothing is waited for.
func sliceMS(ctx context.Context) uint64 {
	wait := idSlice
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	return uint64(max(1, math.Ceil(float64(wait)/float64(time.Millisecond))))
}
