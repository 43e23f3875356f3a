package fanfare_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/fanfare-sse/fanfare/bindings/go"
)

// What a program may have computed as a time: without an end, and over before it begins.
var (
	endless = time.Duration(math.MaxInt64)
	over    = time.Duration(math.MinInt64)
)

func TestAPublisherWaitsForAsLongAsAnyClockHas(t *testing.T) {
	hub, sleeper := full(t)
	ctx, cancel := context.WithTimeout(context.Background(), endless)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := hub.PublishContext(ctx, "t", fanfare.Event{Data: "late"})
		done <- err
	}()
	for _, timeout := range []time.Duration{over, -1, 0} {
		ended, cancel := context.WithTimeout(context.Background(), timeout)
		if _, err := hub.PublishContext(ended, "t", fanfare.Event{Data: "never"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v: %v", timeout, err)
		}
		cancel()
	}
	select {
	case early := <-done:
		t.Fatalf("it has not waited: %v", early)
	default:
	}
	sleeper.body.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTimesBeyondAllBoundsAreTheNearestOrRefused(t *testing.T) {
	hub, port := start(t, nil)
	for _, timeout := range []time.Duration{endless, over, -1} {
		if _, err := hub.ClusterConnections(withDeadline(t), fanfare.ConnectionFilter{}, timeout); !errors.Is(err, fanfare.ErrCluster) {
			t.Errorf("%v: %v", timeout, err)
		}
		if _, err := hub.ClusterSubscribers(withDeadline(t), "news", timeout); !errors.Is(err, fanfare.ErrCluster) {
			t.Errorf("%v: %v", timeout, err)
		}
		for _, event := range []fanfare.Event{{Data: "a", Retry: timeout}, {Data: "a", Window: timeout}} {
			if _, err := hub.Publish("news", event); !errors.Is(err, fanfare.ErrEvent) {
				t.Errorf("%+v: %v", event, err)
			}
		}
		client := subscribe(t, port, "news")
		untilConnections(t, hub, 1)
		if count, err := hub.DisconnectAll(timeout); err != nil || count != 1 {
			t.Errorf("%v: %d, %v", timeout, count, err)
		}
		client.expectEnd()
		untilConnections(t, hub, 0)
	}
	for _, options := range []fanfare.DrainOptions{{Window: endless}, {Grace: endless}, {Retry: endless}} {
		if _, err := hub.Drain(withDeadline(t), &options); !errors.Is(err, fanfare.ErrOptions) {
			t.Errorf("%+v: %v", options, err)
		}
	}
	if _, err := hub.Drain(withDeadline(t), &fanfare.DrainOptions{Window: over, Grace: over, Retry: over}); err != nil {
		t.Error(err)
	}
}
