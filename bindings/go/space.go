package fanfare

// #include "native.h"
import "C"

import (
	"context"
	"runtime"
	"time"
	"unsafe"
)

// askAgain is when a goroutine asks again for which there was no place among those that wait.
const askAgain = 16 * time.Millisecond

// untilSpace tries, and when the backlog is full again each time that the hub tells of space for what was
// refused. In between nothing is tried.
func untilSpace[T any](ctx context.Context, h *Hub, try func() (T, error), refused func() *Publication) (T, error) {
	if err := ctx.Err(); err != nil {
		var none T
		return none, err
	}
	done, err := try()
	if !isFull(err) {
		return done, err
	}
	bell, failed := h.parts.ownBell()
	if failed == ErrClosed {
		return try()
	} else if failed != nil {
		return done, failed
	}
	token, told := bell.add()
	defer bell.drop(token)
	for isFull(err) {
		var again <-chan time.Time
		switch asked := h.askForSpace(bell, token, refused()); asked {
		case nil, ErrClosed: // the next try says that it is closed
		case ErrLimit:
			again = time.After(askAgain)
		default:
			return done, asked
		}
		select {
		case <-told:
		case <-again:
		case <-h.parts.closed:
		case <-ctx.Done():
			bell.remove(token)
			return done, ctx.Err()
		}
		done, err = try()
	}
	return done, err
}

// askForSpace has the bell tell once that there is space for a publication.
func (h *Hub) askForSpace(bell *hubBell, token uint64, refused *Publication) error {
	var memory memory
	defer memory.release()
	given := (*C.fanfare_publication)(memory.take(C.sizeof_fanfare_publication))
	names := refused.Topics
	if refused.Topic != "" {
		names = append([]string{refused.Topic}, names...)
	}
	given.topics, given.topics_count = memory.texts(names)
	if refused.To != nil {
		handle := (**C.fanfare_topic)(memory.take(int(unsafe.Sizeof(refused.To.native))))
		*handle = refused.To.native
		given.handles, given.handles_count = handle, 1
	}
	if window := wholeMS(refused.Event.Window); window > 0 {
		event := (*C.fanfare_event)(memory.take(C.sizeof_fanfare_event))
		event.size, event.data = C.sizeof_fanfare_event, memory.text("")
		event.window_ms = C.uint64_t(window)
		given.event = event
	}
	err := bell.use(func(notices *C.fanfare_notices) C.fanfare_status {
		return C.fanfare_hub_notify_space(h.pointer(), notices, C.uint64_t(token), given)
	})
	runtime.KeepAlive(h)
	runtime.KeepAlive(refused) // with the handle
	return err
}
