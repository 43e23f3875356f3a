package publish_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-sse/fanfare/bindings/go/publish"
)

// faulty is a server that takes requests as the program does, and answers what a test wants: what
// cannot be had of the program.
type faulty struct {
	*httptest.Server
	mu sync.Mutex
	// requests are the contents that came, and of requests without any the query.
	requests []string
}

// step is an answer; without a status the connection is cut after the request was read.
type step struct {
	status int
	text   string
}

// fails answers requests with the steps, and then with success.
func fails(t *testing.T, steps ...step) *faulty {
	f := &faulty{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var content []string
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			content = append(content, lines.Text())
		}
		f.mu.Lock()
		n := len(f.requests)
		f.requests = append(f.requests, strings.Join(content, "\n"))
		f.mu.Unlock()
		s := step{200, fmt.Sprintf(`{"published":%d}`, len(content))}
		if r.Header.Get("Content-Type") != "application/x-ndjson" {
			s.text = `{"id":"hub-1"}`
		}
		if n < len(steps) {
			s = steps[n]
		}
		if s.status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(s.status)
		io.WriteString(w, s.text)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *faulty) came() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.requests...)
}

func TestALostAnswerIsRepeatedOnlyAsTheOptionSays(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		repeat  publish.Repeat
		id      string
		repeats bool
	}{
		{publish.RepeatWithID, "", false}, {publish.RepeatWithID, "own", true},
		{publish.RepeatAlways, "", true}, {publish.RepeatNever, "own", false},
	} {
		for _, answer := range []step{{}, {502, "<html>"}, {503, "upstream reset"}, {500, ""}} {
			server := fails(t, answer)
			options := &publish.Options{Repeat: test.repeat}
			event := publish.Event{Data: "x", ID: test.id}
			_, err := clientOf(t, server.URL, options).Publish(soon(t), "t", event)
			want := 1
			if test.repeats {
				want = 2
			}
			if got := server.came(); len(got) != want || (err == nil) != test.repeats {
				t.Errorf("%+v, %+v: %v, %v", test, answer, got, err)
			}
			if err != nil && !errors.Is(err, publish.ErrUnknown) {
				t.Errorf("%+v, %+v: %v", test, answer, err)
			}
			batches := fails(t, answer)
			var lost lost
			publisher := clientOf(t, batches.URL, options).Publisher(
				&publish.PublisherOptions{OnUndelivered: lost.add})
			if err := publisher.Publish("t", event); err != nil {
				t.Fatal(err)
			}
			if err := publisher.Flush(soon(t)); err != nil {
				t.Fatal(err)
			}
			closeSoon(t, publisher)
			if got := batches.came(); len(got) != want || len(lost.all()) != 2-want {
				t.Errorf("%+v, %+v: %v, %v", test, answer, got, lost.all())
			}
		}
	}
}

func TestOfABatchWhoseAnswerIsLostOnlyTheMarkedEventsAreRepeated(t *testing.T) {
	t.Parallel()
	server := fails(t, step{})
	var lost lost
	publisher := clientOf(t, server.URL, nil).Publisher(
		&publish.PublisherOptions{OnUndelivered: lost.add, FlushAfter: time.Hour})
	for _, id := range []string{"", "a", "", "b"} {
		if err := publisher.Publish("t", publish.Event{Data: "x", ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	closeAndLost := publisher.Flush(soon(t))
	got := server.came()
	if closeAndLost != nil || len(got) != 2 || len(lost.all()) != 2 {
		t.Fatalf("%v: %q, %+v", closeAndLost, got, lost.all())
	}
	if want := `{"topic":"t","data":"x","id":"a"}` + "\n" + `{"topic":"t","data":"x","id":"b"}`; got[1] != want {
		t.Errorf("repeated: %s", got[1])
	}
	if stats := publisher.Stats(); stats.Published != 2 || stats.Repeated != 2 || stats.Undelivered != 2 {
		t.Errorf("%+v", stats)
	}
	closeSoon(t, publisher)
}

func TestABusyServerIsSentTheRestAndNothingTwice(t *testing.T) {
	t.Parallel()
	server := fails(t, step{503, `{"error":"too much waits to be sent; try again later","published":2}`},
		step{429, "slow down"}, step{503, ""}, step{408, `{"error":"the content did not come in time","published":1}`})
	publisher := clientOf(t, server.URL, nil).Publisher(&publish.PublisherOptions{FlushAfter: time.Hour})
	for n := range 5 {
		if err := publisher.Publish("t", text(n)); err != nil {
			t.Fatal(err)
		}
	}
	closeSoon(t, publisher)
	var lengths []int
	for _, content := range server.came() {
		lengths = append(lengths, strings.Count(content, "\n")+1)
	}
	if fmt.Sprint(lengths) != "[5 3 3 3 2]" || publisher.Stats().Published != 5 {
		t.Errorf("%v lines in each request, %+v", lengths, publisher.Stats())
	}
}

func TestATopicWhoseEndWasUnderWayIsFinished(t *testing.T) {
	t.Parallel()
	finished := step{409, `{"error":"line 1: the topic is finished","line":1,"published":0}`}
	if _, err := clientOf(t, fails(t, step{}, finished).URL, nil).Finish(soon(t), "t", nil); err != nil {
		t.Error(err)
	}
	if _, err := clientOf(t, fails(t, finished).URL, nil).Finish(soon(t), "t", nil); !errors.Is(err, publish.ErrFinished) {
		t.Errorf("got %v", err)
	}
	var lost lost
	publisher := clientOf(t, fails(t, step{}, finished).URL, nil).Publisher(
		&publish.PublisherOptions{OnUndelivered: lost.add})
	if err := publisher.Finish(soon(t), "t", nil); err != nil {
		t.Fatal(err)
	}
	closeSoon(t, publisher)
	if len(lost.all()) != 0 || publisher.Stats().Published != 1 {
		t.Errorf("%+v, %+v", lost.all(), publisher.Stats())
	}
}

func TestWhatIsNoFanfareServerIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	for _, answer := range []step{{200, "hello"}, {200, "{}"}, {301, ""}, {204, ""}, {404, "<html>"}} {
		server := fails(t, answer)
		_, err := clientOf(t, server.URL, nil).Publish(soon(t), "t", text(1))
		if !errors.Is(err, publish.ErrRefused) || len(server.came()) != 1 {
			t.Errorf("%+v: %v", answer, err)
		}
	}
	server := fails(t, step{401, `{"error":"this needs the token"}`})
	var lost lost
	publisher := clientOf(t, server.URL, nil).Publisher(&publish.PublisherOptions{OnUndelivered: lost.add})
	if err := publisher.Publish("t", text(1)); err != nil {
		t.Fatal(err)
	}
	if err := publisher.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	if events := lost.all(); len(events) != 1 || !errors.Is(events[0].Err, publish.ErrToken) {
		t.Errorf("%+v", events)
	}
	closeSoon(t, publisher)
}

func TestAnAnswerThatDoesNotComeInTimeIsLost(t *testing.T) {
	t.Parallel()
	released := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-released }))
	defer server.Close()
	defer close(released)
	client := clientOf(t, server.URL, &publish.Options{AnswerTimeMax: 20 * time.Millisecond})
	_, err := client.Publish(soon(t), "t", text(1))
	if !errors.Is(err, publish.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestEventsAreGatheredByCountByBytesAndByTime(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options publish.PublisherOptions
		events  int
		largest int
	}{
		"by count": {publish.PublisherOptions{BatchEventsMax: 10, FlushAfter: time.Hour}, 100, 10},
		"by bytes": {publish.PublisherOptions{BatchBytesMax: 60, FlushAfter: time.Hour}, 100, 2},
		"by time":  {publish.PublisherOptions{FlushAfter: 50 * time.Millisecond}, 1, 1},
		"at once":  {publish.PublisherOptions{FlushAfter: -1}, 1, 1},
	} {
		server := fails(t)
		publisher := clientOf(t, server.URL, nil).Publisher(&test.options)
		for n := range test.events {
			if err := publisher.Publish("t", text(n)); err != nil {
				t.Fatal(err)
			}
		}
		// Nothing but its own time has it sent.
		until(t, name, func() bool { return int(publisher.Stats().Published) == test.events })
		largest := 0
		for _, content := range server.came() {
			largest = max(largest, strings.Count(content, "\n")+1)
		}
		if largest != test.largest {
			t.Errorf("%s: %d events in the largest request, and not %d", name, largest, test.largest)
		}
		closeSoon(t, publisher)
	}
}
