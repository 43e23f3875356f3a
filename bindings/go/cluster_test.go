package fanfare_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

// redisServer runs a Redis server for a test, on a port of the loopback, and returns its URL.
func redisServer(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for range 5 {
		probe, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := probe.Addr().(*net.TCPAddr)
		probe.Close()
		server := exec.Command("redis-server", "--save", "", "--appendonly", "no", "--bind", "127.0.0.1",
			"--port", fmt.Sprint(addr.Port), "--dir", folder)
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { server.Wait(); close(ended) }()
		t.Cleanup(func() { server.Process.Kill(); <-ended })
		if isUp(t, addr.String(), ended) {
			return fmt.Sprintf("redis://%s/4", addr)
		}
	}
	t.Fatal("redis-server found no port")
	return ""
}

// isUp waits until the server answers; it ends at once if another process has got its port.
func isUp(t *testing.T, addr string, ended <-chan struct{}) bool {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case <-ended:
			return false
		case <-deadline:
			t.Fatal("redis-server does not answer")
		case <-time.After(10 * time.Millisecond):
		}
		connection, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			continue
		}
		connection.SetDeadline(time.Now().Add(time.Second))
		answer := make([]byte, 7)
		fmt.Fprint(connection, "PING\r\n")
		_, err = io.ReadFull(connection, answer)
		connection.Close()
		if err == nil && string(answer) == "+PONG\r\n" {
			return true
		}
	}
}

func TestWhatAHubOfAClusterPublishesReachesTheClientsOfAnother(t *testing.T) {
	options := &fanfare.Options{ClusterURL: redisServer(t), ClusterPrefix: "go", Shards: 1}
	hubs := make([]*fanfare.Hub, 2)
	for i := range hubs {
		hub, err := fanfare.New(options)
		if err != nil {
			t.Fatal(err)
		}
		defer hub.Close()
		hubs[i] = hub
	}
	stream, err := hubs[1].Subscribe([]string{"news"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	text := ""
	expect := func(want string) {
		t.Helper()
		for !strings.Contains(text, want) {
			batch, err := stream.Next(ctx)
			if err != nil {
				t.Fatalf("%q, %v: there is no %q", text, err, want)
			}
			text += string(batch)
		}
	}

	// Its id is the server's, and not known yet.
	if id, err := hubs[0].Publish("news", fanfare.Event{Data: "at once"}); err != nil || !id.IsZero() {
		t.Fatalf("%v, %v", id, err)
	}
	expect("data: at once\n")
	topic, err := hubs[0].Topic("news")
	if err != nil {
		t.Fatal(err)
	}
	for name, publish := range map[string]func(fanfare.Event) (fanfare.ID, error){
		"by name":   func(event fanfare.Event) (fanfare.ID, error) { return hubs[0].PublishContext(ctx, "news", event) },
		"by handle": func(event fanfare.Event) (fanfare.ID, error) { return topic.PublishContext(ctx, event) },
		"to several": func(event fanfare.Event) (fanfare.ID, error) {
			return hubs[0].PublishTopicsContext(ctx, []string{"other", "news"}, event)
		},
	} {
		id, err := publish(fanfare.Event{Data: name})
		if err != nil || id.IsZero() {
			t.Fatalf("%s: %v, %v", name, id, err)
		}
		expect("id: " + id.String() + "\ndata: " + name + "\n")
	}
	if err := hubs[0].Flush(ctx); err != nil {
		t.Fatal(err)
	}
	metrics, err := hubs[0].Metrics()
	if err != nil || metrics.ClusterBatches == 0 || metrics.ClusterFailing != 0 || metrics.ClusterConnects != 1 {
		t.Fatalf("%+v, %v", metrics, err)
	}
	if id, err := hubs[0].FinishContext(ctx, "run/7", &fanfare.Event{Data: "the last"}); err != nil || id.IsZero() {
		t.Fatalf("%v, %v", id, err)
	}
	late := fanfare.Event{Data: "too late"}
	if _, err := hubs[1].PublishContext(ctx, "run/7", late); !errors.Is(err, fanfare.ErrFinished) {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(ctx)
	end()
	if _, err := hubs[0].PublishContext(ended, "news", late); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	hubs[0].Close()
	if _, err := hubs[0].PublishContext(ctx, "news", late); !errors.Is(err, fanfare.ErrClosed) {
		t.Fatal(err)
	}
}

func TestAClusterThatCannotBeIsRefused(t *testing.T) {
	// There is no TLS in this library.
	if _, err := fanfare.New(&fanfare.Options{ClusterURL: "rediss://127.0.0.1:1"}); !errors.Is(err, fanfare.ErrCluster) {
		t.Fatal(err)
	}
	for _, options := range []*fanfare.Options{
		{ClusterURL: "http://127.0.0.1"}, {ClusterURL: "redis://127.0.0.1", DataDir: t.TempDir()}, {ClusterPrefix: "a{b}"},
	} {
		if _, err := fanfare.New(options); !errors.Is(err, fanfare.ErrOptions) {
			t.Fatal(err)
		}
	}
}
