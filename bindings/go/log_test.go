package fanfare

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// kept is a handler that keeps the records from a level on.
type kept struct {
	level slog.Level
	began chan struct{} // is told that a record has come, unless it is nil
	until chan struct{} // records are held until it is closed, unless it is nil

	mu      sync.Mutex
	records []slog.Record
}

func (k *kept) Enabled(_ context.Context, level slog.Level) bool { return level >= k.level }
func (k *kept) WithAttrs([]slog.Attr) slog.Handler               { return k }
func (k *kept) WithGroup(string) slog.Handler                    { return k }

func (k *kept) Handle(_ context.Context, record slog.Record) error {
	if k.until != nil {
		select {
		case k.began <- struct{}{}:
		default:
		}
		<-k.until
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.records = append(k.records, record)
	return nil
}

// with are the records whose message has a text.
func (k *kept) with(text string) (found []slog.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, record := range k.records {
		if strings.Contains(record.Message, text) {
			found = append(found, record)
		}
	}
	return found
}

func attr(record slog.Record, key string) (value slog.Value) {
	record.Attrs(func(attr slog.Attr) bool {
		if attr.Key == key {
			value = attr.Value
		}
		return true
	})
	return value
}

func hubWith(t *testing.T, logger *slog.Logger) *Hub {
	t.Helper()
	hub, err := New(&Options{Shards: 1, ConnectionsMax: 100, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hub.Close() })
	return hub
}

// endStream has the engine log, as what it debugs, that a connection has ended.
func endStream(t *testing.T, hub *Hub) {
	t.Helper()
	stream, err := hub.Subscribe([]string{"t"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	connections := func() uint64 {
		metrics, err := hub.Metrics()
		if err != nil {
			t.Fatal(err)
		}
		return metrics.Connections
	}
	untilTrue(t, "it is a connection", func() bool { return connections() == 1 })
	stream.Close()
	untilTrue(t, "it has ended", func() bool { return connections() == 0 })
}

func untilTrue(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited until %s", what)
		}
	}
}

func TestTheEnginesRecordsComeOnceToEachLoggerWithWhatItHasEnabled(t *testing.T) {
	all, debug, warn := &kept{level: LevelTrace}, &kept{level: slog.LevelDebug}, &kept{level: slog.LevelWarn}
	logger, warned := slog.New(debug), slog.New(warn)
	hub := hubWith(t, logger)
	hubWith(t, logger)
	hubWith(t, slog.New(all))
	hubWith(t, warned)
	hubWith(t, slog.New(&kept{level: slog.LevelError + 1}))
	begun := time.Now().Add(-time.Millisecond)
	for range 3 {
		endStream(t, hub)
	}
	for _, one := range []*kept{debug, all} {
		untilTrue(t, "the records have come", func() bool { return len(one.with("ended")) >= 3 })
		for _, record := range one.with("ended") {
			target := attr(record, "target").String()
			if record.Level != slog.LevelDebug || !strings.HasPrefix(target, "fanfare") || record.Time.Before(begun) {
				t.Errorf("the record is %+v, of %s", record, target)
			}
		}
	}
	hub.Close()
	hub = warnOfDescriptors(t, warned)
	for _, one := range []*kept{all, debug, warn} {
		untilTrue(t, "the warning has come", func() bool { return len(one.with("which is 10000000")) > 0 })
		if found := one.with("which is 10000000"); len(found) != 1 || found[0].Level != slog.LevelWarn {
			t.Errorf("the warnings are %+v", found)
		}
	}
	hub.Close()
	// What has come behind all of it shows that nothing is there twice.
	if len(debug.with("ended")) != 3 || len(all.with("ended")) != 3 || len(warn.with("ended")) != 0 {
		t.Errorf("%d and %d records, and %d at the level of warnings",
			len(debug.with("ended")), len(all.with("ended")), len(warn.with("ended")))
	}
}

// warnOfDescriptors has the engine warn that the process may have fewer files open than connections.
func warnOfDescriptors(t *testing.T, logger *slog.Logger) *Hub {
	t.Helper()
	hub, err := New(&Options{Shards: 1, ConnectionsMax: 10_000_000, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hub.Close() })
	return hub
}

func TestWithoutALoggerNothingButErrorsComesToTheDefaultOne(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	all := &kept{level: LevelTrace}
	slog.SetDefault(slog.New(all))
	hub := warnOfDescriptors(t, nil)
	endStream(t, hub)
	if !isLogging() {
		t.Error("nothing is asked of the engine")
	}
	hub.Close()
	untilTrue(t, "all has come", func() bool { return !isLogging() })
	if found := all.with(""); len(found) != 0 {
		t.Errorf("the default logger has %+v", found)
	}
	// One that is set gets warnings, and what was logged before its hub was closed.
	hub = warnOfDescriptors(t, slog.Default())
	hub.Close()
	untilTrue(t, "the warning has come", func() bool { return len(all.with("which is 10000000")) > 0 })
}

func TestASlowLoggerHoldsNothingUpAndIsToldWhatItHasLost(t *testing.T) {
	untilTrue(t, "no other hub has a logger", func() bool { return !isLogging() })
	before := logCapacity
	logCapacity = 4
	defer func() { logCapacity = before }()
	slow := &kept{level: slog.LevelDebug, began: make(chan struct{}, 1), until: make(chan struct{})}
	hub := hubWith(t, slog.New(slow))
	endStream(t, hub)
	<-slow.began
	for range 50 {
		endStream(t, hub)
	}
	close(slow.until)
	untilTrue(t, "the rest has come", func() bool { return len(slow.with("ended")) >= 1+4 })
	endStream(t, hub)
	untilTrue(t, "the loss is told", func() bool { return len(slow.with("were lost")) > 0 })
	hub.Close()
	untilTrue(t, "the goroutine has ended", func() bool { return !isLogging() })
	lost := slow.with("were lost")
	if lost[0].Level != slog.LevelWarn || attr(lost[0], "lost").Uint64() == 0 {
		t.Errorf("lost are %+v", lost)
	}
	if len(slow.with("ended")) > 40 {
		t.Errorf("%d records have waited", len(slow.with("ended")))
	}
}

func isLogging() bool {
	runtime.GC() // a hub that is lost is closed by the collector
	theLog.mu.Lock()
	defer theLog.mu.Unlock()
	return theLog.current != nil
}

// A handler may make and close hubs.
func TestALoggerMayCloseItsHub(t *testing.T) {
	closer := &closing{kept: kept{level: slog.LevelDebug}, hubs: make(chan *Hub, 1)}
	hub := hubWith(t, slog.New(closer))
	closer.hubs <- hub
	endStream(t, hub)
	untilTrue(t, "the record has come", func() bool { return len(closer.with("ended")) > 0 })
	if _, err := hub.Publish("t", Event{}); !errors.Is(err, ErrClosed) {
		t.Errorf("the hub is open: %v", err)
	}
}

type closing struct {
	kept
	hubs chan *Hub
}

func (c *closing) Handle(ctx context.Context, record slog.Record) error {
	select {
	case hub := <-c.hubs:
		hub.Close()
	default:
	}
	return c.kept.Handle(ctx, record)
}
