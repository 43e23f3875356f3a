package fanfare_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

var handOvers = flag.Int("hand-overs", 2000, "how many connections are handed over to look for leaks; 1000000 by hand")

// used is what the process has.
type used struct {
	descriptors, goroutines int
	resident                int // KiB
}

func inUse(t *testing.T) used {
	t.Helper()
	runtime.GC()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("this system has no /proc")
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "RssAnon:")
	resident, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return used{len(entries), runtime.NumGoroutine(), resident}
}

// Each connection is opened, handed over and ended, by its client or by the hub.
func TestHandOversLeaveNothingBehind(t *testing.T) {
	hub := bare(t, &fanfare.Options{Shards: 1, Retry: -1})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: hub.Handler(byQuery)}
	go server.Serve(listener)
	defer server.Close()
	const workers = 8
	run := func(total int) {
		var done sync.WaitGroup
		for worker := range workers {
			done.Add(1)
			go func() {
				defer done.Done()
				// Each has addresses of its own, so that ports in TIME_WAIT do not run out.
				handOver(t, hub, listener.Addr().(*net.TCPAddr), worker, total/workers)
			}()
		}
		done.Wait()
		untilConnections(t, hub, 0)
	}
	run(workers * 100) // what is made once
	before := inUse(t)
	begun := time.Now()
	run(*handOvers)
	took := time.Since(begun)
	var after used
	until(t, "nothing is left", func() bool {
		after = inUse(t)
		return after.descriptors <= before.descriptors && after.goroutines <= before.goroutines
	})
	// The race detector keeps memory for what has run.
	if grown := after.resident - before.resident; grown > 8<<10 && !raceDetector {
		t.Errorf("%d KiB more are resident", grown)
	}
	t.Logf("%d hand-overs in %v: before %+v, after %+v", *handOvers, took, before, after)
}

func handOver(t *testing.T, hub *fanfare.Hub, server *net.TCPAddr, worker, times int) {
	request := []byte("GET /?topic=t HTTP/1.1\r\nHost: localhost\r\n\r\n")
	buffer := make([]byte, 2048)
	for i := range times {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(10+worker), byte(1+i%250))}}
		dialer.SetMultipathTCP(false)
		conn, err := dialer.Dial("tcp", server.String())
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.SetDeadline(time.Now().Add(deadline))
		if _, err := conn.Write(request); err != nil {
			t.Error(err)
		}
		for read := 0; !bytes.Contains(buffer[:read], []byte("\r\n\r\n")); {
			count, err := conn.Read(buffer[read:])
			if err != nil {
				t.Error(err)
				break
			}
			read += count
		}
		// A client that resets leaves no port behind.
		_ = conn.(*net.TCPConn).SetLinger(0)
		if i%500 == 499 {
			_, _ = hub.DisconnectAll(0)
			_, _ = io.Copy(io.Discard, conn) // ended by the hub
		}
		conn.Close()
	}
}

func TestWhatIsLostWithoutCloseIsFreed(t *testing.T) {
	lose := func() *client {
		hub, err := fanfare.New(&fanfare.Options{Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		authorizer, err := fanfare.NewAuthorizer(func(context.Context, *fanfare.Request) (fanfare.Grant, error) {
			return fanfare.Grant{AnyTopics: true}, nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		fallback, err := fanfare.NewFallback(1)
		if err != nil {
			t.Fatal(err)
		}
		listener, err := hub.Listen("127.0.0.1:0", &fanfare.ListenOptions{Authorizer: authorizer, Fallback: fallback})
		if err != nil {
			t.Fatal(err)
		}
		client := subscribe(t, listener.Port(), "t")
		stream, err := hub.Subscribe([]string{"t"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		for err == nil {
			_, err = stream.Next(ctx) // it has waited at the hub's bell
		}
		hub.Notices(context.Background(), nil)
		if _, err := hub.Topic("t"); err != nil {
			t.Fatal(err)
		}
		return client
	}
	bare(t, nil) // which has what is made once
	http.DefaultClient.CloseIdleConnections()
	before := inUse(t)
	var ended sync.WaitGroup
	for range 5 {
		client := lose()
		ended.Add(1)
		go func() {
			defer ended.Done()
			client.expectEnd()
			client.body.Close()
		}()
	}
	all := make(chan struct{})
	go func() {
		ended.Wait()
		close(all)
	}()
	until(t, "the hubs' streams have ended", func() bool {
		runtime.GC()
		select {
		case <-all:
			return true
		default:
			return false
		}
	})
	until(t, "all is freed", func() bool {
		after := inUse(t)
		return after.descriptors <= before.descriptors && after.goroutines <= before.goroutines
	})
}
