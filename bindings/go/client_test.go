package fanfare_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// How long anything is waited for: long, as a machine may be slow.
const deadline = 30 * time.Second

// received is an event as a browser would fire it.
type received struct {
	name, id, data string
}

// client is an event stream's client, as WHATWG HTML has it but for reconnecting.
type client struct {
	t      *testing.T
	lines  *bufio.Reader
	body   interface{ Close() error }
	lastID string
	retry  string
	err    error // by which the stream has ended
}

// subscribe returns when everything that is published from now on will come.
func subscribe(t *testing.T, port int, topic string) *client {
	t.Helper()
	response := get(t, port, topic, "")
	if response.StatusCode != http.StatusOK {
		t.Fatalf("subscribe: %s", response.Status)
	}
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("subscribe: the content is %q", got)
	}
	return &client{t: t, lines: bufio.NewReader(response.Body), body: response.Body}
}

// statusOf is the status of the answer to a client that names a host as the one it asks.
func statusOf(t *testing.T, port int, host string) int {
	t.Helper()
	return get(t, port, "t", host).StatusCode
}

// get asks for a topic's stream, by the listener's address if no host is given.
func get(t *testing.T, port int, topic, host string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	target := fmt.Sprintf("http://127.0.0.1:%d/events?topic=%s", port, url.QueryEscape(topic))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	// A transport of its own, so that nothing of it outlives the test.
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// next waits for the next event that has data; ok is false when the stream has ended.
func (c *client) next() (event received, ok bool) {
	c.t.Helper()
	var data []string
	name := ""
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				c.t.Fatalf("waited for an event: %v", err)
			}
			c.err = err
			return received{}, false
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			if data != nil {
				if name == "" {
					name = "message"
				}
				return received{name, c.lastID, strings.Join(data, "\n")}, true
			}
			name = ""
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			data = append(data, value)
		case "event":
			name = value
		case "id":
			c.lastID = value
		case "retry":
			c.retry = value
		}
	}
}

// expect waits for an event with this name and data.
func (c *client) expect(name, data string) received {
	c.t.Helper()
	event, ok := c.next()
	if !ok {
		c.t.Fatalf("the stream has ended instead of %q", data)
	}
	if event.name != name || event.data != data {
		c.t.Fatalf("got %q %q, not %q %q", event.name, event.data, name, data)
	}
	return event
}

// expectEnd waits until the server has closed the stream, whatever comes before.
func (c *client) expectEnd() {
	c.t.Helper()
	for {
		if _, ok := c.next(); !ok {
			return
		}
	}
}
