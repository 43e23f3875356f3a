package fanfare

// #include "native.h"
import "C"

import (
	"net/http"
	"time"
	"unsafe"
)

// memory is C's memory for the texts and lists of one call, which release gives back. What the
// library reads are pointers to pointers, and cgo allows no pointer of Go's there.
type memory struct {
	chunks []unsafe.Pointer
	rest   []byte
}

const chunkBytes = 1024

// take returns zeroed bytes for something of any alignment.
func (m *memory) take(length int) unsafe.Pointer {
	length = (max(length, 1) + 7) &^ 7
	if length > len(m.rest) {
		size := max(length, chunkBytes)
		chunk := C.calloc(1, C.size_t(size))
		if chunk == nil {
			panic("fanfare: out of memory")
		}
		m.chunks = append(m.chunks, chunk)
		m.rest = unsafe.Slice((*byte)(chunk), size)
	}
	taken := unsafe.Pointer(unsafe.SliceData(m.rest))
	m.rest = m.rest[length:]
	return taken
}

func (m *memory) release() {
	for _, chunk := range m.chunks {
		C.free(chunk)
	}
	*m = memory{}
}

// text is a text that is there, also if it is empty.
func (m *memory) text(given string) C.fanfare_text {
	bytes := m.take(len(given))
	copy(unsafe.Slice((*byte)(bytes), len(given)), given)
	return C.fanfare_text{data: (*C.char)(bytes), length: C.size_t(len(given))}
}

// field is a text that is not there if it is empty.
func (m *memory) field(given string) C.fanfare_text {
	if given == "" {
		return C.fanfare_text{}
	}
	return m.text(given)
}

// texts is a list that is not there if it is nil.
func (m *memory) texts(given []string) (*C.fanfare_text, C.size_t) {
	if given == nil {
		return nil, 0
	}
	var element C.fanfare_text
	array := (*C.fanfare_text)(m.take(len(given) * int(unsafe.Sizeof(element))))
	for i, text := range unsafe.Slice(array, len(given)) {
		text = m.text(given[i])
		unsafe.Slice(array, len(given))[i] = text
	}
	return array, C.size_t(len(given))
}

func (m *memory) headers(given http.Header) (*C.fanfare_header, C.size_t) {
	count := 0
	for _, values := range given {
		count += len(values)
	}
	if count == 0 {
		return nil, 0
	}
	var element C.fanfare_header
	array := (*C.fanfare_header)(m.take(count * int(unsafe.Sizeof(element))))
	fields := unsafe.Slice(array, count)
	i := 0
	for name, values := range given {
		for _, value := range values {
			fields[i] = C.fanfare_header{name: m.text(name), value: m.text(value)}
			i++
		}
	}
	return array, C.size_t(count)
}

// goText copies a text of the library's.
func goText(text C.fanfare_text) string {
	return string(goBytes(text))
}

// goBytes are the library's own bytes, for as long as they are there.
func goBytes(text C.fanfare_text) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(text.data)), int(text.length))
}

func goTexts(list *C.fanfare_text, count C.size_t) []string {
	texts := make([]string, count)
	for i, text := range unsafe.Slice(list, int(count)) {
		texts[i] = goText(text)
	}
	return texts
}

// wholeMS rounds up, so that a short time does not become zero, which means something else.
func wholeMS(d time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	return (uint64(d) + uint64(time.Millisecond) - 1) / uint64(time.Millisecond)
}

// unixMS is 0 for the zero time, and at least 1 for any other, since 0 is never.
func unixMS(at time.Time) C.uint64_t {
	if at.IsZero() {
		return 0
	}
	return C.uint64_t(max(at.UnixMilli(), 1))
}

func fromUnixMS(ms C.uint64_t) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}

func flag(set bool) C.uint32_t {
	if set {
		return 1
	}
	return 0
}

func number[T ~uint64 | ~uint32](option *T, n int64) {
	if n != 0 {
		*option = T(max(n, 0))
	}
}

func duration(option *C.uint64_t, d time.Duration) {
	if d != 0 {
		*option = C.uint64_t(wholeMS(d))
	}
}
