package publish_test

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanfare-sse/fanfare/bindings/go/publish"
)

func TestPublishReturnsTheIDThatSubscribersSee(t *testing.T) {
	t.Parallel()
	s := serve(t)
	client := s.client(nil)
	defer client.Close()
	stream := s.subscribe("a/ä?&=")
	event := publish.Event{Data: "one\ntwo <&> \"ä\"", Name: "greeting", Key: "k", Retry: 1500 * time.Microsecond}
	id, err := client.Publish(soon(t), "a/ä?&=", event)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := stream.next()
	if want := (received{"greeting", id, event.Data, "2"}); got != want || id == "" {
		t.Errorf("got %+v, and not %+v", got, want)
	}
	if id, err := client.Publish(soon(t), "a/ä?&=", publish.Event{ID: "own"}); id != "own" || err != nil {
		t.Errorf("got %q, %v", id, err)
	}
	if got := stream.expect(""); got.id != "own" {
		t.Errorf("got %+v", got)
	}
}

func TestAUnixSocketAndATokenWork(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	writeFile(t, token, "secret")
	s := serve(t, "--control-listen", "unix:"+filepath.Join(t.TempDir(), "control"),
		"--publish-token-file", token)
	stream := s.subscribe("t")
	if _, err := s.client(&publish.Options{Token: "secret"}).Publish(soon(t), "t", text(1)); err != nil {
		t.Fatal(err)
	}
	stream.expect("1")
	for _, token := range []string{"", "wrong"} {
		client := s.client(&publish.Options{Token: token})
		if _, err := client.Publish(soon(t), "t", text(2)); !errors.Is(err, publish.ErrToken) {
			t.Errorf("with %q: %v", token, err)
		}
	}
}

func TestEventsOfSeveralTopicsAndWithoutDataArriveOnce(t *testing.T) {
	t.Parallel()
	s := serve(t)
	client := s.client(nil)
	stream := s.subscribe("a", "&topic=b")
	if _, err := client.PublishTo(soon(t), []string{"a", "b"}, text(1)); err != nil {
		t.Fatal(err)
	}
	if id, err := client.Publish(soon(t), "a", publish.Event{NoData: true, ID: "place"}); id != "place" || err != nil {
		t.Fatalf("got %q, %v", id, err)
	}
	if _, err := client.Publish(soon(t), "b", publish.Event{Data: "2", Window: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	stream.expect("1")
	stream.expect("2")
}

func TestAFinishedTopicEndsItsStreamsAndTakesNothing(t *testing.T) {
	t.Parallel()
	s := serve(t)
	client := s.client(nil)
	for topic, last := range map[string]*publish.Event{
		"end": nil, "last": {Data: "bye"}, "empty": {Data: ""}, "mark": {NoData: true, ID: "x"},
	} {
		stream := s.subscribe(topic)
		id, err := client.Finish(soon(t), topic, last)
		if err != nil || id == "" && topic != "empty" {
			t.Fatalf("%s: %q, %v", topic, id, err)
		}
		if last != nil && !last.NoData {
			stream.expect(last.Data)
		}
		stream.expectEnd()
		if _, err := client.Finish(soon(t), topic, last); !errors.Is(err, publish.ErrFinished) {
			t.Errorf("%s is finished again: %v", topic, err)
		}
		if _, err := client.Publish(soon(t), topic, text(1)); !errors.Is(err, publish.ErrFinished) {
			t.Errorf("%s: %v", topic, err)
		}
	}
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	client := serve(t, "--event-bytes-max", "1KiB").client(nil)
	long := strings.Repeat("x", 257)
	for name, test := range map[string]struct {
		topic string
		event publish.Event
		want  error
	}{
		"no topic":         {"", publish.Event{}, publish.ErrTopic},
		"a wildcard":       {"a/+", publish.Event{}, publish.ErrTopic},
		"a control":        {"a\x7f", publish.Event{}, publish.ErrTopic},
		"a long topic":     {long, publish.Event{}, publish.ErrTopic},
		"no UTF-8":         {"t", publish.Event{Data: "\xff"}, publish.ErrUTF8},
		"nothing":          {"t", publish.Event{NoData: true}, publish.ErrEvent},
		"both":             {"t", publish.Event{NoData: true, Data: "x"}, publish.ErrEvent},
		"a line in a name": {"t", publish.Event{Name: "a\nb"}, publish.ErrEvent},
		"a long id":        {"t", publish.Event{ID: long}, publish.ErrEvent},
		"a space in front": {"t", publish.Event{ID: " x"}, publish.ErrEvent},
		"a long key":       {"t", publish.Event{Key: long}, publish.ErrEvent},
		"a negative time":  {"t", publish.Event{Retry: -1}, publish.ErrEvent},
		"a long window":    {"t", publish.Event{Window: time.Hour}, publish.ErrEvent},
		"a large event":    {"t", publish.Event{Data: strings.Repeat("x", 2000)}, publish.ErrTooLarge},
		"a reserved name":  {"t", publish.Event{Name: "fanfare-gap"}, publish.ErrRefused},
	} {
		_, err := client.Publish(soon(t), test.topic, test.event)
		var typed *publish.Error
		if !errors.Is(err, test.want) || !errors.As(err, &typed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := client.PublishTo(soon(t), make([]string, 65), text(1)); !errors.Is(err, publish.ErrTooMany) {
		t.Errorf("65 topics: %v", err)
	}
	for _, url := range []string{"", "localhost:1", "ftp://h", "http://", "http://u:p@h", "http://h?x", "unix:", "http://[::1"} {
		if _, err := publish.New(url, nil); !errors.Is(err, publish.ErrURL) || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := publish.New("http://h", &publish.Options{Token: "a b"}); !errors.Is(err, publish.ErrURL) {
		t.Errorf("a space in the token: %v", err)
	}
}

func TestAServerThatIsAwayIsUnreachedAndIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.kill()
	never := s.client(&publish.Options{Retries: -1})
	if _, err := never.Publish(soon(t), "t", text(1)); !errors.Is(err, publish.ErrUnreached) {
		t.Errorf("got %v", err)
	}
	often := s.client(&publish.Options{Retries: 1000})
	ctx, cancel := context.WithCancel(soon(t))
	cancel()
	_, err := often.Publish(ctx, "t", text(1))
	if !errors.Is(err, publish.ErrUnreached) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	published := make(chan error)
	go func() {
		_, err := often.Publish(soon(t), "t", text(1))
		published <- err
	}()
	stream := s.again().subscribe("t", "&start=earliest")
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	stream.expect("1")
}

func TestAStoppedServersAnswerIsUnknownAndItsConnectionIsKeptOtherwise(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var connections atomic.Int32
	client := clientOf(t, "http://"+forward(t, strings.TrimPrefix(s.url, "http://"), &connections), nil)
	for n := range 100 {
		if _, err := client.Publish(soon(t), "t", text(n)); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for one request after the other", n)
	}
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := client.Publish(ctx, "late", text(1))
	if !errors.Is(err, publish.ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	s.goOn()
	// It was published after all.
	s.subscribe("late", "&start=earliest").expect("1")
}

// forward is a port whose connections are handed on, and counted.
func forward(t *testing.T, to string, connections *atomic.Int32) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			pass := func(to, from net.Conn) {
				io.Copy(to, from)
				to.(*net.TCPConn).CloseWrite()
			}
			go pass(far, near)
			go pass(near, far)
		}
	}()
	return listener.Addr().String()
}
