// Peer of the benchmark: tmaxmax/go-sse with Joe, its default provider, and a topic per stream, as
// its README and its larger example show.
//
// The head is written in OnSession, the documented place to write a response: otherwise it would
// only be sent with the first event. Publish hands an event to Joe over a channel without a buffer
// and Joe writes to one client after the other, so a publisher without pause goes as fast as Joe
// writes, and nothing is lost.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/tmaxmax/go-sse"
)

const (
	topicAll  = "all"
	topicSolo = "solo"

	clockMonotonic = 1
	clockProcess   = 2
)

type settings struct {
	listen       string
	events       int
	bytes        int
	rate         float64
	soloInterval time.Duration
}

func main() {
	args := readSettings()
	server := &sse.Server{OnSession: onSession}
	listener, err := net.Listen("tcp", args.listen)
	if err != nil {
		log.Fatalln(err)
	}
	go func() {
		mux := http.NewServeMux()
		mux.Handle("/"+topicAll, server)
		mux.Handle("/"+topicSolo, server)
		log.Fatalln(http.Serve(listener, mux))
	}()
	fmt.Printf("listening %s /%s /%s\n", listener.Addr(), topicAll, topicSolo)

	var isPublishing atomic.Bool
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) != "go" {
			log.Fatalf("unknown command %q", lines.Text())
		}
		isPublishing.Store(true)
		go func() {
			fmt.Println(publishAll(server, args))
			isPublishing.Store(false)
		}()
	}
	if isPublishing.Load() {
		os.Exit(3)
	}
}

func onSession(w http.ResponseWriter, r *http.Request) ([]string, bool) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return nil, false
	}
	return []string{strings.TrimPrefix(r.URL.Path, "/")}, true
}

func publishAll(server *sse.Server, args settings) string {
	begun, cpu := now(clockMonotonic), now(clockProcess)
	over := make(chan struct{})
	solo := make(chan string, 1)
	if args.soloInterval > 0 {
		go func() { solo <- publishSolos(server, args, over) }()
	} else {
		solo <- ""
	}
	for number := range args.events {
		if args.rate > 0 {
			due := begun + int64(float64(number)*1e9/args.rate)
			time.Sleep(time.Duration(due - now(clockMonotonic)))
		}
		publish(server, topicAll, number, now(clockMonotonic), args.bytes)
	}
	elapsed, used := now(clockMonotonic)-begun, now(clockProcess)-cpu
	close(over)
	return fmt.Sprintf("done %d %d %d%s", args.events, elapsed, used, <-solo)
}

func publishSolos(server *sse.Server, args settings, over <-chan struct{}) string {
	var late []int64
	due := now(clockMonotonic) + int64(args.soloInterval)
	for {
		select {
		case <-over:
			slices.Sort(late)
			var p99 int64
			if len(late) > 0 {
				p99 = late[min(len(late)-1, len(late)*99/100)]
			}
			return fmt.Sprintf(" solo=%d solo_late_p99_ns=%d", len(late), p99)
		case <-time.After(time.Duration(due - now(clockMonotonic))):
		}
		if now(clockMonotonic) < due {
			continue
		}
		late = append(late, now(clockMonotonic)-due)
		publish(server, topicSolo, len(late)-1, due, args.bytes)
		due += int64(args.soloInterval)
	}
}

func publish(server *sse.Server, topic string, number int, stamp int64, bytes int) {
	data := fmt.Sprintf("%d %d ", number, stamp)
	data += strings.Repeat("x", max(0, bytes-len(data)))
	message := &sse.Message{ID: sse.ID(strconv.Itoa(number))}
	message.AppendData(data)
	if err := server.Publish(message, topic); err != nil {
		log.Fatalln("publish:", err)
	}
}

func readSettings() settings {
	get := func(name string) string { return os.Getenv("FANFARE_BENCH_" + name) }
	number := func(name string) float64 {
		value, err := strconv.ParseFloat(get(name), 64)
		if err != nil {
			log.Fatalf("FANFARE_BENCH_%s: %v", name, err)
		}
		return value
	}
	return settings{
		listen:       get("LISTEN"),
		events:       int(number("EVENTS")),
		bytes:        int(number("BYTES")),
		rate:         number("RATE"),
		soloInterval: time.Duration(number("SOLO_INTERVAL_MS")) * time.Millisecond,
	}
}

// now reads a clock of the system's, in nanoseconds: Go's own time does not show CLOCK_MONOTONIC.
func now(clock uintptr) int64 {
	var at syscall.Timespec
	_, _, errno := syscall.Syscall(
		syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&at)), 0)
	if errno != 0 {
		log.Fatalln("clock_gettime:", errno)
	}
	return at.Nano()
}
