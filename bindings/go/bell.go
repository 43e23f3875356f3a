package fanfare

// #include "native.h"
// #cgo nocallback fanfare_notices_drain
import "C"

import (
	"os"
	"runtime"
	"sync"
	"unsafe"
)

// noticesAtOnce is how many notices are drained at once.
const noticesAtOnce = 64

// bell is a queue of notices, and its doorbell, at which one goroutine waits by the runtime's poller.
type bell struct {
	file   *os.File
	mu     sync.RWMutex // for reading by what uses native, for writing to free it
	native *C.fanfare_notices
	array  []C.fanfare_notice
}

func newBell() (*bell, error) {
	b := &bell{array: make([]C.fanfare_notice, noticesAtOnce)}
	if err := failure(C.fanfare_notices_new(&b.native)); err != nil {
		return nil, err
	}
	var fd C.int
	if err := failure(C.fanfare_notices_doorbell(b.native, &fd)); err != nil {
		C.fanfare_notices_free(b.native)
		return nil, err
	}
	duplicate := C.fanfare_go_duplicate(fd)
	if duplicate < 0 {
		C.fanfare_notices_free(b.native)
		return nil, ErrSystem
	}
	b.file = os.NewFile(uintptr(duplicate), "fanfare-doorbell")
	return b, nil
}

// ring ends what waits at the bell, from any goroutine.
func (b *bell) ring() { b.file.Close() }

// wait waits until there may be notices; false when it was rung to end.
func (b *bell) wait() bool {
	var bytes [noticesAtOnce]byte
	_, err := b.file.Read(bytes[:])
	return err == nil
}

// drain gives at most some notices to a function, while which their texts are there, and returns how
// many there were. One goroutine drains.
func (b *bell) drain(most int, each func(*C.fanfare_notice)) int {
	var count C.size_t
	inCall()
	status := C.fanfare_notices_drain(b.native, unsafe.SliceData(b.array), C.sizeof_fanfare_notice,
		C.size_t(min(most, noticesAtOnce)), &count)
	if status != C.FANFARE_OK {
		return 0
	}
	for i := range b.array[:count] {
		each(&b.array[i])
	}
	clear(b.array[:count]) // the texts are the library's, which may free them: no pointer to them stays
	return int(count)
}

// run drains until the bell is rung to end, and frees it.
func (b *bell) run(each func(*C.fanfare_notice)) {
	for b.wait() {
		for b.drain(noticesAtOnce, each) == noticesAtOnce {
		}
	}
	b.free()
}

func (b *bell) free() {
	b.file.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	C.fanfare_notices_free(b.native)
	b.native = nil
}

// use calls a function with the queue, unless that is freed.
func (b *bell) use(function func(*C.fanfare_notices) C.fanfare_status) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.native == nil {
		return ErrClosed
	}
	return failure(function(b.native))
}

func (b *bell) remove(token uint64) {
	_ = b.use(func(native *C.fanfare_notices) C.fanfare_status {
		return C.fanfare_notices_remove(native, C.uint64_t(token))
	}) // no source has the token: it is as wanted
}

// hubBell tells goroutines that there is something to read of their streams, or space for their events.
type hubBell struct {
	*bell
	done    chan struct{}
	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan struct{}
}

// ownBell is made when the first goroutine waits, and ends with the hub.
func (p *parts) ownBell() (*hubBell, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closed:
		return nil, ErrClosed
	default:
	}
	if p.bell == nil {
		bell, err := newBell()
		if err != nil {
			return nil, err
		}
		p.bell = &hubBell{bell: bell, done: make(chan struct{}), waiting: make(map[uint64]chan struct{})}
		go p.bell.run(p.bell.tell)
	}
	return p.bell, nil
}

func (b *hubBell) add() (token uint64, told chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	told = make(chan struct{}, 1)
	b.waiting[b.next] = told
	return b.next, told
}

func (b *hubBell) drop(token uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.waiting, token)
}

func (b *hubBell) tell(notice *C.fanfare_notice) {
	b.mu.Lock()
	told := b.waiting[uint64(notice.token)]
	b.mu.Unlock()
	select {
	case told <- struct{}{}:
	default: // it is told already, or is gone
	}
}

// close wakes all that wait: the hub is closed, so that their streams have ended.
func (b *hubBell) close() {
	close(b.done)
	b.ring()
	runtime.KeepAlive(b)
}

func freeBell(b *bell) { b.free() }
