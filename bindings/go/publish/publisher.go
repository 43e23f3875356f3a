package publish

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// PublisherOptions is how a [Publisher] gathers events. Zero is the default of each field, and so is a
// negative number unless the field says what that is.
type PublisherOptions struct {
	// QueueEventsMax is the most events that wait for an answer or to be sent. Default: 10,000.
	QueueEventsMax int
	// QueueBytesMax is the most bytes of them, as lines of JSON. Default: 16 MiB.
	QueueBytesMax int
	// BatchEventsMax is the most events in one request. Default: 1,000.
	BatchEventsMax int
	// BatchBytesMax is the most bytes in one request, but for a single event that is larger.
	// Default: 256 KiB.
	BatchBytesMax int
	// FlushAfter is how long an event waits for others before it is sent; negative for not at all.
	// While a request waits for its answer, events gather anyway. Default: 5 ms.
	FlushAfter time.Duration
	// OnUndelivered is called with events that are given up: those that the server refuses, and those
	// whose answer was lost and that are not repeated. The publisher sends nothing meanwhile, so it must
	// not wait for the publisher: not call Flush, Close or PublishContext. It is not called for what
	// [Publisher.Close] returns. [Publisher.Stats] counts all of them.
	OnUndelivered func([]Undelivered)
}

// Undelivered is an event that was given up.
type Undelivered struct {
	Topics []string
	Event  Event
	// Finish says that the topic was to be finished, with the event as its last one if it has anything
	// of an event.
	Finish bool
	// Err is an [*Error]: with [ErrUnknown] the event may be published.
	Err error
}

// UndeliveredError is what [Publisher.Close] has left behind. It is an [ErrUndelivered], and the
// context's error.
type UndeliveredError struct {
	Events []Undelivered
	Cause  error
}

// Error says how many events there are.
func (e *UndeliveredError) Error() string {
	return fmt.Sprintf("fanfare: %v: %d are left: %v", ErrUndelivered, len(e.Events), e.Cause)
}

// Unwrap is for [errors.Is].
func (e *UndeliveredError) Unwrap() []error { return []error{ErrUndelivered, e.Cause} }

// Stats is what a [Publisher] has counted since it was made.
type Stats struct {
	// Published is how many events the server has acknowledged.
	Published uint64
	// Undelivered is how many were given up, for whatever reason.
	Undelivered uint64
	// Repeated is how many were sent again though they may have been published.
	Repeated uint64
	// Waiting and WaitingBytes are what is in the queue now.
	Waiting, WaitingBytes int
}

// Publisher gathers events in a bounded queue, and sends them in their order, many with each request,
// one request at a time. All of its methods may be called from any goroutine at once. It has to be
// closed, or its goroutine runs on.
//
// While the server is away or full, events wait in the queue and are tried again, with pauses that
// grow to 5 s, until the publisher is closed.
type Publisher struct {
	client  *Client
	options PublisherOptions

	mu     sync.Mutex
	queue  []entry
	bytes  int
	first  time.Time     // when the first event came that is not sent yet
	last   uint64        // the number of the event that was queued last
	flush  uint64        // up to this number nothing waits for others any more
	room   chan struct{} // closed when something has left the queue
	closed bool
	left   []Undelivered // given up since Close
	stats  Stats

	wake   chan struct{} // something for the sender to look at
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
}

// entry is an event that waits, as a line.
type entry struct {
	number   uint64
	line     []byte
	isMarked bool
	// mayBeDone: it was sent in a request whose answer was lost.
	mayBeDone bool
	isFinish  bool
}

// Publisher makes a publisher. nil is the default of every option.
func (c *Client) Publisher(options *PublisherOptions) *Publisher {
	p := &Publisher{client: c, room: make(chan struct{}), wake: make(chan struct{}, 1),
		done: make(chan struct{})}
	if options != nil {
		p.options = *options
	}
	setDefault(&p.options.QueueEventsMax, 10_000)
	setDefault(&p.options.QueueBytesMax, 16<<20)
	setDefault(&p.options.BatchEventsMax, 1_000)
	setDefault(&p.options.BatchBytesMax, 256<<10)
	if p.options.FlushAfter == 0 {
		p.options.FlushAfter = 5 * time.Millisecond
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	go p.run()
	return p
}

// Publish puts an event into the queue, and never blocks. That it was delivered is known when
// [Publisher.Flush] or [Publisher.Close] returns without an error and no event was undelivered.
//
// The error is [ErrFull] when the queue is full: nothing was queued, try again a little later.
// Otherwise it is [ErrClosed], [ErrTopic], [ErrEvent], [ErrUTF8], or [ErrTooLarge] for an event that is
// larger than the queue.
func (p *Publisher) Publish(topic string, event Event) error {
	return p.put(context.Background(), []string{topic}, &event, false, false)
}

// PublishContext is [Publisher.Publish], but waits while the queue is full, until the context ends.
func (p *Publisher) PublishContext(ctx context.Context, topic string, event Event) error {
	return p.put(ctx, []string{topic}, &event, false, true)
}

// PublishTo queues one event of several topics, and otherwise is [Publisher.PublishContext].
func (p *Publisher) PublishTo(ctx context.Context, topics []string, event Event) error {
	return p.put(ctx, topics, &event, false, true)
}

// Finish queues the end of a topic, after the events before it, with a last event unless it is nil.
// It waits as [Publisher.PublishContext] does.
func (p *Publisher) Finish(ctx context.Context, topic string, last *Event) error {
	return p.put(ctx, []string{topic}, last, true, true)
}

// put queues an event, or the end of a topic, and waits for space if it may.
func (p *Publisher) put(
	ctx context.Context, topics []string, event *Event, finish, mayWait bool,
) error {
	text, err := lineOf(topics, event, finish)
	if err != nil {
		return err
	}
	if len(text) > p.options.QueueBytesMax {
		return invalid(ErrTooLarge, "the whole queue has less space")
	}
	e := entry{line: text, isMarked: finish || event.ID != "", isFinish: finish}
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		room, err := p.tryPut(e)
		if err == nil || room == nil || !mayWait {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return &Error{Kind: ErrFull, Cause: ctx.Err()}
		}
	}
}

// tryPut queues an event, or says what to wait for, if that helps.
func (p *Publisher) tryPut(e entry) (room <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, &Error{Kind: ErrClosed}
	}
	if len(p.queue) >= p.options.QueueEventsMax || p.bytes+len(e.line) > p.options.QueueBytesMax {
		return p.room, &Error{Kind: ErrFull}
	}
	if len(p.queue) == 0 {
		p.first = time.Now()
	}
	p.last++
	e.number = p.last
	p.queue = append(p.queue, e)
	p.bytes += len(e.line)
	if n := len(p.queue); n == 1 || n >= p.options.BatchEventsMax || p.bytes >= p.options.BatchBytesMax {
		p.wakeSender()
	}
	return nil, nil
}

// Flush waits until all events that were queued before are delivered or given up.
//
// The error is an [ErrUndelivered] and the context's when that ends before; the events stay queued.
func (p *Publisher) Flush(ctx context.Context) error {
	p.mu.Lock()
	target := p.last
	p.flush = target
	p.wakeSender()
	for len(p.queue) > 0 && p.queue[0].number <= target {
		room := p.room
		p.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return &Error{Kind: ErrUndelivered, Cause: ctx.Err()}
		}
		p.mu.Lock()
	}
	p.mu.Unlock()
	return nil
}

// Close takes no more events, and delivers those that wait, until the context ends. Then it gives up
// what is left, and returns an [*UndeliveredError] with that: of the request under way it is unknown
// whether it was published, and each event says so. Closing again waits as well, until its own context ends,
// which ends the first call too; what is left is the first call's to return, and another one returns nil.
func (p *Publisher) Close(ctx context.Context) error {
	p.mu.Lock()
	isFirst := !p.closed
	if isFirst {
		p.closed = true
		p.freed()
		p.wakeSender()
	}
	p.mu.Unlock()
	var cause error
	select {
	case <-p.done:
	case <-ctx.Done():
		cause = ctx.Err()
		p.cancel()
		<-p.done
	}
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !isFirst || len(p.left) == 0 {
		return nil
	}
	if cause == nil {
		cause = p.left[0].Err
	}
	return &UndeliveredError{Events: p.left, Cause: cause}
}

// Stats is what has been counted so far.
func (p *Publisher) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	stats := p.stats
	stats.Waiting, stats.WaitingBytes = len(p.queue), p.bytes
	return stats
}

// wakeSender has the sender look at the queue.
func (p *Publisher) wakeSender() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// freed wakes those that wait for space; the lock is held.
func (p *Publisher) freed() {
	close(p.room)
	p.room = make(chan struct{})
}
