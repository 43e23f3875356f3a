package fanfare_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

func TestEventsAreThereInTheNextHubOfTheirFolder(t *testing.T) {
	options := &fanfare.Options{DataDir: t.TempDir(), Durability: fanfare.DurabilityAlways, Shards: 1}
	hub, err := fanfare.New(options)
	if err != nil {
		t.Fatal(err)
	}
	id, err := hub.Publish("news", fanfare.Event{Data: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := hub.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if metrics, err := hub.Metrics(); err != nil || metrics.JournalSyncs == 0 {
		t.Fatalf("%+v, %v", metrics, err)
	}
	if _, err := fanfare.New(options); !errors.Is(err, fanfare.ErrJournal) {
		t.Fatalf("a second hub of the folder: %v", err)
	}
	if err := hub.Close(); err != nil {
		t.Fatal(err)
	}
	if hub, err = fanfare.New(options); err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	stream, err := hub.Subscribe([]string{"news"}, &fanfare.StreamOptions{Start: fanfare.StartEarliest})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	want := "id: " + id.String() + "\ndata: hello\n"
	for text := ""; !strings.Contains(text, want); {
		batch, err := stream.Next(ctx)
		if err != nil {
			t.Fatalf("%q, %v: there is no %q", text, err, want)
		}
		text += string(batch)
	}
}

func TestAFolderThatCannotBeIsRefusedAndAHubWithoutOneSaysSo(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "no", "such", "folder")
	if _, err := fanfare.New(&fanfare.Options{DataDir: missing}); !errors.Is(err, fanfare.ErrJournal) {
		t.Fatal(err)
	}
	hub, err := fanfare.New(&fanfare.Options{Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	if err := hub.Flush(context.Background()); !errors.Is(err, fanfare.ErrJournal) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := hub.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
