package fanfare

// #include "native.h"
// #cgo noescape fanfare_go_publish
// #cgo nocallback fanfare_go_publish
// #cgo nocallback fanfare_go_finish
// #cgo noescape fanfare_go_nothing
// #cgo nocallback fanfare_go_nothing
import "C"

import (
	"context"
	"runtime"
)

// Topic is a handle of a topic of a hub, for one that is published to often: its name is checked
// once, and it remembers where in the hub the topic is. It keeps nothing in the hub and need not be
// closed. Any goroutine may use it.
type Topic struct {
	hub    *Hub
	native *C.fanfare_topic
	name   string
}

// Topic makes a handle. A topic is 1 to 256 bytes of UTF-8 without control characters, '+' and '#';
// the error for another one is [ErrTopic].
func (h *Hub) Topic(name string) (*Topic, error) {
	var memory memory
	defer memory.release()
	var native *C.fanfare_topic
	if err := failure(C.fanfare_topic_new(memory.text(name), &native)); err != nil {
		return nil, err
	}
	t := &Topic{hub: h, native: native, name: name}
	// A handle is memory and nothing else.
	runtime.AddCleanup(t, func(native *C.fanfare_topic) { C.fanfare_topic_free(native) }, native)
	return t, nil
}

// String is the topic's name.
func (t *Topic) String() string { return t.name }

func (t *Topic) pointer() *C.fanfare_topic {
	native := t.native
	inCall()
	return native
}

// Publish publishes an event to a topic, to every client that wants it. It never blocks. A topic is
// 1 to 256 bytes of UTF-8 without control characters, '+' and '#'.
//
// The id is the hub's, also when the event has an ID of the publisher's. In a cluster it is not known yet,
// and zero.
//
// The error is [ErrFull] when too many bytes wait to be sent: try again a little later. Otherwise it is
// [ErrTopic], [ErrEvent], [ErrUTF8], [ErrTooLarge], [ErrFinished], [ErrClosed] or [ErrForked]. In all
// cases nothing was published anywhere.
func (h *Hub) Publish(topic string, event Event) (ID, error) {
	return h.publish(nil, topic, &event)
}

// PublishContext publishes as [Hub.Publish] does, and waits while too many bytes wait to be sent. When
// ctx ends first nothing was published, and the error is that of ctx.
//
// It waits in Go, until the hub tells that there is space, and holds no thread: any number of goroutines
// may wait. In a cluster it waits for the event's id as well, at most 64 at once and each on a thread; when
// ctx ends first the event may be published all the same. The error may be [ErrCluster] there.
func (h *Hub) PublishContext(ctx context.Context, topic string, event Event) (ID, error) {
	if h.parts.idWaiters != nil {
		return h.publishKnown(ctx, Publication{Topic: topic, Event: event})
	}
	return untilSpace(ctx, h, func() (ID, error) { return h.publish(nil, topic, &event) },
		func() *Publication { return &Publication{Topic: topic, Event: event} })
}

// Publish publishes an event to the topic as [Hub.Publish] does, but faster.
func (t *Topic) Publish(event Event) (ID, error) {
	id, err := t.hub.publish(t.pointer(), "", &event)
	runtime.KeepAlive(t)
	return id, err
}

// PublishContext publishes as [Hub.PublishContext] does.
func (t *Topic) PublishContext(ctx context.Context, event Event) (ID, error) {
	if t.hub.parts.idWaiters != nil {
		return t.hub.publishKnown(ctx, Publication{To: t, Event: event})
	}
	return untilSpace(ctx, t.hub, func() (ID, error) { return t.Publish(event) },
		func() *Publication { return &Publication{To: t, Event: event} })
}

func (h *Hub) publish(handle *C.fanfare_topic, topic string, event *Event) (ID, error) {
	retryMS, windowMS, isEmpty, err := event.numbers()
	if err != nil {
		return ID{}, err
	}
	var noData C.int
	if isEmpty {
		noData = 1
	}
	published := C.fanfare_go_publish(h.pointer(), handle, topic, event.Data, event.Name, event.ID, event.Key,
		event.Comment, C.uint32_t(retryMS), C.uint64_t(windowMS), noData)
	runtime.KeepAlive(h)
	if published.status != C.FANFARE_OK {
		return ID{}, failure(published.status)
	}
	return goID(&published.id), nil
}

// Finish finishes a topic, with a last event unless last is nil: nothing can be published to it any
// more. A client all of whose topics are finished is sent everything, and then its stream ends; one
// that comes later and would be sent nothing gets the status 204, after which an EventSource stays
// closed. It never blocks. The id is that of the last event, or else of the end, which no client sees.
//
// The error is [ErrFinished] when it is finished already, and otherwise as of [Hub.Publish].
func (h *Hub) Finish(topic string, last *Event) (ID, error) {
	return h.finish(nil, topic, last, 0)
}

// FinishContext finishes a topic as [Hub.Finish] does, and waits as [Hub.PublishContext] does.
func (h *Hub) FinishContext(ctx context.Context, topic string, last *Event) (ID, error) {
	finish := func(timeoutMS uint64) (ID, error) { return h.finish(nil, topic, last, timeoutMS) }
	if h.parts.idWaiters != nil {
		return untilKnown(ctx, h, finish)
	}
	return untilSpace(ctx, h, func() (ID, error) { return finish(0) },
		func() *Publication { return &Publication{Topic: topic} })
}

// Finish finishes the topic as [Hub.Finish] does. The handle is as good afterwards, for when the name
// is free again.
func (t *Topic) Finish(last *Event) (ID, error) {
	id, err := t.hub.finish(t.pointer(), "", last, 0)
	runtime.KeepAlive(t)
	return id, err
}

func (h *Hub) finish(handle *C.fanfare_topic, topic string, last *Event, timeoutMS uint64) (ID, error) {
	var memory memory
	defer memory.release()
	var event *C.fanfare_event
	if last != nil {
		retryMS, windowMS, noData, err := last.numbers()
		if err != nil {
			return ID{}, err
		}
		event = (*C.fanfare_event)(memory.take(C.sizeof_fanfare_event))
		event.size = C.sizeof_fanfare_event
		if !noData {
			event.data = memory.text(last.Data)
		}
		event.name = memory.field(last.Name)
		event.id = memory.field(last.ID)
		event.key = memory.field(last.Key)
		event.comment = memory.field(last.Comment)
		event.retry_ms, event.window_ms = C.uint32_t(retryMS), C.uint64_t(windowMS)
	}
	published := C.fanfare_go_finish(h.pointer(), handle, topic, event, C.uint64_t(timeoutMS))
	runtime.KeepAlive(h)
	if err := failure(published.status); err != nil {
		return ID{}, err
	}
	return goID(&published.id), nil
}

// callNothing is a call of C that does nothing, to be measured: tests may not use cgo.
func (h *Hub) callNothing() {
	C.fanfare_go_nothing(h.pointer())
	runtime.KeepAlive(h)
}

// publishInC publishes an event some times by a loop of C, to be measured.
func (t *Topic) publishInC(event Event, times int) error {
	status := C.fanfare_go_publish_in_c(t.hub.pointer(), t.pointer(), event.Data, event.Name, C.int(times))
	runtime.KeepAlive(t)
	return failure(status)
}
