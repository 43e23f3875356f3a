package publish

import "time"

// run sends what is queued, until the publisher is closed and nothing is left, or its context ends.
func (p *Publisher) run() {
	defer close(p.done)
	failures := 0
	for p.waitForBatch() {
		batch := p.batch()
		said := p.client.send(p.ctx, request{"/publish", ndjson, contentOf(batch)})
		p.settle(batch, said)
		if said.kind == published || said.kind == refused || said.count > 0 {
			failures = 0
		}
		if said.kind != published && said.kind != refused && p.hasMore() {
			pause(p.ctx, failures, said.retryAfter)
			failures++
		}
	}
	p.giveUpAll()
}

// waitForBatch waits until there is something to send; it is false when there will be nothing, or when
// the time of Close is over.
func (p *Publisher) waitForBatch() bool {
	for {
		wait, isReady, isOver := p.look()
		if isOver || p.ctx.Err() != nil {
			return false
		}
		if isReady {
			return true
		}
		var due <-chan time.Time
		var timer *time.Timer
		if wait > 0 {
			timer = time.NewTimer(wait)
			due = timer.C
		}
		select {
		case <-p.wake:
		case <-due:
		case <-p.ctx.Done():
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// look says whether a batch is to be sent now, or how long its first event waits for others; zero is
// for ever.
func (p *Publisher) look() (wait time.Duration, isReady, isOver bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return 0, false, p.closed
	}
	if p.closed || p.queue[0].number <= p.flush || len(p.queue) >= p.options.BatchEventsMax || p.bytes >= p.options.BatchBytesMax {
		return 0, true, false
	}
	wait = p.options.FlushAfter - time.Since(p.first)
	return wait, wait <= 0, false
}

// batch is the beginning of the queue, where it stays until its answer has come.
func (p *Publisher) batch() []entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes := 0
	for i, e := range p.queue {
		bytes += len(e.line)
		if i == p.options.BatchEventsMax || i > 0 && bytes > p.options.BatchBytesMax {
			return p.queue[:i:i]
		}
	}
	return p.queue[:len(p.queue):len(p.queue)]
}

func contentOf(batch []entry) []byte {
	size := 0
	for _, e := range batch {
		size += len(e.line)
	}
	content := make([]byte, 0, size)
	for _, e := range batch {
		content = append(content, e.line...)
	}
	return content
}

// settle takes out of the queue what is decided.
func (p *Publisher) settle(batch []entry, said said) {
	count := min(said.count, len(batch))
	switch said.kind {
	case published:
		if said.count != len(batch) {
			// A server that counts differently is not understood, and nothing is repeated.
			err := &Error{Kind: ErrUnknown, Text: "the server says another number of events"}
			p.take(len(batch), 0, giveUp(batch, err), nil)
			return
		}
		p.take(count, count, nil, nil)
	case busy:
		p.take(count, count, nil, nil)
	case refused:
		end := min(count+1, len(batch))
		done, lost := afterRefusal(batch[count:end], said.err)
		p.take(end, count+done, lost, nil)
	case never:
		done, lost := afterRefusal(batch, said.err)
		p.take(len(batch), done, lost, nil)
	case unknown:
		lost, kept := p.afterLoss(batch, said.err)
		p.take(len(batch), 0, lost, kept)
	case halfway:
		end := min(count+1, len(batch))
		lost, kept := p.afterLoss(batch[count:end], said.err)
		p.take(end, count, lost, kept)
	case unreached:
	}
}

// afterLoss says which of the events that may be published are given up, and which are repeated.
func (p *Publisher) afterLoss(events []entry, err *Error) (lost []Undelivered, kept []entry) {
	for _, e := range events {
		if !p.client.isRepeatable(e.isMarked) || p.ctx.Err() != nil {
			lost = append(lost, giveUp([]entry{e}, err)...)
			continue
		}
		e.mayBeDone = true
		kept = append(kept, e)
	}
	return lost, kept
}

// afterRefusal says how many of the events that the server refuses are done all the same, and which are
// lost.
func afterRefusal(events []entry, err *Error) (done int, lost []Undelivered) {
	for _, e := range events {
		switch {
		case e.mayBeDone && e.isFinish && err.Kind == ErrFinished:
			done++ // by the request whose answer was lost
		case e.mayBeDone:
			lost = append(lost, giveUp([]entry{e}, &Error{Kind: ErrUnknown, Cause: err})...)
		default:
			lost = append(lost, giveUp([]entry{e}, err)...)
		}
	}
	return done, lost
}

// take takes events from the beginning of the queue: so many, of which some are published and some lost,
// and some are put back to be repeated.
func (p *Publisher) take(count, published int, lost []Undelivered, back []entry) {
	p.mu.Lock()
	for i := range count {
		p.bytes -= len(p.queue[i].line)
		p.queue[i] = entry{}
	}
	// What is put back has space there: it was taken from there.
	start := count - len(back)
	for i, e := range back {
		p.queue[start+i] = e
		p.bytes += len(e.line)
	}
	p.queue = p.queue[start:]
	// What came meanwhile has waited for long enough.
	p.first = time.Time{}
	p.stats.Published += uint64(published)
	p.stats.Undelivered += uint64(len(lost))
	p.stats.Repeated += uint64(len(back))
	if len(p.queue) == 0 {
		p.queue = nil
	}
	isClosed := p.closed
	if isClosed {
		p.left = append(p.left, lost...)
	}
	if start > 0 {
		p.freed()
	}
	p.mu.Unlock()
	if len(lost) > 0 && !isClosed && p.options.OnUndelivered != nil {
		p.options.OnUndelivered(lost)
	}
}

// giveUpAll gives up what is left in the end.
func (p *Publisher) giveUpAll() {
	p.mu.Lock()
	rest := p.queue
	p.mu.Unlock()
	var lost []Undelivered
	for _, e := range rest {
		kind := ErrClosed
		if e.mayBeDone {
			kind = ErrUnknown
		}
		lost = append(lost, giveUp([]entry{e}, &Error{Kind: kind, Cause: p.ctx.Err()})...)
	}
	if len(rest) > 0 {
		p.take(len(rest), 0, lost, nil)
	}
}

func giveUp(entries []entry, err error) []Undelivered {
	var lost []Undelivered
	for _, e := range entries {
		topics, event, finish := eventOf(e.line)
		lost = append(lost, Undelivered{topics, event, finish, err})
	}
	return lost
}

func (p *Publisher) hasMore() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue) > 0
}
