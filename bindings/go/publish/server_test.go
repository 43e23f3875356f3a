package publish_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fanfare-sse/fanfare/bindings/go/publish"
)

// How long anything is waited for: long, as a machine may be slow.
const deadline = 60 * time.Second

// server is the program, with a control listener.
type server struct {
	t       *testing.T
	process *exec.Cmd
	// url is what a client is given.
	url    string
	socket string
}

// serve starts the program: with a free port, unless the options say where control is.
func serve(t *testing.T, options ...string) *server {
	t.Helper()
	program := os.Getenv("FANFARE_BIN")
	if program == "" {
		program = filepath.Join("..", "..", "..", "target", "release", "fanfare")
	}
	args := []string{"serve", "--listen", "127.0.0.1:0", "--log", "error"}
	if !strings.Contains(strings.Join(options, " "), "--control-listen") {
		args = append(args, "--control-listen", "127.0.0.1:0")
	}
	s := &server{t: t, process: exec.Command(program, append(args, options...)...)}
	s.process.Stderr = os.Stderr
	out, err := s.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		t.Fatalf("%v; FANFARE_BIN is the program, which `cargo build --release --features cli` builds", err)
	}
	t.Cleanup(s.kill)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if at, ok := strings.CutPrefix(lines.Text(), "control on "); ok {
			s.url = at
			s.socket, _ = strings.CutPrefix(at, "unix:")
			if s.socket == at {
				s.socket = ""
			}
			return s
		}
	}
	t.Fatal("the server does not say where it is")
	return nil
}

func (s *server) kill() {
	if s.process.ProcessState == nil {
		s.process.Process.Kill()
		s.process.Wait()
	}
}

// stop stops the program until goOn, and returns when all of its threads are stopped.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	until(s.t, "all threads are stopped", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.process.Process.Pid))
		if err != nil || len(threads) == 0 {
			s.t.Fatalf("the program has no threads: %v", err)
		}
		for _, thread := range threads {
			stat, err := os.ReadFile(thread)
			if err == nil && !strings.Contains(string(stat), ") T ") {
				return false
			}
		}
		return true
	})
}

func (s *server) goOn() { s.signal(syscall.SIGCONT) }

func (s *server) signal(signal syscall.Signal) {
	s.t.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// again starts the program at the same address.
func (s *server) again(options ...string) *server {
	s.t.Helper()
	at := strings.TrimPrefix(s.url, "http://")
	return serve(s.t, append([]string{"--control-listen", at}, options...)...)
}

func (s *server) client(options *publish.Options) *publish.Client {
	s.t.Helper()
	return clientOf(s.t, s.url, options)
}

func clientOf(t *testing.T, server string, options *publish.Options) *publish.Client {
	t.Helper()
	client, err := publish.New(server, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// stream is an event stream's client.
type stream struct {
	t     *testing.T
	lines *bufio.Reader
	end   func()
}

type received struct{ name, id, data, retry string }

// subscribe returns when everything that is published from now on will come.
func (s *server) subscribe(topic string, more ...string) *stream {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	s.t.Cleanup(cancel)
	base := s.url
	transport := &http.Transport{DisableKeepAlives: true}
	if s.socket != "" {
		base = "http://localhost"
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("unix", s.socket)
		}
	}
	target := base + "/events?topic=" + url.QueryEscape(topic) + strings.Join(more, "")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		s.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		s.t.Fatalf("subscribe: %s", response.Status)
	}
	s.t.Cleanup(func() { response.Body.Close() })
	return &stream{s.t, bufio.NewReader(response.Body), cancel}
}

// next waits for the next event that is one of a publisher's; ok is false when the stream has ended.
func (s *stream) next() (event received, ok bool) {
	var data []string
	for {
		text, err := s.lines.ReadString('\n')
		if err != nil {
			return received{}, false
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(text, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			data = append(data, value)
		case "event":
			event.name = value
		case "id":
			event.id = value
		case "retry":
			event.retry = value
		}
		if text == "\n" {
			if data != nil && !strings.HasPrefix(event.name, "fanfare-") {
				event.data = strings.Join(data, "\n")
				return event, true
			}
			event, data = received{}, nil
		}
	}
}

func (s *stream) expect(data string) received {
	s.t.Helper()
	event, ok := s.next()
	if !ok || event.data != data {
		s.t.Fatalf("got %+v, %v, and not %q", event, ok, data)
	}
	return event
}

func (s *stream) expectEnd() {
	s.t.Helper()
	if event, ok := s.next(); ok {
		s.t.Fatalf("got %+v instead of the end", event)
	}
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func text(n int) publish.Event { return publish.Event{Data: fmt.Sprint(n)} }

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
