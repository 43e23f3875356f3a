package fanfare

// #include "native.h"
// #cgo noescape fanfare_go_publish_many
// #cgo nocallback fanfare_go_publish_many
import "C"

import (
	"context"
	"encoding/binary"
	"math"
	"runtime"
	"sync"
	"unsafe"
)

// Publication is an event and the topics that it is published to: any of the three fields, 1 to 64
// topics in all. An event of several topics is one event, with one id: it is published to all of them
// or to none, and a client that wants several of them is sent it once. A key belongs to the list of
// topics.
type Publication struct {
	// Topic is the name of a topic; empty for none.
	Topic string
	// To is the handle of a topic; nil for none.
	To *Topic
	// Topics has names of more topics.
	Topics []string
	// Event is the event.
	Event Event
}

// PublishTopics publishes one event to several topics, 1 to 64, as [Publication] says. The error is as
// of [Hub.Publish], or [ErrTooMany].
func (h *Hub) PublishTopics(topics []string, event Event) (ID, error) {
	ids, err := h.PublishBatch([]Publication{{Topics: topics, Event: event}})
	if err != nil {
		return ID{}, err
	}
	return ids[0], nil
}

// PublishTopicsContext publishes as [Hub.PublishTopics] does, and waits as [Hub.PublishContext] does.
func (h *Hub) PublishTopicsContext(ctx context.Context, topics []string, event Event) (ID, error) {
	ids, err := h.PublishBatchContext(ctx, []Publication{{Topics: topics, Event: event}})
	if err != nil {
		return ID{}, err
	}
	return ids[0], nil
}

// PublishBatch publishes many events, one after another, in one call of the library instead of one
// for each. Other goroutines' events may come between them. It never blocks, and ends with the first
// event that is refused: the ones before it are published, and their ids are returned with the error,
// which is that of the event at the index len(ids); that one and the ones behind it are not. The error
// is as of [Hub.Publish], or [ErrTooMany] or [ErrArgument] for too many topics or none.
func (h *Hub) PublishBatch(publications []Publication) ([]ID, error) {
	return h.AppendBatch(make([]ID, 0, len(publications)), publications)
}

// publishKnown publishes one event at a hub of a cluster, and waits for its id.
func (h *Hub) publishKnown(ctx context.Context, publication Publication) (ID, error) {
	ids, err := h.PublishBatchContext(ctx, []Publication{publication})
	if err != nil {
		return ID{}, err
	}
	return ids[0], nil
}

// AppendBatch publishes as [Hub.PublishBatch] does, and appends the ids to a slice.
func (h *Hub) AppendBatch(ids []ID, publications []Publication) ([]ID, error) {
	return h.appendBatch(ids, publications, 0)
}

func (h *Hub) appendBatch(ids []ID, publications []Publication, timeoutMS uint64) ([]ID, error) {
	b := batches.Get().(*batch)
	defer b.release()
	if err := b.fill(publications); err != nil && len(b.items) == 0 {
		return ids, err
	} else if err != nil {
		ids, before := b.publish(h, ids, publications, timeoutMS)
		if before != nil {
			return ids, before
		}
		return ids, err
	}
	return b.publish(h, ids, publications, timeoutMS)
}

// PublishBatchContext publishes as [Hub.PublishBatch] does, and waits as [Hub.PublishContext] does.
// When ctx ends first some may be published, and the others are not.
func (h *Hub) PublishBatchContext(ctx context.Context, publications []Publication) ([]ID, error) {
	ids := make([]ID, 0, len(publications))
	if h.parts.idWaiters != nil {
		return untilKnown(ctx, h, func(timeoutMS uint64) ([]ID, error) {
			var err error
			ids, err = h.appendBatch(ids, publications[len(ids):], timeoutMS)
			return ids, err
		})
	}
	return untilSpace(ctx, h, func() ([]ID, error) {
		var err error
		ids, err = h.AppendBatch(ids, publications[len(ids):])
		return ids, err
	}, func() *Publication { return &publications[len(ids)] })
}

// batch is publications without pointers, which C puts together: see native.h.
type batch struct {
	items []C.fanfare_go_item
	bytes []byte
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// The most memory that a batch keeps for the next one.
const (
	keptBytes = 1 << 20
	keptItems = 1 << 14
)

func (b *batch) release() {
	if cap(b.bytes) > keptBytes || cap(b.items) > keptItems {
		return
	}
	b.items, b.bytes = b.items[:0], b.bytes[:0]
	batches.Put(b)
}

// fill takes the publications up to the first that is refused here.
func (b *batch) fill(publications []Publication) error {
	for i := range publications {
		p := &publications[i]
		event := &p.Event
		retryMS, windowMS, noData, err := event.numbers()
		if err != nil {
			return err
		}
		if max(len(event.Name), len(event.ID), len(event.Key)) > math.MaxInt16 {
			return ErrEvent
		}
		if len(event.Comment) > math.MaxInt32 {
			return ErrTooLarge
		}
		item := C.fanfare_go_item{
			data: C.uint64_t(len(event.Data)), name: C.uint32_t(len(event.Name)), id: C.uint32_t(len(event.ID)),
			key: C.uint32_t(len(event.Key)), comment: C.uint32_t(len(event.Comment)),
			retry_ms: C.uint32_t(retryMS), window_ms: C.uint64_t(windowMS), no_data: flag(noData),
		}
		if len(p.Topics) > 64 {
			return ErrTooMany
		}
		if p.Topic != "" {
			if err := b.topic(&item, p.Topic); err != nil {
				return err
			}
		}
		for _, topic := range p.Topics {
			if err := b.topic(&item, topic); err != nil {
				return err
			}
		}
		if p.To != nil {
			item.handle = C.uintptr_t(uintptr(unsafe.Pointer(p.To.native)))
		}
		b.bytes = append(b.bytes, event.Data...)
		b.bytes = append(b.bytes, event.Name...)
		b.bytes = append(b.bytes, event.ID...)
		b.bytes = append(b.bytes, event.Key...)
		b.bytes = append(b.bytes, event.Comment...)
		b.items = append(b.items, item)
	}
	return nil
}

func (b *batch) topic(item *C.fanfare_go_item, name string) error {
	if len(name) > math.MaxInt16 {
		return ErrTopic
	}
	b.bytes = binary.NativeEndian.AppendUint32(b.bytes, uint32(len(name)))
	b.bytes = append(b.bytes, name...)
	item.topics++
	return nil
}

func (b *batch) publish(h *Hub, ids []ID, publications []Publication, timeoutMS uint64) ([]ID, error) {
	count := len(b.items)
	if count == 0 {
		return ids, nil
	}
	begin := len(ids)
	ids = append(ids, make([]ID, count)...)
	done := C.fanfare_go_publish_many(h.pointer(), unsafe.SliceData(b.items), C.size_t(count),
		(*C.char)(unsafe.Pointer(unsafe.SliceData(b.bytes))), (*C.fanfare_event_id)(unsafe.Pointer(&ids[begin])),
		C.uint64_t(timeoutMS))
	runtime.KeepAlive(h)
	runtime.KeepAlive(publications) // with the handles
	if done.status != C.FANFARE_OK {
		return ids[:begin+int(done.count)], failure(done.status)
	}
	return ids, nil
}
