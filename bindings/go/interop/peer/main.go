// Command peer is a server of the benchmark, with one of the libraries that its argument names:
//
//	fanfare     the handler of a hub on net/http, which hands connections over
//	pull        the same, whose ResponseWriter cannot be hijacked
//	tmaxmax     tmaxmax/go-sse with Joe, its default provider
//	r3labs      r3labs/sse
//
// benches/src/subject/mod.rs says how the benchmark talks to it. Each sends what its documentation
// shows, publishes as fast as it takes events, and loses none.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
	r3labs "github.com/r3labs/sse/v2"
	tmaxmax "github.com/tmaxmax/go-sse"
)

const (
	clockMonotonic = 1
	clockProcess   = 2
)

// subject serves streams at /all, and publishes an event with a number and data to all of them.
type subject struct {
	handler http.Handler
	publish func(number int, data string)
}

var subjects = map[string]func() subject{
	"fanfare": func() subject { return withFanfare(func(h http.Handler) http.Handler { return h }) },
	"pull": func() subject {
		return withFanfare(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(struct {
					http.ResponseWriter
					http.Flusher
				}{w, w.(http.Flusher)}, r)
			})
		})
	},
	"tmaxmax": withTmaxmax,
	"r3labs":  withR3labs,
}

func main() {
	begin, ok := subjects[strings.Join(os.Args[1:], " ")]
	if !ok {
		log.Fatalln("usage: peer fanfare|pull|tmaxmax|r3labs")
	}
	subject := begin()
	events, size, rate := int(number("EVENTS")), int(number("BYTES")), number("RATE")
	listener, err := net.Listen("tcp", os.Getenv("FANFARE_BENCH_LISTEN"))
	if err != nil {
		log.Fatalln(err)
	}
	go func() { log.Fatalln(http.Serve(listener, subject.handler)) }()
	fmt.Printf("listening %s /all /solo\n", listener.Addr())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) != "go" {
			log.Fatalf("unknown command %q", lines.Text())
		}
		go func() {
			begun, cpu := now(clockMonotonic), now(clockProcess)
			for i := range events {
				if rate > 0 {
					time.Sleep(time.Duration(begun + int64(float64(i)*1e9/rate) - now(clockMonotonic)))
				}
				data := fmt.Sprintf("%d %d ", i, now(clockMonotonic))
				subject.publish(i, data+strings.Repeat("x", max(0, size-len(data))))
			}
			fmt.Printf("done %d %d %d\n", events, now(clockMonotonic)-begun, now(clockProcess)-cpu)
		}()
	}
}

func withFanfare(wrap func(http.Handler) http.Handler) subject {
	hub, err := fanfare.New(&fanfare.Options{Shards: 1, Retry: -1})
	if err != nil {
		log.Fatalln(err)
	}
	topic, err := hub.Topic("all")
	if err != nil {
		log.Fatalln(err)
	}
	handler := hub.Handler(func(r *http.Request) (fanfare.Subscription, error) {
		return fanfare.Subscription{Topics: []string{strings.TrimPrefix(r.URL.Path, "/")}}, nil
	})
	return subject{wrap(handler), func(_ int, data string) {
		if _, err := topic.PublishContext(context.Background(), fanfare.Event{Data: data}); err != nil {
			log.Fatalln("publish:", err)
		}
	}}
}

func withTmaxmax() subject {
	server := &tmaxmax.Server{OnSession: func(w http.ResponseWriter, r *http.Request) ([]string, bool) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		if err := http.NewResponseController(w).Flush(); err != nil {
			return nil, false
		}
		return []string{strings.TrimPrefix(r.URL.Path, "/")}, true
	}}
	return subject{server, func(number int, data string) {
		message := &tmaxmax.Message{ID: tmaxmax.ID(strconv.Itoa(number))}
		message.AppendData(data)
		if err := server.Publish(message, "all"); err != nil {
			log.Fatalln("publish:", err)
		}
	}}
}

func withR3labs() subject {
	server := r3labs.New()
	server.AutoReplay = false
	server.CreateStream("all")
	server.CreateStream("solo")
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.RawQuery = "stream=" + strings.TrimPrefix(r.URL.Path, "/")
		server.ServeHTTP(w, r)
	})
	return subject{handler, func(number int, data string) {
		server.Publish("all", &r3labs.Event{ID: []byte(strconv.Itoa(number)), Data: []byte(data)})
	}}
}

func number(name string) float64 {
	value, err := strconv.ParseFloat(os.Getenv("FANFARE_BENCH_"+name), 64)
	if err != nil {
		log.Fatalf("FANFARE_BENCH_%s: %v", name, err)
	}
	return value
}

// now reads a clock of the system's, in nanoseconds: Go's own time does not show CLOCK_MONOTONIC.
func now(clock uintptr) int64 {
	var at syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&at)), 0); errno != 0 {
		log.Fatalln("clock_gettime:", errno)
	}
	return at.Nano()
}
